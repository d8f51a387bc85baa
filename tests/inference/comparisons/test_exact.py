from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import optimize, stats

import mixfit
from mixfit.errors import ComparisonError, DesignError
from mixfit.inference.comparisons.exact_null import ExactNull, draw_null, maximal_ratio, merge, spectrum
from mixfit.lmm.criterion import evaluate
from tests.inference.cases import REFERENCE, data, fitted, generalized

# Rows of sleepstudy that leave subjects with 2 to 10 of their days.
UNEVEN = np.r_[0:3, 10:22, 30:35, 40:48, 50:62, 70:79, 80:84, 90:96]
N = 100_000


def uneven(formula: str, reml: bool = True):
    return mixfit.mixed(formula, data("sleepstudy").iloc[UNEVEN]).fit(reml=reml)


def balanced_tail(statistic: float, groups: int, size: int, between: int, within: int, reml: bool) -> float:
    """P(statistic or more) of a balanced layout: a function of one F ratio, by root finding and the beta law."""
    n = groups * size
    nu, count = (n - (n - between - within), between) if reml else (n, groups)

    def ratio(share: float) -> float:
        def h(t: float) -> float:
            lam = size * np.exp(t)
            return nu * np.log(share / (1 + lam) + 1 - share) + count * np.log1p(lam)

        return -optimize.minimize_scalar(h, bounds=(-15, 15), method="bounded", options={"xatol": 1e-11}).fun

    start = between / (between + within)
    share = optimize.brentq(lambda b: ratio(b) - statistic, start * 1.001 if reml else start, 0.9999)
    return float(stats.beta(between / 2, within / 2).sf(share))


# groups, size, and the degrees of freedom between and within groups
LAYOUTS = {"pulp": (4, 5, 3, 16), "penicillin": (5, 4, 4, 12)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_balanced_layouts_have_known_p_values(name: str):
    case = REFERENCE[name]
    for test, reml in ((mixfit.exact_rlrt, True), (mixfit.exact_lrt, False)):
        result = test(fitted(case["data"], case["formula"], reml), n_sim=N, seed=1)
        p = balanced_tail(result.statistic, *LAYOUTS[name], reml)
        assert abs(result.pvalue - p) < 4.0 * np.sqrt(p * (1 - p) / N)
        np.testing.assert_allclose(result.standard_error, np.sqrt(p * (1 - p) / N), rtol=0.05)


@pytest.mark.parametrize("name", [name for name, case in REFERENCE.items() if "exact_rlrt" in case])
def test_agrees_with_rlrsim(name: str):
    case = REFERENCE[name]
    for key, test, reml in (("exact_rlrt", mixfit.exact_rlrt, True), ("exact_lrt", mixfit.exact_lrt, False)):
        result = test(fitted(case["data"], case["formula"], reml), n_sim=N, seed=4)
        np.testing.assert_allclose(result.statistic, case[key]["stat"], rtol=1e-6)
        p = case[key]["p"]
        assert abs(result.pvalue - p) <= 4.0 * np.sqrt(2.0 * p * (1 - p) / N)


# Quantiles of 1,000,000 simulations by RLRsim 3.1.8 on the rows UNEVEN: exactRLRT(m), exactLRT(m, lm(...)).
LEVELS = [0.7, 0.8, 0.9, 0.95, 0.99]
QUANTILES = [
    (
        "exact_rlrt",
        "Reaction ~ Days + (1|Subject)",
        (),
        35.79081,
        [0.13757138, 0.49033683, 1.32686125, 2.31719691, 4.93768751],
    ),
    (
        "exact_rlrt",
        "Reaction ~ Days + (0+Days|Subject)",
        (),
        25.27644,
        [0.083617505, 0.387321480, 1.170074997, 2.127456405, 4.676445814],
    ),
    (
        "exact_lrt",
        "Reaction ~ Days + (1|Subject)",
        (),
        35.10656,
        [0.0099238229, 0.2018991913, 0.8564620449, 1.7279446333, 4.1722857994],
    ),
    (
        "exact_lrt",
        "Reaction ~ Days + (1|Subject)",
        ("Days",),
        39.09604,
        [1.5072431, 2.2004548, 3.4519531, 4.7419685, 7.7976171],
    ),
]


@pytest.mark.parametrize(("name", "formula", "drop", "statistic", "quantiles"), QUANTILES)
def test_null_distribution_of_uneven_groups_agrees_with_rlrsim(name, formula, drop, statistic, quantiles):
    options = {"drop": drop} if drop else {}
    test = getattr(mixfit, name)(uneven(formula, name == "exact_rlrt"), n_sim=N, seed=8, keep_sample=True, **options)
    np.testing.assert_allclose(test.statistic, statistic, rtol=1e-6)
    shares = (test.sample[:, None] < quantiles).mean(axis=0)
    error = np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) * (1 / N + 1e-6))
    assert (np.abs(shares - LEVELS) < 4.0 * error).all()


