"""The numbers of docs/henderson_to_laplace.md, against published and recomputed ones, and in its prose."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.errors import ComparisonError
from tests.docs.pages import Page, run

# The page runs as its build runs it.
pytestmark = pytest.mark.slow

# tests/reference/toenail.R: glmer(y ~ treatment * time + (1 | patientID), binomial, nAGQ = n) of lme4 1.1-31
# (bobyqa to 1e-9, tolPwrss = 1e-10) on all rows or on those of some visits: theta.
GLMER_TOENAIL = {
    "Laplace": 4.570910,
    "5 points": 3.691285,
    "9 points": 3.904931,
    "25 points": 4.000385,
    "50 points": 4.006648,
}
GLMER_VISITS = {
    ("1, 7", "Laplace"): 0.800037,
    ("1, 7", "25 points"): 1.179826,
    ("1, 4, 7", "Laplace"): 2.112590,
    ("1, 4, 7", "25 points"): 2.243790,
    ("1, 3, 5, 7", "Laplace"): 2.882612,
    ("1, 3, 5, 7", "25 points"): 2.870239,
    ("first 2", "25 points"): 10.015285,
    ("first 3", "Laplace"): 16.565200,
    ("first 3", "25 points"): 8.300245,
    ("first 3", "100 points"): 7.759182,
    ("first 5", "Laplace"): 11.670482,
    ("first 5", "25 points"): 5.657989,
    ("first 5", "100 points"): 5.611660,
}


@pytest.fixture(scope="module")
def page() -> Page:
    return run("henderson_to_laplace.md")


def test_henderson(page: Page) -> None:
    names = page.names
    assert_allclose(names["solution"], names["modes"], atol=1e-10)
    # Faraway (2016), Extending the Linear Model with R, ch. 10: variances 0.0681 and 0.1063, mean 60.4.
    fit = names["fit"]
    assert_allclose([names["variance"], fit.scale, fit.params["Intercept"]], [0.0681, 0.1063, 60.4], atol=5e-5)
    penalty = names["penalty"]
    page.says(
        f"The penalty is {penalty:.3f}",
        f"{penalty:.2f} more sheets",
        f"5 / (5 + {penalty:.2f}) = {5 / (5 + penalty):.3f}",
    )
    means = names["pulp"].groupby("operator", observed=True)["bright"].mean()
    assert_allclose(names["solution"][1:], 5 / (5 + penalty) * (means - 60.4), atol=1e-10)


def test_reml_is_the_n_minus_1(page: Page) -> None:
    by_hand, by_fit = page.names["by_hand"], page.names["by_fit"]
    for method in ("ML", "REML"):
        assert_allclose(by_fit[method], by_hand[method], rtol=5e-5)
    page.says(f"a variance of {by_fit['ML']:.5f} where REML finds {by_fit['REML']:.5f}: a third less")
    assert_allclose(by_fit["ML"] / by_fit["REML"], 2 / 3, atol=0.01)
    page.says("With a hundred groups they would differ by about one per cent")
    between, within = page.names["between"] / 3, page.names["within"]
    assert round(100 * between / (between - within) / 100) == 1


def test_the_reml_criterion_has_units(page: Page) -> None:
    table = page.names["recoded"]
    for column in ("ML deviance", "residual SD (REML)", "fitted value, row 1"):
        assert_allclose(table[column], table[column].iloc[0], rtol=1e-7)
    days, middle, weeks = table["REML criterion"]
    # REMLcrit(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)) of lme4: 1743.628
    assert_allclose([days, middle], 1743.628, atol=5e-4)
    assert_allclose(days - weeks, 2 * np.log(7), atol=1e-6)
    page.says(f"lower by {days - weeks:.3f}, which is 2 log 7")
    printed = " ".join(page.printed.split())
    assert "ComparisonError: m0 and m1 are fitted by REML and have different fixed effects" in printed
    with pytest.raises(ComparisonError, match="different fixed effects"):
        page.names["mixfit"].anova(page.names["constant"], page.names["slope"], refit=False)
    test = next(c.value for c in page.cells if c.source.strip() == "mixfit.anova(constant, slope)")
    assert_allclose(test["Chisq"].iloc[1], 23.537, atol=5e-4)


def test_the_profiled_deviance(page: Page) -> None:
    names = page.names
    ml, fit, best = names["ml"], names["fit"], names["best"]
    assert_allclose([names["deviance"], names["beta"][0]], [ml.deviance, 60.4], rtol=1e-8)
    for t in (0.0, 0.3, 2.0):
        assert_allclose(
            names["profiled"](names["model"], [t])[0], names["model"].criterion([t], reml=False), rtol=1e-10
        )
    for reml, at in ((False, ml), (True, fit)):
        curve = names["curves"][reml]
        assert -1e-9 < curve.min() - at.deviance < 1e-3
        assert abs(np.linspace(0, 3, 121)[curve.argmin()] - at.theta[0]) < 0.025
    page.says(f"ML has its minimum at θ = {ml.theta[0]:.3f}, REML at {fit.theta[0]:.3f}")
    page.says(f"the dot, at {best.theta[0]:.3f} and {best.theta[1]:.3f}")
    surface = names["surface"]
    assert surface.min() > -1e-9
    bottom, left = surface[0].min(), surface[:, 0].min()
    page.says(f"it is {bottom:.0f} or more above the minimum, on the left one, without intercepts, {left:.0f}")


def test_fill_in(page: Page) -> None:
    patterns = {name: (np.tril(A).sum(), L.sum()) for name, (A, L) in page.names["patterns"].items()}
    first, second = patterns.values()
    # A: 30 on the diagonal and 6 x 24; the fill of 24 plates, or of 6 samples, is all their pairs.
    assert first == (30 + 144, 30 + 144 + 24 * 23 // 2)
    assert second == (30 + 144, 30 + 144 + 6 * 5 // 2)
    page.says("gets 276 new entries (orange) beside the 174", "only the samples fill in: 15 new entries")
    entries = page.names["entries"].to_numpy()
    assert entries[0].tolist() == [30, 174, 450, 189, 189]
    assert entries[1, [0, 1, 3, 4]].tolist() == [40, 70, 70, 70]
    page.says(f"it makes {entries[2, 3]:,} entries where the search makes {entries[2, 4]:,}")
    page.says(f"the wrong order would make {entries[2, 2]:,}")
    survey = page.names["survey"]
    page.says(f"{len(survey):,} ratings of {survey['d'].nunique():,} lecturers by {survey['s'].nunique():,} students")
    # The plan that was timed is the one that fits: students stay diagonal, lecturers and departments are dense.
    plan, problem = page.names["plan"], page.names["problem"]
    assert (plan.chain, plan.trailing, plan.columns.m) == (problem.plan.chain, problem.plan.trailing, 1128 + 14)
    assert min(page.names[name] for name in ("reading", "symbolic", "numeric", "fitting")) > 0


def test_sleepstudy_by_maximum_likelihood(page: Page) -> None:
    names = page.names
    fit = names["sleep_fit"]
    # glmmTMB(Reaction ~ Days + (Days | Subject), sleepstudy): its parameters, and half of the deviance
    assert_allclose(fit.params, [251.40510, 10.46729], atol=6e-6)
    assert_allclose(np.log(names["sds"]), [3.16887, 1.74342, 3.24227], atol=2e-5)
    assert_allclose([names["t"], names["rho"]], [0.08159, 0.0813], atol=3e-5)
    assert_allclose(names["rho"], names["t"] / np.sqrt(1 + names["t"] ** 2), rtol=1e-12)
    assert_allclose(fit.deviance, 2 * 875.9697, atol=1e-4)
    page.says(f"here {names['t']:.4f}, so that ρ is {names['rho']:.4f}", f"2 × {fit.deviance / 2:.4f}")


def test_first_and_second_order_have_one_likelihood(page: Page) -> None:
    names = page.names
    llf = names["sleep_fit"].llf
    for other in (names["marginal"], names["by_subject"].sum(), names["laplace"]):
        assert_allclose(other, llf, atol=1e-8)
    assert_allclose(names["by_grid"], names["by_subject"][0], atol=1e-8)


def test_spherical(page: Page) -> None:
    names = page.names
    assert_allclose(names["product"], names["sleep_fit"].ranef()["Subject"], atol=1e-10)
    flat, dyes = names["flat"], names["dyes"]
    assert flat.theta == [0.0]
    assert not flat.u.any()
    y = dyes.endog
    # The REML criterion of a sample: -2 log of the restricted likelihood of mean and variance.
    nu, s2 = len(y) - 1, y.var(ddof=1)
    assert_allclose(dyes.criterion([0.0]), nu * (1 + np.log(2 * np.pi * s2)) + np.log(len(y)), rtol=1e-10)
    assert_allclose(flat.deviance, 161.8283, atol=5e-5)  # lmer(Yield ~ 1 + (1 | Batch), Dyestuff2)


def test_what_laplace_gets_wrong(page: Page) -> None:
    names = page.names
    # The grid and the sums of the package are the same integrals.
    assert_allclose(names["log_exact"].sum(), names["nail_fit"].llf, atol=1e-3)
    assert_allclose(names["at_laplace"].sum(), names["nail_laplace"].llf, atol=1e-6)
    errors = names["errors"]
    assert errors["patients"].to_dict() == {"always no": 163, "always yes": 16, "both answers": 115, "all": 294}
    by_quadrature, by_laplace = errors["at the estimates by quadrature"], errors["at the estimates by Laplace"]
    page.says(f"log-likelihood is too low by {-by_quadrature['all']:.1f}.")
    page.says(f"the 163 patients who always said no count for {by_laplace['always no']:.2f} too much")
    page.says(f"there the sum is too high by {by_laplace['all']:.1f}.")
    (_, _, left), (_, _, middle), (_, _, right) = names["panels"].values()
    assert abs(left) < 0.01
    assert abs(right) < 0.005
    page.says(f"for the one in the middle, {100 * (1 - np.exp(middle)):.0f} per cent of the area is missing")
    herds = names["herds"]
    first = herds[herds["herd"] == "1"]
    assert (first["incidence"].sum(), first["size"].sum(), len(first)) == (9, 40, 4)
    assert round(herds["size"].mean()) == 15


def test_the_methods_on_the_herds(page: Page) -> None:
    table = page.names["herd_table"]
    # glmer, cbpp, nAGQ = 1, 9, 25 of lme4 1.1-31
    assert_allclose(table.loc[["Laplace", "9 points", "25 points"], "SD"], [0.642261, 0.647518, 0.647519], atol=6e-5)
    assert_allclose(table.loc[["Laplace", "25 points"], "intercept"], [-1.398532, -1.399230], atol=6e-5)
    sd = table["SD"]
    error = page.names["herd_fit"].bse_theta[0]
    page.says(f"moves from {sd['Laplace']:.4f} to {sd['25 points']:.4f}, when its standard error is {error:.2f}")
    page.says(f"Even PQL is near, with {sd['PQL']:.4f}.")
    assert table["log-lik."].isna().to_list() == [True, False, False, False, False]


def test_the_methods_on_the_trial(page: Page) -> None:
    table = page.names["nail_table"]
    for method, theta in GLMER_TOENAIL.items():
        assert_allclose(table.loc[method, "SD"], theta, atol=6e-5)
    # logLik of the same fits
    assert_allclose(
        table.loc[["Laplace", "25 points", "50 points"], "log-lik."], [-627.8089, -625.4159, -625.3973], atol=6e-4
    )
    many, pql, laplace = table.loc["100 points"], table.loc["PQL"], table.loc["Laplace"]
    page.says(f"is {many['SD']:.3f} on the logit scale and the log-likelihood −{-many['log-lik.']:.2f}")
    page.says(f"PQL says {pql['SD']:.3f}, about half", f"Laplace says {laplace['SD']:.3f}, a seventh too much")
    assert_allclose(pql["SD"] / many["SD"], 0.5, atol=0.05)
    assert_allclose(laplace["SD"] / many["SD"], 1 + 1 / 7, atol=0.005)
    for slope in ("time", "drug × time"):
        assert 0.27 < 1 - pql[slope] / many[slope] < 0.33
    page.says(f"an intercept that is {many['intercept'] - laplace['intercept']:.1f} too low")
    assert abs(table.loc["5 points", "log-lik."] - many["log-lik."]) > abs(laplace["log-lik."] - many["log-lik."])
    assert_allclose(table.loc["25 points":"100 points", "SD"], many["SD"], atol=0.01)
    assert table["eval."].idxmax() == "PQL"
    assert page.names["herd_table"]["eval."].idxmax() == "PQL"
    assert (table["ms"] > 0).all()


def test_the_size_of_the_clusters(page: Page) -> None:
    table = page.names["by_size"]
    for (visits, method), theta in GLMER_VISITS.items():
        # Where the likelihood is flat lme4's optimizer stops before the top: its SD is good to three digits.
        assert_allclose(table.loc[visits, method], theta, rtol=3e-4)
    ratio = table["Laplace / 100 points"]
    assert_allclose(
        ratio[["1, 7", "1, 3, 5, 7", "first 3", "first 5", "all 7"]], [2 / 3, 1, 2.1, 2.1, 8 / 7], atol=0.04
    )
    assert (table.loc[["first 3", "first 5"], "100 points"] > 5).all()
    of_pql = table["PQL"] / table["100 points"]
    assert_allclose(of_pql[["1, 7", "1, 4, 7", "1, 3, 5, 7"]], 0.5, atol=0.04)
    assert (of_pql[["first 2", "first 3", "first 5"]] < 0.42).all()
    two = table.loc["first 2"]
    page.says(f"{two['25 points']:.0f} with 25 points, {two['100 points']:.0f} with 100")
    nails = page.names["nails"]
    both = (
        nails[nails["visit"] <= 2]
        .pivot_table(index="patientID", columns="visit", values="time", observed=True)
        .dropna()
    )
    answers = nails[nails["visit"] <= 2].pivot(index="patientID", columns="visit", values="outcome").loc[both.index]
    page.says(f"Of the {len(both)} patients with both visits, {100 * (answers[1] == answers[2]).mean():.0f} per cent")


def test_the_rest_of_the_prose(page: Page) -> None:
    nails = page.names["nails"]
    page.says(f"{nails['patientID'].nunique()} patients under two drugs were seen up to seven times")
    assert nails["visit"].max() == 7
    page.says("[Binary data in small clusters](binary_data.md)")
    for heading in ("## What to remember", "## Sources"):
        assert heading in page.text
