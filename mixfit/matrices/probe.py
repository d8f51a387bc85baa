"""Terms computed from whole columns, such as ``I(z - z.mean())``, which new rows would make anew from themselves.

A few rows of the fit are kept and read alone, as new rows are. What comes out otherwise than it stood in the fit is not
computed row by row, nor by a transform that remembers what it learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.parser.types import Factor

from mixfit.errors import MixfitError
from mixfit.formula import variables_of
from mixfit.matrices.parts import EncodedPart, Part, read_parts
from mixfit.matrices.vectors import read_offsets

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import Recoding
    from mixfit.matrices.columns import Columns
    from mixfit.matrices.environment import Environment
    from mixfit.matrices.grouping import GroupingReader

__all__ = ["CrossedFactors", "Matrix", "Offsets", "Probe", "Probed", "make_probe", "spelling_hint", "whole_columns"]

# Rows of a sample, and samples of rows that are spread over the data: one row alone would be its own mean.
_ROWS = 6
_SPREAD = 2
# Rounding of a transform that is computed from few rows in another order than from many.
_RELATIVE = 1e-7


@dataclass(frozen=True, eq=False)
class Offsets:
    """Expressions that are summed to an offset."""

    expressions: tuple[str, ...]

    def read(self, environment: Environment) -> NDArray[Any]:
        """Their sum, shape (m,)."""
        return read_offsets(self.expressions, environment)

    def factors(self, columns: Columns) -> Sequence[Factor]:
        """The same, ready to be looked up or evaluated."""
        lookup, python = Factor.EvalMethod.LOOKUP, Factor.EvalMethod.PYTHON
        return [Factor(text, eval_method=lookup if text in columns else python) for text in self.expressions]

    def names(self, differs: NDArray[np.bool_]) -> Sequence[str]:
        """What is written in the formula."""
        return self.expressions


@dataclass(frozen=True, eq=False)
class CrossedFactors:
    """Factors that are crossed to a grouping factor."""

    groups: tuple[Factor, ...]
    grouping: GroupingReader

    def read(self, environment: Environment) -> NDArray[Any]:
        """Codes of the levels, shape (m,)."""
        return self.grouping.read([environment.series(factor) for factor in self.groups])

    def factors(self, columns: Columns) -> Sequence[Factor]:
        """The factors."""
        return self.groups

    def names(self, differs: NDArray[np.bool_]) -> Sequence[str]:
        """What is written in the formula."""
        return [factor.expr for factor in self.groups]


@dataclass(frozen=True, eq=False)
class Matrix:
    """Columns of a part, as a structure may arrange them."""

    part: Part
    recoding: Recoding | None = None

    def read(self, environment: Environment) -> NDArray[Any]:
        """Its columns, shape (m, p)."""
        values = read_parts([self.part], environment)[0]
        return values if self.recoding is None else self.recoding.apply(values)

    def factors(self, columns: Columns) -> Sequence[Factor]:
        """What formulaic evaluates; a part of bare columns has nothing to compute."""
        if not isinstance(self.part, EncodedPart):
            return []
        return [factor for term in self.part.spec.formula for factor in term.factors]

    def names(self, differs: NDArray[np.bool_]) -> Sequence[str]:
        """Factors of the terms whose columns differ; of all terms where a structure has arranged them."""
        if self.recoding is not None:
            return [name for term in self.part.codings for name in term.factors]
        found: list[str] = []
        at = 0
        for term in self.part.codings:
            if differs[at : at + term.n_columns].any():
                found += term.factors
            at += term.n_columns
        return found


@dataclass(frozen=True, eq=False)
class Probed:
    """Something that is read from new rows, and what it is on rows of the fit.

    Attributes
    ----------
    key : hashable
    what : Matrix, Offsets or Groups
    values : ndarray, shape (n, ...)
        On all rows used; in a probe, on those of the samples.
    """

    key: Hashable
    what: Matrix | Offsets | CrossedFactors
    values: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Probe:
    """Rows of the fit to be read alone, and what they were in it.

    Attributes
    ----------
    samples : tuple of DataFrame
    probed : tuple of Probed
        Values on the rows of all samples, one below the other.
    """

    samples: tuple[pd.DataFrame, ...]
    probed: tuple[Probed, ...]


def make_probe(items: Iterable[Probed], columns: Columns, keep: NDArray[np.bool_] | None) -> Probe | None:
    """Keep a few of the rows used, with the columns that expressions look up; None where nothing is computed."""
    probed: list[Probed] = []
    factors: list[Factor] = []
    for item in items:
        mine = item.what.factors(columns)
        if any(factor.eval_method is Factor.EvalMethod.PYTHON for factor in mine):
            probed.append(item)
            factors += mine
    if not probed:
        return None
    places = np.arange(columns.n_rows) if keep is None else np.flatnonzero(keep)
    names = dict.fromkeys(name for factor in factors for name in variables_of(factor) if name in columns)
    chosen = np.unique(np.linspace(0, len(places) - 1, _SPREAD * _ROWS).astype(np.intp))
    # No row of a sample is beside the next, so that what is computed from its neighbours changes.
    rows = [chosen[start::_SPREAD] for start in range(_SPREAD)]
    rows += [sample for name in names for sample in _ends(_order(columns, name)[places])]
    rows = [sample for sample in rows if len(sample)]
    return Probe(
        tuple(pd.DataFrame({name: columns[name].iloc[places[sample]] for name in names}) for sample in rows),
        tuple(Probed(item.key, item.what, item.values[np.concatenate(rows)]) for item in probed),
    )


def _order(columns: Columns, name: str) -> NDArray[np.float64]:
    """Numbers in the order of a column's values, NaN where it is missing."""
    if columns.kind(name) == "number":
        return columns.numbers(name).astype(np.float64)
    codes = columns.coded(name).codes
    return np.where(codes < 0, np.nan, codes)


