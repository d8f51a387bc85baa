"""Parts of the design: the fixed columns, and the columns left of each bar.

A part of bare numbers is copied straight from the frame; every other part is formulaic's work.
Both give the same columns under the same names.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from formulaic import ModelSpec, ModelSpecs, SimpleFormula
from formulaic.errors import DataMismatchWarning, FactorEvaluationError, FormulaicError
from formulaic.parser.types import Factor

from mixfit.design.types import FixedFactor, FixedStructure, FixedTerm
from mixfit.errors import DataError, MixfitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from formulaic.parser.types import Term
    from numpy.typing import NDArray

    from mixfit.design.columns import Columns, MissingRows
    from mixfit.design.environment import Environment
    from mixfit.design.materializer import MixedMaterializer

    Rows = NDArray[np.bool_] | None

__all__ = [
    "EncodedPart",
    "NumericPart",
    "Part",
    "build_parts",
    "check_finite",
    "fixed_structure",
    "materialize",
    "plan_parts",
    "read_parts",
]

_LOOKUP = Factor.EvalMethod.LOOKUP
_LITERAL = Factor.EvalMethod.LITERAL


@dataclass(frozen=True)
class NumericPart:
    """An intercept (None) and bare numeric columns, in order."""

    columns: tuple[str | None, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Column names as formulaic gives them."""
        return tuple("Intercept" if column is None else column for column in self.columns)


@dataclass(frozen=True)
class EncodedPart:
    """A formulaic model specification, with the fitted encodings once it has been built."""

    spec: ModelSpec

    @property
    def names(self) -> tuple[str, ...]:
        """Column names as formulaic gives them."""
        return tuple(str(name) for name in self.spec.column_names)


Part = NumericPart | EncodedPart


def plan_parts(parts: Sequence[Sequence[Term]], columns: Columns) -> list[Part]:
    """Decide how each part is built."""
    planned: list[Part] = []
    for terms in parts:
        numeric = _numeric_columns(terms, columns)
        if numeric is None:
            formula = SimpleFormula(list(terms))
            planned.append(EncodedPart(ModelSpec(formula=formula, output="numpy", na_action="drop")))
        else:
            planned.append(NumericPart(numeric))
    return planned


def _numeric_columns(terms: Sequence[Term], columns: Columns) -> tuple[str | None, ...] | None:
    found: list[str | None] = []
    for term in terms:
        if len(term.factors) != 1:
            return None
        factor = term.factors[0]
        if factor.eval_method is _LITERAL:
            found.append(None)
        elif factor.eval_method is _LOOKUP and _is_number(columns, factor.expr):
            found.append(factor.expr)
        else:
            return None
    return tuple(found)


def _is_number(columns: Columns, name: str) -> bool:
    return name in columns and columns[name].dtype.kind in "iuf"


def materialize(
    parts: Sequence[Part], environment: Environment, missing: MissingRows
) -> tuple[list[Part], list[NDArray[np.float64] | None]]:
    """Build the encoded parts in one pass, without the rows that are missing or found missing now.

    Returns the parts with their fitted encodings, and their matrices (None for numeric parts).
    """
    specs = {f"part{i}": part.spec for i, part in enumerate(parts) if isinstance(part, EncodedPart)}
    if not specs:
        return list(parts), [None] * len(parts)
    drop = set() if missing.rows is None else set(np.flatnonzero(missing.rows).tolist())
    materializer = environment.materializer
    matrices = _run(specs, environment, drop)
    # formulaic evaluates factors in the order of a set, which changes from run to run.
    for name, rows in sorted(materializer.nulls.items()):
        missing.note(name, rows)
    # formulaic keeps the levels of a shared factor with the first part only.
    levels: dict[str, Any] = {}
    for name in specs:
        levels.update(matrices[name].model_spec.encoder_state)
    fitted = list(parts)
    arrays: list[NDArray[np.float64] | None] = [None] * len(parts)
    for i in range(len(parts)):
        if (name := f"part{i}") in specs:
            spec = matrices[name].model_spec
            used = {factor.expr for term in spec.formula for factor in term.factors}
            spec = spec.update(encoder_state={key: value for key, value in levels.items() if key in used})
            fitted[i] = EncodedPart(spec)
            arrays[i] = _as_floats(matrices[name], fitted[i].names)
    return fitted, arrays


def build_parts(
    parts: Sequence[Part],
    matrices: Sequence[NDArray[np.float64] | None],
    columns: Columns,
    keep: NDArray[np.bool_] | None,
    kept_of_built: NDArray[np.bool_] | None,
) -> list[NDArray[np.float64]]:
    """Fill the numeric parts, and leave rows of weight zero out of the encoded ones.

    `keep` selects rows of the data, `kept_of_built` rows of `matrices`.
    """
    out = []
    for part, matrix in zip(parts, matrices, strict=True):
        if isinstance(part, NumericPart):
            out.append(_fill(part, columns, keep))
        elif matrix is not None:
            out.append(matrix if kept_of_built is None else matrix[kept_of_built])
    return out


