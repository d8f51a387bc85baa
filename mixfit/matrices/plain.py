"""Terms that are products of bare columns, numbers and factors, built without leaving numpy.

Which factors of a term are coded by an indicator of every level, and which by one less, is formulaic's decision:
its rank reduction is asked once for each set of terms and kinds. A level's indicator is scattered into X from the
level's code, so that a term costs one pass over its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.materializers import PandasMaterializer
from formulaic.materializers.types import EvaluatedFactor, FactorValues
from formulaic.parser.types import Factor, Term
from formulaic.transforms.contrasts import TreatmentContrasts

from mixfit.errors import DataError, DesignError, NewLevelError
from mixfit.matrices.columns import Coded
from mixfit.matrices.types import FixedFactor, FixedStructure, FixedTerm, TermCoding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.formula import BareTerms
    from mixfit.matrices.columns import Columns, MissingRows

    Array = NDArray[np.float64]
    Rows = NDArray[np.bool_] | None

__all__ = [
    "PlainPart",
    "code_fitted",
    "code_new",
    "fill",
    "fitted_part",
    "plain_structure",
    "plan_plain",
    "read_new",
    "refuse_new_levels",
    "require_levels",
]

_FULL, _REDUCED = TreatmentContrasts.FACTOR_FORMAT, TreatmentContrasts.FACTOR_FORMAT_REDUCED
# New levels that an error lists before it breaks off.
_LISTED = 5


@dataclass(frozen=True, eq=False)
class PlainPart:
    """Products of bare columns, in order.

    Attributes
    ----------
    codings : tuple of TermCoding
    levels : dict of str to pandas.Index
        Levels of each factor that occur in the fit; empty before it.
    names : tuple of str
        Column names as formulaic gives them; empty before the fit.
    """

    codings: tuple[TermCoding, ...]
    levels: Mapping[str, pd.Index]
    names: tuple[str, ...] = ()

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of its columns of data, each once."""
        return tuple(dict.fromkeys(name for term in self.codings for name in term.factors))

    @property
    def factors(self) -> frozenset[str]:
        """Those of its variables that are factors."""
        return frozenset(self.levels)

    @property
    def n_levels(self) -> dict[str, int]:
        """Number of levels of each factor."""
        return {name: len(levels) for name, levels in self.levels.items()}

    @property
    def looked_up(self) -> tuple[tuple[str, ...], ...]:
        """Names that each term looks up; none for the constant."""
        return tuple(term.factors for term in self.codings)


def plan_plain(terms: BareTerms, columns: Columns) -> PlainPart | None:
    """Plan products of bare columns; None where one is neither a number nor a factor of the data."""
    factors = []
    for name in dict.fromkeys(name for names in terms for name in names):
        kind = columns.kind(name) if name in columns else "other"
        if kind == "other":
            return None
        if kind == "factor":
            factors.append(name)
    return _plan(terms, frozenset(factors))


# A plan depends on no data, and a session fits few formulas many times.
@lru_cache(maxsize=512)
def _plan(described: BareTerms, factors: frozenset[str]) -> PlainPart:
    """Let formulaic decide how the terms are coded; it needs to know no more of a column than its kind."""
    kinds = {
        True: {"kind": Factor.Kind.CATEGORICAL, "spans_intercept": True},
        False: {"kind": Factor.Kind.NUMERICAL, "spans_intercept": False},
    }
    one = Factor("1", eval_method=Factor.EvalMethod.LITERAL)
    lookups = {name: Factor(name, eval_method=Factor.EvalMethod.LOOKUP) for names in described for name in names}
    materializer = PandasMaterializer(pd.DataFrame())
    materializer.factor_cache["1"] = EvaluatedFactor(one, FactorValues(1, kind=Factor.Kind.CONSTANT))
    for name, factor in lookups.items():
        values: Any = FactorValues(np.empty(0), **kinds[name in factors])
        materializer.factor_cache[name] = EvaluatedFactor(factor, values)
    terms = [Term([lookups[name] for name in names] or [one]) for names in described]
    codings = tuple(
        TermCoding(
            name=repr(term),
            factors=names,
            blocks=tuple(tuple((f.factor.expr, f.reduced) for f in block.factors) for block in scoped),
        )
        for names, (term, scoped) in zip(described, materializer._get_scoped_terms(terms), strict=True)
    )
    planned = PlainPart(codings, dict.fromkeys(sorted(factors), pd.Index([])))
    return planned if factors else fitted_part(planned, {})


