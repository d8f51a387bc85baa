r"""The conditional mode of the spherical random effects, by penalized iteratively reweighted least squares.

At fixed beta, theta and dispersion, u~ minimizes -2 l(eta) + |u|^2 with eta = offset + X beta + Z Lambda u.
Each step solves A delta = Lambda'Z'l' - u with the observed curvature as weights (the expected one in rows
where the log density is not concave), and is halved until the objective falls. Near a known mode the A of that
mode serves as long as it converges fast, where a new one would cost more than passes over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.gram import levels as lv
from mixfit.gram.products import random_predictor, random_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.families.declared import Terms
    from mixfit.glmm.problem import GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["NEAR", "Mode", "find_mode", "is_settled", "newton_step", "penalized_deviance", "predictor"]

# The mode has settled where a Newton step promises less than this: log|A| is not stationary in the mode, and is then
# known to the root of it, and its differences over steps of 1e-5 to five digits.
_DECREMENT = 1e-20
# Below this a promise that no longer falls is rounding.
_LAST_DIGITS = 1e-12
# Newton's whole steps need no damping from here on: they square what is left.
NEAR = 1e-3
# What a step by an old factor must leave at most of the promise, to be worth more than a new one.
_CONTRACTION = 1e-2
# The objective's own rounding, where a step changes less than this.
_ROUNDING = 1e-6
# Newton takes 5 to 15 of them; more do not end at all.
_MAX_STEPS = 60
_MAX_HALVINGS = 30


@dataclass(frozen=True, eq=False)
class Mode:
    """The conditional mode and what was computed there.

    Attributes
    ----------
    u : list of ndarray, shape (k_i, 1, q_i)
    eta : ndarray, shape (n,)
    terms : Terms
        Derivatives of the log density at eta.
    observed : Factor
        Factor of A with the observed curvature as weights.
    objective : float
        -2 l + |u|^2.
    n_steps : int
    """

    u: list[Array]
    eta: Array
    terms: Terms
    observed: Factor
    objective: float
    n_steps: int


# A matrix that is not positive definite has a factor that is not finite, and the decrement tells; so has a predictor
# outside the support a likelihood.
@np.errstate(all="ignore")
def find_mode(
    problem: GeneralizedProblem,
    fixed_eta: Array,
    templates: Sequence[Array],
    phi: float,
    near: Mode | None = None,
    start: Sequence[Array] | None = None,
) -> Mode:
    """Find u~ from the mode of a nearby point, `near`, or from `start`, or from zero: also where these lead nowhere.

    Raises
    ------
    FitError
        Where no finite mode can be found.
    """
    found = None
    if near is not None:
        found = _search(problem, fixed_eta, templates, phi, *_predicted(problem, fixed_eta, templates, near))
    elif start is not None:
        found = _search(problem, fixed_eta, templates, phi, list(start))
    if found is None:
        zero = [np.zeros((k, 1, q)) for k, q in zip(problem.k, problem.n_levels, strict=True)]
        if not np.isfinite(penalized_deviance(problem, fixed_eta, zero, phi)):
            raise FitError(
                f"The {problem.family!r} log-likelihood is not finite at the start: fitted means leave the support. "
                "Try another link, or rescale the covariates."
            )
        found = _search(problem, fixed_eta, templates, phi, zero)
    if found is None:
        raise FitError(
            "The conditional modes did not settle: the random effects run away. "
            "Look for groups whose responses are all at one end, or for a fixed effect that separates the response."
        )
    return found


def _search(
    problem: GeneralizedProblem,
    fixed_eta: Array,
    templates: Sequence[Array],
    phi: float,
    u: list[Array],
    old: Factor | None = None,
) -> Mode | None:
    """Newton's steps from u, by the factor of a nearby mode as long as that serves; None where they do not settle."""
    factor_templates = problem.factor_templates(templates)
    eta = predictor(problem, fixed_eta, factor_templates, u)
    objective = penalized_deviance(problem, eta, u, phi)
    if not np.isfinite(objective):
        return None
    costly = _is_costly(problem)
    decrement, refused, trusted = np.inf, np.inf, True
    for step in range(_MAX_STEPS):
        before = decrement
        terms = problem.row_terms(eta, phi)
        gradient = _gradient(problem, factor_templates, terms.score, u)
        if old is not None:
            last = decrement
            delta, decrement = newton_step(old, gradient)
            if not 0.0 <= decrement <= min(NEAR, _CONTRACTION * last):
                old, decrement = None, np.inf
        # Near the mode A is positive definite even where single rows are not concave.
        concave = bool((trusted and decrement < NEAR) or terms.concave.all())
        if old is None:
            weights = terms.observed if concave else np.where(terms.concave, terms.observed, terms.expected)
            factor = problem.factorize(weights, templates)
            delta, decrement = newton_step(factor, gradient)
        if not decrement >= 0.0:
            decrement, trusted = np.inf, False
            continue
        if is_settled(decrement, before) or (refused < _ROUNDING and decrement > 0.5 * refused):
            if old is not None or not concave:
                factor = problem.factorize(terms.observed, templates)
            return Mode(u, eta, terms, factor, objective, step)
        if not costly:
            # Of the next place a factor is wanted in any case, and two steps by an old one are worth less.
            old = None
        elif old is None and concave and decrement < NEAR:
            old = factor
        # Close to the mode the objective's own rounding is larger than what a step changes.
        rounding = min(decrement, _ROUNDING) + 1e-13 * abs(objective)
        found = _descend(problem, fixed_eta, factor_templates, phi, u, delta, objective, rounding)
        if found is None and decrement < NEAR:
            # Where rows of the objective are large and cancel, Newton's whole step is better judged by the next one.
            refused = decrement
            found = _step(problem, fixed_eta, factor_templates, phi, u, delta, 1.0)
        if found is None or not np.isfinite(found[2]):
            return None
        u, eta, objective = found
    return None


