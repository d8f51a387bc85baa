from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.anova import anova_lm

import mixfit
from mixfit.errors import DataError, DesignError, FormulaError
from mixfit.inference.one_way import sums_of_squares
from tests.inference.cases import data

PULP = "bright ~ 1 + (1|operator)"
DYESTUFF2 = "Yield ~ 1 + (1|Batch)"


def layout(seed: int, groups: int, size: int, sd: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), size)
    y = 10.0 + sd * rng.standard_normal(groups)[codes] + rng.standard_normal(groups * size)
    return pd.DataFrame({"g": [f"g{code:03d}" for code in codes], "y": y}).sample(frac=1.0, random_state=seed)


def test_pulp():
    estimate = mixfit.anova_estimator(PULP, data("pulp"))
    # Faraway (2016), section 10.1: mean squares 0.4467 and 0.10625 on 3 and 16 df, F 4.2, p 0.023
    np.testing.assert_allclose(estimate.table["Mean Sq"], [0.4467, 0.10625], atol=5e-5)
    np.testing.assert_allclose(estimate.table["Df"], [3, 16])
    np.testing.assert_allclose(estimate.table["F value"].iloc[0], 4.204, atol=5e-4)
    np.testing.assert_allclose(estimate.table["Pr(>F)"].iloc[0], 0.02261, atol=5e-6)
    np.testing.assert_allclose(estimate.sigma2_alpha, (0.4467 - 0.10625) / 5, atol=1e-5)
    np.testing.assert_allclose(estimate.sigma2_alpha, (1.34 / 3 - 1.7 / 16) / 5, rtol=1e-10)
    np.testing.assert_allclose(estimate.sigma2, 0.10625, rtol=1e-10)
    np.testing.assert_allclose([estimate.mean, estimate.mean_se], [60.4, np.sqrt(1.34 / 3 / 20)], rtol=1e-10)
    np.testing.assert_allclose(estimate.icc, 0.39054, atol=5e-6)
    assert (estimate.group, estimate.n_groups, estimate.n_per_group, estimate.nobs) == ("operator", 4, 5, 20)
    assert not estimate.is_negative
    assert str(estimate).splitlines() == [
        "Balanced one-way layout, variances by the ANOVA estimator",
        "Formula: bright ~ 1 + (1|operator)",
        "Number of obs: 20, groups: operator, 4 of 5 each",
        "",
        "          Df Sum Sq Mean Sq F value  Pr(>F) Variance Std.Dev.",
        "operator   3   1.34 0.44667  4.2039 0.02261 0.068083  0.26093",
        "Residuals 16   1.70 0.10625                 0.106250  0.32596",
        "Mean: 60.4, standard error 0.14944",
        "Intraclass correlation: 0.39054",
    ]


@pytest.mark.parametrize(("name", "formula"), [("pulp", PULP), ("dyestuff2", DYESTUFF2)])
def test_the_table_is_that_of_least_squares(name: str, formula: str):
    response, group = formula.split(" ~ ")[0], formula[formula.index("|") + 1 : -1]
    ours = mixfit.anova_estimator(formula, data(name)).table.frame
    theirs = anova_lm(smf.ols(f"{response} ~ {group}", data(name)).fit())
    assert ours.index.tolist() == [group, "Residuals"]
    assert ours.columns.tolist() == ["Df", "Sum Sq", "Mean Sq", "F value", "Pr(>F)"]
    np.testing.assert_allclose(ours, theirs[["df", "sum_sq", "mean_sq", "F", "PR(>F)"]], rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 9), st.floats(0.0, 4.0))
def test_it_is_reml_unless_it_is_negative(seed: int, groups: int, size: int, sd: float):
    frame = layout(seed, groups, size, sd)
    estimate = mixfit.anova_estimator("y ~ 1 + (1 | g)", frame)
    fit = mixfit.mixed("y ~ 1 + (1 | g)", frame).fit()
    variance = fit.varcorr().to_frame()["vcov"].iloc[0]
    np.testing.assert_allclose(fit.params["Intercept"], estimate.mean, rtol=1e-9)
    if estimate.sigma2_alpha > 0.0:
        # criteria are minimal to 1e-8, and variances to about its root
        np.testing.assert_allclose(variance, estimate.sigma2_alpha, atol=2e-4 * estimate.sigma2)
        np.testing.assert_allclose(fit.scale, estimate.sigma2, rtol=2e-4)
        np.testing.assert_allclose(fit.bse["Intercept"], estimate.mean_se, rtol=2e-4)
        np.testing.assert_allclose(fit.icc().adjusted, estimate.icc, atol=2e-4)
    else:
        assert variance == 0.0
        assert estimate.is_negative


