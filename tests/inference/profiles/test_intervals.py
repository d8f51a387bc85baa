"""Confidence intervals against lme4's and glmmTMB's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from tests.inference.fits import FITS, Z, fitted, herds, ticks

every = pytest.mark.parametrize("name", FITS)


@every
def test_profile_intervals_are_lme4s(name: str) -> None:
    limits = fitted(name).conf_int(method="profile").to_numpy()
    # lme4's interpolation of its own profile is the coarser of the two.
    assert_allclose(limits, FITS[name]["profile"], rtol=1e-4)


@every
def test_curves_give_the_same_intervals(name: str) -> None:
    fit = fitted(name)
    limits = fit.profile().conf_int()
    exact = fit.conf_int(method="profile")
    assert limits.index.tolist() == exact.index.tolist()
    width = (exact[1] - exact[0]).to_numpy()[:, None]
    assert_allclose(limits.to_numpy() / width, exact.to_numpy() / width, rtol=0, atol=2e-4)


@every
def test_wald_intervals_of_fixed_effects_are_lme4s(name: str) -> None:
    fit, ref = fitted(name), FITS[name]
    p = len(fit.params)
    wald = np.array(ref["wald"][-p:], dtype=float)
    assert_allclose(fit.conf_int(ddf="z"), wald, rtol=1e-5)
    assert_allclose(fit.conf_int(which="all", ddf="z").to_numpy()[-p:], wald, rtol=1e-5)


def test_wald_intervals_of_a_reml_fit_are_glmmtmbs() -> None:
    # confint(glmmTMB(Reaction ~ Days + (Days | Subject), sleepstudy, REML = TRUE), full = TRUE); its correlation is
    # on another scale: theta_3 = 0.0656913 with standard error 0.3271303, and atanh(rho) = asinh(theta_3).
    limits = fitted("sleepstudy").conf_int(which="random")
    theta, error = 0.0656913366, 0.3271302699
    correlation = np.tanh(np.arcsinh(theta) + np.array([-Z, Z]) * error / np.sqrt(1.0 + theta**2))
    expected = [[15.581543, 39.283089], [3.9182724, 8.9507722], correlation, [22.8004684, 28.7249229]]
    assert_allclose(limits, np.array(expected), rtol=1e-5)


def test_binomial_intervals_are_glmmtmbs() -> None:
    # glmmTMB(..., family = binomial): confint(method = "uniroot") and confint(method = "wald"), R 4.2.
    profile = [
        [np.exp(-1.061050574), np.exp(0.09525824424)],
        [-1.901187472, -0.94779056766],
        [-1.616758339, -0.40778029673],
        [-1.801001523, -0.51155362606],
        [-2.500748813, -0.80075813308],
    ]
    assert_allclose(herds().conf_int(method="profile"), profile, rtol=5e-5)
    assert_allclose(herds().conf_int(which="random"), [[0.3724432155, 1.1075515366]], rtol=1e-5)
    assert_allclose(herds().profile().conf_int(), profile, rtol=5e-5)


def test_quadrature_intervals_are_lme4s() -> None:
    # confint(glmer(..., nAGQ = 9)) of lme4 1.1-31
    expected = [
        [0.3488015514, 1.1112920577],
        [-1.9046829849, -0.9462134481],
        [-1.6160838427, -0.4066110579],
        [-1.8004083071, -0.5104501469],
        [-2.5001920348, -0.7995923882],
    ]
    assert_allclose(herds(9).conf_int(method="profile"), expected, rtol=1e-5)


def test_crossed_poisson_intervals_are_glmmtmbs() -> None:
    # glmmTMB(TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION), family = poisson): confint(method = "uniroot")
    expected = [
        [np.exp(-0.6006467011), np.exp(-0.02672341044)],
        [np.exp(-0.2828340354), np.exp(0.33481060321)],
        [-0.1362866699, 0.76925156562],
        [0.8192494020, 1.80081522224],
        [-1.4720801218, -0.40908025899],
    ]
    fit = ticks("TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION)", "poisson")
    assert_allclose(fit.conf_int(method="profile"), expected, rtol=5e-5)


def test_dispersion_intervals_are_glmmtmbs() -> None:
    # glmmTMB(TICKS ~ YEAR + (1 | BROOD), family = nbinom2): confint(method = "uniroot"), and the profiles of theta and
    # of the dispersion, interpolated by glmmTMB (so to three digits); confint(method = "wald", full = TRUE).
    fit = ticks("TICKS ~ YEAR + (1 | BROOD)", "nbinom2")
    limits = fit.conf_int(method="profile")
    fixed = [[-0.06627132877, 0.8748720477], [0.72527799176, 1.9639293813], [-1.58737428636, -0.2486174185]]
    assert_allclose(limits.to_numpy()[2:], fixed, rtol=1e-4)
    assert_allclose(np.log(limits.loc["phi"]), [0.8633178668, 1.546347623], rtol=1e-3)
    assert_allclose(np.log(limits.iloc[0]), [0.03039000585, 0.3890237198], rtol=0, atol=4e-4)
    wald = [[1.02738504274, 1.4687628102], [2.35500907656, 4.6499711019]]
    assert_allclose(fit.conf_int(which="random"), wald, rtol=1e-5)


def test_intervals_of_independent_slopes_are_lme4s() -> None:
    # confint(lmer(Reaction ~ Days + (1 | Subject) + (0 + Days | Subject), sleepstudy)) of lme4 1.1-31
    expected = [
        [15.258646678, 37.786470900],
        [3.964073856, 8.769159162],
        [22.880554648, 28.787597595],
        [237.572148011, 265.238061759],
        [7.334066829, 13.600505107],
    ]
    data = mixfit.datasets.load("sleepstudy")
    apart = mixfit.mixed("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", data).fit()
    together = mixfit.mixed("Reaction ~ Days + (Days || Subject)", data).fit()
    assert_allclose(apart.conf_int(method="profile"), expected, rtol=1e-5)
    assert_allclose(together.conf_int(method="profile"), expected, rtol=1e-5)


def test_which_chooses_parameters() -> None:
    fit = fitted("sleepstudy_int")
    assert fit.conf_int().index.tolist() == ["Intercept", "Days"]
    assert fit.conf_int(0.9).columns.tolist() == [0, 1]
    assert fit.conf_int(which="theta").index.tolist() == ["sd((Intercept)|Subject)", "sigma"]
    chosen = fit.conf_int(method="profile", which=["Days", "sigma"])
    assert chosen.index.tolist() == ["Days", "sigma"]
    assert_allclose(chosen, fit.conf_int(method="profile").loc[["Days", "sigma"]], rtol=1e-12)
    assert fit.profile(which="fixed").parameters == ["Intercept", "Days"]
    narrow = fit.conf_int(0.5, method="profile", which="Days").iloc[0]
    assert chosen.loc["Days", 0] < narrow[0] < narrow[1] < chosen.loc["Days", 1]


def test_what_cannot_be_asked_says_so() -> None:
    fit = fitted("sleepstudy_int")
    with pytest.raises(FitError, match="no parameter 'days'"):
        fit.conf_int(which="days")
    with pytest.raises(FitError, match="'wald', 'profile' and 'bootstrap'"):
        fit.conf_int(method="score")
    with pytest.raises(FitError, match="no option 'n'"):
        fit.conf_int(method="profile", n=100)
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit.conf_int(1.5, method="profile")
    with pytest.raises(FitError, match="larger level"):
        fit.profile(which="sigma").conf_int(1 - 1e-9)
    with pytest.raises(FitError, match="no profile of 'Days'"):
        fit.profile(which="sigma").zeta("Days", 0.0)


def test_parameters_are_named_as_they_are_printed_or_as_params_has_them() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + I(Days ** 2) + (1 | Subject)", sleep).fit()
    plain = fit.conf_int(which=["Intercept", "sd((Intercept)|Subject)", "I(Days ** 2)"])
    pd.testing.assert_frame_equal(fit.conf_int(which=["(Intercept)", "sd(Intercept|Subject)", "I(Days**2)"]), plain)
    ticks = mixfit.datasets.load("grouseticks")
    zeros = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson", zi="~ 1").fit()
    found = zeros.conf_int(which="(Intercept)", predictor="zi")
    pd.testing.assert_frame_equal(found, zeros.conf_int(predictor="zi"))
