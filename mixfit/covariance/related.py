r"""One column, its effects related between levels: Cov(b) = sd^2 K, K known by its sparse inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.structure import Containment
from mixfit.covariance.unstructured import Unstructured

if TYPE_CHECKING:
    from mixfit.covariance.relationship import Relationship
    from mixfit.covariance.structure import Structure

__all__ = ["Related"]

# Entries that were computed differ by less, relative to them.
_SAME = 1e-10


@dataclass(frozen=True)
class Related(Unstructured):
    """``propto(1 | f, K)`` for the sparse inverse of a K of many levels.

    Of one level it is any variance, which is all that templates, directions and bounds ask.

    Attributes
    ----------
    known : Relationship
    """

    known: Relationship

    name: ClassVar[str] = "propto"

    @property
    def relationship(self) -> Relationship:
        """K."""
        return self.known

    @property
    def absorbs_residual(self) -> bool:
        """Where K is a multiple of the identity."""
        q = self.known.precision
        return q.count_nonzero() == q.shape[0] and float(np.ptp(q.diagonal())) <= _SAME * float(q.diagonal().max())

    def contains(self, inner: Structure) -> Containment | None:
        """Itself: a variance of independent levels is another thing."""
        return Containment.INSIDE if inner == self else None

    def restricted(self, k: int) -> Related:
        """Itself."""
        return self
