"""What linear and generalized results have in common: random effects, predictions, simulations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.errors import FitError
from mixfit.results import predict, ranef
from mixfit.results.likelihood import Likelihood
from mixfit.results.re_form import select
from mixfit.results.simulate import draw_predictors
from mixfit.results.summary import Summary, build_summary
from mixfit.results.varcorr import VarCorr, build_varcorr

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.design.types import NewDesign, RandomDesign
    from mixfit.results.re_form import ReForm, Selection
    from mixfit.results.summary import Heading

    Array = NDArray[np.float64]

__all__ = ["MixedResults", "Prediction"]


class Prediction(NamedTuple):
    """Linear predictors of some rows.

    Attributes
    ----------
    eta : ndarray, shape (m,)
    variance : ndarray, shape (m,), or None
        Of eta's error; None where it was not asked for.
    labels : pandas.Index, shape (m,)
    """

    eta: Array
    variance: Array | None
    labels: pd.Index


class MixedResults(Likelihood):
    """Estimates of a mixed model. Pickles without what it has computed.

    Parameters
    ----------
    model : FittedModel
        The model that was fitted.
    estimate : Estimate
        Its estimates as arrays.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "estimate": self.estimate}

    @property
    def _unit(self) -> float:
        """What the templates of the estimate are relative to."""
        raise NotImplementedError

    @property
    def _residual_sd(self) -> float | None:
        """Standard deviation to show beside those of the random effects, where there is one."""
        raise NotImplementedError

    def _heading(self) -> Heading:
        """What the summary of this kind of model says in its own words."""
        raise NotImplementedError

    def _scaled_residuals(self) -> Array:
        """Residuals that would have variance 1, were the model true and its parameters known."""
        raise NotImplementedError

    def varcorr(self) -> VarCorr:
        """Return variances, standard deviations and correlations of the random effects.

        Returns
        -------
        VarCorr
            Prints as lme4's; ``.to_frame()`` has the columns of ``as.data.frame(VarCorr(m))``. The
            residual has a row where the model has a residual variance.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.varcorr()
         Groups   Name        Std.Dev. Corr
         Subject  (Intercept) 24.7405
                  Days         5.9221  0.066
         Residual             25.5918
        >>> fit.varcorr()["Subject"].round(2)
                   Intercept   Days
        Intercept     612.09   9.60
        Days            9.60  35.07
        """
        return build_varcorr(self._random, self._thetas, self._unit, self._residual_sd)

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

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.ranef()["Subject"].loc["308"].round(2).to_dict()
        {'Intercept': 2.26, 'Days': 9.2}
        >>> fit.ranef(condsd=True)["Subject"]["sd"].loc["308"].round(2).to_dict()
        {'Intercept': 12.07, 'Days': 2.3}
        """
        modes = ranef.effect_frames(self._random, self.estimate.modes)
        if not condsd:
            return modes
        deviations = ranef.standard_deviations(self.model.conditional_covariance(self.estimate))
        return ranef.with_deviations(modes, ranef.effect_frames(self._random, deviations))

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return fixed plus random effects of every level, as lme4's ``coef``.

        Returns
        -------
        dict of str to DataFrame
            By grouping factor. Random columns without a fixed effect come first.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.coef()["Subject"].loc["308"].round(2).to_dict()
        {'Intercept': 253.66, 'Days': 19.67}
        """
        return ranef.coefficient_frames(self.params, self.ranef())

    def summary(self, correlation: bool | None = None) -> Summary:
        """Summarize the fit as lme4's ``summary``.

        Parameters
        ----------
        correlation : bool, optional
            Whether to show the correlation of the fixed effects; by default up to 12 of them.

        Returns
        -------
        Summary
            Prints as text, shows as HTML in a notebook.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> summary = fit.summary(correlation=False)
        >>> summary.coefficients.round(3)
                     Estimate  Std. Error  z value  Pr(>|z|)
        Intercept      -1.399       0.232   -6.016     0.000
        period[T.2]    -0.992       0.307   -3.236     0.001
        period[T.3]    -1.129       0.327   -3.455     0.001
        period[T.4]    -1.580       0.427   -3.697     0.000
        """
        return build_summary(self, self._heading(), self._scaled_residuals(), correlation)

    @property
    def _thetas(self) -> list[Array]:
        """Theta of every term."""
        return split_theta([term.structure for term in self._random], self.estimate.theta)

    @property
    def _random(self) -> tuple[RandomDesign, ...]:
        return self.model.design.random

    def _training_predictor(self, selection: Selection) -> Array:
        Z = predict.kept_columns([term.Z for term in self._random], selection)
        codes = [term.grouping.codes for term in self._random]
        offset = self.model.design.offset
        return predict.linear_predictor(self.model.exog, self.estimate.beta, offset, Z, codes, self.estimate.modes)

    def _rows(self, newdata: object, selection: Selection, allow_new_levels: bool) -> NewDesign:
        """Rows to predict, X with the columns of `exog`; of new rows only the terms that `selection` keeps."""
        from mixfit.design.types import NewDesign

        design = self.model.design
        if newdata is None:
            offset = np.zeros(len(design.y)) if design.offset is None else design.offset
            Z, codes = tuple(term.Z for term in self._random), tuple(term.grouping.codes for term in self._random)
            return NewDesign(X=self.model.exog, Z=Z, codes=codes, offset=offset, index=design.index)
        new = design.reader.read(newdata, tuple(bool(keep.any()) for keep in selection))
        if not allow_new_levels:
            predict.check_levels(new, self._random, newdata)
        return replace(new, X=new.X[:, self.model.kept])

    def _predict(self, newdata: object, re_form: ReForm, allow_new_levels: bool, variance: bool) -> Prediction:
        selection = select(re_form, self._random)
        return self._predict_rows(self._rows(newdata, selection, allow_new_levels), selection, variance)

    def _predict_rows(self, rows: NewDesign, selection: Selection, variance: bool) -> Prediction:
        estimate, Z = self.estimate, predict.kept_columns(rows.Z, selection)
        eta = predict.linear_predictor(rows.X, estimate.beta, rows.offset, Z, rows.codes, estimate.modes)
        spread = predict.complete_variance(self.model, estimate, rows.X, Z, rows.codes) if variance else None
        return Prediction(eta, spread, rows.index)

    def _draw_predictors(self, n: int, re_form: ReForm, rng: np.random.Generator) -> Array:
        """Linear predictors with new random effects, but for the terms that `re_form` holds: (nobs, n)."""
        if n < 1:
            raise FitError(f"simulate needs a positive number of replicates, not {n}")
        selection = select(re_form, self._random)
        for term, keep in zip(self._random, selection, strict=True):
            if keep.any() and not keep.all():
                raise FitError(f"simulate holds whole terms at their modes: re_form names only a part of {term.text}")
        fresh = [t for t, keep in enumerate(selection) if not keep.any()]
        return draw_predictors(
            self._training_predictor(selection),
            [self._random[t] for t in fresh],
            [self.estimate.templates[t] for t in fresh],
            self._unit,
            n,
            rng,
        )

    def _simulated_frame(self, values: Array) -> pd.DataFrame:
        import pandas as pd

        names = [f"sim_{i + 1}" for i in range(values.shape[1])]
        return pd.DataFrame(values, index=self.model.design.index, columns=names)
