"""Likelihood profiles, and the intervals that they give."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from mixfit.errors import ConvergenceWarning, FitError
from mixfit.inference.constrained import LowerDevianceError
from mixfit.inference.ends import find_end
from mixfit.inference.focal import LikelihoodAround
from mixfit.inference.parameters import select
from mixfit.inference.trace import Curve, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.inference.constrained import Held
    from mixfit.inference.focal import Focal
    from mixfit.inference.parameters import Parameter
    from mixfit.plots.figure import AxesArray
    from mixfit.results.base import MixedResults

    Array = NDArray[np.float64]
    Answer = TypeVar("Answer")

__all__ = ["LikelihoodProfile", "normal_quantile", "profile", "profile_intervals"]

_MAX_RESTARTS = 5


@dataclass(frozen=True, eq=False)
class LikelihoodProfile:
    """Likelihood profiles of some parameters of a fit.

    Attributes
    ----------
    frame : DataFrame
        A row a constrained minimum, as R's ``as.data.frame(profile(m))``: ``.zeta``, all parameters there,
        ``.par`` (which one is profiled) and ``.focal`` (its value).
    curves : mapping of str to Curve
        zeta of each parameter, forward and backward. A correlation of effects without variance has none.
    estimates : Series
        The maximum-likelihood estimates of all parameters, where zeta is 0.
    cutoff : float
        Absolute zeta up to which the curves go.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> profile = fit.profile(which="sigma")
    >>> profile.conf_int().round(2).to_numpy().tolist()
    [[27.81, 34.59]]
    """

    frame: pd.DataFrame
    curves: Mapping[str, Curve]
    estimates: pd.Series[float]
    cutoff: float

    def __repr__(self) -> str:
        return f"<LikelihoodProfile of {', '.join(self.parameters)}>"

    @property
    def parameters(self) -> list[str]:
        """Names of the profiled parameters."""
        return list(dict.fromkeys(self.frame[".par"]))

    def conf_int(self, alpha: float = 0.05) -> pd.DataFrame:
        """Intervals between the points where zeta is ±z(1 - alpha/2).

        Parameters
        ----------
        alpha : float
            One less the coverage.

        Returns
        -------
        DataFrame
            Columns 0 and 1 are the lower and upper limits, a row a profiled parameter. A limit is the bound of
            its parameter (0 for a standard deviation, -1 or 1 for a correlation) where zeta does not reach its
            target before it.

        Raises
        ------
        FitError
            Where the curves do not go as far.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> profile = fit.profile(which="sigma")
        >>> profile.conf_int(alpha=0.1).round(2)
                   0      1
        sigma  28.27  33.95
        """
        target = normal_quantile(alpha)
        if target > self.cutoff:
            raise FitError(
                f"These profiles go to |zeta| = {self.cutoff:.3g}, and alpha = {alpha} needs {target:.3g}: "
                "make them with a smaller alpha_max."
            )
        rows = {
            name: self.curves[name].value_at([-target, target]) if name in self.curves else np.array([-1.0, 1.0])
            for name in self.parameters
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=[0, 1])

    def zeta(self, parameter: str, values: ArrayLike) -> Array:
        """zeta at values of a parameter; NaN beyond the profile.

        Parameters
        ----------
        parameter : str
        values : array_like, shape (m,)

        Returns
        -------
        ndarray, shape (m,)

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> profile = fit.profile(which="sigma")
        >>> profile.zeta("sigma", [28.0, 31.0, 34.0]).round(2).tolist()
        [-1.83, 0.06, 1.67]
        """
        return self._curve(parameter).zeta_at(values)

    def value(self, parameter: str, zeta: ArrayLike) -> Array:
        """Values of a parameter at which zeta has given values: the inverse of `zeta`.

        Parameters
        ----------
        parameter : str
        zeta : array_like, shape (m,)

        Returns
        -------
        ndarray, shape (m,)

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> profile = fit.profile(which="sigma")
        >>> profile.value("sigma", [-1.96, 0.0, 1.96]).round(2).tolist()
        [27.81, 30.9, 34.59]
        """
        return self._curve(parameter).value_at(zeta)

    def curve(self, parameter: str, points: int = 101) -> pd.DataFrame:
        """The curve of a parameter on a grid, for a zeta plot or a density plot.

        Parameters
        ----------
        parameter : str
        points : int

        Returns
        -------
        DataFrame
            Columns ``value``, ``zeta`` and ``abs_zeta``, at `points` values evenly spaced over the profile.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> profile = fit.profile(which="sigma")
        >>> profile.curve("sigma", points=3).round(2)
           value  zeta  abs_zeta
        0  25.52 -3.67      3.67
        1  32.48  0.89      0.89
        2  39.44  4.06      4.06
        """
        curve = self._curve(parameter)
        values = np.linspace(curve.values[0], curve.values[-1], points)
        zeta = curve.zeta_at(values)
        return pd.DataFrame({"value": values, "zeta": zeta, "abs_zeta": np.abs(zeta)})

    def plot(
        self,
        parameters: str | Sequence[str] | None = None,
        *,
        levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.99),
        absolute: bool = False,
        axes: ArrayLike | Axes | None = None,
    ) -> AxesArray:
        """Draw zeta against each parameter, with the limits of its intervals: `mixfit.plots.profile_zeta`.

        Parameters
        ----------
        parameters : str or sequence of str, optional
            All that were profiled by default.
        levels : sequence of float
            Coverages of the intervals to mark. Limits beyond the profile are left out.
        absolute : bool
            Whether to draw the absolute value of zeta, each interval a bar across the curve.
        axes : Axes or array of Axes, optional
            One a parameter. By default a figure is made.

        Returns
        -------
        ndarray of Axes, shape (m,)
            One a parameter.

        Raises
        ------
        FitError
            For a parameter that was not profiled, or a wrong number of axes.
        ValueError
            For a coverage that is not between 0 and 1.
        MissingPackageError
            Where matplotlib is not installed.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
        >>> profile = fit.profile(which="sigma")
        >>> (axes,) = profile.plot()
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('sigma', 'ζ')
        """
        from mixfit.plots import profile_zeta

        return profile_zeta(self, parameters, levels=levels, absolute=absolute, axes=axes)

    def _curve(self, parameter: str) -> Curve:
        if parameter not in self.curves:
            raise FitError(f"There is no profile of {parameter!r}, only of {', '.join(map(repr, self.curves))}.")
        return self.curves[parameter]


def normal_quantile(alpha: float) -> float:
    """z(1 - alpha / 2).

    Raises
    ------
    ValueError
        When `alpha` is not between 0 and 1.
    """
    from scipy.special import ndtri

    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha!r}")
    return float(ndtri(1.0 - alpha / 2.0))


def profile(
    fit: MixedResults,
    which: str | Sequence[str] | None = None,
    alpha_max: float = 0.01,
    points: int = 8,
) -> LikelihoodProfile:
    """Profile the likelihood of a fit: see `mixfit.results.intervals.Intervals.profile`."""
    if not 0.0 < alpha_max < 1.0:
        raise ValueError(f"alpha_max must lie between 0 and 1, not {alpha_max!r}")
    if points < 1:
        raise ValueError(f"points must be positive, not {points!r}")
    return _around(fit, which, lambda around, chosen: _profile(around, chosen, alpha_max, points))


def _profile(around: LikelihoodAround, chosen: Sequence[Parameter], alpha_max: float, points: int) -> LikelihoodProfile:
    from scipy.special import chdtri

    cutoff = float(np.sqrt(chdtri(len(around.known), alpha_max)))
    estimates = around.values(around.chart, around.center.x, around.center.slope.beta)
    curves, frames = {}, []
    for p in chosen:
        focal = around.focal(p)
        if focal is None:
            frames.append(pd.DataFrame([{".zeta": 0.0, **estimates, ".par": p.name, ".focal": np.nan}]))
            continue
        curves[p.name], path = trace(focal, cutoff, cutoff / points)
        frames.append(_rows(around, focal, curves[p.name], path))
    return LikelihoodProfile(pd.concat(frames, ignore_index=True), curves, pd.Series(estimates), cutoff)


def _rows(around: LikelihoodAround, focal: Focal, curve: Curve, path: Sequence[Held]) -> pd.DataFrame:
    chart = focal.path.chart
    rows = [around.values(chart, h.x, h.point.slope.beta) for h in path]
    frame = pd.DataFrame(rows)
    frame.insert(0, ".zeta", curve.zeta)
    frame[".par"] = focal.parameter.name
    frame[".focal"] = curve.values
    return frame


def profile_intervals(fit: MixedResults, which: str | Sequence[str] | None, alpha: float) -> pd.DataFrame:
    """Limits of the profile intervals alone: no curve is traced.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    which : str, sequence of str or None
        As `mixfit.inference.parameters.select` takes it.
    alpha : float

    Returns
    -------
    DataFrame
        Columns 0 and 1, a row a parameter.
    """
    target = normal_quantile(alpha)

    def ends(around: LikelihoodAround, chosen: Sequence[Parameter]) -> pd.DataFrame:
        rows = [_ends(around.focal(p), target) for p in chosen]
        return pd.DataFrame(rows, index=[p.name for p in chosen], columns=[0, 1], dtype=float)

    return _around(fit, which, ends)


def _ends(focal: Focal | None, target: float) -> tuple[float, float]:
    if focal is None:
        # Any correlation of effects without variance has the same likelihood.
        return -1.0, 1.0
    lower, upper = (focal.natural(find_end(focal.path, focal.scale, target, side)) for side in (-1, 1))
    return lower, upper


def _around(
    fit: MixedResults,
    which: str | Sequence[str] | None,
    ask: Callable[[LikelihoodAround, Sequence[Parameter]], Answer],
) -> Answer:
    """Ask around the maximum; around a better one where a constrained maximum lies above the fit."""
    around = LikelihoodAround.of(fit)
    chosen = select(around.known, which)
    for _ in range(_MAX_RESTARTS):
        try:
            return ask(around, chosen)
        except LowerDevianceError as better:
            gain = around.center.value - better.point.value
            warnings.warn(
                f"Profiling found a deviance lower by {gain:.3g} than the maximum-likelihood fit has: the fit is at a "
                "local optimum. The profiles are made around the better one.",
                ConvergenceWarning,
                stacklevel=4,
            )
            around = around.restarted(better)
    raise FitError("Profiling keeps finding lower deviances: the likelihood has several optima close together.")
