"""Moves between trajectories leave the density as it is, and are made where they help."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.bayes.centring import freed, log_freedom, place
from mixfit.bayes.generalized import GeneralizedPosterior
from mixfit.bayes.hmc import sample_hmc
from mixfit.bayes.interleave import Interleaved
from mixfit.bayes.resolve import resolve


@pytest.fixture(scope="module")
def density():
    """A crossed factor of two correlated columns beside one with hardly any variance."""
    rng = np.random.default_rng(8)
    g, h, x = np.repeat(np.arange(6), 10), np.tile(np.arange(5), 12), rng.normal(size=60)
    b = rng.standard_normal((6, 2)) * [0.7, 0.4]
    eta = 0.3 + b[g, 0] + (0.5 + b[g, 1]) * x + 0.1 * rng.standard_normal(5)[h]
    data = pd.DataFrame({"y": rng.poisson(np.exp(eta)), "x": x, "g": g.astype(str), "h": h.astype(str)})
    fit = mixfit.mixed("y ~ x + (x | g) + (1 | h)", data, family="poisson").fit()
    return GeneralizedPosterior(fit, resolve("rstanarm", fit.model, residual=False))


def places(density, count, seed=1):
    return density.start(count, np.random.default_rng(seed), 0.7)[0]


def test_effects_and_jacobian(density):
    z = places(density, 2)
    d = len(density.center)
    values, x = density.colour(z[:, :d]), z[:, d:]
    for term in density.terms:
        before = place(term, x, values)
        moved = x.copy()
        moved[:, term.at] += 0.3
        t = term.coordinates.templates(moved[:, term.at])
        after = freed(term, t, before.e)
        assert_allclose(after.b, before.e @ t.swapaxes(1, 2))
        there = values.copy()
        there[:, term.rows] = (after.v * term.deviations).reshape(2, -1)
        assert_allclose(place(term, moved, there).b, after.b, rtol=1e-10)
        # dv / de of one level by differences; all levels' together are the sum.
        total, (q, k) = 0.0, before.e.shape[1:]
        for j in range(q):
            slopes = np.empty((k, k))
            for a in range(k):
                e = before.e.copy()
                e[:, j, a] += 1e-5
                slopes[:, a] = (freed(term, t, e).v - after.v)[0, j] / 1e-5
            total += np.log(abs(np.linalg.det(slopes)))
        assert_allclose(log_freedom(after)[0], total, rtol=1e-5)


def test_moves_leave_the_density_as_it_is(density):
    """Draws from the density keep their moments when they are moved."""
    moves, rng = Interleaved(density), np.random.default_rng(3)
    moves._terms, moves._steps = density.terms, np.full(2, 0.4)
    starts, spread = density.start(4, rng, 0.5)
    z = sample_hmc(density, starts, spread, draws=1500, warmup=300, target=0.85, rng=rng).x.reshape(-1, density.size)
    value = density.evaluate(z).value
    there = moves.move(z, value, rng, adapt=False)
    changed = (there != z).any(axis=1).mean()
    assert 0.2 < changed < 0.98
    for f in (lambda a: a, lambda a: a**2, lambda a: a**3):
        gain = f(there) - f(z)
        # Coefficients stay where they are, but for rounding.
        gain = gain[:, gain.std(axis=0) > 1e-9]
        # Draws follow one another, but what a move adds to them does not.
        assert np.abs(gain.mean(axis=0) / (gain.std(axis=0) / np.sqrt(len(z)))).max() < 4.5


def test_only_terms_that_may_vanish_are_moved(density):
    assert any(term.levels == 5 for term in Interleaved(density)._terms)
    verbs = mixfit.datasets.load("verbagg")
    verbs = verbs[verbs["id"].astype(int) <= 60]
    verbs = verbs.apply(lambda c: c.cat.remove_unused_categories() if c.dtype == "category" else c)
    fit = mixfit.mixed("r2 ~ btype + (1 | id) + (1 | item)", verbs, family="binomial").fit()
    found = Interleaved(GeneralizedPosterior(fit, resolve("rstanarm", fit.model, residual=False)))
    assert [term.levels for term in found._terms] == [24] * len(found._terms)
