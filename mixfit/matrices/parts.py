"""Parts of the design: the fixed columns, and the columns left of each bar.

A part of bare columns is filled in by numpy; every other part is formulaic's work. Both give the same columns under
the same names.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from formulaic import ModelSpec, ModelSpecs, SimpleFormula
from formulaic.errors import DataMismatchWarning, FactorEvaluationError, FormulaicError
from formulaic.parser.types import Factor

from mixfit.errors import DataError, MixfitError
from mixfit.formula import variables_of
from mixfit.matrices.plain import (
    PlainPart,
    code_fitted,
    code_new,
    fill,
    fitted_part,
    plain_structure,
    plan_plain,
    read_new,
)
from mixfit.matrices.types import FixedFactor, FixedStructure, FixedTerm, TermCoding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from formulaic.parser.types import Term
    from numpy.typing import NDArray

    from mixfit.formula import BareTerms
    from mixfit.matrices.columns import Coded, Columns, MissingRows
    from mixfit.matrices.environment import Environment

    Rows = NDArray[np.bool_] | None

__all__ = [
    "Built",
    "EncodedPart",
    "Part",
    "build_parts",
    "check_finite",
    "check_names",
    "fixed_structure",
    "materialize",
    "plan_part",
    "read_parts",
]

_LITERAL = Factor.EvalMethod.LITERAL


@dataclass(frozen=True)
class EncodedPart:
    """A formulaic model specification, with the fitted encodings once it has been built."""

    spec: ModelSpec

    @property
    def names(self) -> tuple[str, ...]:
        """Column names as formulaic gives them."""
        return tuple(str(name) for name in self.spec.column_names)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names that its expressions look up, functions included, each once."""
        return tuple(dict.fromkeys(name for names in self.looked_up for name in names))

    @property
    def factors(self) -> frozenset[str]:
        """Names that its factors look up: ``x`` of ``C(x)``, whatever x holds."""
        expressions = {factor for term in self.spec.formula for factor in term.factors}
        return frozenset(name for f in expressions if f.expr in self.n_levels for name in variables_of(f))

    @property
    def n_levels(self) -> dict[str, int]:
        """Number of levels of each factor, by its expression."""
        kinds = self.spec.encoder_state
        categorical = {name: state for name, (kind, state) in kinds.items() if kind is Factor.Kind.CATEGORICAL}
        return {name: len(state["categories"]) for name, state in categorical.items()}

    @property
    def looked_up(self) -> tuple[tuple[str, ...], ...]:
        """Names that each term looks up, functions included; none for the constant."""
        return tuple(
            tuple(dict.fromkeys(name for factor in term.factors for name in variables_of(factor)))
            for term in self.spec.formula
        )

    @property
    def codings(self) -> tuple[TermCoding, ...]:
        """How each term is coded."""
        out = []
        for row in self.spec.structure:
            factors = tuple(f.expr for f in row.term.factors if f.eval_method is not _LITERAL)
            blocks = tuple(
                tuple((f.factor.expr, f.reduced) for f in block.factors if f.factor.expr in factors)
                for block in row.scoped_terms
            )
            out.append(TermCoding(str(row.term), factors, blocks, len(row.columns)))
        return tuple(out)


Part = PlainPart | EncodedPart


def plan_part(
    terms: Sequence[Term], bare: BareTerms | None, columns: Columns, state: Mapping[str, Any] | None = None
) -> Part:
    """Decide how terms are built; `bare` are the same ones if they compute nothing.

    `state` is what transforms have learned before.
    """
    plain = None if bare is None else plan_plain(bare, columns)
    if plain is not None:
        return plain
    spec = ModelSpec(formula=SimpleFormula(list(terms)), output="numpy", na_action="drop")
    return EncodedPart(spec.update(transform_state=deepcopy(dict(state))) if state else spec)


@dataclass(frozen=True, eq=False)
class Built:
    """Parts with their fitted encodings, and what they are filled from.

    Attributes
    ----------
    parts : tuple of Part
    matrices : tuple of ndarray, or None
        Of encoded parts, without the rows that have a missing value.
    coded : dict of str to Coded
        The factors of plain parts, on all rows.
    """

    parts: tuple[Part, ...]
    matrices: tuple[NDArray[np.float64] | None, ...]
    coded: dict[str, Coded]


def materialize(parts: Sequence[Part], environment: Environment, missing: MissingRows) -> Built:
    """Learn the encodings of all parts from the rows in which nothing is missing, and note what is."""
    plain = {i: part for i, part in enumerate(parts) if isinstance(part, PlainPart)}
    _note_plain(plain.values(), environment.columns, missing)
    # Formulaic's parts first: an expression may be missing where no column is.
    encoded = _materialize_encoded(parts, environment, missing)
    coded = code_fitted(plain.values(), environment.columns, missing)
    return Built(
        parts=tuple(fitted_part(plain[i], coded) if i in plain else encoded[i][0] for i in range(len(parts))),
        matrices=tuple(None if i in plain else encoded[i][1] for i in range(len(parts))),
        coded=coded,
    )