def test_it_is_unbiased():
    """Mean over all of many layouts, the negative estimates among them: 4 standard errors."""
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(4), 3)
    y = 0.5 * rng.standard_normal((4000, 4))[:, codes] + rng.standard_normal((4000, 12))
    sums = np.array([sums_of_squares(row, codes, 4) for row in y])
    sigma2_alpha = (sums[:, 1] / 3 - sums[:, 2] / 8) / 3
    assert (sigma2_alpha < 0.0).any()
    assert abs(sigma2_alpha.mean() - 0.25) < 4.0 * sigma2_alpha.std() / np.sqrt(4000)


def test_a_negative_estimate_is_not_truncated():
    estimate = mixfit.anova_estimator(DYESTUFF2, data("dyestuff2"))
    # mean squares of Box & Tiao (1973), table 5.1.4: 8.3363 and 14.9459
    np.testing.assert_allclose(estimate.table["Mean Sq"], [8.3363, 14.9459], atol=1e-3)
    np.testing.assert_allclose(estimate.sigma2_alpha, (8.3363 - 14.9459) / 5, atol=1e-3)
    assert estimate.is_negative
    assert estimate.icc < 0.0
    np.testing.assert_allclose(estimate.summary()["Std.Dev."], [np.nan, np.sqrt(estimate.sigma2)])
    for text in (str(estimate), repr(estimate), estimate._repr_html_()):
        assert "The variance of Batch is estimated as negative" in text
        assert "It is not truncated; the REML estimate would be 0." in text
    assert mixfit.mixed(DYESTUFF2, data("dyestuff2")).fit().varcorr().to_frame()["vcov"].iloc[0] == 0.0


def test_shift_and_scale():
    frame = data("pulp")
    a = mixfit.anova_estimator(PULP, frame)
    b = mixfit.anova_estimator(PULP, frame.assign(bright=1e8 + 1e3 * frame["bright"]))
    np.testing.assert_allclose([b.sigma2_alpha, b.sigma2], [1e6 * a.sigma2_alpha, 1e6 * a.sigma2], rtol=1e-9)


def test_groups_without_scatter():
    frame = pd.DataFrame({"g": list("aabb"), "y": [1.0, 1.0, 3.0, 3.0]})
    estimate = mixfit.anova_estimator("y ~ 1 + (1 | g)", frame)
    assert (estimate.sigma2, estimate.sigma2_alpha, estimate.icc) == (0.0, 2.0, 1.0)
    assert estimate.table["F value"].iloc[0] == np.inf
    assert estimate.table["Pr(>F)"].iloc[0] == 0.0


def test_the_formula_is_read_as_mixed_reads_it():
    frame = data("pulp").assign(half=np.tile(["x", "y"], 10), one=1)
    with pytest.raises(DesignError, match=r"a:x \(3\), a:y \(2\)"):
        mixfit.anova_estimator("bright ~ 1 + (1 | operator:half)", frame)
    a = mixfit.anova_estimator(PULP, frame)
    for formula in ("bright ~ (1 || operator)", "I(bright) ~ 1 + (1 | operator:one)"):
        assert mixfit.anova_estimator(formula, frame).sigma2_alpha == a.sigma2_alpha
    twice = mixfit.anova_estimator("f(bright) ~ 1 + (1 | operator)", frame, context={"f": lambda y: 2.0 * y})
    np.testing.assert_allclose(twice.sigma2_alpha, 4.0 * a.sigma2_alpha)


