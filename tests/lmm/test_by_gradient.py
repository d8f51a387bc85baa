"""Fits by random vectors are those of the exact factor, within the errors that they report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DesignError, FitError
from mixfit.lmm import by_gradient
from mixfit.lmm.derivatives import differentiate

if TYPE_CHECKING:
    from mixfit.arguments import Solver

# Errors of normal size beyond which there is something wrong: seven of a million.
SIGMAS = 4.5


def crossed(q: int, each: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = q * each
    a, b, x = rng.integers(0, q, n), rng.integers(0, q, n), rng.normal(size=n)
    intercept, slope = 0.7 * rng.normal(size=(2, q))
    y = 1.0 + 0.5 * x + rng.normal(size=q)[a] + intercept[b] + slope[b] * x + rng.normal(size=n)
    return pd.DataFrame({"a": a, "b": b, "x": x, "y": y, "z": (y > 1.0).astype(int)})


def fits(data: pd.DataFrame, formula: str, reml: bool = True) -> tuple[Any, Any]:
    solvers: tuple[Solver, Solver] = ("dense", "iterative")
    exact, found = (mixfit.mixed(formula, data, solver=solver).fit(reml=reml) for solver in solvers)
    assert found.plan.solver == "iterative"
    assert exact.certificate.sampling_error == 0.0
    return exact, found


def largest_error(exact: Any, found: Any) -> float:
    """Of the logarithms of the relative standard deviations, in units of their standard errors."""
    local = differentiate(exact.estimate.at.get(lambda: None))
    errors = np.sqrt(2.0 * np.linalg.inv(local.average).diagonal())
    return float(np.abs(np.log(found.theta / exact.theta) / errors).max())


@pytest.mark.parametrize("reml", [True, False])
def test_estimates_within_their_sampling_errors(reml: bool) -> None:
    exact, found = fits(crossed(150, 12), "y ~ x + (1|a) + (1|b)", reml)
    certificate = found.certificate
    assert certificate.converged
    assert 0.0 < certificate.sampling_error <= 1e-3
    assert largest_error(exact, found) <= SIGMAS * certificate.sampling_error
    assert abs(found.deviance - exact.deviance) <= SIGMAS * certificate.criterion_error
    assert_allclose(found.params, exact.params, atol=2e-3 * exact.bse.min())
    assert "sampling error" in str(certificate)


def test_with_few_vectors_errors_are_larger_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_gradient, "_MOST_PROBES", 16)
    ratios = []
    for seed in range(6):
        exact, found = fits(crossed(60, 4, seed), "y ~ x + (1|a) + (1|b)")
        certificate = found.certificate
        assert not certificate.converged
        assert certificate.sampling_error > 1e-3
        assert "larger sampling error" in certificate.message
        ratios.append(largest_error(exact, found) / certificate.sampling_error)
    assert max(ratios) < SIGMAS
    # Nor are they said to be larger than they are.
    assert np.median(ratios) > 0.1


def test_slopes_and_three_factors() -> None:
    data = crossed(120, 20)
    data["year"] = np.arange(len(data)) % 7
    data["y"] += np.random.default_rng(2).normal(size=7)[data["year"]]
    exact, found = fits(data, "y ~ x + (1|a) + (x|b) + (1|year)")
    assert found.certificate.converged
    assert_allclose(found.theta, exact.theta, atol=2e-3)
    assert_allclose(found.bse, exact.bse, rtol=1e-3)


def test_what_follows_from_a_fit() -> None:
    data = crossed(150, 12)
    exact, found = fits(data, "y ~ x + (1|a) + (1|b)")
    for name in ("a", "b"):
        own, other = found.ranef(condsd=True)[name], exact.ranef(condsd=True)[name]
        assert_allclose(own.iloc[:, 0], other.iloc[:, 0], atol=2e-3)
        assert_allclose(own.iloc[:, 1], other.iloc[:, 1], rtol=0.05)
    new = data.head(20)
    assert_allclose(found.predict(new, se=True), exact.predict(new, se=True), rtol=0.02, atol=2e-3)
    assert_allclose(found.ttest().frame, exact.ttest().frame, rtol=0.02)
    assert_allclose(found.hatvalues(), exact.hatvalues(), rtol=0.1)
    assert found.refit(found.simulate(seed=1)["sim_1"]).converged


def test_the_same_vectors_every_time() -> None:
    data = crossed(60, 10)
    llf = [mixfit.mixed("y ~ x + (1|a) + (1|b)", data, solver="iterative").fit().llf for _ in range(2)]
    assert llf[0] == llf[1]


def test_a_variance_that_vanishes_is_refused() -> None:
    data = crossed(60, 10, seed=3)
    rng = np.random.default_rng(4)
    # Levels of b are more alike than by chance.
    noise = pd.Series(rng.normal(size=len(data)))
    data["y"] = data["x"] + rng.normal(size=60)[data["a"]] + noise - noise.groupby(data["b"]).transform("mean")
    with pytest.raises(FitError, match="goes to zero"):
        mixfit.mixed("y ~ x + (1|a) + (1|b)", data, solver="iterative").fit()


@pytest.mark.parametrize("options", [{"family": "binomial"}, {"dispersion": "~ x"}])
def test_other_models_are_refused(options: dict[str, str]) -> None:
    response = "z" if "family" in options else "y"
    with pytest.raises(DesignError, match="linear models with independent residuals"):
        mixfit.mixed(f"{response} ~ x + (1|a) + (1|b)", crossed(30, 5), solver="iterative", **options)


def test_another_family_of_the_same_model_is_refused() -> None:
    with pytest.raises(DesignError, match="not for generalized ones"):
        mixfit.mixed("y ~ x + (1|a) + (1|b)", crossed(30, 5), solver="iterative").with_family("t")


def test_draws_from_the_posterior_are_refused() -> None:
    fit = mixfit.mixed("y ~ x + (1|a) + (1|b)", crossed(200, 10), solver="iterative").fit()
    with pytest.raises(FitError, match="need a Cholesky factor"):
        fit.sample(draws=16, chains=1)


def test_one_factor_has_nothing_to_iterate_on() -> None:
    data = crossed(30, 10)
    exact = mixfit.mixed("y ~ x + (1|a)", data).fit()
    assert_allclose(mixfit.mixed("y ~ x + (1|a)", data, solver="iterative").fit().theta, exact.theta)


@pytest.mark.slow
def test_two_thousand_by_two_thousand() -> None:
    exact, found = fits(crossed(2000, 20), "y ~ x + (1|a) + (1|b)", reml=False)
    certificate = found.certificate
    assert certificate.converged
    assert certificate.sampling_error <= 1e-3
    assert largest_error(exact, found) <= SIGMAS * certificate.sampling_error
    assert abs(found.deviance - exact.deviance) <= SIGMAS * certificate.criterion_error
