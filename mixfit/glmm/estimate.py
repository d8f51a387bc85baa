"""Fit a generalized problem and carry the estimates back to the user's columns."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixfit.errors import FitError
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.held import with_held, without_held
from mixfit.glmm.joint import FastObjective
from mixfit.glmm.kept_rows import start_of_some
from mixfit.glmm.minimize import minimize
from mixfit.glmm.nodes import check_rule
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.passes import PassObjective
from mixfit.glmm.pql import penalized_quasi
from mixfit.glmm.problem import GeneralizedParameters
from mixfit.glmm.start import linear_start, nearer_starts, start_shapes, theta_start, wider_starts
from mixfit.glmm.types import Center, FurtherEstimate, GeneralizedEstimate
from mixfit.glmm.working import UNDETERMINED, spectral_inverse, working_covariance
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.given import GivenStart
    from mixfit.glmm.kept_rows import KeptRows
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.minimize import GeneralizedMinimum
    from mixfit.glmm.objective import Objective
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.lmm.known import KnownEffects

    Array = NDArray[np.float64]

__all__ = ["estimate_by_passes", "estimate_generalized", "with_covariance"]

# Methods whose fixed effects have their covariance from the working linear model, where theta counts as known.
_THETA_KNOWN = ("joint", "pql")
# Curvature that is not even a rounding error of any response: means at the end of the range of doubles.
_NO_INFORMATION = 1e-100


def estimate_generalized(
    assembly: GeneralizedAssembly,
    n_agq: int,
    method: Literal["ml", "pql"] = "ml",
    given: GivenStart | None = None,
    held: KnownEffects | None = None,
) -> GeneralizedEstimate:
    """Maximize the Laplace approximation (`n_agq` = 1), its fast version (0) or the adaptive quadrature; or PQL.

    What is `given` is tried as a start beside the one from the data. Fixed effects that are `held` are known.
    """
    if held is None:
        return _estimate(assembly, n_agq, method, given)
    start = None if given is None else given.without(held)
    return with_held(_estimate(without_held(assembly, held), n_agq, method, start), assembly, held)


def _estimate(
    assembly: GeneralizedAssembly, n_agq: int, method: Literal["ml", "pql"], given: GivenStart | None
) -> GeneralizedEstimate:
    problem = assembly.problem
    if n_agq > 1:
        check_rule(n_agq, assembly.problem.k, assembly.problem.terms)
    gamma, phi = linear_start(problem)
    shape = start_shapes(problem, gamma)
    start = GeneralizedParameters(tuple(theta_start(problem.at(shape), gamma, phi)), gamma, phi, shape)
    first = [] if given is None else [given.place(assembly, start)]
    if problem.stack is not None and (method == "pql" or n_agq == 0):
        raise FitError(
            "The fast approximation, n_agq=0, and method='pql' are for models of the mean alone, and this one has zi= "
            "or dispersion=. Use n_agq=1, the Laplace approximation."
        )
    if method == "pql":
        quasi = penalized_quasi(problem, (*first, start)[0])
        return _collect(assembly, "pql", n_agq, quasi.optimum, quasi.center, _working_spread(quasi.center))
    if n_agq == 0:
        fast = FastObjective(problem, gamma)
        optimum = minimize(fast, *(replace(at, gamma=np.empty(0)) for at in (*first, start)))
        center = optimum.point.center
        return _collect(assembly, "joint", n_agq, optimum, center, _working_spread(center))
    objective: Objective[Any] = LaplaceObjective(problem) if n_agq == 1 else QuadratureObjective(problem, n_agq)
    optimum = _optimum(objective, [*first, _feasible(objective, start)])
    information = optimum.hessian.diagonal()[len(optimum.directions) :][: problem.p]
    if problem.p and not information.max() > _NO_INFORMATION:
        raise FitError(
            "The likelihood is flat in every fixed effect: each response is fitted perfectly, and no finite "
            "coefficients have the largest likelihood. Leave columns or random terms out."
        )
    method_name = "laplace" if n_agq == 1 else "quadrature"
    return _collect(assembly, method_name, n_agq, optimum, optimum.point.center, _joint_spread(optimum, problem.p))


def _optimum(objective: Objective[Any], starts: Sequence[GeneralizedParameters]) -> GeneralizedMinimum[Any]:
    """The minimum from `starts` or, where the search meets no value on its way from there, from wider ones.

    Raises
    ------
    FitError
        That of the first search, where none converges.
    """
    try:
        return minimize(objective, *starts, twice=True)
    except FitError:
        if objective.problem.family.has_edge:
            raise
        for at in wider_starts(objective.problem, starts[-1]):
            with suppress(FitError):
                optimum = minimize(objective, at, twice=True)
                if optimum.certificate.converged:
                    return optimum
        raise


def _feasible(objective: Objective[Any], start: GeneralizedParameters) -> GeneralizedParameters:
    """`start` or, where the link's support has an edge, the first of the nearer starts with a finite likelihood."""
    problem = objective.problem
    if not problem.family.has_edge:
        return start
    for at in chain([start], nearer_starts(problem, start)):
        with suppress(FitError):
            if np.isfinite(objective.evaluate(at).value):
                return at
    raise FitError(
        f"The conditional modes of the {problem.family!r} model lie on the edge of its support from every start: "
        "choose another link, such as log."
    )