@pytest.mark.slow
def test_null_distribution_is_that_of_refits():
    """Statistics of 800 simulated responses, each refitted, against 100,000 draws by the spectrum."""
    rng = np.random.default_rng(20)
    g = np.repeat(np.arange(6), [1, 2, 3, 3, 5, 8])
    x = rng.standard_normal(len(g))
    frame = pd.DataFrame({"g": g.astype(str), "x": x, "y": rng.standard_normal(len(g))})
    model = mixfit.mixed("y ~ x + (1 | g)", frame)
    for reml in (True, False):
        refits = np.array([_statistic(model.with_response(rng.standard_normal(len(g))), reml) for _ in range(800)])
        draws = draw_null(ExactNull(spectrum(model.assembly.problem), reml), N, np.random.default_rng(1))
        # both have an atom at zero, whose size must agree; and so must what lies above it
        zero = np.mean(draws < 1e-6)
        assert abs(np.mean(refits < 1e-6) - zero) < 4.0 * np.sqrt(zero * (1 - zero) / 800)
        assert stats.ks_2samp(refits[refits > 1e-6], draws[draws > 1e-6]).pvalue > 0.01


def _statistic(model, reml: bool) -> float:
    null = evaluate(model.assembly.problem, [np.zeros((1, 1))], reml=reml).value
    return null - model.fit(reml=reml).estimate.criterion


@pytest.mark.parametrize("reml", [True, False])
def test_the_supremum_is_found(reml: bool):
    model = ExactNull(spectrum(uneven("Reaction ~ Days + (1|Subject)").model.assembly.problem), reml)
    s = model.spectrum
    rng = np.random.default_rng(2)
    W = np.column_stack([rng.chisquare(s.mu_count, (200, len(s.mu))), rng.chisquare(s.df_rest, 200)])
    # residuals of next to nothing put the optimum beyond any grid
    W[:20, -1] *= 1e-8
    found = maximal_ratio(model, W)
    lam = np.exp(np.linspace(-30.0, 35.0, 20_001))
    xi, count = model.logarithms
    D = W[:, :-1] @ (1.0 / (1.0 + np.outer(s.mu, lam))) + W[:, -1:]
    table = model.nu * np.log(W.sum(axis=1, keepdims=True) / D) - np.log1p(np.outer(xi, lam)).T @ count
    dense = np.maximum(table.max(axis=1), 0.0)
    assert (found >= dense - 1e-9).all()
    # the curvature in log(lambda) is below n, and the dense grid has steps of 0.003
    np.testing.assert_allclose(found, dense, atol=s.n * 0.00325**2 / 8.0 + 1e-9)


