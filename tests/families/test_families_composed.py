"""Families differentiated by jets: their densities against independent ones, and as distributions."""

from __future__ import annotations

import pickle
from decimal import Decimal, localcontext
from math import comb, factorial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gammaln, lambertw, logsumexp

from mixfit.errors import ParameterError
from mixfit.families.compois import ConwayMaxwellPoisson
from mixfit.families.counts import Poisson
from mixfit.families.dispersed import GeneralizedPoisson, NegativeBinomial1, log_bell_numbers, log_lambert
from mixfit.families.resolve import resolve_family
from mixfit.families.tweedie import Tweedie, log_series
from tests.families.cases import COMPOSED, case

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

_COUNTS = [f for f in COMPOSED if f.kind == "count"]


def bell_numbers(n: int) -> list[int]:
    numbers = [1]
    for k in range(n):
        numbers.append(sum(comb(k, j) * numbers[j] for j in range(k + 1)))
    return numbers


def compois(y: Array, mu: Array, phi: float) -> Array:
    """lambda by bisection of the mean of a long sum."""
    j, nu = np.arange(3000.0), 1.0 / phi
    out = np.empty(len(y))
    for i, (count, mean) in enumerate(zip(y, mu, strict=True)):
        weights = lambda log_lambda: j * log_lambda - nu * gammaln(j + 1.0)  # noqa: E731
        excess = lambda x: np.exp(logsumexp(weights(x), b=j + 1e-300) - logsumexp(weights(x))) - mean  # noqa: B023, E731
        x = brentq(excess, -20.0, 20.0 * nu, xtol=1e-14)
        out[i] = count * x - nu * gammaln(count + 1.0) - logsumexp(weights(x))
    return out


def density(name: str, y: Array, mu: Array, phi: float) -> Array:
    if name.startswith("truncated_"):
        whole = name.removeprefix("truncated_")
        return density(whole, y, mu, phi) - np.log1p(-np.exp(density(whole, np.zeros(len(y)), mu, phi)))
    match name:
        case "poisson":
            return np.asarray(stats.poisson.logpmf(y, mu))
        case "nbinom2":
            return np.asarray(stats.nbinom.logpmf(y, phi, phi / (phi + mu)))
        case "nbinom1":
            return np.asarray(stats.nbinom.logpmf(y, mu / phi, 1.0 / (1.0 + phi)))
        case "genpois":
            theta, rate = mu / np.sqrt(phi), 1.0 - 1.0 / np.sqrt(phi)
            return np.log(theta) + (y - 1.0) * np.log(theta + rate * y) - theta - rate * y - gammaln(y + 1.0)
        case "compois":
            return compois(y, mu, phi)
        case "bell":
            theta = np.real(lambertw(mu))
            numbers = bell_numbers(int(y.max()))
            ratio = np.array([np.log(numbers[int(k)]) - np.log(factorial(int(k))) for k in y])
            return np.asarray(y * np.log(theta) - np.expm1(theta) + ratio)
        case "lognormal":
            s2 = np.log1p((phi / mu) ** 2)
            return np.asarray(stats.lognorm.logpdf(y, np.sqrt(s2), scale=mu * np.exp(-0.5 * s2)))
        case "t":
            return np.asarray(stats.t.logpdf(y, 5.0, mu, phi))
        case "skewnormal":
            # The default, alpha = 1.
            delta = np.sqrt(0.5)
            omega = phi / np.sqrt(1.0 - 2.0 * delta**2 / np.pi)
            return np.asarray(stats.skewnorm.logpdf(y, 1.0, mu - omega * delta * np.sqrt(2.0 / np.pi), omega))
        case "tweedie":
            return tweedie(y, mu, phi, 1.5)
        case "weibull" | "exponential":
            return np.asarray(stats.weibull_min.logpdf(y, 1.0 / phi, scale=mu))
        case "lognormal_aft":
            return np.asarray(stats.lognorm.logpdf(y, phi, scale=mu))
        case "ordbeta":
            eta = np.log(mu / (1.0 - mu))
            above, top = 1.0 / (1.0 + np.exp(-2.0 - eta)), 1.0 / (1.0 + np.exp(2.0 - eta))
            inside = stats.beta.logpdf(np.clip(y, 1e-9, 1.0 - 1e-9), mu * phi, (1.0 - mu) * phi)
            middle = np.log(above - top) + inside
            return np.where(y == 0.0, np.log(1.0 - above), np.where(y == 1.0, np.log(top), middle))
    raise AssertionError(name)


def tweedie(y: Array, mu: Array, phi: float, p: float) -> Array:
    """A Poisson number of gamma variables, one by one."""
    rate, shape, scale = mu ** (2.0 - p) / (phi * (2.0 - p)), (2.0 - p) / (p - 1.0), phi * (p - 1.0) * mu ** (p - 1.0)
    n = np.arange(1.0, 3000.0)[:, None]
    parts = stats.poisson.logpmf(n, rate) + stats.gamma.logpdf(np.maximum(y, 1e-9), n * shape, scale=scale)
    return np.where(y > 0.0, logsumexp(parts, axis=0), -rate)


