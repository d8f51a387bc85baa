r"""Mean and precision by moments (Kleinman 1973, JASA 68).

With rho = 1 / (s + 1) a raw rate r_i = y_i / n_i has mean m and variance m (1 - m) v_i, v_i = 1/n_i + rho (1 - 1/n_i).
For weights w_i, W their sum, the two estimating functions of unit i are

    u_1 = w_i (r_i - m),     u_2 = w_i (r_i - m)^2 - m (1 - m) w_i (1 - w_i / W) v_i;

u_1 sums to zero at the weighted mean, and u_2 then at an unbiased rho given m. The weights are 1 / v_i, which depend
on rho: the two take turns until rho stands still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.rates.estimate import RateEstimate
from mixfit.rates.likelihood import marginal_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.rates.units import Units

    Array = NDArray[np.float64]

__all__ = ["estimate_moments", "moments"]

# A fixed point that gains a digit in thirty rounds still ends.
_MAX_ROUNDS = 500
# Of an intraclass correlation, at most 1: its rounding.
_STILL = 1e-14


def moments(y: Array, n: Array) -> tuple[float, float]:
    """Mean m and intraclass correlation rho of the rates; rho is 0 where they vary no more than binomial counts.

    Parameters
    ----------
    y, n : ndarray, shape (N,)
        Successes and trials, n > 0.

    Returns
    -------
    m, rho : float

    Raises
    ------
    FitError
        Where rho would be 1 or more, or does not settle.

    Examples
    --------
    >>> m, rho = moments(np.array([22.0, 34.0, 27.0, 48.0]), np.full(4, 100.0))
    >>> round(m, 4), round(rho, 4)
    (0.3275, 0.0484)
    """
    raw, rho = y / n, 0.0
    for _ in range(_MAX_ROUNDS):
        w = _weights(n, rho)
        m = float(w @ raw / w.sum())
        k = w * (1.0 - w / w.sum())
        spread = float(w @ (raw - m) ** 2) / (m * (1.0 - m))
        new = max(float((spread - (k / n).sum()) / (k * (1.0 - 1.0 / n)).sum()), 0.0)
        if new >= 1.0:
            raise FitError(
                f"The moments give a correlation of {new:.3g} between trials of one unit: no beta distribution varies "
                "so much. Use method='marginal'."
            )
        if abs(new - rho) <= _STILL:
            return m, new
        rho = new
    raise FitError("The weights of the moment estimates do not settle. Use method='marginal'.")


def _weights(n: Array, rho: float) -> Array:
    return 1.0 / (1.0 / n + rho * (1.0 - 1.0 / n))


def estimate_moments(units: Units, link: Link) -> RateEstimate:
    """Moment estimates, with standard errors from the estimating functions' sandwich.

    The sandwich A^{-1} (sum u u') A^{-T} (Godambe 1960), A being the mean derivative of the estimating functions in
    (m, rho), takes the variance from the scatter of the units alone: with few of them it is too small.

    Parameters
    ----------
    units : Units
        With an intercept as their one covariate.
    link : Link

    Returns
    -------
    RateEstimate

    Raises
    ------
    FitError
        For other covariates, or where `moments` finds none.
    """
    if units.X.shape[1] != 1 or np.ptp(units.X) or units.offset.any():
        raise FitError("method='moments' takes no covariates of the mean: use method='marginal'.")
    seen = units.take(units.n > 0.0)
    y, n = seen.y, seen.n
    m, rho = moments(y, n)
    w, v = _weights(n, rho), 1.0 / n + rho * (1.0 - 1.0 / n)
    k, variance = w * (1.0 - w / w.sum()), m * (1.0 - m)
    u = np.array([w * (y / n - m), w * (y / n - m) ** 2 - variance * k * v])
    slopes = np.array([[-w.sum(), 0.0], [-(1.0 - 2.0 * m) * (k @ v), -variance * (k @ (1.0 - 1.0 / n))]])
    influence = np.linalg.solve(slopes, u)
    s = 1.0 / rho - 1.0 if rho > 0.0 else np.inf
    eta = link.eta(np.array([m]))
    # d log s / d rho = -1 / (rho (1 - rho)).
    to_working = np.array([1.0 / link.slope(eta)[0], -1.0 / (rho * (1.0 - rho)) if rho > 0.0 else np.nan])
    covariance = influence @ influence.T * np.outer(to_working, to_working)
    llf = float(marginal_terms(y, n, np.full(len(n), m), s).value.sum())
    return RateEstimate("moments", eta / units.X[0], s, covariance, llf, 0.0)
