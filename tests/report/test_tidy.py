"""tidy, glance and augment: columns, order and values of broom.mixed."""

from __future__ import annotations

import sys
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import DataError, FitError
from tests.inference.fits import herds

if TYPE_CHECKING:
    from mixfit.results import LinearResults


@cache
def linear_fit(weights: bool = False, reml: bool = True) -> LinearResults:
    data = sleep()
    return mixfit.mixed(
        "Reaction ~ Days + (Days|Subject)", data, weights="w" if weights else None, offset="o" if weights else None
    ).fit(reml=reml)


def sleep() -> pd.DataFrame:
    data = mixfit.datasets.load("sleepstudy")
    return data.assign(w=0.5 + (np.arange(len(data)) % 7) / 3.0, o=np.arange(len(data)) / 10.0)


def test_linear_fits() -> None:
    fit = linear_fit()
    table = fit.tidy(ddf="none")
    assert list(table.columns) == ["effect", "group", "term", "estimate", "std.error", "statistic"]
    # broom.mixed with lme4 2: variances first, then covariances
    assert table["effect"].tolist() == ["fixed"] * 2 + ["ran_pars"] * 4
    assert table["group"].tolist()[2:] == ["Subject"] * 3 + ["Residual"]
    assert table["group"][:2].isna().all()
    assert table["term"].tolist() == [
        "(Intercept)",
        "Days",
        "sd__(Intercept)",
        "sd__Days",
        "cor__(Intercept).Days",
        "sd__Observation",
    ]
    np.testing.assert_array_equal(table["estimate"][:2], fit.params)
    np.testing.assert_array_equal(table["std.error"][:2], fit.bse)
    np.testing.assert_array_equal(table["statistic"][:2], fit.tvalues)
    np.testing.assert_array_equal(table["estimate"][2:], fit.varcorr().to_frame()["sdcor"])
    assert table["std.error"][2:].isna().all()


def test_scales_and_prefixes() -> None:
    fit = linear_fit()
    table = fit.tidy("ran_pars", scales="vcov")
    assert table["term"].tolist() == ["var__(Intercept)", "var__Days", "cov__(Intercept).Days", "var__Observation"]
    np.testing.assert_array_equal(table["estimate"], fit.varcorr().to_frame()["vcov"])
    both = fit.tidy(("fixed", "ran_pars"), scales=(None, "vcov"), ran_prefix=("s", "c"))
    assert both["term"].tolist()[2:] == ["s__(Intercept)", "s__Days", "c__(Intercept).Days", "s__Observation"]
    with pytest.raises(FitError, match="'sdcor' and 'vcov'"):
        fit.tidy("ran_pars", scales="sd")
    with pytest.raises(FitError, match="one scale"):
        fit.tidy(scales=["vcov"])
    with pytest.raises(FitError, match="'ran_modes'"):
        fit.tidy(["fixed", "ran_modes"])


def test_intervals() -> None:
    fit = linear_fit()
    table = fit.tidy(("fixed", "ran_pars", "ran_vals", "ran_coefs"), conf_int=True, level=0.9, ddf="none")
    assert list(table.columns) == [
        "effect",
        "group",
        "level",
        "term",
        "estimate",
        "std.error",
        "statistic",
        "conf.low",
        "conf.high",
    ]
    limits = table.set_index("effect")[["conf.low", "conf.high"]]
    np.testing.assert_allclose(limits.loc["fixed"], fit.conf_int(level=0.9, ddf="z"))
    assert limits.loc["ran_pars"].isna().all(axis=None)
    assert limits.loc["ran_coefs"].isna().all(axis=None)
    values = table[table["effect"] == "ran_vals"]
    half = 1.6448536269514722 * values["std.error"]
    np.testing.assert_allclose(values["conf.high"], values["estimate"] + half)
    np.testing.assert_allclose(values["conf.low"], values["estimate"] - half)


