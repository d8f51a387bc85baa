"""Predictions by draws: linear predictors, means, or new observations, of the rows of the fit or of new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.special import expit

from mixfit.errors import FitError
from mixfit.families.several import ZERO
from mixfit.fitted.further import further_rows
from mixfit.fitted.linear_predictor import kept_columns, term_effect
from mixfit.fitted.predict import rows_to_predict
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.re_form import select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.draws import PosteriorDraws
    from mixfit.fitted.re_form import ReForm
    from mixfit.matrices.new_rows import NewDesign
    from mixfit.matrices.types import Grouping

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Kind", "linear_predictors", "predict", "simulate"]

Kind = Literal["epred", "linpred", "predictive"]
NewLevels = Literal["error", "sample", "zero"]

# Numbers that are held at a time, rows times draws.
_CELLS_AT_ONCE = 4_000_000


def predict(
    posterior: PosteriorDraws,
    newdata: object = None,
    *,
    kind: Kind = "epred",
    new_levels: NewLevels = "error",
    re_form: ReForm = None,
    seed: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """Predict rows, a summary of the draws of each.

    Parameters
    ----------
    newdata : frame, optional
        Rows to predict, with the columns of the formula; the rows of the fit by default.
    kind : {"epred", "linpred", "predictive"}
        Means, linear predictors, or new observations, of weight 1 (or of as many trials as the fit's rows had, and 1
        for new data).
    new_levels : {"error", "sample", "zero"}
        What to do with a level that the fit never saw: refuse it, draw its effects from their distribution at each
        draw, or take them as zero. Rows of one such level share its effects where its labels can be read off the data.
    re_form : None, str, False or sequence of str
        Random effects to include, as in a fit's `predict`.
    seed : int, Generator or None
        Of new levels and observations.

    Returns
    -------
    DataFrame
        Columns ``mean``, ``sd``, ``5%``, ``95%``, a row a row.

    Raises
    ------
    NewLevelError
        For an unseen level, naming factor and level, with ``new_levels="error"``.

    Examples
    --------
    >>> import mixfit, pandas as pd
    >>> pulp = mixfit.datasets.load("pulp")
    >>> posterior = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit().sample(seed=1)
    >>> new = pd.DataFrame({"operator": ["d", "e"]}, index=["d", "e"])
    >>> table = posterior.predict(new, new_levels="sample", seed=1)
    >>> table["mean"].round(1).tolist(), bool(table.loc["e", "sd"] > table.loc["d", "sd"])
    ([60.6, 60.4], True)
    """
    rows, values = _draws(posterior, newdata, kind, new_levels, re_form, np.random.default_rng(seed))
    low, high = np.quantile(values, [0.05, 0.95], axis=1)
    columns = {"mean": values.mean(axis=1), "sd": values.std(axis=1, ddof=1), "5%": low, "95%": high}
    return pd.DataFrame(columns, index=rows.index)


def simulate(
    posterior: PosteriorDraws, n: int | None = None, *, seed: int | np.random.Generator | None = None
) -> pd.DataFrame:
    """Draw new responses on the rows of the fit: the posterior predictive distribution at the groups' own effects.

    Parameters
    ----------
    n : int, optional
        How many, each from another draw; all draws by default.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.

    Returns
    -------
    DataFrame, shape (nobs, n)
        Columns ``sim_1``, ``sim_2``, ...

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> posterior = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit().sample(seed=1)
    >>> posterior.simulate(100, seed=1).shape
    (20, 100)
    """
    total = int(np.prod(posterior.kept.beta.shape[:2]))
    if n is not None and not 1 <= n <= total:
        raise FitError(f"There are {total} draws to simulate from, not {n}.")
    rng = np.random.default_rng(seed)
    chosen = np.arange(total) if n is None else rng.permutation(total)[:n]
    rows, values = _draws(posterior, None, "predictive", "error", None, rng, chosen)
    return pd.DataFrame(values, index=rows.index, columns=[f"sim_{i + 1}" for i in range(len(chosen))])


def linear_predictors(posterior: PosteriorDraws) -> Array:
    """Linear predictors of the rows of the fit at every draw, (S, n)."""
    return _draws(posterior, None, "linpred", "error", None, np.random.default_rng(0))[1].T


def _draws(
    posterior: PosteriorDraws,
    newdata: object,
    kind: Kind,
    new_levels: NewLevels,
    re_form: ReForm,
    rng: np.random.Generator,
    chosen: Index | None = None,
) -> tuple[NewDesign, Array]:
    """Rows, and their predictions (m, S) by draw."""
    fit, kept = posterior.fit, posterior.kept
    random = fit.model.design.random
    selection = select(re_form, random)
    rows = rows_to_predict(fit, newdata, selection, new_levels != "error")
    size = int(np.prod(kept.beta.shape[:2]))
    at = np.arange(size) if chosen is None else chosen
    beta = kept.beta.reshape(size, -1)[at]
    terms = []
    for t, (z, codes) in enumerate(zip(kept_columns(rows.Z, selection), rows.codes, strict=True)):
        if z is None or codes is None:
            continue
        effects = np.moveaxis(kept.effects[t].reshape(size, *kept.effects[t].shape[2:])[at], 0, 2)
        if new_levels == "sample" and (codes < 0).any():
            codes, unseen = _unseen(codes, random[t].grouping, newdata)
            effects = np.concatenate([effects, _drawn(posterior, t, unseen, at, rng)])
        terms.append((z, codes, effects))
    out = np.empty((len(rows.X), len(at)))
    step = max(1, _CELLS_AT_ONCE // len(at))
    for first in range(0, len(out), step):
        part = slice(first, first + step)
        out[part] = rows.X[part] @ beta.T + rows.offset[part, None]
        for z, codes, effects in terms:
            out[part] += term_effect(z[part], codes[part], effects)
    drawn = _of_kind(posterior, out, kind, at, newdata is None, rng)
    if kind == "linpred" or not posterior.priors.zi or not is_generalized(fit):
        return rows, drawn
    further = further_rows(fit, ZERO, newdata, random=False, allow_new_levels=True)
    zero = expit(further.X @ posterior.zi[at].T + further.offset[:, None])
    if kind == "epred":
        return rows, (1.0 - zero) * drawn
    return rows, np.where(rng.random(drawn.shape) < zero, 0.0, drawn)


def _of_kind(
    posterior: PosteriorDraws, eta: Array, kind: Kind, at: Index, own_rows: bool, rng: np.random.Generator
) -> Array:
    fit = posterior.fit
    if kind not in ("epred", "linpred", "predictive"):
        raise FitError(f"kind={kind!r}: predictions are of kind 'epred', 'linpred' or 'predictive'.")
    if kind == "linpred":
        return eta
    if posterior.kept.thresholds is not None:
        raise FitError("Draws of ordered categories predict linear predictors: kind='linpred'.")
    if is_generalized(fit):
        phi = posterior.phi[at]
        if kind == "epred":
            return fit.family.expectation(eta, phi)
        prior = fit.prior if own_rows else np.ones(len(eta))
        return fit.family.simulate(fit.family.link.mean(eta).T, prior, phi[:, None], rng).T
    if kind == "epred":
        return eta
    weights = fit.model.design.weights if own_rows else None
    spread = posterior.sigma[at] * (1.0 if weights is None else 1.0 / np.sqrt(weights)[:, None])
    return eta + spread * rng.standard_normal(eta.shape)


def _unseen(codes: Index, grouping: Grouping, newdata: object) -> tuple[Index, int]:
    """Codes that go on for unseen levels, and how many these are: each label one, or each row where none is read."""
    q, new = grouping.n_levels, np.flatnonzero(codes < 0)
    parts = [grouping.name] if _has(newdata, [grouping.name]) else grouping.name.replace("`", "").split(":")
    labels: list[object] = list(new.tolist())
    if _has(newdata, parts):
        columns = [np.asarray(newdata[part])[new] for part in parts]  # type: ignore[index]
        labels = list(zip(*(column.tolist() for column in columns), strict=True))
    number = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    out = codes.copy()
    out[new] = [q + number[label] for label in labels]
    return out, len(number)


def _has(newdata: object, names: list[str]) -> bool:
    return set(names) <= set(map(str, getattr(newdata, "columns", ())))


def _drawn(posterior: PosteriorDraws, t: int, levels: int, at: Index, rng: np.random.Generator) -> Array:
    """Effects (levels, k, S) of levels that nobody has seen."""
    templates = posterior.templates(t)[at]
    return np.einsum("sij,qjs->qis", templates, rng.standard_normal((levels, templates.shape[1], len(at))))
