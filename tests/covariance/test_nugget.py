"""A nugget beside a field: the same model as the field's random effects beside independent residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit import machine
from mixfit.covariance.nugget import Nugget
from mixfit.covariance.spatial import Exponential, Gaussian, Matern, OrnsteinUhlenbeck
from mixfit.covariance.structure import Containment
from mixfit.errors import DesignError, FormulaError

FIELDS = {"ou": OrnsteinUhlenbeck, "exp": Exponential, "gau": Gaussian, "mat": Matern}


def series(*, nugget: float = 0.4, rate: float = 0.7, seed: int = 1) -> pd.DataFrame:
    """Twenty series of eight times of their own each."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.uniform(0.0, 10.0, (20, 8)), axis=1)
    c = np.exp(-rate * np.abs(t[:, :, None] - t[:, None]))
    z = np.einsum("gij,gj->gi", np.linalg.cholesky(c), rng.standard_normal(t.shape))
    y = 1.0 + z + nugget * rng.standard_normal(t.shape)
    g = np.repeat([f"s{i}" for i in range(20)], 8)
    return pd.DataFrame({"y": y.ravel(), "t": t.ravel(), "g": g, "x": rng.standard_normal(160)})


def structure(name: str) -> Nugget:
    positions = ((0.0,), (0.4,), (1.5,), (4.0,))
    return Nugget(4, positions, FIELDS[name](4, positions))


def psi(name: str) -> np.ndarray:
    return np.array([1.3, 0.6, *([0.8] if name == "mat" else []), 0.3])


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("name", ["ou", "exp", "gau", pytest.param("mat", marks=pytest.mark.slow)])
def test_it_is_the_fit_of_random_effects_beside_independent_residuals(name: str, reml: bool) -> None:
    frame = series()
    effects = mixfit.mixed(f"y ~ x + {name}(0 + t | g)", frame).fit(reml=reml)
    fit = mixfit.mixed("y ~ x", frame, residual=f"{name}(t | g, nugget)").fit(reml=reml)
    assert fit.converged
    assert fit.llf == pytest.approx(effects.llf, abs=1e-6)
    assert_allclose(fit.params, effects.params, atol=1e-4)
    assert_allclose(fit.bse, effects.bse, rtol=1e-4)
    (own,) = effects.varcorr().components
    total = own.values[0] ** 2 + effects.sigma**2
    (residual,) = fit.varcorr().residual
    assert residual.values[0] ** 2 == pytest.approx(total, rel=1e-3)
    assert residual.values[-1] == pytest.approx(effects.sigma**2 / total, abs=1e-3)


@pytest.mark.parametrize("name", FIELDS)
def test_slopes_and_bends_are_those_of_differences(name: str) -> None:
    s, at, h = structure(name), psi(name), 1e-5
    n = np.random.default_rng(2).standard_normal((4, 4))
    n = n + n.T
    slopes, bends = s.slopes(at), s.bend_forms(at, n)
    for a in range(len(at)):
        step = np.zeros(len(at))
        step[a] = h
        up, down = at + step, at - step
        assert_allclose(slopes[a], (s.covariance(up) - s.covariance(down)) / (2.0 * h), atol=1e-8)
        around = np.tensordot(s.slopes(up) - s.slopes(down), n, 2) / (2.0 * h)
        assert_allclose(bends[a], around, atol=1e-6)


@pytest.mark.parametrize("name", FIELDS)
def test_steps_in_its_coordinates_go_where_their_rates_say(name: str) -> None:
    s, at, h = structure(name), psi(name), 1e-5
    nothing = np.zeros(len(at), dtype=bool)
    for a in range(len(at)):
        step = np.zeros(len(at))
        step[a] = h
        up, down = s.stepped(at, step, nothing), s.stepped(at, -step, nothing)
        assert_allclose(s.rates(at)[:, a], (up - down) / (2.0 * h), atol=1e-7)
        assert_allclose(s.rate_bends(at)[:, a, a], (up - 2.0 * at + down) / h**2, atol=1e-4)


