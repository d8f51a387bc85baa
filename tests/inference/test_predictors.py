"""Coefficients, intervals, means and tests of predictors after the mean's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError
from tests.glmm.test_glmm_several import data


@pytest.fixture(scope="module")
def hurdle():
    d = data("truncated_poisson", each=14)
    whole = mixfit.mixed("y ~ x + (1 | g)", d, family="truncated_poisson", zi="~ h * x + (1 | g)").fit()
    zeros = mixfit.mixed("zero ~ h * x + (1 | g)", d.assign(zero=(d.y == 0) * 1), family="binomial").fit()
    return whole, zeros


def test_a_hurdles_zeros_are_a_binomial_model(hurdle) -> None:
    whole, zeros = hurdle
    assert_allclose(whole.conf_int(predictor="zi"), zeros.conf_int(), atol=2e-3)
    assert_allclose(whole.conf_int(predictor="zi", which="x"), zeros.conf_int().loc[["x"]], atol=2e-3)
    assert_allclose(whole.ranef(predictor="zi")["g"], zeros.ranef()["g"], atol=1e-3)
    assert_allclose(whole.ranef(predictor="zi", condsd=True)["g"], zeros.ranef(condsd=True)["g"], atol=1e-3)
    assert_allclose(whole.anova(predictor="zi").frame, zeros.anova().frame, rtol=1e-2, atol=1e-3)
    assert_allclose(whole.anova(2, predictor="zi").frame, zeros.anova(2).frame, rtol=1e-2, atol=1e-3)
    assert_allclose(whole.ttest(predictor="zi").frame, zeros.ttest().frame, rtol=1e-2, atol=1e-3)
    contrast = {"x": 1.0, "h[T.b]": -1.0}
    assert_allclose(whole.contest(contrast, predictor="zi").frame, zeros.contest(contrast).frame, rtol=1e-2)


@pytest.mark.parametrize("kind", ["link", "response"])
def test_means_of_zeros(hurdle, kind: str) -> None:
    whole, zeros = hurdle
    ours, theirs = (f.emmeans("h", type=kind, **o) for f, o in ((whole, {"predictor": "zi"}), (zeros, {})))
    assert ours.frame.columns.tolist() == theirs.frame.columns.tolist()
    assert_allclose(ours.frame.iloc[:, 1:].astype(float), theirs.frame.iloc[:, 1:].astype(float), atol=3e-3)
    assert_allclose(ours.pairs()["p.value"], theirs.pairs()["p.value"], atol=2e-3)


@pytest.mark.parametrize("formula", ["~ Sex", "~ 0 + Sex"])
def test_dispersions_of_strata(formula: str) -> None:
    """Of balanced data the strata's log standard deviations are those of their own fits, with errors 1 / sqrt(2 n)."""
    teeth = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age * Sex", teeth, dispersion=formula).fit()
    parts = [teeth[teeth.Sex == sex] for sex in ("Male", "Female")]
    rest = [part.distance - np.polyval(np.polyfit(part.age, part.distance, 1), part.age) for part in parts]
    own = [0.5 * np.log(np.mean(r**2)) for r in rest]
    means = fit.emmeans("Sex", predictor="dispersion").frame
    assert_allclose(means["emmean"].astype(float), own, atol=1e-6)
    assert_allclose(means["SE"].astype(float), 1.0 / np.sqrt([2.0 * 64, 2.0 * 44]), rtol=1e-5)
    assert not fit.reml
    assert "Dispersion model:" in str(fit.summary())


def test_a_model_with_a_dispersion_formula_is_by_maximum_likelihood_unless_reml_is_asked_for() -> None:
    teeth = mixfit.datasets.load("orthodont")
    model = mixfit.mixed("distance ~ age + (1 | Subject)", teeth, dispersion="~ Sex")
    assert [model.fit().reml, model.fit(reml=True).reml] == [False, True]
    assert mixfit.mixed("distance ~ age", teeth, residual="ar1(age | Subject)").fit().reml


def test_dispersions_beside_correlated_residuals() -> None:
    teeth = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age * Sex", teeth, residual="us(age | Subject)", dispersion="~ Sex").fit()
    first = fit.varcorr().residual[0].values[0]
    assert_allclose(fit.params_of("dispersion")["Intercept"], np.log(first), atol=1e-9)
    assert_allclose(fit.conf_int(predictor="dispersion").iloc[1], fit.conf_int(which="random").iloc[-1], atol=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f.params_of("dispersion"), "has the predictors mean, zi, and none called 'dispersion'"),
        (lambda f: f.ranef(predictor="dispersion"), "random effects of mean, zi, and none of 'dispersion'"),
        (lambda f: f.conf_int(predictor="zi", method="exact"), "generalized models profile and bootstrap ones, not"),
        (lambda f: f.conf_int(predictor="zi", which="y"), "'y' is no fixed effect of zi"),
        (lambda f: f.emmeans("z", predictor="zi"), "'z' is no variable of the fixed effects"),
    ],
)
def test_what_a_predictor_does_not_have_is_refused(hurdle, call, message: str) -> None:
    with pytest.raises(FitError, match=message):
        call(hurdle[0])


