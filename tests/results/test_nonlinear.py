"""What a fitted curve tells: tables, tests, comparisons, influence and figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import ComparisonError, FitError
from tests.nlmm.test_laplace import data
from tests.test_nonlinear import load

CURVE = "circumference ~ SSlogis(age, Asym, xmid, scal)"


@pytest.fixture(scope="module")
def orange() -> pd.DataFrame:
    return load("Orange")


@pytest.fixture(scope="module")
def fit(orange: pd.DataFrame) -> mixfit.results.nonlinear.NonlinearResults:
    return mixfit.nonlinear(f"{CURVE} ~ Asym | Tree", orange).fit()


def test_tidy_glance_and_augment(orange: pd.DataFrame, fit) -> None:
    table = fit.tidy(["fixed", "ran_pars"], conf_int=True)
    assert table["term"].tolist() == ["Asym", "xmid", "scal", "sd__Asym", "sd__Observation"]
    assert_allclose(table["conf.low"][:3], fit.conf_int()[0])
    assert_allclose(table["estimate"].iloc[-1], fit.sigma)
    modes = fit.tidy("ran_vals")
    # lme4's conditional standard deviation of each of the five modes.
    assert_allclose(modes["std.error"], 4.437478, rtol=1e-4)
    assert fit.glance().loc[0, ["nobs", "df.residual"]].tolist() == [35, 30]
    rows = fit.augment(orange)
    assert_allclose(rows[".fitted"] + rows[".resid"], orange["circumference"])
    assert_allclose(rows[".fixed"], fit.predict(re_form="population"))
    assert rows[".hat"].between(0.0, 1.0).all()
    assert fit.augment().columns[:3].tolist() == ["circumference", "Tree", "age"]
    assert '"xmid"' in fit.to_json()


def test_rows_of_weight_and_rows_left_out_are_the_datas(orange: pd.DataFrame) -> None:
    holes = orange.assign(w=np.linspace(0.5, 2.0, 35), other=1.0)
    holes.loc[3, "age"] = np.nan
    found = mixfit.nonlinear(f"{CURVE} ~ Asym | Tree", holes, weights="w").fit()
    rows = found.augment(holes)
    assert rows.index.equals(holes.index.delete(3))
    assert_allclose(rows[".weights"], rows["w"])
    assert_allclose(rows[".wtres"], rows[".resid"] * np.sqrt(rows["w"]))
    assert "(weights)" in found.augment()


def test_tests_of_coefficients(fit) -> None:
    z = (fit.params["xmid"] - 700.0) / fit.bse["xmid"]
    assert_allclose(fit.wald_test("xmid = 700").frame["Chisq"].iloc[0], z**2)
    assert_allclose(fit.t_test("xmid = 700").frame["z value"].iloc[0], z)


def test_curves_are_compared(orange: pd.DataFrame, fit) -> None:
    both = mixfit.nonlinear(f"{CURVE} ~ (Asym + xmid | Tree)", orange).fit()
    four = mixfit.nonlinear("circumference ~ SSfpl(age, A, B, xmid, scal) ~ B | Tree", orange).fit()
    line = mixfit.mixed("circumference ~ age + (1 | Tree)", orange).fit()
    table = mixfit.compare(fit, both, four, line).frame
    assert table["against"].tolist() == ["", "m0", "", ""]
    assert_allclose(table["AIC"].iloc[:3], [fit.aic, both.aic, four.aic])
    assert table["R2m"].notna().tolist() == [False, False, False, True]
    assert_allclose(mixfit.anova(fit, both).frame["Chisq"].iloc[1], 2.0 * (both.llf - fit.llf))
    with pytest.raises(ComparisonError, match="different curves"):
        mixfit.anova(fit, four)
    lb = fit.model.fit(method="lb", reml=True)
    with pytest.raises(ComparisonError, match="Lindstrom"):
        mixfit.anova(fit, lb)
    steeper = mixfit.nonlinear(f"{CURVE} ~ (Asym + xmid | Tree)", orange).fit(method="lb")
    refitted = mixfit.anova(lb, steeper).frame
    assert_allclose(refitted["logLik"].iloc[0], fit.model.fit(method="lb").llf)


def test_influence_with_and_without_refits(orange: pd.DataFrame, fit) -> None:
    anew = fit.influence("Tree", refit=True)
    own = mixfit.nonlinear(fit.model.formula, orange[orange["Tree"] != "4"]).fit()
    assert_allclose(anew.dfbeta.loc["4"], own.params - fit.params, atol=1e-3)
    assert anew.converged.all()
    held = fit.influence("Tree")
    assert_allclose(held.dfbetas, anew.dfbetas, atol=0.1)
    assert fit.cooks_distance().idxmax() in orange.index


def test_quantile_residuals_are_uniform(fit) -> None:
    assert fit.quantile_residuals(seed=1).between(0.0, 1.0).all()
    assert fit.residual_tests(seed=1).frame.loc["uniformity", "p.value"] > 0.01


def test_figures_show_curves_by_group(fit) -> None:
    pytest.importorskip("matplotlib")
    panels = fit.plot.fitted_lines("age")
    assert [axes.get_title() for axes in panels] == ["1", "2", "3", "4", "5"]
    curve = next(line for line in panels[3].lines if line.get_label() == "mixed model")
    ages = curve.get_xdata()
    assert_allclose(curve.get_ydata(), fit.predict(pd.DataFrame({"age": ages, "Tree": "4"})))
    assert len(panels[3].collections[0].get_offsets()) == 7
    assert fit.plot.spaghetti("age").get_title() == "5 levels of Tree"
    for name in ("residuals_fitted", "scale_location", "qq_residuals", "qq_ranef", "caterpillar", "predictive_check"):
        getattr(fit.plot, name)()


def test_what_a_curve_has_not_is_said(fit) -> None:
    with pytest.raises(FitError, match="no one likelihood"):
        fit.model.fit(method="lb").conf_int(method="profile")
    pytest.importorskip("matplotlib")
    with pytest.raises(FitError, match="least-squares fit to every group"):
        fit.plot.shrinkage()
    with pytest.raises(FitError, match="no sum of parts"):
        fit.plot.partial_residuals("age")


@pytest.mark.parametrize("form", [None, "population"])
def test_predictions_of_a_straight_line_are_the_linear_models(form: str | None) -> None:
    frame = data()
    start = {"a": 1.0, "b": 1.0}
    found = mixfit.nonlinear("y ~ a + b * t ~ (a + b | g)", frame, start=start, weights="w").fit(method="lb")
    linear = mixfit.mixed("y ~ t + (t | g)", frame, weights="w").fit(reml=False)
    new = pd.DataFrame({"t": [1.5, np.nan, 9.0], "g": ["1", "2", "new"]})
    for rows in (None, new):
        own, other = (
            fit.get_prediction(rows, re_form=form, allow_new_levels=True, weights=None if rows is None else 2.0)
            for fit in (found, linear)
        )
        assert_allclose(own.predicted_mean, other.predicted_mean, atol=1e-3)
        assert_allclose(own.se_mean, other.se_mean, rtol=1e-3)
        assert_allclose(own.se_obs, other.se_obs, rtol=1e-3)
        predicted = found.predict(rows, re_form=form, allow_new_levels=True, se=True)
        assert_allclose(predicted["mean_se"], own.se_mean)


def test_errors_of_a_curve_are_by_its_slopes(fit) -> None:
    ages = pd.DataFrame({"age": [100.0, 700.0, 1500.0]})
    found = fit.predict(ages, re_form="population", se=True)
    slopes = []
    for name in fit.params.index:
        h = 1e-4 * fit.params[name]
        ends = []
        for step in (h, -h):
            own = fit.params.copy()
            own[name] += step
            ends.append(own["Asym"] / (1.0 + np.exp((own["xmid"] - ages["age"]) / own["scal"])))
        slopes.append((ends[0] - ends[1]) / (2.0 * h))
    G = np.array(slopes)
    assert_allclose(found["mean_se"], np.sqrt(np.einsum("am,ab,bm->m", G, fit.cov_params(), G)), rtol=1e-5)
    drawn = fit.simulate(4000, newdata=ages.assign(Tree="new"), seed=1)
    spread = fit.get_prediction(ages.assign(Tree="new"), allow_new_levels=True)
    assert_allclose(drawn.std(axis=1), np.sqrt(spread.se_obs**2 - spread.se_mean**2), rtol=0.05)
