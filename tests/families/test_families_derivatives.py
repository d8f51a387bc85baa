"""Derivatives of every log density against central differences, its information, and its far tails."""

from __future__ import annotations

import warnings
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate
from scipy.special import log_ndtr

from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Binomial
from mixfit.families.resolve import resolve_family
from tests.families.cases import COMPOSED, EVERY, TRIALS, case, middle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]


def central(f: Callable[[float], Array], h: float = 1e-4) -> Array:
    """Central difference at zero with an error of order h**4."""
    return (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)


def close(actual: Array, wanted: Array) -> None:
    assert_allclose(actual, wanted, rtol=1e-7, atol=1e-7 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("family", EVERY + COMPOSED, ids=repr)
def test_derivatives_in_the_predictor(family: Family) -> None:
    c = case(family)
    at = family.terms(c.y, c.prior, c.eta, c.phi)
    close(at.score, central(lambda h: family.loglik(c.y, c.prior, c.eta + h, c.phi)))
    close(-at.observed, central(lambda h: family.terms(c.y, c.prior, c.eta + h, c.phi).score))
    close(at.weight_slope, central(lambda h: family.terms(c.y, c.prior, c.eta + h, c.phi).weight))


@pytest.mark.parametrize("family", [f for f in EVERY + COMPOSED if f.has_dispersion], ids=repr)
def test_derivatives_in_the_dispersion(family: Family) -> None:
    c = case(family)
    at = family.dispersion_terms(c.y, c.prior, c.eta, c.phi)
    close(at.loglik, central(lambda h: family.loglik(c.y, c.prior, c.eta, c.phi * np.exp(h))))
    close(at.score, central(lambda h: family.terms(c.y, c.prior, c.eta, c.phi * np.exp(h)).score))
    close(at.weight, central(lambda h: family.terms(c.y, c.prior, c.eta, c.phi * np.exp(h)).weight))


@pytest.mark.parametrize("family", [f for f in COMPOSED if f.free], ids=repr)
def test_derivatives_in_the_shapes(family: Family) -> None:
    c = case(family)
    psi = np.array(family.psi)
    for a, at in enumerate(family.shape_terms(c.y, c.prior, c.eta, c.phi)):
        e = np.eye(len(psi))[a]
        close(at.loglik, central(lambda h, e=e: family.at(psi + h * e).loglik(c.y, c.prior, c.eta, c.phi)))
        close(at.score, central(lambda h, e=e: family.at(psi + h * e).terms(c.y, c.prior, c.eta, c.phi).score))
        close(at.weight, central(lambda h, e=e: family.at(psi + h * e).terms(c.y, c.prior, c.eta, c.phi).weight))


@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_weight_is_the_curvature_that_the_family_promises(family: Family) -> None:
    c = case(family)
    at = family.terms(c.y, c.prior, c.eta, c.phi)
    assert_allclose(at.weight, at.expected if family.expected_weights else at.observed, rtol=1e-12)
    if family.canonical == family.link.name:
        assert_allclose(at.observed, at.expected, rtol=1e-10)


@pytest.mark.parametrize("family", [f for f in EVERY + COMPOSED if not f.has_dispersion], ids=repr)
def test_families_without_a_dispersion_say_so(family: Family) -> None:
    c = case(family)
    with pytest.raises(NotImplementedError, match="has no dispersion"):
        family.dispersion_terms(c.y, c.prior, c.eta, 1.0)


def moments(family: Family, eta: float, trials: int, phi: float) -> tuple[float, float, float]:
    """E[1], E[l'], E[-l''] over the distribution of one response."""

    def integrand(y: Array, prior: float) -> Array:
        e, w = np.full(len(y), eta), np.full(len(y), prior)
        at = family.terms(y, w, e, phi)
        return np.exp(family.loglik(y, w, e, phi)) * np.array([np.ones(len(y)), at.score, at.observed])

    if family.name in TRIALS:
        total = integrand(np.arange(trials + 1) / trials, float(trials)).sum(axis=1)
    elif family.name in ("poisson", "nbinom2"):
        total = integrand(np.arange(2_000.0), 1.0).sum(axis=1)
    elif family.name == "beta":
        total = integrate.quad_vec(lambda y: integrand(np.array([y]), 1.0)[:, 0], 0.0, 1.0, epsabs=1e-10)[0]
    else:
        low = -np.inf if family.name == "gaussian" else 0.0
        total = integrate.quad_vec(lambda y: integrand(np.array([y]), 1.0)[:, 0], low, np.inf, epsabs=1e-10)[0]
    return tuple(total)


@pytest.mark.parametrize(
    ("family", "trials"), [(f, m) for f in EVERY for m in ((1, 6) if f.name in TRIALS else (1,))], ids=repr
)
def test_expected_curvature_is_the_mean_of_the_observed(family: Family, trials: int) -> None:
    centre, spread = middle(family)
    phi = case(family).phi
    for eta in (centre - 0.5 * spread, centre + 0.5 * spread):
        one, score, observed = moments(family, eta, trials, phi)
        assert_allclose([one, score], [1.0, 0.0], atol=1e-7)
        # The beta-binomial's is an approximation beyond one trial.
        at = family.terms(np.array([0.5]), np.array([float(trials)]), np.array([eta]), phi)
        exact = family.name != "betabinomial" or trials == 1
        assert_allclose(at.expected[0], observed, rtol=1e-6 if exact else 0.3)


FAR = np.array([-1e6, -1e3, -200.0, -40.0, -20.0, 20.0, 40.0, 200.0, 1e3, 1e6])
ANYWHERE = ("logit", "probit", "cloglog", "cauchit", "log", "sqrt")


def far_responses(family: Family) -> list[float]:
    if family.name in TRIALS:
        return [0.0, 0.5, 1.0]
    if family.kind == "count":
        return [family.support.lower, 3.0, 1000.0]
    if family.name in ("tweedie", "ordbeta"):
        return [0.0, 0.5, 1.0]
    return [0.01, 0.5, 0.99] if family.name == "beta" else [0.01, 1.0, 50.0]


FAR_FAMILIES = [f for f in EVERY + COMPOSED if f.link.name in ANYWHERE]


@pytest.mark.parametrize("y", [0, 1, 2])
@pytest.mark.parametrize("family", FAR_FAMILIES, ids=repr)
def test_far_predictors_leave_the_log_density_a_number(family: Family, y: int) -> None:
    response, prior = np.full(len(FAR), far_responses(family)[y]), np.full(len(FAR), 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(all="ignore"):
            loglik = family.loglik(response, prior, FAR, case(family).phi)
    assert not np.isnan(loglik).any()
    assert (loglik < np.inf).all()


@pytest.mark.parametrize("y", [0, 1, 2])
@pytest.mark.parametrize("family", FAR_FAMILIES, ids=repr)
def test_far_predictors_leave_the_derivatives_numbers(family: Family, y: int) -> None:
    response, prior = np.full(len(FAR), far_responses(family)[y]), np.full(len(FAR), 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at = family.terms(response, prior, FAR, case(family).phi)
    for name in ("score", "weight", "weight_slope", "observed", "expected"):
        assert np.isfinite(getattr(at, name)).all(), name
    assert (at.expected >= 0.0).all()


@pytest.mark.parametrize("y", [0, 1, 2])
@pytest.mark.parametrize("family", [f for f in FAR_FAMILIES if f.has_dispersion], ids=repr)
def test_far_predictors_leave_the_derivatives_in_the_dispersion_numbers(family: Family, y: int) -> None:
    response, prior = np.full(len(FAR), far_responses(family)[y]), np.full(len(FAR), 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at = family.dispersion_terms(response, prior, FAR, case(family).phi)
    for name in ("loglik", "score", "weight"):
        assert np.isfinite(getattr(at, name)).all(), name


@pytest.mark.parametrize("phi", [0.3, 19.0, 21.0, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize(("y", "mu"), [(0, 0.5), (1, 1.5), (2, 2.0), (7, 5.0), (150, 140.0)])
def test_the_negative_binomial_keeps_its_digits_up_to_the_poisson_limit(y: int, mu: float, phi: float) -> None:
    # Gamma(y + phi) / (Gamma(phi) phi^y) as the product that it is, in fifty digits.
    with localcontext() as context:
        context.prec = 50
        p, m = Decimal(phi), Decimal(mu)
        rise = sum(((1 + j / p).ln() for j in range(y)), Decimal(0))
        excess = float(rise + m - (y + p) * (1 + m / p).ln())
        slope = p * (sum((-j / (p * (p + j)) for j in range(y)), Decimal(0)) - (1 + m / p).ln())
        slope = float(slope + m * (y + p) / (p + m))
    family, response, one, eta = NegativeBinomial(), np.full(1, float(y)), np.ones(1), np.log([mu])
    limit = Poisson().loglik(response, one, eta, 1.0)
    assert_allclose(family.loglik(response, one, eta, phi) - limit, excess, rtol=1e-12, atol=1e-12)
    actual = family.dispersion_terms(response, one, eta, phi).loglik
    assert_allclose(actual, slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("family", "exact"),
    [
        pytest.param(Binomial(link), exact, id=link)
        for link, exact in (("probit", lambda e: log_ndtr(-e)), ("cloglog", lambda e: -np.exp(e)))
    ]
    + [
        pytest.param(Binomial("logit"), lambda e: -np.logaddexp(0.0, e), id="logit"),
        pytest.param(Binomial("cauchit"), lambda e: np.log(np.arctan2(1.0, e) / np.pi), id="cauchit"),
    ],
)
def test_failures_at_high_predictors_keep_their_digits(family: Family, exact: Callable[[Array], Array]) -> None:
    eta = np.array([1.0, 3.0, 3.4, 4.0, 6.0, 7.0, 9.0])
    zero, one = np.zeros(len(eta)), np.ones(len(eta))
    assert_allclose(family.loglik(zero, one, eta, 1.0), exact(eta), rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "eta"),
    [
        ("binomial(log)", 0.1),
        ("poisson(identity)", -0.5),
        ("nbinom2(identity)", -0.5),
        ("gamma(identity)", -0.5),
        ("gamma(inverse)", -0.5),
        ("inverse.gaussian(identity)", -0.5),
        ("inverse.gaussian(1/mu^2)", -0.5),
        ("inverse.gaussian(inverse)", -0.5),
    ],
)
def test_means_outside_the_support_have_no_density(family: str, eta: float) -> None:
    resolved = resolve_family(family)
    for y in [0.0, 1.0] if resolved.name in ("binomial", "poisson", "nbinom2") else [0.5, 2.0]:
        with np.errstate(all="ignore"):
            loglik = resolved.loglik(np.array([y]), np.ones(1), np.array([eta]), 1.5)
        # NaN is refused by every comparison of the optimizer, as -inf is.
        assert not loglik[0] > -np.inf
