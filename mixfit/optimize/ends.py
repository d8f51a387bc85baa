"""Logarithms on their way to the ends of their range: which of them a step sends there, and how often that is tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.optimize.steps import negligible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.optimize.steps import Pivots

    Array = NDArray[np.float64]

__all__ = ["Patience", "endless_step", "together", "vanishing_pivots"]

# Logarithms of whose criterion c exp(-x) is left are sent this much farther, where Newton's steps have a length of 1.
_AWAY = 8.0
# Second derivative over the first there: 1, and of a difference of slopes over the last step, as quasi-Newton updates
# have it, (e - 1) / 1 where that was Newton's; c exp(-x) + c' exp(-2x) with an optimum has none between 0 and 2.
_ENDLESS = (0.8, 1.9)


@dataclass
class Patience:
    """How long to wait before the boundary is tried again: longer after every failure."""

    failures: int = 0
    wait: int = 0

    def allows(self) -> bool:
        """Whether it is time; a trial counts as failed, for after success patience starts anew."""
        if self.wait:
            self.wait -= 1
            return False
        self.wait = 2**self.failures - 1
        self.failures += 1
        return True


def vanishing_pivots(pivots: Pivots, gradient: Array, hessian: Array) -> tuple[int, ...]:
    """Pivots that the exact second derivatives send to zero.

    Along a variance v the derivatives are g / 2v and (H - 2g) / 4v^2 for those in its log standard deviation:
    Newton's step is -v, or beyond.
    """
    nothing = negligible(pivots)
    return tuple(a for a in pivots.index if a in nothing or (gradient[a] > 0.0 and hessian[a, a] <= 4.0 * gradient[a]))


def together(pivots: Pivots, vanishing: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Which pivots to try at zero: all; together they may be too many, so the one that the data say least of.

    And each by itself of which the balanced model does not say what the data say.
    """
    yield vanishing
    if len(vanishing) > 1:
        share = dict(zip(pivots.index, pivots.inverse, strict=True))
        known = [a for a in vanishing if not np.isnan(share[a])]
        if known:
            yield (max(known, key=lambda a: share[a]),)
        for a in vanishing:
            if np.isnan(share[a]):
                yield (a,)
        nothing = negligible(pivots)
        if 1 < len(nothing) < len(vanishing):
            yield nothing


def endless_step(endless: Sequence[Array], gradient: Array, hessian: Array, step: Array) -> Array | None:
    """The step with every logarithm that falls for ever sent far out; None where there is none.

    Of a criterion a + c exp(-x) both derivatives are c exp(-x), and Newton's step is 1 for ever.

    Parameters
    ----------
    endless : sequence of ndarray, shape (m,)
        Directions along which a logarithm moves by one.
    gradient : ndarray, shape (m,)
    hessian : ndarray, shape (m, m)
    step : ndarray, shape (m,)

    Examples
    --------
    >>> import numpy as np
    >>> from mixfit.optimize.ends import endless_step
    >>> endless_step(np.eye(2)[:1], np.array([-0.1, 0.3]), np.diag([0.1, 2.0]), np.array([1.0, -0.15])).tolist()
    [8.0, -0.15]
    """
    out = None
    least, most = _ENDLESS
    for along in endless:
        slope, curvature = along @ gradient, along @ hessian @ along
        if least * abs(slope) < curvature < most * abs(slope):
            out = np.array(step) if out is None else out
            out += along * (-np.sign(slope) * _AWAY - along @ out / (along @ along))
    return out
