"""Panels of fitted lines by group."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import DataError, FitError
from mixfit.plots import fitted_lines
from mixfit.plots.group_lines import containing_factors, group_curves, group_regressions, typical_rows
from tests.plots.fits import cbpp_fit, crossed_data, crossed_fit, sleep, sleep_fit


def lines(axes: object) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_sleepstudy_by_subject() -> None:
    fit, data = sleep_fit(), sleep()
    drawn = fitted_lines(fit, "Days", within=True)
    coefficients = fit.coef()["Subject"]
    assert [axes.get_title() for axes in drawn] == coefficients.index.tolist()
    grid = np.linspace(0.0, 9.0, 61)
    for axes, level in zip(drawn, coefficients.index, strict=True):
        own = data[data["Subject"] == level]
        np.testing.assert_array_equal(axes.collections[0].get_offsets(), own[["Days", "Reaction"]])
        a, b = coefficients.loc[level]
        slope, intercept = np.polyfit(own["Days"], own["Reaction"], 1)
        wanted = {
            "group by itself": intercept + slope * grid,
            "population": fit.params["Intercept"] + fit.params["Days"] * grid,
            "mixed model": a + b * grid,
        }
        found = lines(axes)
        assert list(found) == list(wanted)
        for name, line in wanted.items():
            np.testing.assert_allclose(found[name], np.column_stack([grid, line]))


def test_one_legend_and_one_name_of_each_axis() -> None:
    figure = fitted_lines(sleep_fit(), "Days")[0].figure
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("Days", "Reaction")
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "Subject"
    assert [t.get_text() for t in legend.get_texts()] == ["data", "population", "mixed model"]
    figure.canvas.draw()


def test_axes_that_are_given_have_names_of_their_own() -> None:
    from matplotlib import pyplot

    _, given = pyplot.subplots(1, 2)
    drawn = fitted_lines(sleep_fit(), "Days", levels=["372", "308"], axes=given, population=False)
    assert [axes.get_title() for axes in drawn] == ["372", "308"]
    assert [axes.get_xlabel() for axes in drawn] == ["Days", "Days"]
    assert list(lines(drawn[0])) == ["mixed model"]
    assert drawn[0].get_legend() is not None


def test_order_and_number_of_groups() -> None:
    modes = sleep_fit().ranef()["Subject"]["Intercept"].sort_values()
    sorted_ = fitted_lines(sleep_fit(), "Days", sort=True)
    assert [axes.get_title() for axes in sorted_] == modes.index.tolist()
    some = fitted_lines(sleep_fit(), "Days", sort=True, max_groups=3)
    assert [axes.get_title() for axes in some] == modes.index[[0, 8, 17]].tolist()
    assert some[0].figure.legends[0].get_title().get_text() == "Subject (3 of 18)"
    np.testing.assert_allclose(
        lines(some[2])["mixed model"][0], [0.0, sleep_fit().coef()["Subject"].loc["337", "Intercept"]]
    )


@pytest.mark.parametrize(("count", "shape"), [(3, (1, 3)), (12, (3, 4)), (15, (3, 5)), (18, (3, 6)), (36, (4, 9))])
def test_the_grid_leaves_few_places_empty(count: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.repeat(np.arange(count), 3), "x": np.tile([0.0, 1.0, 2.0], count)})
    data["y"] = rng.normal(size=count)[data["g"]] + rng.normal(size=len(data))
    axes = fitted_lines(mixfit.mixed("y ~ x + (1|g)", data).fit(), "x")
    assert axes[0].get_subplotspec().get_gridspec().get_geometry() == shape


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_categorical_variable_on_the_scale_of_the_response(kind: str) -> None:
    fit, data = cbpp_fit(), mixfit.datasets.load("cbpp")
    drawn = fitted_lines(fit, "period", data=data if kind == "pandas" else pl.from_pandas(data))
    assert [axes.get_title() for axes in drawn] == fit.ranef()["herd"].index.tolist()
    effects = np.array([0.0, *fit.params[1:]])
    for axes, mode in zip(drawn, fit.ranef()["herd"]["Intercept"], strict=True):
        eta = fit.params["Intercept"] + effects
        found = lines(axes)
        np.testing.assert_allclose(found["mixed model"][:, 1], 1.0 / (1.0 + np.exp(-eta - mode)))
        np.testing.assert_allclose(found["population"][:, 1], 1.0 / (1.0 + np.exp(-eta)))
    assert [t.get_text() for t in drawn[-1].get_xticklabels()] == ["1", "2", "3", "4"]
    first = data[data["herd"] == "1"]
    points = np.column_stack([first["period"].cat.codes, first["incidence"] / first["size"]])
    np.testing.assert_allclose(drawn[0].collections[0].get_offsets(), points)
    assert drawn[0].figure.get_supylabel() == "proportion of incidence"


def test_dates_are_legible() -> None:
    data = sleep().assign(day=lambda d: pd.Timestamp("2024-05-01") + pd.to_timedelta(d["Days"], unit="D"))
    (panel,) = fitted_lines(sleep_fit(), "day", levels="308", data=data)
    panel.figure.draw_without_rendering()
    labels = panel.get_xticklabels()
    assert [label.get_text() for label in labels] == [f"2024-05-{day:02d}" for day in range(1, 11)]
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_transformed_variables_are_drawn_along_their_columns() -> None:
    fit = mixfit.mixed("Reaction ~ poly(Days, 2) + (1|Subject)", sleep()).fit()
    with pytest.raises(DataError, match="no column 'days'; without data="):
        fitted_lines(fit, "days")
    curve = lines(fitted_lines(fit, "Days", levels=["308"])[0])["mixed model"]
    given = lines(fitted_lines(fit, "Days", data=sleep(), levels=["308"])[0])["mixed model"]
    np.testing.assert_array_equal(curve, given)
    seen = np.isin(np.round(curve[:, 0], 9), np.arange(10))
    np.testing.assert_allclose(curve[seen, 1], fit.fittedvalues[:10][np.round(curve[seen, 0]).astype(int)])
    logs = mixfit.mixed("Reaction ~ Days + np.log(Days + 1) + (1|Subject)", sleep()).fit()
    own = lines(fitted_lines(logs, "Days", levels=["308"])[0])["mixed model"]
    assert own[0, 1] == pytest.approx(logs.fittedvalues.iloc[0])
    mixed = mixfit.mixed("Reaction ~ Days + C(Days > 5) + (1|Subject)", sleep().assign(late=1.0)).fit()
    assert lines(fitted_lines(mixed, "Days", levels=["308"])[0])["mixed model"][-1, 1] == pytest.approx(
        mixed.fittedvalues.iloc[9]
    )


def test_other_columns_are_held_and_other_factors_are_zero() -> None:
    fit, data = crossed_fit(), crossed_data()
    axes = fitted_lines(fit, "x", group="g", data=data, levels=["g3"])[0]
    own = data[data["g"] == "g3"]
    held = {name: np.sort(own[name])[(len(own) - 1) // 2] for name in ("z", "o")}
    a, b = fit.coef()["g"].loc["g3", ["Intercept", "x"]]
    grid = np.linspace(data["x"].min(), data["x"].max(), 61)
    wanted = a + b * grid + fit.params["z"] * held["z"] + held["o"]
    np.testing.assert_allclose(lines(axes)["mixed model"], np.column_stack([grid, wanted]))


def test_a_missing_column_is_asked_for() -> None:
    with pytest.raises(DataError, match="Pass the frame of the fit as data="):
        fitted_lines(sleep_fit(), "days")
    with pytest.raises(DataError, match="no column 'days'; data= has"):
        fitted_lines(sleep_fit(), "days", data=sleep())


def test_the_effects_of_factors_that_contain_the_group_count() -> None:
    data = mixfit.datasets.load("pastes").assign(x=np.arange(60) % 7)
    fit = mixfit.mixed("strength ~ x + (1|batch/cask)", data).fit()
    by_name = {term.grouping.name: term.grouping for term in fit.model.design.random}
    assert containing_factors(fit.model.design.random, by_name["batch"]) == ["batch"]
    assert sorted(containing_factors(fit.model.design.random, by_name["batch:cask"])) == ["batch", "batch:cask"]
    axes = fitted_lines(fit, "x", group="batch:cask", data=data, levels=["C:b"])[0]
    effect = fit.ranef()["batch"].loc["C", "Intercept"] + fit.ranef()["batch:cask"].loc["C:b", "Intercept"]
    gap = lines(axes)["mixed model"][:, 1] - lines(axes)["population"][:, 1]
    np.testing.assert_allclose(gap, effect)


def test_rows_that_the_fit_left_out_are_not_drawn() -> None:
    data = sleep()
    data.loc[[3, 40], "Reaction"] = np.nan
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", data).fit()
    for frame in (None, data):
        axes = fitted_lines(fit, "Days", data=frame, levels=["308"])[0]
        wanted = data[data["Subject"] == "308"].drop(index=3)[["Days", "Reaction"]]
        np.testing.assert_array_equal(axes.collections[0].get_offsets(), wanted)


def test_a_variable_outside_the_model_may_be_missing() -> None:
    data = sleep().assign(dose=np.where(np.arange(180) % 4 == 0, np.nan, np.arange(180) % 10))
    curves = group_curves(sleep_fit(), "dose", sleep_fit().model.groups["Subject"], np.array([0]), data)
    assert np.isnan(curves.x).sum() == 45
    assert np.ptp(curves.mixed) == 0.0
    label = data.assign(dose=data["dose"].map(lambda d: None if np.isnan(d) else f"d{d:.0f}"))
    curves = group_curves(sleep_fit(), "dose", sleep_fit().model.groups["Subject"], np.array([0]), label)
    assert curves.values == tuple(sorted(set(label["dose"].dropna())))
    assert np.isnan(curves.x).sum() == 45
    axes = fitted_lines(sleep_fit(), "dose", data=data, levels=["308"], within=True)[0]
    own = data[data["Subject"] == "308"].dropna()
    slope, intercept = np.polyfit(own["dose"], own["Reaction"], 1)
    np.testing.assert_allclose(lines(axes)["group by itself"][[0, -1], 1], [intercept, intercept + 9.0 * slope])


def test_group_regressions_with_weights() -> None:
    data = crossed_data()
    codes, levels = pd.factorize(data["g"], sort=True)
    x = data["x"].to_numpy() + 1e4
    a, b = group_regressions(x, data["y"].to_numpy(), data["w"].to_numpy(), codes, len(levels))
    own = codes == 2
    slope, intercept = np.polyfit(data["x"][own], data["y"][own], 1, w=np.sqrt(data["w"][own]))
    np.testing.assert_allclose([a[2] + 1e4 * b[2], b[2]], [intercept, slope], rtol=1e-7)
    assert np.isnan(b[-1])


def test_typical_rows_keep_their_types() -> None:
    frame = pd.DataFrame(
        {
            "i": [5, 1, 3, 9, 9, 2],
            "f": [0.5, np.nan, 1.5, np.nan, np.nan, np.nan],
            "c": pd.Categorical(["u", "v", "v", "u", "w", "w"], ["w", "v", "u"]),
            "b": [True, False, False, True, True, False],
        }
    )
    rows = typical_rows(frame, np.array([0, 0, 0, 1, 1, 1]))
    assert rows["i"].tolist() == [3, 9]
    assert rows["f"].tolist()[0] == 1.5
    assert rows["c"].tolist() == ["v", "w"]
    assert rows["b"].tolist() == [False, True]
    assert rows.dtypes.tolist() == frame.dtypes.tolist()


def test_ordered_categories_have_no_line() -> None:
    fit = mixfit.mixed("rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative").fit()
    for draw in (fit.plot.fitted_lines, fit.plot.spaghetti):
        with pytest.raises(FitError, match="category_probabilities"):
            draw("temp")


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(FitError, match="no level '999' of Subject"):
        fitted_lines(sleep_fit(), "Days", levels=["308", "999"])
    for levels in ([], ["308", "308", "309"]):
        with pytest.raises(FitError, match="at least one level of Subject, and each once"):
            fitted_lines(sleep_fit(), "Days", levels=levels)
    with pytest.raises(FitError, match="within=True is for linear models"):
        fitted_lines(cbpp_fit(), "period", data=mixfit.datasets.load("cbpp"), within=True)
    with pytest.raises(FitError, match="'week' is categorical"):
        fitted_lines(sleep_fit(), "week", data=sleep().assign(week="a"), within=True)
    with pytest.raises(FitError, match="max_groups must be positive"):
        fitted_lines(sleep_fit(), "Days", max_groups=0)
