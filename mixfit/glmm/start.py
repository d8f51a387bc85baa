"""Start values: a generalized linear model of the fixed effects, then moment estimates of theta."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.glmm.further_zeros import with_few_zeros, with_some_zeros
from mixfit.glmm.problem import GeneralizedParameters
from mixfit.gram.basis import fixed_basis, response_basis
from mixfit.gram.products import cross_products
from mixfit.lmm.minimize import minimize
from mixfit.lmm.problem import Problem
from mixfit.lmm.start import start_points

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.glmm.problem import GeneralizedProblem
    from mixfit.glmm.stacked import Stack

    Array = NDArray[np.float64]

__all__ = ["linear_start", "nearer_starts", "start_shapes", "theta_start", "wider_starts"]

# Of the model without random effects, 4 to 8; only a start is wanted.
_ITERATIONS = 25
# Relative change of the deviance: far below what the random effects will change.
_SETTLED = 1e-4
# 2^-30 of a step is 1e-9 of it: a direction that is still not lower is none.
_HALVINGS = 30
# A row that says nothing still has a working response, score / weight.
_SMALLEST_WEIGHT = 1e-10
# p (1 - p) of a row that its offset makes a zero, or none, all but surely: one as good as without weight, were no other
# to tell of a coefficient.
_SETTLED_ROW = 1e-6
# Standard deviations of the working residuals: a random effect explains no more than them, twice for safety.
_LARGEST_SHARE = 2.0
# Shares of the way from the central predictor, which every support contains.
_NEARER = (0.7, 0.4, 0.1, 0.01)
# Standard deviations of every random effect on the scale of the predictor: effects of one are plain to see on those of
# logarithms and logits, and a third of it is what applied models often end near.
_WIDER = (1.0, 0.3)


def linear_start(problem: GeneralizedProblem) -> tuple[Array, float]:
    """Coefficients of the orthonormal columns and phi of the model without random effects.

    Iteratively reweighted least squares from the constant predictor at the mean response; steps that leave the
    support or raise the deviance are halved.

    Raises
    ------
    FitError
        Where no predictor lies inside the support.
    """
    family = problem.family
    gamma = central_predictor(problem)
    eta = problem.offset + gamma @ problem.fixed
    phi = _dispersion(problem, eta, 1.0)
    value = _minus_twice_loglik(problem, eta, phi)
    if family.has_edge and not np.isfinite(value):
        raise FitError(
            f"No fixed-effects predictor of the {family!r} model lies inside the support in every row: add an "
            "intercept, or choose another link, such as log."
        )
    if not problem.p or not np.isfinite(value):
        return gamma, phi
    for _ in range(_ITERATIONS):
        terms = problem.row_terms(eta, phi)
        weight = np.maximum(terms.expected, _SMALLEST_WEIGHT)
        weighted = problem.fixed * weight
        step = np.asarray(np.linalg.solve(weighted @ problem.fixed.T, problem.fixed @ terms.score))
        length, last = 1.0, value
        for _ in range(_HALVINGS):
            trial = gamma + length * step
            trial_eta = problem.offset + trial @ problem.fixed
            value = _minus_twice_loglik(problem, trial_eta, phi)
            if value <= last:
                gamma, eta = trial, trial_eta
                break
            length *= 0.5
        else:
            break
        before, phi = phi, _dispersion(problem, eta, phi)
        settled = last - value < _SETTLED * (abs(value) + 1.0)
        if phi != before:
            value = _minus_twice_loglik(problem, eta, phi)
        if settled:
            break
    return with_some_zeros(problem, gamma), phi


def start_shapes(problem: GeneralizedProblem, gamma: Array) -> Array:
    """First coordinates of the family's shapes, from the means without random effects."""
    eta = problem.offset + gamma @ problem.fixed
    mine = _of_mean(problem)
    return problem.family.start_shapes(problem.y[mine], problem.prior[mine], _means(problem, eta)[mine])


def _of_mean(problem: GeneralizedProblem) -> NDArray[np.bool_]:
    """The observations that a family itself may have made: not the zeros of one without."""
    hurdle = problem.stack is not None and problem.stack.predictors.zero is not None and not problem.family.has_zero
    return problem.y != 0.0 if hurdle else np.ones(len(problem.y), dtype=bool)


def _means(problem: GeneralizedProblem, eta: Array) -> Array:
    return problem.family.link.mean(eta[: len(problem.y)])


def central_predictor(problem: GeneralizedProblem) -> Array:
    """Coefficients of the predictor nearest the constant one at the mean response, inside the support if any is.

    A link whose predictors have one sign only, that of the constant c, asks for eta_i / c > 0: where the projection
    on the columns of X fails that, a linear program maximizes the least eta_i / c.
    """
    if problem.stack is not None:
        return _central_predictors(problem, problem.stack)
    family, y, prior = problem.family, problem.y, problem.prior
    mean = np.full(1, float(prior @ family.start_mean(y, prior) / prior.sum()))
    constant = float(family.link.eta(mean)[0])
    gamma: Array = problem.fixed @ (constant - problem.offset)
    eta = problem.offset + gamma @ problem.fixed
    if not problem.p or np.isfinite(_minus_twice_loglik(problem, eta, 1.0)):
        return gamma
    from scipy.optimize import linprog

    rows = problem.fixed.T * np.sqrt(len(y)) / constant
    found = linprog(
        np.append(np.zeros(problem.p), -1.0),
        A_ub=np.column_stack([-rows, np.ones(len(y))]),
        b_ub=problem.offset / constant,
        bounds=[(None, None)] * problem.p + [(None, 1.0)],
        method="highs",
    )
    return gamma if found.x is None else np.asarray(found.x[:-1]) * np.sqrt(len(y))


