"""Bootstrap likelihood-ratio tests: pbkrtest's numbers, the boundary, and what is refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import mixfit
from mixfit.errors import ComparisonError, DesignError, FitError
from mixfit.inference.pb_modcomp import PBModcomp

R = json.loads((Path(__file__).parents[1] / "data" / "bootstrap_r.json").read_text())["penicillin"]


@cache
def fitted(data: str, formula: str, reml: bool = False):
    return mixfit.mixed(formula, mixfit.datasets.load(data)).fit(reml=reml)


def penicillin(right: str, reml: bool = False):
    return fitted("penicillin", f"yield ~ {right} + (1|blend)", reml)


def test_penicillin_is_that_of_pbkrtest() -> None:
    test = mixfit.pb_modcomp(penicillin("treat"), penicillin("1"), n=4000, seed=2)
    assert test.statistic == pytest.approx(4.0474, abs=5e-5)
    assert test.df == 3
    assert test.n_used == test.n == len(test.reference) == 4000
    # pbkrtest 0.5.2 with 4,000 samples gave a mean of 3.680 and these quantiles.
    assert (test.reference > 0).all()
    for level, quantile in zip(R["levels"], R["quantiles"], strict=True):
        error = np.sqrt(level * (1 - level) * (1 / 4000 + 1 / R["n"]))
        assert abs((test.reference < quantile).mean() - level) < 4 * error
    assert abs(test.pvalue - 0.35) < 4 * test.pvalue_se
    assert test.pvalue_se == pytest.approx(0.0075, abs=3e-4)


def test_the_reference_is_what_refits_give() -> None:
    m1, m0 = penicillin("treat"), penicillin("1")
    test = mixfit.pb_modcomp(m1, m0, n=20, seed=5)
    y = m0.simulate(20, seed=5)
    wanted = [2.0 * (m1.refit(y[c]).llf - m0.refit(y[c]).llf) for c in y]
    assert_allclose(test.reference, wanted, rtol=0, atol=1e-6)
    assert test.n_extreme == sum(w >= test.statistic for w in wanted)
    assert test.pvalue == (1 + test.n_extreme) / 21


def test_crossed_models_too_and_in_processes() -> None:
    data = mixfit.datasets.load("penicillin_plates")
    data["half"] = np.where(data["plate"].isin(sorted(set(data["plate"]))[:12]), "a", "b")
    m1 = mixfit.mixed("diameter ~ half + (1|plate) + (1|sample)", data).fit(reml=False)
    m0 = mixfit.mixed("diameter ~ 1 + (1|plate) + (1|sample)", data).fit(reml=False)
    alone = mixfit.pb_modcomp(m1, m0, n=22, seed=1)
    shared = mixfit.pb_modcomp(m1, m0, n=22, seed=1, n_jobs=2)
    assert_allclose(alone.reference, shared.reference)
    y = m0.simulate(22, seed=1)["sim_22"]
    assert_allclose(alone.reference[21], 2.0 * (m1.refit(y).llf - m0.refit(y).llf), atol=1e-12)


def test_generalized_models() -> None:
    data = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ {} + (1 | herd)"
    m1, m0 = (mixfit.mixed(formula.format(x), data, family="binomial").fit() for x in ("period", "1"))
    test = mixfit.pb_modcomp(m1, m0, n=30, seed=1)
    assert test.statistic == pytest.approx(2 * (m1.llf - m0.llf))
    assert test.pvalue == 1 / (1 + test.n_used)
    with pytest.raises(FitError, match="random term"):
        mixfit.pb_modcomp(m1, None, n=2)


def test_a_variance_against_none_counts_the_zeros() -> None:
    """Pulp: the exact test of the variance (RLRsim's exactLRT, 1e6 draws) has p = 0.0215; Faraway's bootstrap 0.02."""
    m1 = fitted("pulp", "bright ~ 1 + (1|operator)", True)
    test = mixfit.pb_modcomp(m1, None, n=20000, seed=1)
    assert test.statistic == pytest.approx(2.568371364753, abs=1e-6)
    assert test.df == 1
    assert abs(test.pvalue - 0.0215) < 4 * test.pvalue_se
    assert test.n_used == 20000
    # At the boundary more than half of the statistics are exactly zero.
    assert 0.6 < (np.abs(test.reference) < 1e-7).mean() < 0.8
    assert "refitted by maximum likelihood" in str(test)


def test_a_statistic_of_zero_is_no_evidence() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"y": rng.standard_normal(40), "g": np.tile(list("abcdefgh"), 5)})
    fits = (mixfit.mixed("y ~ 1 + (1|g)", data.assign(y=rng.standard_normal(40))).fit(reml=False) for _ in range(50))
    m1 = next(fit for fit in fits if fit.theta[0] == 0.0)
    test = mixfit.pb_modcomp(m1, None, n=50, seed=1)
    assert test.statistic == pytest.approx(0.0, abs=1e-9)
    assert test.pvalue == 1.0


def test_least_squares_results_are_a_smaller_model() -> None:
    import statsmodels.formula.api as smf

    data = mixfit.datasets.load("penicillin").rename(columns={"yield": "harvest"})
    m1 = mixfit.mixed("harvest ~ treat + (1|blend)", data).fit(reml=False)
    m0 = smf.ols("harvest ~ 1", data).fit()
    test = mixfit.pb_modcomp(m1, m0, n=200, seed=1)
    assert test.statistic == pytest.approx(2.0 * (m1.llf - m0.llf))
    assert test.df == 4
    assert "small : harvest ~ 1" in str(test)


def test_weights_and_offsets_reach_the_simulations_and_the_refits() -> None:
    rng = np.random.default_rng(1)
    n = 60
    data = pd.DataFrame({"x": rng.standard_normal(n), "g": np.tile(list("abcdef"), 10)})
    data["w"], data["o"] = rng.uniform(0.1, 5.0, n), 100.0 * rng.standard_normal(n)
    data["y"] = data["o"] + rng.standard_normal(n) / np.sqrt(data["w"])
    m1, m0 = (
        mixfit.mixed(f"y ~ {right} + (1|g)", data, weights="w", offset="o").fit(reml=False) for right in ("x", "1")
    )
    test = mixfit.pb_modcomp(m1, m0, n=15, seed=1)
    y = m0.simulate(15, seed=1)
    wanted = [2.0 * (m1.refit(y[c]).llf - m0.refit(y[c]).llf) for c in y]
    assert_allclose(test.reference, wanted, rtol=0, atol=1e-6)
    none = mixfit.pb_modcomp(m1, None, n=2000, seed=1)
    # Under the null hypothesis of no variance, with the right weights and offset, half of the statistics vanish.
    assert 0.4 < (np.abs(none.reference) < 1e-7).mean() < 0.75
    with pytest.raises(ComparisonError, match="weights"):
        mixfit.pb_modcomp(m1, mixfit.mixed("y ~ 1 + (1|g)", data, offset="o").fit())
    with pytest.raises(ComparisonError, match="offsets"):
        mixfit.pb_modcomp(m1, mixfit.mixed("y ~ 1 + (1|g)", data, weights="w").fit())


@pytest.mark.slow
def test_the_null_distribution_of_the_p_value_is_uniform() -> None:
    """Under a true null hypothesis p <= 0.1 and p <= 0.5 happen that often; chi-square rejects too often."""
    m1, m0 = penicillin("treat"), penicillin("1")
    y = m0.simulate(300, seed=8).to_numpy()
    p, chi2, rng = [], [], np.random.default_rng(1)
    for column in y.T:
        test = mixfit.pb_modcomp(m1.refit(column), m0.refit(column), n=99, seed=rng, progress=False)
        p.append(test.pvalue)
        chi2.append(stats.chi2.sf(test.statistic, 3))
    for level in (0.1, 0.5):
        assert abs(np.mean(np.array(p) <= level) - level) < 3.5 * np.sqrt(level * (1 - level) / 300)
    assert np.mean(np.array(chi2) <= 0.1) > np.mean(np.array(p) <= 0.1)


def _fixed(reference: np.ndarray) -> PBModcomp:
    return PBModcomp(6.0, 2, reference, len(reference) + 1, {"it would not": 1}, "y ~ x + (1|g)", "y ~ 1 + (1|g)", True)


def test_the_corrections_match_moments() -> None:
    """A scaled F(2, 12) reference has mean 2 * 12/10 = 2.4: that is what the F row must find."""
    quantiles = (np.arange(20000) + 0.5) / 20000
    test = _fixed(2.0 * stats.f.ppf(quantiles, 2, 12))
    frame = test.summary().to_frame()
    assert frame.index.tolist() == ["LRT", "PBtest", "Gamma", "Bartlett", "F"]
    assert frame.columns.tolist() == ["stat", "df", "ddf", "p.value"]
    assert frame.loc["F", "ddf"] == pytest.approx(12.0, rel=0.01)
    assert frame.loc["F", "p.value"] == pytest.approx(stats.f.sf(3.0, 2, 12), rel=0.01)
    assert frame.loc["LRT", "p.value"] == pytest.approx(stats.chi2.sf(6.0, 2))
    assert frame.loc["Bartlett", "stat"] == pytest.approx(6.0 * 2 / test.reference.mean())
    gamma = _fixed(stats.gamma.ppf(quantiles, 1.7, scale=1.4)).summary()["p.value"]["Gamma"]
    assert gamma == pytest.approx(stats.gamma.sf(6.0, 1.7, scale=1.4), rel=0.01)
    assert np.isnan(_fixed(stats.chi2.ppf(quantiles, 2) * 0.9).summary()["p.value"]["F"])


def test_prints_as_pbkrtest_prints() -> None:
    assert str(_fixed(np.array([1.0, 2.0, 7.0]))).splitlines() == [
        "Bootstrap test; samples: 4; extremes: 1;",
        "Requested samples: 4 Used samples: 3",
        "large : y ~ x + (1|g)",
        "small : y ~ 1 + (1|g)",
        "       stat df p.value",
        "LRT       6  2 0.04979 *",
        "PBtest    6    0.50000",
        "---",
        "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1",
        "Monte-Carlo standard error of the bootstrap p-value: 0.2887",
        "Fits by REML were refitted by maximum likelihood.",
        "1 simulations could not be refitted:",
        "  1 x it would not",
    ]


def test_refuses_models_that_are_not_nested() -> None:
    sleep = "Reaction ~ {} + ({}|Subject)"
    large = fitted("sleepstudy", sleep.format("Days", "Days"))
    data = mixfit.datasets.load("sleepstudy")
    with pytest.raises(ComparisonError, match="fixed effects 'Days'"):
        mixfit.pb_modcomp(penicillin_like(data, "1", "Days"), large)
    with pytest.raises(ComparisonError, match="random terms that are not contained"):
        mixfit.pb_modcomp(
            fitted("sleepstudy", sleep.format("Days", "1")), fitted("sleepstudy", sleep.format("1", "Days"))
        )
    with pytest.raises(DesignError, match="nothing to test"):
        mixfit.pb_modcomp(large, large)
    with pytest.raises(ComparisonError, match="different rows"):
        mixfit.pb_modcomp(large, penicillin_like(data.iloc[:-1], "1", "Days"))
    with pytest.raises(ComparisonError, match="different responses"):
        mixfit.pb_modcomp(large, penicillin_like(data.assign(Reaction=data["Reaction"] + 1), "1", "Days"))
    with pytest.raises(FitError, match="not int"):
        mixfit.pb_modcomp(large, 3)
    with pytest.raises(FitError, match="not str"):
        mixfit.pb_modcomp("large", large)
    with pytest.raises(FitError, match="positive whole number"):
        mixfit.pb_modcomp(large, None, n=0)


def penicillin_like(data: pd.DataFrame, fixed: str, columns: str):
    return mixfit.mixed(f"Reaction ~ {fixed} + ({columns}|Subject)", data).fit(reml=False)


def test_recoded_columns_and_fewer_correlations_are_nested() -> None:
    large = fitted("sleepstudy", "Reaction ~ Days + (Days|Subject)")
    shifted = fitted("sleepstudy", "Reaction ~ I(3 * Days - 1) + (1|Subject)")
    assert mixfit.pb_modcomp(large, shifted, n=3, seed=1).df == 2
    independent = fitted("sleepstudy", "Reaction ~ Days + (Days||Subject)")
    assert mixfit.pb_modcomp(large, independent, n=3, seed=1).df == 1
    with pytest.raises(ComparisonError, match="random term"):
        mixfit.pb_modcomp(independent, large)
