"""Families of ordered categories: probabilities, and derivatives in predictor, thresholds and scale."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import cauchy, gumbel_l, gumbel_r, logistic, norm

from mixfit.errors import FitError
from mixfit.families.cells import KINDS
from mixfit.families.latent import LATENT, log_between
from mixfit.families.ordinal import Adjacent, ContinuationRatio, Cumulative, Ordinal, StoppingRatio
from mixfit.families.resolve import resolve_family
from mixfit.families.thresholds import thresholds_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_N, _K = 60, 4
SCIPY = {"logit": logistic, "probit": norm, "cloglog": gumbel_l, "loglog": gumbel_r, "cauchit": cauchy}
CLASSES: tuple[type[Ordinal], ...] = (Cumulative, StoppingRatio, ContinuationRatio, Adjacent)
FAMILIES = [cls(link) for cls in CLASSES for link in LATENT]


def placed(family: Ordinal, *, effects: bool = True) -> Ordinal:
    """The family of four categories, with a nominal and a scale column, at thresholds of some kind."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(_N, 2))
    nominal = np.column_stack([np.ones(_N), x[:, 0]]) if effects else None
    own = family.of(list("abcd"), nominal, x[:, 1:] if effects else None)
    psi = np.array([-1.0, 0.3, 1.4, 0.1, 0.05, 0.12, 0.2]) if effects else np.array([-1.0, 0.3, 1.4])
    return own.at(psi)


def rows() -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(2)
    return rng.integers(1, _K + 1, _N).astype(float), rng.uniform(0.5, 2.0, _N), 1.5 * rng.normal(size=_N)


def difference(f, h: float = 1e-5):
    """Central, with the error of the second order taken away."""
    return (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)


