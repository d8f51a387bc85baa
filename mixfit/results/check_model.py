"""The checks of a model as a user holds them: numbers and sentences, and their picture."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from mixfit.inference.checks import ModelChecks, model_checks
from mixfit.plots.model_check import check_panels

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from mixfit.fitted.protocols import Fit
    from mixfit.plots.figure import AxesArray

__all__ = ["ModelCheck", "check_model"]


class ModelCheck(ModelChecks):
    """Six looks at a fit. Prints as a table with a sentence of each; ``plot()`` draws them.

    Attributes
    ----------
    checks : tuple of Check, length 6
        Predictive check, linearity, homogeneity (dispersion of a generalized model), influence, normality of residuals
        (uniformity of its quantile residuals), normality of random effects. Each has ``name``, ``statistic``,
        ``value``, ``p_value``, ``doubtful`` and ``words``.
    y, simulated, fitted, residuals, uniform, binned, cooks, modes
        What the panels show.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> check = fit.check_model(seed=1)
    >>> check.checks[4].words
    'Residuals have heavier tails than a normal distribution.'
    """

    def plot(self, *, axes: ArrayLike | Axes | None = None) -> AxesArray:
        """Draw the six panels, each with its sentence.

        Parameters
        ----------
        axes : array of six Axes, optional
            By default a figure is made.

        Returns
        -------
        ndarray of Axes, shape (6,)

        Raises
        ------
        MissingPackageError
            Where matplotlib is not installed.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> axes = fit.check_model(n=50, seed=1).plot()
        >>> axes[1].get_title(loc="left")
        'Linearity'
        """
        return check_panels(self, axes)


def check_model(fit: Fit, n: int = 250, *, seed: int | np.random.Generator | None = None) -> ModelCheck:
    """Look at whether the model could have made the data, as ``performance::check_model``.

    Responses simulated with new random effects are compared with the data; residuals (given the random effects) with
    fitted values, in their mean and in their spread; Cook's distances of the levels of the coarsest grouping factor;
    residuals and random effects with normal distributions. Of a generalized model residuals are quantile residuals,
    and those of binary responses are binned.

    Parameters
    ----------
    n : int
        Number of simulated responses.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.

    Returns
    -------
    ModelCheck
        Prints numbers and sentences; ``.plot()`` draws six panels.

    Notes
    -----
    Each look marks one true model in twenty. Of many rows a test finds what is too small to matter, and of few it
    misses what is large: look at the panels.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> [check.name for check in fit.check_model(seed=1).checks if check.doubtful]
    ['normality of residuals']
    """
    found = model_checks(fit, n, seed)
    return ModelCheck(**{f.name: getattr(found, f.name) for f in fields(ModelChecks)})
