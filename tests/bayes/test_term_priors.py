"""Priors of covariances: normalized in their coordinates, slopes against differences, draws against densities."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from mixfit.bayes import LKJ, Decov, Gamma, HalfNormal, HalfT, InvWishart, Uniform, Wishart
from mixfit.bayes.coordinates import FreeCoordinates, UnboundedCoordinates
from mixfit.bayes.correlations import correlation_root, partial
from mixfit.bayes.term_priors import Deviations, OwnParameters, ScaleAndShares, WholeCovariance
from mixfit.covariance.autoregressive import Autoregressive
from mixfit.covariance.diagonal import Diagonal
from mixfit.covariance.spatial import Gaussian
from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import PriorError

SCALE = ((2.0, 0.5), (0.5, 1.0))


def free(k):
    return FreeCoordinates(Unstructured(k), is_correlated=True)


def whole(prior, k):
    return WholeCovariance(free(k), prior, prior.df, prior.matrix(k))


PRIORS = {
    "decov 1": ScaleAndShares(free(1), Decov(shape=2.0, scale=0.5)),
    "decov 2": ScaleAndShares(free(2), Decov(regularization=1.5, concentration=2.0, shape=1.5, scale=0.7)),
    "decov 3": ScaleAndShares(free(3), Decov(regularization=2.0)),
    "decov of independent columns": ScaleAndShares(FreeCoordinates(Diagonal(2), is_correlated=False), Decov(shape=2.0)),
    "deviations": Deviations(free(2), (HalfT(3, 2.0), HalfNormal(1.0)), 2.0),
    "Wishart 1": whole(Wishart(3.0, scale=0.5), 1),
    "Wishart 2": whole(Wishart(4.0, scale=SCALE), 2),
    "Wishart 3": whole(Wishart(5.0, scale=0.3), 3),
    "inverse Wishart 2": whole(InvWishart(4.0, scale=SCALE), 2),
    "relative inverse Wishart 2": whole(InvWishart(4.0, scale=SCALE, relative=True), 2),
    "a range": OwnParameters(
        UnboundedCoordinates(Gaussian(3, ((0.0,), (1.0,), (2.5,)))), (HalfNormal(2.0),), (Gamma(3.0, 1.0),)
    ),
    "own parameters": OwnParameters(UnboundedCoordinates(Autoregressive(4)), (HalfNormal(2.0),), (Uniform(-1.0, 1.0),)),
}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_slopes(prior):
    rng, h = np.random.default_rng(1), 1e-5
    x, log_sigma = 0.7 * rng.standard_normal((6, prior.coordinates.size)), 0.5 * rng.standard_normal(6)
    found = prior.density(x, log_sigma)
    for a, move in enumerate(h * np.eye(x.shape[1])):
        differences = (prior.density(x + move, log_sigma).value - prior.density(x - move, log_sigma).value) / (2 * h)
        assert_allclose(found.slope[:, a], differences, rtol=1e-7, atol=1e-7)
    differences = (prior.density(x, log_sigma + h).value - prior.density(x, log_sigma - h).value) / (2 * h)
    assert_allclose(found.log_sigma, differences, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", [n for n, p in PRIORS.items() if p.coordinates.size <= 2])
def test_densities_integrate_to_one(name):
    prior = PRIORS[name]

    # The trapezoidal rule is exact for what is smooth and nothing at the ends.
    axis = np.linspace(-16.0, 8.0, 801)
    grid = np.stack(np.meshgrid(*[axis] * prior.coordinates.size), axis=-1).reshape(-1, prior.coordinates.size)
    density = np.exp(prior.density(grid, np.full(len(grid), 0.3)).value)
    assert_allclose(density.sum() * (axis[1] - axis[0]) ** prior.coordinates.size, 1.0, atol=1e-5)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_draws_have_the_density(prior):
    """The mean of a density's ratio to another is the ratio of their integrals: of both it is 1.

    The second density is the same prior, moved and narrower in every coordinate; it is drawn by moving draws.
    """
    rng = np.random.default_rng(2)
    log_sigma = np.full(40_000, 0.2)
    x = prior.draw(log_sigma, rng)
    centre, share = np.median(x, axis=0), 0.7
    log_ratio = (
        prior.density(centre + (x - centre) / share, log_sigma).value
        - x.shape[1] * np.log(share)
        - prior.density(x, log_sigma).value
    )
    ratio = np.exp(np.minimum(log_ratio, 50.0))
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.05
    assert abs(ratio.mean() - 1.0) < 5.0 * error


@pytest.mark.parametrize("k", [2, 3, 5])
def test_partial_correlations_go_there_and_back(k):
    y = np.random.default_rng(k).standard_normal((4, k * (k - 1) // 2))
    root = correlation_root(y, k)
    assert_allclose(np.einsum("rij,rij->ri", root, root), 1.0)
    assert_allclose(partial(root), y, atol=1e-10)


@pytest.mark.parametrize("kind", ["Wishart 3", "inverse Wishart 2"])
def test_whole_covariances_against_scipy(kind):
    """Up to the Jacobian, which does not depend on the prior: ratios of densities at two places."""
    prior = PRIORS[kind]
    k, rng = prior.coordinates.k, np.random.default_rng(3)
    x = 0.5 * rng.standard_normal((5, prior.coordinates.size))
    t = prior.coordinates.templates(x)
    sigma = t @ t.swapaxes(1, 2)
    own = stats.invwishart if prior.is_inverse else stats.wishart
    other = whole(type(prior.prior)(prior.df + 1.5, scale=1.3), k)
    ours = prior.density(x, np.zeros(5)).value - other.density(x, np.zeros(5)).value
    theirs = [own.logpdf(s, prior.df, prior.matrix) - own.logpdf(s, other.df, other.matrix) for s in sigma]
    assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LKJ(0), "LKJ: eta"),
        (lambda: Decov(scale=-1), "Decov: scale"),
        (lambda: Wishart(3, scale=((1.0, 2.0), (2.0, 1.0))).matrix(2), "positive definite"),
        (lambda: InvWishart(3, scale=np.inf).matrix(2), "scale is a positive number"),
    ],
)
def test_what_is_no_prior_is_refused(make, message):
    with pytest.raises(PriorError, match=message):
        make()


def test_a_prior_of_a_shape_parameter_is_its_density_on_its_scale():
    """ar1's correlation rho = tanh(x): p(x) = p(rho) (1 - rho^2)."""
    at = UnboundedCoordinates(Autoregressive(4))
    prior = OwnParameters(at, (Gamma(2.0, 1.0),), (Uniform(-1.0, 1.0),))
    x = np.array([[0.4, 0.8]])
    rho = float(at.psi(x)[0, 1])
    expected = stats.gamma(2.0).logpdf(np.exp(0.4)) + 0.4 + np.log(0.5) + np.log(0.5 * (1 - np.tanh(0.8) ** 2) * 2)
    assert -1.0 < rho < 1.0
    assert_allclose(prior.density(x, np.zeros(1)).value[0], expected)
