"""Draws of a fit's parameters by Gibbs sampling, laid out as those of other methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.coordinates import FreeCoordinates
from mixfit.bayes.draws import Draws
from mixfit.bayes.gibbs.chains import sample_gibbs, start
from mixfit.bayes.gibbs.latent import with_gaps
from mixfit.bayes.gibbs.model import gibbs_model
from mixfit.covariance.steps import split_theta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.gibbs.chains import GibbsDraws
    from mixfit.bayes.gibbs.model import GibbsBlock, GibbsModel
    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["gibbs_draws"]

# Sweeps before draws are kept: chains of these models forget where they started within some tens.
_WARMUP = 300


def gibbs_draws(fit: Fit, priors: ResolvedPriors, draws: int, chains: int, rng: np.random.Generator) -> Draws:
    """Draw by Gibbs sampling; chains start about the fit's estimates."""
    model = gibbs_model(fit, priors)
    variance = fit.estimate.unit**2
    covariances = [variance * c[block.columns, block.columns] for block, c in _of_blocks(fit, priors, model)]
    state = start(model, variance, covariances, chains, rng)
    return _laid_out(fit, priors, model, sample_gibbs(model, state, draws=draws, warmup=_WARMUP, rng=rng))


def _of_blocks(fit: Fit, priors: ResolvedPriors, model: GibbsModel) -> list[tuple[GibbsBlock, Array]]:
    """Every block beside the relative covariance of its term at the fit, off the boundary."""
    random = fit.model.design.random
    thetas = split_theta([r.structure for r in random], fit.estimate.theta)
    relative = []
    for own, theta, r in zip(priors.coordinates, thetas, random, strict=True):
        t = own.templates(own.start(theta, np.sqrt(np.mean(r.Z**2, axis=0)))[None])[0]
        relative.append(t @ t.T)
    return [(block, relative[block.term]) for block in model.blocks]


def _laid_out(fit: Fit, priors: ResolvedPriors, model: GibbsModel, found: GibbsDraws) -> Draws:
    chains, draws = found.variance.shape
    relative = [c / found.variance[:, :, None, None] for c in found.covariances]
    x, effects, first = [], [], 0
    for t, (own, r) in enumerate(zip(priors.coordinates, fit.model.design.random, strict=True)):
        assert isinstance(own, FreeCoordinates)
        parts = [c.reshape(-1, *c.shape[2:]) for c, b in zip(relative, model.blocks, strict=True) if b.term == t]
        covariance = parts[0]
        if len(parts) > 1:
            covariance = np.zeros((len(parts[0]), own.k, own.k))
            for a, part in enumerate(parts):
                covariance[:, a, a] = part[:, 0, 0]
        x.append(own.of_covariance(covariance))
        q, k = r.grouping.n_levels, len(r.columns)
        effects.append(found.location[:, :, first : first + q * k].reshape(chains, draws, q, k))
        first += q * k
    if model.residual is not None:
        x.append(0.5 * np.log(found.variance.reshape(-1, 1)))
    beta = found.location[:, :, first : first + len(priors.fixed)]
    thresholds = None
    if model.categories is not None and model.categories.has_thresholds:
        flat = with_gaps(found.log_gaps.reshape(chains * draws, -1)).reshape(chains, draws, -1)
        thresholds = flat - found.location[:, :, -1:]
    return Draws(np.concatenate(x, axis=1).reshape(chains, draws, -1), beta, tuple(effects), thresholds)
