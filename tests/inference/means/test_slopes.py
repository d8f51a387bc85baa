"""Slopes of the linear predictor: derivatives of the columns of X, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.inference.means.design_slopes import design_slopes

RNG = np.random.default_rng(4)
N = 80
DATA = pd.DataFrame({"x": RNG.uniform(1.0, 9.0, N), "a": RNG.choice(["p", "q"], N), "g": np.repeat(np.arange(10), 8)})
DATA["day"] = RNG.integers(0, 10, N)
DATA["y"] = np.sin(DATA["x"]) + DATA["day"] + RNG.normal(size=N)


def fit(formula):
    return mixfit.mixed(f"{formula} + (1 | g)", DATA).fit()


@pytest.fixture(scope="module")
def curves():
    return fit("y ~ a * np.log(x) + I(x**2) + np.exp(x / 3) + np.sin(x) + x:a + day")


def test_slopes_are_the_derivatives_of_the_columns_also_at_the_ends_of_the_data(curves):
    x = np.array([DATA["x"].min(), 4.0, 5.5, DATA["x"].max()])
    found = design_slopes(curves, pd.DataFrame({"x": x, "a": ["p", "q", "p", "q"], "day": 3}), "x")
    q = np.array([0.0, 1.0, 0.0, 1.0])
    exact = {
        "Intercept": 0.0 * x,
        "a[T.q]": 0.0 * x,
        "np.log(x)": 1 / x,
        "I(x ** 2)": 2 * x,
        "np.exp(x / 3)": np.exp(x / 3) / 3,
        "np.sin(x)": np.cos(x),
        "day": 0.0 * x,
        "a[T.q]:np.log(x)": q / x,
        "x:a[p]": 1 - q,
        "x:a[q]": q,
        "a[p]:x": 1 - q,
        "a[q]:x": q,
        "a[T.p]:x": 1 - q,
        "a[T.q]:x": q,
    }
    names = curves.model.design.exog_names
    for j, name in enumerate(names):
        largest = max(1.0, np.abs(exact[name]).max())
        np.testing.assert_allclose(found[:, j], exact[name], rtol=0, atol=2e-11 * largest, err_msg=name)
        assert not (exact[name] == 0).all() or not found[:, j].any(), "a column without x has no rounding"


def test_whole_numbers_have_slopes_too():
    found = design_slopes(fit("y ~ day + I(day**3)"), pd.DataFrame({"day": [0, 4, 9]}), "day")
    np.testing.assert_allclose(found, [[0, 1, 0], [0, 1, 48], [0, 1, 243]], atol=1e-9)


@pytest.mark.parametrize("curve", ["poly(x, 3)", "bs(x, df=5)", "np.log(x) + x"])
def test_trends_are_differences_of_predictions(curve):
    model = fit(f"y ~ a * ({curve}) + day")
    at = [DATA["x"].min(), 3.0, 6.0, DATA["x"].max()]
    trends = model.emtrends("x", var="x", by="a", at={"x": at})
    step = 1e-5
    inside = np.clip(np.array(at), DATA["x"].min() + step, DATA["x"].max() - step)
    for group, table in trends.frame.groupby("a"):
        around = [
            model.predict(pd.DataFrame({"x": inside + s, "a": group, "day": 4.0}), re_form="population").to_numpy()
            for s in (-step, step)
        ]
        np.testing.assert_allclose(table["x.trend"], (around[1] - around[0]) / (2 * step), rtol=2e-3, atol=1e-5)


def test_the_first_argument_may_be_the_covariate(curves):
    named = curves.emtrends("a", var="x")
    pd.testing.assert_frame_equal(curves.emtrends("x", by="a").frame, named.frame)
    assert named["a"].tolist() == ["p", "q"]
    overall = curves.emtrends("x")
    assert overall["x.trend"][0] == pytest.approx(named["x.trend"].mean())
    assert "Results are averaged over the levels of: a" in overall.notes


def test_only_terms_with_the_covariate_mislead():
    model = fit("y ~ a * x + a * day")
    assert not [n for n in model.emtrends("a", var="x").notes if "misleading" in n]
    assert [n for n in model.emtrends("~ 1", var="x").notes if "misleading" in n]


def test_slopes_under_a_link_say_of_what_they_are():
    herds = mixfit.datasets.load("cbpp").assign(late=lambda d: d["period"].astype(int))
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ late + (1 | herd)", herds, family="binomial").fit()
    trends = model.emtrends("late")
    assert trends["late.trend"][0] == pytest.approx(model.params["late"], rel=1e-12)
    assert trends["SE"][0] == pytest.approx(model.bse["late"], rel=1e-12)
    assert "Slopes are those of the logit of the mean" in trends.notes


def test_what_has_no_slope_is_refused(curves):
    with pytest.raises(FitError, match="'a' has no slope, as its values are not numbers"):
        curves.emtrends("x", var="a")
    with pytest.raises(FitError, match=r"'y' is no variable of the fixed effects \(a, x, day\)"):
        curves.emtrends("~ a", var="y")
    with pytest.raises(FitError, match="which covariate"):
        curves.emtrends("~ a")
    with pytest.raises(FitError, match="has no slope"):
        fit("y ~ C(day) + x").emtrends("day")
