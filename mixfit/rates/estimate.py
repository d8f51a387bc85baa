"""Mean and precision of beta-distributed rates: by marginal or joint likelihood, or by moments."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mixfit.brief import brief
from mixfit.errors import DesignError, FitError
from mixfit.gram.basis import fixed_basis
from mixfit.optimize.certificate import TOLERANCE
from mixfit.rates.climb import Maximum, UnboundedError, climb
from mixfit.rates.likelihood import binomial_scale, evaluate, joint_terms, marginal_terms, rounding
from mixfit.rates.units import name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.rates.units import Units

    Array = NDArray[np.float64]

__all__ = ["INFINITE", "RateEstimate", "check", "estimate_joint", "estimate_marginal", "maximize_marginal"]

# Grid of the scan for peaks in log s.
_GRID_STEP = 2.0
# A precision below it is a rate that is 0 or 1 in every unit.
_SMALLEST_START = 0.05
# Times `binomial_scale`: a peak beyond gains less than TOLERANCE over the binomial.
INFINITE = 1e6
# No data place a linear predictor so badly; separated ones do, by infinity.
_SEPARATED = 100.0
# Of the largest number of trials: beyond it the joint likelihood only grows with s.
_UNBOUNDED = 1e6


@dataclass(frozen=True, eq=False)
class RateEstimate:
    """Estimated parameters.

    Attributes
    ----------
    method : str
    coefficients : ndarray, shape (p,)
        Of g(m).
    s : float
        Precision alpha + beta; infinite where the rates do not vary.
    covariance : ndarray, shape (p + 1, p + 1)
        Of (coefficients, log s); NaN for log s where s is infinite.
    llf : float
        Marginal log-likelihood there.
    decrease : float
        What a further Newton step promises to take from -2 log L; zero for moments.
    """

    method: str
    coefficients: Array
    s: float
    covariance: Array
    llf: float
    decrease: float

    __repr__ = brief


def check(units: Units) -> None:
    """Refuse units whose mean or precision no method can estimate.

    Raises
    ------
    DesignError, FitError
    """
    seen = units.take(units.n > 0.0)
    N, p = len(seen), seen.X.shape[1]
    if N == 1:
        raise DesignError(
            f"There is one unit with trials ({name_of(seen.labels, 0)}): how rates vary between units cannot be seen. "
            "If its rows are units of their own, leave by= out or name a finer one."
        )
    if p >= N:
        raise DesignError(f"{N} units with trials cannot place {p} coefficients and a precision.")
    total, trials = seen.y.sum(), seen.n.sum()
    if total in (0.0, trials):
        which, m = ("success", 0) if total == 0.0 else ("failure", 1)
        raise FitError(f"No unit has a {which}: the mean is estimated as {m}, and no precision goes with it.")
    if seen.n.max() == 1.0:
        raise DesignError(
            "Every unit has one trial. How rates vary shows only between trials of one unit: name the units with by=."
        )
    if not ((seen.y > 0.0) & (seen.y < seen.n)).any():
        raise FitError(
            "Every unit has only successes or only failures: the likelihood is largest at a precision of zero, where "
            "each rate is 0 or 1, and no beta distribution is left. Are the rows of one unit marked as one by by=?"
        )


def maximize_marginal(units: Units, link: Link, near: Array | None = None) -> Maximum:
    """Maximize the beta-binomial likelihood; at s = infinity where the binomial is the better.

    Coefficients and derivatives are those of ``units.X``, whose columns must not be dependent. The search starts from
    least squares, or from the coefficients `near` where these are better.
    """
    seen = units.take(units.n > 0.0).distinct()
    basis = fixed_basis(seen.X.T)
    data, times = (seen.y, seen.n, basis.rows.T, seen.offset, link), seen.times
    starts = [basis.rows @ (link.eta((seen.y + 0.5) / (seen.n + 1.0)) - seen.offset)]
    if near is not None:
        starts.append(basis.triangle @ near)
    start = max(starts, key=lambda place: evaluate(marginal_terms, *data, place, np.inf, times).value)
    binomial = climb(marginal_terms, *data, start, np.inf, known_precision=True, times=times)
    _check_separation(seen, binomial, basis.rows.T)
    scale, best = binomial_scale(seen.n, times), binomial
    for peak in _scan(data, times, binomial.coefficients, scale):
        # A peak at infinity is the binomial's.
        with suppress(UnboundedError):
            found = climb(marginal_terms, *data, peak.coefficients, peak.s, limit=INFINITE * scale, times=times)
            best = max(best, found, key=lambda maximum: maximum.point.value)
    if 2.0 * (best.point.value - binomial.point.value) <= max(TOLERANCE, rounding(seen.n, times)):
        best = binomial
    return Maximum(basis.coefficients(best.coefficients), best.s, best.point, best.decrease)


def _scan(
    data: tuple[Array, Array, Array, Array, Link], times: Array, coefficients: Array, scale: float
) -> list[Maximum]:
    """Peaks of the profile over a coarse grid of log s; units of very unequal trials can make two of them.

    `scale` is `binomial_scale`.
    """
    grid = np.exp(np.arange(np.log(10.0 * scale), np.log(_SMALLEST_START), -_GRID_STEP))
    profile = []
    for s in grid.tolist():
        profile.append(climb(marginal_terms, *data, coefficients, s, known_precision=True, times=times))
        coefficients = profile[-1].coefficients
    values = np.array([-np.inf, *(place.point.value for place in profile), -np.inf])
    peaks = np.flatnonzero((values[1:-1] >= values[:-2]) & (values[1:-1] >= values[2:]))
    return [profile[place] for place in peaks]


def _check_separation(units: Units, fit: Maximum, X: Array) -> None:
    if X.shape[1] == 0:  # nothing separates, and LAPACK refuses a triangle without rows
        return
    information = -fit.point.hessian[:-1, :-1]
    try:
        root = np.linalg.cholesky(information)
    except np.linalg.LinAlgError:
        worst = 0
    else:
        errors = np.sqrt((solve_triangular(root, X.T, lower=True) ** 2).sum(axis=0))
        if errors.max(initial=0.0) < _SEPARATED:
            return
        worst = int(np.argmax(errors))
    raise FitError(
        f"The covariates separate successes from failures: the likelihood grows as coefficients go to infinity and "
        f"the mean of unit {name_of(units.labels, worst)} goes to 0 or 1. Leave out or merge levels without a success "
        "or without a failure."
    )


def estimate_marginal(units: Units, link: Link) -> RateEstimate:
    """Maximum of the beta-binomial likelihood, its standard errors from the observed information.

    Parameters
    ----------
    units : Units
    link : Link

    Returns
    -------
    RateEstimate
    """
    best = maximize_marginal(units, link)
    coefficients, covariance = best.coefficients, _covariance(units, link, best)
    return RateEstimate("marginal", coefficients, best.s, covariance, best.point.value, best.decrease)


def estimate_joint(units: Units, link: Link) -> RateEstimate:
    """Local maximum of the joint density of counts and rates, in parameters and rates at once.

    Such a maximum need not exist, and is never the supremum: with all rates at their mean the density grows as
    s^(N/2).

    Parameters
    ----------
    units : Units
    link : Link

    Returns
    -------
    RateEstimate

    Raises
    ------
    FitError
        Where there is no local maximum.
    """
    seen = units.take(units.n > 0.0)
    marginal = maximize_marginal(units, link)
    m = link.mean(seen.X @ marginal.coefficients + seen.offset)
    s = marginal.s if np.isfinite(marginal.s) else float(seen.n.max())
    # A unit without a success (failure) has its rate inside (0, 1) only if alpha (beta) exceeds 1.
    edges = np.concatenate([m[seen.y == 0.0], 1.0 - m[seen.y == seen.n]])
    s = max(s, float((1.5 / edges).max(initial=0.0)))
    basis = fixed_basis(seen.X.T)
    start, limit = basis.triangle @ marginal.coefficients, _UNBOUNDED * float(seen.n.max())
    try:
        best = climb(joint_terms, seen.y, seen.n, basis.rows.T, seen.offset, link, start, s, limit=limit)
        best = Maximum(basis.coefficients(best.coefficients), best.s, best.point, best.decrease)
        covariance = _covariance(units, link, best, joint=True)
    except FitError as error:
        raise FitError(
            "The joint likelihood of the parameters and all rates has no maximum here: it grows without bound, as the "
            "precision goes to infinity and all rates to their mean, or as a rate goes to 0 or 1. "
            "Use method='marginal'."
        ) from error
    llf = float(marginal_terms(seen.y, seen.n, link.mean(seen.X @ best.coefficients + seen.offset), best.s).value.sum())
    return RateEstimate("joint", best.coefficients, best.s, covariance, llf, best.decrease)


def _covariance(units: Units, link: Link, best: Maximum, *, joint: bool = False) -> Array:
    """Inverse of the observed information in (coefficients, log s), in the units' own covariates."""
    seen, p = units.take(units.n > 0.0), units.X.shape[1]
    terms = joint_terms if joint else marginal_terms
    hessian = evaluate(terms, seen.y, seen.n, seen.X, seen.offset, link, best.coefficients, best.s).hessian
    free = p + int(np.isfinite(best.s))
    information = -hessian[:free, :free]
    scale = np.sqrt(np.abs(information.diagonal()))
    try:
        root = np.linalg.cholesky(information / np.outer(scale, scale))
    except np.linalg.LinAlgError as error:
        raise FitError("The likelihood is flat at its maximum: the data do not determine the parameters.") from error
    half = solve_triangular(root, np.diag(1.0 / scale), lower=True)
    out = np.full((p + 1, p + 1), np.nan)
    out[:free, :free] = half.T @ half
    return out
