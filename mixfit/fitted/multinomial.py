"""What is known once a model of unordered categories is fitted: log odds against the baseline, and probabilities."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, NoReturn, Protocol, TypeGuard, cast

import numpy as np
import pandas as pd

from mixfit.arguments import check_count, check_flag
from mixfit.errors import FitError, ParameterError
from mixfit.fitted.draws import held_terms, related
from mixfit.fitted.generalized import FittedGeneralized
from mixfit.fitted.linear_predictor import complete_variance, kept_columns, term_effect
from mixfit.fitted.marginal_categories import marginal_categories
from mixfit.fitted.new_responses import LevelDraws
from mixfit.fitted.predict import estimable_rows, rows_to_predict
from mixfit.fitted.protocols import GeneralizedModel
from mixfit.fitted.ranef import ByFactor, coefficient_frames, effect_frames, standard_deviations, with_deviations
from mixfit.fitted.re_form import is_marginal, select
from mixfit.matrices.ordered import category_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.families.multinomial import Multinomial
    from mixfit.fitted.new_responses import NewLevels
    from mixfit.fitted.protocols import GeneralizedFit
    from mixfit.fitted.re_form import ReForm
    from mixfit.fitted.residuals import GeneralizedResidualKind, Overdispersion

    Array = NDArray[np.float64]
    Codes = NDArray[np.intp]
    What = Literal["response", "prob", "class", "link", "linear"]

__all__ = ["FittedMultinomial", "is_multinomial"]

_WHAT = ("response", "prob", "class", "link", "linear")
_RESIDUALS = ("deviance", "pearson", "scaled", "response")


class MultinomialModel(GeneralizedModel, Protocol):
    """A model of unordered categories as its results see it."""

    @property
    def family(self) -> Multinomial:
        """The categories."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, the baseline first."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of X that every category has coefficients of."""


class FittedMultinomial(FittedGeneralized):
    """Estimates of a mixed model of unordered categories.

    `params` has the coefficients of each category but the baseline, ``"b:x"`` being those of x in the log odds of b
    against the baseline.
    """

    model: MultinomialModel

    @property
    def _n_others(self) -> int:
        return len(self.model.categories) - 1

    @property
    def coefficients(self) -> pd.DataFrame:
        """`params` as a table, a row a category and a column a column of X, as nnet prints them.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> words = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
        >>> wine["taste"] = wine.rating.astype(str).map(words)
        >>> fit = mixfit.mixed("taste ~ temp + (1 | judge)", wine, family="multinomial(baseline='poor')").fit()
        >>> fit.coefficients.round(1)
              Intercept  temp[T.warm]
        fair       -0.5           1.5
        good       -3.0           4.1
        """
        values = self.estimate.beta.reshape(self._n_others, -1)
        names = pd.Index(self.model.column_names, dtype=object)
        return pd.DataFrame(values, index=pd.Index(self.model.categories[1:], dtype=object), columns=names)

    def ranef(self, *, condsd: bool = False) -> ByFactor:  # type: ignore[override]
        """Return the conditional modes of the random effects, a column for each column of each category.

        Parameters
        ----------
        condsd : bool
            Whether to add the conditional standard deviations of the modes, as of other models.

        Returns
        -------
        ByFactor
        """
        check_flag("condsd", condsd)
        random, names = self.model.design.random, [t.columns for t in self.model.design.random]
        modes = effect_frames(random, self.estimate.modes, names)
        if not condsd:
            return ByFactor(modes)
        errors = standard_deviations(self.model.conditional_covariance(self.estimate))
        return ByFactor(with_deviations(modes, effect_frames(random, errors, names)))

    def coef(self) -> ByFactor:
        """Return fixed plus random effects of every level, as of other models.

        Returns
        -------
        ByFactor
        """
        return ByFactor(coefficient_frames(self.fixef, self.ranef()))

    def _predictors(
        self,
        X: Array,
        offset: Array,
        Z: Sequence[Array | None],
        codes: Sequence[Codes | None],
        effects: Sequence[Array],
    ) -> Array:
        """Predictors (K - 1, m) or (K - 1, m, r) of effects (q, k) or (q, k, r) of each term.

        Z are the columns of the first of these categories: every category has the same.
        """
        size = self._n_others
        fixed = self.estimate.beta.reshape(size, -1) @ X.T + offset
        extra = max((e.ndim - 2 for e in effects), default=0)
        out = fixed.reshape(fixed.shape + (1,) * extra)
        for term, z, code, effect in zip(self.model.design.random, Z, codes, effects, strict=True):
            if z is None or code is None:
                continue
            own = z[:, _first_columns(term.columns, size)]
            each = effect.reshape(len(effect), size, own.shape[1], *effect.shape[2:])
            out = out + np.stack([term_effect(own, code, each[:, a]) for a in range(size)])
        return np.asarray(out)

    @cached_property
    def _fitted(self) -> Array:
        """P of all categories in the rows of the fit, at the modes: (K, n)."""
        return self.family.probabilities(self.estimate.eta[: self._n_others * self.nobs].reshape(-1, self.nobs))

    @property
    def family(self) -> Multinomial:
        """The family, with its categories."""
        return self.model.family

    @cached_property
    def fittedvalues(self) -> pd.Series[float]:
        """Probability of the category that each row has, at the modes; `predict` has those of all."""
        p = self._fitted[self.model.design.y.astype(np.intp) - 1, np.arange(self.nobs)]
        return pd.Series(p, index=self.model.design.index)

    @property
    def linear_predictor(self) -> pd.DataFrame:  # type: ignore[override]
        """Log odds of each category against the baseline at the modes, on the rows used."""
        eta = self.estimate.eta[: self._n_others * self.nobs].reshape(-1, self.nobs)
        return self._frame(eta, self.model.design.index, 1)

    def residuals(self, kind: GeneralizedResidualKind = "deviance") -> pd.Series[float]:
        """Return residuals of the category that each row has, given the modes of the random effects.

        Parameters
        ----------
        kind : {"deviance", "pearson", "response", "scaled"}
            sqrt(-2 log p), with p the probability of the category that was observed; sqrt((1 - p) / p); 1 - p; as
            ``"pearson"``.

        Returns
        -------
        Series, shape (n,)
        """
        if kind not in _RESIDUALS:
            raise FitError(f"Residuals of unordered categories are {', '.join(map(repr, _RESIDUALS))}, not {kind!r}.")
        p = self.fittedvalues.to_numpy()
        values = {"deviance": np.sqrt(-2.0 * self.prior * np.log(p)), "response": 1.0 - p}
        return pd.Series(values.get(kind, np.sqrt(self.prior * (1.0 - p) / p)), index=self.model.design.index)

    def overdispersion(self) -> Overdispersion:
        """There is none of categories.

        Raises
        ------
        FitError
            Always.
        """
        raise FitError("overdispersion() compares variances with means, which unordered categories have none of.")

    def refit(self, y: ArrayLike) -> GeneralizedFit:
        """Fit the same model to another response, by as many quadrature points.

        Parameters
        ----------
        y : array_like, shape (nobs,)
            Categories, as `simulate` gives them, in the order of the rows used.

        Returns
        -------
        MultinomialResults
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
        n, newdata, seed, re_form, new_levels
            As of other generalized models.
        params, weights : None
            Other values of parameters cannot be stated of categories, and a row has one of them.

        Returns
        -------
        DataFrame, shape (m, n)
            Categories; columns ``sim_1``, ``sim_2``, ...
        """
        check_count("n", n)
        if params is not None or weights is not None:
            raise ParameterError("simulate of unordered categories takes no params= and no weights=.")
        if new_levels not in ("sample", "zero"):
            raise FitError(f"new_levels is 'sample' or 'zero', not {new_levels!r}")
        rng, design, e = np.random.default_rng(seed), self.model.design, self.estimate
        held = held_terms(design.random, re_form)
        effects: list[Array] = []
        if newdata is None:
            X, offset, labels = self.model.exog, 0.0 if design.offset is None else design.offset, design.index
            Z, codes = [t.Z for t in design.random], [t.grouping.codes for t in design.random]
            for term, template, mode, keep in zip(design.random, e.templates, e.modes, held, strict=True):
                spherical = rng.standard_normal((term.grouping.n_levels, len(term.columns), n))
                drawn = related(term.structure, np.einsum("ij,qjr->qir", template, spherical))
                effects.append(np.broadcast_to(mode[:, :, None], drawn.shape) if keep else drawn)
        else:
            new = design.reader.read(newdata, (True,) * len(held))
            X, offset, labels = estimable_rows(self.model, new.X), new.offset, new.index
            sizes = tuple(t.grouping.n_levels for t in design.random)
            every = design.reader.read_levels(newdata, (sizes,) * self._n_others)[0]
            draws, Z, codes = LevelDraws(n, new_levels, rng), [], []
            for term, z, code, template, mode, keep in zip(
                design.random, new.Z, every, e.templates, e.modes, held, strict=True
            ):
                assert z is not None
                present, place = np.unique(code[code >= 0], return_inverse=True)
                compact = np.full(len(code), -1, dtype=np.intp)
                compact[code >= 0] = place
                Z.append(np.where((code >= 0)[:, None], z, np.nan))
                codes.append(compact)
                effects.append(draws.of_levels(term, present, template, mode, keep))
        eta = self._predictors(X, np.broadcast_to(offset, len(X)), Z, codes, effects)
        if eta.ndim == 2:
            eta = np.repeat(eta[:, :, None], n, axis=2)
        numbers = self.family.draw(eta, rng)
        columns = {f"sim_{r + 1}": self._categorical(numbers[:, r]).array for r in range(n)}
        return pd.DataFrame(columns, index=labels)

    def _categorical(self, numbers: Array) -> pd.Series:
        codes = np.where(np.isnan(numbers), 0.0, numbers).astype(np.intp) - 1
        return pd.Series(pd.Categorical.from_codes(codes.tolist(), categories=self.model.design.categories))

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
        """Predict probabilities of the categories, the likeliest of them, or the log odds against the baseline.

        Parameters
        ----------
        newdata : frame, optional
            Rows to predict, with the columns of the formula; the rows of the fit by default.
        type, what : {"response", "prob", "class", "link", "linear"}
            Probabilities of all categories, a column each, under the first two names; the likeliest category; the
            linear predictors, a column for each category but the baseline. `what` goes before `type`.
        re_form : None, str, False or sequence of str
            Random effects to include: all of them (None), none (``"population"``), or some, as of other models. With
            none, a probability is that of a level whose random effects are zero; ``"marginal"`` integrates them out:
            the average over the population that the levels come from.
        allow_new_levels : bool
            Whether a level that the fit never saw is predicted with random effects of zero.
        se : bool
            Whether to give standard errors, of fixed and included random effects jointly as of other models, of
            probabilities by the delta method.

        Returns
        -------
        Series, shape (m,), or DataFrame
            With `se` a dict of two frames, ``mean`` and ``mean_se``.

        Raises
        ------
        FitError
            For another `type` or `what`, for errors of classes and of averages over the random effects.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> words = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
        >>> wine["taste"] = wine.rating.astype(str).map(words)
        >>> fit = mixfit.mixed("taste ~ temp + (1 | judge)", wine, family="multinomial(baseline='poor')").fit()
        >>> fit.predict(wine.head(1), re_form="population").round(2)
           poor  fair  good
        0   0.6  0.37  0.03
        """
        asked = what or type
        if asked not in _WHAT:
            raise FitError(f"predict of unordered categories gives {', '.join(map(repr, _WHAT))}, not {asked!r}.")
        check_flag("allow_new_levels", allow_new_levels)
        check_flag("se", se)
        if is_marginal(re_form):
            return self._marginal(newdata, asked, se)
        selection = select(re_form, self.model.design.random)
        rows = rows_to_predict(self, newdata, selection, allow_new_levels)
        Z = kept_columns(rows.Z, selection)
        eta = self._predictors(rows.X, rows.offset, Z, rows.codes, self.estimate.modes)
        p = self.family.probabilities(eta)
        if asked == "class":
            if se:
                raise FitError("A class has no standard error: ask for those of the probabilities.")
            best = np.where(np.isnan(p).any(axis=0), np.nan, 1.0 + np.argmax(p, axis=0))
            return self._categorical(best).set_axis(rows.index)
        if asked in ("link", "linear"):
            value, first, slopes = eta, 1, np.broadcast_to(np.eye(len(eta))[:, :, None], (len(eta), *eta.shape))
        else:
            # dP_k / d eta_a = P_k ([k = a] - P_a).
            value, first, slopes = p, 0, p[:, None] * (np.eye(len(p))[:, 1:, None] - p[1:])
        if not se:
            return self._frame(value, rows.index, first)
        errors = np.stack([np.sqrt(self._variance(s, rows.X, Z, rows.codes)) for s in slopes])
        return {"mean": self._frame(value, rows.index, first), "mean_se": self._frame(errors, rows.index, first)}

    def _marginal(self, newdata: object, asked: What, se: bool) -> pd.Series | pd.DataFrame:
        """Averages over the population of groups, and what follows from them."""
        if se or asked not in ("response", "prob", "class"):
            raise FitError(
                "re_form='marginal' averages probabilities, without standard errors: bootstrap(statistic) has them."
            )
        p, labels = marginal_categories(cast("GeneralizedFit", self), self.family, newdata)
        if asked == "class":
            return self._categorical(1.0 + np.argmax(p, axis=0)).set_axis(labels)
        return self._frame(p, labels)

    def _variance(self, slopes: Array, X: Array, Z: Sequence[Array | None], codes: Sequence[Codes | None]) -> Array:
        """Variance of sum_a s_a eta_a, slopes (K - 1, m)."""
        size, moved = self._n_others, []
        for term, z in zip(self.model.design.random, Z, strict=True):
            own = None if z is None else z[:, _first_columns(term.columns, size)]
            moved.append(None if own is None else np.concatenate([s[:, None] * own for s in slopes], axis=1))
        columns = np.concatenate([s[:, None] * X for s in slopes], axis=1)
        return complete_variance(self.model, self.estimate, columns, moved, codes)

    def _frame(self, values: Array, labels: pd.Index, first: int = 0) -> pd.DataFrame:
        names = pd.Index(self.model.categories[first:], dtype=object)
        return pd.DataFrame(values.T, index=labels, columns=names)

    def get_prediction(self, newdata: object = None) -> NoReturn:
        """There is no one mean: a FitError, see `predict`.

        Parameters
        ----------
        newdata : frame, optional
        """
        raise FitError("get_prediction gives intervals of a mean, which categories have none of: predict(se=True).")


def is_multinomial(fit: object) -> TypeGuard[FittedMultinomial]:
    """Whether `fit` is that of a model of unordered categories."""
    return isinstance(fit, FittedMultinomial)


def _first_columns(columns: Sequence[str], size: int) -> slice:
    """Of a term's columns, categories in turn, those of the first."""
    return slice(0, len(columns) // size)
