"""Figures, axes and labels; what happens without matplotlib; what is imported when."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pickle
import pkgutil
import re
import sys

import numpy as np
import pytest

import mixfit
import mixfit.plots
from mixfit.errors import FitError, MissingPackageError, MixfitError
from mixfit.plots.figure import panels, point_style, thin_labels
from tests.fresh import run
from tests.plots.fits import cbpp_fit, pulp_fit, sleep_fit

# What of a fit is drawn, with arguments that suffice.
DRAWN = {
    "caterpillar": (),
    "coefficients": (),
    "effect_correlations": (),
    "fitted_lines": ("Days",),
    "partial_residuals": ("Days",),
    "predictive_check": (20,),
    "qq_ranef": (),
    "qq_residuals": (),
    "quantile_residual_plot": (20,),
    "ranef_pairs": (),
    "residuals_fitted": (),
    "scale_location": (),
    "shrinkage": (),
    "spaghetti": ("Days",),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_made_only_where_no_axes_are_given(name: str) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    draw, arguments = getattr(mixfit.plots, name), DRAWN[name]
    several = name in ("caterpillar", "fitted_lines", "qq_ranef", "quantile_residual_plot", "ranef_pairs", "shrinkage")
    settings = dict(mpl.rcParams)
    drawn = np.ravel(np.asarray(draw(sleep_fit(), *arguments), dtype=object))
    assert len(pyplot.get_fignums()) == 1
    figure, given = pyplot.subplots(3, 6)
    pyplot.figure()
    given = given.ravel()[: len(drawn)]
    options = {"axes": given} if several else {"ax": given[0]}
    again = np.ravel(np.asarray(draw(sleep_fit(), *arguments, **options), dtype=object))
    assert again.tolist() == given.tolist()
    assert len(pyplot.get_fignums()) == 3
    assert pyplot.gcf() is not figure, "the current figure is left alone"
    assert figure._suptitle is None
    assert figure.legends == []
    assert dict(mpl.rcParams) == settings


def test_a_wrong_number_of_axes_is_refused() -> None:
    from matplotlib import pyplot

    _, one = pyplot.subplots()
    with pytest.raises(FitError, match="2 panels; axes= gives 1"):
        mixfit.plots.caterpillar(sleep_fit(), axes=one)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for error in (MissingPackageError, MixfitError, ImportError):
        with pytest.raises(error, match=r"pip install 'mixfit\[plots\]'"):
            pulp_fit().plot.caterpillar()


def test_matplotlib_is_imported_when_something_is_drawn() -> None:
    code = (
        "import sys, mixfit\n"
        "assert 'mixfit.plots' not in sys.modules\n"
        "fit = mixfit.mixed('bright ~ 1 + (1 | operator)', mixfit.datasets.load('pulp')).fit()\n"
        "fit.plot, mixfit.plots.strip\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    run(code)


def test_spare_places_of_the_grid_are_empty() -> None:
    made = panels(7, None, columns=4, size=(1.0, 1.0), sharex=True)
    assert made.figure is not None
    assert made.figure.axes == made.axes.tolist()
    rows = [axis.get_subplotspec().rowspan.start for axis in made.axes]
    assert rows == [0, 0, 0, 0, 1, 1, 1]
    shown = [axis.xaxis.get_major_ticks()[0].label1.get_visible() for axis in made.axes]
    assert shown == [False, False, False, True, True, True, True]


@pytest.mark.parametrize(("count", "step"), [(25, 1), (26, 2), (100, 4), (1000, 40)])
def test_labels_are_thinned_to_the_room_that_there_is(count: int, step: int) -> None:
    from matplotlib import pyplot

    axes = pyplot.figure(figsize=(4.0, 4.0)).add_axes((0.0, 0.0, 1.0, 1.0))
    # 4 inches hold 4 * 72 / (1.25 * 9.2) = 25.04 lines.
    thin_labels(axes.yaxis, [f"level {i}" for i in range(count)], size=9.2)
    assert axes.get_yticks().tolist() == list(range(0, count, step))
    assert [t.get_text() for t in axes.get_yticklabels()] == [f"level {i}" for i in range(0, count, step)]


def test_labels_along_x_turn_where_they_are_long() -> None:
    from matplotlib import pyplot

    _, axes = pyplot.subplots(1, 2, figsize=(8.0, 3.0))
    thin_labels(axes[0].xaxis, ["a", "b", "c"])
    thin_labels(axes[1].xaxis, [f"a long name {i}" for i in range(12)])
    assert {t.get_rotation() for t in axes[0].get_xticklabels()} == {0.0}
    assert {t.get_rotation() for t in axes[1].get_xticklabels()} == {90.0}
    assert len(axes[1].get_xticks()) == 12


def test_points_get_smaller_and_fainter_as_they_get_many() -> None:
    styles = [point_style(n) for n in (10, 1000, 100_000)]
    assert [s["rasterized"] for s in styles] == [False, False, True]
    for key in ("s", "alpha"):
        values = [s[key] for s in styles]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) == 3


@pytest.mark.parametrize("fit", [sleep_fit, cbpp_fit])
def test_the_accessor_is_the_functions_with_the_fit_filled_in(fit: object) -> None:
    plot = fit().plot
    assert [name for name in dir(plot) if not name.startswith("_")] == sorted(
        [*DRAWN, "binned_residual_plot", "category_probabilities", "correlation_map", "emmip", "rootogram", "variogram"]
    )
    for name in DRAWN:
        function, method = getattr(mixfit.plots, name), getattr(plot, name)
        assert list(inspect.signature(method).parameters) == list(inspect.signature(function).parameters)[1:]
        assert method.__doc__ == function.__doc__
    assert repr(plot).startswith("<Plots of <")


def test_the_accessor_draws_the_fit_it_came_from() -> None:
    axes = pickle.loads(pickle.dumps(pulp_fit())).plot.caterpillar(level=0.9)
    assert axes[0].get_xlabel() == "conditional mode, 90% interval"


MODULES = [m.name for m in pkgutil.iter_modules(mixfit.plots.__path__, "mixfit.plots.")] + ["mixfit.inference.within"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(
    ("plot", "source"),
    [
        ("means_plot", "fit.emmeans(specs)"),
        ("effects_plot", "fit.effects(x)"),
        ("calibration", "mixfit.cross_validate(fit)"),
        ("coefficients_by_group", "mixfit.lm_list(formula, data)"),
        ("posterior_caterpillar", "fit.sample()"),
        ("prior_posterior", "fit.sample()"),
        ("power_lines", "plan.power(along=...)"),
        ("profile_zeta", "fit.profile()"),
    ],
)
def test_a_fit_is_refused_where_something_made_of_it_is_drawn(plot: str, source: str) -> None:
    with pytest.raises(FitError, match=f"{plot} draws what {re.escape(source)}"):
        getattr(mixfit.plots, plot)(cbpp_fit())