def test_without_noise_it_is_at_its_bound_and_the_field_alone() -> None:
    frame = series(nugget=0.0)
    fit = mixfit.mixed("y ~ x", frame, residual="ou(t | g, nugget)").fit()
    alone = mixfit.mixed("y ~ x", frame, residual="car1(t | g)").fit()
    assert fit.converged
    assert fit.llf >= alone.llf - 1e-6
    if fit.varcorr().residual[0].values[-1] == 0.0:
        assert fit.llf == pytest.approx(alone.llf, abs=1e-6)


def test_independent_rows_are_a_limit_that_is_reached() -> None:
    frame = series(rate=1e6)
    fit = mixfit.mixed("y ~ x", frame, residual="exp(t | g, nugget)").fit(reml=False)
    assert fit.converged
    assert fit.llf >= mixfit.mixed("y ~ x + (1 | g)", frame).fit(reml=False).llf - 3.0
    ols = frame["y"] - np.polynomial.polynomial.polyval(frame["x"], np.polyfit(frame["x"], frame["y"], 1)[::-1])
    independent = -80.0 * (np.log(2.0 * np.pi * np.mean(ols**2)) + 1.0)
    assert fit.llf >= independent - 1e-6


def test_it_holds_the_field_on_a_bound_and_other_nuggets_by_their_fields() -> None:
    ou, exp, gau = structure("ou"), structure("exp"), structure("gau")
    assert ou.contains(ou.smooth) is Containment.BOUNDARY
    assert ou.contains(exp) is Containment.INSIDE
    assert ou.contains(gau) is None


@pytest.mark.parametrize("option", ["nugget", "nugget=TRUE", "nugget = True"])
def test_a_random_term_has_none(option: str) -> None:
    with pytest.raises(FormulaError, match=r"ou\(0\+t \| g, nugget.* residuals are the nugget"):
        mixfit.mixed(f"y ~ x + ou(0+t | g, {option})", series())
    assert mixfit.mixed("y ~ x", series(), residual=f"ou(t | g, {option})").fit().converged


def test_other_options_are_refused_by_name() -> None:
    with pytest.raises(FormulaError, match="'nugget=FALSE'"):
        mixfit.mixed("y ~ x", series(), residual="exp(t | g, nugget=FALSE)")
    with pytest.raises(FormulaError, match="'nugget'"):
        mixfit.mixed("y ~ x", series(), residual="homcs(t | g, nugget)")


def test_more_places_than_the_machine_holds_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SMALL_MEMORY", 0.0)
    monkeypatch.setattr(machine, "machine_memory", lambda: 1e5)
    with pytest.raises(DesignError, match=r'ou\(0\+t \| g\): each of 160 places .* residual="ou\(t \| g, nugget\)"'):
        mixfit.mixed("y ~ x + ou(0+t | g)", series())
    assert mixfit.mixed("y ~ x", series(), residual="ou(t | g, nugget)").fit().converged


def test_places_that_differ_behind_the_sixth_digit_have_names_of_their_own() -> None:
    frame = series()
    frame["t"] = 1.0 + 1e-7 * frame["t"]
    assert mixfit.mixed("y ~ x", frame, residual="car1(t | g)").fit().converged
    names = mixfit.mixed("y ~ x + ou(0 + t | g)", frame).design.random[0].columns
    assert len(set(names)) == 160


def test_another_option_is_told_from_the_nugget() -> None:
    teeth = mixfit.datasets.load("orthodont")
    with pytest.raises(FormulaError, match="takes no option but nugget, and was given 'nugt'"):
        mixfit.mixed("distance ~ age", teeth, residual="ou(age | Subject, nugt)")
    with pytest.raises(FormulaError, match="takes no option, and was given 'nugget'"):
        mixfit.mixed("distance ~ age", teeth, residual="ar1(age | Subject, nugget)")
