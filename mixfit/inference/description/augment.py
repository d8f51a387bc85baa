"""A row of figures for a fit, and a row for every observation, as broom.mixed's ``glance`` and ``augment``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.design.types import Design
    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]

__all__ = ["augment", "glance", "model_frame", "used_rows"]


def glance(fit: LinearResults | GeneralizedResults) -> pd.DataFrame:
    """Sum a fit up in one row.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults

    Returns
    -------
    DataFrame, shape (1, 7)
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


def augment(fit: LinearResults | GeneralizedResults, data: object = None) -> pd.DataFrame:
    """Put fitted values, residuals and influence beside the rows used.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    data : frame, optional

    Returns
    -------
    DataFrame, shape (nobs, ...)
    """
    from mixfit.results.generalized import GeneralizedResults

    design = fit.model.design
    frame = model_frame(design) if data is None else used_rows(data, design)
    columns = _generalized(fit) if isinstance(fit, GeneralizedResults) else _linear(fit)
    return frame.assign(**{name: np.asarray(values) for name, values in columns.items()})


def model_frame(design: Design) -> pd.DataFrame:
    """Lay out what a design holds of the data: response, columns, groups, weights and offset.

    Parameters
    ----------
    design : Design

    Returns
    -------
    DataFrame, shape (nobs, ...)
    """
    columns: dict[str, object] = {design.endog_name: design.y}
    columns |= {name: x for name, x in zip(design.exog_names, design.X.T, strict=True) if name != "Intercept"}
    for term in design.random:
        pairs = zip(term.columns, term.Z.T, strict=True)
        columns |= {name: z for name, z in pairs if name != "Intercept" and name not in columns}
    for term in design.random:
        columns[term.grouping.name] = term.grouping.levels.take(term.grouping.codes)
    if design.weights is not None:
        columns["(weights)"] = design.weights
    if design.offset is not None:
        columns["(offset)"] = design.offset
    return pd.DataFrame({name: np.asarray(values) for name, values in columns.items()}, index=design.index)


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

    return nw.from_native(data, eager_only=True).to_pandas()


def _linear(fit: LinearResults) -> dict[str, object]:
    n = fit.nobs
    root = np.ones(n) if fit.model.design.weights is None else np.sqrt(fit.model.design.weights)
    hat, cooks = _influence(fit)
    fitted = fit.fittedvalues
    return {
        ".fitted": fitted,
        ".resid": fit.resid,
        ".hat": hat,
        ".cooksd": cooks,
        ".fixed": fit.predict(re_form="population"),
        ".mu": fitted,
        ".offset": _offset(fit.model.design),
        ".sqrtXwt": root,
        ".sqrtrwt": root,
        ".weights": root**2,
        ".wtres": fit.residuals("pearson"),
    }


def _generalized(fit: GeneralizedResults) -> dict[str, object]:
    family, eta, prior = fit.model.family, fit.estimate.eta, fit._prior
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
        ".mu": mu,
        ".offset": _offset(fit.model.design),
        ".sqrtXwt": root * np.abs(family.link.slope(eta)),
        ".sqrtrwt": root,
        ".weights": prior,
        ".wtres": fit.residuals("pearson"),
        ".eta": eta,
    }


def _influence(fit: LinearResults | GeneralizedResults) -> tuple[Array, Array]:
    from mixfit.inference.diagnostics.influence import cooks_distances
    from mixfit.lmm.working import leverages

    hat = leverages(fit.model.working_model(fit.estimate))
    return hat, cooks_distances(fit._scaled_residuals(), hat, len(fit.params))


def _offset(design: Design) -> Array:
    return np.zeros(len(design.y)) if design.offset is None else design.offset