def estimate_by_passes(kept: KeptRows, given: GivenStart | None = None) -> GeneralizedEstimate:
    """Maximize the Laplace approximation of rows that are on disk, from the estimates of some of them."""
    assembly, objective = kept.assembly, PassObjective(kept.rows)
    start = start_of_some(kept)
    optimum = minimize(objective, start if given is None else given.place(assembly, start))
    spread = _joint_spread(optimum, assembly.problem.p)
    found = _collect(assembly, "laplace", 1, optimum, optimum.point.center, spread)
    found.at.keep(optimum.point.center, stored=True)
    return found


def _joint_spread(optimum: GeneralizedMinimum[Any], p: int) -> tuple[Array, Array]:
    """Cov(gamma) from the Hessian of all parameters, and from that of gamma alone."""
    fixed = slice(len(optimum.directions), len(optimum.directions) + p)
    return optimum.covariance[fixed, fixed], 2.0 * spectral_inverse(optimum.hessian[fixed, fixed], UNDETERMINED)


def _working_spread(center: Laplace) -> tuple[Array, Array]:
    """Cov(gamma) from the working linear model, where theta counts as known."""
    covariance = working_covariance(center)
    return covariance, covariance


def _collect(
    assembly: GeneralizedAssembly,
    method: str,
    n_agq: int,
    optimum: GeneralizedMinimum[Any],
    center: Center,
    spread: tuple[Array, Array],
) -> GeneralizedEstimate:
    """The estimates in the user's columns; `spread` is Cov(gamma), and the same at known theta and phi."""
    problem, at = assembly.problem, optimum.point.at
    spherical = [lv.left_multiply(t, u) for t, u in zip(center.factor.templates, center.mode.u, strict=True)]
    b = center.factor.gram.effects(spherical)
    thetas = [
        t.structure.theta_of(point, basis)
        for t, point, basis in zip(problem.terms, at.points, assembly.term_bases, strict=True)
    ]
    value = np.nan if method == "pql" else optimum.point.value
    modes = tuple(
        np.ascontiguousarray(np.linalg.solve(basis, b[t.factor][t.columns, 0]).T)
        for t, basis in zip(problem.terms, assembly.term_bases, strict=True)
    )
    found = GeneralizedEstimate(
        method=method,
        n_agq=n_agq,
        criterion=value,
        templates=tuple(t.structure.template(own) for t, own in zip(problem.terms, thetas, strict=True)),
        theta=np.concatenate(thetas),
        phi=at.phi,
        shape=at.shape,
        beta=assembly.fixed.coefficients(center.gamma),
        cov_beta=_back(assembly, spread[0]),
        cov_beta_conditional=_back(assembly, spread[1]),
        modes=modes,
        eta=center.mode.eta,
        certificate=optimum.certificate,
        **_spread(assembly, at, optimum.directions, optimum.covariance, theta_known=method in _THETA_KNOWN),
    )
    found = _by_predictor(found, assembly, thetas) if assembly.parts else found
    found.at.keep(center)
    return found


def _spread(
    assembly: GeneralizedAssembly,
    at: GeneralizedParameters,
    directions: Sequence[Direction],
    covariance: Array,
    *,
    theta_known: bool = False,
) -> dict[str, Any]:
    """Fields of an estimate that follow from the covariance of (directions, gamma, tail), all but that of beta."""
    problem, m = assembly.problem, len(directions)
    tail_errors = np.sqrt(covariance.diagonal()[len(covariance) - problem.family.n_tail :])
    shapes = slice(len(covariance) - len(at.shape), None)
    jacobian, bound = _theta_jacobian(assembly, at.points, directions)
    cov_theta = jacobian @ covariance[:m, :m] @ jacobian.T
    with_gamma = np.zeros((m, problem.p)) if theta_known else covariance[:m, m : m + problem.p]
    return {
        "log_phi_error": float(tail_errors[0]) if problem.family.has_dispersion else np.nan,
        "shape_errors": tail_errors[int(problem.family.has_dispersion) :],
        "cov_theta": cov_theta,
        "cov_theta_beta": jacobian @ assembly.fixed.coefficients(np.ascontiguousarray(with_gamma.T)).T,
        "theta_errors": np.where(bound, np.nan, np.sqrt(np.maximum(cov_theta.diagonal(), 0.0))),
        "cov_shape": covariance[shapes, shapes],
        "cov_beta_shape": assembly.fixed.coefficients(covariance[m : m + len(at.gamma), shapes]),
    }


