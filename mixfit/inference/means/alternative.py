"""What a test is of: a value other than zero, one side, a margin within which a difference does not matter.

Equivalence, non-inferiority and non-superiority with a margin delta > 0 are as R's emmeans has them: equivalence by two
one-sided tests (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680), of which the larger
p-value is that of (|estimate - null| - delta) / SE in its left tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Alternative", "alternative"]

# The names that each side goes by, and whether they are of a margin.
_SIDES = {
    "two-sided": ("two-sided", False),
    "left": ("left", False),
    "right": ("right", False),
    "equivalence": ("two-sided", True),
    "nonsuperiority": ("left", True),
    "noninferiority": ("right", True),
}
_OF_A_MARGIN = {"two-sided": "equivalence", "left": "nonsuperiority", "right": "noninferiority"}


@dataclass(frozen=True)
class Alternative:
    """What tests are of.

    Attributes
    ----------
    null : float
        The value that estimates are compared with, on the scale of the linear predictor.
    side : {"two-sided", "left", "right"}
        Where estimates speak against it.
    delta : float
        The margin; 0 for a test of difference.

    Examples
    --------
    >>> Alternative(side="right", delta=0.5).notes
    ('Statistics are tests of noninferiority with a threshold of 0.5', 'P values are right-tailed')
    """

    null: float = 0.0
    side: str = "two-sided"
    delta: float = 0.0

    @property
    def tail(self) -> int:
        """In which tail of the statistic p-values are: 1 the right one, -1 the left one, 0 both."""
        if self.side == "two-sided":
            return -1 if self.delta > 0.0 else 0
        return 1 if self.side == "right" else -1

    @property
    def notes(self) -> tuple[str, ...]:
        """What was tested, where it is not the usual."""
        margin = f"Statistics are tests of {_OF_A_MARGIN[self.side]} with a threshold of {self.delta:g}"
        tail = () if self.tail == 0 else (f"P values are {'right' if self.tail > 0 else 'left'}-tailed",)
        return ((margin,) if self.delta > 0.0 else ()) + tail

    def statistics(self, estimates: Array, errors: Array) -> Array:
        """Distances from what is tested, in standard errors."""
        distance = estimates - self.null
        if self.delta > 0.0:
            distance = np.abs(distance) - self.delta if self.side == "two-sided" else distance + self.tail * self.delta
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(distance / errors)


def alternative(null: float, side: str, delta: float) -> Alternative:
    """Read `null=`, `side=` and `delta=`.

    Raises
    ------
    FitError
        For an unknown side, a negative margin, or a side that needs one.
    """
    if side not in _SIDES:
        raise FitError(f"side is one of {', '.join(map(repr, _SIDES))}, not {side!r}.")
    kind, needs_margin = _SIDES[side]
    if not np.isfinite(null) or not np.isfinite(delta) or delta < 0.0:
        raise FitError(f"null is a number and delta a positive margin, not {null!r} and {delta!r}.")
    if needs_margin and delta == 0.0:
        raise FitError(f"side={side!r} is a test with a margin: say by delta= which difference does not matter.")
    return Alternative(float(null), kind, float(delta))
