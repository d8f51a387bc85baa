"""From a parsed formula and data to the arrays of the model."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from formulaic.parser.types import Factor

from mixfit.covariance.columns import Across, Among, GivenColumns, Places
from mixfit.covariance.registry import read_structure
from mixfit.errors import ArgumentError, DataError
from mixfit.formula import (
    CENSORED,
    MixedFormula,
    PredictorFormula,
    RandomTerm,
    Response,
    parse,
    parse_predictor,
    variables_of,
)
from mixfit.matrices.across import among, spread
from mixfit.matrices.censored import read_censored
from mixfit.matrices.columns import Coded, Columns, MissingRows, code_factor
from mixfit.matrices.environment import Environment
from mixfit.matrices.excluded import Excluded
from mixfit.matrices.grouping import GroupingReader, as_text, check_random, cross
from mixfit.matrices.ordered import read_categories
from mixfit.matrices.parts import build_parts, check_finite, check_names, fixed_structure, materialize, plan_part
from mixfit.matrices.prior import PriorReader
from mixfit.matrices.probe import make_probe
from mixfit.matrices.reader import FittedReader, PredictorReader, RandomReader, probed_items
from mixfit.matrices.residual import RESIDUAL, check_places, has_blocks
from mixfit.matrices.response_steps import transformation_of
from mixfit.matrices.saturation import check_saturation
from mixfit.matrices.shared import share_terms
from mixfit.matrices.types import MEAN, Design, Grouping, Predictor, RandomDesign
from mixfit.matrices.variables import Variables
from mixfit.matrices.vectors import argument_vector, check_weights, read_binomial, read_response, sum_offsets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.matrices.parts import Part

__all__ = ["build", "expand_dot"]


# What an expression computes of values outside its domain is missing, and said.
@np.errstate(divide="ignore", invalid="ignore")
def build(
    formula: MixedFormula,
    data: object,
    weights: object = None,
    offset: object = None,
    na_action: Literal["drop", "raise", "exclude"] = "drop",
    context: Mapping[str, Any] | None = None,
    *,
    binomial: bool = False,
    categories: Literal["ordered", "unordered"] | None = None,
    censors: bool = False,
    residual: bool = True,
    further: Mapping[str, PredictorFormula] | None = None,
    links: Mapping[str, Link] | None = None,
    state: Mapping[str, Any] | None = None,
    check: bool = True,
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
    na_action : {"drop", "raise", "exclude"}
        What to do with rows in which anything that the model uses is missing; "exclude" leaves them out, and results
        are padded to them.
    context : mapping of str to object, optional
        More names for the formula's expressions, besides the columns, ``np`` and formulaic's transforms.
    binomial : bool
        Whether the response may be ``cbind(...)``, boolean or a two-level factor; `y` is then a proportion
        and `weights` the number of trials.
    categories : {"ordered", "unordered"}, optional
        Of a response in categories; `y` are then their numbers, from 1 on.
    censors : bool
        Whether the response may be ``censored(time, event)``; `y` is then signed, negative where a row is censored.
    residual : bool
        Whether the model has a residual variance, which effects of single observations would be lost in.
    further : mapping of str to PredictorFormula, optional
        From `mixfit.formula.parse_predictor`: predictors of other parameters than the mean, by name.
    links : mapping of str to Link, optional
        Of the mean and of the further predictors, by name.
    state : mapping of str to dict, optional
        What transforms have learned already, from more rows than these, by their calls.
    check : bool
        Whether to refuse what these rows cannot tell apart.

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
    if na_action not in ("drop", "raise", "exclude"):
        raise ArgumentError(f"na_action is 'drop', 'raise' or 'exclude', not {na_action!r}.")
    columns = Columns(data)
    if columns.n_rows == 0:
        raise DataError("The data have no rows.")
    formulas: dict[str, PredictorFormula] = {MEAN: formula, **(further or {})}
    for name, given in formulas.items():
        if given.uses_dot:
            formulas[name] = expand_dot(given, formula.response, columns, weights, offset)
    used = {name: value for name, value in (context or {}).items() if name not in columns}
    environment = Environment(columns, used, deepcopy(dict(state or {})))
    for given in formulas.values():
        environment.require(given.variables, given.text)

    missing = MissingRows(columns.n_rows)
    trials = ordered = None
    if binomial:
        y, trials = read_binomial(formula.response, environment, missing)
    elif categories is not None:
        ordered = read_categories(formula.response, environment, missing, ordered=categories == "ordered")
        y = ordered.numbers
    elif censors and formula.response.function == CENSORED:
        y = read_censored(formula.response, environment, missing)
    else:
        y = read_response(formula.response, environment, missing)
    planned = [
        _plan(name, given, offset if name == MEAN else None, environment, missing) for name, given in formulas.items()
    ]
    prior = None if weights is None else argument_vector(weights, "weights", environment, missing)
    if trials is not None:
        prior = trials if prior is None else prior * trials
    zero = None if prior is None else check_weights(prior)
    coded = _code_groups([term for given in formulas.values() for term in given.random], environment, missing)
    built = materialize([part for plan in planned for part in plan.parts], environment, missing)
    if na_action == "raise":
        missing.refuse()

    rows = _rows_to_keep(missing, zero)
    missing.say_undefined()
    ordered = None if ordered is None else ordered.of(rows.keep)
    matrices = build_parts(built, columns, rows.keep, rows.kept_of_built)
    groups = _Groups(coded, rows.keep, {}, {})
    predictors, readers, at = [], [], 0
    for plan in planned:
        parts = slice(at, at + len(plan.parts))
        link = (links or {}).get(plan.name)
        reader, random = _random_terms(plan, built.parts[parts], matrices[parts], groups, used)
        structure = fixed_structure(reader.fixed, matrices[at], environment, built.coded, rows.keep, rows.kept_of_built)
        total = None if plan.offset is None else _rows(plan.offset, rows.keep)
        text = plan.formula.text
        predictors.append(Predictor(plan.name, matrices[at], reader.fixed.names, random, total, structure, link, text))
        readers.append(reader)
        at = parts.stop
    if check:
        _check(predictors, residual=residual)
    if any(term.shared is not None for given in formulas.values() for term in given.random):
        terms = [plan.formula.random for plan in planned]
        predictors, readers = share_terms(predictors, readers, terms, used.__getitem__)
    needed = {name for given in formulas.values() for name in given.variables}
    needed |= {name for plan in planned for name in _names_in(plan.expressions, used)}
    variables = _variables(planned, columns)
    frame = _frame(formulas.values(), variables, weights, columns, rows.keep)
    mean, *others = predictors
    return Design(
        y=_rows(y, rows.keep) if ordered is None else ordered.numbers,
        X=mean.X,
        exog_names=mean.exog_names,
        endog_name=formula.response.text,
        random=mean.random,
        weights=None if prior is None else _rows(prior, rows.keep),
        offset=mean.offset,
        index=columns.index if rows.keep is None else columns.index[rows.keep],
        n_dropped=0 if missing.rows is None else int(np.count_nonzero(missing.rows)),
        reader=FittedReader(
            predictors=tuple(readers),
            context={name: value for name, value in used.items() if name in needed},
            state=environment.state,
            probe=make_probe(probed_items(predictors, readers), columns, rows.keep),
            prior=PriorReader(
                formula.response.arguments or () if binomial else (),
                weights if isinstance(weights, str) else None,
                weights is not None and not isinstance(weights, str),
            ),
        ),
        fixed=mean.fixed,
        variables=frame.only(variables),
        frame=frame,
        link=mean.link,
        further=tuple(others),
        transformation=None if binomial or categories else transformation_of(formula.response, environment, y),
        categories=None if ordered is None else ordered.categories,
        censored=censors and formula.response.function == CENSORED,
        excluded=Excluded(columns.index, rows.keep) if na_action == "exclude" and rows.keep is not None else None,
    )


@dataclass(frozen=True, eq=False)
class _Plan:
    """A predictor before its columns are built: how its parts are, and its offset on all rows of the data."""

    name: str
    formula: PredictorFormula
    parts: tuple[Part, ...]
    expressions: tuple[str, ...]
    array_offset: bool
    offset: NDArray[np.float64] | None


def _plan(
    name: str, formula: PredictorFormula, offset: object, environment: Environment, missing: MissingRows
) -> _Plan:
    expressions = formula.offsets + ((offset,) if isinstance(offset, str) else ())
    array = None if isinstance(offset, str) else offset
    total = sum_offsets(expressions, array, environment, missing)
    parts = [plan_part(formula.fixed, formula.bare, environment.columns, environment.state)]
    parts += [plan_part(term.terms, term.bare, environment.columns, environment.state) for term in formula.random]
    return _Plan(name, formula, tuple(parts), expressions, array is not None, total)


def expand_dot(
    formula: PredictorFormula, response: Response, columns: Columns, weights: object, offset: object
) -> PredictorFormula:
    """Let ``.`` stand for every column that has no other place in the model."""
    taken = set(variables_of(response.factor))
    for term in formula.random:
        taken.update(name for factor in term.groups for name in variables_of(factor))
    taken.update(value for value in (weights, offset, *formula.offsets) if isinstance(value, str))
    names = tuple(name for name in columns if name not in taken)
    # Whether there must be random terms was asked when the text was read.
    if isinstance(formula, MixedFormula):
        return parse(formula.text, names, random=None)
    return parse_predictor(formula.text, names)


def _names_in(expressions: Sequence[str], names: Mapping[str, object]) -> set[str]:
    return {name for name in names for expression in expressions if name in expression}


def _variables(planned: Sequence[_Plan], columns: Columns) -> list[str]:
    """Columns that the fixed terms and the offsets look up."""
    factors = [factor for plan in planned for term in plan.formula.fixed for factor in term.factors]
    expressions = (expression for plan in planned for expression in plan.expressions)
    factors += [_factor(expression, columns) for expression in expressions]
    return list(dict.fromkeys(name for factor in factors for name in variables_of(factor) if name in columns))


def _frame(
    formulas: Iterable[PredictorFormula],
    variables: Sequence[str],
    weights: object,
    columns: Columns,
    keep: NDArray[np.bool_] | None,
) -> Variables:
    """All columns that the model looks up, as they were when it was read: the response first, the weights last."""
    names = [name for formula in formulas for name in formula.variables] + list(variables)
    if isinstance(weights, str):
        names += variables_of(_factor(weights, columns))
    return Variables(columns, dict.fromkeys(name for name in names if name in columns), keep)


def _factor(expression: str, columns: Columns) -> Factor:
    """A column, or an expression over columns, as formulas have it."""
    method = Factor.EvalMethod.LOOKUP if expression in columns else Factor.EvalMethod.PYTHON
    return Factor(expression, eval_method=method)


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
                if unknown.any():
                    missing.note(factor.expr, unknown, environment.without(factor.expr))
    return coded


@dataclass(frozen=True, eq=False)
class _Kept:
    """Rows of the data to keep, and which rows of the matrices built without missing rows those are; None for all."""

    keep: NDArray[np.bool_] | None
    kept_of_built: NDArray[np.bool_] | None


def _rows_to_keep(missing: MissingRows, zero: NDArray[np.bool_] | None) -> _Kept:
    if missing.rows is None and zero is None:
        return _Kept(None, None)
    present = np.ones(missing.n_rows, dtype=bool) if missing.rows is None else ~missing.rows
    keep = present if zero is None else present & ~zero
    if not keep.any():
        counts = ", ".join(f"{name} ({count})" for name, count in missing.counts.items())
        raise DataError(f"No row is left: all {missing.n_rows} rows have a missing value or weight zero: {counts}.")
    return _Kept(keep, None if zero is None else keep[present])


def _rows(values: NDArray[np.float64], keep: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    # A copy in any case: the arrays of a design must not change with the user's frame.
    return values.copy() if keep is None else values[keep]


@dataclass(frozen=True, eq=False)
class _Groups:
    """Grouping factors of all predictors: columns as codes, and every factor made of them so far, by its names."""

    coded: Mapping[str, Coded]
    keep: NDArray[np.bool_] | None
    known: dict[tuple[str, ...], tuple[Grouping, GroupingReader]]
    first: dict[frozenset[str], tuple[Factor, ...]]


def _random_terms(
    plan: _Plan,
    parts: Sequence[Part],
    matrices: Sequence[NDArray[np.float64]],
    groups: _Groups,
    context: Mapping[str, Any],
) -> tuple[PredictorReader, tuple[RandomDesign, ...]]:
    """How a predictor reads new rows, and its random terms; the first part and matrix are those of its fixed terms."""
    random: list[RandomDesign] = []
    readers: list[RandomReader] = []
    for term, Z, part in zip(plan.formula.random, matrices[1:], parts[1:], strict=True):
        # `a:b` and `b:a` are one grouping factor, under the name that comes first.
        factors = groups.first.setdefault(frozenset(factor.expr for factor in term.groups), term.groups)
        grouping, reader = cross(tuple(factor.expr for factor in factors), groups.coded, groups.keep, groups.known)
        check_finite(Z, part.names, term.text)
        labels = partial(_labels, grouping)
        given = GivenColumns(
            term.text, part.names, Z, term.options, context.__getitem__, labels, of_residuals=plan.name == RESIDUAL
        )
        # Of a term that shares its covariance the structure is that of all columns.
        alone = (term.structure, given) if term.shared is None else ("us", replace(given, options=()))
        structure, recoding = read_structure(*alone)
        if isinstance(recoding, Across):
            one, columns, levels, across = spread(grouping, reader, recoding, Z)
            random.append(RandomDesign(one, recoding.names, columns, structure, term.text, levels))
            readers.append(RandomReader(part, factors, reader, recoding, across))
            continue
        if isinstance(recoding, Among):
            nodes, across = among(grouping, reader, recoding)
            random.append(RandomDesign(nodes, recoding.names, Z, structure, term.text))
            readers.append(RandomReader(part, factors, reader, recoding, across))
            continue
        # Residuals are looked at within blocks: the many places of a field need no column each.
        kept = recoding is None or (plan.name == RESIDUAL and has_blocks(structure))
        if isinstance(recoding, Places) and not kept:
            check_places(term.text, structure, recoding, grouping)
        names, columns = (part.names, Z) if kept or recoding is None else (recoding.names, recoding.apply(Z))
        random.append(RandomDesign(grouping, names, columns, structure, term.text))
        readers.append(RandomReader(part, factors, reader, recoding))
    return PredictorReader(plan.name, parts[0], tuple(readers), plan.expressions, plan.array_offset), tuple(random)


def _labels(grouping: Grouping) -> tuple[str, ...]:
    return tuple(as_text(grouping.levels))


def _check(predictors: Sequence[Predictor], *, residual: bool) -> None:
    """Refuse columns of one name, infinite columns, and random terms that the rows cannot tell apart."""
    for predictor in predictors:
        where = "the fixed effects" if predictor.name == MEAN else f"the fixed effects of {predictor.name}"
        for matrix, names, part in (
            (predictor.X, predictor.exog_names, where),
            *((term.Z, term.columns, term.text) for term in predictor.random),
        ):
            check_names(names, part)
            check_finite(matrix, names, part)
        # Only the mean's effects are lost in the residual.
        lost = residual and predictor.name == MEAN
        check_random(predictor.random, len(predictor.X), residual=lost)
        if lost:
            check_saturation(predictor.random, predictor.X)
