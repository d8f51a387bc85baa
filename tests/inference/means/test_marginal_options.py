"""Marginal means: what specs, data and options may be, and what is refused."""

import doctest
import importlib
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import FitError

RNG = np.random.default_rng(20)
N = 60
DATA = pd.DataFrame(
    {
        "a": pd.Categorical(RNG.choice(["p", "q", "r"], N), ["r", "unused", "p", "q"]),
        "flag": RNG.random(N) < 0.4,
        "text": RNG.choice(["u", "v"], N),
        "day": RNG.choice([1, 2, 5], N),
        "two": RNG.choice([0.0, 1.0], N, p=[0.2, 0.8]),
        "x": RNG.normal(size=N),
        "body mass": RNG.gamma(3.0, size=N),
        "e": RNG.uniform(1, 3, N),
        "g": np.repeat(np.arange(10), 6),
    }
)
DATA["y"] = DATA["x"] + (DATA["a"] == "q") + np.repeat(RNG.normal(size=10), 6) + RNG.normal(size=N)
FORMULA = "y ~ a * flag + text + C(day) + two + poly(x, 2) + np.log(`body mass`) + (1 | g)"


@pytest.fixture(scope="module")
def fit():
    return mixfit.mixed(FORMULA, DATA).fit()


def test_means_are_predictions_of_an_average_row(fit):
    means = fit.emmeans(["a", "flag"], ddf="z")
    assert means["a"].tolist() == ["r", "p", "q"] * 2
    assert means["flag"].tolist() == [False] * 3 + [True] * 3
    for row in means.frame.itertuples():
        grid = pd.MultiIndex.from_product([["u", "v"], [1, 2, 5], [0.0, 1.0]], names=["text", "day", "two"])
        new = grid.to_frame(index=False).assign(a=row.a, flag=row.flag, x=DATA["x"].mean())
        new["body mass"] = DATA["body mass"].mean()
        assert row.emmean == pytest.approx(fit.predict(new, re_form="population").mean(), rel=1e-12)
    np.testing.assert_allclose(means.L @ fit.params.to_numpy(), means["emmean"])
    np.testing.assert_allclose(np.sqrt(np.diag(means.L @ fit.cov_params().to_numpy() @ means.L.T)), means["SE"])


def test_two_valued_covariates_are_averaged_over_unless_told_otherwise(fit):
    kept, held = fit.emmeans("a"), fit.emmeans("a", cov_keep=1)
    slope = fit.params["two"]
    shift = slope * (0.5 - DATA["two"].mean())
    np.testing.assert_allclose(kept["emmean"] - held["emmean"], shift)
    assert kept.notes[1] == "Results are averaged over the levels of: flag, text, day, two"
    assert held.notes[1] == "Results are averaged over the levels of: flag, text, day"


def test_numbers_coded_as_factors_keep_their_values(fit):
    means = fit.emmeans("day", ddf="z")
    assert means["day"].tolist() == [1, 2, 5]
    assert means.pairs()["contrast"].tolist() == ["day1 - day2", "day1 - day5", "day2 - day5"]
    np.testing.assert_allclose(-means.pairs()["estimate"].iloc[:2], fit.params[["C(day)[T.2]", "C(day)[T.5]"]])
    with pytest.raises(FitError, match="at= gives 'day' the levels 3, but it has 1, 2, 5"):
        fit.emmeans("a", at={"day": 3})


def test_specs_may_be_formulas(fit):
    by_name = fit.emmeans(["a"], by="flag").frame
    pd.testing.assert_frame_equal(fit.emmeans("~ a | flag").frame, by_name)
    pd.testing.assert_frame_equal(fit.emmeans("~ a * text").frame, fit.emmeans(["a", "text"]).frame)
    pd.testing.assert_frame_equal(fit.emmeans("~ a:text").frame, fit.emmeans(["a", "text"]).frame)
    both = fit.emmeans("trt.vs.ctrl ~ a", adjust="holm")
    pd.testing.assert_frame_equal(both.contrasts.frame, fit.emmeans("a").contrast("trt.vs.ctrl", adjust="holm").frame)
    assert fit.emmeans("~ `body mass`", at={"body mass": [1, 2]})["body mass"].tolist() == [1, 2]


def test_function_and_method_are_the_same(fit):
    pd.testing.assert_frame_equal(mixfit.emmeans(fit, "a").frame, fit.emmeans("a").frame)


def test_frames_of_other_libraries_and_pickles(fit):
    other = mixfit.mixed(FORMULA, pl.from_pandas(DATA)).fit()
    found, expected = (f.emmeans("a").frame.set_index("a").sort_index() for f in (other, fit))
    pd.testing.assert_frame_equal(found, expected)
    means = pickle.loads(pickle.dumps(fit.emmeans("pairwise ~ a")))
    pd.testing.assert_frame_equal(means.pairs(adjust="sidak").frame, fit.emmeans("a").pairs(adjust="sidak").frame)


