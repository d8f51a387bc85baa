"""Densities of rows with several predictors: their derivatives against differences, and as distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.families.resolve import resolve_family
from mixfit.families.several import SeveralPredictors
from tests.families.cases import PHI

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

_N = 30
MODELS = [
    ("poisson", ("mean", "zi")),
    ("poisson(sqrt)", ("mean", "zi")),
    ("binomial(probit)", ("mean", "zi")),
    ("nbinom2", ("mean", "zi")),
    ("nbinom2", ("mean", "dispersion")),
    ("nbinom1", ("mean", "zi", "dispersion")),
    ("compois", ("mean", "zi", "dispersion")),
    ("betabinomial", ("mean", "zi", "dispersion")),
    ("truncated_nbinom2", ("mean", "zi", "dispersion")),
    ("truncated_genpois", ("mean", "zi")),
    ("gamma(log)", ("mean", "zi", "dispersion")),
    ("gaussian(log)", ("mean", "dispersion")),
    ("lognormal", ("mean", "zi")),
    ("beta", ("mean", "dispersion")),
    ("tweedie", ("mean", "zi", "dispersion")),
    ("t", ("mean", "dispersion")),
    ("ordbeta", ("mean", "dispersion")),
]
IDS = [f"{name}-{'-'.join(names[1:])}" for name, names in MODELS]


class Rows:
    """Responses of a model with predictors at random, and its density as a function of them."""

    def __init__(self, name: str, names: tuple[str, ...], *, curved: bool = False) -> None:
        rng = np.random.default_rng(4)
        self.family, self.several = resolve_family(name), SeveralPredictors(names, curved)
        self.phi = PHI.get(self.family.name, 1.0)
        self.eta = rng.uniform(-0.8, 0.8, (len(names), _N))
        if self.family.link.name == "sqrt":
            self.eta[0] += 2.0
        prior = rng.integers(1, 6, _N).astype(float)
        self.prior = prior if self.family.kind == "proportion" else np.minimum(prior, 2.0)
        if "dispersion" in names:
            self.family = self.family.with_predicted_dispersion()
            self.eta[names.index("dispersion")] += np.log(self.phi) / self.family.dispersion_power
        y = self.family.simulate(self.family.link.mean(self.eta[0]), self.prior, self.phi, rng)
        self.y = np.where(np.arange(_N) % 3 == 0, 0.0, y) if "zi" in names else y

    def loglik(self, eta: Array) -> Array:
        return self.several.loglik(self.family, self.y, self.prior, eta, self.phi)

    def along(self, k: int, f: Callable[[Array], Array], h: float = 1e-4) -> Array:
        e = np.zeros((len(self.eta), 1))
        e[k] = h
        up, down, far, back = (f(self.eta + s * e) for s in (1.0, -1.0, 2.0, -2.0))
        return (8.0 * (up - down) - (far - back)) / (12.0 * h)


def close(actual: Array, wanted: Array) -> None:
    assert_allclose(actual, wanted, rtol=1e-7, atol=1e-7 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize(("name", "names"), MODELS, ids=IDS)
def test_derivatives_in_the_predictors(name: str, names: tuple[str, ...], curved: bool) -> None:
    rows = Rows(name, names, curved=curved)
    derive = lambda eta: rows.several.derivatives(rows.family, rows.y, rows.prior, eta, rows.phi)  # noqa: E731
    at, d = derive(rows.eta), rows.several.dispersion
    for k in range(len(names)):
        close(at.first[k], rows.along(k, rows.loglik))
    for (a, b), value in at.second.items():
        if curved or (a, b) != (d, d):
            close(value, rows.along(b, lambda eta, a=a: derive(eta).first[a]))
    for (a, b, k), value in at.third.items():
        close(value, rows.along(k, lambda eta, key=(a, b): derive(eta).second[key]))
    assert (at.expected > 0.0).all()
    random = [a for a in range(len(names)) if curved or a != d]
    assert {(a, b, k) for a in random for b in random for k in range(len(names)) if a <= b} <= at.third.keys()


@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize(("name", "names"), MODELS, ids=IDS)
def test_derivatives_in_the_parameters_of_the_family(name: str, names: tuple[str, ...], curved: bool) -> None:
    rows = Rows(name, names, curved=curved)
    psi = np.array([rows.family.psi[i] for i in rows.family.free])
    scalar = rows.family.has_dispersion

    def moved(j: int, h: float) -> tuple[Family, float]:
        if scalar and j == 0:
            return rows.family, rows.phi * float(np.exp(h))
        step = np.eye(len(psi))[j - scalar]
        return rows.family.at(psi + h * step), rows.phi

    for j, at in enumerate(rows.several.in_tail(rows.family, rows.y, rows.prior, rows.eta, rows.phi)):

        def difference(f: Callable[[Family, float], Array], j: int = j, h: float = 1e-4) -> Array:
            up, down, far, back = (f(*moved(j, s * h)) for s in (1.0, -1.0, 2.0, -2.0))
            return (8.0 * (up - down) - (far - back)) / (12.0 * h)

        def derive(family: Family, phi: float):
            return rows.several.derivatives(family, rows.y, rows.prior, rows.eta, phi)

        close(at.loglik, difference(lambda f, p: rows.several.loglik(f, rows.y, rows.prior, rows.eta, p)))
        for a, value in at.first.items():
            close(value, difference(lambda f, p, a=a: derive(f, p).first[a]))
        for key, value in at.second.items():
            close(value, difference(lambda f, p, key=key: derive(f, p).second[key]))


@pytest.mark.parametrize("name", ["poisson", "nbinom1", "truncated_poisson", "truncated_nbinom2"])
def test_probabilities_with_further_zeros_sum_to_one(name: str) -> None:
    family = resolve_family(name)
    y = np.arange(400.0)
    eta = np.array([[0.7], [-0.4]]) * np.ones(400)
    p = np.exp(SeveralPredictors(("mean", "zi")).loglik(family, y, np.ones(400), eta, 1.3))
    assert_allclose(p.sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize(("name", "names"), MODELS, ids=IDS)
def test_far_predictors_leave_numbers(name: str, names: tuple[str, ...]) -> None:
    rows = Rows(name, names)
    if rows.family.link.name == "sqrt":
        return
    far = np.array([-700.0, -60.0, 60.0, 700.0])
    ends = [far] * len(names)
    if name == "compois":
        # Sums of a dispersion without bounds have no end.
        ends[-1] = np.array([-3.0, 3.0])
    grid = np.array(np.meshgrid(*ends)).reshape(len(names), -1)
    for y in (rows.y[0], rows.y[1], rows.y[2]):
        response, prior = np.full(grid.shape[1], y), np.full(grid.shape[1], rows.prior[0])
        if rows.family.kind == "proportion":
            response = np.round(response * prior) / prior
        with np.errstate(all="ignore"):
            loglik = rows.several.loglik(rows.family, response, prior, grid, rows.phi)
            at = rows.several.derivatives(rows.family, response, prior, grid, rows.phi)
        assert not np.isnan(loglik).any()
        assert np.isfinite(at.first).all()
