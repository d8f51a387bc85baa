"""Shrinkage plots, and the estimates of every level by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.inference.within import pooling, unpenalized_steps
from mixfit.plots import shrinkage
from tests.plots.fits import cbpp_fit, crossed_data, crossed_fit, pulp_fit, singular_fit, sleep_fit


def test_sleepstudy_by_subject_as_lmlist() -> None:
    pools = pooling(sleep_fit(), "Subject")
    # coef(lmList(Reaction ~ Days | Subject, sleepstudy)) of lme4 1.1-31
    wanted = [[244.192669091, 21.764702424], [263.034692727, -2.881033939], [267.0448, 11.298073333]]
    np.testing.assert_allclose(pools.within.loc[["308", "335", "372"]], wanted, rtol=1e-9)
    pd.testing.assert_frame_equal(pools.pooled, sleep_fit().coef()["Subject"])
    np.testing.assert_array_equal(pools.fixed, sleep_fit().params)


def test_least_squares_holds_the_rest_of_the_model() -> None:
    fit, data = crossed_fit(), crossed_data()
    pools = pooling(fit, "g")
    rest = data["o"] + fit.params["z"] * data["z"] + fit.ranef()["h"]["Intercept"].loc[data["h"]].to_numpy()
    y = (data["y"] - rest).to_numpy()
    root = np.sqrt(data["w"].to_numpy())
    columns = np.column_stack([np.ones(len(data)), data["x"]])
    for level in pools.within.index[:-1]:
        own = (data["g"] == level).to_numpy()
        wanted = np.linalg.lstsq(root[own, None] * columns[own], root[own] * y[own], rcond=None)[0]
        np.testing.assert_allclose(pools.within.loc[level], wanted, rtol=1e-8)
    assert pools.within.loc["g9"].isna().all(), "one row does not determine two coefficients"
    assert pools.pooled.notna().all().all()


def test_partial_pooling_is_a_ridge_from_the_same_data() -> None:
    """With the precisions of data and effects c_j = (P + S^{-1})^{-1} (P a_j + S^{-1} beta)."""
    fit, data = crossed_fit(), crossed_data()
    pools = pooling(fit, "g")
    prior = np.linalg.inv(fit.varcorr()["g"].to_numpy())
    for level in pools.within.index[:-1]:
        own = data[data["g"] == level]
        Z = np.column_stack([np.ones(len(own)), own["x"]])
        precision = Z.T @ (own["w"].to_numpy()[:, None] * Z) / fit.scale
        right = precision @ pools.within.loc[level] + prior @ pools.fixed
        np.testing.assert_allclose(pools.pooled.loc[level], np.linalg.solve(precision + prior, right), rtol=1e-6)


def test_generalized_models_take_the_scoring_step() -> None:
    fit, data = cbpp_fit(), mixfit.datasets.load("cbpp")
    pools = pooling(fit, "herd")
    mu = fit.fittedvalues.to_numpy()
    weight = data["size"].to_numpy() * mu * (1.0 - mu)
    working = fit.linear_predictor.to_numpy() + (data["incidence"] / data["size"] - mu) / (mu * (1.0 - mu))
    own = working.to_numpy() - (fit.predict(type="link", re_form="population") - fit.params["Intercept"]).to_numpy()
    sums = pd.DataFrame({"w": weight, "wy": weight * own}).groupby(data["herd"], observed=True).sum()
    np.testing.assert_allclose(pools.within["Intercept"], sums["wy"] / sums["w"], rtol=1e-8)
    # The same from glmer's fit (lme4 1.1-31), whose optimizer stops 2e-4 earlier.
    np.testing.assert_allclose(pools.within["Intercept"][:3], [-0.563000, -1.840824, -0.881719], atol=5e-4)


def test_a_column_without_a_fixed_effect_and_a_factor_of_two_terms() -> None:
    data = crossed_data()
    fit = mixfit.mixed("y ~ 1 + (1|g) + (0 + x|g)", data, offset="o").fit()
    pools = pooling(fit, "g")
    assert pools.fixed.tolist() == [fit.params["Intercept"], 0.0]
    own = data[data["g"] == "g4"]
    columns = np.column_stack([np.ones(len(own)), own["x"]])
    wanted = np.linalg.lstsq(columns, own["y"] - own["o"], rcond=None)[0]
    np.testing.assert_allclose(pools.within.loc["g4"], wanted, rtol=1e-8)


def test_dependent_columns_have_no_estimate_at_any_scale() -> None:
    x = np.array([1.0, 2.0, 3.0, 5.0, 5.0, 5.0])
    Z = np.column_stack([np.ones(6), 1e-6 * x])
    steps = unpenalized_steps(Z, np.array([0, 0, 0, 1, 1, 1]), 2, np.ones(6), 1.0 + 2.0 * x)
    np.testing.assert_allclose(steps[0], [1.0, 2e6])
    assert np.isnan(steps[1]).all()


def test_arrows_in_the_plane() -> None:
    (axes,) = shrinkage(sleep_fit())
    pools = pooling(sleep_fit(), "Subject")
    arrows, within, pooled, fixed = axes.collections
    np.testing.assert_allclose(arrows.XY, pools.within)
    np.testing.assert_allclose(np.column_stack([arrows.U, arrows.V]), pools.pooled - pools.within)
    np.testing.assert_allclose(within.get_offsets(), pools.within)
    np.testing.assert_allclose(pooled.get_offsets(), pools.pooled)
    np.testing.assert_allclose(fixed.get_offsets(), [sleep_fit().params])
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Subject", "(Intercept)", "Days")
    named = {text.get_text(): text.xy for text in axes.texts}
    assert list(named) == pools.within.index.tolist()
    np.testing.assert_allclose(named["308"], pools.within.loc["308"])
    (legend,) = axes.figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["each level by itself", "mixed model", "fixed effects"]
    axes.figure.canvas.draw()


def test_a_level_without_an_estimate_has_a_point_only() -> None:
    (axes,) = shrinkage(crossed_fit(), names=False)
    arrows, within, pooled, _ = axes.collections
    assert [len(c.get_offsets()) for c in (within, pooled)] == [9, 10]
    assert len(arrows.U) == 9
    assert not axes.texts


def test_three_columns_make_three_planes() -> None:
    data = crossed_data()
    fit = mixfit.mixed("y ~ x + z + (x + z|g)", data).fit()
    pairs = [(axes.get_xlabel(), axes.get_ylabel()) for axes in shrinkage(fit)]
    assert pairs == [("(Intercept)", "x"), ("(Intercept)", "z"), ("x", "z")]
    (axes,) = shrinkage(fit, columns=["z", "(Intercept)"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z", "(Intercept)")
    np.testing.assert_allclose(axes.collections[2].get_offsets(), fit.coef()["g"][["z", "Intercept"]])


@pytest.mark.parametrize(("fit", "column"), [(pulp_fit, None), (sleep_fit, "Days")])
def test_one_column(fit: object, column: str | None) -> None:
    (axes,) = shrinkage(fit(), columns=column)
    group = next(iter(fit().ranef()))
    pools = pooling(fit(), group)
    name = column or "Intercept"
    within = pools.within[name].sort_values()
    lines, hollow, filled = axes.collections
    at = np.arange(len(within))
    np.testing.assert_allclose(hollow.get_offsets(), np.column_stack([within, at]))
    pooled = pools.pooled[name].loc[within.index]
    np.testing.assert_allclose(filled.get_offsets(), np.column_stack([pooled, at]))
    np.testing.assert_allclose(np.array(lines.get_segments())[:, :, 0], np.column_stack([within, pooled]))
    assert [t.get_text() for t in axes.get_yticklabels()] == within.index.tolist()
    assert axes.lines[0].get_xdata()[0] == fit().params[name]


def test_shrinkage_of_a_singular_fit_ends_at_the_fixed_effect() -> None:
    fit = singular_fit()
    (axes,) = shrinkage(fit)
    np.testing.assert_allclose(axes.collections[2].get_offsets()[:, 0], fit.params["Intercept"])


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(FitError, match="Subject has no random column 'x'"):
        shrinkage(sleep_fit(), columns=["Intercept", "x"])
    with pytest.raises(FitError, match="'Days' more than once"):
        shrinkage(sleep_fit(), columns=["Days", "Days"])
    with pytest.raises(FitError, match="no grouping factor 'herd'"):
        pooling(sleep_fit(), "herd")
