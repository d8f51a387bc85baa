r"""Structures of thresholds, tau = J alpha: free, symmetric about a centre, or equally far apart.

The parameters alpha and their names are those of the R package ordinal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["STRUCTURES", "Thresholds", "thresholds_of"]

#: What `thresholds=` may be.
STRUCTURES = ("flexible", "symmetric", "symmetric2", "equidistant")


@dataclass(frozen=True, eq=False)
class Thresholds:
    """A structure of the thresholds between K categories.

    Attributes
    ----------
    names : tuple of str, length a
        Of alpha.
    J : ndarray, shape (K - 1, a)
    """

    names: tuple[str, ...]
    J: Array

    def nearest(self, tau: Array) -> Array:
        """Parameters of the thresholds nearest to tau (K - 1,)."""
        return np.asarray(np.linalg.lstsq(self.J, tau, rcond=None)[0])


def thresholds_of(structure: str, categories: Sequence[str]) -> Thresholds:
    """The structure of that name.

    Raises
    ------
    FitError
        Where there are too few categories for it.

    Examples
    --------
    >>> thresholds_of("flexible", ["low", "mid", "high"]).names
    ('low|mid', 'mid|high')
    >>> thresholds_of("symmetric", list("abcd")).J.tolist()
    [[1.0, -1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    count = len(categories) - 1
    if structure == "flexible":
        return Thresholds(tuple(f"{low}|{high}" for low, high in pairwise(categories)), np.eye(count))
    if count < 2:
        raise FitError(f"thresholds={structure!r} is for three categories or more: two have one threshold.")
    if structure == "equidistant":
        return Thresholds(("threshold.1", "spacing"), np.column_stack([np.ones(count), np.arange(float(count))]))
    # Distances from the centre, or from the nearer of the two central thresholds, in both directions.
    centred = structure == "symmetric2"
    half = count // 2
    spread = np.eye(half) if centred or count % 2 else np.eye(half)[:, 1:]
    spacings = np.vstack([-spread[::-1], np.zeros((count % 2, spread.shape[1])), spread])
    names = tuple(f"spacing.{j + 1}" for j in range(spacings.shape[1]))
    if centred:
        return Thresholds(names, spacings)
    if count % 2:
        return Thresholds(("central", *names), np.column_stack([np.ones(count), spacings]))
    sides = np.repeat(np.eye(2), half, axis=0)
    return Thresholds(("central.1", "central.2", *names), np.column_stack([sides, spacings]))