@pytest.mark.parametrize("family", COMPOSED, ids=repr)
def test_loglik_is_an_independent_density_times_the_weight(family: Family) -> None:
    c = case(family)
    wanted = c.prior * density(family.name, c.y, family.link.mean(c.eta), c.phi)
    assert_allclose(family.loglik(c.y, c.prior, c.eta, c.phi), wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("family", [f for f in _COUNTS if f.link.name == "log"], ids=repr)
def test_probabilities_sum_to_one_with_the_mean_and_variance_stated(family: Family, seed: int) -> None:
    rng = np.random.default_rng(seed)
    eta = rng.uniform(-2.0, 2.5, 4)
    # Below 1 the generalized Poisson distribution is not normalized.
    phi = float(rng.uniform(1.0 if "genpois" in family.name else 0.3, 3.0)) if family.has_dispersion else 1.0
    y = np.arange(family.support.lower, 2_000.0)[:, None]
    p = np.exp(family.loglik(y, np.ones(4), eta, phi))
    mean = (p * y).sum(axis=0)
    assert_allclose(p.sum(axis=0), 1.0, rtol=1e-11)
    assert_allclose(mean, family.response(eta, phi)[0], rtol=1e-9)
    assert_allclose((p * (y - mean) ** 2).sum(axis=0), family.variance(np.exp(eta), phi), rtol=1e-7)


@pytest.mark.parametrize("family", COMPOSED, ids=repr)
def test_the_slope_of_the_mean_response_is_its_difference(family: Family) -> None:
    c, h = case(family), 1e-5
    up, down = (family.response(c.eta + x, c.phi)[0] for x in (h, -h))
    assert_allclose(family.response(c.eta, c.phi)[1], (up - down) / (2.0 * h), rtol=1e-7)


@pytest.mark.parametrize("phi", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize(("y", "mu"), [(0, 0.5), (1, 1.5), (7, 5.0), (150, 140.0)])
def test_nbinom1_keeps_its_digits_up_to_the_poisson_limit(y: int, mu: float, phi: float) -> None:
    with localcontext() as context:
        context.prec = 60
        p, m = Decimal(phi), Decimal(mu)
        r = m / p
        rise = sum(((1 + j / r).ln() for j in range(y)), Decimal(0))
        excess = float(rise + m - (y + r) * (1 + p).ln())
    family, response, one, eta = NegativeBinomial1(), np.full(1, float(y)), np.ones(1), np.log([mu])
    limit = Poisson().loglik(response, one, eta, 1.0)
    assert_allclose(family.loglik(response, one, eta, phi) - limit, excess, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("family", [GeneralizedPoisson(), ConwayMaxwellPoisson()], ids=repr)
def test_families_about_poisson_are_poisson_at_one(family: Family) -> None:
    y, eta, one = np.array([0.0, 1.0, 7.0, 300.0]), np.log([0.1, 2.0, 5.0, 310.0]), np.ones(4)
    assert_allclose(family.loglik(y, one, eta, 1.0), Poisson().loglik(y, one, eta, 1.0), rtol=1e-12)


@pytest.mark.parametrize("phi", [0.05, 0.4, 2.5, 8.0])
@pytest.mark.parametrize("mu", [0.02, 3.0, 40.0, 2_000.0])
def test_compois_normalizes_means_near_and_far_from_zero(mu: float, phi: float) -> None:
    # Every whole number, whichever of them the family takes.
    j = np.arange(0.0, mu + 60.0 * np.sqrt(mu * phi + 1.0) + 200.0 * phi)
    log_p = ConwayMaxwellPoisson().loglik(j, np.ones(()), np.log(np.full((), mu)), phi)
    p = np.exp(log_p)
    assert_allclose([p.sum(), (p * j).sum()], [1.0, mu], rtol=1e-11)


def test_compois_of_a_large_mean_is_normalized() -> None:
    mu, phi = 1e6, 0.3
    j = np.round(mu) + np.arange(-8_000.0, 8_001.0)
    p = np.exp(ConwayMaxwellPoisson().loglik(j, np.ones(()), np.log(np.full((), mu)), phi))
    assert_allclose(p.sum(), 1.0, rtol=1e-9)


@pytest.mark.parametrize("phi", [1e-4, 0.3, 20.0])
@pytest.mark.parametrize("p", [1.05, 1.3, 1.7, 1.95])
def test_tweedie_densities_near_and_far_from_zero(p: float, phi: float) -> None:
    mu = np.array([0.05, 0.7, 3.0])
    y = np.array([0.02, 0.9, 2.5])
    wanted = tweedie(y, mu, phi, p) if phi > 1e-3 else None
    ours = Tweedie(power=p).loglik(y, np.ones(3), np.log(mu), phi)
    if wanted is not None:
        assert_allclose(ours, wanted, rtol=1e-10, atol=1e-10)
    assert np.isfinite(ours).all()


@pytest.mark.parametrize(
    "name", ["t", "skewnormal", "lognormal", "tweedie", "ordbeta", "weibull", "exponential", "lognormal_aft"]
)
def test_continuous_densities_integrate_to_one_with_the_mean_and_variance_stated(name: str) -> None:
    family = resolve_family(name)
    eta, phi = np.full(1, 0.4), 1.3
    lower, upper = family.support.lower, family.support.upper
    density = lambda y: np.exp(family.loglik(np.array([y]), np.ones(1), eta, phi))[0]  # noqa: E731
    ends = [e for e in (lower, upper) if family.support.closed and np.isfinite(e)]
    moments = np.zeros(3)
    for k in range(3):
        moments[k] = quad(lambda y, k=k: y**k * density(y), lower, upper, limit=400, epsabs=1e-11)[0]
        moments[k] += sum(e**k * density(e) for e in ends)
    mean = family.expectation(eta, phi)[0]
    assert_allclose(moments[:2], [1.0, mean], rtol=1e-7)
    assert_allclose(moments[2] - moments[1] ** 2, family.variance(family.link.mean(eta), phi)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "values"),
    [("t(df=4)", {"df": 4.0}), ("tweedie(log, power=1.6)", {"power": 1.6}), ("skewnormal(alpha=-2)", {"alpha": -2.0})],
)
def test_shapes_may_be_known(text: str, values: dict[str, float]) -> None:
    family = resolve_family(text)
    assert family.shape_values == pytest.approx(values)
    assert family.free == ()
    assert family.at(np.empty(0)) is family
    assert repr(resolve_family(repr(family))) == repr(family)
    assert pickle.loads(pickle.dumps(family)).shape_values == family.shape_values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t(df=-1)", "df of t cannot be -1"),
        ("tweedie(power=2)", "power of tweedie cannot be 2"),
        ("tweedie(pwer=1.5)", "tweedie has the parameters power, and none called 'pwer'"),
        ("poisson(df=3)", "poisson has no further parameters, and none called 'df'"),
        ("nbinom2(theta=high)", "theta = high in nbinom2.* is no number"),
        ("t(identity, log)", "has two links"),
    ],
)
def test_shapes_that_cannot_be_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_family(text)