def _central_predictors(problem: GeneralizedProblem, stack: Stack) -> Array:
    """The same of several predictors, each nearest its constant."""
    predictors = stack.predictors
    constants = predictors.constants(problem.family, problem.y, problem.prior)
    offset = stack.single(problem.offset)
    single = constants[:, None] - offset
    # A block is repeated in the rows of its pairs: orthonormal on its own rows.
    own = problem.fixed[:, : single.size]
    if predictors.zero is None or not np.ptp(offset[predictors.zero]):
        return np.asarray(own @ single.ravel())
    # Rows whose offset settles whether they are zeros say nothing of the constant, however far they are from it.
    weight = np.ones(offset.shape)
    share = expit(constants[predictors.zero] + offset[predictors.zero])
    weight[predictors.zero] = np.maximum(share * (1.0 - share), _SETTLED_ROW)
    weighted = own * weight.ravel()
    return np.asarray(np.linalg.solve(weighted @ own.T, weighted @ single.ravel()))


def nearer_starts(problem: GeneralizedProblem, first: GeneralizedParameters) -> Iterator[GeneralizedParameters]:
    """Starts nearer and nearer to the central predictor, with smaller random effects, for supports with an edge."""
    central = central_predictor(problem)
    for share in _NEARER:
        gamma = central + share * (first.gamma - central)
        phi = _dispersion(problem, problem.offset + gamma @ problem.fixed, first.phi)
        points = [t.structure.scaled(own, share) for t, own in zip(problem.terms, first.points, strict=True)]
        yield GeneralizedParameters(tuple(points), gamma, phi, first.shape)


def wider_starts(problem: GeneralizedProblem, first: GeneralizedParameters) -> Iterator[GeneralizedParameters]:
    """Starts with variance in every term, for likelihoods that break down on the way from where some have none.

    And one with few further zeros, with which densities are concave.

    What the random effects of one predictor explain those of another may explain too: from a start at which the first
    are zero, the first step may put everything into the second, to where the approximation has no value.
    """
    for deviation in _WIDER:
        points = [term.structure.starts(np.full(term.k, deviation**2))[0] for term in problem.terms]
        yield replace(first, points=tuple(points))
    few = with_few_zeros(problem, first.gamma)
    if few is not None:
        yield replace(first, gamma=few)


def _dispersion(problem: GeneralizedProblem, eta: Array, last: float) -> float:
    family = problem.family
    if family.known_phi is not None:
        return family.known_phi
    with np.errstate(all="ignore"):
        mine = _of_mean(problem)
        phi = family.start_dispersion(problem.y[mine], problem.prior[mine], _means(problem, eta)[mine])
    # Means that are the responses themselves leave nothing to estimate it from.
    return phi if np.isfinite(phi) and phi > 0.0 else last


def _minus_twice_loglik(problem: GeneralizedProblem, eta: Array, phi: float) -> float:
    with np.errstate(all="ignore"):
        value = -2.0 * problem.loglik(eta, phi)
    return value if np.isfinite(value) else np.inf


def theta_start(problem: GeneralizedProblem, gamma: Array, phi: float) -> list[Array]:
    """Henderson's moment estimates in the working linear model at the fixed predictor."""
    eta = problem.offset + gamma @ problem.fixed
    terms = problem.row_terms(eta, phi)
    root = np.sqrt(np.maximum(terms.expected, _SMALLEST_WEIGHT))
    fixed = fixed_basis(problem.fixed * root)
    response = response_basis(fixed, root * (gamma @ problem.fixed) + terms.score / root)
    if response is None:
        return [t.structure.starts(np.ones(t.k))[0] for t in problem.terms]
    rows = [replace(f, columns=root[None] if f.columns is None else f.columns * root) for f in problem.pattern.factors]
    gram = cross_products(rows, np.concatenate([fixed.rows, response.row[None]]))
    linear = Problem(gram, problem.plan, problem.terms, len(fixed.rows), 0.0, 0.0, 0.0)
    sigma = response.scale / np.sqrt(len(problem.y) - len(fixed.rows))
    # Groups that differ in everything or nothing make a ratio of variances without bounds.
    largest = _LARGEST_SHARE * float(np.sqrt(np.mean((terms.score / root**2) ** 2)))
    points = start_points(linear)[0]
    if any(term.structure.rank < term.k for term in problem.terms):
        points = list(minimize(linear, [points], reml=False).profile.points)
    sizes = [float(np.abs(t).max()) for t in relative_factors(problem.terms, points)]
    return [
        term.structure.scaled(point, min(sigma, 1.0, largest / max(size, largest)))
        for term, point, size in zip(problem.terms, points, sizes, strict=True)
    ]
