r"""Marginal means of ordered categories, as R's emmeans has them: latent, mean numbers, and probabilities.

In the rows of the grid the latent variable lies at x'beta less the mean threshold, sum_j tau_j / (K - 1), so that zero
is in the middle of the thresholds; differences do not depend on where zero is. Probabilities P_k and mean numbers
sum_k k P_k are those of random effects of zero. All are averaged with the shares of the grid, and their errors are
those of the delta method, from the covariance of thresholds, location and scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import DataError, FitError
from mixfit.fitted.probabilities import probability_covariance, probability_slopes
from mixfit.inference.means.linear_functions import MeanParameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.ordinal import FittedOrdinal
    from mixfit.inference.means.reference_grid import ReferenceGrid

    Array = NDArray[np.float64]

__all__ = ["MODES", "Mode", "ordered_means", "refuse_nominal"]

Mode = Literal["latent", "prob", "mean.class"]
#: What marginal means of ordered categories are of, and what is said of them.
MODES: dict[Mode, str] = {
    "latent": "Means are of the latent variable, from the mean of the thresholds.",
    "prob": "Means are probabilities of the categories, at random effects of zero.",
    "mean.class": "Means are of the categories' numbers, at random effects of zero.",
}


def refuse_nominal(fit: FittedOrdinal) -> None:
    """Raise FitError for a model with nominal effects, which has no one location."""
    if fit.model.nominal_names:
        raise FitError(
            "Marginal means are of location, and this model has nominal effects, which move each threshold by "
            "itself: avg_predictions(by=...) has probabilities."
        )


def ordered_means(fit: FittedOrdinal, grid: ReferenceGrid, weights: str, offset: float, mode: Mode) -> MeanParameters:
    """The means of the focal combinations, of ``"prob"`` those of each category after another, and their covariance.

    Parameters
    ----------
    fit : OrdinalResults
    grid : ReferenceGrid
    weights : str
        As `average` takes it.
    offset : float
        Of all rows.
    mode : {"latent", "prob", "mean.class"}

    Raises
    ------
    FitError
        For a model with nominal effects, whose variables are no part of the grid, and where the scale has others.
    """
    refuse_nominal(fit)
    X = grid.X.reshape(-1, grid.X.shape[-1])
    X = np.where(fit.model.row_space.contains(X)[:, None], X, np.nan)[:, fit.model.kept]
    eta = X @ fit.estimate.beta + offset
    if mode == "latent":
        values, slopes = _latent(fit, X, eta)
    else:
        try:
            family = fit.family_of(grid.rows)
        except DataError as error:
            raise FitError(
                f"The reference grid has the variables of location, and the scale has others, on which {mode!r} "
                "depends too: avg_predictions(by=...) has probabilities."
            ) from error
        p, in_p = probability_slopes(family, X, eta)
        if mode == "mean.class":
            numbers = np.arange(1.0, len(p) + 1.0)
            p, in_p = np.tensordot(numbers, p, axes=1)[None], np.tensordot(numbers, in_p, axes=1)[None]
        values, slopes = p, in_p
    shares = grid.cell_weights(weights)
    means = np.einsum("rm,krm->km", shares, values.reshape(-1, *shares.shape)).ravel()
    slopes = np.einsum("rm,krmc->kmc", shares, slopes.reshape(-1, *shares.shape, slopes.shape[-1]))
    slopes = slopes.reshape(len(means), -1)
    return MeanParameters(means, slopes @ probability_covariance(fit) @ slopes.T, MODES[mode])


def _latent(fit: FittedOrdinal, X: Array, eta: Array) -> tuple[Array, Array]:
    """eta less the mean threshold (1, n), and its derivatives in beta and the family's parameters."""
    in_thresholds = fit.model.family.thresholds.J.mean(axis=0)
    of_shapes = np.zeros(len(fit.estimate.shape))
    of_shapes[: len(in_thresholds)] = -in_thresholds
    slopes = np.column_stack([X, np.broadcast_to(of_shapes, (len(X), len(of_shapes)))])
    return (eta + of_shapes @ fit.estimate.shape)[None], slopes[None]