def _ends(values: NDArray[np.float64]) -> Iterator[NDArray[np.intp]]:
    """Places of some of the lowest, of the highest and of the missing values, each in order of the rows.

    The lowest lie on one side of every mean, median or cut, and lack the maximum; the highest lack the minimum and
    another most frequent value; missing ones may have been filled in from the others.
    """
    missing = np.isnan(values)
    yield np.flatnonzero(missing)[:_ROWS]
    present = np.flatnonzero(~missing)
    for sign in (1.0, -1.0):
        some = present
        if len(present) > _ROWS:
            some = present[np.argpartition(sign * values[present], _ROWS)[:_ROWS]]
        yield np.sort(some)


def whole_columns(probe: Probe, environment: Callable[[pd.DataFrame], Environment]) -> dict[Hashable, Sequence[str]]:
    """What of each key is not in a few rows alone what it was in the fit: expressions, as the formula writes them."""
    environments = [environment(sample) for sample in probe.samples]
    found: dict[Hashable, Sequence[str]] = {}
    for item in probe.probed:
        differs = np.ones(item.values.shape[1:] or 1, dtype=bool)
        said = ""
        try:
            values = np.concatenate([item.what.read(rows) for rows in environments])
        except MixfitError as error:
            # Levels that the fit never saw are among the ways in which a factor of few rows differs.
            said = str(error)
        else:
            scale = np.abs(item.values).max(axis=0)
            with np.errstate(invalid="ignore"):
                differs = ~(np.abs(values - item.values) <= _RELATIVE * scale).all(axis=0)
        if differs.any():
            names = [name for name in item.what.names(np.atleast_1d(differs)) if not name.isidentifier()]
            found[item.key] = [name for name in names if repr(name) in said] or names
    return found


def spelling_hint(expressions: Sequence[str], names: Container[str]) -> str:
    """Transforms that remember what they learned, of the first column among `names` that is in the expressions."""
    looked_up = (name for text in expressions for name in variables_of(Factor(text, eval_method="python")))
    x = next((name for name in looked_up if name in names), "x")
    return f"scale({x}), center({x}), poly({x}, 2) or bs({x}, df=4)"
