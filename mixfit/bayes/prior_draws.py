"""Draws from the priors of a model, of everything that a posterior has draws of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.distributions import StudentT
from mixfit.bayes.draws import Draws, PosteriorDraws, Sampler
from mixfit.bayes.positive import InvGamma
from mixfit.bayes.predict import simulate
from mixfit.errors import PriorError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["draw_priors", "prior_draws", "prior_predictive"]


def draw_priors(fit: Fit, priors: ResolvedPriors, draws: int, chains: int, rng: np.random.Generator) -> Draws:
    """Draw sigma, covariances given sigma, effects given both, and coefficients.

    Raises
    ------
    PriorError
        With improper priors.
    """
    if not priors.is_proper:
        raise PriorError("Some of the priors are improper: nothing can be drawn from them alone.")
    size, random = draws * chains, fit.model.design.random
    sigma = np.ones(size) if priors.sigma is None else priors.sigma.draw(rng, size)
    x = [prior.draw(np.log(sigma), rng) for prior in priors.terms]
    effects = []
    for own, at, r in zip(priors.coordinates, x, random, strict=True):
        spherical = rng.standard_normal((size, r.structure.k, r.grouping.n_levels))
        b = (own.templates(at) * sigma[:, None, None]) @ spherical
        effects.append(b.swapaxes(1, 2).reshape(chains, draws, *b.shape[:0:-1]))
    if priors.sigma is not None:
        x.append(np.log(sigma)[:, None])
    if priors.phi is not None:
        x.append(np.log(priors.phi.draw(rng, size))[:, None])
    x += [prior.draw(rng, size)[:, None] for prior in priors.zi]
    contrasts = np.empty((size, len(priors.fixed)))
    for i, prior in enumerate(priors.fixed):
        if isinstance(prior, StudentT) and priors.sigma is not None:
            # Linear models have the mixing variance among their coordinates.
            v = InvGamma(0.5 * prior.df, 0.5 * prior.df).draw(rng, size)
            x.append(np.log(v)[:, None])
            contrasts[:, i] = prior.location + prior.scale * np.sqrt(v) * rng.standard_normal(size)
        else:
            contrasts[:, i] = prior.draw(rng, size)
    beta = np.asarray(np.linalg.solve(priors.contrasts, contrasts.T).T, dtype=float)
    shape = (chains, draws, -1)
    return Draws(np.concatenate(x, axis=1).reshape(shape), beta.reshape(shape), tuple(effects))


def prior_predictive(
    posterior: PosteriorDraws, n: int = 1000, *, seed: int | np.random.Generator | None = None
) -> pd.DataFrame:
    """Draw responses on the rows of the fit from the priors alone, as if there were no data.

    Parameters
    ----------
    n : int
        How many, each from parameters and effects drawn anew.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.

    Returns
    -------
    DataFrame, shape (nobs, n)
        Columns ``sim_1``, ``sim_2``, ..., as `simulate` returns them from the posterior.

    Raises
    ------
    PriorError
        With improper priors.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> posterior = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit().sample(seed=1)
    >>> before, after = posterior.prior_predictive(500, seed=1), posterior.simulate(500, seed=1)
    >>> bool(before.std(axis=1).mean() > 2 * after.std(axis=1).mean())
    True
    """
    rng = np.random.default_rng(seed)
    return simulate(prior_draws(posterior, n, rng), seed=rng)


def prior_draws(posterior: PosteriorDraws, n: int, seed: int | np.random.Generator | None) -> PosteriorDraws:
    """One chain of draws from the priors of a posterior alone."""
    kept = draw_priors(posterior.fit, posterior.priors, n, 1, np.random.default_rng(seed))
    return replace(posterior, kept=kept, sampler=Sampler("prior"), log_evidence=None)
