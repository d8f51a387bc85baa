"""A planned experiment as a user holds it: a model with stated parameters, and what would come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.fitted.generalized import FittedGeneralized
from mixfit.fitted.linear import FittedLinear
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.stated import slots, stated_estimate, stated_values
from mixfit.helped import Helped
from mixfit.planning.encodings import check_encodings
from mixfit.planning.extend import extend
from mixfit.planning.parameters import read_parameters
from mixfit.report.varcorr import varcorr
from mixfit.results.power import power, sample_size, smallest_effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import ArrayLike

    from mixfit.fitted.new_responses import NewLevels
    from mixfit.fitted.protocols import Fit
    from mixfit.report.varcorr import VarCorr

__all__ = ["Plan", "planned", "with_params"]


@dataclass(frozen=True, eq=False)
class Plan(Helped):
    """A model with stated parameters, of rows that need no response.

    Attributes
    ----------
    fit : FittedLinear or FittedGeneralized
        The model, with the stated parameters in the place of estimates and random effects of zero.
    data : DataFrame
        The rows, with the columns that the model looks up. Where no response was observed its column holds a
        placeholder, which nothing of the plan depends on.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> plan = mixfit.design(
    ...     "Reaction ~ Days + (Days | Subject)", layout, fixed={"(Intercept)": 250, "Days": 5},
    ...     sd={"Subject": {"(Intercept)": 25, "Days": 6}}, cor={"Subject": 0.1}, sigma=25,
    ... )
    >>> plan
    <Plan: Reaction ~ Days + (Days | Subject), 200 observations, groups Subject 20>
    >>> plan.params.round(2).to_dict()
    {'sd((Intercept)|Subject)': 25.0, 'sd(Days|Subject)': 6.0, 'cor((Intercept),Days|Subject)': 0.1, 'sigma': 25.0, \
'Intercept': 250.0, 'Days': 5.0}
    """

    fit: Any
    data: pd.DataFrame

    # Functions of a plan, as methods: each is documented where it is defined.
    power = power
    sample_size = sample_size
    smallest_effect = smallest_effect

    def __repr__(self) -> str:
        return repr(self.model).replace(type(self.model).__name__, "Plan", 1)

    @property
    def model(self) -> Any:
        """The model; its response is a placeholder where none was observed."""
        return self.fit.model

    @property
    def groups(self) -> tuple[str, ...]:
        """Columns of the layout that are grouping factors of random terms."""
        terms = [term for predictor in self.model.design.predictors for term in predictor.random]
        names = dict.fromkeys(name for term in terms for name in term.written.name.split(":"))
        return tuple(name for name in names if name in self.data.columns)

    @property
    def nobs(self) -> int:
        """Number of observations."""
        return int(self.fit.nobs)

    @property
    def params(self) -> pd.Series[float]:
        """All parameters, by the names of ``bootstrap().estimates``: random effects, residuals, fixed effects."""
        return pd.Series(stated_values(self.fit))

    @property
    def bse(self) -> pd.Series[float]:
        """Standard errors that the fixed effects of a linear model would have, were the variances known."""
        if not is_linear(self.fit):
            raise FitError(
                "Standard errors of a generalized model depend on its responses: simulate some and fit them."
            )
        return self.fit.bse

    def varcorr(self) -> VarCorr:
        """Return the stated variances and correlations of the random effects.

        Returns
        -------
        VarCorr

        Examples
        --------
        >>> import mixfit
        >>> layout = mixfit.grid(Subject=20, Days=range(10))
        >>> effects = {"fixed": {"Intercept": 250, "Days": 5}, "sd": {"Subject": 30}, "sigma": 25}
        >>> mixfit.design("~ Days + (1 | Subject)", layout, **effects).varcorr()
         Groups   Name        Std.Dev.
         Subject  (Intercept) 30
         Residual             25
        """
        return varcorr(self.fit)

    def predict(self, newdata: object = None, *, allow_new_levels: bool = True, **options: Any) -> pd.Series[float]:
        """Means of the rows, or of others: see ``predict`` of the results of a fit, with random effects of zero.

        Parameters
        ----------
        newdata : frame, optional
        allow_new_levels : bool
        **options
            Others of ``predict``, such as ``type="link"``.

        Returns
        -------
        Series

        Examples
        --------
        >>> import mixfit
        >>> layout = mixfit.grid(Subject=20, Days=range(10))
        >>> effects = {"fixed": {"Intercept": 250, "Days": 5}, "sd": {"Subject": 30}, "sigma": 25}
        >>> mixfit.design("~ Days + (1 | Subject)", layout, **effects).predict().head(3).tolist()
        [250.0, 255.0, 260.0]
        """
        return self.fit.predict(newdata, allow_new_levels=allow_new_levels, **options)

    def simulate(
        self,
        n: int = 1,
        *,
        newdata: object = None,
        params: Mapping[str, float] | None = None,
        new_levels: NewLevels = "sample",
        weights: ArrayLike | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> pd.DataFrame:
        """Draw responses, with new random effects in each replicate.

        Parameters
        ----------
        n : int
            Number of replicates.
        newdata : frame, optional
            Other rows, whose groups may be new.
        params : mapping of str to float, optional
            Other values of some parameters, by the names of `params`.
        new_levels : {"sample", "zero"}
            As in ``simulate`` of a fit; all effects are drawn anew here.
        weights : array_like, optional
            Prior weights of the new rows, or numbers of trials.
        seed : int, Generator or None
            As ``numpy.random.default_rng`` takes it.

        Returns
        -------
        DataFrame, shape (m, n)
            Columns ``sim_1``, ``sim_2``, ...; proportions for a binomial model.

        Examples
        --------
        >>> import mixfit
        >>> layout = mixfit.grid(herd=15, period=["1", "2", "3", "4"]).assign(size=20)
        >>> effects = {"Intercept": -1.4, "period[T.2]": -1, "period[T.3]": -1.1, "period[T.4]": -1.6}
        >>> plan = mixfit.design(
        ...     "~ period + (1 | herd)", layout, family="binomial", weights="size", fixed=effects, sd={"herd": 0.6}
        ... )
        >>> plan.simulate(2, seed=1).head(2)
           sim_1  sim_2
        0    0.1    0.2
        1    0.1    0.1
        """
        options = {"newdata": newdata, "params": params, "new_levels": new_levels, "weights": weights, "seed": seed}
        frame: pd.DataFrame = self.fit.simulate(n, **options)
        return frame

    def with_params(
        self,
        *,
        fixed: Mapping[str, float] | None = None,
        sd: Mapping[str, Any] | None = None,
        cor: Mapping[str, Any] | None = None,
        sigma: float | None = None,
        dispersion: float | Mapping[str, float] | None = None,
    ) -> Plan:
        """State other values of some parameters; see `mixfit.design` for their names.

        Returns
        -------
        Plan

        Raises
        ------
        ParameterError
            For names that the model does not have, and values that cannot be.

        Examples
        --------
        >>> import mixfit
        >>> layout = mixfit.grid(Subject=20, Days=range(10))
        >>> effects = {"fixed": {"Intercept": 250, "Days": 5}, "sd": {"Subject": 30}, "sigma": 25}
        >>> plan = mixfit.design("~ Days + (1 | Subject)", layout, **effects)
        >>> float(plan.with_params(fixed={"Days": 3}).params["Days"])
        3.0
        """
        return with_params(self.fit, fixed=fixed, sd=sd, cor=cor, sigma=sigma, dispersion=dispersion, data=self.data)

    def extend(self, along: Mapping[str, int | Iterable[Any]]) -> Plan:
        """Give factors of the layout other numbers of levels, or other levels.

        Parameters
        ----------
        along : mapping of str to int or iterable
            By the column: how many levels, or their values. See `mixfit.planning.extend.extend`.

        Returns
        -------
        Plan

        Raises
        ------
        DataError
            For a column that the layout does not have, or that cannot be continued, and where the formula computes
            from whole columns, as ``scale(x)`` does, what would be another covariate in other rows.

        Examples
        --------
        >>> import mixfit
        >>> layout = mixfit.grid(Subject=20, Days=range(10))
        >>> effects = {"fixed": {"Intercept": 250, "Days": 5}, "sd": {"Subject": 30}, "sigma": 25}
        >>> plan = mixfit.design("~ Days + (1 | Subject)", layout, **effects)
        >>> plan.extend({"Subject": 40, "Days": [0, 4, 9]})
        <Plan: response ~ Days + (1 | Subject), 120 observations, groups Subject 40>
        """
        factors = [name for name in self.data.columns if name != self.model.design.endog_name]
        for name in along:
            if name not in factors:
                listed = ", ".join(map(repr, factors))
                raise DataError(f"The layout has no factor {name!r} to go along; its factors are {listed}.")
        data = extend(self.data, along, self.groups)
        model = self.model.with_data(data)
        check_encodings(self.model, model, data)
        return replace(self, fit=_stated(model, stated_values(self.fit), self.fit), data=data)


def planned(model: Any, data: pd.DataFrame, values: Mapping[str, float]) -> Plan:
    """The plan of a model with all its parameters stated, by name."""
    return Plan(_stated(model, values), data)


def _stated(model: Any, values: Mapping[str, float], like: Fit | None = None) -> FittedLinear | FittedGeneralized:
    """The core of a fit at stated values, which its refits are fitted as."""
    estimate = stated_estimate(model, values, reml=True if like is None else like.reml)
    if getattr(model, "family", None) is None:
        return FittedLinear(model, estimate)
    if like is not None:
        estimate = replace(estimate, method=like.estimate.method, n_agq=like.estimate.n_agq)
    return FittedGeneralized(model, estimate)


def with_params(
    fit: Fit,
    *,
    fixed: Mapping[str, float] | None = None,
    sd: Mapping[str, Any] | None = None,
    cor: Mapping[str, Any] | None = None,
    sigma: float | None = None,
    dispersion: float | Mapping[str, float] | None = None,
    data: pd.DataFrame | None = None,
) -> Plan:
    """Plan an experiment from a pilot: the model and the rows of this fit, with some parameters stated.

    Parameters
    ----------
    fixed, sd, cor, sigma, dispersion
        As in `mixfit.design`; parameters that are not given are as they were estimated.
    data : DataFrame, optional
        The rows of the fit; by default the columns that the model looks up.

    Returns
    -------
    Plan
        To simulate from, and for power.

    Raises
    ------
    ParameterError
        For names that the model does not have, and values that cannot be; for models with structured residuals, of
        ordered categories.
    FitError
        Where the fit does not have the columns of its rows.

    Examples
    --------
    What if the effect were half of what the pilot found?

    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> pilot = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> plan = pilot.with_params(fixed={"Days": pilot.params["Days"] / 2})
    >>> plan.params.round(2).to_dict()
    {'sd((Intercept)|Subject)': 24.74, 'sd(Days|Subject)': 5.92, 'cor((Intercept),Days|Subject)': 0.07, \
'sigma': 25.59, 'Intercept': 251.41, 'Days': 5.23}
    """
    values = stated_values(fit) | read_parameters(slots(fit.model), fixed, sd, cor, sigma, dispersion)
    if data is None:
        columns = fit.model.design.frame
        if columns is None:
            raise FitError("The rows of this fit were chosen after they were read: plan from a fit to a frame of them.")
        data = pd.DataFrame({name: columns[name] for name in columns}).reset_index(drop=True)
    return Plan(_stated(fit.model, values, fit), data)
