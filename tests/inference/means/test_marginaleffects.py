"""The adapter for marginaleffects, where that package is installed."""

import builtins

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit import marginaleffects_adapter
from mixfit.errors import FitError

RNG = np.random.default_rng(7)
N = 80
DATA = pd.DataFrame(
    {
        "a": pd.Categorical(RNG.choice(["p", "q", "r"], N), ["r", "p", "q"]),
        "flag": RNG.random(N) < 0.4,
        "day": RNG.choice([1, 2, 5], N),
        "x": RNG.normal(size=N),
        "e": RNG.uniform(1, 3, N),
        "g": np.repeat(np.arange(10), 8),
    }
)
DATA["y"] = DATA["x"] + (DATA["a"] == "q") + np.repeat(RNG.normal(size=10), 8) + RNG.normal(size=N)
DATA["n"] = RNG.poisson(DATA["e"] * np.exp(0.3 * DATA["x"] + np.repeat(RNG.normal(0, 0.4, size=10), 8)))


@pytest.fixture(scope="module")
def me():
    return pytest.importorskip("marginaleffects")


@pytest.fixture(scope="module")
def linear():
    return mixfit.mixed("y ~ a * x + flag + C(day) + (1 | g)", DATA).fit()


@pytest.fixture(scope="module")
def counts():
    return mixfit.mixed("n ~ a + x + offset(np.log(e)) + (1 | g)", DATA, family="poisson").fit()


def numbers(result):
    return result["estimate"].to_numpy(), result["std_error"].to_numpy()


def assert_same(result, estimate, error, rtol=1e-9):
    found = numbers(result)
    np.testing.assert_allclose(found[0], estimate, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[1], error, rtol=rtol)


# Models with an offset, and log odds ratios, are differentiated by a step of 1e-8 of a coefficient.
DIFFERENCES = 1e-5


def test_predictions_are_those_of_the_population(me, linear):
    result = me.predictions(marginaleffects_adapter(linear))
    expected = linear.predict(DATA, re_form="population", se=True)
    assert_same(result, expected["mean"], expected["mean_se"])


def test_predictions_of_new_rows_follow_the_levels(me, linear):
    new = pd.DataFrame({"a": ["p", "r"], "flag": [True, False], "day": ["5", "1"], "x": [0.5, -1.0]})
    result = me.predictions(marginaleffects_adapter(linear), newdata=new)
    expected = linear.predict(new.assign(day=[5, 1]), re_form="population", se=True)
    assert_same(result, expected["mean"], expected["mean_se"])


def test_averages_by_group_and_factor(me, linear):
    adapter = marginaleffects_adapter(linear)
    X = linear.model.exog
    for by, labels in (("a", DATA["a"].astype(str)), ("g", DATA["g"].astype(str))):
        result = me.avg_predictions(adapter, by=by)
        for level, estimate, error in zip(result[by], *numbers(result), strict=True):
            row = X[(labels == level).to_numpy()].mean(axis=0)
            assert estimate == pytest.approx(row @ linear.params)
            assert error == pytest.approx(np.sqrt(row @ linear.cov_params() @ row), rel=1e-9)


def test_balanced_grid_is_the_reference_grid(me):
    # the balanced grids of marginaleffects 0.6 have no room for booleans
    fit = mixfit.mixed("y ~ a * x + C(day) + (1 | g)", DATA).fit()
    for ddf in ("satterthwaite", "kenward-roger"):
        adapter, means = marginaleffects_adapter(fit, ddf=ddf), fit.emmeans("a", ddf=ddf)
        result = me.avg_predictions(adapter, by="a", newdata="balanced")
        assert result["a"].to_list() == means["a"].tolist()
        assert_same(result, means["emmean"], means["SE"])
    plain = me.avg_predictions(marginaleffects_adapter(fit), by="a", newdata="balanced", vcov="kenward-roger")
    assert_same(plain, means["emmean"], means["SE"])


