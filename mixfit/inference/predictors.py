"""Fits as one of their predictors sees them: coefficients of zi= and dispersion=, and tests of them.

Marginal means, contrasts and Wald tests are functions of coefficients with a covariance, and of the design that these
belong to. `seen_from` puts those of another predictor in the place of the mean's; its tests are asymptotic.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.errors import FitError
from mixfit.families.links import LINKS
from mixfit.families.several import ZERO
from mixfit.fitted.further import further_of
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram.row_space import row_space
from mixfit.inference.residual_parameters import dispersion_coefficients
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.fitted.protocols import Fit, Kind
    from mixfit.gram.row_space import RowSpace
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["bse_of", "coefficient_table", "further_names", "params_of", "refuse_unordered", "seen_from"]


def further_names(fit: Fit) -> tuple[str, ...]:
    """Names of the predictors after the mean's that have coefficients: ``zi=`` and ``dispersion=``."""
    if is_generalized(fit):
        return tuple(fit.estimate.further)
    structured = is_structured(fit) and fit.model.residual.spread_names
    return tuple(p.name for p in fit.model.design.further if p.exog_names) if structured else ()


def refuse_unordered(fit: object, what: str) -> None:
    """Raise FitError for a fit of unordered categories, of which `what`, in the plural, are not known."""
    if is_generalized(fit) and fit.model.family.kind == "multinomial":
        raise FitError(
            f"{what} are for models of one predictor, and unordered categories have one each: predict() has their "
            "probabilities, plot.category_probabilities() draws them, and anova(m0, m1) compares models."
        )


def seen_from(fit: Fit, predictor: str) -> Fit:
    """The fit with another predictor's design and coefficients in the place of the mean's.

    Raises
    ------
    FitError
        For a predictor that the model does not have.
    """
    if predictor == MEAN:
        return fit
    names = further_names(fit)
    if predictor not in names:
        raise FitError(f"The model has the predictors {', '.join([MEAN, *names])}, and none called {predictor!r}.")
    design = fit.model.design
    place = 1 + [p.name for p in design.further].index(predictor)
    own = design.of_predictor(place)
    if is_structured(fit):
        beta, covariance = dispersion_coefficients(fit)
        said = ""
        kept = np.arange(len(beta))
    else:
        found = further_of(fit, predictor)  # type: ignore[arg-type]
        beta, covariance, kept, said = found.beta, found.cov_beta, found.kept, fit.estimate.robust
    link, label = (LINKS["logit"], "prob") if predictor == ZERO else (LINKS["log"], "response")
    model = PredictorModel(own, kept, PredictorScale(link, label), f"{fit.model.formula_text}, {predictor}")
    return cast("Fit", PredictorFit(model, PredictorEstimate(beta, covariance, said)))


def params_of(fit: Fit, predictor: str) -> pd.Series[float]:
    """Return the fixed effects of a predictor.

    Parameters
    ----------
    predictor : str
        ``"zi"``, ``"dispersion"``, or ``"mean"``, which are ``params``. The dispersion's are on glmmTMB's scale: of a
        Gaussian model coefficients of the log standard deviation of residuals.

    Returns
    -------
    Series

    Raises
    ------
    FitError
        For a predictor that the model does not have.

    Examples
    --------
    >>> import mixfit
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ 1").fit()
    >>> fit.params_of("zi").index.tolist()
    ['Intercept']
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> strata = mixfit.mixed("distance ~ age + (1 | Subject)", teeth, dispersion="~ Sex").fit()
    >>> strata.params_of("dispersion").round(2).to_dict()
    {'Intercept': 0.57, 'Sex[T.Female]': -0.8}
    """
    return seen_from(fit, predictor).params


def bse_of(fit: Fit, predictor: str) -> pd.Series[float]:
    """Return the standard errors of `params_of`.

    Parameters
    ----------
    predictor : str

    Returns
    -------
    Series
    """
    return seen_from(fit, predictor).bse


def coefficient_table(fit: Fit, predictor: str) -> pd.DataFrame:
    """Estimates, standard errors, z and p of a predictor after the mean's, a row a coefficient.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    predictor : str

    Returns
    -------
    DataFrame
    """
    own = seen_from(fit, predictor)
    columns = {"Estimate": own.params, "Std. Error": own.bse, "z value": own.tvalues, "Pr(>|z|)": own.pvalues}
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class PredictorScale:
    """How marginal means of a predictor are shown: what stands for a family.

    Attributes
    ----------
    link : Link
    mean_name : str
    """

    link: Link
    mean_name: str


@dataclass(frozen=True, eq=False)
class PredictorEstimate:
    """Fixed effects of one predictor, (p,), their covariance, and what tables say of one by clusters."""

    beta: Array
    cov_beta: Array
    robust: str = ""


@dataclass(frozen=True, eq=False)
class PredictorModel:
    """A model as one of its predictors sees it; attributes as of `mixfit.fitted.protocols.Model`."""

    design: Design
    kept: NDArray[np.intp]
    family: PredictorScale
    formula_text: str

    @cached_property
    def exog(self) -> Array:
        """X without its aliased columns, shape (n, p)."""
        return self.design.X[:, self.kept]

    @property
    def exog_names(self) -> tuple[str, ...]:
        """Names of the columns of `exog`."""
        return tuple(self.design.exog_names[j] for j in self.kept)

    @property
    def constant(self) -> None:
        """No constant is left to thresholds."""
        return

    @property
    def aliased(self) -> tuple[str, ...]:
        """Names of the columns that were dropped because others determine them."""
        kept = set(self.kept.tolist())
        return tuple(name for j, name in enumerate(self.design.exog_names) if j not in kept)

    @cached_property
    def row_space(self) -> RowSpace:
        """Which linear functions of the columns of X the data tell."""
        return row_space(self.design.X, self.kept)


@dataclass(frozen=True, eq=False)
class PredictorFit:
    """A fit as one of its predictors sees it; attributes as of `mixfit.fitted.protocols.Fit`."""

    model: PredictorModel
    estimate: PredictorEstimate

    kind: ClassVar[Kind] = "generalized"
    reml: ClassVar[bool] = False

    @cached_property
    def _errors(self) -> Array:
        return np.sqrt(np.diagonal(self.estimate.cov_beta))

    def _series(self, values: Array) -> pd.Series[float]:
        return pd.Series(values, index=pd.Index(self.model.exog_names, dtype=object))

    @property
    def params(self) -> pd.Series[float]:
        """Fixed effects of the predictor."""
        return self._series(self.estimate.beta)

    @property
    def fixef(self) -> pd.Series[float]:
        """The same as `params`."""
        return self.params

    @property
    def bse(self) -> pd.Series[float]:
        """Their standard errors."""
        return self._series(self._errors)

    @property
    def tvalues(self) -> pd.Series[float]:
        """Ratio of `params` to `bse`."""
        return self._series(wald.ratios(self.estimate.beta, self._errors))

    @property
    def pvalues(self) -> pd.Series[float]:
        """Two-sided p-values of `tvalues` as standard normal variables."""
        return self._series(wald.p_values(wald.ratios(self.estimate.beta, self._errors)))

    def cov_params(self) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects."""
        names = pd.Index(self.model.exog_names, dtype=object)
        return pd.DataFrame(self.estimate.cov_beta, index=names, columns=names)
