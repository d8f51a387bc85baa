"""What the results ask of the model that made them, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.design.types import Design
    from mixfit.lmm.types import LinearEstimate
    from mixfit.results.linear import LinearResults

__all__ = ["FittedModel"]


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
    def exog(self) -> NDArray[np.float64]:
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

    def fit(self, *, reml: bool = True) -> LinearResults:
        """Estimate."""

    def with_response(self, y: ArrayLike, /) -> FittedModel:
        """Return the same model of another response, shape (n,)."""

    def conditional_covariance(self, estimate: LinearEstimate, /) -> tuple[NDArray[np.float64], ...]:
        """Cov(b_j | y) of every level at fixed beta, shape (q_t, k_t, k_t) a term, sigma**2 included."""

    def prediction_variance(
        self,
        estimate: LinearEstimate,
        X: NDArray[np.float64],
        Z: Sequence[NDArray[np.float64] | None],
        codes: Sequence[NDArray[np.intp] | None],
        /,
    ) -> NDArray[np.float64]:
        """Variance of ``x'(beta_hat - beta) + z'(b_hat - b)`` of every row, shape (m,).

        `X` has the columns of `exog`; `Z` and `codes` are None for terms left out; codes are
        never negative (a row of a level that the fit never saw has zeros in its Z).
        """
