"""What the covariance of a random term is, as an object: `Structure`.

A term's effects b_j at a level j have covariance sigma^2 T T' with one template T, k x k, for all levels. A
structure says which T there are, by what numbers they are described and reported, in which directions they may
move, and what of the term's columns it leaves invariant. Everything else of the package asks it, and knows no
structure by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.coordinates import TermCoordinates
    from mixfit.covariance.directions import Direction

    Array = NDArray[np.float64]

__all__ = ["Invariance", "NaturalParameter", "Structure"]

# The default of lme4's isSingular: on the scale of theta, whose unit is the residual standard deviation.
SINGULAR = 1e-4


class Invariance(Enum):
    """Which changes of a term's columns, Z = Z_basis R, a structure is closed under: Sigma -> R Sigma R'."""

    ANY_BASIS = "every invertible R"
    COLUMN_SCALES = "every diagonal R"
    COMMON_SCALE = "multiples of the identity"


@dataclass(frozen=True)
class NaturalParameter:
    """A number that a structure is reported by.

    Attributes
    ----------
    kind : str
        ``"sd"`` or ``"cor"``.
    first, second : int
        Columns of the term that it is of; equal for a standard deviation.
    """

    kind: str
    first: int
    second: int

    def label(self, columns: tuple[str, ...], group: str) -> str:
        """Its name: ``"sd(x|g)"``, ``"cor(x,z|g)"``."""
        named = dict.fromkeys((columns[self.first], columns[self.second]))
        return f"{self.kind}({','.join(named)}|{group})"


@dataclass(frozen=True)
class Structure(ABC):
    """The covariance structure of one random term.

    Attributes
    ----------
    k : int
        Columns of the term.
    """

    k: int

    name: ClassVar[str]
    """As formulas spell it: ``name(columns | group)``."""
    invariance: ClassVar[Invariance]
    is_separable: ClassVar[bool] = False
    """Whether the columns are independent, each with a variance of its own: as many terms in one."""

    # Parameters

    @property
    @abstractmethod
    def entries(self) -> list[tuple[int, int]]:
        """Entries (row, column), row >= column, of Sigma that vary by themselves; theta is those of T."""

    @property
    @abstractmethod
    def natural(self) -> tuple[NaturalParameter, ...]:
        """What it is reported by, in order."""

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return len(self.entries)

    @property
    def shows_correlations(self) -> bool:
        """Whether a table of variance components has correlations of its columns."""
        return any(p.kind == "cor" for p in self.natural)

    def theta(self, template: Array) -> Array:
        """Free entries of templates (..., k, k), column by column: (..., m)."""
        rows, columns = (list(index) for index in zip(*self.entries, strict=True))
        return template[..., rows, columns]

    def template(self, theta: Array) -> Array:
        """Lower-triangular templates (..., k, k) of theta (..., m)."""
        rows, columns = (list(index) for index in zip(*self.entries, strict=True))
        out = np.zeros((*theta.shape[:-1], self.k, self.k))
        out[..., rows, columns] = theta
        return out

    def start(self, variances: Array) -> Array:
        """Template to start from, given moment estimates (k,) of the columns' relative variances."""
        return np.diag(np.sqrt(variances))

    def is_singular(self, template: Array, scale: Array, tolerance: float = SINGULAR) -> NDArray[np.bool_] | np.bool_:
        """Whether lower-triangular templates (..., k, k) lie on the boundary; `scale` are the columns' lengths."""
        return (np.diagonal(template, axis1=-2, axis2=-1) * scale < tolerance).any(axis=-1)

    # Submodels

    @abstractmethod
    def restricted(self, k: int) -> Structure:
        """The same structure for `k` of the term's columns (or combinations of them, where any basis will do)."""

    @property
    @abstractmethod
    def blocks(self) -> tuple[slice, ...]:
        """Columns of the diagonal blocks of Sigma, each of which is any positive semidefinite matrix."""

    # Newton steps

    @abstractmethod
    def directions(self, term: int, template: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """Every direction that moves T T' within the structure and its rank; `term` is the term's number."""

    @abstractmethod
    def turned(self, template: Array) -> Array:
        """The same T T' by the template that Newton's steps are best made from."""

    @abstractmethod
    def null_space(self, template: Array, seen: NDArray[np.bool_]) -> Array:
        """Orthonormal directions in which T T' has no variance and could have some, as columns."""

    @abstractmethod
    def null_slopes(self, restricted: Array) -> tuple[Array, Array]:
        """Derivatives in the variances off the boundary, and combinations of null directions that they belong to.

        `restricted` is O'N O of the null directions O.
        """

    @abstractmethod
    def regular(self, moved: Array, least: float) -> tuple[Array, Array, bool]:
        """A template without variances below `least`, its pseudo-inverse, and whether it has full rank."""

    # Profiles

    @abstractmethod
    def coordinates(self, *first: int) -> TermCoordinates:
        """Smooth coordinates in which a column's standard deviation, or the correlation of two, is one of them."""
