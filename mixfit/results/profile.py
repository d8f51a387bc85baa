"""Likelihood profiles as a user holds them: curves and intervals, and their picture."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from mixfit.inference.profiles.curves import ProfileCurves
from mixfit.inference.profiles.profile import profile_curves
from mixfit.plots.zeta import profile_zeta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from mixfit.fitted.protocols import Fit
    from mixfit.plots.figure import AxesArray

__all__ = ["LikelihoodProfile", "profile"]


class LikelihoodProfile(ProfileCurves):
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
        parameters, levels, absolute, axes
            As of `mixfit.plots.profile_zeta`.

        Returns
        -------
        ndarray of Axes, shape (m,)
            One a parameter.

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
        return profile_zeta(self, parameters, levels=levels, absolute=absolute, axes=axes)


def profile(
    fit: Fit, which: str | Sequence[str] | None = None, *, level: float = 0.99, points: int = 8
) -> LikelihoodProfile:
    """Profile the likelihood.

    For values of one parameter the likelihood is maximized over all others; zeta is the signed square root of
    what this adds to the deviance, and near a straight line where Wald intervals are good. The
    deviance is that of maximum likelihood, also for a REML fit, as in lme4.

    Parameters
    ----------
    which : str or sequence of str, optional
        As for `conf_int`; all parameters by default.
    level : float
        The curves go to the absolute zeta whose square is the chi-square quantile of `level` with as
        many degrees of freedom as the model has parameters.
    points : int
        About how many points a curve has on each side.

    Returns
    -------
    LikelihoodProfile
        With ``frame``, ``conf_int(level)``, ``curve(parameter)``, ``zeta(parameter, values)``.

    Raises
    ------
    FitError
        For a parameter that the model does not have.

    Warns
    -----
    ConvergenceWarning
        Where a constrained maximum lies above the fit: the profile is then that of the better optimum.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> profile = fit.profile(which="sigma")
    >>> profile.conf_int(level=0.9).round(2)
              0      1
    sigma  23.3  28.29
    """
    curves = profile_curves(fit, which, level, points)
    return LikelihoodProfile(**{field.name: getattr(curves, field.name) for field in fields(curves)})
