"""Residual standard deviations with a formula: slopes against differences, fits against those of linear models."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DesignError, FormulaError
from mixfit.inference.profiles.chart import Chart
from mixfit.nlmm.minimize import NonlinearCriterion
from mixfit.nlmm.quadrature import Quadrature
from tests.nlmm.test_laplace import data, point_of
from tests.test_nonlinear import load

LINE = "y ~ a + b * t ~ b | g"
START = {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("n_agq", [1, 5])
@pytest.mark.parametrize("effects", ["xmid | g", "(Asym + xmid | g)"])
def test_gradient_is_that_of_differences(effects: str, n_agq: int) -> None:
    criterion, at = point_of(effects, dispersion="~ h + t")
    if n_agq > 1:
        criterion = NonlinearCriterion(Quadrature(criterion.problem, n_agq))
    point = criterion.evaluate(at)
    local = criterion.local(point)
    numeric = []
    for a in range(len(local.gradient)):
        step = np.zeros(len(local.gradient))
        step[a] = 1e-4 / max(1.0, np.sqrt(local.curvature[a, a]))
        above, below = (criterion.evaluate(criterion.move(point, local, s, ())).value for s in (step, -step))
        numeric.append((above - below) / (2.0 * step[a]))
    assert_allclose(local.gradient, numeric, rtol=2e-5, atol=2e-5 * np.abs(local.gradient).max())


@pytest.mark.parametrize("dispersion", ["~ h", "~ t", "~ h * t"])
def test_a_straight_line_is_the_linear_model(dispersion: str) -> None:
    frame = data()
    found = mixfit.nonlinear(LINE, frame, start=START, weights="w", dispersion=dispersion).fit()
    linear = mixfit.mixed("y ~ t + (0 + t | g)", frame, weights="w", dispersion=dispersion).fit(reml=False)
    assert found.converged
    assert_allclose(found.llf, linear.llf, atol=1e-6)
    assert found.npar == linear.npar
    assert_allclose(found.estimate.gamma, [value for _, value in linear.varcorr().log_sd], atol=1e-4)
    assert [name for name, _ in found.varcorr().log_sd] == [name for name, _ in linear.varcorr().log_sd]
    assert_allclose(found.sigma, linear.sigma, rtol=1e-4)
    assert_allclose(found.params.to_numpy(), linear.params.to_numpy(), rtol=1e-4)
    assert_allclose(found.residuals("scaled"), linear.residuals("scaled"), atol=1e-3)
    table = found.conf_int(which="all")
    other = linear.conf_int(which="all")
    own = [name for name in table.index if name.startswith("log sd")]
    assert own
    assert_allclose(table.loc[own], other.loc[own], atol=2e-3)


def test_profiles_drawn_rows_and_rows_left_out() -> None:
    frame = data()
    model = mixfit.nonlinear("y ~ SSlogis(t, Asym, xmid, scal) ~ xmid | g", frame, weights="w", dispersion="~ h + t")
    fit = model.fit()
    chart = Chart.default(model.likelihood_surface(fit.estimate, reml=False))
    x = chart.within(chart.center + 0.3 * chart.spacing(chart.center))
    step = 1e-4 * np.eye(len(x)) * chart.spacing(x)
    numeric = [(chart.evaluate(x + h).value - chart.evaluate(x - h).value) / (2.0 * h.max()) for h in step]
    assert_allclose(chart.evaluate(x).gradient, numeric, rtol=1e-4, atol=1e-3)
    name = "log sd(t|Residual)"
    wald, profile = fit.conf_int(which=name).loc[name], fit.conf_int(which=name, method="profile").loc[name]
    assert_allclose(profile, wald, atol=0.02)
    sd = fit.simulate(4000, seed=1, re_form=None).std(axis=1)
    gamma = dict(fit.varcorr().log_sd)
    log_sd = gamma["t"] * frame["t"] + frame["h"].map({"0": 0.0, "1": gamma["h[T.1]"], "2": gamma["h[T.2]"]})
    assert_allclose(sd, fit.sigma * np.exp(log_sd) / np.sqrt(frame["w"]), rtol=0.06)
    later = fit.simulate(4000, newdata=frame.iloc[::-1], seed=2, re_form=None).std(axis=1)
    assert_allclose(later.iloc[::-1], fit.sigma * np.exp(log_sd) / np.sqrt(frame["w"]), rtol=0.06)
    keep = (frame["g"] != "3").to_numpy()
    fewer = mixfit.nonlinear(model.formula, frame[keep], weights="w", dispersion="~ h + t").fit()
    assert_allclose(model.of_rows(keep).fit().llf, fewer.llf, atol=1e-6)
    plain = mixfit.nonlinear(model.formula, frame, weights="w").fit()
    assert mixfit.anova(plain, fit).frame["Df"].iloc[1] == 3
    assert "dispersion = ~ h + t" in str(fit.summary())
    assert "log sd" in str(fit.varcorr())


def test_a_power_of_a_covariate() -> None:
    rng = np.random.default_rng(4)
    t, g = np.tile(np.linspace(1.0, 8.0, 12), 20), np.repeat(np.arange(20), 12)
    mean = (10.0 + rng.normal(0.0, 1.0, 20)[g]) * (1.0 - np.exp(-0.4 * t))
    frame = pd.DataFrame({"t": t, "g": g.astype(str), "y": mean + 0.1 * t**0.8 * rng.normal(size=len(t))})
    fit = mixfit.nonlinear("y ~ SSasympOrig(t, Asym, lrc) ~ Asym | g", frame, dispersion="~ log(t)").fit()
    limits = fit.conf_int(which="log sd(log(t)|Residual)").iloc[0]
    assert limits[0] < 0.8 < limits[1]
    assert limits[1] - limits[0] < 0.4


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("dispersion", ["~ h", "~ t"])
def test_a_straight_line_by_turns_is_the_linear_model(dispersion: str, reml: bool) -> None:
    frame = data()
    found = mixfit.nonlinear(LINE, frame, start=START, weights="w", dispersion=dispersion).fit(method="lb", reml=reml)
    linear = mixfit.mixed("y ~ t + (0 + t | g)", frame, weights="w", dispersion=dispersion).fit(reml=reml)
    assert found.converged
    assert_allclose(found.llf, linear.llf, rtol=1e-10)
    assert_allclose(found.estimate.gamma, [value for _, value in linear.varcorr().log_sd], atol=1e-7)
    assert_allclose(found.sigma, linear.sigma, rtol=1e-7)
    assert_allclose(found.params, linear.params, rtol=1e-7)
    assert_allclose(found.bse, linear.bse, rtol=1e-7)
    assert_allclose(found.theta, linear.theta, rtol=1e-7)
    likelihood = mixfit.nonlinear(LINE, frame, start=START, weights="w", dispersion=dispersion).fit()
    if not reml:
        assert_allclose(found.estimate.cov_gamma, likelihood.estimate.cov_gamma, rtol=0.02)


# nlme 3.1-162: nlme(..., random = Asym ~ 1 | Tree, method = "ML", control = nlmeControl(tolerance = 1e-7,
# pnlsTol = 1e-5, msTol = 1e-10)), which leave curves known to about 1e-5: log-likelihood, fixed effects, sigma,
# coefficient, deviation of Asym.
NLME = {
    # weights = varPower(form = ~ age)
    "~ log(age)": (-130.92416374, [192.14011247, 726.22665647, 349.96057849], 1.70918097, 0.23152404, 30.893055),
    # weights = varExp(form = ~ I(age / 1000))
    "~ I(age / 1000)": (-131.43956757, [190.83441911, 721.10548313, 343.57332569], 6.62990830, 0.18983471, 31.101368),
}


@pytest.mark.parametrize("dispersion", NLME)
def test_by_turns_variances_are_nlmes(dispersion: str) -> None:
    llf, fixed, sigma, gamma, deviation = NLME[dispersion]
    formula = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"
    found = mixfit.nonlinear(formula, load("Orange"), dispersion=dispersion).fit(method="lb")
    assert_allclose(found.llf, llf, atol=1e-6)
    assert_allclose(found.params, fixed, rtol=1e-5)
    assert_allclose([found.sigma, *found.estimate.gamma], [sigma, gamma], rtol=1e-4)
    assert_allclose(found.sigma * found.theta, deviation, rtol=1e-5)


def test_what_dispersion_cannot_be_is_said() -> None:
    frame = data().assign(one=1.0)
    formula = "y ~ SSlogis(t, Asym, xmid, scal) ~ xmid | g"
    for text, error, words in (
        ("~ 1", FormulaError, "leave it out"),
        ("~ (1 | g)", FormulaError, "no random terms"),
        ("~ h + one", DesignError, "'one' adds nothing"),
        ("~ nowhere", FormulaError, "nowhere"),
    ):
        with pytest.raises(error, match=words):
            mixfit.nonlinear(formula, frame, dispersion=text)