def test_modes_and_coefficients() -> None:
    fit = linear_fit()
    modes = fit.ranef(condsd=True)["Subject"]
    table = fit.tidy("ran_vals")
    # as.data.frame(ranef(m)): terms one below the other, levels within
    assert table["term"].tolist() == ["(Intercept)"] * 18 + ["Days"] * 18
    assert table["level"].tolist() == [str(level) for level in modes.index] * 2
    np.testing.assert_array_equal(table["estimate"], np.ravel(modes["mode"], order="F"))
    np.testing.assert_array_equal(table["std.error"], np.ravel(modes["sd"], order="F"))
    coefs = fit.tidy("ran_coefs")
    assert list(coefs.columns) == ["effect", "group", "level", "term", "estimate"]
    np.testing.assert_array_equal(coefs["estimate"], np.ravel(fit.coef()["Subject"], order="F"))


def test_several_factors() -> None:
    data = mixfit.datasets.load("penicillin_plates")
    table = mixfit.mixed("diameter ~ 1 + (1|plate) + (1|sample)", data).fit().tidy(["ran_pars", "ran_vals"])
    assert table[table["effect"] == "ran_pars"]["group"].tolist() == ["plate", "sample", "Residual"]
    assert table["group"].value_counts().to_dict() == {"plate": 25, "sample": 7, "Residual": 1}
    assert table["level"].isna().sum() == 3


def test_generalized_fits() -> None:
    fit = herds()
    table = fit.tidy()
    assert list(table.columns) == ["effect", "group", "term", "estimate", "std.error", "statistic", "p.value"]
    np.testing.assert_array_equal(table["p.value"][:4], fit.pvalues)
    assert table["term"].tolist()[-1] == "sd__(Intercept)"
    odds = fit.tidy("fixed", conf_int=True, exponentiate=True)
    np.testing.assert_allclose(odds["estimate"], np.exp(fit.params))
    np.testing.assert_allclose(odds["std.error"], fit.bse * np.exp(fit.params))
    np.testing.assert_allclose(odds[["conf.low", "conf.high"]], np.exp(fit.conf_int()))
    np.testing.assert_array_equal(odds["statistic"], fit.zvalues)


def test_degrees_of_freedom_come_from_the_tests_of_contrasts(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = linear_fit()

    def contrast_tests(results: object, L: np.ndarray, ddf: str) -> SimpleNamespace:
        assert results is fit
        np.testing.assert_array_equal(L, np.eye(2))
        assert ddf == "satterthwaite"
        return SimpleNamespace(estimate=np.array([5.0, 2.0]), se=np.array([2.5, 1.0]), df=np.array([17.0, np.inf]))

    monkeypatch.setattr(sys.modules["mixfit.report.tidy"], "contrast_tests", contrast_tests)
    table = fit.tidy("fixed", conf_int=True, ddf="satterthwaite")
    assert list(table.columns)[5:] == ["df", "p.value", "conf.low", "conf.high"]
    assert table["statistic"].tolist() == [2.0, 2.0]
    # R: 2 * pt(-2, c(17, Inf)), qt(0.975, c(17, Inf))
    np.testing.assert_allclose(table["p.value"], [0.0617386065, 0.0455002639], rtol=1e-8)
    np.testing.assert_allclose(table["conf.high"], [5.0 + 2.5 * 2.10981558, 2.0 + 1.95996398], rtol=1e-8)


def test_glance() -> None:
    fit = linear_fit()
    row = fit.glance()
    assert list(row.columns) == ["nobs", "sigma", "logLik", "AIC", "BIC", "REMLcrit", "df.residual"]
    # lme4: REMLcrit, logLik, AIC, BIC, df.residual of lmer(Reaction ~ Days + (Days|Subject))
    wanted = [180, 25.59180, -871.8141, 1755.6283, 1774.7860, 1743.6283, 174]
    np.testing.assert_allclose(row.iloc[0], wanted, rtol=1e-6)
    assert list(linear_fit(reml=False).glance().columns)[5] == "deviance"
    # deviance(glmer(...)) is that given the modes
    assert herds().glance()["deviance"][0] == pytest.approx(73.47428, abs=5e-3)


def test_beta_models_have_no_deviance() -> None:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(20), 10)
    data = pd.DataFrame({"y": rng.beta(2, 3, size=200), "g": g})
    fit = mixfit.mixed("y ~ 1 + (1|g)", data, family="beta").fit()
    assert np.isnan(fit.glance()["deviance"][0])
    np.testing.assert_array_equal(fit.augment()[".resid"], fit.residuals("pearson"))