def _note_plain(parts: Iterable[PlainPart], columns: Columns, missing: MissingRows) -> None:
    for name in sorted({name for part in parts for name in part.variables}):
        if name in missing.counts:
            continue
        if columns.kind(name) == "factor":
            rows = columns.coded(name).codes < 0
        elif columns.numbers(name).dtype.kind == "f":
            rows = np.isnan(columns.numbers(name))
        else:
            continue
        missing.note(name, rows if rows.any() else None)


def _materialize_encoded(
    parts: Sequence[Part], environment: Environment, missing: MissingRows
) -> dict[int, tuple[EncodedPart, NDArray[np.float64]]]:
    """Build the encoded parts in one pass, without the rows that are missing or found missing now, by place."""
    specs = {f"part{i}": part.spec for i, part in enumerate(parts) if isinstance(part, EncodedPart)}
    if not specs:
        return {}
    drop = set() if missing.rows is None else set(np.flatnonzero(missing.rows).tolist())
    materializer = environment.materializer
    matrices = _run(specs, environment, drop)
    # formulaic evaluates factors in the order of a set, which changes from run to run.
    for name, rows in sorted(materializer.nulls.items()):
        missing.note(name, rows, environment.without(name))
    # formulaic keeps the levels of a shared factor with the first part only.
    levels: dict[str, Any] = {}
    for name in specs:
        levels.update(matrices[name].model_spec.encoder_state)
    out = {}
    for i in range(len(parts)):
        if (name := f"part{i}") in specs:
            spec = matrices[name].model_spec
            used = {factor.expr for term in spec.formula for factor in term.factors}
            fitted = EncodedPart(spec.update(encoder_state={key: levels[key] for key in levels if key in used}))
            out[i] = fitted, _as_floats(matrices[name], fitted.names)
    return out


def build_parts(built: Built, columns: Columns, keep: Rows, kept_of_built: Rows) -> list[NDArray[np.float64]]:
    """Fill the plain parts, and leave rows of weight zero out of the encoded ones.

    `keep` selects rows of the data, `kept_of_built` rows of matrices without missing rows.
    """
    out = []
    for part, matrix in zip(built.parts, built.matrices, strict=True):
        if isinstance(part, PlainPart):
            out.append(fill(part, columns, built.coded, keep))
        elif matrix is not None:
            out.append(matrix if kept_of_built is None else matrix[kept_of_built])
    return out


def read_parts(parts: Sequence[Part], environment: Environment) -> list[NDArray[np.float64]]:
    """Build every row of new data under the fitted encodings; rows with missing values become NaN."""
    columns = environment.columns
    if not columns.n_rows:
        return [np.zeros((0, len(part.names))) for part in parts]
    specs = {
        f"part{i}": part.spec.update(na_action="ignore")
        for i, part in enumerate(parts)
        if isinstance(part, EncodedPart)
    }
    with warnings.catch_warnings():
        # New levels are refused already; this warning would be about missing values.
        warnings.simplefilter("ignore", DataMismatchWarning)
        matrices = _run(specs, environment, set()) if specs else {}
    coded = code_new([part for part in parts if isinstance(part, PlainPart)], columns)
    out = []
    for i, part in enumerate(parts):
        if isinstance(part, PlainPart):
            out.append(read_new(part, columns, coded))
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


def fixed_structure(
    part: Part,
    X: NDArray[np.float64],
    environment: Environment,
    coded: dict[str, Coded],
    keep: Rows,
    kept_of_built: Rows,
) -> FixedStructure:
    """Describe a fixed part as it was built.

    `keep` selects rows of the data, `kept_of_built` rows of what the materializer encoded.
    """
    if isinstance(part, PlainPart):
        return plain_structure(part, X, environment.columns, coded, keep)
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
            levels, codes = environment.materializer.levels_and_codes(name)
            factors[name] = FixedFactor(name, levels, codes.copy() if keep is None else codes[keep])
        elif name in mains:
            factors[name] = FixedFactor(name, None, X[:, list(mains[name].columns)])
        else:
            values = environment.materializer.encoded_columns(name)
            factors[name] = FixedFactor(name, None, values if kept_of_built is None else values[kept_of_built])
    return FixedStructure(tuple(terms), factors)


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse two columns of one name: a column called Intercept beside the constant, levels that print alike."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"Two columns of {where} would be named {twice!r}: rename a column or a category of the data.")


def check_finite(matrix: NDArray[np.float64], names: Sequence[str], where: str) -> None:
    """Refuse infinite values in a design matrix."""
    if np.isfinite(matrix).all():
        return
    bad = ~np.isfinite(matrix)
    j = int(np.argmax(bad.any(axis=0)))
    raise DataError(f"Column {names[j]!r} of {where} is infinite in {int(bad[:, j].sum())} row(s).")
