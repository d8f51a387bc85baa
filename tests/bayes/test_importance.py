"""Points, weights and evidence for densities that are known, and trajectories for the same."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from mixfit.bayes.hmc import sample_hmc
from mixfit.bayes.importance import Weighted, sample_importance
from mixfit.bayes.mode import find_mode
from mixfit.bayes.pareto import fit_pareto, smoothed
from mixfit.bayes.split_t import split_t
from mixfit.errors import FitError


@dataclass
class Values:
    value: np.ndarray
    slope: np.ndarray


class LogGammas:
    """Logarithms of independent gamma variables, turned by a matrix: skewed, and its integral is exp(shift)."""

    def __init__(self, shapes, shift=0.0):
        self.shapes, self.shift, self.size = np.array(shapes), shift, len(shapes)
        self.turn = np.eye(self.size) + 0.3 * np.tri(self.size, k=-1)

    def evaluate(self, x, *, slopes=False):
        z = x @ self.turn.T
        value = stats.loggamma(self.shapes).logpdf(z).sum(axis=1) + self.shift
        return Values(value, (self.shapes - np.exp(z)) @ self.turn)


@pytest.fixture(scope="module")
def density():
    return LogGammas([2.0, 0.8, 5.0], shift=3.0)


@pytest.fixture(scope="module")
def mode(density):
    return find_mode(density, np.ones(3))


def test_the_mode_and_its_curvature(density, mode):
    """Of log gamma variables at log shape, with curvature shape."""
    assert_allclose(density.turn @ mode.place, np.log(density.shapes), atol=1e-5)
    assert_allclose(mode.curvature, density.turn.T @ np.diag(density.shapes) @ density.turn, rtol=1e-4)


def test_the_proposal_has_the_density_that_it_says(density, mode):
    """The mean of f / q over q's draws is f's integral, whatever f: here a normal density."""
    proposal = split_t(density, mode)
    u = np.random.default_rng(1).random((100_000, proposal.dimension))
    x, log_density = proposal.draw(u)
    other = stats.multivariate_normal(mode.place, np.linalg.inv(mode.curvature))
    ratio = np.exp(other.logpdf(x) - log_density)
    assert abs(ratio.mean() - 1.0) < 5 * ratio.std() / np.sqrt(len(ratio))
    assert_allclose(proposal.log_density(x), log_density, rtol=1e-8)


def test_evidence_and_moments(density, mode):
    points = sample_importance(density, split_t(density, mode), 1000, 4, np.random.default_rng(2))
    log, error = points.log_evidence
    assert points.serves
    assert error < 5e-3
    assert abs(log - 3.0) < 5 * error + 1e-4
    index = points.resample(1000, np.random.default_rng(3))
    z = np.take_along_axis(points.x, index[:, :, None], axis=1).reshape(-1, 3) @ density.turn.T
    expected = stats.loggamma(density.shapes)
    assert (np.abs(z.mean(axis=0) - expected.mean()) < 5 * expected.std() / np.sqrt(4000)).all()


def test_points_of_a_dear_density_are_few(density, mode):
    points = sample_importance(density, split_t(density, mode), 1000, 4, np.random.default_rng(2), dear=True)
    assert points.log_weight.size <= 1000


def test_trajectories(density, mode):
    root = np.linalg.cholesky(np.linalg.inv(mode.curvature))
    starts = mode.place + np.random.default_rng(5).standard_normal((4, 3)) @ root.T
    found = sample_hmc(density, starts, root, draws=1500, warmup=300, target=0.85, rng=np.random.default_rng(4))
    z = found.x @ density.turn.T
    expected = stats.loggamma(density.shapes)
    assert 0.7 < found.accepted < 0.97
    assert found.divergences == 0
    assert (np.abs(z.mean(axis=(0, 1)) - expected.mean()) < 0.1 * expected.std()).all()
    assert_allclose(z.std(axis=(0, 1)), expected.std(), rtol=0.1)
    assert_allclose(density.evaluate(found.x.reshape(-1, 3)).value, found.value.reshape(-1))


def test_trajectories_of_a_diagonal_root(density, mode):
    starts = np.tile(mode.place, (2, 1))
    found = sample_hmc(density, starts, np.ones(3), draws=1500, warmup=200, target=0.85, rng=np.random.default_rng(4))
    z = found.x @ density.turn.T
    assert_allclose(z.mean(axis=(0, 1)), stats.loggamma(density.shapes).mean(), atol=0.2)


def test_what_is_drawn_until_an_interrupt_is_kept(density, mode):
    calls = iter(range(10_000))

    def interrupt(_):
        if next(calls) == 250:
            raise KeyboardInterrupt

    found = sample_hmc(
        density,
        mode.place[None],
        np.eye(3),
        draws=500,
        warmup=200,
        target=0.8,
        rng=np.random.default_rng(1),
        progress=interrupt,
    )
    assert found.x.shape == (1, 51, 3)


def test_a_start_without_density_is_refused(density):
    class Nowhere(LogGammas):
        def evaluate(self, x, *, slopes=False):
            return Values(np.full(len(x), -np.inf), np.zeros(x.shape))

    with pytest.raises(FitError, match="not finite"):
        find_mode(Nowhere([1.0]), np.zeros(1))
    with pytest.raises(FitError, match="not finite where the chains start"):
        sample_hmc(
            Nowhere([1.0]), np.zeros((1, 1)), np.eye(1), draws=5, warmup=5, target=0.8, rng=np.random.default_rng(1)
        )


@pytest.mark.parametrize("k", [-0.3, 0.2, 0.7])
def test_the_shape_of_a_pareto_distribution(k):
    x = np.sort(stats.genpareto(k, scale=2.0).rvs(20_000, random_state=1))
    shape, scale = fit_pareto(x)
    assert_allclose([shape, scale], [k, 2.0], atol=0.06)


def test_weights_with_and_without_a_variance():
    rng = np.random.default_rng(6)
    for tail, serves in ((4.0, True), (1.1, False)):
        log_weight, k = smoothed(np.log(stats.pareto(tail).rvs(20_000, random_state=rng)))
        assert (k <= 0.7) == serves
        assert_allclose(k, 1.0 / tail, atol=0.15)
        assert_allclose(np.exp(log_weight).sum(), 1.0)


def test_equal_weights_are_left_alone():
    log_weight, k = smoothed(np.zeros(1000))
    assert_allclose(log_weight, -np.log(1000))
    assert k < 0


def test_draws_of_one_point_stay_together():
    rng = np.random.default_rng(0)
    weight = np.log(rng.gamma(0.2, size=(2, 256)) + 1e-12)
    weight -= np.logaddexp.reduce(weight.ravel())
    chosen = Weighted(np.empty((2, 256, 1)), weight, weight, 0.0).resample(500, rng)
    for own, log_weight in zip(chosen, weight, strict=True):
        runs = 1 + (np.diff(own) != 0).sum()
        assert runs == len(np.unique(own)) < 200
        assert (np.diff(own[:50]) < 0).any()
        share = np.exp(log_weight - np.logaddexp.reduce(log_weight))
        # Systematic: no point is drawn more or less often than its share, rounded.
        assert (abs(np.bincount(own, minlength=256) - 500 * share) < 1).all()
