"""A covariance known up to a factor: between the columns of a term, or between the levels of its grouping factor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.sparse import issparse

from mixfit.covariance.columns import Across, Among
from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.directions import ParameterDirection
from mixfit.covariance.related import Related
from mixfit.covariance.relationship import KnownMatrix, Relationship, check_known, known_matrix, labels_of
from mixfit.errors import DesignError, FormulaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.directions import Direction
    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["Proportional", "read_known"]

# Entries that were computed differ by less, relative to them.
_SAME = 1e-10
# A dense block of so many levels takes 200 MB, and minutes to factor a few times.
_MOST_LEVELS = 5000
# From here on a relationship is worth its sparse inverse: a dense block of as many columns takes 10 ms to factor, and
# the nodes that are no levels have to be eliminated beside it.
_SPARSE_NODES = 500
_LEVEL = re.compile(r"\[[^\[\]]*\]$")


@dataclass(frozen=True)
class Proportional(CorrelationStructure):
    """``propto(0 + f | g, K)``, ``propto(1 | f, K)``: Sigma = sd^2 K.

    Attributes
    ----------
    known : KnownMatrix
        K of the columns.
    is_across : bool
        Whether the columns are the levels of the grouping factor as it was written.
    """

    known: KnownMatrix
    is_across: bool

    name: ClassVar[str] = "propto"
    is_linear: ClassVar[bool] = True
    needs_levels: ClassVar[bool] = False

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """K of the levels that the columns, or the groups, are."""
        related = _related(given, cls.name)
        if related is not None:
            return Related(1, related), Among(related.nodes, given.names[0])
        known, recoding = read_known(given, cls.name)
        return cls(len(known.labels), known, recoding is not None), recoding

    @property
    def absorbs_residual(self) -> bool:
        """Where K is a multiple of the identity."""
        k = self.known.values
        return bool(np.abs(k - k[0, 0] * np.eye(self.k)).max() <= _SAME * k[0, 0])

    def row_names(self, columns: Sequence[str]) -> list[str]:
        """The column that was written, where its levels are the columns."""
        return [_LEVEL.sub("", columns[0])] if self.is_across else super().row_names(columns)

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        """None."""
        return ()

    def correlation(self, rho: Array) -> Array:
        """K."""
        return self.known.values

    def correlation_slopes(self, rho: Array) -> Array:
        """None."""
        return np.empty((0, self.k, self.k))

    def relative_factor(self, point: Array) -> Array:
        """sd L of K = LL'."""
        return point if point.ndim == 2 else point[0] * self.known.root

    def template(self, theta: Array) -> Array:
        """sd L."""
        return theta[..., None] * self.known.root

    def starts(self, variances: Array) -> list[Array]:
        """The mean variance, K on average 1 on its diagonal."""
        return [np.sqrt(variances.mean(keepdims=True) / self.known.values.diagonal().mean())]

    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """The logarithm of the deviation: T^{-1} Sigma' T'^{-1} = 2 I."""
        if not point[0] > 0.0:
            return []
        twice = 2.0 * np.eye(self.k)
        t = self.relative_factor(point)
        return [ParameterDirection(term, t, 0, 2.0 * self.covariance(point), twice, True, True)]


def _related(given: GivenColumns, name: str) -> Relationship | None:
    """The relationship that a term of one column names, where its sparse inverse is worth it."""
    value = _looked_up(given, name)
    if given.levels is not None or len(given.names) != 1:
        return None
    labels = given.group_levels()
    n = len(labels)
    if issparse(value) and n > _SPARSE_NODES and value.shape == (n, n):  # type: ignore[attr-defined]
        value = Relationship.of(value, labels)
    if not isinstance(value, Relationship) or len(value.nodes) <= _SPARSE_NODES:
        return None
    check_known(labels, value.nodes, f"{given.text}: {given.options[0]}")
    return value


def _looked_up(given: GivenColumns, name: str) -> object:
    """The matrix that a term names."""
    if len(given.options) != 1 or not given.options[0].isidentifier():
        raise FormulaError(
            f"{given.text}: {name}(... | ...) takes the name of one matrix after the group, as in "
            f"{name}(1 | species, K) with context={{'K': K}}."
        )
    matrix = given.options[0]
    try:
        return given.lookup(matrix)
    except KeyError:
        raise FormulaError(
            f"{given.text}: there is no {matrix!r}. Hand it over with the model: "
            f"mixed(..., context={{{matrix!r}: ...}})."
        ) from None


def read_known(given: GivenColumns, name: str) -> tuple[KnownMatrix, Across | None]:
    """The known matrix that a term names, of its columns' levels or of its groups.

    Raises
    ------
    FormulaError
        For columns that are neither one factor's levels nor one number, and where no matrix is named.
    DataError
        For a matrix that cannot be the covariance of the levels.
    DesignError
        For more levels than a dense block is for.
    """
    value, matrix = _looked_up(given, name), given.options[0]
    what = f"{given.text}: {matrix}"
    if given.levels is not None:
        return known_matrix(value, given.levels, what), None
    if len(given.names) != 1:
        raise FormulaError(
            f"{given.text}: {name}(... | ...) takes one column for levels of known covariance, {name}(1 | species, "
            f"{matrix}), or the levels themselves as columns, {name}(0 + species | one, {matrix}). Add a term for each "
            "further column."
        )
    labels = labels_of(value)
    if labels is not None:
        # Those without rows are predicted; those without a row of the matrix are refused below.
        seen = set(labels)
        labels = (*labels, *(level for level in given.group_levels() if level not in seen))
        if len(labels) > _MOST_LEVELS:
            raise DesignError(
                f"{what} has {len(labels):,} levels, and terms of known covariance take a dense block of up to "
                f"{_MOST_LEVELS:,}. Give it for fewer, those with rows, or give its sparse inverse: what "
                "mixfit.pedigree and mixfit.phylogeny make, or covariance.Relationship.of(precision, labels)."
            )
    known = known_matrix(value, given.group_levels() if labels is None else labels, what)
    return known, Across(known.labels, given.names[0])
