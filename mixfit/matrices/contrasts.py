"""Contrast matrices of one's own: ``C(f, M)`` with an array, a labelled frame, or a dict of columns.

Rows that have labels belong to the levels of those labels, whatever their order. A matrix of fewer columns than the
factor has degrees of freedom is completed as R's ``contrasts<-`` does it: by the columns that a QR decomposition of
[1 M] leaves over, which are orthogonal to the constant and to M.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.transforms import TRANSFORMS, C
from formulaic.transforms.contrasts import Contrasts, CustomContrasts

from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from formulaic.materializers.types import FactorValues
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["MatrixContrasts", "categorical", "contr"]

# Levels that an error lists before it breaks off.
_LISTED = 5
# A pivot below this share of its column's length is rounding.
_DEPENDENT = 1e-9


class MatrixContrasts(Contrasts):  # type: ignore[misc]
    """A coding matrix with a row for each level; where every level needs a column of its own, indicators.

    Parameters
    ----------
    contrasts : DataFrame, mapping or array-like, shape (L, c)
        The index of a frame or series, or the keys in each column of a mapping, are labels of levels. Other rows are
        those of the levels in their order.
    names : sequence, optional
        Names of the columns; a frame or a mapping has its own.
    factor : str, optional
        What errors call the factor.
    """

    FACTOR_FORMAT = "{name}[{field}]"
    FACTOR_FORMAT_REDUCED = "{name}[{field}]"

    def __init__(
        self, contrasts: Any, names: Sequence[Hashable] | None = None, *, factor: Hashable | None = None
    ) -> None:
        self.factor = "its factor" if factor is None else f"factor {factor!r}"
        table, self.rows, own = _table(contrasts)
        self.matrix = _numbers(table)
        given = own if names is None else list(names)
        if given is not None and len(given) != self.matrix.shape[1]:
            raise FormulaError(f"A contrast matrix of {self.matrix.shape[1]} columns has {len(given)} names.")
        self.names = given

    @Contrasts.override  # type: ignore[untyped-decorator]
    def _get_coding_matrix(self, levels: Sequence[Hashable], reduced_rank: bool = True, sparse: bool = False) -> Any:
        if not reduced_rank:
            return np.eye(len(levels))
        return _completed(self.matrix[self._places(list(levels))])

    @Contrasts.override  # type: ignore[untyped-decorator]
    def get_coding_column_names(self, levels: Sequence[Hashable], reduced_rank: bool = True) -> Sequence[Hashable]:
        """Names of the columns; those that complete the matrix are numbered by their places."""
        if not reduced_rank:
            return list(levels)
        places = range(1, len(levels))
        names = list(places) if self.names is None else [*self.names, *places[len(self.names) :]]
        if len({str(name) for name in names}) < len(names):
            raise FormulaError(f"Columns of a contrast matrix need names of their own, not {_listed(names)}.")
        return names

    @Contrasts.override  # type: ignore[untyped-decorator]
    def get_coefficient_row_names(self, levels: Sequence[Hashable], reduced_rank: bool = True) -> Sequence[Hashable]:
        """Names of what the coefficients estimate."""
        names = self.get_coding_column_names(levels, reduced_rank)
        return [*(["mean"] if reduced_rank else []), *names]

    def _places(self, levels: list[Hashable]) -> list[int]:
        """Row of each level."""
        if self.rows is None:
            if len(self.matrix) != len(levels):
                raise FormulaError(
                    f"A contrast matrix of {len(self.matrix)} rows is for a factor of as many levels, and "
                    f"{self.factor} has {len(levels)} ({_listed(levels)})."
                )
            return list(range(len(levels)))
        strange = [row for row in self.rows if row not in levels]
        missing = [level for level in levels if level not in self.rows]
        if strange or missing or len(set(self.rows)) < len(self.rows):
            raise FormulaError(
                f"The rows of a contrast matrix are labelled {_listed(self.rows)}, and the levels of {self.factor} are "
                f"{_listed(levels)}: give one row to each level that occurs, or an array of rows in that order."
            )
        return [self.rows.index(level) for level in levels]


def _table(contrasts: Any) -> tuple[Any, list[Hashable] | None, list[Hashable] | None]:
    """What a matrix holds, the labels of its rows and the names of its columns; None where it has none."""
    if isinstance(contrasts, pd.Series):
        return contrasts, list(contrasts.index), None if contrasts.name is None else [contrasts.name]
    if isinstance(contrasts, pd.DataFrame):
        return contrasts, list(contrasts.index), list(contrasts.columns)
    if not isinstance(contrasts, Mapping):
        # frames that have no row labels have names of columns all the same
        columns = getattr(contrasts, "columns", None)
        return contrasts, None, None if columns is None else list(columns)
    if all(isinstance(column, (Mapping, pd.Series)) for column in contrasts.values()):
        frame = pd.DataFrame({name: pd.Series(column) for name, column in contrasts.items()})
        return frame, list(frame.index), list(frame.columns)
    return np.column_stack([np.asarray(column) for column in contrasts.values()]), None, list(contrasts)


def _numbers(contrasts: Any) -> Array:
    try:
        matrix = np.asarray(contrasts, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FormulaError(f"A contrast matrix holds numbers ({error}).") from error
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise FormulaError(f"A contrast matrix is a table of finite numbers, a row for each level, not {contrasts!r}.")
    return matrix


def _completed(matrix: Array) -> Array:
    """A matrix of L - 1 columns that begins with those given; with the constant they span all of the levels."""
    n_levels, n_columns = matrix.shape
    if n_columns >= n_levels:
        raise FormulaError(
            f"A contrast matrix of {n_levels} rows has at most {n_levels - 1} columns, not {n_columns}: the "
            "constant is a column already."
        )
    q, r = np.linalg.qr(np.column_stack([np.ones(n_levels), matrix]), mode="complete")
    lengths = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
    if (np.abs(np.diagonal(r)[1:]) <= _DEPENDENT * lengths).any():
        raise FormulaError("The columns of a contrast matrix and the constant are linearly dependent: leave one out.")
    return np.column_stack([matrix, q[:, n_columns + 1 :]])


def _listed(labels: Sequence[Hashable]) -> str:
    return ", ".join(map(repr, labels[:_LISTED])) + (", ..." if len(labels) > _LISTED else "")


def categorical(data: Any, contrasts: Any = None, **options: Any) -> FactorValues:
    """formulaic's ``C``, with matrices of contrasts as R has them, and patsy's ``C(x, Treatment)``."""
    if contrasts is TRANSFORMS["Treatment"]:
        contrasts = contrasts()
    if isinstance(contrasts, str):
        raise FormulaError(
            f"C(x, {contrasts!r}): contrasts are not named by a string. Write C(x, contr.sum) for sum contrasts, "
            f"C(x, contr.treatment({contrasts!r})) to make {contrasts!r} the baseline."
        )
    if isinstance(contrasts, CustomContrasts):
        contrasts = MatrixContrasts(contrasts.contrasts, contrasts.contrast_names, factor=getattr(data, "name", None))
    elif contrasts is not None and not isinstance(contrasts, (Contrasts, type)):
        contrasts = MatrixContrasts(contrasts, factor=getattr(data, "name", None))
    return C(data, contrasts, **options)


#: formulaic's contrasts by the names that formulas give them.
contr = SimpleNamespace(
    **{name: getattr(TRANSFORMS["contr"], name) for name in ("helmert", "poly", "sum", "treatment", "SAS", "diff")},
    custom=MatrixContrasts,
)
