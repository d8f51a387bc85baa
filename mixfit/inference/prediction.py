r"""Predictions with the variance of a new observation about them.

A new observation y0 = x'beta + z'b + e, e ~ N(0, sigma^2 / w), is predicted by x'beta^ + z_k'b~. The columns z_k are
those whose effects are predicted: kept by ``re_form``, and of a level that the fit saw. The effects of the others, z_u,
are those of levels that the fit never saw: independent of the data, as e is. So

    Var(y0 - y0^) = Var(x'(beta^ - beta) + z_k'(b~ - b)) + sum_t z_u'Sigma_t z_u + sigma^2 / w,

the first part as in `mixfit.lmm.prediction` (Henderson 1975, Biometrics 31, 423-447), Sigma_t = sigma^2 T_t T_t'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.arguments import row_weights
from mixfit.defaults import read_ddf
from mixfit.errors import FitError
from mixfit.fitted.curve_rows import curve_rows, curve_variance, curve_weights, rows_beside
from mixfit.fitted.kriging import kriged
from mixfit.fitted.marginal import marginal_means
from mixfit.fitted.predict import predictors_of, rows_to_predict
from mixfit.fitted.re_form import is_marginal, select
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.fixed_effects.denominator import parse_ddf
from mixfit.inference.prediction_degrees import mean_degrees, observation_degrees, structured_degrees
from mixfit.inference.prediction_results import PredictionResults, PredictionResultsMean
from mixfit.matrices.across import refuse_related
from mixfit.matrices.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit, LinearFit
    from mixfit.fitted.re_form import ReForm, Selection
    from mixfit.fitted.residual_covariance import StructuredFit

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["predict_curves", "predict_means", "predict_observations", "unpredicted_variance"]


def unpredicted_variance(
    Z: Sequence[Array], codes: Sequence[Index | None], selection: Selection, templates: Sequence[Array]
) -> Array:
    """Variance z_u'T T'z_u of the effects that are not predicted, relative to sigma^2.

    Parameters
    ----------
    Z : sequence of ndarray, shape (m, k_t)
        All columns left of the bar of every term.
    codes : sequence of (ndarray of intp, shape (m,), or None)
        Levels; negative for one that the fit never saw. None for a term that is left out.
    selection : tuple of ndarray of bool, shape (k_t,)
        Columns that are predicted where the level is known.
    templates : sequence of ndarray, shape (k_t, k_t)

    Returns
    -------
    ndarray, shape (m,)

    Examples
    --------
    >>> z, template = np.array([[1.0, 2.0], [1.0, 2.0]]), np.diag([3.0, 1.0])
    >>> unpredicted_variance([z], [np.array([0, -1])], (np.array([True, False]),), [template]).tolist()
    [4.0, 13.0]
    """
    total = np.zeros(len(Z[0]) if len(Z) else ())
    for z, code, keep, template in zip(Z, codes, selection, templates, strict=True):
        unpredicted = z if code is None else np.where(keep & (code >= 0)[:, None], 0.0, z)
        spread = unpredicted @ template
        total += np.einsum("ij,ij->i", spread, spread)
    return total


def predict_observations(
    fit: LinearFit,
    newdata: object,
    re_form: ReForm,
    allow_new_levels: bool,
    weights: ArrayLike | None,
    ddf: str | None = None,
) -> PredictionResults:
    """Means and observations: `LinearResults.get_prediction`."""
    kind = parse_ddf(fit, ddf)
    design, templates = fit.model.design, fit.estimate.templates
    selection = select("population" if is_marginal(re_form) else re_form, design.random)
    population = not any(keep.any() for keep in selection)
    if not population and ddf is not None and read_ddf(ddf) not in ("auto", "z"):
        raise FitError(
            f"ddf={ddf!r} has degrees of freedom of functions of the fixed effects, and these means have random "
            "effects in them: predict with re_form='population', or with ddf='z'."
        )
    left_out = [term for term, keep in zip(design.random, selection, strict=True) if not keep.all()]
    refuse_related(left_out, "an interval of observations around means without the term")
    rows = rows_to_predict(fit, newdata, selection, allow_new_levels)
    mean, variance, labels = predictors_of(fit, rows, selection, variance=True)
    assert variance is not None
    variance, df = mean_degrees(fit, rows.X, variance, kind) if population else (variance, None)
    Z, own_variance = [z for z in rows.Z if z is not None], rows.own_variance
    if len(Z) < len(rows.Z):
        columns, places = zip(*design.reader.read_random(newdata), strict=True)
        every, own_variance = kriged(fit, columns, places)
        Z = [z for z in every if z is not None]
    # the rows of the fit have the codes of all terms
    codes = [code if keep.any() else None for code, keep in zip(rows.codes, selection, strict=True)]
    own = design.weights if newdata is None else None
    residual = 1.0 / row_weights(weights, own, len(mean))
    if is_structured(fit):
        residual = residual * _relative_variances(fit, newdata)
    added = fit.scale * (unpredicted_variance(Z, codes, selection, templates) + residual)
    for one, code in zip(own_variance, codes, strict=False):
        if one is not None:
            # That of a known level is in the variance of the mean.
            added += one if code is None else np.where(code >= 0, 0.0, one)
    scale = None if design.transformation is None else design.transformation.text
    # Of effects that are related, or have a place, a level has a variance of its own.
    plain = population and all(one is None for one in own_variance)
    degrees = structured_degrees if is_structured(fit) else observation_degrees
    df_obs = degrees(fit, rows.X, Z, residual, kind) if plain else None  # type: ignore[arg-type]
    return PredictionResults(mean, np.sqrt(variance), np.sqrt(variance + added), labels, scale, df, df_obs)


def predict_curves(
    fit: Fit, newdata: object, re_form: ReForm, allow_new_levels: bool, weights: ArrayLike | None
) -> PredictionResults:
    """Curves and observations about them: `NonlinearResults.get_prediction`."""
    design, templates = fit.model.design, fit.estimate.templates
    selection = select(re_form, design.random)
    rows = curve_rows(fit, newdata, selection, allow_new_levels)
    variance = curve_variance(fit, rows)
    stacked = None if newdata is None else fit.model.stack.frame(Columns(newdata, "new data"))
    read = [(term.Z, None) for term in design.random] if stacked is None else design.reader.read_random(stacked)
    Z = [rows_beside(rows.slope, z) for z, _ in read]
    codes = [code if keep.any() else None for code, keep in zip(rows.codes, selection, strict=True)]
    residual = 1.0 / curve_weights(fit, newdata, weights)
    added = fit.sigma**2 * (unpredicted_variance(Z, codes, selection, templates) + residual)
    return PredictionResults(rows.value, np.sqrt(variance), np.sqrt(variance + added), rows.labels)


def _relative_variances(fit: StructuredFit, newdata: object) -> Array | float:
    """Residual variances over sigma^2 of rows to predict."""
    own = fit.model.stage.deviations(fit.estimate.psi) ** 2
    if newdata is None:
        return np.asarray(own)
    residual = fit.model.residual
    heterogeneous = residual.structures[0].n_deviations > 1 or len(residual.structures) > 1 or residual.spread_names
    if heterogeneous:
        raise FitError(
            "Intervals of new observations need the residual variance of the new rows, which varies over rows in this "
            "model: use predict(newdata, se=True), and add the variance that varcorr() gives."
        )
    return 1.0


def predict_means(
    fit: GeneralizedFit, newdata: object, re_form: ReForm, allow_new_levels: bool, ddf: str | None = None
) -> PredictionResultsMean:
    """Means: `GeneralizedResults.get_prediction`."""
    parse_ddf(fit, ddf)
    if fit.estimate.further:
        raise FitError(
            "get_prediction is for models of the mean alone, and this one has zi= or dispersion=: use "
            "predict(what='link', se=True), or predict(what='conditional', se=True)."
        )
    link = fit.response_link
    if is_marginal(re_form):
        return _averages(fit, newdata)
    selection = select(re_form, fit.model.design.random)
    rows = rows_to_predict(fit, newdata, selection, allow_new_levels)
    eta, variance, labels = predictors_of(fit, rows, selection, variance=True)
    assert variance is not None
    error = np.sqrt(variance)
    return PredictionResultsMean(
        predicted_mean=link.mean(eta),
        se_mean=error * np.abs(link.slope(eta)),
        linpred=eta,
        se_linpred=error,
        link=link,
        row_labels=labels,
    )


def _averages(fit: GeneralizedFit, newdata: object) -> PredictionResultsMean:
    """Means averaged over random effects; their intervals are those on the scale of the link."""
    link = fit.family.link
    if fit.response_link is not link:
        raise FitError(
            f"get_prediction makes intervals on the scale of a link, and the mean response of {fit.family!r} is no "
            "inverse of one: use predict(re_form='marginal', se=True)."
        )
    frame = pd.DataFrame(marginal_means(fit, newdata, True))
    mean, error = frame["mean"].to_numpy(), frame["mean_se"].to_numpy()
    eta = link.eta(mean)
    return PredictionResultsMean(
        predicted_mean=mean,
        se_mean=error,
        linpred=eta,
        se_linpred=error / np.abs(link.slope(eta)),
        link=link,
        row_labels=frame.index,
    )