def read_parts(parts: Sequence[Part], environment: Environment) -> list[NDArray[np.float64]]:
    """Build every row of new data under the fitted encodings; rows with missing values become NaN."""
    columns = environment.columns
    specs = {
        f"part{i}": part.spec.update(na_action="ignore")
        for i, part in enumerate(parts)
        if isinstance(part, EncodedPart)
    }
    with warnings.catch_warnings():
        # New levels are refused already; this warning would be about missing values.
        warnings.simplefilter("ignore", DataMismatchWarning)
        matrices = _run(specs, environment, set()) if specs else {}
    out = []
    for i, part in enumerate(parts):
        if isinstance(part, NumericPart):
            out.append(_fill(part, columns, None))
            continue
        matrix = _as_floats(matrices[f"part{i}"], part.names)
        for factor in {factor.expr for term in part.spec.formula for factor in term.factors}:
            if factor in environment.materializer.nulls:
                matrix[environment.materializer.nulls[factor]] = np.nan
        out.append(matrix)
    return out


def _run(specs: dict[str, ModelSpec], environment: Environment, drop: set[int]) -> Any:
    try:
        return environment.materializer.get_model_matrix(ModelSpecs(**specs), drop_rows=drop)
    except FactorEvaluationError as error:
        raise environment.failed(str(error).partition("`")[2].partition("`")[0], error) from error
    except MixfitError:
        raise
    except (FormulaicError, ValueError) as error:
        raise DataError(f"The columns cannot be coded as in the formula: {error}") from error


def _as_floats(matrix: Any, names: tuple[str, ...]) -> NDArray[np.float64]:
    values = np.asarray(getattr(matrix, "__wrapped__", matrix))
    try:
        return np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise DataError(f"Columns {', '.join(names)} cannot all be made numbers: {error}.") from error


def _fill(part: NumericPart, columns: Columns, keep: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    n_rows = columns.n_rows if keep is None else int(np.count_nonzero(keep))
    out = np.empty((n_rows, len(part.columns)))
    for j, name in enumerate(part.columns):
        if name is None:
            out[:, j] = 1.0
            continue
        series = columns[name]
        if series.dtype.kind not in "iuf":
            raise DataError(f"Column {name!r} must be numeric, as it was in the fit, not {series.dtype}.")
        values = series.to_numpy()
        out[:, j] = values if keep is None else values[keep]
    return out


def fixed_structure(
    part: Part, X: NDArray[np.float64], materializer: MixedMaterializer, keep: Rows, kept_of_built: Rows
) -> FixedStructure:
    """Describe the fixed part as it was built.

    `keep` selects rows of the data, `kept_of_built` rows of what the materializer encoded.
    """
    if isinstance(part, NumericPart):
        return _numeric_structure(part, X)
    assert isinstance(part, EncodedPart)
    terms, start = [], 0
    for structure in part.spec.structure:
        stop = start + len(structure.columns)
        names = tuple(f.expr for f in structure.term.factors if f.eval_method is not Factor.EvalMethod.LITERAL)
        terms.append(FixedTerm(":".join(names) or "Intercept", names, tuple(range(start, stop))))
        start = stop
    mains = {term.factors[0]: term for term in terms if len(term.factors) == 1}
    factors = {}
    for name in dict.fromkeys(name for term in terms for name in term.factors):
        if part.spec.encoder_state[name][0] is Factor.Kind.CATEGORICAL:
            levels, codes = materializer.levels_and_codes(name)
            factors[name] = FixedFactor(name, levels, codes.copy() if keep is None else codes[keep])
        elif name in mains:
            factors[name] = FixedFactor(name, None, X[:, list(mains[name].columns)])
        else:
            values = materializer.encoded_columns(name)
            factors[name] = FixedFactor(name, None, values if kept_of_built is None else values[kept_of_built])
    return FixedStructure(tuple(terms), factors)


def _numeric_structure(part: NumericPart, X: NDArray[np.float64]) -> FixedStructure:
    terms = []
    factors = {}
    for j, (column, name) in enumerate(zip(part.columns, part.names, strict=True)):
        terms.append(FixedTerm(name, () if column is None else (column,), (j,)))
        if column is not None:
            factors[column] = FixedFactor(column, None, X[:, j : j + 1])
    return FixedStructure(tuple(terms), factors)


def check_finite(matrix: NDArray[np.float64], names: Sequence[str], where: str) -> None:
    """Refuse infinite values in a design matrix."""
    if np.isfinite(matrix).all():
        return
    bad = ~np.isfinite(matrix)
    j = int(np.argmax(bad.any(axis=0)))
    raise DataError(f"Column {names[j]!r} of {where} is infinite in {int(bad[:, j].sum())} row(s).")