def test_means_of_a_predictor_computed_from_whole_columns_are_refused() -> None:
    d = data("poisson", each=14)
    fit = mixfit.mixed("y ~ h + (1 | g)", d, family="poisson", zi="~ h + I(x - x.mean())").fit()
    assert fit.emmeans("h").frame.shape[0] == 2
    with pytest.raises(DataError, match="computed from whole columns"):
        fit.emmeans("h", predictor="zi")


@pytest.mark.parametrize("predictor", ["mean", "zi"])
def test_deletions_of_a_hurdle_are_those_of_its_parts(predictor: str) -> None:
    d = data("truncated_poisson", each=14)
    whole = mixfit.mixed("y ~ x + h + (1 | g)", d, family="truncated_poisson", zi="~ h + x").fit()
    own = mixfit.mixed("y ~ x + h + (1 | g)", d[d.y > 0], family="truncated_poisson").fit()
    table = whole.drop1(predictor=predictor).frame
    if predictor == "mean":
        assert_allclose(table.iloc[1:][["npar", "LRT"]], own.drop1().frame.iloc[1:][["npar", "LRT"]], atol=1e-4)
    else:
        smaller = mixfit.mixed("y ~ x + h + (1 | g)", d, family="truncated_poisson", zi="~ h").fit()
        assert_allclose(table.loc["x", "LRT"], 2.0 * (whole.llf - smaller.llf), atol=1e-5)
        assert_allclose(table["AIC"].to_numpy()[[0, 2]], [whole.aic, smaller.aic], atol=1e-5)


def test_deletions_of_a_dispersion() -> None:
    d = data("nbinom2", each=14)
    whole = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2", dispersion="~ h").fit()
    smaller = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2").fit()
    table = whole.drop1(predictor="dispersion").frame
    assert_allclose(table.loc["h", "LRT"], 2.0 * (whole.llf - smaller.llf), atol=1e-5)
    assert table.loc["h", "npar"] == 1


def test_random_effects_of_zeros_are_those_of_a_binomial_model(hurdle) -> None:
    whole, zeros = hurdle
    assert_allclose(whole.varcorr("zi").to_frame()["sdcor"], zeros.varcorr().to_frame()["sdcor"], rtol=1e-2)
    with pytest.raises(FitError, match="none called 'dispersion'"):
        whole.varcorr("dispersion")


def test_a_bootstrap_has_the_parameters_of_all_predictors(hurdle) -> None:
    whole, _ = hurdle
    drawn = whole.bootstrap(n=3, seed=1, progress=False)
    names = [f"zi:{name}" for name in whole.params_of("zi").index]
    assert drawn.estimates.index.is_unique
    assert {*names, "zi:sd((Intercept)|g)"} <= set(drawn.replicates.columns)
    assert_allclose(drawn.estimates[names], whole.params_of("zi"))
    again = whole.refit(whole.simulate(3, seed=np.random.default_rng(1))["sim_1"])
    assert_allclose(drawn.replicates.loc[0, names], again.params_of("zi"), rtol=1e-6)
    limits = whole.conf_int(predictor="zi", method="bootstrap", n=3, seed=1, progress=False)
    assert_allclose(limits, drawn.conf_int().loc[names])


def test_a_bootstrap_has_the_shapes_of_a_distribution() -> None:
    rng = np.random.default_rng(4)
    g, x = np.repeat(np.arange(20), 10), rng.normal(size=200)
    y = x + rng.normal(size=20)[g] + rng.standard_t(4, 200)
    fit = mixfit.mixed("y ~ x + (1 | g)", {"y": y, "x": x, "g": g}, family="t").fit()
    drawn = fit.bootstrap(n=2, seed=1, progress=False)
    assert_allclose(drawn.estimates["df"], fit.family.shape_values["df"])
    assert np.isfinite(drawn.replicates["df"]).all()


def test_random_effects_shared_with_the_mean_are_among_its_own() -> None:
    rows = data("truncated_poisson", each=14)
    fit = mixfit.mixed("y ~ x + (1 | a | g)", rows, family="truncated_poisson", zi="~ x + (1 | a | g)").fit()
    with pytest.raises(FitError, match=r"correlated with those of the mean.*varcorr\(\) has"):
        fit.varcorr("zi")
    assert len(fit.varcorr().to_frame()) == 3
    names = fit.bootstrap(n=1, seed=1, progress=False).estimates.index
    assert names.is_unique
    assert {"sd(zi:Intercept|g)", "zi:Intercept", "zi:x"} <= set(names)
