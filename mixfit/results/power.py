"""Power as a user holds it: numbers, and their picture."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mixfit.planning.extend import levels_of
from mixfit.planning.power import PowerCurve, power_curve
from mixfit.planning.search import bisect_levels, detectable_effect
from mixfit.plots.power import power_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from mixfit.planning.power import Planned
    from mixfit.planning.search import DetectableEffect, SampleSize
    from mixfit.plots.figure import AxesArray

__all__ = ["Power", "power", "sample_size", "smallest_effect"]


class Power(PowerCurve):
    """Power of tests, at one layout or along numbers of levels.

    Attributes
    ----------
    frame : DataFrame
        A row a test at a layout: a column for each axis, ``test``, ``ddf``, ``nobs``, ``power`` with Wilson's interval
        from ``lower`` to ``upper``; ``type_s``, the share of significant estimates that have the wrong sign, and
        ``type_m``, the mean ratio of their size to the true one, NaN for tests of several numbers and of a true value
        of zero; ``singular``, the share of singular refits; and how many ``failed``.
    axes : tuple of str
    n_sim : int
        Replicates at each layout. Refits that failed have not rejected.
    level : float
        Of the intervals; tests reject at one less it.
    failures : dict of str to int
        Reasons of failed refits, with their counts.
    formula : str
    replicates : DataFrame
        A row a replicate, test and layout: p-value, estimate, standard error and degrees of freedom.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> plan = mixfit.design(
    ...     "~ Days + (1 | Subject)", layout, fixed={"Intercept": 250, "Days": 2}, sd={"Subject": 30}, sigma=25
    ... )
    >>> power = plan.power("Days", n_sim=200, seed=1)
    >>> power.tests, len(power.replicates), power.failures
    (('Days',), 200, {})
    """

    @classmethod
    def of(cls, curve: PowerCurve) -> Power:
        """The same numbers, to be drawn."""
        return cls(**{field.name: getattr(curve, field.name) for field in fields(PowerCurve)})

    def plot(self, *, target: float | None = 0.8, axes: ArrayLike | Axes | None = None) -> AxesArray:
        """Draw power against the numbers of levels: `mixfit.plots.power_lines`.

        Parameters
        ----------
        target : float or None
            A power to draw a line at.
        axes : Axes or array of Axes, optional
            One a test. By default a figure is made.

        Returns
        -------
        ndarray of Axes, shape (t,)
        """
        return power_lines(self, target=target, axes=axes)


def power(
    plan: Planned,
    test: Any,
    *,
    n_sim: int = 1000,
    along: Mapping[str, Sequence[Any]] | None = None,
    ddf: str | None = None,
    level: float | None = None,
    seed: int | np.random.Generator | None = None,
    n_jobs: int | None = 1,
    progress: bool = True,
) -> Power:
    """Simulate the experiment, fit the model to each simulation, and count how often a test rejects.

    Parameters
    ----------
    test : str, sequence of str, mapping, DataFrame, array_like or callable
        What is tested to be zero: a fixed effect or a term (of type III) by name; several; ``"anova"``, all terms;
        a contrast as ``fit.contest`` takes it, the rows of a frame each by itself. Or a function of a refitted
        result, which gives a p-value, or says by True that it rejects.
    n_sim : int
        Replicates at each layout.
    along : mapping of str to sequence, optional
        Axes: for columns of the layout the numbers of levels to look at, or lists of their values, as in `extend`.
        All combinations, where there are several.
    ddf : str, optional
        As in ``fit.contest``. Kenward and Roger's, which ``"auto"`` is with fewer than ten groups, are computed refit
        by refit.
    level : float, optional
        Tests reject at 1 - `level`; the intervals of the power have this coverage. That of `mixfit.options` by default.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it. What is drawn at a layout depends on the seed and its numbers of
        levels alone: neither on `n_jobs` nor on the layouts beside it.
    n_jobs : int or None
        Processes, as joblib counts them. Linear models with one grouping factor are refitted and tested together,
        as one array operation in this process, unless `test` is a function.
    progress : bool
        Whether a bar is shown once the refits have taken two seconds.

    Returns
    -------
    Power
        ``.table()``, ``.to_frame()``, ``.plot()``; with type S and M errors, and what came of the refits.

    Raises
    ------
    FitError
        For a test that does not suit the model, or where every refit failed.
    DataError
        For an axis that is no column of the layout, with those that it has.
    DesignError
        Where a layout is too small for the model.

    References
    ----------
    Green & MacLeod (2016), SIMR, Methods in Ecology and Evolution 7, 493-498. Gelman & Carlin (2014), Beyond power
    calculations, Perspectives on Psychological Science 9, 641-651.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> plan = mixfit.design(
    ...     "~ Days + (Days | Subject)", layout, fixed={"Intercept": 250, "Days": 3},
    ...     sd={"Subject": {"(Intercept)": 25, "Days": 6}}, cor={"Subject": 0.1}, sigma=25,
    ... )
    >>> power = plan.power("Days", along={"Subject": [20, 40, 60]}, n_sim=500, seed=1)
    >>> (power.frame["power"] > [0.4, 0.7, 0.9]).tolist()
    [True, True, True]
    """
    curve = power_curve(
        plan,
        test,
        n_sim=n_sim,
        along=along,
        ddf=ddf,
        level=level,
        seed=seed,
        n_jobs=n_jobs,
        progress=progress,
    )
    return Power.of(curve)


def sample_size(
    plan: Planned,
    test: Any,
    along: str,
    *,
    target: float = 0.8,
    largest: int = 10_000,
    n_sim: int = 1000,
    ddf: str | None = None,
    level: float | None = None,
    seed: int | np.random.Generator | None = None,
    n_jobs: int | None = 1,
    progress: bool = True,
) -> SampleSize:
    """Find the smallest number of levels of a factor with which a test has a power.

    From the number that the layout has it is doubled until the target is reached, or halved until it is not, and
    then bisected. The power of each number is simulated, so that the answer is known no better than by the
    interval that comes with it.

    Parameters
    ----------
    test : str, sequence of str, mapping, DataFrame, array_like or callable
        One test, as in `power`.
    along : str
        The column of the layout.
    target : float
        The power.
    largest : int
        The largest number to look at.
    n_sim, ddf, level, seed, n_jobs, progress
        As in `power`.

    Returns
    -------
    SampleSize

    Raises
    ------
    FitError
        Where the largest number does not reach the target, and for several tests.
    DataError
        For a factor that is no column of the layout.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> plan = mixfit.design(
    ...     "~ Days + (Days | Subject)", layout, fixed={"Intercept": 250, "Days": 3},
    ...     sd={"Subject": {"(Intercept)": 25, "Days": 6}}, cor={"Subject": 0.1}, sigma=25,
    ... )
    >>> found = plan.sample_size("Days", "Subject", n_sim=500, seed=1)
    >>> 35 < found.n < 48
    True
    """
    options = {"n_sim": n_sim, "ddf": ddf, "level": level, "seed": seed, "n_jobs": n_jobs}
    start = levels_of(plan.data, along, plan.groups) if along in plan.data.columns else 1
    return bisect_levels(
        plan, test, along, target=target, start=start, largest=largest, progress=progress, options=options
    )


def smallest_effect(
    plan: Planned,
    test: Any,
    *,
    target: float = 0.8,
    n_sim: int = 1000,
    ddf: str | None = None,
    level: float | None = None,
    seed: int | np.random.Generator | None = None,
    progress: bool = True,
) -> DetectableEffect:
    """Find the value of a fixed effect, or of a contrast, at which a linear model's test of it has a power.

    Parameters
    ----------
    test : str, mapping or array_like
        One fixed effect or contrast, as in `power`; its stated value says the sign.
    target : float
        The power.
    n_sim, ddf, level, seed, progress
        As in `power`.

    Returns
    -------
    DetectableEffect

    Raises
    ------
    FitError
        For tests of several numbers, and generalized models.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> plan = mixfit.design(
    ...     "~ Days + (Days | Subject)", layout, fixed={"Intercept": 250, "Days": 3},
    ...     sd={"Subject": {"(Intercept)": 25, "Days": 6}}, cor={"Subject": 0.1}, sigma=25,
    ... )
    >>> 4.0 < plan.smallest_effect("Days", n_sim=500, seed=1).effect < 4.8
    True
    """
    return detectable_effect(plan, test, target=target, n_sim=n_sim, ddf=ddf, level=level, seed=seed, progress=progress)
