"""Likelihood profiles: zeta against the parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.errors import FitError
from mixfit.plots.figure import BLUE, GREY, RED, empty_note, panels, refuse_fit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from mixfit.plots.figure import AxesArray

__all__ = ["ProfileLike", "profile_zeta"]


class ProfileLike(Protocol):
    """What is asked of ``fit.profile()``."""

    @property
    def parameters(self) -> Sequence[str]:
        """Names of the profiled parameters."""

    @property
    def curves(self) -> Mapping[str, object]:
        """Those of them that have a curve."""

    @property
    def estimates(self) -> pd.Series[float]:
        """Where zeta is 0."""

    @property
    def cutoff(self) -> float:
        """|zeta| up to which the curves go where no bound stops them."""

    def curve(self, parameter: str, /, *, points: int = ...) -> pd.DataFrame:
        """Columns ``value`` and ``zeta`` on a grid."""

    def value(self, parameter: str, zeta: ArrayLike, /) -> NDArray[np.float64]:
        """Values at which zeta has given values."""


# A curve of 200 pieces looks smooth, with a corner where there is one.
_POINTS = 201


def profile_zeta(
    profile: ProfileLike,
    parameters: str | Sequence[str] | None = None,
    *,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.99),
    absolute: bool = False,
    axes: ArrayLike | Axes | None = None,
) -> AxesArray:
    """Draw profiled parameters against zeta, with the limits of profile intervals, as lme4's ``xyplot(profile(m))``.

    A straight line says that a Wald interval is as good; one that bends says how wrong it is.

    Parameters
    ----------
    profile : LikelihoodProfile
        From ``fit.profile()``.
    parameters : str or sequence of str, optional
        All by default.
    levels : sequence of float
        Coverages of the intervals to mark. Limits beyond the profile are left out.
    absolute : bool
        Whether to draw the absolute value of zeta, each interval a bar across the curve.
    axes : Axes or array of Axes, optional
        One a parameter. By default a figure is made.

    Returns
    -------
    ndarray of Axes, shape (m,)
        One a parameter. A correlation of effects without variance has no curve, and its panel says so.

    Raises
    ------
    FitError
        For a parameter that was not profiled, or a wrong number of axes.
    FitError
        For a coverage that is not between 0 and 1.
    MissingPackageError
        Where matplotlib is not installed.

    See Also
    --------
    mixfit.results.profile.LikelihoodProfile.conf_int : The limits as a frame.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> profile = fit.profile(which="random")
    >>> axes = mixfit.plots.profile_zeta(profile, absolute=True)
    >>> [a.get_xlabel() for a in axes]
    ['sd((Intercept)|Subject)', 'sigma']
    """
    from scipy.special import ndtri

    refuse_fit(profile, "profile_zeta", "fit.profile()")
    if not all(0.0 < level < 1.0 for level in levels):
        raise FitError(f"levels must lie between 0 and 1, not {list(levels)!r}.")
    known = list(profile.parameters)
    chosen = known if parameters is None else [parameters] if isinstance(parameters, str) else list(parameters)
    for name in chosen:
        if name not in known:
            raise FitError(f"There is no profile of {name!r}, only of {', '.join(map(repr, known))}.")
    z = ndtri(0.5 * (1.0 + np.asarray(levels, dtype=float)))
    drawn = panels(len(chosen), axes, columns=3 if len(chosen) in (3, 5, 6, 9) else 4, size=(3.1, 2.9)).axes
    for axis, name in zip(drawn, chosen, strict=True):
        axis.set_xlabel(name)
        if name not in profile.curves:
            empty_note(axis, "There is no curve.")
            continue
        _draw(axis, profile, name, z, absolute)
        axis.set_ylabel("|ζ|" if absolute else "ζ")
    return drawn


def _draw(axes: Axes, profile: ProfileLike, name: str, z: NDArray[np.float64], absolute: bool) -> None:
    curve = profile.curve(name, points=_POINTS)
    value, zeta = (curve[column].to_numpy(dtype=float) for column in ("value", "zeta"))
    lower, upper = profile.value(name, -z), profile.value(name, z)
    has_lower, has_upper = z <= -zeta.min(), z <= zeta.max()
    if absolute:
        # An interval that reaches a bound ends there, unless the curve was cut off before.
        both = (z <= profile.cutoff) & np.isfinite(lower) & np.isfinite(upper)
        axes.hlines(z[both], lower[both], upper[both], color=GREY, linewidth=1.0)
        axes.vlines(lower[has_lower], 0.0, z[has_lower], color=GREY, linewidth=1.0)
    else:
        axes.axhline(0.0, color=GREY, linewidth=1.0, zorder=0)
        axes.vlines(lower[has_lower], -z[has_lower], 0.0, color=GREY, linewidth=1.0)
    axes.vlines(upper[has_upper], 0.0, z[has_upper], color=GREY, linewidth=1.0)
    axes.plot(value, np.abs(zeta) if absolute else zeta, color=BLUE, linewidth=1.8)
    axes.plot([float(profile.estimates[name])], [0.0], "o", color=RED, markersize=5.0)
    axes.locator_params(axis="x", nbins=5)