def test_the_grid_is_of_the_data_at_the_time_of_reading():
    data = DATA.copy()
    model = mixfit.mixed("y ~ a + x + (1 | g)", data)
    before = model.fit().emmeans("a")["emmean"]
    data.loc[:, "x"] = 100.0
    pd.testing.assert_series_equal(model.fit().emmeans("a")["emmean"], before)


def test_rows_left_out_do_not_count():
    data = DATA.copy()
    data.loc[:4, "x"] = np.nan
    weights = np.where(np.arange(N) < 10, 0.0, 1.0)
    left_out = mixfit.mixed("y ~ a + text + x + (1 | g)", data, weights=weights).fit()
    without = mixfit.mixed("y ~ a + text + x + (1 | g)", DATA.iloc[10:]).fit()
    pd.testing.assert_frame_equal(
        left_out.emmeans("a", weights="cells").frame, without.emmeans("a", weights="cells").frame
    )


def test_offsets_are_at_their_mean():
    offset = np.linspace(-1.0, 2.0, N)
    given = mixfit.mixed("y ~ a + (1 | g)", DATA, offset=offset).fit()
    plain = mixfit.mixed("y ~ a + (1 | g)", DATA.assign(y=DATA["y"] - offset)).fit()
    np.testing.assert_allclose(given.emmeans("a")["emmean"], plain.emmeans("a")["emmean"] + 0.5)
    np.testing.assert_allclose(given.emmeans("a", offset=2.0)["emmean"], plain.emmeans("a")["emmean"] + 2.0)
    np.testing.assert_allclose(given.emmeans("a").pairs()["estimate"], plain.emmeans("a").pairs()["estimate"])
    # a contrast whose coefficients do not add up to zero holds its share of the offset
    np.testing.assert_allclose(
        given.emmeans("a").contrast({"sum": [1, 1, 0]})["estimate"], given.emmeans("a")["emmean"].iloc[:2].sum()
    )


def test_contrasts_by_coefficients(fit):
    means = fit.emmeans("a")
    named = means.contrast({"r less others": [1, -0.5, -0.5], "p - q": [0, 1, -1]})
    rows = means.contrast([[1, -0.5, -0.5], [0, 1, -1]])
    frame = means.contrast(pd.DataFrame([[1, -0.5, -0.5], [0, 1, -1]], index=["one", "other"]))
    assert rows["contrast"].tolist() == ["C1", "C2"]
    assert frame["contrast"].tolist() == ["one", "other"]
    np.testing.assert_allclose(named["estimate"], [[1, -0.5, -0.5], [0, 1, -1]] @ means["emmean"].to_numpy())
    for other in (rows, frame):
        pd.testing.assert_frame_equal(other.frame.iloc[:, 1:], named.frame.iloc[:, 1:])
    assert named.adjust == "none"
    for given in ([1, -1], {"a": [1, 2, 3, 4]}, {"a": ["x", 0, 0]}, [[1, np.nan, 0]], {"a": [1, -1], "b": [1, -1, 0]}):
        with pytest.raises(FitError, match="coefficient"):
            means.contrast(given)


def test_intervals_follow_level_and_adjustment(fit):
    means = fit.emmeans("a", level=0.9)
    pd.testing.assert_frame_equal(means.conf_int(), means.frame)
    wide = means.conf_int(level=0.99, adjust="bonferroni")
    from scipy.stats import t

    half = t.isf(0.01 / 6, means["df"]) * means["SE"]
    np.testing.assert_allclose(wide["upper.CL"], means["emmean"] + half)
    pairs = means.pairs()
    plain = pairs.conf_int(adjust="none")
    np.testing.assert_allclose(plain["lower.CL"], pairs["estimate"] - t.isf(0.05, pairs["df"]) * pairs["SE"])
    adjusted = pairs.conf_int()
    assert (adjusted["lower.CL"] < plain["lower.CL"]).all()
    # an interval excludes zero where the adjusted test rejects
    rejected = pairs["p.value"] < 0.1
    assert (((adjusted["lower.CL"] > 0) | (adjusted["upper.CL"] < 0)) == rejected).all()
    with pytest.raises(FitError, match="level is a coverage"):
        means.conf_int(level=95)


def test_maximum_likelihood_fits_have_satterthwaites_df_by_default():
    fit = mixfit.mixed("y ~ a + (1 | g)", DATA).fit(reml=False)
    means = fit.emmeans("a")
    assert means.notes[0] == "Degrees-of-freedom method: satterthwaite"
    pd.testing.assert_frame_equal(means.frame, fit.emmeans("a", ddf="satterthwaite").frame)
    residual = fit.emmeans("a", ddf="residual")
    assert (residual["df"] == N - 3).all()


