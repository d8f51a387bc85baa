"""One formula for many groups of rows, or for many responses: designs that agree are fitted as one array problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.arguments import check_flag
from mixfit.errors import ArgumentError, DataError, FitError, MixfitError
from mixfit.fitted import singular as singularity
from mixfit.helped import helped
from mixfit.inference.profiles.parameters import parameter_array, parameter_names, parameter_values
from mixfit.inference.refit import mapped
from mixfit.lmm.batch.designs import fit_designs
from mixfit.lmm.batch.estimate import Batch
from mixfit.matrices.alike import Alike
from mixfit.model.linear import LinearMixedModel
from mixfit.model.many_designs import stacked_designs
from mixfit.model.many_sources import read_groups, read_responses
from mixfit.model.mixed import mixed
from mixfit.progress import progress_bar
from mixfit.results.many import ManyFits
from mixfit.spellings import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.batch.estimate import BatchEstimates
    from mixfit.model.many_sources import FitSource

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["fit_many"]

# Responses of one design that are worth an array of their own: one takes as long together as two alone.
_FEWEST_TOGETHER = 3
# Fits that a process does before it reports.
_TASK = 20
# Columns of the facts, with missing values where a key has no fit.
_FACTS = {"nobs": "Int64", "llf": "float64", "is_singular": "boolean"}
# Keys that a message names.
_KEYS = 10
# Options of `mixed` under which a model may still be one that is fitted together.
_PLAIN = {"weights", "offset", "context", "na_action", "solver"}


@dataclass(frozen=True, eq=False)
class _Part:
    """What is kept of some fits: frames with a row a key, by number, and why the others have none."""

    estimates: pd.DataFrame
    errors: pd.DataFrame
    facts: pd.DataFrame
    failures: dict[int, str]


@helped
def fit_many(
    formula: str,
    data: Any,
    *,
    by: str | Sequence[str] | None = None,
    responses: Sequence[str] | pd.DataFrame | None = None,
    reml: bool = True,
    n_jobs: int | None = 1,
    progress: bool = True,
    **options: Any,
) -> ManyFits:
    """Fit one formula to every group of rows, or to every one of many responses.

    Linear models with one grouping factor whose covariates agree (the same subjects and times for each gene, whatever
    the order of the rows) are fitted together as one array problem, 100 times as fast as one by one. So are those whose
    covariates differ, where the formula's terms are products of columns as they stand, though not as fast. All others
    are fitted one after another: what a group lacks (a level of a factor, variation) asks for a look of its own.

    Parameters
    ----------
    formula : str
        As `mixfit.mixed` takes it; with `responses` one-sided, ``"~ x + (1 | g)"``.
    data : pandas.DataFrame, or any table that narwhals reads eagerly
        One row an observation.
    by : str or sequence of str, optional
        Columns whose values say which group a row is in. Either this or `responses`.
    responses : sequence of str, or DataFrame of shape (n, R), optional
        Columns of the data, or a frame with a column a response and the rows of the data.
    reml : bool
        Of linear models.
    n_jobs : int or None
        Processes for what is not fitted together, as joblib counts them.
    progress : bool
        Whether a bar is shown once the fits have taken two seconds.
    **options
        As `mixfit.mixed` takes them: ``family=``, ``weights=``, ...; what is a value a row is named by its column.

    Returns
    -------
    ManyFits
        ``.estimates``, ``.bse``, ``.facts``, ``.failures`` by key, and ``.fit(key)`` for everything else.

    Raises
    ------
    ArgumentError
        Without `by` and `responses`, with both, and for an option that is one value a row.
    FormulaError, DataError
        For what cannot be read of the data as a whole. What goes wrong with one key is among the failures.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> sleep["speed"] = 1000.0 / sleep["Reaction"]
    >>> many = mixfit.fit_many("~ Days + (Days | Subject)", sleep, responses=["Reaction", "speed"])
    >>> many.estimates.loc["Reaction", ["Intercept", "Days"]].round(2).tolist()
    [251.41, 10.47]
    >>> many.fit("speed").converged
    True
    """
    check_flag("reml", reml)
    if (by is None) == (responses is None):
        raise ArgumentError("fit_many takes by=, columns that tell groups of rows, or responses=, many of them.")
    source: FitSource
    if by is not None:
        source = read_groups(formula, data, by, options)
    else:
        assert responses is not None
        source = read_responses(formula, data, responses, options)
    return ManyFits(
        formula=formula,
        **_frames(source, options, reml, n_jobs, progress),
        fit=partial(_fit_key, source, options, reml),
    )


def _frames(source: FitSource, options: Mapping[str, Any], reml: bool, n_jobs: int | None, progress: bool) -> Any:
    parts: list[_Part] = []
    alone: list[int] = []
    with progress_bar(len(source.keys), progress=progress, unit="fit") as bar:
        if source.has_columns and set(options) <= _PLAIN:
            few = []
            for alike in source.alike():
                if len(alike.members) < _FEWEST_TOGETHER:
                    few.append(alike)
                else:
                    parts += _shared(source, alike, options, reml, bar.update)
            fitted: set[int] = set()
            for part in _stacked(source, few, options, reml):
                parts.append(part)
                fitted.update(part.facts.index.tolist())
                bar.update(len(part.facts))
            for alike in few:
                left = [x for x, number in enumerate(alike.members.tolist()) if number not in fitted]
                if len(left) == 1:
                    alone.append(int(alike.members[left[0]]))
                elif left:
                    parts += _shared(source, Alike(alike.members[left], alike.rows[left]), options, reml, bar.update)
        else:
            alone = list(range(len(source.keys)))
        work = [(source, alone[at : at + _TASK], options, reml) for at in range(0, len(alone), _TASK)]
        for part in mapped(_one_by_one, work, n_jobs):
            parts.append(part)
            bar.update(len(part.facts) + len(part.failures))
    return _joined(source.keys, parts)


def _stacked(source: FitSource, few: Sequence[Alike], options: Mapping[str, Any], reml: bool) -> Iterator[_Part]:
    """Fits of designs that differ, those that can be made together."""
    members = np.concatenate([np.empty(0, dtype=np.intp), *(alike.members for alike in few)])
    designs = stacked_designs(source, members, options) if len(members) >= _FEWEST_TOGETHER else None
    model: LinearMixedModel | None = None
    for block in () if designs is None else designs.blocks():
        many = fit_designs(block.rows, reml=reml)
        if not len(many.fitted):
            continue
        own = block.members[many.fitted]
        if model is None:
            # All have columns of the same names.
            try:
                made = mixed(*source.piece(int(own[0])), **options)
            except MixfitError:
                # Something is wrong with the formula, which each key is told by itself.
                return
            assert isinstance(made, LinearMixedModel)
            model = made
        yield _part(model, own, many.estimates, np.bincount(block.rows.design)[many.fitted], many.is_singular)


def _part(
    model: LinearMixedModel, members: Index, many: BatchEstimates, nobs: int | Index, singular: NDArray[np.bool_]
) -> _Part:
    """What is kept of fits that were made together."""
    fine = np.array([not reason for reason in many.failures], dtype=bool)
    values = parameter_array(model, many.beta, many.thetas, many.sigma, many.sigma)
    errors = np.sqrt(np.einsum("raa->ra", many.cov_beta))
    facts = pd.DataFrame({"nobs": nobs, "llf": -0.5 * many.criterion, "is_singular": singular}, index=members)
    return _Part(
        pd.DataFrame(values, index=members, columns=parameter_names(model))[fine],
        pd.DataFrame(errors, index=members, columns=list(model.exog_names))[fine],
        facts[fine],
        {int(number): reason for number, reason in zip(members, many.failures, strict=True) if reason},
    )


def _joined(keys: pd.Index, parts: Sequence[_Part]) -> dict[str, Any]:
    """All parts by key, in the order of the keys."""

    def every(frames: list[pd.DataFrame]) -> pd.DataFrame:
        there = [frame for frame in frames if len(frame)]
        whole = pd.concat(there) if there else pd.DataFrame()
        return whole.reindex(range(len(keys))).set_axis(keys)

    facts = every([part.facts for part in parts]).reindex(columns=list(_FACTS)).astype(_FACTS)
    failures = sorted((number, why) for part in parts for number, why in part.failures.items())
    return {
        "estimates": every([part.estimates for part in parts]),
        "bse": every([part.errors for part in parts]),
        "facts": facts,
        "failures": {keys[number]: why for number, why in failures},
    }


def _shared(
    source: FitSource, alike: Alike, options: Mapping[str, Any], reml: bool, done: Callable[[int], object]
) -> Iterator[_Part]:
    """Fits of one design."""
    y = source.responses(alike)
    model, failures = None, {}
    for r, number in enumerate(alike.members):
        # A response that the design explains perfectly has no model, but says nothing of the others.
        try:
            model = mixed(*source.piece(int(number), alike.rows[r]), **options)
            break
        except ArgumentError:
            # What is wrong with the call is wrong for every key.
            raise
        except MixfitError as error:
            failures[int(number)] = _reason(error)
            done(1)
    if failures:
        yield _Part(pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), failures)
    if model is None:
        return
    assert isinstance(model, LinearMixedModel)
    # Rows of weight zero are in no design.
    y, members = y[len(failures) :, model.design.index], alike.members[len(failures) :]
    batch = Batch.of(model.assembly, model.design.offset) if len(members) >= _FEWEST_TOGETHER else None
    size = _TASK if batch is None else batch.block
    for first in range(0, len(members), size):
        some, own = members[first : first + size], y[first : first + size]
        yield (
            _alone(some, [partial(_refitted, model, response, reml) for response in own])
            if batch is None
            else (_together(model, batch, some, own, reml))
        )
        done(len(some))


def _together(model: LinearMixedModel, batch: Batch, members: Index, y: Array, reml: bool) -> _Part:
    many = batch.fit(np.ascontiguousarray(y.T), reml=reml)
    random = model.design.random
    singular = np.full(len(members), any(singularity.undetermined(term) for term in random))
    for term, templates, scale in zip(random, many.templates, singularity.column_scales(random), strict=True):
        singular |= term.structure.is_singular(templates, scale)
    return _part(model, members, many, y.shape[1], singular)


def _one_by_one(source: FitSource, members: Sequence[int], options: Mapping[str, Any], reml: bool) -> _Part:
    return _alone(members, [partial(_fit_number, source, options, reml, number) for number in members])


def _alone(members: Sequence[int] | Index, fits: Sequence[Callable[[], Any]]) -> _Part:
    """What is kept of fits that are made one after another."""
    estimates, errors, facts, failures = {}, {}, {}, {}
    for number, make in zip(members, fits, strict=True):
        try:
            fit = make()
            if not fit.converged:
                raise FitError(f"not converged: {fit.certificate.message}")
            values, bse = parameter_values(fit), fit.bse
        except ArgumentError:
            raise
        except (MixfitError, np.linalg.LinAlgError, FloatingPointError) as error:
            failures[int(number)] = _reason(error)
            continue
        estimates[int(number)], errors[int(number)] = values.to_dict(), bse.to_dict()
        facts[int(number)] = {"nobs": fit.nobs, "llf": fit.llf, "is_singular": fit.is_singular}
    frames = [pd.DataFrame.from_dict(rows, orient="index") for rows in (estimates, errors, facts)]
    return _Part(frames[0], frames[1], frames[2], failures)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _refitted(model: LinearMixedModel, y: Array, reml: bool) -> Any:
    return model.with_response(y).fit(reml=reml)


def _fit_number(source: FitSource, options: Mapping[str, Any], reml: bool, number: int) -> Any:
    model = mixed(*source.piece(number), **options)
    return model.fit() if hasattr(model, "family") else model.fit(reml=reml)


def _fit_key(source: FitSource, options: Mapping[str, Any], reml: bool, key: Hashable) -> Any:
    """The whole result of one key.

    Raises
    ------
    DataError
        For a key that there is none of.
    """
    try:
        number = source.keys.get_loc(key)
    except (KeyError, TypeError, pd.errors.InvalidIndexError):
        number = None
    # Keys occur once; a part of one, of several columns, is none.
    if not isinstance(number, int):
        keys = source.keys.tolist()
        some = ", ".join(map(repr, keys[:_KEYS])) + ", ..." * (len(keys) > _KEYS)
        near = nearest(key, [k for k in keys if isinstance(k, str)]) if isinstance(key, str) else ""
        raise DataError(f"fit({key!r}): there is no such key among the {len(keys)}: {some}.{near}")
    return _fit_number(source, options, reml, number)
