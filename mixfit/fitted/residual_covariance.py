"""What fits with correlated residuals, or residuals of unequal variance, say of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np

from mixfit.fitted.protocols import LinearFit, LinearModel
from mixfit.lmm.residual.estimate import ResidualEstimate
from mixfit.matrices.residual import ResidualDesign

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.residual.criterion import ResidualProblem
    from mixfit.lmm.residual.moments import ResidualInformation
    from mixfit.lmm.residual.stage import BlockResidual

    Array = NDArray[np.float64]

__all__ = [
    "StructuredFit",
    "StructuredModel",
    "is_structured",
    "is_structured_model",
    "residual_deviations",
    "residual_noise",
    "same_residuals",
    "whitened",
]


class StructuredModel(LinearModel, Protocol):
    """A linear model with a covariance of residuals, as its results see it."""

    @property
    def residual(self) -> ResidualDesign:
        """Blocks, places and structure of the residuals."""

    @property
    def problem(self) -> ResidualProblem:
        """Rows in blocks, with the bases of their columns."""

    @property
    def stage(self) -> BlockResidual:
        """What makes independent rows of those of the data, and back."""

    def assembly_at(self, estimate: ResidualEstimate, /) -> Assembly:
        """The cross-products of the rows whitened by the residuals' covariance."""


class StructuredFit(LinearFit, Protocol):
    """A fit of such a model."""

    @property
    def model(self) -> StructuredModel:
        """The model that was fitted."""

    @property
    def estimate(self) -> ResidualEstimate:
        """Its estimates as arrays."""

    @property
    def variance_information(self) -> ResidualInformation:  # type: ignore[override]
        """Derivatives of the moments in all variance parameters."""


def is_structured(fit: object) -> TypeGuard[StructuredFit]:
    """Whether the residuals of a fit have a covariance with parameters."""
    return isinstance(getattr(fit, "estimate", None), ResidualEstimate)


def is_structured_model(model: object) -> TypeGuard[StructuredModel]:
    """Whether the residuals of a model have a covariance with parameters."""
    return isinstance(getattr(model, "residual", None), ResidualDesign)


def same_residuals(a: LinearFit, b: LinearFit) -> bool:
    """Whether the residuals of two fits to the same rows may have the same covariances.

    Parameters
    ----------
    a, b : LinearFit

    Returns
    -------
    bool
    """
    if not (is_structured(a) and is_structured(b)):
        return not is_structured(a) and not is_structured(b)
    ours, theirs = a.model.residual, b.model.residual
    rows = ((ours.place, theirs.place), (ours.block, theirs.block), (ours.part, theirs.part))
    same = ours.structures == theirs.structures and all(np.array_equal(x, y) for x, y in rows)
    return same and np.array_equal(ours.spread, theirs.spread)


def residual_deviations(fit: LinearFit) -> Array:
    """Standard deviations of the residuals of the rows used, (nobs,), prior weights included.

    Parameters
    ----------
    fit : LinearFit

    Returns
    -------
    ndarray, shape (nobs,)
    """
    weights = fit.model.design.weights
    own = fit.model.stage.deviations(fit.estimate.psi) if is_structured(fit) else np.ones(fit.nobs)
    return np.asarray(fit.sigma * (own if weights is None else own / np.sqrt(weights)))


def residual_noise(fit: StructuredFit, n: int, rng: np.random.Generator) -> Array:
    """Residuals drawn from their distribution, (nobs, n).

    Parameters
    ----------
    fit : StructuredFit
    n : int
        Replicates.
    rng : Generator

    Returns
    -------
    ndarray, shape (nobs, n)
    """
    weights = fit.model.design.weights
    drawn = fit.sigma * fit.model.stage.coloured(rng.standard_normal((n, fit.nobs)), fit.estimate.psi)
    return np.asarray((drawn if weights is None else drawn / np.sqrt(weights)).T)


def whitened(fit: LinearFit, residuals: Array) -> Array:
    """Residuals made independent and of variance 1 by the estimated covariance: nlme's normalized ones.

    Parameters
    ----------
    fit : LinearFit
    residuals : ndarray, shape (nobs,)
        In units of the response.

    Returns
    -------
    ndarray, shape (nobs,)
    """
    weights = fit.model.design.weights
    rows = residuals if weights is None else residuals * np.sqrt(weights)
    if is_structured(fit):
        rows = fit.model.stage.whiten(rows[None], fit.estimate.psi)[0]
    return np.asarray(rows / fit.sigma)
