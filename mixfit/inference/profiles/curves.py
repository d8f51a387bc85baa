"""Likelihood profiles as an object: their curves, and the intervals that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = ["ProfileCurve", "ProfileCurves"]

# Halvings of a cell of a curve: to the last bit of a double.
_BISECTIONS = 60


@dataclass(frozen=True, eq=False)
class ProfileCurve:
    """zeta of one parameter.

    Between its points it is the cubic with their exact slopes, these limited so that the curve is monotone
    (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17); the inverse is that of the same cubics.

    Attributes
    ----------
    values : ndarray, shape (m,)
        Of the parameter, increasing.
    zeta : ndarray, shape (m,)
        Signed square root of the deviance less its minimum.
    slopes : ndarray, shape (m,)
        Derivative of zeta in the value, or in its logarithm where `logarithmic`.
    logarithmic : bool
        Whether the cubics are in the logarithm of the value: of sigma and phi.
    ends : tuple of float
        What an interval ends at where zeta does not reach its target: a bound, infinity, or NaN.
    """

    values: Array
    zeta: Array
    slopes: Array
    logarithmic: bool
    ends: tuple[float, float]

    def zeta_at(self, values: ArrayLike) -> Array:
        """zeta at values of the parameter; NaN outside the curve."""
        x = np.asarray(values, dtype=float)
        if len(self.values) < 2:
            return np.where(x == self.values, 0.0, np.nan)
        cell = np.clip(np.searchsorted(self.values, x, side="right") - 1, 0, len(self.values) - 2)
        inside = (x >= self.values[0]) & (x <= self.values[-1])
        return np.where(inside, self._cubic(cell, self._scaled(x)), np.nan)

    def value_at(self, zeta: ArrayLike) -> Array:
        """The parameter where zeta has given values; an end where the curve does not reach them."""
        z = np.asarray(zeta, dtype=float)
        out = np.where(z < 0.0, self.ends[0], self.ends[1])
        inside = (z >= self.zeta[0]) & (z <= self.zeta[-1])
        if len(self.values) < 2:
            return np.where(inside, self.values, out)
        cell = np.clip(np.searchsorted(self.zeta, z, side="right") - 1, 0, len(self.values) - 2)
        knots = self._scaled(self.values)
        low, high = knots[cell], knots[cell + 1]
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            below = self._cubic(cell, middle) < z
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        middle = 0.5 * (low + high)
        return np.where(inside, np.exp(middle) if self.logarithmic else middle, out)

    def _scaled(self, values: Array) -> Array:
        return np.log(values) if self.logarithmic else values

    def _cubic(self, cell: NDArray[np.intp], x: Array) -> Array:
        knots = self._scaled(self.values)
        h = knots[cell + 1] - knots[cell]
        t = (x - knots[cell]) / h
        out: Array = (
            (1.0 + 2.0 * t) * (1.0 - t) ** 2 * self.zeta[cell]
            + t * (1.0 - t) ** 2 * h * self.slopes[cell]
            + t**2 * (3.0 - 2.0 * t) * self.zeta[cell + 1]
            + t**2 * (t - 1.0) * h * self.slopes[cell + 1]
        )
        return out


@dataclass(frozen=True, eq=False)
class ProfileCurves:
    """Likelihood profiles and what is computed from them; `LikelihoodProfile` adds what is drawn.

    Its attributes and an example are there.
    """

    frame: pd.DataFrame
    curves: Mapping[str, ProfileCurve]
    estimates: pd.Series[float]
    cutoff: float

    def __repr__(self) -> str:
        return f"<LikelihoodProfile of {', '.join(self.parameters)}>"

    @property
    def parameters(self) -> list[str]:
        """Names of the profiled parameters."""
        return list(dict.fromkeys(self.frame[".par"]))

    def conf_int(self, level: float | None = None) -> pd.DataFrame:
        """Intervals between the points where zeta is ±z((1 + level) / 2).

        Parameters
        ----------
        level : float, optional
            Coverage; by default ``mixfit.options.level``, 0.95 at first.

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
        >>> profile.conf_int(level=0.9).round(2)
                   0      1
        sigma  28.27  33.95
        """
        level = coverage(level)
        target = normal_quantile(1.0 - level)
        if target > self.cutoff:
            raise FitError(
                f"These profiles go to |zeta| = {self.cutoff:.3g}, and level={level:g} needs {target:.3g}: "
                "make them with a larger level."
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

    def curve(self, parameter: str, *, points: int = 101) -> pd.DataFrame:
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

    def _curve(self, parameter: str) -> ProfileCurve:
        if parameter not in self.curves:
            raise FitError(f"There is no profile of {parameter!r}, only of {', '.join(map(repr, self.curves))}.")
        return self.curves[parameter]
