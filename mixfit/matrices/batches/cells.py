r"""Cross-products by grouped sums: no row leaves the database but a few.

Where the columns of a model are products of plain columns, all of its factors are constant within a cell, a combination
of their levels, and within it every column of X, of Z and the response is linear in products m of the covariates. The
sums S of m m' over the rows of each cell are all that cross-products see: with S = L L', as many rows as S has, the
columns of L, have the same cross-products. They go the way of rows in batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.matrices.batches.grouped import CellSums, sums_by_cell
from mixfit.matrices.batches.read import RowBatch, Totals
from mixfit.matrices.build import build
from mixfit.matrices.columns import Columns
from mixfit.matrices.parts import plan_part
from mixfit.matrices.plain import PlainPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from mixfit.matrices.batches.asked import Asked, T
    from mixfit.matrices.batches.monomials import Monomial
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["CellStream", "grouped_stream"]

# Eigenvalues of sums of squares below this share of the largest are rounding: of the sums, and of the decomposition.
_ROUNDING = 1e-14


@dataclass(frozen=True, eq=False)
class CellStream:
    """A linear model by the sums of its cells; what `Stream` is of rows.

    Attributes
    ----------
    asked : Asked
    sums : CellSums
    sample : Design
        Of rows that show every cell.
    products : tuple of tuple of Monomial
        Which product of covariates each column is made of: of X, then of Z by term.
    """

    asked: Asked
    sums: CellSums
    sample: Design
    products: tuple[tuple[Monomial, ...], ...]

    @property
    def n_used(self) -> int:
        """Rows that the model uses."""
        return self.sums.n_used

    @property
    def n_dropped(self) -> int:
        """Rows left out for missing values."""
        return self.sums.n_rows - self.sums.n_used

    @cached_property
    def shift(self) -> tuple[float, int | None]:
        """What is subtracted of the response, and the column of X that is constant; nothing where there is none."""
        constant = [j for j, name in enumerate(self.sample.exog_names) if name == "Intercept"]
        return (self.sums.adjusted.mean, constant[0]) if constant else (0.0, None)

    def totals(self) -> Totals:
        """What sums of all rows are."""
        out = Totals(())
        out.n, out.response, out.offset, out.variables = (
            self.sums.n_used,
            self.sums.response,
            self.sums.offset,
            dict(self.sums.covariates),
        )
        return out

    def reduced(self, each: Callable[[CellStream], T], merge: Callable[[list[T]], T]) -> T:
        """What a function makes of the cells, which are in one place."""
        return each(self)

    def with_solver(self, solver: Any) -> CellStream:
        """The same with another way to hold the factor."""
        return replace(self, sample=replace(self.sample, solver=solver))

    def batches(self, totals: Totals | None = None) -> Iterator[RowBatch]:
        """Rows with the cross-products of the cells, some cells at a time."""
        sums, r = self.sums, self.sums.moments.shape[1]
        maps = [np.column_stack([sums.raw(product) for product in own]) for own in self.products]
        response = sums.raw_response() - self.shift[0] * sums.raw(())
        cells = max(1, self.asked.chunk_rows // r)
        wanted = (True,) * len(self.sample.random)
        for start in range(0, len(sums.moments), cells):
            values, vectors = np.linalg.eigh(sums.moments[start : start + cells])
            # Columns of L as rows, those of a cell one below the other.
            # The root of what is rounding would be half of the digits.
            roots = np.sqrt(np.where(values > _ROUNDING * values[:, -1:], values, 0.0))
            rows = (vectors * roots[:, None, :]).swapaxes(1, 2).reshape(-1, r)
            read = self.sample.reader.read(sums.indicators.slice(start, cells), wanted)
            parts = [read.X, *(z for z in read.Z if z is not None)]
            X, *Z = (np.repeat(part, r, axis=0) * (rows @ own) for part, own in zip(parts, maps, strict=True))
            codes = tuple(np.repeat(code, r) for code in read.codes if code is not None)
            whole = np.repeat(read.X, r, axis=0) * (np.abs(rows) @ np.abs(maps[0]))
            yield RowBatch(X, rows @ response, tuple(Z), codes, None, None, np.einsum("nc,nc->c", whole, whole))


def grouped_stream(asked: Asked, na_action: str) -> CellStream | None:
    """A model by grouped sums; None where its columns are not products of plain columns, or there are too many cells.

    Raises
    ------
    DataError
        Where no row can be used, and for infinite values.
    """
    lazy = getattr(asked.source, "lazy", None)
    columns = Columns(asked.source.schema.empty_table())
    parts = _plain_parts(asked, columns)
    if lazy is None or parts is None or asked.weights is not None or not _bare_vectors(asked, columns):
        return None
    levels = {name for part in parts for name in part.levels}
    factors = tuple(dict.fromkeys([*levels, *(f.expr for r in asked.formula.random for f in r.groups)]))
    products = {
        tuple(sorted(name for name in term.factors if name not in levels)) for part in parts for term in part.codings
    }
    if any(name in factors for product in products for name in product):
        return None
    sums = sums_by_cell(lazy(asked.columns), asked, factors, products, na_action)
    if sums is None:
        return None
    sample = build(asked.formula, sums.sample, None, asked.offset, context=asked.context, check=False)
    reader: Any = sample.reader
    fitted = [reader.fixed, *(term.part for term in reader.random)]
    return CellStream(asked, sums, sample, tuple(_products(part) for part in fitted))


def _plain_parts(asked: Asked, columns: Columns) -> list[PlainPart] | None:
    """The fixed terms, and those left of each bar, where all are products of plain columns."""
    formula = asked.formula
    parts = [plan_part(formula.fixed, formula.bare, columns)]
    parts += [plan_part(term.terms, term.bare, columns) for term in formula.random]
    plain = [part for part in parts if isinstance(part, PlainPart)]
    bare = all(f.expr in columns for term in formula.random for f in term.groups)
    return plain if len(plain) == len(parts) and bare else None


def _bare_vectors(asked: Asked, columns: Columns) -> bool:
    """Whether response and offset are plain columns of numbers."""
    names = [asked.formula.response.text, *asked.offsets]
    return all(name in columns and columns.kind(name) == "number" for name in names)


def _products(part: PlainPart) -> tuple[Monomial, ...]:
    """The covariates of every column."""
    out: list[Monomial] = []
    for term in part.codings:
        out += [tuple(sorted(name for name in term.factors if name not in part.levels))] * term.n_columns
    return tuple(out)
