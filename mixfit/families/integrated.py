r"""Means averaged over normal random effects: E[mu(eta + s z)], z ~ N(0, 1).

By the trapezoidal rule over the whole line, which for a function analytic in a strip of half-width d about it errs by
exp(-2 pi d / h) with nodes h apart (Trefethen & Weideman 2014, SIAM Review 56(3), 385-458, theorem 5.1); Gauss-Hermite
rules converge slowly where mu turns within a small part of the standard deviation s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.links import Link

    Array = NDArray[np.float64]

__all__ = ["IntegratedMean", "trapezoid"]

# Poles of the inverse Cauchy link, the nearest of all, lie at distance 1 of the line: nodes 0.2 apart in eta leave
# exp(-10 pi) of the integral.
_SPACING = 0.2
# In standard deviations: the normal density itself leaves exp(-2 pi^2 / h^2) = 5e-35.
_WIDEST = 0.5
# exp(-81 / 2) of a bounded mean lies beyond nine standard deviations, and of one that grows as exp(s z) beyond 9 + s.
_REACH = 9.0
# Values of the integrand at once.
_BLOCK = 2_000_000
# Links whose mean has a pole where the predictor is zero: no average exists.
_POLES = ("inverse", "1/mu^2")


def trapezoid(largest: float) -> tuple[Array, Array]:
    """Nodes and weights of the standard normal, for functions of s z with s up to `largest`."""
    step = min(_WIDEST, _SPACING / largest) if largest > 0.0 else _WIDEST
    last = np.ceil((_REACH + largest) / step)
    z = step * np.arange(-last, last + 1.0)
    weights = np.exp(-0.5 * z * z)
    return z, weights / weights.sum()


@dataclass(frozen=True, eq=False)
class IntegratedMean:
    """A mean averaged over predictors that vary about eta.

    Parameters
    ----------
    link : Link
        What leads from a predictor to its mean.
    spread : ndarray, shape (m,)
        Standard deviation s of the predictor of every row.

    Raises
    ------
    FitError
        For an inverse link where s is not zero, since the average does not exist.

    Examples
    --------
    >>> from mixfit.families.links import LINKS
    >>> average = IntegratedMean(LINKS["log"], np.array([0.0, 1.0]))
    >>> (average.mean(np.zeros(2)) / np.exp([0.0, 0.5])).round(12).tolist()
    [1.0, 1.0]
    """

    link: Link
    spread: Array

    __repr__ = brief

    def __post_init__(self) -> None:
        if self.link.name in _POLES and bool((self.spread > 0.0).any()):
            raise FitError(
                f"The mean under the link {self.link.name} has no average over normal random effects: predictors near "
                "zero, however few, have means without bound. Predict with re_form='population', or fit with the "
                "link log."
            )

    def mean(self, eta: Array) -> Array:
        """E[mu(eta + s z)], shape (m,)."""
        return self._average(lambda at, z: self.link.mean(at), eta)

    def slope(self, eta: Array) -> Array:
        """Its derivative in eta, E[mu'], shape (m,)."""
        return self._average(lambda at, z: self.link.slope(at), eta)

    def spread_slope(self, eta: Array) -> Array:
        """Its derivative in s, E[z mu'], shape (m,)."""
        return self._average(lambda at, z: z * self.link.slope(at), eta)

    def _average(self, function: Callable[[Array, Array], Array], eta: Array) -> Array:
        eta, spread = np.broadcast_arrays(eta, self.spread)
        out = np.full(eta.shape, np.nan)
        known = np.flatnonzero(np.isfinite(eta) & np.isfinite(spread))
        if not len(known):
            return out
        largest = float(spread[known].max())
        z, weights = trapezoid(largest)
        rows = max(_BLOCK // len(z), 1)
        for start in range(0, len(known), rows):
            block = known[start : start + rows]
            out[block] = function(eta[block, None] + spread[block, None] * z, z) @ weights
        return out
