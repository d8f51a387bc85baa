"""The result of a Gaussian fit: it only brings arrays, names and functions together."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.results import predict, ranef
from mixfit.results.likelihood import Likelihood
from mixfit.results.re_form import select
from mixfit.results.residuals import scale_residuals
from mixfit.results.simulate import draw_responses
from mixfit.results.summary import Summary, build_summary
from mixfit.results.varcorr import VarCorr, build_varcorr

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.design.types import RandomDesign
    from mixfit.results.re_form import ReForm, Selection
    from mixfit.results.residuals import ResidualKind

__all__ = ["LinearResults"]


class LinearResults(Likelihood):
    """Estimates of a linear mixed model.

    Nothing is computed before it is asked for. Pickles without what it has computed.

    Parameters
    ----------
    model : FittedModel
        The model that was fitted.
    estimate : LinearEstimate
        Its estimates as arrays.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.params.round(2).tolist()
    [251.41, 10.47]
    >>> fit.varcorr().to_frame()["sdcor"].round(2).tolist()
    [24.74, 5.92, 0.07, 25.59]
    >>> fit.ranef()["Subject"].shape
    (18, 2)
    >>> fit.predict(sleep.head(2), re_form="population").round(2).tolist()
    [251.41, 261.87]
    """

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "estimate": self.estimate}

    def __repr__(self) -> str:
        method = "REML" if self.reml else "ML"
        return f"<LinearResults: {self.model.formula_text}, {method}, {self.nobs} observations>"

    def varcorr(self) -> VarCorr:
        """Return variances, standard deviations and correlations of the random effects.

        Returns
        -------
        VarCorr
            Prints as lme4's; ``.to_frame()`` has the columns of ``as.data.frame(VarCorr(m))``.
        """
        return build_varcorr(self.model.design.random, self.estimate.templates, self.sigma)

    def ranef(self, condsd: bool = False) -> dict[str, pd.DataFrame]:
        """Return the conditional modes of the random effects.

        Parameters
        ----------
        condsd : bool
            Whether to add the conditional standard deviations of the modes, given the data and
            beta. The columns then have a top level: ``fit.ranef(condsd=True)["g"]["mode"]``
            and ``...["g"]["sd"]`` are frames of one shape.

        Returns
        -------
        dict of str to DataFrame
            By grouping factor: a row a level, a column a random column; the terms of one
            factor side by side.
        """
        random = self.model.design.random
        modes = ranef.effect_frames(random, self.estimate.modes)
        if not condsd:
            return modes
        deviations = ranef.standard_deviations(self.model.conditional_covariance(self.estimate))
        return ranef.with_deviations(modes, ranef.effect_frames(random, deviations))

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return fixed plus random effects of every level, as lme4's ``coef``.

        Returns
        -------
        dict of str to DataFrame
            By grouping factor. Random columns without a fixed effect come first.
        """
        return ranef.coefficient_frames(self.params, self.ranef())

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Fitted values, random effects included, on the rows used."""
        return pd.Series(self._training_mean(select(None, self._random)), index=self.model.design.index)

    @property
    def resid(self) -> pd.Series[float]:
        """Response less fitted values."""
        return self.residuals("response")

    def residuals(self, kind: ResidualKind = "response") -> pd.Series[float]:
        """Return residuals.

        Parameters
        ----------
        kind : {"response", "pearson", "scaled"}
            Response less fitted values; times the square root of the weights; that divided by
            sigma.

        Returns
        -------
        Series, shape (n,)
        """
        design = self.model.design
        response = design.y - self.fittedvalues.to_numpy()
        return pd.Series(scale_residuals(response, design.weights, self.sigma, kind), index=design.index)

    def predict(
        self,
        newdata: object = None,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        se: bool = False,
    ) -> pd.Series[float] | pd.DataFrame:
        """Predict the mean response, offset included.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default. A
            row with a missing value gives NaN.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``, ``False``,
            ``"~0"``), those of a formula such as ``"~(1 | Subject)"``, or those of the named
            grouping factors.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        se : bool
            Whether to give standard errors: those of the fixed part, jointly with those of the
            included random effects, at the estimated theta. An unseen level's own effect and
            the residual add nothing to them.

        Returns
        -------
        Series, shape (m,), or DataFrame
            With `se`, the columns ``mean`` and ``mean_se``.

        Raises
        ------
        NewLevelError
            For an unseen level, naming factor and level, unless `allow_new_levels`.
        FormulaError
            For a `re_form` with a term that the model does not have.
        """
        selection = select(re_form, self._random)
        if newdata is None:
            mean, index = self._training_mean(selection), self.model.design.index
            X = self.model.exog
            Z = predict.kept_columns([term.Z for term in self._random], selection)
            codes: predict.Codes = [term.grouping.codes for term in self._random]
        else:
            new = self.model.design.reader.read(newdata, tuple(bool(keep.any()) for keep in selection))
            if not allow_new_levels:
                predict.check_levels(new, self._random, newdata)
            X, Z, codes = new.X[:, self.model.kept], predict.kept_columns(new.Z, selection), new.codes
            mean = predict.linear_predictor(X, self.estimate.beta, new.offset, Z, codes, self.estimate.modes)
            index = new.index
        if not se:
            return pd.Series(mean, index=index)
        error = np.sqrt(predict.complete_variance(self.model, self.estimate, X, Z, codes))
        return pd.DataFrame({"mean": mean, "mean_se": error}, index=index)

    def simulate(
        self,
        n: int = 1,
        seed: int | np.random.Generator | None = None,
        re_form: ReForm = "population",
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model, on the rows of the fit.

        Parameters
        ----------
        n : int
            Number of replicates.
        seed : int, Generator or None
            As ``numpy.random.default_rng`` takes it.
        re_form : None, str, False or sequence of str
            Random terms to hold at their modes; all others are drawn anew. None holds all.

        Returns
        -------
        DataFrame, shape (nobs, n)
            Columns ``sim_1``, ``sim_2``, ...; prior weights divide the residual variance.

        Raises
        ------
        FitError
            Where `n` is not positive, or `re_form` holds only some columns of a term.
        """
        if n < 1:
            msg = f"simulate needs a positive number of replicates, not {n}"
            raise FitError(msg)
        design, estimate = self.model.design, self.estimate
        selection = select(re_form, self._random)
        for term, keep in zip(self._random, selection, strict=True):
            if keep.any() and not keep.all():
                msg = f"simulate holds whole terms at their modes: re_form names only a part of {term.text}"
                raise FitError(msg)
        fresh = [t for t, keep in enumerate(selection) if not keep.any()]
        values = draw_responses(
            self._training_mean(selection),
            [self._random[t] for t in fresh],
            [estimate.templates[t] for t in fresh],
            estimate.sigma,
            design.weights,
            n,
            np.random.default_rng(seed),
        )
        return pd.DataFrame(values, index=design.index, columns=[f"sim_{i + 1}" for i in range(n)])

    def refit(self, y: ArrayLike) -> LinearResults:
        """Fit the same model to another response.

        Parameters
        ----------
        y : array_like, shape (nobs,)
            In the order of the rows used; the index of a Series is not looked at.

        Returns
        -------
        LinearResults
        """
        return self.model.with_response(np.asarray(y, dtype=np.float64)).fit(reml=self.reml)

    def summary(self, correlation: bool | None = None) -> Summary:
        """Summarize the fit as lme4's ``summary(lmer(...))``.

        Parameters
        ----------
        correlation : bool, optional
            Whether to show the correlation of the fixed effects; by default up to 12 of them.

        Returns
        -------
        Summary
            Prints as text, shows as HTML in a notebook.
        """
        return build_summary(self, correlation)

    @property
    def _random(self) -> tuple[RandomDesign, ...]:
        return self.model.design.random

    def _training_mean(self, selection: Selection) -> NDArray[np.float64]:
        random = self.model.design.random
        Z = predict.kept_columns([term.Z for term in random], selection)
        codes = [term.grouping.codes for term in random]
        offset = self.model.design.offset
        return predict.linear_predictor(self.model.exog, self.estimate.beta, offset, Z, codes, self.estimate.modes)
