r"""A Gibbs sampler: the steps of `mixfit.bayes.gibbs.steps`, `.latent` and `.polya_gamma`, one after another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.gibbs.latent import cuts, draw_latent, draw_thresholds, with_gaps
from mixfit.bayes.gibbs.polya_gamma import draw_precisions
from mixfit.bayes.gibbs.steps import draw_covariance, draw_expansion, draw_location, draw_residual_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.gibbs.model import GibbsModel

    Array = NDArray[np.float64]

__all__ = ["GibbsDraws", "State", "sample_gibbs", "start", "sweep_steps"]

# Standard deviation of the logarithms of the variances that chains start from.
_SPREAD = 0.7
# Of the walk of thresholds: its first standard deviations, the share of steps that is to be accepted, which is best for
# a few numbers together (Gelman, Roberts & Gilks 1996), and the power of 1 / t that the adaptation falls as.
_FIRST_STEP, _ACCEPTED, _FALL = 0.1, 0.35, 0.6


@dataclass
class State:
    """Where C chains are.

    Attributes
    ----------
    location : ndarray, shape (C, d)
        Effects and coefficients.
    covariances : list of ndarray, shape (C, k, k)
        Of the effects of each block, over the square of its expansion.
    expansion : ndarray, shape (C, number of blocks)
        What effects are multiplied by; 1 where they are not.
    variance : ndarray, shape (C,)
        sigma^2.
    y : ndarray, shape (C, n)
        The response, or the latent variable, less the offset.
    log_gaps : ndarray, shape (C, K - 2)
        Logarithms of the distances of thresholds; none of two categories.
    step : ndarray, shape (K - 2,)
        Of their walk.
    """

    location: Array
    covariances: list[Array]
    expansion: Array
    variance: Array
    y: Array
    log_gaps: Array
    step: Array

    def covariance(self, block: int) -> Array:
        """Of the effects themselves."""
        return self.covariances[block] * self.expansion[:, block, None, None] ** 2


@dataclass
class GibbsDraws:
    """What is kept, in chains of S draws.

    Attributes
    ----------
    location : ndarray, shape (C, S, d)
    covariances : list of ndarray, shape (C, S, k, k)
    variance : ndarray, shape (C, S)
    log_gaps : ndarray, shape (C, S, K - 2)
    """

    location: Array
    covariances: list[Array]
    variance: Array
    log_gaps: Array
    done: int = field(default=0)

    @classmethod
    def empty(cls, state: State, draws: int) -> GibbsDraws:
        """Room for draws."""
        chains, d = state.location.shape
        every = [np.empty((chains, draws, *c.shape[1:])) for c in state.covariances]
        gaps = np.empty((chains, draws, state.log_gaps.shape[1]))
        return cls(np.empty((chains, draws, d)), every, np.empty((chains, draws)), gaps)

    def keep(self, state: State) -> None:
        """One more of each chain."""
        self.location[:, self.done], self.variance[:, self.done] = state.location, state.variance
        self.log_gaps[:, self.done] = state.log_gaps
        for block, own in enumerate(self.covariances):
            own[:, self.done] = state.covariance(block)
        self.done += 1

    def so_far(self) -> GibbsDraws:
        """What was drawn before an interruption."""
        n = self.done
        return GibbsDraws(
            self.location[:, :n], [c[:, :n] for c in self.covariances], self.variance[:, :n], self.log_gaps[:, :n], n
        )


def start(model: GibbsModel, variance: float, covariances: list[Array], chains: int, rng: np.random.Generator) -> State:
    """Chains that start around some variances, spread by a factor of about two, with all else drawn in the first sweep.

    Parameters
    ----------
    model : GibbsModel
    variance : float
        sigma^2.
    covariances : list of ndarray, shape (k, k)
    chains : int
    rng : Generator
    """
    stretch = np.exp(_SPREAD * rng.standard_normal((len(covariances) + 1, chains)))
    gaps = 0 if model.categories is None else model.categories.count - 2
    expansion = np.ones((chains, len(model.blocks)))
    for b, block in enumerate(model.blocks):
        expansion[:, b] = block.expansion or 1.0
    unit = [e[:, None, None] ** -2.0 for e in expansion.T]
    return State(
        location=np.zeros((chains, model.size)),
        covariances=[u * s[:, None, None] * c for u, s, c in zip(unit, stretch, covariances, strict=False)],
        expansion=expansion,
        variance=np.full(chains, variance) * (stretch[-1] if model.residual is not None else 1.0),
        y=np.tile(model.y, (chains, 1)),
        log_gaps=np.zeros((chains, gaps)),
        step=np.full(gaps, _FIRST_STEP),
    )


def sweep_steps(model: GibbsModel, state: State, rng: np.random.Generator) -> float:
    """Move every chain once through all steps; the share of the chains whose thresholds moved."""
    share = 1.0 if model.categories is None else _latent(model, state, rng)
    weights, products = model.weights, model.products
    if model.trials is not None:
        weights = draw_precisions(_predictor(model, state.location) - model.y, model.trials.row, rng)
        products = model.trials.products(weights)
        state.y = model.trials.kappa / weights + model.y
    right = (model.design.T @ (weights * state.y).T).T
    precision = _precision(model, state)
    state.location = draw_location(products, right, precision, model.pull, state.variance, rng)
    effects = [state.location[:, block.place] for block in model.blocks]
    expanded = [b for b, block in enumerate(model.blocks) if block.expansion]
    if expanded:
        _expand(model, state, effects, expanded, weights, rng)
    for b, block in enumerate(model.blocks):
        state.covariances[b] = draw_covariance(effects[b], block.df, block.scale, rng)
    if model.residual is not None:
        residual = state.y - _predictor(model, state.location)
        squares = np.einsum("n,cn,cn->c", model.weights, residual, residual)
        prior = model.residual
        state.variance = draw_residual_variance(squares, residual.shape[1], prior.shape, prior.scale, rng)
    return share


def _predictor(model: GibbsModel, location: Array) -> Array:
    return np.asarray((model.design @ location.T).T)


def _latent(model: GibbsModel, state: State, rng: np.random.Generator) -> float:
    """Move thresholds and latent variables; the share of the chains whose thresholds moved."""
    assert model.categories is not None
    share = 1.0
    eta = _predictor(model, state.location) - model.y
    if state.log_gaps.shape[1]:
        state.log_gaps, accepted = draw_thresholds(state.log_gaps, eta, model.categories.of_row, state.step, rng)
        share = float(accepted.mean())
    low, high = cuts(with_gaps(state.log_gaps), model.categories.of_row)
    state.y = draw_latent(eta, low, high, rng) + model.y
    return share


def _precision(model: GibbsModel, state: State) -> Array:
    """P of the location: Sigma^{-1} of every level of each block, and that of the coefficients (C, d, d)."""
    out = np.zeros((len(state.location), model.size, model.size))
    out[:, model.q :, model.q :] = model.precision
    for b, block in enumerate(model.blocks):
        inverse = np.linalg.inv(state.covariance(b))
        rows = block.place[:, :, None]
        out[:, rows, rows.swapaxes(1, 2)] = inverse[:, None]
    return out


def _expand(
    model: GibbsModel,
    state: State,
    effects: list[Array],
    expanded: list[int],
    weights: Array,
    rng: np.random.Generator,
) -> None:
    """Draw the expansions: `effects` of these blocks become eta, and the location a eta."""
    columns = []
    for b in expanded:
        effects[b] = effects[b] / state.expansion[:, b, None, None]
        own = np.zeros(state.location.shape)
        own[:, model.blocks[b].place] = effects[b]
        columns.append(_predictor(model, own))
        state.location[:, model.blocks[b].place] = 0.0
    left = state.y - _predictor(model, state.location)
    sd = np.array([model.blocks[b].expansion for b in expanded])
    drawn = draw_expansion(np.stack(columns, axis=2), left, weights, sd, state.variance, rng)
    for a, b in enumerate(expanded):
        state.expansion[:, b] = drawn[:, a]
        state.location[:, model.blocks[b].place] = effects[b] * drawn[:, a, None, None]


def sample_gibbs(model: GibbsModel, state: State, *, draws: int, warmup: int, rng: np.random.Generator) -> GibbsDraws:
    """Run all chains.

    Parameters
    ----------
    model : GibbsModel
    state : State
    draws, warmup : int
        Of each chain.
    rng : Generator

    Returns
    -------
    GibbsDraws
        Fewer than asked for where drawing was interrupted.
    """
    for t in range(1, warmup + 1):
        share = sweep_steps(model, state, rng)
        # Robbins & Monro: the step grows while more is accepted than wanted, ever more slowly.
        state.step = state.step * np.exp((share - _ACCEPTED) * t**-_FALL)
    kept = GibbsDraws.empty(state, draws)
    try:
        while kept.done < draws:
            sweep_steps(model, state, rng)
            kept.keep(state)
    except KeyboardInterrupt:
        if not kept.done:
            raise
        return kept.so_far()
    return kept
