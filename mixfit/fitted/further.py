"""What follows from the predictors after the mean's: the probability of a further zero, the dispersion of every row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit

from mixfit import wald
from mixfit.errors import FitError
from mixfit.families.several import DISPERSION, ZERO
from mixfit.fitted.linear_predictor import linear_predictor
from mixfit.fitted.predict import check_levels, predicted, row_predictors
from mixfit.fitted.re_form import select
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.fitted.re_form import ReForm
    from mixfit.glmm.types import FurtherEstimate

    Array = NDArray[np.float64]

# What there is to predict.
_WHAT = ("response", "conditional", "zero", "dispersion", "link")

__all__ = [
    "coefficients_of",
    "dispersion_of",
    "further_deviations",
    "further_of",
    "further_predictor",
    "further_tables",
    "mixed_moments",
    "predict_part",
    "zero_of",
]


def further_of(fit: GeneralizedFit, name: str) -> FurtherEstimate:
    """The estimates of a predictor after the mean's.

    Raises
    ------
    FitError
        For one that the model does not have.
    """
    further = fit.estimate.further
    if name not in further:
        has = ", ".join(["mean", *further])
        raise FitError(f"The model has the predictors {has}, and none called {name!r}.")
    return further[name]


def coefficients_of(fit: GeneralizedFit, name: str) -> pd.DataFrame:
    """Estimates, standard errors, z and p of a predictor after the mean's, a row a coefficient.

    Parameters
    ----------
    fit : GeneralizedResults
    name : str

    Returns
    -------
    DataFrame
    """
    found = further_of(fit, name)
    errors = np.sqrt(np.diagonal(found.cov_beta))
    z = wald.ratios(found.beta, errors)
    columns = {"Estimate": found.beta, "Std. Error": errors, "z value": z, "Pr(>|z|)": wald.p_values(z)}
    return pd.DataFrame(columns, index=pd.Index(found.names, dtype=object))


def further_tables(fit: GeneralizedFit) -> dict[str, pd.DataFrame]:
    """Tables of coefficients beside those of `fixef`, as a summary has them, by the names of the predictors."""
    return {name: coefficients_of(fit, name) for name in fit.estimate.further}


def further_deviations(fit: GeneralizedFit, name: str) -> str:
    """What a summary says of the random effects of a predictor after the mean's; empty where it has none."""
    own = next(p for p in fit.model.design.further if p.name == name)
    parts = []
    for term, template in zip(own.random, further_of(fit, name).templates, strict=True):
        deviations = np.sqrt(np.einsum("ij,ij->i", template, template))
        columns = ", ".join(f"{shown(c)} {d:.4g}" for c, d in zip(term.columns, deviations, strict=True))
        parts.append(f"{term.grouping.name}: {columns}")
    return f"Standard deviations of random effects: {'; '.join(parts)}" if parts else ""


def further_predictor(
    fit: GeneralizedFit, name: str, newdata: object = None, *, random: bool = True, allow_new_levels: bool = False
) -> Array:
    """Linear predictors of the rows of the fit, or of new ones, shape (m,).

    Parameters
    ----------
    fit : GeneralizedResults
    name : str
    newdata : frame, optional
    random : bool
        Whether random effects of this predictor are included.
    allow_new_levels : bool
        Whether a level that the fit never saw is predicted with a random effect of zero.

    Returns
    -------
    ndarray
    """
    found, design = further_of(fit, name), fit.model.design
    own = next(p for p in design.further if p.name == name)
    if newdata is None:
        offset = np.zeros(len(design.y)) if own.offset is None else own.offset
        Z = tuple(t.Z if random else None for t in own.random)
        codes = tuple(t.grouping.codes if random else None for t in own.random)
        return linear_predictor(own.X[:, found.kept], found.beta, offset, Z, codes, found.modes)
    wanted = tuple((random and p.name == name,) * len(p.random) for p in design.further)
    new = design.reader.read(newdata, (False,) * len(design.random), wanted)
    rows = next(p for p in new.further if p.name == name)
    if not allow_new_levels:
        check_levels(replace(new, Z=rows.Z, codes=rows.codes), own.random, newdata)
    return linear_predictor(rows.X[:, found.kept], found.beta, rows.offset, rows.Z, rows.codes, found.modes)


def zero_of(fit: GeneralizedFit) -> Array | None:
    """Probabilities of a further zero in the rows of the fit; None where none are modelled."""
    return expit(fit.estimate.further[ZERO].eta) if ZERO in fit.estimate.further else None


def dispersion_of(fit: GeneralizedFit, predictor: Array | None = None) -> Array | float:
    """phi of every row of the fit, or at values of its predictor; a number where it has none."""
    if DISPERSION not in fit.estimate.further:
        return fit.estimate.phi
    eta = fit.estimate.further[DISPERSION].eta if predictor is None else predictor
    out: Array = np.exp(fit.model.family.dispersion_power * eta)
    return out


def mixed_moments(fit: GeneralizedFit) -> tuple[Array, Array]:
    """E[y] and Var(y) of the rows of the fit, further zeros included."""
    family, eta, phi = fit.family, fit.estimate.eta, dispersion_of(fit)
    mean = family.expectation(eta, phi)
    variance = family.row_variance(fit.prior, family.link.mean(eta), phi)
    zero = zero_of(fit)
    if zero is None:
        return mean, variance
    return (1.0 - zero) * mean, (1.0 - zero) * (variance + zero * mean**2)


def predict_part(
    fit: GeneralizedFit, newdata: object, what: str, re_form: ReForm, allow_new_levels: bool, se: bool
) -> pd.Series[float] | pd.DataFrame:
    """Predictions of what `GeneralizedResults.predict` calls `what`."""
    further = fit.estimate.further
    if what not in _WHAT:
        raise FitError(f"what is one of {', '.join(map(repr, _WHAT))}, not {what!r}.")
    if what == "zero" and ZERO not in further:
        raise FitError("The model has no zi=, and so no probability of a further zero.")
    whole = re_form is None
    if not whole and select_any(re_form, fit) and any(f.modes for f in further.values()):
        raise FitError(
            "A re_form that keeps some random effects names those of the mean only, and zi= has some too: use None, "
            "for all, or 'population', for none."
        )
    alone = what in ("link", "conditional") and not (what == "conditional" and _needs_dispersion(fit))
    if se and not alone:
        raise FitError(
            f"predict(what={what!r}) has no standard errors where several predictors make it: use what='link', or a "
            "bootstrap."
        )
    eta, variance, labels = row_predictors(fit, newdata, re_form, allow_new_levels, variance=se)

    def other(name: str) -> Array:
        return further_predictor(fit, name, newdata, random=whole, allow_new_levels=allow_new_levels)

    if what == "zero":
        return pd.Series(expit(other(ZERO)), index=labels)
    phi = dispersion_of(fit, other(DISPERSION) if DISPERSION in further else None)
    if what == "dispersion":
        return pd.Series(np.broadcast_to(phi, eta.shape), index=labels)
    link = None if what == "link" else fit.family.response_link(phi)
    out = predicted(eta, variance, labels, link)
    if what == "response" and ZERO in further:
        out = out * (1.0 - expit(other(ZERO)))
    return out


def select_any(re_form: ReForm, fit: GeneralizedFit) -> bool:
    """Whether a form keeps any random effect of the mean."""
    return any(bool(keep.any()) for keep in select(re_form, fit.model.design.random))


def _needs_dispersion(fit: GeneralizedFit) -> bool:
    """Whether the mean response depends on a dispersion that is predicted."""
    family = fit.model.family
    return DISPERSION in fit.estimate.further and family.response_link(1.0) is not family.link