def test_slopes_have_the_fewest_degrees_of_freedom_of_a_coefficient(me, linear):
    # its own step would leave three digits of the standard errors
    result = me.slopes(marginaleffects_adapter(linear), variables="x", by="a", eps_vcov=1e-2)
    for level, estimate, error in zip(result["a"], *numbers(result), strict=True):
        row = pd.Series(0.0, linear.params.index)
        row["x"] = 1.0
        if level != "r":
            row[f"a[T.{level}]:x"] = 1.0
        # the slope is a difference over 1e-4
        assert estimate == pytest.approx(row @ linear.params, rel=1e-8)
        assert error == pytest.approx(np.sqrt(row @ linear.cov_params() @ row), rel=1e-8)
    quantile = stats.t.ppf(0.975, linear.ttest()["df"].min())
    np.testing.assert_allclose(result["conf_high"], result["estimate"] + quantile * result["std_error"])
    normal = me.slopes(marginaleffects_adapter(linear, ddf="z"), variables="x", by="a", eps_vcov=1e-2)
    np.testing.assert_allclose(normal["conf_high"], normal["estimate"] + 1.959963985 * normal["std_error"])


def test_numbers_coded_as_factors_are_compared_by_level(me, linear):
    result = me.avg_comparisons(marginaleffects_adapter(linear), variables="day")
    assert result["contrast"].to_list() == ["2 - 1", "5 - 1"]
    names = ["C(day)[T.2]", "C(day)[T.5]"]
    assert_same(result, linear.params[names], linear.bse[names])


def test_generalized_predictions_and_comparisons(me, counts):
    response, link = marginaleffects_adapter(counts), marginaleffects_adapter(counts, type="link")
    expected = counts.predict(DATA, type="response", re_form="population", se=True)
    assert_same(me.predictions(response), expected["mean"], expected["mean_se"], DIFFERENCES)
    # on the link, comparisons are coefficients
    result = me.avg_comparisons(link, variables="a")
    names = ["a[T.p]", "a[T.q]"]
    assert_same(result, counts.params[names], counts.bse[names], DIFFERENCES)
    # averages of differences of means: delta method
    X = counts.model.exog
    high, low = X.copy(), X.copy()
    high[:, 1], high[:, 2], low[:, 1:3] = 1.0, 0.0, 0.0
    mean_high, mean_low = (np.exp(rows @ counts.params + np.log(DATA["e"])) for rows in (high, low))
    jacobian = (mean_high.to_numpy()[:, None] * high - mean_low.to_numpy()[:, None] * low).mean(axis=0)
    result = me.avg_comparisons(response, variables={"a": ["r", "p"]})
    error = np.sqrt(jacobian @ counts.cov_params().to_numpy() @ jacobian)
    assert_same(result, [(mean_high - mean_low).mean()], [error], DIFFERENCES)


def test_odds_ratios_agree_with_emmeans(me):
    herds = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial").fit()
    result = me.avg_comparisons(marginaleffects_adapter(fit), variables={"period": "pairwise"}, comparison="lnor")
    means = fit.emmeans("period")
    pairs = means.contrast("revpairwise").frame.set_index("contrast")
    names = [text.removeprefix("ln(odds(").replace(") / odds(", " ")[:-2].split() for text in result["contrast"]]
    expected = pairs.loc[[f"period{high} - period{low}" for high, low in names]]
    assert_same(result, expected["estimate"], expected["SE"], DIFFERENCES)
    response = me.predictions(marginaleffects_adapter(fit), newdata=me.datagrid(period=["1", "2", "3", "4"]))
    probabilities = fit.emmeans("period", type="response")
    assert_same(response, probabilities["prob"], probabilities["SE"])


def test_unknown_options_are_refused(me, linear):
    with pytest.raises(FitError, match="type is 'response' or 'link'"):
        marginaleffects_adapter(linear, type="mean")
    with pytest.raises(FitError, match="vcov is True"):
        me.predictions(marginaleffects_adapter(linear), vcov="HC3")


def test_without_the_package_the_error_says_what_to_install(linear, monkeypatch):
    load = builtins.__import__

    def without(name, *arguments, **options):
        if name.partition(".")[0] == "marginaleffects":
            raise ModuleNotFoundError("No module named 'marginaleffects'", name="marginaleffects")
        return load(name, *arguments, **options)

    monkeypatch.delitem(__import__("sys").modules, "mixfit.inference.means.marginaleffects_model", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'mixfit\[marginaleffects\]'"):
        marginaleffects_adapter(linear)