def test_spectrum_is_that_of_the_dense_matrices():
    fits = [uneven("Reaction ~ Days + (1|Subject)"), uneven("Reaction ~ Days + (0+Days|Subject)")]
    fits.append(fitted("sleepstudy", "Reaction ~ Days + (1|Subject)"))
    weights = np.arange(1.0, len(UNEVEN) + 1.0)
    sleep = data("sleepstudy").iloc[UNEVEN]
    fits.append(mixfit.mixed("Reaction ~ Days + (1|Subject)", sleep, weights=weights).fit())
    fits.append(mixfit.mixed("Reaction ~ 0 + (1|Subject)", sleep).fit())
    for fit in fits:
        design = fit.model.design
        root = np.ones(len(design.y)) if design.weights is None else np.sqrt(design.weights)
        term = design.random[0]
        Z = root[:, None] * term.Z * (term.grouping.codes[:, None] == np.arange(term.grouping.n_levels))
        Q = np.linalg.qr(root[:, None] * fit.model.exog)[0]
        xi = np.sort((Z**2).sum(axis=0))
        rest = Z - Q @ (Q.T @ Z)
        mu = np.linalg.eigvalsh(rest.T @ rest)
        s = spectrum(fit.model.assembly.problem)
        np.testing.assert_allclose(np.repeat(s.xi, s.xi_count), xi / xi[-1], atol=1e-12)
        np.testing.assert_allclose(np.repeat(s.mu, s.mu_count), mu[mu > 1e-9 * mu[-1]] / xi[-1], atol=1e-11)
        assert s.df_rest == len(Z) - np.linalg.matrix_rank(np.column_stack([Q, Z]))


def test_balanced_designs_need_few_eigenvalues():
    s = spectrum(fitted("sleepstudy", "Reaction ~ Days + (1|Subject)").model.assembly.problem)
    assert s.mu_count.tolist() == [17]
    assert s.xi_count.tolist() == [18]


def test_merge_counts():
    values, counts, member = merge(np.array([3.0, 1.0, 3.0 + 1e-13]), np.array([2, 5, 1]))
    np.testing.assert_allclose(values, [1.0, 3.0])
    assert counts.tolist() == [5, 3]
    assert member.tolist() == [1, 0, 1]


def test_nuisance_variances():
    m, mA, m0 = (
        fitted("sleepstudy", f"Reaction ~ Days + ({t})") for t in ("0+Days|Subject", "Days||Subject", "1|Subject")
    )
    test = mixfit.exact_rlrt(m, mA, m0, seed=1)
    # RLRsim 3.1.8
    np.testing.assert_allclose(test.statistic, 42.7957918134, rtol=1e-6)
    assert test.pvalue == 0.0
    split = fitted("sleepstudy", "Reaction ~ Days + (1|Subject) + (0+Days|Subject)")
    np.testing.assert_allclose(mixfit.exact_rlrt(m, split, m0, n_sim=10).statistic, test.statistic, rtol=1e-9)
    small = mixfit.exact_rlrt(
        *(fitted("pastes", f"strength ~ 1 + {t}") for t in ("(1|batch)", "(1|batch/cask)", "(1|batch:cask)")),
        n_sim=N,
        seed=2,
    )
    np.testing.assert_allclose(small.statistic, 0.6576559268726, atol=1e-6)
    # one-way layout of 10 batches of 6
    p = balanced_tail(small.statistic, 10, 6, 9, 50, True)
    assert abs(small.pvalue - p) < 4.0 * np.sqrt(p * (1 - p) / N)


def test_restricted_fixed_effects():
    fit = fitted("penicillin", "yield ~ treat + (1|blend)", False)
    by_name = mixfit.exact_lrt(fit, drop=["treat"], n_sim=N, seed=3)
    null = smf.ols("Q('yield') ~ 1", data("penicillin")).fit()
    by_fit = mixfit.exact_lrt(fit, null, n_sim=N, seed=3)
    assert by_fit.pvalue == by_name.pvalue
    # exactLRT of RLRsim 3.1.8, 1,000,000 simulations
    for test in (by_name, by_fit):
        np.testing.assert_allclose(test.statistic, 6.124262, rtol=1e-6)
        assert abs(test.pvalue - 0.21887) < 4.0 * np.sqrt(0.22 * 0.78 * (1 / N + 1e-6))


