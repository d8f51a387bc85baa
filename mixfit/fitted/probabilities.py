r"""Probabilities of ordered categories: averaged over the random effects, and their errors by the delta method.

With the log probability l of a category, dP = P (l_eta x'd beta + sum_a l_a d psi_a), psi the thresholds' parameters
and those of the scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.families.integrated import trapezoid
from mixfit.fitted.marginal import predictor_spread
from mixfit.fitted.predict import row_predictors, rows_to_predict
from mixfit.fitted.re_form import is_marginal, select

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.families.ordinal import Ordinal
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.fitted.re_form import ReForm

    Array = NDArray[np.float64]

__all__ = ["marginal_probabilities", "probability_covariance", "probability_errors", "probability_slopes"]

# 16 MB an array of the probabilities of all categories.
_CELLS_AT_ONCE = 2_000_000


def marginal_probabilities(fit: GeneralizedFit, newdata: object, family: Ordinal) -> tuple[Array, pd.Index]:
    """Averages over normal random effects, (K, m), by the trapezoidal rule of :mod:`mixfit.families.integrated`."""
    eta, _, labels = row_predictors(fit, newdata, "population", True, variance=False)
    spread = predictor_spread(fit, newdata)[0]
    z, weights = trapezoid(float((spread / family.places(eta)[1]).max(initial=0.0)))
    total = np.zeros((len(family.categories), len(eta)))
    step = max(1, _CELLS_AT_ONCE // max(total.size, 1))
    for start in range(0, len(z), step):
        nodes = slice(start, start + step)
        p = family.probabilities(eta + spread * z[nodes, None])
        total += np.tensordot(p, weights[nodes], axes=(1, 0))
    return total, labels


def probability_errors(
    fit: GeneralizedFit, newdata: object, re_form: ReForm, allow_new_levels: bool, family: Ordinal
) -> tuple[Array, Array, pd.Index]:
    """Probabilities without random effects and their standard errors, both (K, m).

    Raises
    ------
    FitError
        For a `re_form` with random effects.
    """
    selection = () if is_marginal(re_form) else select(re_form, fit.model.design.random)
    if not selection or any(keep.any() for keep in selection):
        raise FitError(
            "Standard errors of probabilities are of those without random effects, re_form='population'; the linear "
            "predictor, what='link', has them with all."
        )
    rows = rows_to_predict(fit, newdata, selection, allow_new_levels)
    p, slopes = probability_slopes(family, rows.X, rows.X @ fit.estimate.beta + rows.offset)
    return p, np.sqrt(np.einsum("kna,ab,knb->kn", slopes, probability_covariance(fit), slopes)), rows.index


def probability_slopes(family: Ordinal, X: Array, eta: Array) -> tuple[Array, Array]:
    """Probabilities (K, m), and their derivatives in beta and the family's parameters, (K, m, p + s)."""
    p, ones, slopes = family.probabilities(eta), np.ones(len(eta)), []
    for k in range(len(p)):
        y = np.full(len(eta), k + 1.0)
        in_shapes = [d.loglik for d in family.shape_terms(y, ones, eta, 1.0)]
        in_log = np.column_stack([family.terms(y, ones, eta, 1.0).score[:, None] * X, *in_shapes])
        slopes.append(p[k][:, None] * in_log)
    return p, np.array(slopes)


def probability_covariance(fit: GeneralizedFit) -> Array:
    """Covariance of beta and the family's parameters, (p + s, p + s)."""
    e = fit.estimate
    return np.block([[e.cov_beta, e.cov_beta_shape], [e.cov_beta_shape.T, e.cov_shape]])
