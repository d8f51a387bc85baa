"""What the covariances of residuals may be, and one of them, factored: what patterns and series have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.gram.blocks import BlockColumns

    Array = NDArray[np.float64]
    #: Columns of the data as a form has them: in blocks of one size each, or rows (c, n) in the order of the series.
    Held = tuple[BlockColumns, ...] | Array

__all__ = ["ResidualFactor", "ResidualForm", "ResidualPoint"]


@dataclass(frozen=True, eq=False)
class ResidualPoint:
    """Parameters: a point of every structure, see :mod:`mixfit.covariance.structure`, and gamma (g,)."""

    points: tuple[Array, ...]
    gamma: Array


class ResidualFactor(ABC):
    """R = L L' at its parameters."""

    @property
    @abstractmethod
    def log_determinant(self) -> float:
        """log|R|."""

    @abstractmethod
    def whiten_held(self, held: Held) -> Array:
        """L^{-1} of columns that the form holds, (c, n), in its order."""

    @abstractmethod
    def whiten(self, rows: Array) -> Array:
        """L^{-1} of columns of the data, given as rows (c, n)."""

    @abstractmethod
    def colour(self, rows: Array) -> Array:
        """L of columns (c, n)."""

    @abstractmethod
    def deviations(self) -> Array:
        """Roots of the diagonal of R, (n,)."""


@dataclass(frozen=True, eq=False)
class ResidualForm(ABC):
    """Which covariances the residuals may have.

    Attributes
    ----------
    structures : tuple of Structure
        One for each part of the blocks: a single one, or one a level of what ``by=`` names.
    """

    structures: tuple[Structure, ...]

    @property
    @abstractmethod
    def g(self) -> int:
        """Parameters gamma of the rows' log standard deviations."""

    @property
    @abstractmethod
    def has_own_points(self) -> bool:
        """Whether the points of the structures are their parameters, and matrices of all places are never formed."""

    @property
    @abstractmethod
    def order(self) -> NDArray[np.intp]:
        """The rows as factors have them, (n,)."""

    @abstractmethod
    def hold(self, columns: Array, *, only_sums: bool) -> Held:
        """Columns (c, n) of the data as evaluations take them; only their sums of products are asked for, or all."""

    @abstractmethod
    def factor(self, at: ResidualPoint) -> ResidualFactor:
        """Factor the covariance.

        Raises
        ------
        FitError
            Where it is singular.
        """

    @abstractmethod
    def sizes(self) -> Array:
        """Largest absolute value of every column that the log standard deviations are linear in, (g,)."""