def test_several_terms_are_restricted_together():
    fit = fitted("cake", "angle ~ recipe + temperature + (1|recipe:replicate)", False)
    both = mixfit.exact_lrt(fit, drop=["recipe", "temperature"], n_sim=1000, seed=1)
    null = smf.ols("angle ~ 1", data("cake")).fit()
    np.testing.assert_allclose(both.statistic, 2.0 * (fit.llf - null.llf), rtol=1e-9)
    assert both.pvalue == mixfit.exact_lrt(fit, null, n_sim=1000, seed=1).pvalue
    crossed = fitted("cake", "angle ~ recipe * temp + (1|recipe:replicate)", False)
    slopes = mixfit.exact_lrt(crossed, drop=["temp", "recipe:temp"], n_sim=10)
    null = smf.ols("angle ~ recipe", data("cake")).fit()
    np.testing.assert_allclose(slopes.statistic, 2.0 * (crossed.llf - null.llf), rtol=1e-9)
    with pytest.raises(ComparisonError, match="recipe:temp contains it"):
        mixfit.exact_lrt(crossed, drop="temp")


def test_other_estimation_is_refitted_and_said():
    reml, ml = (fitted("pulp", "bright ~ 1 + (1|operator)", reml) for reml in (True, False))
    a, b = mixfit.exact_rlrt(ml, seed=1), mixfit.exact_rlrt(reml, seed=1)
    assert (a.statistic, a.pvalue) == (b.statistic, b.pvalue)
    assert a.notes == ("fitted by maximum likelihood; refitted by REML for this test",)
    assert b.notes == ()
    a, b = mixfit.exact_lrt(reml, seed=1), mixfit.exact_lrt(ml, seed=1)
    assert (a.statistic, a.pvalue) == (b.statistic, b.pvalue)
    assert a.notes == ("fitted by REML; refitted by maximum likelihood for this test",)


def test_no_variance_no_simulation():
    test = mixfit.exact_rlrt(fitted("dyestuff2", "Yield ~ 1 + (1|Batch)"), keep_sample=True)
    assert (test.statistic, test.pvalue, test.n_sim, test.sample) == (0.0, 1.0, 0, None)
    assert "(statistic of 0: nothing to simulate)" in str(test)
    assert "RLRT = 0, p-value = 1" in str(test)


def test_prints_as_an_htest():
    test = mixfit.exact_rlrt(fitted("pulp", "bright ~ 1 + (1|operator)"), seed=1)
    assert str(test).splitlines() == [
        "",
        "\tsimulated finite sample distribution of RLRT.",
        "",
        "\t(p-value based on 10000 simulated values)",
        "",
        "data:  bright ~ 1 + (1|operator)",
        f"RLRT = 3.4701, p-value = {test.pvalue:.4g}",
    ]
    sure = mixfit.exact_lrt(fitted("sleepstudy", "Reaction ~ Days + (1|Subject)", False), n_sim=500, seed=1)
    assert "LRT = 106.21, p-value < 0.002" in str(sure)


def test_a_seed_repeats_and_the_result_is_frozen():
    fit = uneven("Reaction ~ Days + (1|Subject)")
    a, b = (mixfit.exact_rlrt(fit, n_sim=3000, seed=5, keep_sample=True) for _ in range(2))
    np.testing.assert_array_equal(a.sample, b.sample)
    assert len(a.sample) == 3000
    assert mixfit.exact_rlrt(fit, n_sim=10, seed=5).sample is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.pvalue = 0.0  # type: ignore[misc]


