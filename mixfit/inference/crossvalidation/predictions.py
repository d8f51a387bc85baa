"""What is predicted of left-out rows: without refits where theta is held in a linear model, else fit by fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.families.integrated import IntegratedMean
from mixfit.families.predictive import log_predictive
from mixfit.fitted.linear_predictor import complete_variance, linear_predictor
from mixfit.fitted.protocols import is_generalized, is_linear, is_nonlinear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.crossvalidation.curves import curves_left_out
from mixfit.inference.crossvalidation.held_out import held_out
from mixfit.inference.crossvalidation.refits import are_known, codes_among, refit_without, refuse_unknown, rows_left
from mixfit.matrices.across import refuse_given, refuse_related

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.fitted.protocols import Fit, GeneralizedFit, LinearFit
    from mixfit.inference.crossvalidation.splits import Splits

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["LeftOut", "predict_left_out"]

_WHAT = "cross-validation"


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions of the N rows of splits, each from the rows that are not left out with it.

    Attributes
    ----------
    mean : ndarray, shape (N,)
        Predictive mean of the response.
    sd : ndarray, shape (N,)
        Predictive standard deviation; NaN for generalized models.
    log_density : ndarray, shape (N,)
        Log predictive density of each row by itself.
    joint : ndarray, shape (q,)
        Log predictive density of the rows of each group together; NaN but for linear models.
    converged : ndarray of bool, shape (q,), or None
        Of the refits; None without them.
    """

    mean: Array
    sd: Array
    log_density: Array
    joint: Array
    converged: NDArray[np.bool_] | None


def predict_left_out(fit: Fit, splits: Splits, *, refit: bool) -> LeftOut:
    """Predict the rows of every split from the others.

    Raises
    ------
    FitError
        For models whose left-out rows are not predicted here, and a refit that fails.
    DesignError
        Where the rows of a split have fixed effects that the others do not determine.
    """
    design = fit.model.design
    refuse_related(design.random, _WHAT)
    refuse_given(design.random, _WHAT)
    if is_structured(fit):
        raise FitError(
            f"{_WHAT} predicts rows whose residuals are independent, and residual= or dispersion= structures these: "
            "compare such models by their likelihoods."
        )
    if is_linear(fit):
        return _linear_refits(fit, splits) if refit else _linear(fit, splits)
    if is_nonlinear(fit):
        return _nonlinear(fit, splits)
    if not is_generalized(fit) or design.further or fit.model.family.kind == "ordinal":
        raise FitError(
            f"{_WHAT} is for linear and nonlinear models, and for generalized ones of the mean alone: compare others "
            "by AIC, as mixfit.anova(m0, m1) lists it."
        )
    return _generalized(fit, splits)


def _linear(fit: LinearFit, splits: Splits) -> LeftOut:
    found = held_out(fit.model.working_model(fit.estimate), splits.rows, splits.codes, len(splits.labels))
    refuse_unknown(fit, splits, np.isnan(found.sigma))
    return _of_linear(fit, splits, found.error, found.variance, found.joint, None)


def _linear_refits(fit: LinearFit, splits: Splits) -> LeftOut:
    """A theta of its own for every split: the rest follows from it as without refits."""
    q = len(splits.labels)
    error, variance = np.full(len(splits.rows), np.nan), np.full(len(splits.rows), np.nan)
    joint, converged = np.full(q, np.nan), np.zeros(q, dtype=bool)
    for g in range(q):
        own = splits.codes == g
        other = refit_without(fit, splits, g)
        working = fit.model.working_model(replace(fit.estimate, templates=other.estimate.templates))
        found = held_out(working, splits.rows[own], np.zeros(int(own.sum()), dtype=np.intp), 1)
        refuse_unknown(fit, splits, np.arange(q) == (g if np.isnan(found.sigma[0]) else -1))
        error[own], variance[own], joint[g], converged[g] = found.error, found.variance, found.joint[0], other.converged
    return _of_linear(fit, splits, error, variance, joint, converged)


def _of_linear(
    fit: Fit, splits: Splits, error: Array, variance: Array, joint: Array, converged: NDArray[np.bool_] | None
) -> LeftOut:
    """The same in the units of the response: what was left out were rows times the roots of their weights."""
    design = fit.model.design
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    w = weights[splits.rows]
    sd = np.sqrt(variance / w)
    density = -0.5 * (np.log(2.0 * np.pi) + error**2 / variance) - np.log(sd)
    return LeftOut(
        mean=design.y[splits.rows] - error / np.sqrt(w),
        sd=sd,
        log_density=density,
        joint=joint + 0.5 * np.bincount(splits.codes, np.log(w), len(joint)),
        converged=converged,
    )


def _nonlinear(fit: Fit, splits: Splits) -> LeftOut:
    found = curves_left_out(fit, splits)
    error = (fit.model.endog[splits.rows] - found.mean) / found.sd
    density = -0.5 * (np.log(2.0 * np.pi) + error**2) - np.log(found.sd)
    return LeftOut(found.mean, found.sd, density, np.full(len(splits.labels), np.nan), found.converged)


def _generalized(fit: GeneralizedFit, splits: Splits) -> LeftOut:
    size, q = len(splits.rows), len(splits.labels)
    mean, density = np.full(size, np.nan), np.full(size, np.nan)
    converged = np.zeros(q, dtype=bool)
    for g in range(q):
        own = np.flatnonzero((splits.codes == g) & splits.scored)
        other = refit_without(fit, splits, g)
        assert is_generalized(other)
        rows = splits.rows[own]
        refuse_unknown(fit, splits, np.arange(q) == (-1 if are_known(other, fit.model.design.X[rows]) else g))
        eta, spread = _predictor(fit, other, rows, rows_left(fit, splits, g))
        family, phi = other.family, other.dispersion
        link = replace(family.link, mean=partial(_expectation, family, phi))
        mean[own] = IntegratedMean(link, spread).mean(eta)
        density[own] = log_predictive(family, fit.model.design.y[rows], fit.prior[rows], phi, eta, spread)
        converged[g] = other.converged
    nothing = np.full(size, np.nan)
    return LeftOut(mean, nothing, density, np.full(q, np.nan), converged)


def _expectation(family: Family, phi: float, eta: Array) -> Array:
    return family.expectation(eta, phi)


def _predictor(fit: Fit, other: Fit, rows: Index, keep: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Mean and standard deviation of the linear predictor of rows by a fit to those of `keep`.

    A level that the fit has not seen has an effect of mean zero, whose variance is that of the term.
    """
    design, model, estimate = fit.model.design, other.model, other.estimate
    X, Z = design.X[np.ix_(rows, model.kept)], [term.Z[rows] for term in design.random]
    codes = codes_among(design.random, keep, rows)
    offset = None if design.offset is None else design.offset[rows]
    eta = linear_predictor(X, estimate.beta, offset, Z, codes, estimate.modes)
    variance = complete_variance(model, estimate, X, Z, codes)
    for z, code, template in zip(Z, codes, estimate.templates, strict=True):
        half = z @ template
        variance += np.where(code < 0, estimate.unit**2 * np.einsum("ij,ij->i", half, half), 0.0)
    return eta, np.sqrt(np.maximum(variance, 0.0))
