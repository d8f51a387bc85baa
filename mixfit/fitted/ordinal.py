"""What is known once a model of ordered categories is fitted: thresholds, location, scale, and probabilities."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol, TypeGuard

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.errors import FitError
from mixfit.families.several import DISPERSION
from mixfit.fitted.generalized import FittedGeneralized
from mixfit.fitted.ordinal_columns import on_new_rows
from mixfit.fitted.predict import row_predictors
from mixfit.fitted.probabilities import marginal_probabilities, probability_errors
from mixfit.fitted.protocols import GeneralizedModel
from mixfit.fitted.re_form import is_marginal
from mixfit.fitted.simulate import simulate as simulate_numbers
from mixfit.matrices.ordered import category_numbers
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from mixfit.families.ordinal import Ordinal
    from mixfit.fitted.new_responses import NewLevels
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.fitted.re_form import ReForm
    from mixfit.fitted.residuals import GeneralizedResidualKind
    from mixfit.glmm.centred import FromCentred

    Array = NDArray[np.float64]
    What = Literal["response", "prob", "cumulative", "class", "mean", "link", "linear"]

__all__ = ["SCALE", "THRESHOLDS", "FittedOrdinal", "is_ordinal"]

#: Names of the tables of thresholds and of scale effects.
THRESHOLDS = "thresholds"
SCALE = "scale"
_WHAT = ("response", "prob", "cumulative", "class", "mean", "link", "linear")


class OrdinalModel(GeneralizedModel, Protocol):
    """A model of ordered categories as its results see it."""

    @property
    def family(self) -> Ordinal:
        """Latent distribution, thresholds, and columns of nominal and scale effects."""

    @property
    def centred(self) -> FromCentred:
        """How the estimates follow from those in centred columns, which the assembly has."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories."""

    @property
    def threshold_names(self) -> tuple[str, ...]:
        """Names of the thresholds' parameters, nominal effects among them."""

    @property
    def nominal_names(self) -> tuple[str, ...]:
        """Columns of nominal effects."""

    @property
    def scale_names(self) -> tuple[str, ...]:
        """Columns of scale effects."""