def test_models_of_several_variances_are_refused():
    full = fitted("sleepstudy", "Reaction ~ Days + (Days|Subject)")
    for test in (mixfit.exact_rlrt, mixfit.exact_lrt):
        with pytest.raises(ComparisonError, match=r"m has the random terms \(Days \| Subject\): .* one column"):
            test(full)
        with pytest.raises(ComparisonError, match=r"m has the random terms \(1 \| batch\), \(1 \| batch:cask\)"):
            test(fitted("pastes", "strength ~ 1 + (1|batch/cask)"))
        with pytest.raises(ComparisonError, match="linear mixed models only"):
            test(generalized("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial"))


def test_three_fits_of_another_form_are_refused():
    m, m0, mA = (
        fitted("sleepstudy", f"Reaction ~ Days + ({t})") for t in ("0+Days|Subject", "1|Subject", "Days||Subject")
    )
    with pytest.raises(ComparisonError, match="both mA and m0"):
        mixfit.exact_rlrt(m, mA)
    with pytest.raises(ComparisonError, match="variance with covariances cannot be tested"):
        mixfit.exact_rlrt(m, fitted("sleepstudy", "Reaction ~ Days + (Days|Subject)"), m0)
    with pytest.raises(ComparisonError, match="m and m0 have different fixed effects"):
        mixfit.exact_rlrt(m, mA, fitted("sleepstudy", "Reaction ~ 1 + (1|Subject)"))
    with pytest.raises(ComparisonError, match=r"mA has no term \(0\+Days \| Subject\) of its own"):
        mixfit.exact_rlrt(m, mA, m)
    three = fitted("sleepstudy", "Reaction ~ Days + (Days||Subject) + (1|Days)")
    with pytest.raises(ComparisonError, match=r"neither m0 nor m has: \(1 \| Days\)"):
        mixfit.exact_rlrt(m, three, m0)
    with pytest.raises(ComparisonError, match="different rows"):
        mixfit.exact_rlrt(m, mA, uneven("Reaction ~ Days + (1|Subject)"))


def test_other_hypotheses_are_refused():
    fit = fitted("pulp", "bright ~ 1 + (1|operator)", False)
    pulp = data("pulp")
    with pytest.raises(ComparisonError, match="not nested in m"):
        mixfit.exact_lrt(fit, smf.ols("bright ~ operator", pulp).fit())
    with pytest.raises(ComparisonError, match="different rows"):
        mixfit.exact_lrt(fit, smf.ols("bright ~ 1", pulp.iloc[1:]).fit())
    with pytest.raises(ComparisonError, match="without random effects"):
        mixfit.exact_lrt(fit, fit)
    with pytest.raises(ComparisonError, match="either as m0 or as the terms"):
        mixfit.exact_lrt(fit, smf.ols("bright ~ 1", pulp).fit(), drop=["x"])
    with pytest.raises(ComparisonError, match="no such term"):
        mixfit.exact_lrt(fit, drop=["x"])
    with pytest.raises(ComparisonError, match="positive whole number"):
        mixfit.exact_rlrt(fit, n_sim=0)


def test_designs_without_residual_or_effect_are_refused():
    frame = pd.DataFrame(
        {"g": list("aabbcc"), "x": [1.0, 1, 2, 2, 4, 4], "w": [1.0, 1, 4, 4, 2, 2], "y": [1.0, 2, 4, 3, 7, 9]}
    )
    fit = mixfit.mixed("y ~ x + w + (1 | g)", frame).fit()
    with pytest.raises(ComparisonError, match="fixed effects determine the random effect"):
        mixfit.exact_rlrt(fit)
    frame["z"] = [0.0, 1.0, 0, 0, 0, 0]
    frame["v"] = [0.0, 0, 0, 1.0, 0, 0]
    fit = mixfit.mixed("y ~ z + v + (1 | g)", frame).fit()
    assert mixfit.exact_rlrt(fit, n_sim=10).pvalue <= 1.0
    frame["u"] = [0.0, 0, 0, 0, 0, 1.0]
    with pytest.raises(DesignError, match="explain any response of these 6 rows exactly"):
        mixfit.mixed("y ~ z + v + u + (1 | g)", frame)
