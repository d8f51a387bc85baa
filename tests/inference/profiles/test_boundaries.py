"""Intervals and profiles where a variance is zero, a correlation one, or an end missing."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import mixfit
from mixfit.errors import BiasWarning, FitError
from mixfit.inference.profiles.parameters import parameter_names
from tests.inference.dense import deviance
from tests.inference.fits import Z, herds


def singular_data(seed: int) -> pd.DataFrame:
    """Few groups with slopes in proportion to intercepts: the correlation is estimated as 1."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(8), 6)
    x = rng.normal(size=48)
    y = 1.0 + 0.5 * x + rng.normal(size=48) + rng.normal(size=8)[g] * (0.4 + 1.2 * x)
    return pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})


@cache
def singular() -> Any:
    fit = mixfit.mixed("y ~ x + (x | g)", singular_data(4)).fit(reml=False)
    assert fit.is_singular
    assert abs(fit.varcorr().components[0].corr[0, 1]) > 1.0 - 1e-12
    return fit


def test_intervals_of_a_variance_estimated_as_zero() -> None:
    # confint(lmer(Yield ~ 1 + (1 | Batch), Dyestuff2)) of lme4 1.1-31, whose interpolation is coarse here
    expected = [[0.0, 2.084043489], [2.892831020, 4.815832552], [4.312100217, 7.019092347]]
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff2")).fit()
    assert fit.is_singular
    assert_allclose(fit.conf_int(method="profile"), expected, rtol=2e-4)
    assert fit.conf_int(method="profile", which="sd((Intercept)|Batch)").iloc[0, 0] == 0.0
    assert_allclose(fit.profile().conf_int(), expected, rtol=3e-4)
    wald = fit.conf_int(which="random")
    assert wald.iloc[0].isna().all()
    # With no other variance sigma^2 has the REML information of a linear model, (n - 1) / 2 for log sigma squared.
    assert_allclose(wald.loc["sigma"], fit.sigma * np.exp(np.array([-Z, Z]) / np.sqrt(2 * 29)), rtol=1e-5)


def test_any_correlation_of_a_vanished_effect_is_as_good() -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(10), 8)
    x = np.tile(np.linspace(-1.0, 1.0, 8), 10)
    y = rng.normal(size=10)[g] * 3.0 + np.tile([0.5, -0.5, -0.5, 0.5, 0.5, -0.5, -0.5, 0.5], 10)
    # Within a group the residuals are orthogonal to a line: there is less than no variance of slopes.
    fit = mixfit.mixed("y ~ 1 + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})).fit()
    # What the certificate promises: 1e-4 of a standard error, whatever the last step left below that.
    assert fit.varcorr().components[0].sd[1] < 1e-4 * fit.sigma / np.sqrt((x**2).sum())
    limits = fit.conf_int(method="profile")
    assert limits.loc["cor((Intercept),x|g)"].tolist() == [-1.0, 1.0]
    assert limits.loc["sd(x|g)", 0] == 0.0
    profile = fit.profile()
    assert profile.conf_int().loc["cor((Intercept),x|g)"].tolist() == [-1.0, 1.0]
    assert np.isfinite(limits.to_numpy()).all()


@pytest.mark.slow
def test_intervals_beside_a_boundary_are_level_sets_of_the_deviance() -> None:
    """At each end the minimum over all other parameters, sought from many starts in dense matrices, is the target."""
    fit = singular()
    limits = fit.conf_int(method="profile")
    design = fit.model.design
    for name, (lower, upper) in zip(limits.index, limits.to_numpy(), strict=True):
        for value in (lower, upper):
            excess = _smallest_dense(design, name, value, fit) - fit.deviance
            if (name.startswith("sd") and value == 0.0) or (name.startswith("cor") and abs(value) == 1.0):
                assert excess < Z**2
            else:
                assert excess == pytest.approx(Z**2, abs=2e-4), name


def _smallest_dense(design: Any, name: str, value: float, fit: Any) -> float:
    names = parameter_names(fit.model)
    held = names.index(name)
    free = [i for i in range(6) if i != held]
    center = np.array([*fit.varcorr().components[0].sd, 0.0, fit.sigma, *fit.params])
    start = np.array([np.log(center[0]), np.log(center[1]), 0.0, np.log(center[3]), center[4], center[5]])

    def value_at(w: np.ndarray) -> float:
        full = np.empty(6)
        full[free] = w
        natural = np.array([np.exp(full[0]), np.exp(full[1]), np.tanh(full[2]), np.exp(full[3]), full[4], full[5]])
        natural[held] = value
        return deviance(design, natural)

    rng = np.random.default_rng(0)
    best = np.inf
    for correlation in (-3.0, 0.0, 3.0):
        begin = start.copy()
        begin[2] = correlation
        begin[:2] += 0.2 * rng.normal(size=2)
        best = min(best, minimize(value_at, begin[free], method="BFGS", options={"gtol": 1e-7}).fun)
    return best


def test_an_interval_without_an_end_is_infinite() -> None:
    """As phi grows the beta-binomial becomes binomial: the likelihood excludes none of it at 0.4 %, but does at 1 %."""
    fit = herds(family="betabinomial")
    excess = herds().estimate.criterion - fit.estimate.criterion
    assert 2.576**2 < excess < 2.878**2
    profile = fit.profile(which="phi")
    for limits in (fit.conf_int(0.99, method="profile", which="phi"), profile.conf_int(0.99)):
        assert np.isfinite(limits.to_numpy()).all()
    for limits in (fit.conf_int(0.996, method="profile", which="phi"), profile.conf_int(0.996)):
        assert limits.iloc[0, 0] > 0.0
        assert limits.iloc[0, 1] == np.inf


def test_a_dispersion_at_its_limit_is_refused() -> None:
    """Counts that scatter less than Poisson's: phi has run away."""
    y = np.tile([2, 3, 4, 3], 20) + (np.arange(80) % 7 == 0)
    counts = pd.DataFrame({"y": y, "g": np.repeat(np.arange(20), 4).astype(str)})
    fit = mixfit.mixed("y ~ 1 + (1 | g)", counts, "nbinom2").fit()
    assert fit.dispersion > 1e6
    with pytest.raises(FitError, match="run to a limit"):
        fit.conf_int(method="profile")


@pytest.mark.parametrize("options", [{"n_agq": 0}, {"method": "pql"}])
def test_fits_without_a_maximum_of_the_likelihood_are_refused(options: dict) -> None:
    herds = mixfit.datasets.load("cbpp")
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiasWarning)
        fit = model.fit(**options)
    with pytest.raises(FitError, match="need a maximum of the likelihood"):
        fit.conf_int(method="profile")
