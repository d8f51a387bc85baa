"""Log densities of the rows at draws of coefficients, random effects and sigma."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.gibbs.latent import cuts, log_interval
from mixfit.bayes.predict import linear_predictors
from mixfit.bayes.zeros import mixture, zero_predictor, zero_rows
from mixfit.fitted.protocols import is_generalized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.draws import PosteriorDraws

    Array = NDArray[np.float64]

__all__ = ["row_log_likelihood"]

_LOG_2PI = float(np.log(2.0 * np.pi))


def row_log_likelihood(posterior: PosteriorDraws) -> Array:
    """log p(y_i | beta, b, sigma), (S, n): what ``log_lik`` of rstanarm and brms returns."""
    fit = posterior.fit
    eta = linear_predictors(posterior)
    y, thresholds = fit.model.design.y, posterior.kept.thresholds
    if thresholds is not None:
        low, high = cuts(thresholds.reshape(len(eta), -1), y.astype(np.intp) - 1)
        return log_interval(low - eta, high - eta)
    if is_generalized(fit):
        rows = np.asarray(fit.family.loglik(y, fit.prior, eta, posterior.phi[:, None]))
        predictor = zero_predictor(fit.model)
        return rows if predictor is None else mixture(rows, y == 0.0, zero_rows(predictor, posterior.zi)).value
    weights = fit.model.design.weights
    log_sd = np.log(posterior.sigma)[:, None] - (0.0 if weights is None else 0.5 * np.log(weights))
    return np.asarray(-0.5 * (_LOG_2PI + ((y - eta) * np.exp(-log_sd)) ** 2) - log_sd)
