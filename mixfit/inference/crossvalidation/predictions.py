"""What is predicted of left-out rows: without refits where theta is held in a linear model, else fit by fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DesignError, FitError, MixfitError
from mixfit.families.integrated import IntegratedMean
from mixfit.families.predictive import log_predictive
from mixfit.fitted.linear_predictor import complete_variance, linear_predictor
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram.basis import fixed_basis
from mixfit.inference.crossvalidation.held_out import held_out
from mixfit.inference.deletion import fit_rows
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
        Log predictive density of the rows of each group together; NaN for generalized models.
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
    if not is_generalized(fit) or design.further or fit.model.family.kind == "ordinal":
        raise FitError(
            f"{_WHAT} is for linear models, and for generalized ones of the mean alone: compare others by AIC, as "
            "mixfit.anova(m0, m1) lists it."
        )
    return _generalized(fit, splits)


def _linear(fit: LinearFit, splits: Splits) -> LeftOut:
    found = held_out(fit.model.working_model(fit.estimate), splits.rows, splits.codes, len(splits.labels))
    _refuse_unknown(fit, splits, np.isnan(found.sigma))
    return _of_linear(fit, splits, found.error, found.variance, found.joint, None)


def _linear_refits(fit: LinearFit, splits: Splits) -> LeftOut:
    """A theta of its own for every split: the rest follows from it as without refits."""
    q = len(splits.labels)
    error, variance = np.full(len(splits.rows), np.nan), np.full(len(splits.rows), np.nan)
    joint, converged = np.full(q, np.nan), np.zeros(q, dtype=bool)
    for g in range(q):
        own = splits.codes == g
        other = _refit(fit, splits, g)
        working = fit.model.working_model(replace(fit.estimate, templates=other.estimate.templates))
        found = held_out(working, splits.rows[own], np.zeros(int(own.sum()), dtype=np.intp), 1)
        _refuse_unknown(fit, splits, np.arange(q) == (g if np.isnan(found.sigma[0]) else -1))
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


def _generalized(fit: GeneralizedFit, splits: Splits) -> LeftOut:
    size, q = len(splits.rows), len(splits.labels)
    mean, density = np.full(size, np.nan), np.full(size, np.nan)
    converged = np.zeros(q, dtype=bool)
    for g in range(q):
        own = np.flatnonzero((splits.codes == g) & splits.scored)
        other = _refit(fit, splits, g)
        assert is_generalized(other)
        rows = splits.rows[own]
        _refuse_unknown(fit, splits, np.arange(q) == (-1 if _are_known(other, fit.model.design.X[rows]) else g))
        eta, spread = _predictor(fit, other, rows, _kept(fit, splits, g))
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
    codes = []
    for term in design.random:
        place = np.full(term.grouping.n_levels, -1, dtype=np.intp)
        present = np.unique(term.grouping.codes[keep])
        place[present] = np.arange(len(present))
        codes.append(place[term.grouping.codes[rows]])
    offset = None if design.offset is None else design.offset[rows]
    eta = linear_predictor(X, estimate.beta, offset, Z, codes, estimate.modes)
    variance = complete_variance(model, estimate, X, Z, codes)
    for z, code, template in zip(Z, codes, estimate.templates, strict=True):
        half = z @ template
        variance += np.where(code < 0, estimate.unit**2 * np.einsum("ij,ij->i", half, half), 0.0)
    return eta, np.sqrt(np.maximum(variance, 0.0))


def _kept(fit: Fit, splits: Splits, group: int) -> NDArray[np.bool_]:
    keep = np.ones(fit.nobs, dtype=bool)
    keep[splits.rows[splits.codes == group]] = False
    return keep


def _refit(fit: Fit, splits: Splits, group: int) -> Fit:
    try:
        return fit_rows(fit, _kept(fit, splits, group))
    except MixfitError as error:
        raise FitError(f"Without {splits.name(group)} the model cannot be fitted: {error}") from error


def _are_known(other: Fit, X: Array) -> bool:
    return bool(other.model.row_space.contains(X).all())


def _refuse_unknown(fit: Fit, splits: Splits, unknown: NDArray[np.bool_]) -> None:
    """Raise DesignError for the first group without which fixed effects are not determined, naming these."""
    if not unknown.any():
        return
    group = int(np.flatnonzero(unknown)[0])
    keep = _kept(fit, splits, group)
    X, names = fit.model.exog[keep], fit.model.exog_names
    if keep.sum() <= len(names):
        raise DesignError(
            f"Without {splits.name(group)}, {int(keep.sum())} rows are left to fit {len(names)} fixed effects and a "
            "residual variance to: take more or smaller folds."
        )
    kept = set(fixed_basis(np.ascontiguousarray(X.T)).kept.tolist())
    lost = ", ".join(name for j, name in enumerate(names) if j not in kept)
    more = f", and {int(unknown.sum()) - 1} more of the {len(unknown)}" if unknown.sum() > 1 else ""
    raise DesignError(
        f"Without {splits.name(group)}{more}, the other rows do not determine {lost}: leave such a level of a fixed "
        "factor in every fit, or take it for a random term."
    )