def test_bell_numbers() -> None:
    wanted = [float(np.log(float(b))) for b in bell_numbers(60)]
    assert_allclose(log_bell_numbers(np.arange(61.0)), wanted, rtol=1e-13, atol=1e-13)


def test_lambert_of_any_size() -> None:
    log_mu = np.array([-600.0, -1.0, 0.0, 3.0, 499.0, 501.0, 1e5])
    theta = log_lambert(log_mu)
    assert_allclose(theta + np.log(theta), log_mu, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("tweedie", [1.0, -1.0, 2.0], r"tweedie response is not negative; 'y' is \(1 of 3 rows, the first is row 1"),
        ("ordbeta", [1.0, 0.5, 2.0], r"ordbeta response lies in \[0, 1\]; 'y' does not \(1 of 3 rows"),
        ("truncated_poisson", [1.0, 0.0, 2.0], r"truncated_poisson response is at least 1; 'y' is not \(1 of 3 rows"),
        ("truncated_nbinom2", [1.0, 1.5, 2.0], r"truncated_nbinom2 response is a whole number"),
        ("nbinom1", [1.0, -1.0, 2.0], r"nbinom1 response is not negative; 'y' is"),
        ("lognormal", [1.0, 0.0, 2.0], r"lognormal response is positive; 'y' is not \(1 of 3 rows, the first is row 1"),
        ("bell", [1.0, 2e4, 2.0], r"known up to 10000; 'y' is larger"),
    ],
)
def test_responses_outside_the_support_are_named(name: str, y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_family(name).check(np.array(y), np.ones(3), "y")


@pytest.mark.parametrize("family", [f for f in COMPOSED if f.shapes], ids=repr)
def test_values_of_shapes_lead_back_to_their_coordinates(family: Family) -> None:
    rng = np.random.default_rng(3)
    moved = family.at(rng.normal(size=len(family.free)))
    assert_allclose(moved.coordinates_of(moved.shape_values), [moved.psi[i] for i in moved.free], rtol=1e-9)


def test_cut_points_out_of_order_cannot_be_stated() -> None:
    with pytest.raises(ParameterError, match="the first the smaller: not"):
        resolve_family("ordbeta").coordinates_of({"lower": 0.8, "upper": 0.1})


@pytest.mark.parametrize("spread", [0.1, 4.0, 30.0])
def test_tweedies_series_is_the_same_by_a_table_and_row_by_row(spread: float) -> None:
    log_z = spread * np.random.default_rng(2).normal(size=300)
    together = log_series(log_z, np.full(300, 0.8), higher=True)
    # Shapes that are not all alike have no table.
    apart = log_series(np.append(log_z, 1.0), np.append(np.full(300, 0.8), 2.0), higher=True)
    for own, other in zip(together, apart, strict=True):
        assert_allclose(own, other[:-1], rtol=1e-10, atol=1e-12)
    alone = [log_series(z, np.array([0.8])) for z in log_z[:20, None]]
    assert_allclose(np.array(together[:3])[:, :20], np.hstack([np.array(one) for one in alone]), rtol=1e-10)