def code_fitted(parts: Iterable[PlainPart], columns: Columns, missing: MissingRows) -> dict[str, Coded]:
    """Code the factors of the parts by the levels that occur in rows where nothing is missing.

    Raises
    ------
    DesignError
        For a factor with one level.
    """
    coded: dict[str, Coded] = {}
    present = None if missing.rows is None else ~missing.rows
    for name in dict.fromkeys(name for part in parts for name in part.levels):
        found = columns.coded(name)
        seen = np.bincount(found.codes if present is None else found.codes[present], minlength=len(found.levels)) > 0
        require_levels(int(np.count_nonzero(seen)), name)
        if not seen.all():
            # The missing rows of code -1 take the place past the last level, and keep it.
            places = np.append(np.where(seen, np.cumsum(seen) - 1, -1), -1).astype(np.intp)
            found = Coded(places[found.codes], found.levels[seen], True)
        coded[name] = found
    return coded


def code_new(parts: Iterable[PlainPart], columns: Columns) -> dict[str, Coded]:
    """Code the factors of new data by the levels of the fit, -1 where missing.

    Raises
    ------
    NewLevelError
        For a level that the fit never saw.
    DataError
        For a factor of the fit that is none in the new data.
    """
    coded = {}
    for name, levels in {name: levels for part in parts for name, levels in part.levels.items()}.items():
        if columns.kind(name) != "factor":
            if not columns.labelled(name).isna().all():
                raise DataError(f"`{name}` is numerical here, but it was categorical in the fit.")
            coded[name] = Coded(np.full(columns.n_rows, -1, dtype=np.intp), levels, False)
            continue
        found = columns.coded(name)
        places = levels.get_indexer(found.levels).astype(np.intp)
        if (places < 0).any():
            seen = np.bincount(found.codes[found.codes >= 0], minlength=len(places)) > 0
            refuse_new_levels(found.levels[seen], levels, name)
        coded[name] = Coded(np.append(places, np.intp(-1))[found.codes], levels, False)
    return coded


def require_levels(n_levels: int, name: str) -> None:
    """Refuse a factor that is a constant (with no row left at all, that is the error to report)."""
    if n_levels == 1:
        raise DesignError(f"Factor {name!r} has one level in the rows used: leave it out of the formula.")


def refuse_new_levels(levels: Iterable[object], known: Iterable[object], name: str) -> None:
    """Refuse levels that are not among the `known` ones."""
    seen = set(known)
    new = [level for level in levels if level not in seen]
    if new:
        listed = ", ".join(map(repr, new[:_LISTED])) + (", ..." if len(new) > _LISTED else "")
        raise NewLevelError(f"Factor {name!r} has levels that the fit never saw: {listed}.")


def fitted_part(part: PlainPart, coded: Mapping[str, Coded]) -> PlainPart:
    """Give a planned part the levels that occur, and so its names."""
    if part.names:
        return part
    levels = {name: coded[name].levels for name in part.levels}
    names = [_term_names(term, {name: coded[name].labels for name in part.levels}) for term in part.codings]
    codings = tuple(replace(term, n_columns=len(found)) for term, found in zip(part.codings, names, strict=True))
    return PlainPart(codings, levels, tuple(name for found in names for name in found))


def _term_names(term: TermCoding, labels: Mapping[str, tuple[Any, ...]]) -> list[str]:
    names: list[str] = []
    for block in term.blocks:
        parts = [_column_names(name, reduced, labels) for name, reduced in block]
        names += [":".join(reversed(chosen)) or "Intercept" for chosen in product(*reversed(parts))]
    return names


