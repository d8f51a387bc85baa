"""What inference, reports and plots ask of a fit, of its estimates and of its model, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from mixfit.families.base import Family
    from mixfit.families.links import Link
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.gram.row_space import RowSpace
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.information import VarianceInformation
    from mixfit.lmm.surface import Surface
    from mixfit.lmm.types import LinearEstimate
    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.types import Design
    from mixfit.optimize.certificate import Certificate

    Array = NDArray[np.float64]

__all__ = [
    "Estimate",
    "Fit",
    "GeneralizedFit",
    "GeneralizedModel",
    "LinearFit",
    "LinearModel",
    "Model",
    "is_fit",
    "is_generalized",
    "is_linear",
    "is_nonlinear",
]

Kind = Literal["linear", "generalized", "nonlinear"]


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

    @property
    def unit(self) -> float:
        """What the templates are relative to: Cov(b) = unit**2 T T'; sigma, or 1 for generalized models."""


class Model(Protocol):
    """A model as its results see it."""

    @property
    def formula_text(self) -> str:
        """The formula as it was written."""

    @property
    def description(self) -> str:
        """The formula, and what else says which model it is."""

    @property
    def data_name(self) -> str | None:
        """Name of the data set where one is known."""

    @property
    def design(self) -> Design:
        """Response, X, random terms, weights and offset."""

    @property
    def observations(self) -> Design:
        """The rows of the data as they were observed: the design, where that has a row for each."""

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
    def reach(self) -> tuple[Array, tuple[str, ...]]:
        """Columns by which one model is known to contain another, and their names."""

    @property
    def kept(self) -> NDArray[np.intp]:
        """Position in ``design.X`` of every column of `exog`."""

    @property
    def known_effects(self) -> Mapping[str, float]:
        """Fixed effects that are known, by name."""

    @property
    def theta_order(self) -> NDArray[np.intp]:
        """Where the entries of theta in lme4's order stand in the formula's."""

    @property
    def row_space(self) -> RowSpace:
        """Which linear functions of the columns of ``design.X`` the data tell."""

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
        """Variance of ``x'(beta_hat - beta) + z'(b_hat - b)``, (m,); `Z` and `codes` are None for terms left out."""

    def with_design(self, design: Design, /) -> Any:
        """Return the same kind of model of another design."""

    def of_rows(self, keep: NDArray[np.bool_], /) -> Any:
        """Return the same model of some of its rows, `keep` of shape (n,)."""

    def working_model(self, estimate: Any, /) -> WorkingModel:
        """The weighted linear model that the fit comes down to at its estimates."""

    def likelihood_surface(self, estimate: Any, /, *, reml: bool) -> Surface:
        """-2 log-likelihood (or the REML criterion) around the minimum next to an estimate."""


class LinearModel(Model, Protocol):
    """A Gaussian model as its results see it."""

    @property
    def assembly(self) -> Assembly:
        """Cross-products of the design and their bases."""

    def variance_information(self, estimate: LinearEstimate, /) -> VarianceInformation:
        """Derivatives of the moments in the covariance entries and the residual variance."""

    def fit(self, *, reml: bool = True) -> LinearFit:
        """Estimate."""

    def with_response(self, y: ArrayLike, /) -> LinearModel:
        """Return the same model of another response, shape (n,)."""


class GeneralizedModel(Model, Protocol):
    """A generalized model as its results see it."""

    @property
    def family(self) -> Family:
        """Conditional distribution and link."""

    @property
    def assembly(self) -> GeneralizedAssembly:
        """Rows, patterns and bases of the design."""

    def fit(self, *, n_agq: int = 1, method: Literal["ml", "pql"] = "ml") -> GeneralizedFit:
        """Estimate."""

    def with_response(self, y: ArrayLike, /) -> GeneralizedModel:
        """Return the same model of another response, shape (n,)."""