def test_missing_rows_are_left_out_as_by_mixed():
    frame = data("pulp").copy()
    frame.loc[frame.groupby("operator", observed=True).tail(1).index, "bright"] = np.nan
    estimate = mixfit.anova_estimator(PULP, frame)
    assert (estimate.n_per_group, estimate.n_dropped) == (4, 4)
    assert "Number of obs: 16 (4 deleted due to missingness), groups: operator, 4 of 4 each" in str(estimate)
    np.testing.assert_allclose(mixfit.mixed(PULP, frame).fit().scale, estimate.sigma2, rtol=1e-5)
    with pytest.raises(DataError, match="bright"):
        mixfit.anova_estimator(PULP, frame, na_action="raise")
    frame.loc[0, "bright"] = np.nan
    with pytest.raises(DesignError, match=r"after 5 row\(s\) with missing values were left out: a \(3\), b \(4\)"):
        mixfit.anova_estimator(PULP, frame)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("bright ~ shift + (1 | operator)", "it has no fixed effects like shift"),
        ("bright ~ 0 + (1 | operator)", "it has an intercept"),
        ("bright ~ 1 + (shift | operator)", r"not \(shift \| operator\)"),
        ("bright ~ 1 + (0 + shift | operator)", r"not \(0 \+ shift \| operator\)"),
        ("bright ~ 1 + (1 | operator) + (1 | day)", r"not \(1 \| operator\), \(1 \| day\)"),
        ("bright ~ 1 + (1 | operator/day)", r"not \(1 \| operator\), \(1 \| operator:day\)"),
        ("bright ~ 1 + offset(shift) + (1 | operator)", "without an offset. Subtract it"),
        ("bright ~ . + (1 | operator)", "`.` stands for other columns"),
    ],
)
def test_other_models_are_refused(formula: str, message: str):
    with pytest.raises(FormulaError, match=message) as raised:
        mixfit.anova_estimator(formula, data("pulp").assign(shift=1.0, day="x"))
    assert "mixfit.mixed(formula, data).fit()" in str(raised.value)
    assert "response ~ 1 + (1 | group)" in str(raised.value)


def test_models_without_random_term_and_unknown_columns_are_refused():
    with pytest.raises(FormulaError, match="no random term"):
        mixfit.anova_estimator("bright ~ 1", data("pulp"))
    with pytest.raises(FormulaError, match="worker"):
        mixfit.anova_estimator("bright ~ 1 + (1 | worker)", data("pulp"))
    with pytest.raises(DataError, match="operator"):
        mixfit.anova_estimator("operator ~ 1 + (1 | operator)", data("pulp"))


def test_weights_and_offsets_are_refused():
    with pytest.raises(DesignError, match=r"without weights; fit other models by mixfit\.mixed"):
        mixfit.anova_estimator(PULP, data("pulp"), weights=np.ones(20))
    with pytest.raises(FormulaError, match="without an offset"):
        mixfit.anova_estimator(PULP, data("pulp"), offset=np.ones(20))


def test_other_layouts_are_refused():
    with pytest.raises(
        DesignError, match=r"'operator' are of unequal sizes: a \(4\), b \(5\), c \(5\), d \(5\)\. .*REML"
    ):
        mixfit.anova_estimator(PULP, data("pulp").iloc[1:])
    many = layout(1, 30, 3, 1.0).sort_values("g").iloc[2:]
    with pytest.raises(DesignError, match=r"g000 \(1\), .*g009 \(3\), and 20 more of 1 to 3\. The ANOVA"):
        mixfit.anova_estimator("y ~ 1 + (1 | g)", many)
    with pytest.raises(DesignError, match=r"'operator' has one level \(a\)"):
        mixfit.anova_estimator(PULP, data("pulp").iloc[:5])
    with pytest.raises(DesignError, match="an effect for each observation cannot be told from the residual"):
        mixfit.anova_estimator(PULP, data("pulp").iloc[::5])
    with pytest.raises(DesignError, match="'bright' is constant"):
        mixfit.anova_estimator(PULP, data("pulp").assign(bright=7.0))


def test_the_result_is_frozen_and_can_be_pickled():
    estimate = mixfit.anova_estimator(PULP, data("pulp"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        estimate.sigma2 = 0.0  # type: ignore[misc]
    assert str(pickle.loads(pickle.dumps(estimate))) == str(estimate)