def test_a_model_of_the_intercept_has_an_overall_mean():
    fit = mixfit.mixed("y ~ 1 + (1 | g)", DATA).fit()
    means = fit.emmeans("~ 1")
    assert means.frame.iloc[0, 0] == "overall"
    assert means["emmean"].item() == pytest.approx(fit.params["Intercept"])
    with pytest.raises(FitError, match="there is one"):
        means.pairs()


def test_generalized_means_on_the_response():
    herds = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial").fit()
    link, response = fit.emmeans("period"), fit.emmeans("period", type="response")
    probability = 1.0 / (1.0 + np.exp(-link["emmean"]))
    np.testing.assert_allclose(response["prob"], probability)
    np.testing.assert_allclose(response["SE"], link["SE"] * probability * (1.0 - probability))
    np.testing.assert_allclose(response["lower.CL"], 1.0 / (1.0 + np.exp(-link["lower.CL"])))
    assert np.isinf(response["df"]).all()
    np.testing.assert_allclose(response.pairs()["odds.ratio"], np.exp(link.pairs()["estimate"]))
    with pytest.raises(FitError, match="linear mixed models"):
        fit.emmeans("period", ddf="satterthwaite")


def test_limits_beyond_the_branch_of_a_link_are_its_end():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"f": np.repeat(["a", "b"], 12), "g": np.tile(list("pqr"), 8)})
    data["y"] = np.where(data["f"] == "a", rng.poisson(3.0, 24), np.r_[np.zeros(23, int), 1])
    fit = mixfit.mixed("y ~ f + (1|g)", data, family="poisson(sqrt)").fit()
    limits = fit.emmeans("f", level=0.99).frame.set_index("f")
    on_the_link = limits.loc["b", ["lower.CL", "upper.CL"]]
    assert on_the_link.iloc[0] < 0.0 < on_the_link.iloc[1]
    means = fit.emmeans("f", type="response", level=0.99).frame.set_index("f")
    assert means.loc["b", "lower.CL"] == 0.0
    np.testing.assert_allclose(means.loc["b", "upper.CL"], on_the_link.iloc[1] ** 2)
    np.testing.assert_allclose(means.loc["a", "lower.CL"], limits.loc["a", "lower.CL"] ** 2)


def test_limits_are_in_order_under_a_decreasing_link():
    data = DATA.assign(z=RNG.gamma(20.0, size=N) / 10.0)
    fit = mixfit.mixed("z ~ a + (1 | g)", data, family="gamma(inverse)").fit()
    means = fit.emmeans("a", type="response")
    assert (means["lower.CL"] < means["response"]).all()
    assert (means["response"] < means["upper.CL"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"specs": "b"}, r"'b' is no variable of the fixed effects \(a, flag, text, day, two, x, body mass\)"),
        ({"specs": "g"}, "'g' is no variable of the fixed effects"),
        ({"specs": "a*two"}, r"Several are a formula, '~ a\*two', or a list"),
        ({"specs": "a", "at": {"e": 1}}, "at= names 'e'"),
        ({"specs": "a", "at": {"a": ["unused"]}}, "at= gives 'a' the levels 'unused', but it has 'r', 'p', 'q'"),
        ({"specs": "a", "at": {"x": []}}, "at least one value"),
        ({"specs": "a", "weights": "even"}, "weights is one of 'equal', 'proportional'"),
        ({"specs": "a", "type": "mean"}, "type is 'link' or 'response'"),
        ({"specs": "a", "ddf": "containment"}, "ddf is one of"),
        ({"specs": "a", "contrasts": "helmert"}, "methods of contrasts are pairwise"),
        ({"specs": "a", "contrasts": "eff", "adjust": "duncan"}, "adjust is one of"),
        ({"specs": "x", "at": {"x": np.arange(300.0), "body mass": np.arange(50.0)}}, "more than 10,000"),
    ],
)
def test_refusals_name_what_is_wrong(fit, options, message):
    with pytest.raises(FitError, match=message):
        fit.emmeans(**options)


def test_by_must_be_a_variable_of_the_means(fit):
    with pytest.raises(FitError, match="by= names 'text'; the means stand for a"):
        fit.emmeans("a").pairs(by="text")


def test_a_variable_named_as_a_column_of_the_result_is_refused():
    fit = mixfit.mixed("y ~ df + (1 | g)", DATA.rename(columns={"a": "df"})).fit()
    with pytest.raises(FitError, match="'df' is also the name of a column"):
        fit.emmeans("df")


MODULES = [
    "mixfit.inference.means.contrast_coefficients",
    "mixfit.inference.means.emmeans",
    "mixfit.inference.means.marginaleffects_adapter",
    "mixfit.inference.means.multiplicity",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
