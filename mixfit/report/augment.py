"""A row of figures for a fit, and a row for every observation, as broom.mixed's ``glance`` and ``augment``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.fitted.protocols import is_generalized, is_linear, is_nonlinear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["augment", "glance", "model_frame", "used_rows"]


def glance(fit: Fit) -> pd.DataFrame:
    """Return one row of figures for the fit, as broom.mixed's ``glance``.

    Returns
    -------
    DataFrame
        Columns ``nobs``, ``sigma``, ``logLik``, ``AIC``, ``BIC``, ``deviance`` (``REMLcrit`` of a REML fit; NaN
        for a family without a deviance) and ``df.residual``.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> fit.glance()["REMLcrit"].round(3).tolist()
    [18.626]
    """
    try:
        deviance = fit.deviance
    except FitError:
        deviance = np.nan
    row = {
        "nobs": fit.nobs,
        "sigma": fit.sigma,
        "logLik": fit.llf,
        "AIC": fit.aic,
        "BIC": fit.bic,
        "REMLcrit" if fit.reml else "deviance": deviance,
        "df.residual": fit.df_resid,
    }
    return pd.DataFrame([row])


def augment(fit: Fit, data: object = None) -> pd.DataFrame:
    """Return the rows used with fitted values, residuals and influence, as broom.mixed's ``augment``.

    Parameters
    ----------
    data : frame, optional
        The data of the fit, all of whose columns are to be kept. By default those that the model uses, as they were
        in the data, with ``(weights)`` and ``(offset)`` where it has them.

    Returns
    -------
    DataFrame, shape (nobs, ...)
        Added are ``.fitted`` (of a generalized model: the linear predictor), ``.resid`` (deviance residuals of a
        generalized model, Pearson's where its family has no deviance), ``.hat`` and ``.cooksd`` (`hatvalues`,
        `cooks_distance`), ``.fixed`` (predictor without random effects), and what lme4's response module
        holds: the mean ``.mu``, ``.offset``, ``.sqrtXwt`` (square root of the working weight), ``.sqrtrwt``
        (of the residual weight), prior ``.weights``, ``.wtres`` (weighted residual) and, of a generalized model,
        ``.eta``. Of ordered categories, residuals and means are of their numbers, and there are no leverages. Of
        unordered ones ``.fitted`` is the probability of the row's category, ``.class`` the likeliest one, and
        ``.prob.a`` the probability of a.

    Raises
    ------
    DataError
        For data in which the rows used cannot be found.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> fit.augment(pulp)[["operator", ".hat"]].shape
    (20, 2)
    """
    design = fit.model.observations
    frame = model_frame(design) if data is None else used_rows(data, design)
    columns: dict[str, object] = {}
    if is_linear(fit) or is_nonlinear(fit):
        columns = _linear(fit)
    elif is_generalized(fit):
        makers = {"ordinal": _ordinal, "multinomial": _unordered}
        columns = makers.get(fit.model.family.kind, _generalized)(fit)
    return frame.assign(**{name: np.asarray(values) for name, values in columns.items()})


def model_frame(design: Design) -> pd.DataFrame:
    """Lay out what a design holds of the data: the columns that it was read from, weights and offset.

    Of a design that was not read from data: response, columns and groups.

    Parameters
    ----------
    design : Design

    Returns
    -------
    DataFrame, shape (nobs, ...)
    """
    columns: dict[str, Any] = {}
    if design.frame is not None:
        columns |= {name: series.array for name, series in design.frame.items()}
    else:
        columns[design.endog_name] = design.y
        columns |= {name: x for name, x in zip(design.exog_names, design.X.T, strict=True) if name != "Intercept"}
        for term in design.random:
            pairs = zip(term.columns, term.Z.T, strict=True)
            columns |= {name: z for name, z in pairs if name != "Intercept" and name not in columns}
        for term in design.random:
            columns[term.grouping.name] = term.written.levels.take(term.written.codes)
    if design.weights is not None:
        columns["(weights)"] = design.weights
    if design.offset is not None:
        columns["(offset)"] = design.offset
    return pd.DataFrame(columns, index=design.index)


def used_rows(data: object, design: Design) -> pd.DataFrame:
    """Find the rows of the user's data that a fit used.

    Parameters
    ----------
    data : pandas.DataFrame, or any table that narwhals reads eagerly
    design : Design

    Returns
    -------
    DataFrame, shape (nobs, ...)

    Raises
    ------
    DataError
        Where the rows cannot be told.
    """
    frame = data if isinstance(data, pd.DataFrame) else _to_pandas(data)
    if frame.index.equals(design.index):
        return frame
    if not frame.index.is_unique:
        raise DataError(
            "Some rows were left out of the fit, and the index of data= repeats, so that they cannot be told: "
            "fit and augment a frame with an index of its own (reset_index)."
        )
    if not design.index.isin(frame.index).all():
        raise DataError(
            f"data= has {len(frame)} rows, and not all those that the fit used: give it the frame of the fit."
        )
    return frame.loc[design.index]


def _to_pandas(data: Any) -> pd.DataFrame:
    import narwhals as nw

    try:
        return nw.from_native(data, eager_only=True).to_pandas()
    except TypeError as error:
        raise DataError(
            f"data= must be a pandas, polars or pyarrow table in memory, not {type(data).__name__}."
        ) from error


def _linear(fit: Fit) -> dict[str, object]:
    design = fit.model.observations
    root = np.ones(fit.nobs) if design.weights is None else np.sqrt(design.weights)
    hat, cooks = _influence(fit)
    fitted = fit.fittedvalues
    return {
        ".fitted": fitted,
        ".resid": fit.resid,
        ".hat": hat,
        ".cooksd": cooks,
        ".fixed": fit.predict(re_form="population"),
        ".mu": fitted,
        ".offset": _offset(design),
        ".sqrtXwt": root,
        ".sqrtrwt": root,
        ".weights": root**2,
        ".wtres": fit.residuals("pearson"),
    }


def _generalized(fit: GeneralizedFit) -> dict[str, object]:
    family, eta, prior = fit.family, fit.estimate.eta, fit.prior
    mu = family.link.mean(eta)
    root = 1.0 / np.sqrt(family.row_variance(prior, mu, 1.0 if family.is_scaled else fit.dispersion))
    hat, cooks = _influence(fit)
    try:
        residuals = fit.residuals("deviance")
    except FitError:
        residuals = fit.residuals("pearson")
    return {
        ".fitted": eta,
        ".resid": residuals,
        ".hat": hat,
        ".cooksd": cooks,
        ".fixed": fit.predict(type="link", re_form="population"),
        ".mu": fit.fittedvalues,
        ".offset": _offset(fit.model.design),
        ".sqrtXwt": root * np.abs(family.link.slope(eta)),
        ".sqrtrwt": root,
        ".weights": prior,
        ".wtres": fit.residuals("pearson"),
        ".eta": eta,
    }


def _ordinal(fit: GeneralizedFit) -> dict[str, object]:
    return {
        ".fitted": fit.estimate.eta,
        ".resid": fit.residuals("deviance"),
        ".fixed": fit.predict(type="link", re_form="population"),
        ".mu": fit.fittedvalues,
        ".offset": _offset(fit.model.design),
        ".weights": fit.prior,
        ".wtres": fit.residuals("pearson"),
        ".eta": fit.estimate.eta,
    }


def _unordered(fit: GeneralizedFit) -> dict[str, object]:
    probabilities = fit.predict()
    return {
        ".fitted": fit.fittedvalues,
        ".resid": fit.residuals("deviance"),
        ".offset": _offset(fit.model.design),
        ".weights": fit.prior,
        ".wtres": fit.residuals("pearson"),
        ".class": fit.predict(what="class"),
        **{f".prob.{name}": probabilities[name] for name in probabilities},
    }


def _influence(fit: Fit) -> tuple[Array, Array]:
    from mixfit.inference.influence import cooks_distances
    from mixfit.lmm.working import leverages

    hat = leverages(fit.model.working_model(fit.estimate))
    p = len(fit.fixef) - len(fit.model.known_effects)
    return hat, cooks_distances(np.asarray(fit.residuals("scaled"), dtype=float), hat, p)


def _offset(design: Design) -> Array:
    return np.zeros(len(design.y)) if design.offset is None else design.offset
