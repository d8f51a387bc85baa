"""Numbers of Faraway (2016), Extending the Linear Model with R, chapter 10, and those that the page's prose says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from mixfit import datasets
from tests.docs.pages import Page, run

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page() -> Page:
    return run("pulp_penicillin.md")


@pytest.fixture(scope="module")
def names(page: Page) -> dict[str, Any]:
    return page.names


def number(value: float, decimals: int) -> str:
    """A number as prose writes it, with a true minus sign."""
    return f"{value:.{decimals}f}".replace("-", "−")


def standard_error(p: float, n: int) -> float:
    return float(np.sqrt(p * (1 - p) / n))


def test_operators_as_fixed_effects(page: Page, names: dict[str, Any]):
    ols, table = names["ols"], names["fixed_table"]
    a, b, c = ols.params.iloc[1:]
    d = -(a + b + c)
    assert_allclose([ols.params["Intercept"], a, b, c, d], [60.4, -0.16, -0.34, 0.22, 0.28], atol=1e-9)
    assert_allclose(names["residual_se"], 0.326, atol=5e-4)
    assert_allclose(table["F"].iloc[0], 4.204, atol=5e-4)
    assert_allclose(table["PR(>F)"].iloc[0], 0.02261, atol=5e-6)
    bright = datasets.load("pulp").groupby("operator", observed=True)["bright"]
    means = bright.mean()
    assert means[["a", "b"]].max() < means[["c", "d"]].min()
    assert means.std() < names["residual_se"]
    page.says(
        f"The overall mean is {ols.params['Intercept']:.1f}. Operators a, b and c deviate from it by {number(a, 2)}, "
        f"{number(b, 2)} and {number(c, 2)}. The four deviations add up to zero, so that of d is {d:.2f}.",
        f"a standard deviation of {names['residual_se']:.3f}. The F statistic of {table['F'].iloc[0]:.3f} has a "
        f"p-value of {table['PR(>F)'].iloc[0]:.5f}",
    )


def test_anova_estimator(page: Page, names: dict[str, Any]):
    estimate, negative = names["by_anova"], names["negative"]
    between, within = estimate.table["Mean Sq"]
    assert_allclose([between, within], [0.4467, 0.10625], atol=5e-5)
    assert_allclose(estimate.sigma2_alpha, (0.4467 - 0.10625) / 5, atol=1e-5)
    assert_allclose(names["fixed_table"]["mean_sq"], [between, within], rtol=1e-9)
    assert negative.sigma2_alpha < 0.0
    assert "estimated as negative" in page.printed
    page.says(
        rf"\frac{{{between:.4f} - {within:.5f}}}{{5}}",
        f"between operators is estimated as {estimate.sigma2_alpha:.5f} and that within operators as "
        f"{estimate.sigma2:.5f}. The intraclass correlation is {estimate.icc:.3f}: operators account for two fifths",
        f"A variance of {number(negative.sigma2_alpha, 4)} does not exist",
    )


def test_maximum_likelihood(page: Page, names: dict[str, Any]):
    ml, fit = names["ml"], names["fit"]
    components = ml.varcorr().to_frame()
    assert_allclose(components["vcov"], [0.04575, 0.10625], atol=5e-6)
    assert_allclose(components["sdcor"], [0.2139, 0.3260], atol=5e-5)
    assert_allclose([ml.aic, ml.bic, ml.llf], [22.5, 25.5, -8.3], atol=0.05)
    assert_allclose(ml.bse["Intercept"], 0.1294, atol=5e-5)
    # criteria are minimal to 1e-8, and variances to about its root
    assert_allclose((0.75 * names["between"] - names["within"]) / 5, components["vcov"].iloc[0], rtol=1e-4)
    assert "0.04575\n" in page.printed
    sds = components["sdcor"]
    page.says(
        f"The residual variance is {components['vcov'].iloc[1]:.5f} as before (standard deviation {sds.iloc[1]:.4f}). "
        f"The variance between operators is {components['vcov'].iloc[0]:.5f}, two thirds of what the mean squares "
        f"gave. Its standard deviation is {sds.iloc[0]:.4f}.",
        f"criteria of REML fits (here {fit.estimate.criterion:.1f})",
        f"The AIC of {ml.aic:.1f}, the BIC of {ml.bic:.1f} and the log-likelihood of {number(ml.llf, 1)}",
    )
    assert_allclose(components["vcov"].iloc[0] / fit.varcorr().to_frame()["vcov"].iloc[0], 2 / 3, atol=0.02)


def test_restricted_maximum_likelihood(page: Page, names: dict[str, Any]):
    fit = names["fit"]
    components = fit.varcorr().to_frame()
    assert_allclose(components["vcov"], [0.06808, 0.10625], atol=5e-6)
    assert_allclose(components["sdcor"], [0.2609, 0.3260], atol=5e-5)
    assert_allclose(fit.estimate.criterion, 18.6, atol=0.05)
    assert_allclose(fit.bse["Intercept"], 0.1494, atol=5e-5)
    assert_allclose(components["vcov"], [names["by_anova"].sigma2_alpha, names["by_anova"].sigma2], rtol=1e-4)
    page.says(
        f"Now the variance between operators is {components['vcov'].iloc[0]:.5f} and the standard deviation is "
        f"{components['sdcor'].iloc[0]:.4f}. That is the estimate from the mean squares",
        f"Its standard error is {fit.bse['Intercept']:.4f}, and only {names['ml'].bse['Intercept']:.4f} with the "
        f"smaller variance of maximum likelihood; the regression with fixed operators had "
        f"{names['ols'].bse['Intercept']:.3f}.",
    )


def test_likelihood_ratio_and_bootstrap(page: Page, names: dict[str, Any]):
    ratio, boot = names["ratio"], names["boot"]
    statistic, p = ratio["Chisq"].iloc[1], ratio["Pr(>Chisq)"].iloc[1]
    assert_allclose(statistic, 2.5684, atol=5e-5)
    assert_allclose(p, 0.109, atol=5e-4)
    assert_allclose(boot.statistic, statistic, rtol=1e-7)
    # exact: the statistic grows with F, and is zero where F <= 4/3
    exact, zero = float(names["fixed_table"]["PR(>F)"].iloc[0]), stats.f(3, 16).cdf(4 / 3)
    assert_allclose(names["share_zero"], zero)
    assert abs(boot.pvalue - exact) < 3 * standard_error(exact, boot.n)
    assert abs(names["zeros"] - zero) < 3 * standard_error(zero, boot.n)
    assert_allclose(names["zeros"], 0.7, atol=0.02)
    assert 4.5 < p / exact < 5.0
    assert p / 2 / exact > 2.0
    page.says(
        f"The statistic is {statistic:.4f}. The chi-square distribution with one degree of freedom turns it into a "
        f"p-value of {p:.3f}: no evidence. But F had {exact:.5f}.",
        f"halved, to {p / 2:.4f}, by",
        f"In {100 * names['zeros']:.0f} per cent of the simulations the statistic is zero. Only about "
        f"{100 * boot.pvalue:.1f} per cent reach {statistic:.4f}",
        f"The simulated curve begins at {1 - zero:.1f}",
        f"({p:.3f} against {exact:.3f})",
    )


def test_exact_tests(page: Page, names: dict[str, Any]):
    lrt, rlrt = names["lrt"], names["rlrt"]
    exact = float(names["fixed_table"]["PR(>F)"].iloc[0])
    assert_allclose([lrt.statistic, rlrt.statistic], [2.5684, 3.4701], atol=5e-5)
    for test in (lrt, rlrt):
        assert abs(test.pvalue - exact) < 3 * standard_error(exact, test.n_sim)
    # the p-values that Faraway prints, from 10,000 simulations each, are within three standard errors of the law
    error = standard_error(exact, 10_000)
    off = np.array([0.0241, 0.0224]) - exact
    assert (np.abs(off) < 3 * error).all()
    page.says(
        f"The statistics are {lrt.statistic:.4f} and {rlrt.statistic:.4f}. A million simulations put both p-values at "
        f"about {lrt.pvalue:.4f}.",
        f"the exact p-value of all three tests is that of F, {exact:.5f}.",
        f"A share of {exact:.4f} among so many has a standard error of {error:.4f}, and they differ from the exact "
        f"value by {abs(off[0]) / error:.1f} and by {abs(off[1]) / error:.1f} of it.",
    )
    assert round(lrt.pvalue, 4) == round(rlrt.pvalue, 4)
    assert lrt.n_sim == rlrt.n_sim == 1_000_000


def test_random_effects(page: Page, names: dict[str, Any]):
    operators = names["operators"]
    assert_allclose(operators["random"], [-0.1219403, -0.2591231, 0.1676679, 0.2133955], atol=1e-6)
    assert_allclose(operators["fixed"], [-0.16, -0.34, 0.22, 0.28], atol=1e-9)
    # 1.312117 in the book; 1.3121175 exactly
    assert_allclose(operators["ratio"], 1.312117, atol=2e-6)
    assert_allclose(names["ratio_expected"], 1 + 0.10625 / (1.34 / 3 - 1.7 / 16), rtol=1e-4)
    ranef = names["fit"].ranef(condsd=True)["operator"]
    modes, deviations = ranef["mode"]["Intercept"], ranef["sd"]["Intercept"]
    assert list(modes.index[np.abs(modes) > 1.96 * deviations]) == ["b"]
    share = 1 / names["ratio_expected"]
    page.says(
        f"by the same factor of {operators['ratio'].iloc[0]:.4f}.",
        f"one over {names['ratio_expected']:.4f}, or {100 * share:.0f} per cent.",
        "Each has gone a quarter of its way",
        "Only that of operator b leaves out zero.",
    )
    assert_allclose(1 - share, 0.25, atol=0.02)


def test_residuals(page: Page, names: dict[str, Any]):
    """The scatter of the operators, which the sentence below the figure compares."""
    sheets = [rows.to_numpy() for _, rows in names["pulp"].groupby("operator", observed=True)["bright"]]
    a, *others = [values.std(ddof=1) for values in sheets]
    assert_allclose(a / np.array(others), 2.25, atol=0.2)
    assert names["fit"].params["Intercept"] > names["means"]["a"] > names["means"]["b"], "the second from the left"
    page.says(f"(Bartlett's test has p = {stats.bartlett(*sheets).pvalue:.2f})")


def test_predictions(page: Page, names: dict[str, Any]):
    predicted, interval = names["predicted"], names["interval"]
    mean = predicted["mean"]
    assert_allclose(mean, [60.27806, 60.14088, 60.56767, 60.61340, 60.4], atol=1e-5)
    assert list(predicted.index) == list("abcde")
    # a new operator: variance of the mean, MS / 20, and both components
    between, within = names["between"], names["within"]
    z = stats.norm.ppf(0.975)
    half = z * np.sqrt(between / 20 + (between - within) / 5 + within)
    assert_allclose(interval.loc["e", ["obs_ci_lower", "obs_ci_upper"]], [60.4 - half, 60.4 + half], rtol=1e-6)
    assert_allclose(names["of_sheet"], (half / z) ** 2, rtol=1e-6)
    assert_allclose(names["prediction"].se_obs[-1] ** 2, names["of_sheet"], rtol=1e-12)
    assert names["of_mean"] < names["sigma2_alpha"] < names["sigma2"]
    # a known one, balanced: 60.4 and the share kept of the deviation, whose variance is as if sigma^2 were divided by n
    share, kept = 1 / names["ratio_expected"], predicted["mean_se"]["d"] ** 2
    assert_allclose(kept, share * within / 5 + (1 - share) ** 2 * between / 20, rtol=1e-6)
    lower, upper = interval["obs_ci_lower"], interval["obs_ci_upper"]
    assert_allclose([upper["d"] - mean["d"], mean["d"] - lower["d"]], z * np.sqrt(kept + within), rtol=1e-6)
    width, narrow = upper - lower, interval["mean_ci_upper"] - interval["mean_ci_lower"]
    assert_allclose(width["e"] / width["d"], 1.25, atol=0.03)
    assert (width - narrow).idxmax() == (width / narrow).idxmax() == "e"
    a, b, c, d, e = mean
    page.says(
        f"That is {a:.3f}, {b:.3f}, {c:.3f} and {d:.3f} for the four, and {e:.1f} for operator e.",
        f"operator d should be between {lower['d']:.2f} and {upper['d']:.2f}, and a sheet of someone new "
        f"between {lower['e']:.2f} and {upper['e']:.2f}. The second interval is a quarter wider.",
        f"The mean of all operators is known to within {narrow['e'] / 2:.2f}",
        f"about {e:.1f} has three parts",
        "The scatter of sheets is the largest part, and the operators come next.",
    )


def test_blends_as_fixed_effects(page: Page, names: dict[str, Any]):
    table = names["blocks_table"]
    assert_allclose(table["F"].iloc[:2], [3.504, 1.239], atol=5e-4)
    assert_allclose(table["PR(>F)"].iloc[1], 0.3387, atol=5e-5)
    page.says(
        f"The F statistic of treatments is {table['F'].iloc[1]:.3f}, with a p-value of {table['PR(>F)'].iloc[1]:.4f}; "
        f"that of blends is {table['F'].iloc[0]:.3f}.",
    )


def test_blends_as_random_effects(page: Page, names: dict[str, Any]):
    fit, effects = names["mixed_fit"], names["blend_effects"]
    blend, residual = fit.varcorr().to_frame()["sdcor"]
    # lme4: 3.434 and 4.340; the mean squares give (66 - 18.8333) / 4 and 18.8333
    assert_allclose([blend, residual], np.sqrt([(66 - 226 / 12) / 4, 226 / 12]), rtol=1e-4)
    assert_allclose(fit.params, [86, -2, -1, 3], atol=1e-9)
    assert_allclose(effects["ratio"], effects["ratio"].iloc[0], rtol=1e-9)
    assert effects["fixed"].idxmax() == "Blend1"
    mean, a, b, c = fit.params
    page.says(
        f"The mean is {mean:.0f}. Variants A, B and C deviate from it by {number(a, 0)}, {number(b, 0)} and {c:.0f}, "
        f"and so D by {abs(a + b + c):.0f}.",
        f"Blends have a standard deviation of {blend:.3f}, single runs one of {residual:.3f}.",
        f"by one factor, here {effects['ratio'].iloc[0]:.4f}.",
    )


def test_treatments(page: Page, names: dict[str, Any]):
    kr = names["kr"].frame.loc["C(treat, contr.sum)"]
    assert_allclose(kr[["F value", "Pr(>F)"]].astype(float), [1.2389, 0.3387], atol=5e-5)
    assert_allclose(kr[["NumDF", "DenDF"]].astype(float), [3, 12], rtol=1e-6)
    ratio, boot = names["treat_ratio"], names["treat_boot"]
    statistic, p = ratio["Chisq"].iloc[1], ratio["Pr(>Chisq)"].iloc[1]
    assert_allclose(statistic, 4.0474, atol=5e-5)
    assert_allclose(p, stats.chi2.sf(4.0474, 3), atol=5e-5)
    assert boot.n_used == 20_000
    # Faraway: 0.352 from 1,000 simulations
    error = standard_error(0.352, 1000)
    assert abs(boot.pvalue - 0.352) < 0.015
    page.says(
        f"F is {kr['F value']:.4f} on {kr['NumDF']:.0f} and {kr['DenDF']:.0f} degrees of freedom, and p is "
        f"{kr['Pr(>F)']:.4f}.",
        f"The statistic is {statistic:.4f} and chi-square with three degrees of freedom gives p = {p:.4f}. That is "
        f"less than Kenward and Roger's {kr['Pr(>F)']:.4f}.",
        f"The p-value is {boot.pvalue:.3f} with a standard error of {boot.pvalue_se:.3f}. Faraway's thousand "
        f"simulations gave 0.352, with a standard error of {error:.3f}.",
    )


def test_blends(page: Page, names: dict[str, Any]):
    test, p = names["blend_test"], names["blocks_table"]["PR(>F)"].iloc[0]
    assert_allclose(test.statistic, 2.7629, atol=5e-5)
    assert abs(test.pvalue - p) < 3 * standard_error(p, test.n_sim)
    page.says(
        f"The statistic is {test.statistic:.4f}, and the p-value is about {test.pvalue:.3f}.",
        f"its p-value is {p:.4f}.",
    )


def test_figures(names: dict[str, Any]):
    assert [label.get_text() for label in names["left"].get_xticklabels()] == list("ABCD")
    assert names["ax"].get_xlabel() == "variant of the process"
    assert len(names["ax"].lines) == 5
