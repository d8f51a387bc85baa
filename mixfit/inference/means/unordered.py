r"""Marginal means of unordered categories, as R's emmeans has those of multinomial models: probabilities, or latent.

With eta_0 = 0 of the baseline the latent value of a category is eta_k less the mean of all K, so that they sum to zero;
differences of them are log odds of one category against another. Probabilities are those of random effects of zero.
Both are averaged with the shares of the grid, and their errors are those of the delta method: d eta_a = x'd beta_a,
dP_k = P_k sum_a ([k = a] - P_a) d eta_a.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import FitError
from mixfit.inference.means.linear_functions import MeanParameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.multinomial import FittedMultinomial
    from mixfit.inference.means.reference_grid import ReferenceGrid

    Array = NDArray[np.float64]

__all__ = ["UNORDERED_MODES", "UnorderedMode", "unordered_means"]

UnorderedMode = Literal["prob", "latent"]
#: What marginal means of unordered categories are of, and what is said of them.
UNORDERED_MODES: dict[UnorderedMode, str] = {
    "prob": "Means are probabilities of the categories, at random effects of zero.",
    "latent": "Means are of the categories' predictors, which sum to zero, at random effects of zero.",
}


def unordered_means(
    fit: FittedMultinomial, grid: ReferenceGrid, weights: str, offset: float, mode: str
) -> MeanParameters:
    """The means of the focal combinations for each category after another, and their covariance.

    Parameters
    ----------
    fit : MultinomialResults
    grid : ReferenceGrid
    weights : str
        As `average` takes it.
    offset : float
        Of all rows and categories but the baseline.
    mode : {"prob", "latent"}

    Raises
    ------
    FitError
        For another mode.
    """
    if mode not in UNORDERED_MODES:
        raise FitError(f"mode is {', '.join(map(repr, UNORDERED_MODES))} of unordered categories, not {mode!r}.")
    K = len(fit.model.categories)
    X = grid.X.reshape(-1, grid.X.shape[-1])
    X = np.where(fit.model.row_space.contains(X)[:, None], X, np.nan)[:, fit.model.kept]
    eta = fit.estimate.beta.reshape(K - 1, -1) @ X.T + offset
    if mode == "latent":
        # Of (eta_0 = 0, eta_1, ...) what is left without their mean.
        centring = (np.eye(K) - 1.0 / K)[:, 1:]
        values, in_eta = centring @ eta, np.broadcast_to(centring[:, :, None], (K, *eta.shape))
    else:
        values = fit.family.probabilities(eta)
        in_eta = values[:, None] * (np.eye(K)[:, 1:, None] - values[1:])
    shares = grid.cell_weights(weights)
    means = np.einsum("rm,krm->km", shares, values.reshape(K, *shares.shape)).ravel()
    slopes = np.einsum("kan,np->knap", in_eta, X).reshape(K, *shares.shape, -1)
    slopes = np.einsum("rm,krmc->kmc", shares, slopes).reshape(len(means), -1)
    return MeanParameters(means, slopes @ fit.estimate.cov_beta @ slopes.T, UNORDERED_MODES[mode])
