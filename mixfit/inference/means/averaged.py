r"""Marginal means averaged over the random effects, as parameters on the scale of the link.

With mu_r the averages of `mixfit.fitted.marginal` in the rows of the grid and w their shares, a mean is g(m),
m = sum_r w_r mu_r, and its derivatives in beta and theta are those of m over the slope of the inverse link at g(m).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.marginal import integrated, joint_covariance
from mixfit.inference.means.linear_functions import MeanParameters

if TYPE_CHECKING:
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.inference.means.reference_grid import ReferenceGrid

__all__ = ["averaged_means"]

_NOTE = "Means are averaged over the random effects."


def averaged_means(fit: GeneralizedFit, grid: ReferenceGrid, weights: str, offset: float) -> MeanParameters:
    """The means of the focal combinations, and their covariance.

    Parameters
    ----------
    fit : GeneralizedResults
    grid : ReferenceGrid
    weights : str
        As `average` takes it.
    offset : float
        Of all rows.

    Raises
    ------
    FitError
        For several predictors, an inverse link, and families whose mean is no inverse of a link.
    """
    link = fit.family.link
    if fit.response_link is not link:
        raise FitError(
            f"Marginal means are shown through a link, and the mean response of {fit.family!r} is no inverse of one: "
            "use predict(re_form='marginal', se=True)."
        )
    X = grid.X.reshape(-1, grid.X.shape[-1])
    estimable = fit.model.row_space.contains(X)
    X = np.where(estimable[:, None], X, np.nan)[:, fit.model.kept]
    mean, slopes = integrated(fit, X, X @ fit.estimate.beta + offset, grid.rows)
    shares = grid.cell_weights(weights)
    average = np.einsum("rm,rm->m", shares, mean.reshape(shares.shape))
    slopes = np.einsum("rm,rmc->mc", shares, slopes.reshape(*shares.shape, -1))
    at = link.eta(average)
    by_link = slopes / link.slope(at)[:, None]
    return MeanParameters(at, by_link @ joint_covariance(fit) @ by_link.T, _NOTE)
