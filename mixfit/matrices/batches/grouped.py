"""Sums of products by cells, asked of a database or a lazy frame through narwhals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import reduce
from itertools import combinations_with_replacement
from operator import and_, mul, or_
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import DataError
from mixfit.matrices.batches.learned import ColumnMoments
from mixfit.matrices.batches.monomials import monomials
from mixfit.matrices.batches.scan import SAMPLE, check_counts, in_memory_types
from mixfit.sources.source import require_pyarrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from mixfit.matrices.batches.asked import Asked
    from mixfit.matrices.batches.monomials import Monomial, Monomials

    Array = NDArray[np.float64]

__all__ = ["CellSums", "sums_by_cell"]

# A cell stands for as many rows as there are products: where there are not several rows for each, nothing is saved.
_ROWS_PER_PRODUCT = 2


@dataclass(frozen=True, eq=False)
class CellSums:
    """Moments of the rows that are used.

    Attributes
    ----------
    moments : ndarray, shape (n_cells, r + 1, r + 1)
        By cell, of the products of the covariates and of the response less the offset, all centred and scaled.
    indicators : pyarrow.Table
        A row a cell: its labels, and 1 for every number.
    sample : pyarrow.Table
        Rows that show every cell, and rows as the source has them.
    products : Monomials
    response, offset, adjusted : ColumnMoments
        Of the response, of the offset, and of their difference.
    covariates : dict of str to Moments
    n_rows, n_used : int
    """

    moments: Array
    indicators: pa.Table
    sample: pa.Table
    products: Monomials
    response: ColumnMoments
    offset: ColumnMoments
    adjusted: ColumnMoments
    covariates: dict[str, ColumnMoments]
    n_rows: int
    n_used: int

    def raw(self, product: Monomial) -> Array:
        """A product of covariates by what `moments` are of, shape (r + 1,)."""
        return np.append(self.products.coefficients(product), 0.0)

    def raw_response(self) -> Array:
        """The response less the offset by what `moments` are of, shape (r + 1,)."""
        return self.adjusted.mean * self.raw(()) + np.append(np.zeros(len(self.products.products)), _sd(self.adjusted))


def sums_by_cell(
    native: Any, asked: Asked, factors: Sequence[str], products: set[Monomial], na_action: str
) -> CellSums | None:
    """Ask for the moments by cells; None where there are too many cells for that to be worth it.

    Raises
    ------
    DataError
        Where no row can be used, and for infinite values.
    """
    import narwhals as nw

    frame = nw.from_native(native)
    schema = frame.collect_schema()
    missing = {name: _missing(name, schema[name]) for name in asked.columns}
    used = frame.filter(~reduce(or_, missing.values()))
    response, offsets = nw.col(asked.formula.response.text).cast(nw.Float64), asked.offsets
    offset = reduce(lambda a, b: a + b, (nw.col(name).cast(nw.Float64) for name in offsets)) if offsets else None
    covariates = sorted({name for product in products for name in product})
    wanted = {"response": response, "adjusted": response if offset is None else response - offset}
    wanted |= {} if offset is None else {"offset": offset}
    wanted |= {f"covariate {name}": nw.col(name).cast(nw.Float64) for name in covariates}
    counts = _row(
        frame.select(nw.len().alias("n"), *(m.cast(nw.Int64).sum().alias(f"m {c}") for c, m in missing.items()))
    )
    found = _moments(used, wanted)
    gaps = Counter({name: int(counts[f"m {name}"]) for name in asked.columns if counts[f"m {name}"]})
    n_rows, n_used = int(counts["n"]), found["response"].n
    check_counts(n_rows, n_used, gaps, Counter(), na_action)
    own = {name: found[f"covariate {name}"] for name in covariates}
    terms = monomials(products, {n: m.mean for n, m in own.items()}, {n: _sd(m) for n, m in own.items()})
    n_cells = int(_row(used.select(list(factors)).unique().select(nw.len().alias("n")))["n"])
    if n_cells * (len(terms.products) + 1) * _ROWS_PER_PRODUCT > n_used:
        return None
    cells, moments = _cell_moments(used, factors, terms, wanted["adjusted"], found["adjusted"])
    rows = _some_rows(used, asked.columns, own)
    return CellSums(
        moments=moments,
        indicators=_with_numbers(cells, rows, lambda column, name: np.ones(cells.num_rows)),
        sample=_sample(cells, rows, gaps),
        products=terms,
        response=found["response"],
        offset=found.get("offset", ColumnMoments()),
        adjusted=found["adjusted"],
        covariates=own,
        n_rows=n_rows,
        n_used=n_used,
    )


def _missing(name: str, kind: Any) -> Any:
    import narwhals as nw

    missing = nw.col(name).is_null()
    return missing | nw.col(name).is_nan() if kind.is_float() else missing


def _row(query: Any) -> dict[str, Any]:
    row: dict[str, Any] = _arrow(query).to_pylist()[0]
    return row


def _arrow(query: Any) -> pa.Table:
    return query.collect().to_arrow()


def _moments(used: Any, wanted: dict[str, Any]) -> dict[str, ColumnMoments]:
    """Mean, sum of squares about it and range of some expressions."""
    import narwhals as nw

    used = used.with_columns(*(value.alias(f"v{i}") for i, value in enumerate(wanted.values())))
    asked = [
        getattr(nw.col(f"v{i}"), how)(**({"ddof": 0} if how == "std" else {})).alias(f"{how}{i}")
        for i in range(len(wanted))
        for how in ("mean", "std", "min", "max")
    ]
    row = _row(used.select(nw.len().alias("n"), *asked))
    out = {}
    for i, name in enumerate(wanted):
        moments = out[name] = ColumnMoments()
        if not row["n"]:
            continue
        if not np.isfinite([row[f"min{i}"], row[f"max{i}"]]).all():
            raise DataError(f"The {name} is infinite in some rows.")
        moments.n, moments.mean = int(row["n"]), float(row[f"mean{i}"])
        moments.squares = moments.n * float(row[f"std{i}"]) ** 2
        moments.low, moments.high = float(row[f"min{i}"]), float(row[f"max{i}"])
    return out


def _sd(moments: ColumnMoments) -> float:
    return float(np.sqrt(moments.squares / moments.n)) or 1.0


def _cell_moments(
    used: Any, factors: Sequence[str], terms: Monomials, adjusted: Any, response: ColumnMoments
) -> tuple[pa.Table, Array]:
    """The cells, and S of each."""
    import narwhals as nw

    names = list(terms.centres)
    unit = {name: f"u {i}" for i, name in enumerate(names)}
    centred = [
        ((nw.col(name).cast(nw.Float64) - terms.centres[name]) / terms.scales[name]).alias(unit[name]) for name in names
    ]
    centred.append(((adjusted - response.mean) / _sd(response)).alias("u y"))
    columns = [tuple(unit[name] for name in product) for product in terms.products] + [("u y",)]
    pairs = {
        (i, j): tuple(sorted(a + b)) for (i, a), (j, b) in combinations_with_replacement(list(enumerate(columns)), 2)
    }
    # Products that several pairs come to are summed once; the constant's own is the number of rows.
    distinct = {key: f"s {i}" for i, key in enumerate(dict.fromkeys(key for key in pairs.values() if key))}
    query = used.with_columns(*centred).with_columns(
        *(reduce(mul, map(nw.col, key)).alias(alias) for key, alias in distinct.items())
    )
    sums = _arrow(query.group_by(*factors).agg(nw.len().alias("n"), *(nw.col(a).sum() for a in distinct.values())))
    out = np.empty((sums.num_rows, len(columns), len(columns)))
    for (i, j), key in pairs.items():
        out[:, i, j] = out[:, j, i] = sums.column(distinct[key] if key else "n").to_numpy()
    return sums.select(list(factors)), out


def _some_rows(used: Any, columns: Sequence[str], covariates: dict[str, ColumnMoments]) -> pa.Table:
    """The first rows, and of every covariate one with its least, its largest and another value."""
    import narwhals as nw

    pa = require_pyarrow()
    rows = used.select(list(columns))
    tables = [_arrow(rows.head(SAMPLE))]
    for name, moments in covariates.items():
        column = nw.col(name)
        between = and_(column > moments.low, column < moments.high)
        tables += [_arrow(rows.filter(at).head(1)) for at in (column == moments.low, column == moments.high, between)]
    return pa.concat_tables(tables)


def _with_numbers(cells: pa.Table, rows: pa.Table, numbers: Any) -> pa.Table:
    """The cells with numbers in the place of every column that is no label of theirs, in the order of `rows`."""
    pa = require_pyarrow()
    columns = {
        name: cells.column(name).cast(rows.schema.field(name).type)
        if name in cells.schema.names
        else pa.chunked_array([numbers(rows.column(name), name)])
        for name in rows.schema.names
    }
    return pa.table(columns)


def _sample(cells: pa.Table, rows: pa.Table, gaps: Counter[str]) -> pa.Table:
    """Rows that show every cell, each with the numbers of one row of the source, and those rows."""
    pa = require_pyarrow()
    at = np.arange(cells.num_rows) % rows.num_rows
    shown = _with_numbers(cells, rows, lambda column, name: column.take(at).combine_chunks())
    return in_memory_types(pa.concat_tables([rows, shown]), {}, gaps)
