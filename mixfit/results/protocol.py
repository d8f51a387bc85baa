"""What the results ask of estimates and of the model that made them, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.design.types import Design
    from mixfit.families.base import Family
    from mixfit.glmm.assemble import GeneralizedAssembly
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.information import VarianceInformation
    from mixfit.lmm.surface import Surface
    from mixfit.lmm.types import LinearEstimate
    from mixfit.lmm.working import WorkingModel
    from mixfit.optimize.certificate import Certificate
    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]

__all__ = ["Estimate", "FittedModel", "GeneralizedModel", "LinearModel"]


class Estimate(Protocol):
    """What linear and generalized estimates have in common."""

    @property
    def reml(self) -> bool:
        """Whether the criterion is that of REML."""

    @property
    def criterion(self) -> float:
        """-2 log-likelihood with all its constants."""

    @property
    def templates(self) -> tuple[Array, ...]:
        """Lower-triangular factors of the random terms, shape (k_t, k_t)."""

    @property
    def theta(self) -> Array:
        """Their free entries, shape (m,)."""

    @property
    def beta(self) -> Array:
        """Fixed effects of the columns that are not aliased, shape (p,)."""

    @property
    def cov_beta(self) -> Array:
        """Their covariance, shape (p, p)."""

    @property
    def modes(self) -> tuple[Array, ...]:
        """Conditional modes b of every term, shape (q_t, k_t)."""

    @property
    def certificate(self) -> Certificate:
        """Why this is an optimum."""


class FittedModel(Protocol):
    """A model as its results see it."""

    @property
    def formula_text(self) -> str:
        """The formula as it was written."""

    @property
    def data_name(self) -> str | None:
        """Name of the data set where one is known."""

    @property
    def design(self) -> Design:
        """Response, X, random terms, weights and offset."""

    @property
    def exog(self) -> Array:
        """X without its aliased columns, shape (n, p)."""

    @property
    def exog_names(self) -> tuple[str, ...]:
        """Names of the columns of `exog`."""

    @property
    def aliased(self) -> tuple[str, ...]:
        """Names of the columns that were dropped because others determine them."""

    @property
    def kept(self) -> NDArray[np.intp]:
        """Position in ``design.X`` of every column of `exog`."""

    def conditional_covariance(self, estimate: Any, /) -> tuple[Array, ...]:
        """Cov(b_j | y) of every level at fixed beta, shape (q_t, k_t, k_t) a term, all scales included."""

    def prediction_variance(
        self,
        estimate: Any,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
        /,
    ) -> Array:
        """Variance of ``x'(beta_hat - beta) + z'(b_hat - b)`` of every row, shape (m,).

        `X` has the columns of `exog`; `Z` and `codes` are None for terms left out; codes are
        never negative (a row of a level that the fit never saw has zeros in its Z).
        """

    def working_model(self, estimate: Any, /) -> WorkingModel:
        """The weighted linear model that the fit comes down to at its estimates."""

    def likelihood_surface(self, estimate: Any, /, *, reml: bool) -> Surface:
        """-2 log-likelihood (or the REML criterion) around the minimum next to an estimate."""


class LinearModel(FittedModel, Protocol):
    """A Gaussian model as its results see it."""

    @property
    def assembly(self) -> Assembly:
        """Cross-products of the design and their bases."""

    def variance_information(self, estimate: LinearEstimate, /) -> VarianceInformation:
        """Derivatives of the moments in the covariance entries and the residual variance."""

    def fit(self, *, reml: bool = True) -> LinearResults:
        """Estimate."""

    def with_response(self, y: ArrayLike, /) -> LinearModel:
        """Return the same model of another response, shape (n,)."""


class GeneralizedModel(FittedModel, Protocol):
    """A generalized model as its results see it."""

    @property
    def family(self) -> Family:
        """Conditional distribution and link."""

    @property
    def assembly(self) -> GeneralizedAssembly:
        """Rows, patterns and bases of the design."""

    def fit(self, *, n_agq: int = 1, method: Literal["ml", "pql"] = "ml") -> GeneralizedResults:
        """Estimate."""

    def with_response(self, y: ArrayLike, /) -> GeneralizedModel:
        """Return the same model of another response, shape (n,)."""
