"""What ``get_prediction`` returns: means of rows, and intervals for them and for new observations."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.wald import interval, t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.matrices.excluded import Excluded
    from mixfit.matrices.transformation import Transformation

    Array = NDArray[np.float64]

__all__ = ["PredictionResults", "PredictionResultsMean", "response_limits"]

# Links whose mean turns or breaks off where the predictor is zero, and what its size tends to there.
_SIZE_AT_ZERO = {"sqrt": 0.0, "inverse": np.inf, "1/mu^2": np.inf}


class _ShownAsFrame:
    """Shows itself as its summary frame."""

    def summary_frame(self, level: float | None = None) -> pd.DataFrame:
        raise NotImplementedError

    def padded(self, excluded: Excluded) -> Self:
        """With rows for those of the data that are not used, NaN in all that has a value a row."""
        shown: Any = self
        own = {f.name: getattr(self, f.name) for f in fields(shown)}
        arrays = {
            name: excluded.pad(pd.Series(value)).to_numpy()
            for name, value in own.items()
            if isinstance(value, np.ndarray)
        }
        made: Self = replace(shown, **arrays, row_labels=excluded.index)
        return made

    def __repr__(self) -> str:
        # unlike a frame's own text, every column whatever the width of the screen
        display = pd.options.display
        return str(self.summary_frame().to_string(max_rows=display.max_rows, min_rows=display.min_rows))

    def _repr_html_(self) -> str:
        return str(self.summary_frame()._repr_html_())  # type: ignore[operator]


@dataclass(frozen=True, eq=False, repr=False)
class PredictionResults(_ShownAsFrame):
    """Predictions of a linear mixed model, under the names of statsmodels' class; prints as its frame.

    Attributes
    ----------
    predicted_mean : ndarray, shape (m,)
        In the unit of the response as the formula writes it, as `fit.predict` gives it. NaN for a row with a missing
        value.
    se_mean : ndarray, shape (m,)
        Standard errors of the predicted means.
    se_obs : ndarray, shape (m,)
        Standard deviations of a new observation about the predicted mean.
    row_labels : pandas.Index, shape (m,)
        Index of the new data, or of the rows of the fit.
    df, df_obs : ndarray, shape (m,), or None
        Degrees of freedom of means and of observations; infinite, as all are for None, for the normal distribution.
    scale : str, or None
        The response where it is an expression, ``"log(y)"``: all is on its scale, and the columns of the frame have its
        name.

    Notes
    -----
    Quantiles are those of t where there are degrees of freedom: with ``re_form="population"``. All others are normal,
    and their intervals take theta and sigma as known.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> prediction = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit().get_prediction(re_form="population")
    >>> prediction.se_obs[:1].round(3).tolist(), prediction.conf_int(obs=True, level=0.9)[0].round(2).tolist()
    ([0.443], [59.58, 61.22])
    """

    predicted_mean: Array
    se_mean: Array
    se_obs: Array
    row_labels: pd.Index
    scale: str | None = None
    df: Array | None = None
    df_obs: Array | None = None

    def conf_int(self, *, obs: bool = False, level: float | None = None) -> Array:
        """Limits of the means, or of new observations.

        Parameters
        ----------
        obs : bool
            Whether the intervals are for new observations.
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        ndarray, shape (m, 2)
            Lower and upper limits.

        Raises
        ------
        FitError
            When `level` is no coverage.
        """
        alpha = 1.0 - coverage(level)
        error, df = (self.se_obs, self.df_obs) if obs else (self.se_mean, self.df)
        if df is None:
            return interval(self.predicted_mean, error, alpha)
        half = t_quantile(1.0 - 0.5 * alpha, df) * error
        return np.column_stack([self.predicted_mean - half, self.predicted_mean + half])

    def summary_frame(self, level: float | None = None) -> pd.DataFrame:
        """Return the predictions with their intervals.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        DataFrame, shape (m, 6)
            ``mean``, ``mean_se``, ``mean_ci_lower``, ``mean_ci_upper``, ``obs_ci_lower``, ``obs_ci_upper``.

        Raises
        ------
        FitError
            When `level` is no coverage.
        """
        frame = _mean_frame(self.predicted_mean, self.se_mean, self.conf_int(level=level), self.row_labels)
        lower, upper = self.conf_int(obs=True, level=level).T
        return frame.assign(obs_ci_lower=lower, obs_ci_upper=upper).rename_axis(columns=self.scale)


@dataclass(frozen=True, eq=False, repr=False)
class PredictionResultsMean(_ShownAsFrame):
    """Predicted means of a generalized mixed model, under the names of statsmodels' class; prints as its frame.

    As that of statsmodels' generalized models it has no intervals for observations: these are not normal.

    Attributes
    ----------
    predicted_mean : ndarray, shape (m,)
        In the unit of the response (a proportion for binomial models), as `fit.predict` gives it. NaN for a row with
        a missing value.
    se_mean : ndarray, shape (m,)
        Their standard errors by the delta method.
    linpred, se_linpred : ndarray, shape (m,)
        Linear predictors and their standard errors, from which the intervals are made.
    link : Link
        Leads from the linear predictor to the mean.
        It holds the link.
    row_labels : pandas.Index, shape (m,)
        Index of the new data, or of the rows of the fit.

    Examples
    --------
    >>> import mixfit
    >>> cbpp = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, cbpp, family="binomial").fit()
    >>> fit.get_prediction(cbpp.head(1), re_form="population").conf_int().round(3).tolist()
    [[0.135, 0.28]]
    """

    predicted_mean: Array
    se_mean: Array
    linpred: Array
    se_linpred: Array
    link: Link
    row_labels: pd.Index

    def conf_int(self, *, level: float | None = None) -> Array:
        """Limits of the linear predictors, transformed to the response.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        ndarray, shape (m, 2)
            Lower and upper limits; none leaves the range of the link.

        Raises
        ------
        FitError
            When `level` is no coverage.
        """
        alpha = 1.0 - coverage(level)
        return response_limits(self.link, self.linpred, interval(self.linpred, self.se_linpred, alpha))

    def summary_frame(self, level: float | None = None) -> pd.DataFrame:
        """Return the means with their intervals.

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        DataFrame, shape (m, 4)
            ``mean``, ``mean_se``, ``mean_ci_lower``, ``mean_ci_upper``.

        Raises
        ------
        FitError
            When `level` is no coverage.
        """
        return _mean_frame(self.predicted_mean, self.se_mean, self.conf_int(level=level), self.row_labels)


def response_limits(link: Link | Transformation, eta: Array, limits: Array) -> Array:
    """Limits of the mean from limits of the linear predictor.

    Parameters
    ----------
    link : Link or Transformation
    eta : ndarray, shape (m,)
        Linear predictors.
    limits : ndarray, shape (m, 2)
        Limits of the linear predictors.

    Returns
    -------
    ndarray, shape (m, 2)
        Lower and upper limits. Under the links ``sqrt``, ``inverse`` and ``1/mu^2`` the mean is a function of one
        branch only: a limit on the other side of zero than `eta` counts as zero, where the mean is zero, infinite
        and infinite.

    Examples
    --------
    >>> from mixfit.families.links import LINKS
    >>> response_limits(LINKS["inverse"], np.array([2.0, 2.0]), np.array([[1.0, 4.0], [-1.0, 4.0]])).tolist()
    [[0.25, 1.0], [0.25, inf]]
    """
    at_zero = _SIZE_AT_ZERO.get(link.name)
    if at_zero is None:
        means = link.mean(limits)
    else:
        branch = np.where(eta < 0.0, -1.0, 1.0)[:, None]
        beyond = limits * branch <= 0.0
        means = np.where(beyond, at_zero * branch, link.mean(np.where(beyond, branch, limits)))
    # an inverse link turns the limits around
    return np.sort(means, axis=1)


def _mean_frame(mean: Array, error: Array, limits: Array, labels: pd.Index) -> pd.DataFrame:
    columns = {"mean": mean, "mean_se": error, "mean_ci_lower": limits[:, 0], "mean_ci_upper": limits[:, 1]}
    return pd.DataFrame(columns, index=labels)