class Fit(Protocol):
    """A fit of either kind."""

    kind: ClassVar[Kind]

    @property
    def model(self) -> Any:
        """The model that was fitted."""

    @property
    def estimate(self) -> Any:
        """Its estimates as arrays."""

    @property
    def params(self) -> pd.Series[float]:
        """Fixed effects, shape (p,)."""

    @property
    def fixef(self) -> pd.Series[float]:
        """Coefficients of the columns of the model's `exog`: `params`, but for thresholds."""

    @property
    def bse(self) -> pd.Series[float]:
        """Their standard errors."""

    @property
    def tvalues(self) -> pd.Series[float]:
        """Ratio of `params` to `bse`."""

    @property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values of `tvalues` as standard normal variables."""

    @property
    def sigma(self) -> float:
        """Residual standard deviation; 1 where the family has none."""

    @property
    def residual_sd(self) -> float | None:
        """`sigma` where the model has a residual variance, None elsewhere."""

    @property
    def reml(self) -> bool:
        """Whether the fit is by REML."""

    @property
    def nobs(self) -> int:
        """Number of observations used."""

    @property
    def npar(self) -> int:
        """Number of parameters."""

    @property
    def df_resid(self) -> int:
        """Observations less parameters."""

    @property
    def llf(self) -> float:
        """Log-likelihood."""

    @property
    def aic(self) -> float:
        """Akaike's criterion."""

    @property
    def bic(self) -> float:
        """Schwarz's criterion."""

    @property
    def deviance(self) -> float:
        """As lme4's ``deviance`` of each kind of model."""

    @property
    def converged(self) -> bool:
        """Whether the certificate holds."""

    @property
    def certificate(self) -> Certificate:
        """The optimality certificate of the fit."""

    @property
    def is_singular(self) -> bool:
        """Whether a random effect has no variance, or is determined by the others."""

    @property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted means at the modes, on the rows used."""

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted means."""

    @property
    def residuals(self) -> Callable[..., pd.Series[float]]:
        """Residuals of a kind; both kinds of fit have ``"response"``, ``"pearson"`` and ``"scaled"``."""

    @property
    def predict(self) -> Callable[..., Any]:
        """Predictions of the rows of the fit, or of new ones."""

    @property
    def simulate(self) -> Callable[..., pd.DataFrame]:
        """Responses drawn from the fitted model."""

    def information_criteria(self) -> dict[str, float]:
        """Return the line of criteria that a summary by maximum likelihood shows, by name."""

    def ranef(self, *, condsd: bool = False) -> dict[str, pd.DataFrame]:
        """Return the conditional modes of the random effects."""

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return fixed plus random effects of every level."""

    def refit(self, y: ArrayLike) -> Fit:
        """Fit the same model to another response, by the same method."""


class LinearFit(Fit, Protocol):
    """A fit of a linear mixed model."""

    @property
    def model(self) -> LinearModel:
        """The model that was fitted."""

    @property
    def estimate(self) -> LinearEstimate:
        """Its estimates as arrays."""

    @property
    def scale(self) -> float:
        """Residual variance."""

    @property
    def variance_information(self) -> VarianceInformation:
        """Derivatives of the model's moments in its variance parameters, at the estimate."""

    @property
    def reml_fit(self) -> LinearFit:
        """The same model by REML: the fit itself where it is one."""


class GeneralizedFit(Fit, Protocol):
    """A fit of a generalized linear mixed model."""

    @property
    def model(self) -> GeneralizedModel:
        """The model that was fitted."""

    @property
    def estimate(self) -> GeneralizedEstimate:
        """Its estimates as arrays."""

    @property
    def prior(self) -> Array:
        """Prior weights of the rows, ones where none were given, shape (nobs,)."""

    @property
    def dispersion(self) -> float:
        """The family's dispersion phi; 1 where it has none."""

    @property
    def family(self) -> Family:
        """The family at the estimates of its shapes."""

    def family_of(self, newdata: object, *, keep: NDArray[np.bool_]) -> Family:
        """The family for some rows of a frame."""

    @property
    def row_dispersion(self) -> Array | float:
        """The dispersion phi, of every row where it has a predictor."""

    @property
    def response_link(self) -> Link:
        """What leads from the linear predictor to the mean response."""

    @property
    def linear_predictor(self) -> pd.Series[float]:
        """Linear predictor at the modes, offset included, on the rows used."""


def is_fit(fit: object) -> TypeGuard[Fit]:
    """Whether `fit` is a mixed model's."""
    return getattr(fit, "kind", None) in ("linear", "generalized")


def is_linear(fit: object) -> TypeGuard[LinearFit]:
    """Whether `fit` is a linear mixed model's."""
    return getattr(fit, "kind", None) == "linear"


def is_generalized(fit: object) -> TypeGuard[GeneralizedFit]:
    """Whether `fit` is a generalized linear mixed model's."""
    return getattr(fit, "kind", None) == "generalized"


def is_nonlinear(fit: object) -> TypeGuard[Fit]:
    """Whether `fit` is a nonlinear mixed model's."""
    return getattr(fit, "kind", None) == "nonlinear"