class FittedOrdinal(FittedGeneralized):
    """Estimates of a mixed model of ordered categories.

    `params` has the thresholds first, then the coefficients of location, which alone are `fixef`.
    """

    model: OrdinalModel

    @property
    def family(self) -> Ordinal:
        """The family at the estimated thresholds and scale effects."""
        return self.model.family.at(self.estimate.shape)

    @cached_property
    def _names(self) -> pd.Index:
        return pd.Index([*self.model.threshold_names, *self.model.exog_names], dtype=object)

    @property
    def _n_thresholds(self) -> int:
        return len(self.model.threshold_names)

    @property
    def _coefficients(self) -> Array:
        return np.concatenate([self.estimate.shape[: self._n_thresholds], self.estimate.beta])

    @property
    def _covariance(self) -> Array:
        a = self._n_thresholds
        across = self.estimate.cov_beta_shape[:, :a]
        return np.block([[self.estimate.cov_shape[:a, :a], across.T], [across, self.estimate.cov_beta]])

    @property
    def thresholds(self) -> pd.Series[float]:
        """Thresholds between neighbouring categories, with nominal effects where these are zero.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> model = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative(thresholds='equidistant')")
        >>> model.fit().thresholds.diff().round(3).tolist()
        [nan, 2.228, 2.228, 2.228]
        """
        categories, J = self.model.categories, self.model.family.thresholds.J
        pairs = [f"{low}|{high}" for low, high in pairwise(categories)]
        return pd.Series(J @ self.estimate.shape[: J.shape[1]], index=pd.Index(pairs, dtype=object))

    def cov_params(self, *, conditional: bool = False) -> pd.DataFrame:
        """Return the covariance matrix of `params`, thresholds included.

        Parameters
        ----------
        conditional : bool
            There is none of these models.

        Returns
        -------
        DataFrame
        """
        if conditional:
            raise FitError("cov_params(conditional=True) is for models of a mean, without thresholds.")
        return pd.DataFrame(self._covariance, index=self._names, columns=self._names)

    @property
    def further_coefficients(self) -> dict[str, pd.DataFrame]:
        """Tables of the thresholds and of the scale effects."""
        found = {THRESHOLDS: self._table(slice(0, self._n_thresholds), self.model.threshold_names)}
        if self.model.scale_names:
            found[SCALE] = self._table(slice(self._n_thresholds, None), self.model.scale_names)
        return found

    def _table(self, own: slice, names: tuple[str, ...]) -> pd.DataFrame:
        values, errors = self.estimate.shape[own], self.estimate.shape_errors[own]
        z = wald.ratios(values, errors)
        columns = {"Estimate": values, "Std. Error": errors, "z value": z, "Pr(>|z|)": wald.p_values(z)}
        return pd.DataFrame(columns, index=pd.Index(names, dtype=object))

    def _of(self, predictor: str, column: str) -> pd.Series[float]:
        if predictor == MEAN:
            return self.params if column == "Estimate" else self.bse
        tables = self.further_coefficients
        name = SCALE if predictor == DISPERSION else predictor
        if name not in tables:
            raise FitError(f"The model has the parts mean, {', '.join(tables)}, and none called {predictor!r}.")
        return tables[name][column].rename(None)

    def params_of(self, predictor: str) -> pd.Series[float]:
        """Return coefficients: of ``"thresholds"``, of ``"scale"`` (or ``"dispersion"``), or `params` of ``"mean"``.

        Parameters
        ----------
        predictor : str

        Returns
        -------
        Series
        """
        return self._of(predictor, "Estimate")

    def bse_of(self, predictor: str) -> pd.Series[float]:
        """Return the standard errors of `params_of`.

        Parameters
        ----------
        predictor : str

        Returns
        -------
        Series
        """
        return self._of(predictor, "Std. Error")

    def refit(self, y: ArrayLike) -> GeneralizedFit:
        """Fit the same model to another response, by as many quadrature points.

        Parameters
        ----------
        y : array_like, shape (nobs,)
            Categories, as `simulate` gives them, in the order of the rows used.

        Returns
        -------
        OrdinalResults
        """
        assert self.model.design.categories is not None
        numbers = category_numbers(y, self.model.design.categories)
        return self.model.with_response(numbers).fit(n_agq=self.estimate.n_agq)

    def simulate(
        self,
        n: int = 1,
        *,
        newdata: object = None,
        params: Mapping[str, float] | None = None,
        seed: int | np.random.Generator | None = None,
        re_form: ReForm = "population",
        new_levels: NewLevels = "sample",
        weights: ArrayLike | None = None,
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model, on the rows of the fit or on those of another frame.

        Parameters
        ----------
        n : int
            Number of replicates.
        newdata, seed, re_form, new_levels, weights
            As of other generalized models.
        params : None
            Other values of parameters cannot be stated of ordered categories.

        Returns
        -------
        DataFrame, shape (m, n)
            Ordered categories; columns ``sim_1``, ``sim_2``, ...

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> fit = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
        >>> fit.simulate(2, seed=1)["sim_1"].head(3).tolist()
        ['2', '2', '3']
        """
        numbers = simulate_numbers(
            self,
            n,
            newdata=newdata,
            params=params,
            seed=seed,
            re_form=re_form,
            new_levels=new_levels,
            weights=weights,
        )
        drawn = {name: self._categorical(column.to_numpy()).array for name, column in numbers.items()}
        return pd.DataFrame(drawn, index=numbers.index)

    def _categorical(self, numbers: Array) -> pd.Series:
        codes = np.where(np.isnan(numbers), 0.0, numbers).astype(np.intp) - 1
        values = pd.Categorical.from_codes(codes.tolist(), categories=self.model.design.categories, ordered=True)
        return pd.Series(values)

    def residuals(self, kind: GeneralizedResidualKind = "deviance") -> pd.Series[float]:
        """Return residuals of the categories' numbers, given the modes of the random effects.

        Parameters
        ----------
        kind : {"deviance", "pearson", "response", "working", "scaled"}
            Square roots of -2 log P(y), with the sign of number less mean number; number less mean, over the standard
            deviation of the numbers; number less mean; score over curvature, on the scale of the predictor; as
            ``"pearson"``.

        Returns
        -------
        Series, shape (n,)
        """
        if kind != "working":
            return super().residuals(kind)
        design = self.model.design
        terms = self.family.terms(design.y, self.prior, self.estimate.eta, 1.0)
        return pd.Series(terms.score / terms.expected, index=design.index)

    def predict(  # type: ignore[override]
        self,
        newdata: object = None,
        *,
        type: What = "response",  # noqa: A002
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        se: bool = False,
        what: What | None = None,
    ) -> pd.Series | pd.DataFrame | dict[str, pd.DataFrame]:
        """Predict probabilities of the categories, the likeliest of them, or the linear predictor.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formulas; the rows of the fit by default.
        type, what : {"response", "prob", "cumulative", "class", "mean", "link", "linear"}
            Probabilities of all categories, a column each, under the first two names; of a category or a lower one;
            the likeliest category; the mean of the categories' numbers, from 1 on; the predictor of location. `what`
            goes before `type`.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``), or some, as of other models. With
            none, a probability is that of a level whose random effects are zero; ``"marginal"`` integrates them out:
            the average over the population that the levels come from.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with a random effect of zero.
        se : bool
            Whether to give standard errors: of the predictor, as of other models; of probabilities without random
            effects (``re_form="population"``) by the delta method, from the covariance of all coefficients.

        Returns
        -------
        Series, shape (m,), or DataFrame
            With `se`, of probabilities, a dict of two frames, ``mean`` and ``mean_se``.

        Raises
        ------
        FitError
            For another `type` or `what`, and for standard errors that there are not.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> fit = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
        >>> fit.predict(wine.head(1), re_form="population").round(3)
             1      2      3      4      5
        0  0.1  0.533  0.312  0.044  0.011
        >>> fit.predict(wine.head(3), what="class").tolist()
        ['3', '3', '3']
        """
        asked = what or type
        if asked not in _WHAT:
            raise FitError(f"predict of ordered categories gives {', '.join(map(repr, _WHAT))}, not {asked!r}.")
        if asked in ("link", "linear"):
            linear = super().predict(
                newdata, type="link", re_form=re_form, allow_new_levels=allow_new_levels, se=se, what=None
            )
            assert not isinstance(linear, int)
            return linear
        family = self.family if newdata is None else self.family_of(newdata)
        if se:
            if asked not in ("response", "prob"):
                raise FitError("Standard errors are of probabilities and of the linear predictor, what='link'.")
            p, errors, labels = probability_errors(self, newdata, re_form, allow_new_levels, family)
            return {"mean": self._frame(p, labels), "mean_se": self._frame(errors, labels)}
        if is_marginal(re_form):
            p, labels = marginal_probabilities(self, newdata, family)
        else:
            eta, _, labels = row_predictors(self, newdata, re_form, allow_new_levels, variance=False)
            p = family.probabilities(eta)
        if asked == "class":
            best = np.where(np.isnan(p).any(axis=0), np.nan, 1.0 + np.argmax(p, axis=0))
            return self._categorical(best).set_axis(labels)
        if asked == "mean":
            return pd.Series(np.arange(1.0, len(p) + 1.0) @ p, index=labels)
        return self._frame(np.cumsum(p, axis=0) if asked == "cumulative" else p, labels)

    def _frame(self, values: Array, labels: pd.Index) -> pd.DataFrame:
        return pd.DataFrame(values.T, index=labels, columns=self.model.design.categories)

    def family_of(self, newdata: object, *, keep: NDArray[np.bool_] | None = None) -> Ordinal:
        """`family` with the nominal and scale columns of the rows `keep`, (m,), of a frame; of all by default."""
        return on_new_rows(self.family, self.model.design, newdata, keep)


def is_ordinal(fit: object) -> TypeGuard[FittedOrdinal]:
    """Whether `fit` is that of a model of ordered categories."""
    return isinstance(fit, FittedOrdinal)
