"""What is known once a generalized linear mixed model is fitted, given the modes of the random effects."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.families.several import DISPERSION
from mixfit.fitted.core import Fitted
from mixfit.fitted.further import dispersion_of, mixed_moments, predict_part, zero_of
from mixfit.fitted.marginal import marginal_means
from mixfit.fitted.predict import predicted, row_predictors
from mixfit.fitted.predict_batches import predict_source
from mixfit.fitted.re_form import is_marginal
from mixfit.fitted.residuals import conditional_residuals, mixture_residuals, overdispersion_test
from mixfit.matrices.censored import refuse_censored
from mixfit.matrices.vectors import counted
from mixfit.spellings import nearest

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.families.base import Family
    from mixfit.families.links import Link
    from mixfit.fitted.protocols import GeneralizedFit, GeneralizedModel, Kind
    from mixfit.fitted.re_form import ReForm
    from mixfit.fitted.residuals import GeneralizedResidualKind, Overdispersion
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["FittedGeneralized"]


class FittedGeneralized(Fitted):
    """Estimates of a generalized linear mixed model, with all that follows from them alone."""

    kind: ClassVar[Kind] = "generalized"
    model: GeneralizedModel
    estimate: GeneralizedEstimate

    @property
    def _is_quasi(self) -> bool:
        return self.estimate.method == "pql"

    @property
    def llf(self) -> float:
        """Log-likelihood, as lme4's ``logLik``; a FitError for a fit by penalized quasi-likelihood.

        Of a fit with ``n_agq=0`` the Laplace approximation at its estimates, at most that of ``n_agq=1``.
        """
        if self._is_quasi:
            raise FitError(
                "A fit by penalized quasi-likelihood has no log-likelihood, and so no AIC, BIC or likelihood ratio: "
                "what it maximizes is a linear model's likelihood of a working response, which changes with the fit. "
                "Use method='ml'."
            )
        return super().llf

    @property
    def zvalues(self) -> pd.Series[float]:
        """Ratio of `params` to `bse`; the same as `tvalues`."""
        return self.tvalues

    def cov_params(self, *, conditional: bool = False) -> pd.DataFrame:
        """Return the covariance matrix of the fixed effects.

        Parameters
        ----------
        conditional : bool
            Whether theta and the dispersion count as known; by default their uncertainty is
            included, through the Hessian of all parameters.

        Returns
        -------
        DataFrame, shape (p, p)

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> given_theta = fit.cov_params(conditional=True).to_numpy().diagonal()
        >>> (fit.bse**2 / given_theta).round(3).tolist()
        [1.029, 1.01, 1.008, 1.006]
        """
        if not conditional:
            return super().cov_params()
        return pd.DataFrame(self.estimate.cov_beta_conditional.copy(), index=self._names, columns=self._names)

    @property
    def bse_theta(self) -> Array:
        """Standard errors of `theta`, shape (m,); NaN on the boundary."""
        return self.estimate.theta_errors[self.model.theta_order]

    @property
    def _random_parts(self) -> tuple[Sequence[RandomDesign], Sequence[Array]]:
        """Those of every predictor."""
        random = self.model.design.every_random
        return random, self.estimate.every_template

    @property
    def family(self) -> Family:
        """The family at the estimates of its shapes."""
        return self.model.family.at(self.estimate.shape)

    def family_of(self, newdata: object, *, keep: NDArray[np.bool_]) -> Family:
        """`family` for the rows `keep`, (m,), of a frame, of which some families have columns of their own."""
        return self.family

    @property
    def shapes(self) -> dict[str, float]:
        """Parameters of the distribution beside mean and dispersion, by name: df, power, alpha, cut points.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep, family="t").fit()
        >>> {name: round(value, 1) for name, value in fit.shapes.items()}
        {'df': 4.5}
        """
        return self.family.shape_values

    @property
    def response_link(self) -> Link:
        """What leads from the linear predictor to the mean response."""
        return self.family.response_link(self.row_dispersion)

    @property
    def row_dispersion(self) -> Array | float:
        """The dispersion phi, of every row where it has a predictor."""
        return dispersion_of(self)

    @property
    def _n_scale(self) -> int:
        further, family = self.estimate.further, self.model.family
        own = int(family.has_dispersion and DISPERSION not in further) + len(family.free)
        own -= sum(term.structure.is_given for p in self.model.design.further for term in p.random)  # known
        return own + sum(len(f.beta) + len(f.theta) for f in further.values()) - len(self.model.known_effects)

    @property
    def dispersion(self) -> float:
        """The family's dispersion phi; 1 where it has none.

        phi is a factor of the variance for Gaussian, Gamma and inverse Gaussian responses, and a
        precision for the others: Var = mu + mu**2 / phi for nbinom2, mu (1 - mu) / (1 + phi) for beta.
        """
        return self.estimate.phi

    @property
    def dispersion_se(self) -> float:
        """Standard error of `dispersion`, by the delta method from that of its logarithm; NaN without one."""
        return self.estimate.phi * self.estimate.log_phi_error

    @property
    def sigma(self) -> float:
        """Square root of `scale`."""
        return float(np.sqrt(self.scale))

    @property
    def scale(self) -> float:
        """The factor phi of the variance (Gaussian, Gamma, inverse Gaussian); 1 for all other families."""
        return self.estimate.phi if self.model.family.is_scaled else 1.0

    @property
    def residual_sd(self) -> float | None:
        """`sigma` where the family scales a variance by one number for all rows, None elsewhere."""
        own = self.model.family.is_scaled and DISPERSION not in self.estimate.further
        return self.sigma if own else None

    @cached_property
    def prior(self) -> Array:
        """Prior weights of the rows, ones where none were given, shape (nobs,)."""
        weights = self.model.design.weights
        return np.ones(self.nobs) if weights is None else weights

    @property
    def deviance(self) -> float:
        """Sum of squared deviance residuals, given the modes, as lme4's ``deviance``; not ``-2 llf``.

        A FitError for the beta and beta-binomial families, which have none.
        """
        return float(self.residuals("deviance").pow(2).sum())

    @cached_property
    def linear_predictor(self) -> pd.Series[float]:
        """Linear predictor at the modes, offset included, on the rows used."""
        return pd.Series(self.estimate.eta, index=self.model.design.index)

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted means at the modes, on the rows used."""
        mean, zero = self.response_link.mean(self.estimate.eta), zero_of(self)
        return pd.Series(mean if zero is None else (1.0 - zero) * mean, index=self.model.design.index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted means."""
        return self.residuals("response")

    def refit(self, y: ArrayLike) -> GeneralizedFit:
        """Fit the same model to another response, by the same method with as many quadrature points.

        Parameters
        ----------
        y : array_like, shape (nobs,) or (nobs, 2)
            In the order of the rows used; the index of a Series is not looked at. Of a binomial model proportions of
            the same numbers of trials, or two columns: numbers of events, and of others.

        Returns
        -------
        GeneralizedResults

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.refit(fit.simulate(seed=1)["sim_1"]).converged
        True
        """
        model = self._with_response(np.asarray(y, dtype=np.float64))
        return model.fit(n_agq=self.estimate.n_agq, method="pql" if self._is_quasi else "ml")

    def _with_response(self, y: Array) -> GeneralizedModel:
        if y.ndim != 2 or self.model.family.kind != "proportion":
            return self.model.with_response(y)
        share, trials = counted(y, self.nobs)
        return self.model.with_design(replace(self.model.design, y=share, weights=trials))

    def residuals(self, kind: GeneralizedResidualKind = "deviance") -> pd.Series[float]:
        """Return residuals, given the modes of the random effects.

        Parameters
        ----------
        kind : {"deviance", "pearson", "response", "working", "scaled"}
            Signed square roots of what each row adds to the deviance; response residuals over the
            square root of the variance function, times that of the prior weights; response less
            mean; that over the slope of the inverse link; Pearson residuals over `sigma`. The
            variance function of nbinom2, beta and beta-binomial contains their dispersion.

        Returns
        -------
        Series, shape (n,)

        Raises
        ------
        FitError
            For deviance residuals of a family without a deviance (beta, beta-binomial).

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.residuals("pearson").head(2).round(3).tolist()
        [-1.34, 1.075]
        """
        design, estimate = self.model.design, self.estimate
        refuse_censored(design, "these residuals")
        if zero_of(self) is not None:
            return pd.Series(mixture_residuals(design.y, *mixed_moments(self), kind), index=design.index)
        values = conditional_residuals(self.family, design.y, self.prior, estimate.eta, self.row_dispersion, kind)
        return pd.Series(values, index=design.index)

    def overdispersion(self) -> Overdispersion:
        """Compare the sum of squared Pearson residuals with `df_resid`, as the GLMM FAQ of Bolker et al.

        Rough: the residuals are taken at the modes, whose freedom `df_resid` does not count, and
        for 0/1 responses or small means the sum has no chi-square distribution. A ratio well above 1
        in counts or proportions asks for nbinom2, beta-binomial or a random effect of each row. Where
        a dispersion is estimated it is in the variances, and the ratio is near 1 or below of itself.

        Returns
        -------
        Overdispersion
            ``chisq``, ``ratio``, ``df`` and ``pvalue``.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> round(fit.overdispersion().ratio, 2)
        1.24
        """
        return overdispersion_test(np.asarray(self.residuals("scaled"), dtype=float), self.df_resid)

    def predict(
        self,
        newdata: object = None,
        *,
        type: Literal["response", "link"] = "response",  # noqa: A002
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        se: bool = False,
        what: Literal["response", "conditional", "zero", "dispersion", "link"] | None = None,
        to: str | os.PathLike[str] | None = None,
    ) -> pd.Series[float] | pd.DataFrame | int:
        """Predict the mean response or the linear predictor, offset included.

        Parameters
        ----------
        newdata : frame or source, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN. Rows that need not fit in memory are a source, as `mixfit.mixed`
            takes them: a path of Parquet files, a Polars ``LazyFrame``, a DuckDB relation, ...
        type : {"response", "link"}
            The mean at the linear predictor, or that itself.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``, ``False``,
            ``"~0"``), those of a formula such as ``"~(1 | herd)"``, or those of the named
            grouping factors. With ``"population"`` the mean is that of a level whose random effects are zero;
            ``"marginal"`` integrates them out: the average over the population that the levels come from, whose
            standard errors count the uncertainty of theta.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        se : bool
            Whether to give standard errors. Those of the linear predictor are that of the fixed
            part (`cov_params`) jointly with those of the included modes, in the Gaussian
            approximation at the mode: Var(b | y) at the estimated theta, and the modes moving with
            beta. The uncertainty of theta enters through `cov_params` alone, and an unseen level's
            own effect adds nothing. Those of the mean follow by the delta method.
        what : {"response", "conditional", "zero", "dispersion", "link"}, optional
            Of a model with ``zi=`` or ``dispersion=``: the mean response, (1 - p) times the mean of the family;
            that mean; p, the probability of a further zero (of a hurdle: of any); the dispersion, as glmmTMB gives it:
            phi, and of families whose variance phi multiplies (gaussian, gamma, inverse.gaussian) its square root;
            the linear predictor of the mean. It goes before `type`.
        to : path, optional
            Of a source: a Parquet file to write, batch by batch, with all columns of the source and beside them
            ``.fitted`` and, with `se`, ``.fitted_se``.

        Returns
        -------
        Series, shape (m,), or DataFrame, or int
            With `to` the number of rows written.
            With `se`, the columns ``mean`` and ``mean_se``.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        DataError
            For labels of groups that cannot be those of the fit, such as numbers where it had names, and for a term
            computed from whole columns, such as ``I(x - x.mean())``, which new rows would compute from themselves.
        FormulaError
            For a `re_form` with a term that the model does not have.
        FitError
            For another `type` or `what`.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.predict(herds.head(2)).round(3).tolist()
        [0.308, 0.142]
        >>> fit.predict(herds.head(2), type="link", re_form="population", se=True).round(3)
            mean  mean_se
        0 -1.399    0.232
        1 -2.391    0.310
        >>> fit.predict(herds.head(2), re_form="marginal").round(3).tolist()
        [0.216, 0.097]
        """
        if type not in ("response", "link"):
            near = nearest(type, ("response", "link"))
            raise FitError(f"predict has the types 'response' and 'link', not {type!r}.{near}")
        asked: dict[str, Any] = {
            "type": type,
            "re_form": re_form,
            "allow_new_levels": allow_new_levels,
            "se": se,
            "what": what,
        }
        batches = predict_source(self.predict, self.model.design, newdata, to, **asked)
        if batches is not None:
            return batches
        if is_marginal(re_form) and what not in (None, "response"):
            raise FitError(f"re_form='marginal' averages the response, and what={what!r} is asked for.")
        if (self.estimate.further or what is not None) and not is_marginal(re_form):
            return predict_part(self, newdata, what or type, re_form, allow_new_levels, se)
        if is_marginal(re_form) and type == "response":
            return marginal_means(self, newdata, se)
        prediction = row_predictors(self, newdata, re_form, allow_new_levels, se)
        return predicted(*prediction, None if type == "link" else self.response_link)