def is_settled(decrement: Array | float, before: Array | float, least: float = _DECREMENT) -> NDArray[np.bool_] | bool:
    """Whether what Newton's next step promises is nothing, or rounding that falls no more."""
    return (decrement <= least) | ((0.5 * before < decrement) & (decrement < _LAST_DIGITS))


def newton_step(factor: Factor, gradient: list[Array]) -> tuple[list[Array], float]:
    """The step A^{-1} g and its decrement g'A^{-1} g."""
    delta = factor.solve(gradient)
    return delta, sum(float(np.vdot(g, d)) for g, d in zip(gradient, delta, strict=True))


def _is_costly(problem: GeneralizedProblem) -> bool:
    """Whether a factor costs more than passes over the rows."""
    return problem.plan.trailing_entries > len(problem.y)


def _predicted(
    problem: GeneralizedProblem, fixed_eta: Array, templates: Sequence[Array], near: Mode
) -> tuple[list[Array], Factor | None]:
    """Where the mode of a nearby point goes, to first order in what changed, and the factor to step by from there."""
    factor_templates = problem.factor_templates(templates)
    shift = predictor(problem, fixed_eta, factor_templates, near.u) - near.eta
    score = near.terms.score - near.terms.observed * shift
    delta, promise = newton_step(near.observed, _gradient(problem, factor_templates, score, near.u))
    if not promise <= NEAR:
        return near.u, near.observed if _is_costly(problem) else None
    return [x + d for x, d in zip(near.u, delta, strict=True)], near.observed


def _gradient(
    problem: GeneralizedProblem, factor_templates: Sequence[Array], score: Array, u: Sequence[Array]
) -> list[Array]:
    """Lambda'Z'l' - u, of every factor."""
    sums = random_sums(problem.pattern.factors, score[None])
    return [lv.left_multiply(t.T, z) - x for t, z, x in zip(factor_templates, sums, u, strict=True)]


def predictor(
    problem: GeneralizedProblem, fixed_eta: Array, factor_templates: Sequence[Array], u: Sequence[Array]
) -> Array:
    """The linear predictor, fixed part + Z Lambda u: shape (n,)."""
    b = [lv.left_multiply(t, x) for t, x in zip(factor_templates, u, strict=True)]
    return fixed_eta + random_predictor(problem.pattern.factors, b)[0]


def penalized_deviance(problem: GeneralizedProblem, eta: Array, u: Sequence[Array], phi: float) -> float:
    """-2 l(eta) + |u|^2; not finite outside the support, of which numpy may warn."""
    return -2.0 * problem.loglik(eta, phi) + sum(float(np.vdot(x, x)) for x in u)


def _descend(
    problem: GeneralizedProblem,
    fixed_eta: Array,
    factor_templates: Sequence[Array],
    phi: float,
    u: list[Array],
    delta: list[Array],
    objective: float,
    rounding: float,
) -> tuple[list[Array], Array, float] | None:
    """The first halving of the step that does not raise the objective."""
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        trial = _step(problem, fixed_eta, factor_templates, phi, u, delta, length)
        if trial[2] <= objective + rounding:
            return trial
        length *= 0.5
    return None


def _step(
    problem: GeneralizedProblem,
    fixed_eta: Array,
    factor_templates: Sequence[Array],
    phi: float,
    u: list[Array],
    delta: list[Array],
    length: float,
) -> tuple[list[Array], Array, float]:
    """u + length * delta, its predictor and its objective."""
    trial = [x + length * d for x, d in zip(u, delta, strict=True)]
    eta = predictor(problem, fixed_eta, factor_templates, trial)
    return trial, eta, penalized_deviance(problem, eta, trial, phi)