def _column_names(name: str, reduced: bool, labels: Mapping[str, tuple[Any, ...]]) -> list[str]:
    if name not in labels:
        return [name]
    pattern = _REDUCED if reduced else _FULL
    return [pattern.format(name=name, field=label) for label in labels[name][reduced:]]


def read_new(part: PlainPart, columns: Columns, coded: Mapping[str, Coded]) -> Array:
    """Columns of a fitted part on all rows of new data, shape (m, p); a row with a missing value is NaN."""
    out = fill(part, columns, coded, None)
    for name in part.variables:
        out[coded[name].codes < 0 if name in part.levels else np.isnan(_number(columns, name))] = np.nan
    return out


def fill(part: PlainPart, columns: Columns, coded: Mapping[str, Coded], keep: Rows) -> Array:
    """Columns of a fitted part on the rows that `keep` selects (None: all), shape (m, p)."""
    n_rows = columns.n_rows if keep is None else int(np.count_nonzero(keep))
    out = np.zeros((n_rows, len(part.names)))
    at = 0
    for term in part.codings:
        for block in term.blocks:
            value = _product([_number(columns, name) for name, _ in block if name not in part.levels], keep)
            cells, size = _cells(block, part.levels, coded, keep)
            if cells is None:
                out[:, at] = 1.0 if value is None else value
            else:
                rows = np.flatnonzero(cells >= 0)
                out[rows, at + cells[rows]] = 1.0 if value is None else value[rows]
            at += size
    return out


def _product(numbers: Sequence[Array], keep: Rows) -> Array | None:
    """Product of covariates on the rows kept; None of none."""
    out: Array | None = None
    for values in numbers:
        kept = values if keep is None else values[keep]
        out = kept if out is None else out * kept
    return out


def _cells(
    block: Sequence[tuple[str, bool]], levels: Mapping[str, pd.Index], coded: Mapping[str, Coded], keep: Rows
) -> tuple[NDArray[np.intp] | None, int]:
    """The one column of a block of indicators in which each row has its value, the first factor varying fastest.

    It is -1 where a row has none, and None for a block without factors. Returned with the number of columns.
    """
    cells: NDArray[np.intp] | None = None
    size = 1
    for name, reduced in block:
        if name not in levels:
            continue
        codes = coded[name].codes if keep is None else coded[name].codes[keep]
        codes = codes - 1 if reduced else codes
        cells = codes if cells is None else np.where((cells < 0) | (codes < 0), -1, cells + size * codes)
        size *= len(levels[name]) - reduced
    return cells, size


def _number(columns: Columns, name: str) -> Array:
    if columns.kind(name) != "number":
        if not columns.labelled(name).isna().all():
            raise DataError(f"Column {name!r} must be numeric, as it was in the fit, not {columns[name].dtype}.")
        return np.full(columns.n_rows, np.nan)
    return np.asarray(columns.numbers(name), dtype=np.float64)


def plain_structure(
    part: PlainPart, X: Array, columns: Columns, coded: Mapping[str, Coded], keep: Rows
) -> FixedStructure:
    """Describe a fixed part of bare columns as it was built."""
    terms, at = [], 0
    for coding in part.codings:
        stop = at + coding.n_columns
        terms.append(FixedTerm(":".join(coding.factors) or "Intercept", coding.factors, tuple(range(at, stop))))
        at = stop
    mains = {term.factors[0]: term for term in terms if len(term.factors) == 1}
    factors = {}
    for name in part.variables:
        if name in part.levels:
            codes = coded[name].codes.astype(np.min_scalar_type(-len(part.levels[name])))
            factors[name] = FixedFactor(name, coded[name].labels, codes if keep is None else codes[keep])
        elif name in mains:
            factors[name] = FixedFactor(name, None, X[:, mains[name].columns[0] : mains[name].columns[-1] + 1])
        else:
            number = _number(columns, name)[:, None]
            factors[name] = FixedFactor(name, None, number.copy() if keep is None else number[keep])
    return FixedStructure(tuple(terms), factors)
