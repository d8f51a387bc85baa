"""From a parsed formula and data to the arrays of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from formulaic.parser.types import Factor

from mixfit.covariance.registry import structure_named
from mixfit.design.columns import Coded, Columns, MissingRows, Variables, code_factor
from mixfit.design.environment import Environment
from mixfit.design.grouping import GroupingReader, check_random, cross
from mixfit.design.parts import build_parts, check_finite, fixed_structure, materialize, plan_part
from mixfit.design.reader import FittedReader, RandomReader
from mixfit.design.types import Design, Grouping, RandomDesign
from mixfit.design.vectors import argument_vector, check_weights, read_binomial, read_response, sum_offsets
from mixfit.errors import DataError
from mixfit.formula import MixedFormula, RandomTerm, parse, variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from formulaic.parser.types import Term
    from numpy.typing import NDArray

__all__ = ["build"]


def build(
    formula: MixedFormula,
    data: object,
    weights: object = None,
    offset: object = None,
    na_action: Literal["drop", "raise"] = "drop",
    context: Mapping[str, Any] | None = None,
    *,
    binomial: bool = False,
    residual: bool = True,
) -> Design:
    """Build response, fixed and random columns, groups, weights and offset from `data`.

    Parameters
    ----------
    formula : MixedFormula
        From `mixfit.formula.parse`.
    data : pandas.DataFrame, or any table that narwhals reads eagerly (polars, pyarrow)
        Never changed. String, categorical and boolean columns are factors.
    weights : str or array-like, optional
        Prior weights: a column, an expression, or one value for each row of `data`.
        Rows of weight zero are left out.
    offset : str or array-like, optional
        Likewise; added to every ``offset(...)`` of the formula.
    na_action : {"drop", "raise"}
        What to do with rows in which anything that the model uses is missing.
    context : mapping of str to object, optional
        More names for the formula's expressions, besides the columns, ``np`` and formulaic's transforms.
    binomial : bool
        Whether the response may be ``cbind(...)``, boolean or a two-level factor; `y` is then a proportion
        and `weights` the number of trials.
    residual : bool
        Whether the model has a residual variance, which effects of single observations would be lost in.

    Returns
    -------
    Design

    Raises
    ------
    FormulaError
        If the formula names something that does not exist, or cannot be evaluated.
    DataError
        If a column, the response, the weights or the offset cannot be used as they are.
    DesignError
        If the grouping factors cannot be told from the residual, as lme4 checks.
    """
    if na_action not in ("drop", "raise"):
        raise ValueError(f"na_action must be 'drop' or 'raise', not {na_action!r}")
    columns = Columns(data)
    if columns.n_rows == 0:
        raise DataError("The data have no rows.")
    if formula.uses_dot:
        formula = _expand_dot(formula, columns, weights, offset)
    used = {name: value for name, value in (context or {}).items() if name not in columns}
    environment = Environment(columns, used, {})
    environment.require(formula.variables, formula.text)

    missing = MissingRows(columns.n_rows)
    trials = None
    if binomial:
        y, trials = read_binomial(formula.response, environment, missing)
    else:
        y = read_response(formula.response, environment, missing)
    expressions = formula.offsets + ((offset,) if isinstance(offset, str) else ())
    array = None if isinstance(offset, str) else offset
    total = sum_offsets(expressions, array, environment, missing)
    prior = None if weights is None else argument_vector(weights, "weights", environment, missing)
    if trials is not None:
        prior = trials if prior is None else prior * trials
    zero = None if prior is None else check_weights(prior)
    coded = _code_groups(formula.random, environment, missing)
    planned = [plan_part(formula.fixed, formula.bare, columns)]
    planned += [plan_part(term.terms, term.bare, columns) for term in formula.random]
    built = materialize(planned, environment, missing)
    if na_action == "raise":
        missing.refuse()

    keep, kept_of_built = _rows_to_keep(missing, zero)
    X, *Z = build_parts(built, columns, keep, kept_of_built)
    random, readers = _random_designs(formula.random, coded, keep, Z, built.parts[1:])
    check_finite(X, built.parts[0].names, "the fixed effects")
    for term in random:
        check_finite(term.Z, term.columns, term.text)
    check_random(random, len(X), residual=residual)
    needed = {*formula.variables, *_names_in(expressions, used)}
    return Design(
        y=_rows(y, keep),
        X=X,
        exog_names=built.parts[0].names,
        endog_name=formula.response.text,
        random=tuple(random),
        weights=None if prior is None else _rows(prior, keep),
        offset=None if total is None else _rows(total, keep),
        index=columns.index if keep is None else columns.index[keep],
        n_dropped=0 if missing.rows is None else int(np.count_nonzero(missing.rows)),
        reader=FittedReader(
            fixed=built.parts[0],
            random=tuple(readers),
            offsets=expressions,
            array_offset=array is not None,
            context={name: value for name, value in used.items() if name in needed},
            state=environment.state,
        ),
        fixed=fixed_structure(built, X, environment, keep, kept_of_built),
        variables=_variables(formula.fixed, expressions, columns, keep),
    )


def _expand_dot(formula: MixedFormula, columns: Columns, weights: object, offset: object) -> MixedFormula:
    """Let ``.`` stand for every column that has no other place in the model."""
    taken = set(variables_of(formula.response.factor))
    for term in formula.random:
        taken.update(name for factor in term.groups for name in variables_of(factor))
    taken.update(value for value in (weights, offset, *formula.offsets) if isinstance(value, str))
    return parse(formula.text, tuple(name for name in columns if name not in taken))


def _names_in(expressions: Sequence[str], names: Mapping[str, object]) -> set[str]:
    return {name for name in names for expression in expressions if name in expression}


def _variables(
    terms: Sequence[Term], expressions: Sequence[str], columns: Columns, keep: NDArray[np.bool_] | None
) -> Variables:
    """Columns that the fixed terms and the offsets look up, as they were when the model was read."""
    factors = [factor for term in terms for factor in term.factors]
    for expression in expressions:
        method = Factor.EvalMethod.LOOKUP if expression in columns else Factor.EvalMethod.PYTHON
        factors.append(Factor(expression, eval_method=method))
    names = dict.fromkeys(name for factor in factors for name in variables_of(factor) if name in columns)
    return Variables(columns, names, keep)


def _code_groups(terms: Sequence[RandomTerm], environment: Environment, missing: MissingRows) -> dict[str, Coded]:
    """Code every column that takes part in a grouping factor, once."""
    coded: dict[str, Coded] = {}
    for term in terms:
        for factor in term.groups:
            if factor.expr not in coded:
                bare = factor.eval_method is Factor.EvalMethod.LOOKUP and factor.expr in environment.columns
                series = None if bare else environment.series(factor)
                code = environment.columns.coded(factor.expr) if series is None else code_factor(series, factor.expr)
                coded[factor.expr] = code
                unknown = code.codes < 0
                missing.note(factor.expr, unknown if unknown.any() else None)
    return coded


def _rows_to_keep(
    missing: MissingRows, zero: NDArray[np.bool_] | None
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Rows of the data to keep, and which rows of the matrices built without missing rows those are."""
    if missing.rows is None and zero is None:
        return None, None
    present = np.ones(missing.n_rows, dtype=bool) if missing.rows is None else ~missing.rows
    keep = present if zero is None else present & ~zero
    if not keep.any():
        counts = ", ".join(f"{name} ({count})" for name, count in missing.counts.items())
        raise DataError(f"No row is left: all {missing.n_rows} rows have a missing value or weight zero: {counts}.")
    return keep, None if zero is None else keep[present]


def _rows(values: NDArray[np.float64], keep: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    # A copy in any case: the arrays of a design must not change with the user's frame.
    return values.copy() if keep is None else values[keep]


def _random_designs(
    terms: Sequence[RandomTerm],
    coded: Mapping[str, Coded],
    keep: NDArray[np.bool_] | None,
    matrices: Sequence[NDArray[np.float64]],
    parts: Sequence[Any],
) -> tuple[list[RandomDesign], list[RandomReader]]:
    known: dict[tuple[str, ...], tuple[Grouping, GroupingReader]] = {}
    first: dict[frozenset[str], tuple[Factor, ...]] = {}
    random: list[RandomDesign] = []
    readers: list[RandomReader] = []
    for term, Z, part in zip(terms, matrices, parts, strict=True):
        # `a:b` and `b:a` are one grouping factor, under the name that comes first.
        groups = first.setdefault(frozenset(factor.expr for factor in term.groups), term.groups)
        grouping, reader = cross(tuple(factor.expr for factor in groups), coded, keep, known)
        structure = structure_named(term.structure, part.names, term.options)
        random.append(RandomDesign(grouping, part.names, Z, structure, term.text))
        readers.append(RandomReader(part, groups, reader))
    return random, readers