@pytest.mark.parametrize("name", LATENT)
def test_latent_distributions_are_those_of_scipy(name: str) -> None:
    x = np.linspace(-6.0, 3.0, 40)
    own, known = LATENT[name], SCIPY[name]
    assert_allclose(own.log_below(x), known.logcdf(x), rtol=1e-12, atol=1e-15)
    assert_allclose(own.log_above(x), known.logsf(x), rtol=1e-12, atol=1e-15)
    assert_allclose(own.log_density(x), known.logpdf(x), rtol=1e-12)
    assert_allclose(own.bend(x), difference(lambda h: own.log_density(x + h), 1e-3), rtol=1e-8, atol=1e-8)
    assert_allclose(own.twist(x), difference(lambda h: own.bend(x + h), 1e-3), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", LATENT)
def test_narrow_cells_keep_their_digits(name: str) -> None:
    own = LATENT[name]
    centres = (-2.5, 0.0, 2.5) if name in ("cloglog", "loglog") else (-30.0, -2.5, 0.0, 2.5, 30.0)
    upper, lower = np.array(centres) + 1e-6, np.array(centres)
    middle = 0.5 * (upper + lower)
    assert_allclose(
        log_between(own, upper, lower), own.log_density(middle) + np.log(upper - lower), rtol=1e-7, atol=1e-7
    )


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_probabilities_add_up_to_one(family: Ordinal) -> None:
    own = placed(family)
    eta = np.stack([rows()[2], np.linspace(-40.0, 40.0, _N)])
    assert_allclose(own.probabilities(eta).sum(axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize("link", LATENT)
def test_each_kind_is_what_defines_it(link: str) -> None:
    eta = rows()[2]
    F = SCIPY[link].cdf
    tau = np.array([-1.0, 0.3, 1.4])[:, None]
    made = {cls: placed(cls(link), effects=False).probabilities(eta) for cls in CLASSES}
    assert_allclose(np.cumsum(made[Cumulative], axis=0)[:-1], F(tau - eta), rtol=1e-10)
    beyond = np.cumsum(made[StoppingRatio][::-1], axis=0)[::-1]
    assert_allclose(made[StoppingRatio][:-1] / beyond[:-1], F(tau - eta), rtol=1e-10)
    beyond = np.cumsum(made[ContinuationRatio][::-1], axis=0)[::-1]
    assert_allclose(beyond[1:] / beyond[:-1], F(eta - tau), rtol=1e-10)
    p = made[Adjacent]
    assert_allclose(p[1:] / (p[1:] + p[:-1]), F(eta - tau), rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_derivatives_are_those_of_differences(family: Ordinal) -> None:
    y, prior, eta = rows()
    own = placed(family)
    terms = own.terms(y, prior, eta, 1.0)
    assert_allclose(terms.score, difference(lambda h: own.loglik(y, prior, eta + h, 1.0), 1e-3), rtol=1e-7, atol=1e-8)
    along = difference(lambda h: own.terms(y, prior, eta + h, 1.0).score, 1e-3)
    assert_allclose(-terms.observed, along, rtol=1e-7, atol=1e-8)
    along = difference(lambda h: own.terms(y, prior, eta + h, 1.0).observed, 1e-3)
    assert_allclose(terms.weight_slope, along, rtol=1e-6, atol=1e-7)
    psi = np.array(own.psi)
    assert len(own.shape_terms(y, prior, eta, 1.0)) == len(psi)
    for j, found in enumerate(own.shape_terms(y, prior, eta, 1.0)):
        e = np.eye(len(psi))[j]
        along = difference(lambda h, e=e: own.at(psi + h * e).loglik(y, prior, eta, 1.0), 1e-3)
        assert_allclose(found.loglik, along, rtol=1e-6, atol=1e-8)
        along = difference(lambda h, e=e: own.at(psi + h * e).terms(y, prior, eta, 1.0).score, 1e-3)
        assert_allclose(found.score, along, rtol=1e-6, atol=1e-8)
        along = difference(lambda h, e=e: own.at(psi + h * e).terms(y, prior, eta, 1.0).observed, 1e-3)
        assert_allclose(found.weight, along, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("family", [f for f in FAMILIES if KINDS[f.density].concave(f.latent)], ids=repr)
def test_curvatures_together_are_those_of_the_density(family: Ordinal) -> None:
    y, prior, eta = rows()
    own = placed(family, effects=False)
    found, psi = own.coupling(y, prior, eta, 1.0), np.array(own.psi)
    assert_allclose(found.weight, own.terms(y, prior, eta, 1.0).observed, rtol=1e-9, atol=1e-9)
    for j in range(len(psi)):
        e = np.eye(len(psi))[j]
        assert_allclose(found.cross[j], -own.shape_terms(y, prior, eta, 1.0)[j].score, rtol=1e-9, atol=1e-12)

        def slopes(h: float, e: Array = e) -> Array:
            return np.array([d.loglik.sum() for d in own.at(psi + h * e).shape_terms(y, prior, eta, 1.0)])

        assert_allclose(found.tail[j], -difference(slopes, 1e-3), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_nothing_overflows_far_out(family: Ordinal) -> None:
    y, prior, _ = rows()
    own = placed(family, effects=False)
    for eta in (-700.0, -50.0, 50.0, 700.0):
        at = np.full(_N, eta)
        terms = own.terms(y, prior, at, 1.0)
        assert np.isfinite(own.loglik(y, prior, at, 1.0)).all()
        assert all(np.isfinite(d).all() for d in (terms.score, terms.observed, terms.weight_slope, terms.expected))


def test_thresholds_out_of_order_have_no_density() -> None:
    own = Cumulative().of(list("abc")).at(np.array([1.0, 0.0]))
    assert own.loglik(np.array([2.0]), np.ones(1), np.zeros(1), 1.0) == -np.inf


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_moments_and_draws_are_of_the_numbers(family: Ordinal) -> None:
    own = placed(family)
    eta = rows()[2]
    numbers = np.arange(1.0, _K + 1.0)
    p = own.probabilities(eta)
    mean, slope = own.response(eta, 1.0)
    assert_allclose(mean, numbers @ p)
    assert_allclose(slope, difference(lambda h: own.expectation(eta + h, 1.0), 1e-3), rtol=1e-7, atol=1e-9)
    drawn = own.simulate(np.tile(eta, (4000, 1)), np.ones(_N), 1.0, np.random.default_rng(3))
    assert set(np.unique(drawn)) <= set(numbers)
    # Four standard errors of 4,000 draws.
    assert (np.abs(drawn.mean(axis=0) - mean) < 4.0 * np.sqrt(own.variance(eta, 1.0) / 4000.0)).all()


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_a_start_has_the_shares_of_the_categories(family: Ordinal) -> None:
    y = np.repeat(np.arange(1.0, 5.0), [5, 20, 10, 25])
    own = family.of(list("abcd")).start(y, np.ones(len(y)))
    assert_allclose(own.probabilities(np.zeros(1))[:, 0], np.array([5, 20, 10, 25]) / 60.0, rtol=1e-6)


def test_structures_are_those_of_ordinal() -> None:
    # makeThresholds of ordinal 2022.11-16.
    five = {
        "symmetric": [[1, 0, -1], [1, 0, 0], [0, 1, 0], [0, 1, 1]],
        "symmetric2": [[0, -1], [-1, 0], [1, 0], [0, 1]],
        "equidistant": [[1, 0], [1, 1], [1, 2], [1, 3]],
    }
    six = {"symmetric": [[1, 0, -1], [1, -1, 0], [1, 0, 0], [1, 1, 0], [1, 0, 1]]}
    for categories, structures in (("abcde", five), ("abcdef", six)):
        for name, J in structures.items():
            assert thresholds_of(name, list(categories)).J.tolist() == J
    assert thresholds_of("symmetric", list("abcde")).names == ("central.1", "central.2", "spacing.1")
    assert thresholds_of("symmetric", list("abcdef")).names == ("central", "spacing.1", "spacing.2")
    with pytest.raises(FitError, match="three categories"):
        thresholds_of("equidistant", ["a", "b"])


def test_families_are_found_by_name_and_refuse_what_they_are_not() -> None:
    assert repr(resolve_family("cumulative")) == "cumulative(logit)"
    found = resolve_family("cumulative(probit, thresholds='equidistant')")
    assert repr(found) == "cumulative(probit, thresholds='equidistant')"
    assert repr(resolve_family("acat(cloglog)")) == "adjacent(cloglog)"
    with pytest.raises(FitError, match="has the links logit"):
        resolve_family("cumulative(log)")
    with pytest.raises(FitError, match="thresholds is one of"):
        resolve_family("sratio(thresholds='even')")


def test_a_pickled_family_is_the_same() -> None:
    own = placed(Cumulative("loglog"))
    again = pickle.loads(pickle.dumps(own))
    eta = rows()[2]
    assert_allclose(again.probabilities(eta), own.probabilities(eta), rtol=0.0)
    assert repr(again) == repr(own)