def test_linear_rows() -> None:
    fit, data = linear_fit(weights=True), sleep()
    table = fit.augment(data)
    added = [
        ".fitted",
        ".resid",
        ".hat",
        ".cooksd",
        ".fixed",
        ".mu",
        ".offset",
        ".sqrtXwt",
        ".sqrtrwt",
        ".weights",
        ".wtres",
    ]
    assert list(table.columns) == [*data.columns, *added]
    np.testing.assert_array_equal(table[".fitted"], fit.fittedvalues)
    np.testing.assert_array_equal(table[".resid"], data["Reaction"] - table[".mu"])
    np.testing.assert_array_equal(table[".hat"], fit.hatvalues())
    np.testing.assert_array_equal(table[".cooksd"], fit.cooks_distance())
    np.testing.assert_array_equal(table[".fixed"], fit.predict(re_form="population"))
    np.testing.assert_array_equal(table[".offset"], data["o"])
    np.testing.assert_allclose(table[".weights"], data["w"])
    np.testing.assert_allclose(table[".sqrtXwt"] ** 2, data["w"])
    np.testing.assert_allclose(table[".wtres"], np.sqrt(data["w"]) * table[".resid"])
    assert list(data.columns) == list(sleep().columns)


def test_generalized_rows() -> None:
    fit, data = herds(), mixfit.datasets.load("cbpp")
    table = fit.augment(data)
    assert list(table.columns)[len(data.columns) :][-3:] == [".weights", ".wtres", ".eta"]
    # glmer(...)@resp of lme4 1.1-31, first three rows: mu, sqrtXwt, sqrtrwt, weights, wtres, eta; residuals(m)
    wanted = {
        ".mu": [0.3081647, 0.1417734, 0.1259856],
        ".sqrtXwt": [1.727654, 1.208339, 0.9954992],
        ".sqrtrwt": [8.103473, 9.930984, 9.04069],
        ".weights": [14, 12, 9],
        ".wtres": [-1.339566, 1.074797, 2.879088],
        ".eta": [-0.8087134, -1.800638, -1.93693],
        ".fitted": [-0.8087134, -1.800638, -1.93693],
        ".resid": [-1.437708, 0.988472, 2.356688],
    }
    for column, values in wanted.items():
        np.testing.assert_allclose(table[column][:3], values, rtol=5e-4)
    np.testing.assert_array_equal(table[".fixed"], fit.predict(type="link", re_form="population"))


