"""Families of times to an event, some of them censored: survival functions, and their derivatives."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad

from mixfit.errors import DataError
from mixfit.families.resolve import resolve_family
from tests.families.cases import PHI, case
from tests.families.test_families_derivatives import central, close

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

NAMES = ["weibull", "exponential", "lognormal_aft"]


def log_survival(name: str, t: Array, mu: Array, phi: float) -> Array:
    if name == "lognormal_aft":
        return np.asarray(stats.lognorm.logsf(t, phi, scale=mu))
    return np.asarray(stats.weibull_min.logsf(t, 1.0 / phi, scale=mu))


@pytest.mark.parametrize("name", NAMES)
def test_censored_rows_count_with_the_survival_function(name: str) -> None:
    c = case(resolve_family(name))
    wanted = c.prior * log_survival(name, c.y, np.exp(c.eta), c.phi)
    assert_allclose(c.family.loglik(-c.y, c.prior, c.eta, c.phi), wanted, rtol=1e-11)


@pytest.mark.parametrize("phi", [0.2, 1.0, 1.8])
@pytest.mark.parametrize("name", NAMES)
def test_density_until_a_time_and_survival_beyond_it_make_one(name: str, phi: float) -> None:
    family, one, eta = resolve_family(name), np.ones(1), np.full(1, 0.3)
    phi = 1.0 if name == "exponential" else phi
    for end in (0.1, 1.0, 4.0):
        # In the logarithm of the time, where no density has a pole.
        before = quad(
            lambda s: np.exp(s + family.loglik(np.exp([s]), one, eta, phi)[0]), -60.0, np.log(end), limit=400
        )[0]
        beyond = np.exp(family.loglik(np.array([-end]), one, eta, phi)[0])
        assert_allclose(before + beyond, 1.0, rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_rows_that_are_seen_and_censored(name: str) -> None:
    c = case(resolve_family(name))
    y = np.where(np.arange(len(c.y)) % 3 == 0, -c.y, c.y)
    at = c.family.terms(y, c.prior, c.eta, c.phi)
    close(at.score, central(lambda h: c.family.loglik(y, c.prior, c.eta + h, c.phi)))
    close(-at.observed, central(lambda h: c.family.terms(y, c.prior, c.eta + h, c.phi).score))
    close(at.weight_slope, central(lambda h: c.family.terms(y, c.prior, c.eta + h, c.phi).weight))
    if not c.family.has_dispersion:
        return
    moved = c.family.dispersion_terms(y, c.prior, c.eta, c.phi)
    close(moved.loglik, central(lambda h: c.family.loglik(y, c.prior, c.eta, c.phi * np.exp(h))))
    close(moved.score, central(lambda h: c.family.terms(y, c.prior, c.eta, c.phi * np.exp(h)).score))
    close(moved.weight, central(lambda h: c.family.terms(y, c.prior, c.eta, c.phi * np.exp(h)).weight))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", NAMES)
def test_everything_stays_finite_far_from_the_data(name: str, sign: float) -> None:
    family, phi = resolve_family(name), PHI.get(name, 1.0)
    eta = np.array([-700.0, -100.0, -20.0, 20.0, 100.0, 700.0])
    y, one = np.full(6, sign * 2.0), np.ones(6)
    at = family.terms(y, one, eta, phi)
    for values in (at.score, at.observed, at.weight_slope, at.expected, family.loglik(y, one, eta, phi)):
        assert np.isfinite(values).all()
    # Of concave log densities the score points back.
    assert (at.score[:3] > 0.0).all()
    assert (at.score[3:] <= 0.0).all() if sign > 0.0 else (at.score[3:] >= 0.0).all()


@pytest.mark.parametrize("name", NAMES)
def test_logarithms_of_times_have_the_latent_variance(name: str) -> None:
    family, phi = resolve_family(name), PHI.get(name, 1.0)
    drawn = np.log(family.simulate(np.full(200_000, 3.0), np.ones(200_000), phi, np.random.default_rng(1)))
    assert_allclose(drawn.var(), family.latent_variance(phi, lambda: 1.0, 1.0), rtol=0.02)


def test_the_exponential_is_the_weibull_of_scale_one() -> None:
    c = case(resolve_family("exponential"))
    assert_allclose(
        resolve_family("weibull(phi=1)").loglik(c.y, c.prior, c.eta, 1.0), c.family.loglik(c.y, c.prior, c.eta, 1.0)
    )


@pytest.mark.parametrize("name", NAMES)
def test_families_are_pickled(name: str) -> None:
    again = pickle.loads(pickle.dumps(resolve_family(name)))
    assert again.censors
    assert again.name == name


def test_a_time_of_zero_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"A time to an event is positive; 'y' is not \(1 of 2 rows, the first is row 1"
    ):
        resolve_family("weibull").check(np.array([-1.0, 0.0]), np.ones(2), "y")
