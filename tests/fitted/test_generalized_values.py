"""Numbers of generalized fits against lme4's and glmmTMB's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import chi2

import mixfit
from mixfit.errors import FitError
from tests.fitted.generalized_models import HERDS, LME4, TMB, fitted, wanted

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults

every_lme4 = pytest.mark.parametrize("name", LME4)
every_tmb = pytest.mark.parametrize("name", TMB)
# families whose phi is a factor of the variance
SCALED = ["tmb_sleepstudy_gamma"]


@pytest.mark.parametrize("name", LME4 + TMB)
def test_fixed_effects(name: str) -> None:
    fit = fitted(name)
    assert (np.abs(fit.params.to_numpy() - wanted(name, "params").to_numpy()) < 5e-4 * fit.bse).all()
    assert_allclose(fit.bse, wanted(name, "bse"), rtol=3e-3)
    assert_allclose(np.sqrt(np.diag(fit.cov_params())), fit.bse)
    assert_allclose(fit.zvalues, fit.params / fit.bse)
    pd.testing.assert_series_equal(fit.zvalues, fit.tvalues)
    assert_allclose(fit.conf_int()[1] - fit.params, 1.959963984540054 * fit.bse)


@every_lme4
def test_p_values(name: str) -> None:
    # a p-value's relative error is z times that of z
    z = np.abs(fitted(name).zvalues)
    assert (
        np.abs(np.log(fitted(name).pvalues.to_numpy() / wanted(name, "pvalues"))) < 5e-3 * (1 + z.to_numpy() ** 2)
    ).all()


@every_lme4
def test_errors_at_known_theta_are_smaller_and_near_lme4s(name: str) -> None:
    fit = fitted(name)
    mine = np.sqrt(np.diag(fit.cov_params(conditional=True)))
    # lme4's leave out what theta adds and what the log-determinant adds to the curvature
    assert_allclose(mine, wanted(name, "bse_conditional"), rtol=0.03)
    assert (mine <= fit.bse * (1 + 1e-6)).all()
    assert (mine < fit.bse * (1 - 1e-4)).any()


@every_lme4
def test_likelihood_and_counts(name: str) -> None:
    fit, values = fitted(name), wanted(name, "scalar")
    for quantity in ("df_resid", "npar", "nobs", "sigma"):
        assert getattr(fit, quantity) == values[quantity], quantity
    assert fit.is_singular is bool(values["is_singular"])
    assert_allclose(fit.deviance, values["deviance"], rtol=1e-5)
    assert fit.deviance < -2 * fit.llf
    # lme4's quadrature leaves out the binomial coefficients, which ours has
    if name != "cbpp_agq9":
        assert_allclose([fit.llf, fit.aic, fit.bic], values[["llf", "aic", "bic"]], rtol=1e-7)
    assert fit.converged
    assert fit.scale == fit.dispersion == 1.0
    assert np.isnan(fit.dispersion_se)


@every_lme4
def test_residuals_of_every_kind(name: str) -> None:
    fit = fitted(name)
    for kind in ("deviance", "pearson", "response", "working"):
        assert_allclose(fit.residuals(kind).iloc[:8], wanted(name, kind), rtol=3e-4, atol=1e-6, err_msg=kind)
    assert_allclose(fit.residuals(), fit.residuals("deviance"))
    assert_allclose(fit.resid, fit.model.endog - fit.fittedvalues)
    assert_allclose(fit.residuals("scaled"), fit.residuals("pearson"))
    assert fit.residuals().index.equals(fit.model.design.index)
    assert_allclose(fit.fittedvalues.iloc[:8], wanted(name, "fitted"), rtol=1e-4)
    assert_allclose(fit.linear_predictor.iloc[:8], wanted(name, "eta"), rtol=1e-4, atol=2e-4)


@every_lme4
def test_overdispersion(name: str) -> None:
    mine = fitted(name).overdispersion()
    assert_allclose(mine, wanted(name, "overdispersion"), rtol=3e-4)
    assert mine._fields == ("chisq", "ratio", "df", "pvalue")
    assert_allclose(mine.pvalue, chi2.sf(mine.chisq, mine.df))


@every_lme4
def test_random_effects(name: str) -> None:
    fit = fitted(name)
    frame = fit.varcorr().to_frame()
    assert "Residual" not in set(frame["grp"])
    assert_allclose(frame["sdcor"], wanted(name, "sdcor"), rtol=1e-4)
    modes, deviations = wanted(name, "mode"), wanted(name, "condsd")
    frames, coef = fit.ranef(condsd=True), fit.coef()
    for label in modes.index:
        group, column, level = label.split("|")
        table = frames[group]
        at = table.index.astype(str).get_loc(level)
        name_of = {"(Intercept)": "Intercept", "urbanY": "urban[T.Y]"}[column]
        assert_allclose(table["mode"][name_of].iloc[at], modes[label], rtol=1e-3, atol=1e-4)
        assert_allclose(table["sd"][name_of].iloc[at], deviations[label], rtol=1e-4)
        assert_allclose(coef[group][name_of].iloc[at], fit.params[name_of] + table["mode"][name_of].iloc[at])


@every_tmb
def test_families_of_glmmtmb(name: str) -> None:
    fit, values = fitted(name), wanted(name, "scalar")
    assert_allclose(fit.llf, values["llf"], atol=1e-5)
    assert (fit.npar, fit.df_resid) == (values["npar"], values["df_resid"])
    assert_allclose(fit.fittedvalues.iloc[:8], wanted(name, "fitted"), rtol=2e-5)


@pytest.mark.parametrize("name", TMB[1:])
def test_dispersion_and_its_error(name: str) -> None:
    fit, values = fitted(name), wanted(name, "dispersion")
    # glmmTMB estimates the shape of the Gamma distribution, not its inverse
    log = -values["log"] if name in SCALED else values["log"]
    assert_allclose(np.log(fit.dispersion), log, rtol=1e-5)
    assert_allclose(fit.dispersion_se, fit.dispersion * values["se_log"], rtol=3e-3)
    assert_allclose(fit.scale, fit.dispersion if name in SCALED else 1.0)
    assert_allclose(fit.sigma**2, fit.scale)
    residual = fit.varcorr().to_frame().query("grp == 'Residual'")
    assert residual["vcov"].tolist() == ([pytest.approx(fit.scale)] if name in SCALED else [])


@pytest.mark.parametrize("name", ["tmb_grouseticks_nb", "tmb_sleepstudy_gamma", "tmb_sleepstudy_beta"])
def test_pearson_residuals_with_a_dispersion(name: str) -> None:
    fit = fitted(name)
    # glmmTMB 1.1.5 forgets the precision in the variance of a beta response
    factor = np.sqrt(1 + fit.dispersion) if name.endswith("beta") else 1.0
    assert_allclose(fit.residuals("pearson").iloc[:8], factor * wanted(name, "pearson"), rtol=2e-4)
    assert_allclose(fit.residuals("scaled"), fit.residuals("pearson") / fit.sigma)
    assert_allclose(fit.overdispersion().chisq, (fit.residuals("scaled") ** 2).sum())
    # no overdispersion is left where it is estimated
    assert 0.6 < fit.overdispersion().ratio < 1.1


@pytest.mark.parametrize("name", ["tmb_grouseticks_nb", "tmb_sleepstudy_gamma"])
def test_deviance_with_a_dispersion(name: str) -> None:
    assert_allclose(fitted(name).deviance, wanted(name, "deviance"), rtol=1e-5)


@pytest.mark.parametrize("name", ["tmb_sleepstudy_beta", "tmb_cbpp_bb"])
def test_no_deviance(name: str) -> None:
    fit = fitted(name)
    with pytest.raises(FitError, match=f"The {fit.model.family.name} family has no deviance"):
        _ = fit.deviance
    with pytest.raises(FitError, match="no deviance"):
        fit.residuals()


def test_unknown_residuals() -> None:
    with pytest.raises(ValueError, match="not 'partial'"):
        fitted("cbpp").residuals("partial")  # type: ignore[arg-type]


def test_standard_errors_of_theta() -> None:
    fit = fitted("cbpp")
    assert fit.bse_theta.shape == fit.theta.shape
    assert_allclose(fit.theta, fit.varcorr().to_frame()["sdcor"])
    step = 0.02
    # the curvature of the profile over theta, by refitting at fixed theta, must give the same error
    drop = [_profile(fit, fit.theta[0] + s * step) - fit.estimate.criterion for s in (-1, 1)]
    assert_allclose(fit.bse_theta[0], np.sqrt(2 * step**2 / sum(drop)), rtol=0.01)


def _profile(fit: GeneralizedResults, theta: float) -> float:
    """-2 log-likelihood at a standard deviation, minimized over the fixed effects."""
    from scipy.optimize import minimize

    from mixfit.glmm.laplace import laplace

    assembly = fit.model._assembly  # type: ignore[attr-defined]
    template = np.array([[theta]]) * assembly.term_bases[0]

    def value(beta: np.ndarray) -> float:
        return laplace(assembly.problem, assembly.fixed.triangle @ beta, [template], 1.0).value

    return float(minimize(value, fit.params.to_numpy(), method="BFGS", options={"gtol": 1e-5}).fun)


def test_offset_and_weights_reach_every_number() -> None:
    data = mixfit.datasets.load("cbpp").assign(rate=lambda d: d["incidence"] / d["size"])
    formula = "rate ~ period + (1 | herd)"
    two = mixfit.mixed(formula, data, family="binomial", weights="size").fit()
    one = fitted("cbpp")
    for kind in ("deviance", "pearson", "working"):
        assert_allclose(two.residuals(kind), one.residuals(kind), rtol=1e-6)
    shifted = mixfit.mixed(HERDS, data.assign(o=0.5), family="binomial", offset="o").fit()
    assert_allclose(shifted.params["Intercept"], one.params["Intercept"] - 0.5, rtol=1e-4)
    assert_allclose(shifted.linear_predictor, one.linear_predictor, atol=1e-4)
    assert_allclose(shifted.predict(type="link"), one.linear_predictor, atol=1e-4)


def test_a_link_whose_inverse_returns_the_very_responses() -> None:
    # there the first means leave no residual to start the dispersion from
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.poisson(3, 200) + 0.5, "x": rng.normal(size=200), "g": np.arange(200) % 20})
    fit = mixfit.mixed("y ~ x + (1 | g)", data, family="gamma(inverse)").fit()
    assert fit.converged
    assert_allclose(fit.predict(), 1 / fit.predict(type="link"))
    # the coefficient of variation of 3.5 + Poisson(3) noise is about a half
    assert 0.4 < fit.sigma < 0.65