def test_rows_that_the_fit_left_out_are_left_out() -> None:
    data = sleep()
    data.loc[[3, 40], "Reaction"] = np.nan
    fit = mixfit.mixed("Reaction ~ Days + (1|Subject)", data).fit()
    table = fit.augment(data)
    assert list(table.index) == [i for i in range(180) if i not in (3, 40)]
    np.testing.assert_allclose(table["Reaction"] - table[".fitted"], table[".resid"])
    with pytest.raises(DataError, match="not all those"):
        fit.augment(data.head(10))
    repeated = data.set_axis(np.arange(180) // 2)
    with pytest.raises(DataError, match="reset_index"):
        mixfit.mixed("Reaction ~ Days + (1|Subject)", repeated).fit().augment(repeated)


def test_rows_of_other_libraries() -> None:
    data = sleep().astype({"Subject": str})
    data.loc[5, "Reaction"] = np.nan
    frame = pl.from_pandas(data)
    fit = mixfit.mixed("Reaction ~ Days + (1|Subject)", frame).fit()
    table = fit.augment(frame)
    assert table["Subject"].tolist() == data["Subject"].drop(5).tolist()
    np.testing.assert_allclose(table["Reaction"] - table[".fitted"], table[".resid"])


def test_rows_without_the_data() -> None:
    table = linear_fit(weights=True).augment()
    assert list(table.columns)[:7] == ["Reaction", "Days", "Subject", "o", "w", "(weights)", "(offset)"]
    assert table["Subject"].tolist() == [str(s) for s in sleep()["Subject"]]
    other = mixfit.mixed("strength ~ 1 + (1|batch/cask)", mixfit.datasets.load("pastes")).fit().augment()
    assert list(other.columns)[:3] == ["strength", "batch", "cask"]


def test_without_the_data_there_are_the_columns_that_the_model_uses_as_they_were() -> None:
    data = sleep().assign(w=1.0 + np.arange(180) % 3, Night=lambda d: d["Days"].astype("int32"), unused=1)
    data.loc[data.index[7], "Reaction"] = np.nan
    model = mixfit.mixed("log(Reaction) ~ np.log1p(Night) + (scale(Night) | Subject)", data, weights="2 * w")
    table = model.fit().augment()
    names = ["Reaction", "Night", "Subject", "w"]
    assert list(table.columns)[:5] == [*names, "(weights)"]
    pd.testing.assert_frame_equal(table[names], data[names].drop(data.index[7]))
    np.testing.assert_array_equal(table["(weights)"], 2 * table["w"])


def test_a_binomial_response_stays_in_its_columns() -> None:
    data = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    table = mixfit.mixed(formula, data, family="binomial").fit().augment()
    assert {"incidence", "size", "period", "herd"} <= set(table.columns)
    pd.testing.assert_frame_equal(table[list(data.columns)], data)


@cache
def several_predictors():
    data = mixfit.datasets.load("salamanders")
    hurdle = {"zi": "~ mined + (1 | spp)", "dispersion": "~ DOY"}
    return mixfit.mixed("count ~ mined + (1 | site)", data, family="truncated_nbinom2", **hurdle).fit()


def test_predictors_are_components() -> None:
    fit = several_predictors()
    table = fit.tidy(conf_int=True)
    # broom.mixed's tidy.glmmTMB: effects in order, and within each of them the components
    assert list(table.columns[:4]) == ["effect", "component", "group", "term"]
    assert (table["effect"] + ":" + table["component"]).tolist() == [
        *["fixed:cond"] * 2,
        *["fixed:zi"] * 2,
        *["fixed:disp"] * 2,
        "ran_pars:cond",
        "ran_pars:zi",
    ]
    for component, name in (("cond", "mean"), ("zi", "zi"), ("disp", "dispersion")):
        own = table[(table["component"] == component) & (table["effect"] == "fixed")]
        np.testing.assert_array_equal(own["estimate"], fit.params_of(name))
        np.testing.assert_array_equal(own["std.error"], fit.bse_of(name))
        np.testing.assert_allclose(own[["conf.low", "conf.high"]], fit.conf_int(predictor=name), rtol=1e-12)
    assert table["estimate"].iloc[-1] == fit.varcorr("zi").to_frame()["sdcor"].item()
    assert table["group"].tolist()[-2:] == ["site", "spp"]


def test_components_of_modes() -> None:
    fit = several_predictors()
    values, coefficients = (fit.tidy(what, component="zi") for what in ("ran_vals", "ran_coefs"))
    assert set(values["component"]) == {"zi"}
    modes = fit.ranef(condsd=True, predictor="zi")["spp"]
    np.testing.assert_array_equal(values["estimate"], modes["mode"]["Intercept"])
    np.testing.assert_array_equal(values["std.error"], modes["sd"]["Intercept"])
    np.testing.assert_allclose(
        coefficients["estimate"][: len(values)] - values["estimate"], fit.params_of("zi").iloc[0], rtol=1e-12
    )


def test_unknown_components() -> None:
    with pytest.raises(FitError, match="components 'cond', 'zi', 'disp', not 'dispersion'"):
        several_predictors().tidy(component="dispersion")
    assert "component" not in linear_fit().tidy()


def test_random_effects_that_predictors_share_are_the_first_ones() -> None:
    data = mixfit.datasets.load("salamanders")
    fit = mixfit.mixed("count ~ mined + (1 |a| site)", data, family="poisson", zi="~ mined + (1 |a| site)").fit()
    random = fit.tidy("ran_pars")
    assert set(random["component"]) == {"cond"}
    assert len(random) == 3


def test_scale_of_ordered_categories_is_a_component() -> None:
    data = mixfit.datasets.load("wine")
    fit = mixfit.mixed("rating ~ temp + (1 | judge)", data, family="cumulative", dispersion="~ contact").fit()
    scale = fit.tidy("fixed", component="scale")
    np.testing.assert_array_equal(scale["estimate"], fit.params_of("scale"))
    np.testing.assert_array_equal(scale["std.error"], fit.bse_of("scale"))
