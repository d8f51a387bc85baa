"""Fits with residual= and dispersion= against nlme and published degrees of freedom, and what results make of them."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import ComparisonError, FitError
from mixfit.lmm.residual import forms
from mixfit.lmm.residual.series import SeriesForm
from tests.residual_cases import dense_covariance

if TYPE_CHECKING:
    from mixfit.results import LinearResults

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "residual.json").read_text())

# Satterthwaite's degrees of freedom, and Kenward and Roger's standard errors, with the observed Hessian of variance
# parameters, of three terms of bdi ~ bdi_pre + treatment * C(visit) on beat_the_blues; the method agrees with SAS PROC
# MIXED on data that mmrm's authors published.
DEGREES = {
    "us": {
        "bdi_pre": (96.047259, 0.077475),
        "treatment[T.BtheB]": (94.24976, 1.70562),
        "treatment[T.BtheB]:C(visit)[T.4]": (59.288917, 1.899474),
    },
    "ar1": {
        "bdi_pre": (103.22343, 0.073385),
        "treatment[T.BtheB]": (158.26307, 1.800393),
        "treatment[T.BtheB]:C(visit)[T.2]": (187.140352, 1.590604),
    },
}

# Kenward and Roger's standard errors with second derivatives of V, and their degrees of freedom and standard errors by
# the expected information, of the same source.
VARIANTS = {
    "bdi_pre": (0.073245, 100.51327, 0.073388),
    "treatment[T.BtheB]": (1.800383, 155.446698, 1.800393),
    "treatment[T.BtheB]:C(visit)[T.2]": (1.598056, 184.65179, 1.590653),
}


def teeth(residual: str | None = "us(age | Subject)", dispersion: str | None = None, **options: Any) -> LinearResults:
    data = mixfit.datasets.load("orthodont")
    model = mixfit.mixed("distance ~ age * Sex", data, residual=residual, dispersion=dispersion)
    return model.fit(**{"reml": True, **options})


def blues(residual: str, formula: str = "bdi ~ bdi_pre + treatment * C(visit)") -> LinearResults:
    return mixfit.mixed(formula, mixfit.datasets.load("beat_the_blues"), residual=residual).fit()


@pytest.mark.parametrize("ref", REFERENCE, ids=[ref["name"] for ref in REFERENCE])
def test_fits_are_those_of_nlme(ref: dict[str, Any]) -> None:
    data = mixfit.datasets.load(ref["data"])
    model = mixfit.mixed(ref["formula"], data, residual=ref["residual"], dispersion=ref["dispersion"])
    fit = model.fit(reml=ref["method"] == "REML")
    assert fit.converged
    assert fit.llf == pytest.approx(ref["loglik"], abs=2e-6)
    assert fit.npar == ref["df"]
    assert fit.sigma == pytest.approx(ref["sigma"], rel=2e-4)
    assert_allclose(fit.params, ref["fixed"], atol=2e-4 * np.max(ref["se"]))
    assert_allclose(fit.bse, ref["se"], rtol=5e-4)


def test_parameters_are_nlmes_correlations_and_ratios_of_standard_deviations() -> None:
    ref = next(r for r in REFERENCE if r["name"] == "unstructured, visits missing")
    values = blues("us(visit | subject)").varcorr().residual[0].values
    assert_allclose(values[4:], ref["parameters"][:6], atol=2e-4)
    assert_allclose(values[1:4] / values[0], ref["parameters"][6:], rtol=2e-4)


def test_log_standard_deviations_of_strata_are_the_logarithms_of_nlmes_ratios() -> None:
    ref = next(r for r in REFERENCE if r["name"] == "autoregression in strata")
    correlation, ratio = ref["parameters"]
    varcorr = teeth("ar1(age | Subject)", "~ Sex", reml=False).varcorr()
    assert varcorr.log_sd[0][0] == "Sex[T.Female]"
    assert np.exp(varcorr.log_sd[0][1]) == pytest.approx(ratio, rel=2e-4)
    assert varcorr.residual[0].values[1] == pytest.approx(correlation, abs=2e-4)


@pytest.mark.parametrize("name", DEGREES)
def test_degrees_of_freedom_are_those_of_the_observed_hessian(name: str) -> None:
    fit = blues(f"{name}(visit | subject)")
    satterthwaite = fit.summary(ddf="satterthwaite").coefficients
    kenward_roger = fit.summary(ddf="kenward-roger").coefficients
    for term, (df, error) in DEGREES[name].items():
        assert satterthwaite.loc[term, "df"] == pytest.approx(df, rel=2e-5)
        assert kenward_roger.loc[term, "df"] == pytest.approx(df, rel=2e-5)
        assert kenward_roger.loc[term, "Std. Error"] == pytest.approx(error, rel=1e-5)


def test_variants_of_kenward_and_rogers_method_are_asked_for_by_name() -> None:
    fit = blues("ar1(visit | subject)")
    second = fit.summary(ddf="kenward-roger-second-order").coefficients
    expected = fit.summary(ddf="kenward-roger-expected").coefficients
    observed = fit.summary(ddf="kenward-roger-observed").coefficients
    assert_allclose(observed, fit.summary(ddf="kenward-roger").coefficients)
    for term, (bent, df, error) in VARIANTS.items():
        assert second.loc[term, "df"] == pytest.approx(DEGREES["ar1"][term][0], rel=2e-5)
        assert second.loc[term, "Std. Error"] == pytest.approx(bent, rel=1e-5)
        assert expected.loc[term, "df"] == pytest.approx(df, rel=2e-5)
        assert expected.loc[term, "Std. Error"] == pytest.approx(error, rel=1e-5)


def test_the_expected_information_beside_random_effects_is_refused() -> None:
    fit = mixfit.mixed(
        "distance ~ age + (1 | Subject)", mixfit.datasets.load("orthodont"), residual="ar1(age | Subject)"
    ).fit()
    with pytest.raises(FitError, match="ddf='kenward-roger'"):
        fit.ttest(ddf="kenward-roger-expected")


def test_a_structured_term_may_carry_all_the_variance() -> None:
    data = mixfit.datasets.load("orthodont").assign(visit=lambda d: d["age"].astype(str))
    inside = mixfit.mixed("distance ~ age + homcs(0 + visit | Subject)", data, residual="none").fit(reml=False)
    beside = mixfit.mixed("distance ~ age", data, residual="homcs(age | Subject)").fit(reml=False)
    assert inside.llf == pytest.approx(beside.llf, abs=1e-8)
    assert inside.ranef() == {}


def test_compound_symmetry_is_a_random_intercept() -> None:
    """Where the correlation is positive the two models are one."""
    data = mixfit.datasets.load("orthodont")
    nested = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", data).fit()
    fit = teeth("homcs(age | Subject)")
    assert fit.llf == pytest.approx(nested.llf, abs=1e-7)
    sd, residual = nested.varcorr().components[0].sd[0], nested.sigma
    assert fit.sigma == pytest.approx(np.hypot(sd, residual), rel=1e-4)
    assert_allclose(fit.bse, nested.bse, rtol=1e-4)


def test_parameters_of_each_arm_are_those_of_two_fits() -> None:
    data = mixfit.datasets.load("orthodont")
    both = mixfit.mixed("distance ~ Sex * age", data, residual="ar1(age | Subject), by=Sex").fit(reml=False)
    apart = [
        mixfit.mixed("distance ~ age", data[data["Sex"] == sex], residual="ar1(age | Subject)").fit(reml=False)
        for sex in ("Male", "Female")
    ]
    assert both.llf == pytest.approx(sum(fit.llf for fit in apart), abs=1e-7)
    assert [part.group for part in both.varcorr().residual] == ["Residual Sex=Male", "Residual Sex=Female"]
    for part, fit in zip(both.varcorr().residual, apart, strict=True):
        assert_allclose(part.values, fit.varcorr().residual[0].values, rtol=1e-4)


def test_what_a_fit_prints_of_its_residuals() -> None:
    assert str(teeth("us(age | Subject)").varcorr()) == (
        " Groups   Name    Std.Dev. Corr\n"
        " Residual age[8]  2.3292\n"
        "          age[10] 2.0471   0.568\n"
        "          age[12] 2.5026   0.659 0.581\n"
        "          age[14] 2.2330   0.522 0.725 0.740"
    )
    assert str(teeth("ar1(age | Subject)", "~ Sex").varcorr()).splitlines()[1:] == [
        " Residual age[8] .. age[14]     3.0828   0.747 (ar1)",
        "          Sex[T.Female], log sd          -0.571",
    ]


def test_the_frame_has_a_row_a_parameter() -> None:
    frame = teeth("ar1(age | Subject)", "~ Sex").varcorr().to_frame()
    assert frame["grp"].tolist() == ["Residual"] * 3
    assert frame["var2"].tolist() == [None, "cor", "log sd"]
    assert teeth().varcorr()["Residual"].shape == (4, 4)


def test_simulated_responses_have_the_covariance_of_the_fit() -> None:
    fit = teeth("us(age | Subject)")
    noise = fit.simulate(4000, seed=1).sub(fit.predict(re_form="population"), axis=0).to_numpy()
    own = fit.model.residual.block == 0
    place = fit.model.residual.place[own]
    vcov = fit.varcorr().residual[0].vcov[np.ix_(place, place)]
    assert_allclose(np.cov(noise[own]), vcov, atol=0.1 * vcov.max())


def test_normalized_residuals_are_independent() -> None:
    fit = teeth("us(age | Subject)", reml=False)
    normalized = fit.residuals("normalized").to_numpy()
    assert (normalized**2).mean() == pytest.approx(1.0, abs=1e-6)
    whitened = fit.model.stage.whiten(fit.resid.to_numpy()[None], fit.estimate.psi)[0] / fit.sigma
    assert_allclose(normalized, whitened)
    scaled = fit.resid / np.sqrt(np.diagonal(fit.varcorr().residual[0].vcov))[fit.model.residual.place]
    assert_allclose(fit.residuals("scaled"), scaled, rtol=1e-10)


def test_random_effects_are_their_conditional_means() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", data, residual="ar1(Days | Subject)").fit()
    model, estimate = fit.model, fit.estimate
    known = model.variance_information(estimate)
    v = fit.sigma**2 * dense_covariance(model, known.derivatives.at.place)
    cov = fit.sigma**2 * estimate.templates[0] @ estimate.templates[0].T
    rest = np.linalg.solve(v, model.design.y - model.exog @ estimate.beta)
    term = model.design.random[0]
    scores = np.array([term.Z[term.grouping.codes == j].T @ rest[term.grouping.codes == j] for j in range(18)])
    assert_allclose(fit.ranef()["Subject"], scores @ cov, rtol=1e-6, atol=1e-8)
    assert_allclose(fit.fittedvalues + fit.resid, data["Reaction"])


def test_a_refit_to_the_same_response_is_the_fit() -> None:
    fit = teeth()
    assert fit.refit(fit.model.endog).llf == pytest.approx(fit.llf, abs=1e-9)


def test_a_pickled_fit_predicts_and_tests() -> None:
    data = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", data, residual="ar1(Days | Subject)").fit()
    again = pickle.loads(pickle.dumps(fit))
    assert_allclose(again.predict(data.head(3), se=True), fit.predict(data.head(3), se=True))
    assert_allclose(again.ttest().frame, fit.ttest().frame)


def test_the_rows_left_out_are_those_that_miss_a_place_or_a_stratum() -> None:
    data = mixfit.datasets.load("orthodont")
    data["age"] = data["age"].astype(float)
    data.loc[3, "age"] = np.nan
    data.loc[7, "Sex"] = np.nan
    fit = mixfit.mixed("distance ~ 1", data, residual="ar1(age | Subject)", dispersion="~ Sex").fit()
    assert fit.nobs == 106
    assert fit.converged


def test_wald_intervals_of_variance_parameters() -> None:
    """Of balanced data in one stratum: log s of n rows has the standard error 1 / sqrt(2 n) by maximum likelihood."""
    fit = teeth(None, "~ Sex", reml=False)
    interval = fit.conf_int(which="log sd(Sex[T.Female]|Residual)").to_numpy()[0]
    expected = 2.0 * 1.959964 * np.sqrt(1.0 / (2 * 64) + 1.0 / (2 * 44))
    assert interval[1] - interval[0] == pytest.approx(expected, rel=1e-5)


def test_wald_intervals_name_every_parameter() -> None:
    names = fit_names = teeth("us(age | Subject)").conf_int(which="random")
    assert names.notna().all(axis=None)
    assert fit_names.index[:2].tolist() == ["sd(age[8]|Residual)", "sd(age[10]|Residual)"]
    assert len(names) == 10


def test_the_bootstrap_refits_residuals_too() -> None:
    boot = teeth("ar1(age | Subject)").bootstrap(n=4, seed=1)
    assert boot.conf_int().shape == (6, 2)


def test_new_observations_of_one_variance_have_intervals() -> None:
    data = mixfit.datasets.load("orthodont")
    frame = teeth("ar1(age | Subject)").get_prediction(data.head(2)).summary_frame()
    own = teeth("ar1(age | Subject)").get_prediction().summary_frame().head(2)
    assert_allclose(frame, own)
    with pytest.raises(FitError, match="residual variance of the new rows"):
        teeth("us(age | Subject)").get_prediction(data.head(2))


@pytest.mark.parametrize("method", ["hatvalues", "cooks_distance"])
def test_what_takes_residuals_as_independent_says_so(method: str) -> None:
    with pytest.raises(FitError, match="residual="):
        getattr(teeth(), method)()


@pytest.mark.parametrize("random", ["", " + (1 | Subject)"])
def test_terms_left_out_are_fits_by_maximum_likelihood_without_them(random: str) -> None:
    data = mixfit.datasets.load("orthodont")
    fits = [
        mixfit.mixed(f"distance ~ {fixed}{random}", data, residual="ar1(age | Subject)", dispersion="~ Sex").fit(
            reml=False
        )
        for fixed in ("age + Sex", "Sex", "age")
    ]
    for reml in (False, True):
        table = fits[0].model.fit(reml=reml).drop1()
        assert table.frame.index.tolist() == ["<none>", "age", "Sex"]
        assert_allclose(table.frame["AIC"], [fit.aic for fit in fits], atol=1e-7)
        assert_allclose(table.frame["LRT"].iloc[1:], [2.0 * (fits[0].llf - fit.llf) for fit in fits[1:]], atol=1e-7)
    tests = fits[0].anova(ddf="satterthwaite").frame
    assert_allclose(fits[0].drop1(test="F").frame["F value"], tests["F value"], rtol=1e-8)


def test_profiles_of_compound_symmetry_are_those_of_a_random_intercept() -> None:
    data = mixfit.datasets.load("orthodont")
    nested = mixfit.mixed("distance ~ age + (1 | Subject)", data).fit().conf_int(method="profile")
    fit = mixfit.mixed("distance ~ age", data, residual="homcs(age | Subject)").fit()
    limits = fit.conf_int(method="profile")
    assert limits.index.tolist() == ["sd(homcs|Residual)", "cor(homcs|Residual)", "Intercept", "age"]
    assert_allclose(limits.loc[["Intercept", "age"]], nested.loc[["Intercept", "age"]], rtol=1e-4)


def test_profiles_do_not_depend_on_how_a_correlation_is_written() -> None:
    steps, free = teeth("ar1(age | Subject)").profile(), teeth("car1(age | Subject)").profile()
    ends, rates = steps.conf_int(), free.conf_int()
    assert_allclose(np.exp(-2.0 * rates.loc["rate(ou|Residual)"][::-1]), ends.loc["cor(ar1|Residual)"], rtol=1e-3)
    assert_allclose(rates.iloc[2:], ends.iloc[2:], rtol=1e-3)
    assert_allclose(rates.iloc[0], ends.iloc[0], rtol=1e-3)


def test_ends_of_profiles_lose_what_a_chi_square_has() -> None:
    """By fits that hold the effect, as an offset."""
    data = mixfit.datasets.load("orthodont")
    options = {"residual": "us(age | Subject)", "dispersion": "~ Sex"}
    fit = mixfit.mixed("distance ~ age + Sex", data, **options).fit(reml=False)
    for end in fit.conf_int(which="age", method="profile").loc["age"]:
        held = mixfit.mixed("distance ~ Sex + offset(b)", data.assign(b=end * data["age"]), **options).fit(reml=False)
        assert 2.0 * (fit.llf - held.llf) == pytest.approx(3.841459, abs=5e-3)


def test_profiles_of_log_standard_deviations_of_strata() -> None:
    """Of two samples with means of their own the likelihood factors: by the closed form of each stratum."""
    data = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ Sex", data, dispersion="~ Sex").fit(reml=False)
    low, high = fit.conf_int(which="log sd(Sex[T.Female]|Residual)", method="profile").to_numpy()[0]
    groups = [data.loc[data["Sex"] == sex, "distance"] for sex in ("Male", "Female")]
    n, v = np.array([len(y) for y in groups]), np.array([y.var(ddof=0) for y in groups])
    for gamma in (low, high):
        share = v * np.exp(-2.0 * np.array([0.0, gamma]))
        sigma2 = (n @ share) / n.sum()
        lost = n.sum() * np.log(sigma2) + 2.0 * n[1] * gamma - n @ np.log(v)
        assert lost == pytest.approx(3.841459, abs=5e-3)


def test_shares_of_variance_take_the_mean_over_the_rows() -> None:
    data = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age + (1 | Subject)", data, dispersion="~ Sex").fit()
    male, female = fit.sigma**2, fit.sigma**2 * np.exp(2.0 * fit.varcorr().log_sd[0][1])
    residual, between = (64 * male + 44 * female) / 108, fit.varcorr().components[0].vcov[0, 0]
    assert fit.icc().adjusted == pytest.approx(between / (between + residual))
    with pytest.raises(FitError, match="no single correlation"):
        teeth().icc()


@pytest.mark.parametrize("figure", ["caterpillar", "shrinkage", "qq_ranef"])
def test_figures_of_random_effects_need_some(figure: str) -> None:
    with pytest.raises(FitError, match="no random effects to draw"):
        getattr(teeth().plot, figure)()


def test_figures_of_residuals_need_no_random_effects() -> None:
    assert teeth().plot.residuals_fitted().get_xlabel()
    assert teeth().plot.qq_residuals(kind="scaled").get_ylabel()


def test_tables_of_random_effects_need_some() -> None:
    with pytest.raises(FitError, match="no random effects"):
        teeth().tidy("ran_vals")
    assert len(teeth().tidy("ran_pars")) == 10


def test_nested_residuals_are_compared_and_others_refused() -> None:
    data = mixfit.datasets.load("orthodont")
    first, second, third = teeth("ar1(age | Subject)"), teeth("us(age | Subject)"), teeth("homcs(age | Subject)")
    table = mixfit.anova(first, second)
    assert table.frame["Df"].iloc[1] == 8
    assert table.frame["Chisq"].iloc[1] == pytest.approx(
        2.0 * (teeth("us(age | Subject)", reml=False).llf - teeth("ar1(age | Subject)", reml=False).llf), abs=1e-6
    )
    with pytest.raises(ComparisonError, match="not known to be nested"):
        mixfit.anova(teeth("ar1(age | Subject)"), teeth("ar1(age | Subject)", "~ Sex"), third)
    plain = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", data)
    strata = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", data, dispersion="~ Sex")
    assert mixfit.anova(plain.fit(), strata.fit()).frame["Df"].iloc[1] == 1


def test_irregular_times_take_no_matrix_of_all_times() -> None:
    """By the limit of a power of equal steps."""
    data = mixfit.datasets.load("orthodont")
    free = teeth("car1(age | Subject)")
    steps = teeth("ar1(age | Subject)")
    assert free.llf == pytest.approx(steps.llf, abs=1e-7)
    rate, rho = free.varcorr().residual[0].values[1], steps.varcorr().residual[0].values[1]
    assert np.exp(-2.0 * rate) == pytest.approx(rho, rel=1e-4)
    assert_allclose(free.varcorr()["Residual"], steps.varcorr()["Residual"], rtol=1e-3)
    jittered = data.assign(age=data["age"] + 1e-6 * np.arange(len(data)))
    again = mixfit.mixed("distance ~ age * Sex", jittered, residual="car1(age | Subject)").fit()
    assert len(again.model.residual.columns) == len(data)
    assert again.llf == pytest.approx(free.llf, abs=1e-3)


def test_long_irregular_series_go_through_time_and_give_the_same_fit() -> None:
    rng = np.random.default_rng(2)
    n, m = 60, 15
    t = rng.uniform(0.0, 20.0, (n, m))
    root = np.linalg.cholesky(np.exp(-0.4 * np.abs(t[:, :, None] - t[:, None])) + 0.25 * np.eye(m))
    y = 1.0 + 0.1 * t + np.einsum("gab,gb->ga", root, rng.normal(size=(n, m)))
    data = pd.DataFrame(
        {"g": np.repeat(np.arange(n), m), "t": t.ravel(), "x": rng.normal(size=n * m), "y": y.ravel()}
    ).sample(frac=1.0, random_state=0)
    model = mixfit.mixed("y ~ t + x", data, residual="ou(t | g, nugget)")
    with mock.patch.object(forms, "_are_irregular", return_value=False):
        dense = mixfit.mixed("y ~ t + x", data, residual="ou(t | g, nugget)").fit()
    assert isinstance(model.form, SeriesForm)
    fit = model.fit()
    assert fit.llf == pytest.approx(dense.llf, abs=1e-8)
    assert_allclose(fit.params, dense.params, rtol=1e-6)
    assert_allclose(fit.varcorr().residual[0].values, dense.varcorr().residual[0].values, rtol=1e-4)
    assert_allclose(fit.residuals("normalized"), dense.residuals("normalized"), atol=1e-4)
    assert fit.simulate(2, seed=1).shape == (n * m, 2)
    assert_allclose(fit.ttest(ddf="satterthwaite").frame["df"], dense.ttest(ddf="satterthwaite").frame["df"], rtol=1e-3)


def test_prior_weights_divide_the_residual_variance() -> None:
    data = mixfit.datasets.load("orthodont").assign(w=4.0)
    fit = mixfit.mixed("distance ~ age", data, weights="w", residual="ar1(age | Subject)").fit()
    plain = mixfit.mixed("distance ~ age", data, residual="ar1(age | Subject)").fit()
    assert fit.sigma == pytest.approx(2.0 * plain.sigma, rel=1e-6)
    assert fit.llf == pytest.approx(plain.llf, abs=1e-8)
    assert_allclose(fit.bse, plain.bse, rtol=1e-6)


def test_means_and_contrasts_of_visits() -> None:
    fit = blues("us(visit | subject)")
    means = fit.emmeans("treatment", by="visit").to_frame()
    assert isinstance(means, pd.DataFrame)
    assert len(means) == 8
    assert means["df"].between(50, 120).all()


def test_intervals_say_nothing_of_a_nugget_of_zero_and_do_not_warn() -> None:
    rng = np.random.default_rng(1)
    steps = rng.normal(size=(30, 8))
    steps[:, 1:] *= 0.8
    for j in range(1, 8):
        steps[:, j] += 0.6 * steps[:, j - 1]
    t, who = np.tile(np.arange(8.0), 30), np.repeat(np.arange(30), 8)
    d = pd.DataFrame({"t": t, "who": who, "y": steps.ravel() + rng.normal(size=30)[who] + 0.1 * t})
    fit = mixfit.mixed("y ~ t + (1 | who)", d, residual="ou(t | who, nugget)").fit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        limits = fit.conf_int(which="random")
    assert limits.isna().all(axis=1).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("formula", "row", "smaller"),
    [
        ("distance ~ age * Sex + (1 | Subject)", "(1 | Subject)", "distance ~ age * Sex"),
        ("distance ~ age * Sex + (age | Subject)", "age in (age | Subject)", "distance ~ age * Sex + (1 | Subject)"),
        (
            "distance ~ age * Sex + (age || Subject)",
            "age in (0 + age | Subject)",
            "distance ~ age * Sex + (1 | Subject)",
        ),
    ],
)
@pytest.mark.parametrize("residual", ["ar1(age | Subject)", "car1(age | Subject)"])
def test_ranova_has_the_fits_without_each_random_term(formula: str, row: str, smaller: str, residual: str) -> None:
    data = mixfit.datasets.load("orthodont")
    table = mixfit.mixed(formula, data, residual=residual, dispersion="~ Sex").fit(reml=True).ranova().frame
    alone = mixfit.mixed(smaller, data, residual=residual, dispersion="~ Sex").fit(reml=True)
    assert table.loc[row, "logLik"] == pytest.approx(alone.llf, abs=1e-6)
    assert table.loc[row, "npar"] == alone.npar


def test_step_keeps_the_covariance_of_the_residuals() -> None:
    data = mixfit.datasets.load("orthodont")
    found = mixfit.mixed("distance ~ age * Sex", data, residual="ar1(age | Subject)").fit().step()
    assert found.random is None
    wanted = mixfit.mixed("distance ~ age + Sex", data, residual="ar1(age | Subject)").fit()
    assert found.fit.llf == pytest.approx(wanted.llf, abs=1e-8)
    both = mixfit.mixed("distance ~ age + Sex + (1 | Subject)", data, residual="ar1(age | Subject)").fit().step()
    assert both.fit.model.residual.text == "ar1(0 + age | Subject)"