def with_covariance(
    estimate: GeneralizedEstimate,
    assembly: GeneralizedAssembly,
    at: GeneralizedParameters,
    directions: Sequence[Direction],
    covariance: Array,
) -> GeneralizedEstimate:
    """The estimate with another covariance of (directions, gamma, tail) in the place of its own."""
    m, p = len(directions), assembly.problem.p
    cov_beta = _back(assembly, covariance[m : m + p, m : m + p])
    found = replace(estimate, cov_beta=cov_beta, **_spread(assembly, at, directions, covariance))
    if not assembly.parts:
        return found
    mean, *others = assembly.parts
    n_theta = len(estimate.theta)
    further = {
        part.name: replace(estimate.further[part.name], cov_beta=cov_beta[part.fixed, part.fixed]) for part in others
    }
    return replace(
        found,
        cov_beta=cov_beta[mean.fixed, mean.fixed],
        theta_errors=found.theta_errors[:n_theta],
        cov_theta=found.cov_theta[:n_theta, :n_theta],
        cov_theta_beta=found.cov_theta_beta[:n_theta, mean.fixed],
        further=further,
        cov_every_beta=cov_beta,
    )


def _by_predictor(
    found: GeneralizedEstimate, assembly: GeneralizedAssembly, thetas: Sequence[Array]
) -> GeneralizedEstimate:
    """The mean's estimates, with those of the other predictors beside them."""
    mean, *others = assembly.parts
    further = {
        part.name: FurtherEstimate(
            names=part.columns,
            kept=part.kept,
            beta=found.beta[part.fixed],
            cov_beta=found.cov_beta[part.fixed, part.fixed],
            templates=tuple(found.templates[t] for t in part.terms),
            theta=np.concatenate([np.empty(0), *(thetas[t] for t in compress(part.terms, part.first))]),
            modes=tuple(found.modes[t] for t in part.terms),
            eta=found.eta[part.rows],
            first=part.first,
        )
        for part in others
    }
    # What the mean shares with other predictors is among its own terms, which come first.
    n_terms = len(mean.terms)
    theta = np.concatenate([np.empty(0), *thetas[:n_terms]])
    return replace(
        found,
        beta=found.beta[mean.fixed],
        cov_beta=found.cov_beta[mean.fixed, mean.fixed],
        cov_beta_conditional=found.cov_beta_conditional[mean.fixed, mean.fixed],
        templates=found.templates[:n_terms],
        theta=theta,
        theta_errors=found.theta_errors[: len(theta)],
        cov_theta=found.cov_theta[: len(theta), : len(theta)],
        cov_theta_beta=found.cov_theta_beta[: len(theta), mean.fixed],
        modes=found.modes[:n_terms],
        eta=found.eta[mean.rows],
        further=further,
        cov_every_beta=found.cov_beta,
    )


def _back(assembly: GeneralizedAssembly, covariance: Array) -> Array:
    """R^{-1} C R'^{-1}."""
    half = assembly.fixed.coefficients(covariance)
    return np.asarray(assembly.fixed.coefficients(np.ascontiguousarray(half.T)).T)


def _theta_jacobian(
    assembly: GeneralizedAssembly, points: Sequence[Array], directions: Sequence[Direction]
) -> tuple[Array, NDArray[np.bool_]]:
    """Derivatives of theta along the directions, shape (m, len(directions)), and which of theta are on a bound (m,)."""
    structures = [t.structure for t in assembly.problem.terms]
    bound = [s.is_on_bound(point) for s, point in zip(structures, points, strict=True)]
    sizes = [s.n_parameters for s in structures]
    jacobian = np.zeros((sum(sizes), len(directions)))
    ends = np.cumsum(sizes)
    for index, (structure, point, basis) in enumerate(zip(structures, points, assembly.term_bases, strict=True)):
        own = [a for a, d in enumerate(directions) if d.term == index]
        if not bound[index]:
            rows = slice(ends[index] - sizes[index], ends[index])
            jacobian[rows, own] = structure.theta_jacobian(point, [directions[a] for a in own], basis)
    return jacobian, np.repeat(bound, sizes)
