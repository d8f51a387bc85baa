"""A random term's place among the columns of its grouping factor, and the structure of its covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixfit.covariance.structure import Structure

__all__ = ["Term"]


@dataclass(frozen=True, eq=False)
class Term:
    """A random term's place among the columns of its grouping factor.

    Attributes
    ----------
    factor : int
    first, k : int
        Its columns are ``first : first + k`` of the factor's.
    structure : Structure
    """

    factor: int
    first: int
    k: int
    structure: Structure

    @property
    def columns(self) -> slice:
        """Its columns among its factor's."""
        return slice(self.first, self.first + self.k)
