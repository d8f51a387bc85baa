"""Importance sampling from randomized nets of points, one a chain: Pareto-smoothed weights, draws and evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.bayes.nets import net
from mixfit.bayes.pareto import LIMIT, smoothed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.mode import LogDensity

    Array = NDArray[np.float64]

__all__ = ["Proposal", "Weighted", "sample_importance"]

# Points that tell what share of them is worth a draw; those of a dear density, of which all are kept few.
_PILOT, _PILOT_DEAR = 1024, 128
# Effective points for each draw, so that few points are drawn twice; of a dear density far fewer, each of them drawn
# several times with other coefficients and effects: 4,000 draws have 500 effective points.
_OVERSAMPLING, _OVERSAMPLING_DEAR = 2.0, 0.125
# At most so many points for each draw, and in each net at least this many.
_MOST, _FEWEST = 16.0, 64
# Weights of which this share is effective serve whatever k-hat says: it is too large where weights are nearly all the
# same, and the weights are bounded (see `mixfit.bayes.split_t`).
_ENOUGH = 0.4
# A net's points at 0 or 1 have no normal quantile.
_EDGE = 1e-12


class Proposal(Protocol):
    """What points are made from."""

    @property
    def dimension(self) -> int:
        """Uniforms that a point is made of."""

    def draw(self, u: Array, /) -> tuple[Array, Array]:
        """Places (R, d) from uniforms (R, dimension), and their log densities (R,)."""


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weighted points.

    Attributes
    ----------
    x : ndarray, shape (chains, N, d)
    log_weight : ndarray, shape (chains, N)
        Smoothed, and normalized over all points.
    log_ratio : ndarray, shape (chains, N)
        Log density over the proposal's, as it is.
    k : float
        k-hat.
    """

    x: Array
    log_weight: Array
    log_ratio: Array
    k: float

    @property
    def efficiency(self) -> float:
        """Share of the points that is effective."""
        return float(1.0 / np.exp(2.0 * self.log_weight).sum() / self.log_weight.size)

    @property
    def serves(self) -> bool:
        """Whether draws may be made from the points."""
        return self.k <= LIMIT or self.efficiency >= _ENOUGH

    @property
    def log_evidence(self) -> tuple[float, float]:
        """Log of the mean ratio, and its standard error from the nets, each of which is an unbiased estimate."""
        top = self.log_ratio.max()
        means = np.exp(self.log_ratio - top).mean(axis=1)
        mean = float(means.mean())
        error = float(means.std(ddof=1) / np.sqrt(len(means)) / mean) if len(means) > 1 else np.nan
        return float(np.log(mean) + top), error

    def resample(self, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Indices (chains, draws) of equally weighted draws, by systematic resampling within each net, shuffled.

        Draws of one point stay together: what they do not tell twice, effective sizes and R-hat see.
        """
        out = np.empty((len(self.x), draws), dtype=np.intp)
        for own, log_weight in zip(out, self.log_weight, strict=True):
            weight = np.exp(log_weight - log_weight.max())
            edges = np.cumsum(weight) / weight.sum()
            at = (np.arange(draws) + rng.random()) / draws
            # In the order of the net, which leaves its evenness to what is chosen.
            chosen, count = np.unique(np.minimum(np.searchsorted(edges, at), len(edges) - 1), return_counts=True)
            order = rng.permutation(len(chosen))
            own[:] = np.repeat(chosen[order], count[order])
        return out


def sample_importance(
    density: LogDensity,
    proposal: Proposal,
    draws: int,
    chains: int,
    rng: np.random.Generator,
    *,
    dear: bool = False,
    oversampling: float | None = None,
) -> Weighted:
    """Points for `draws` draws in each of some chains, so many effective ones a draw; few of a `dear` density."""
    pilot = _points(density, proposal, _PILOT_DEAR if dear else _PILOT, 1, rng)
    share = oversampling or (_OVERSAMPLING_DEAR if dear else _OVERSAMPLING)
    wanted = draws * share / max(pilot.efficiency, 1.0 / _MOST)
    size = max(_FEWEST, 2 ** int(np.rint(np.log2(min(wanted, _MOST * draws)))))
    return _points(density, proposal, size, chains, rng)


def _points(density: LogDensity, proposal: Proposal, size: int, chains: int, rng: np.random.Generator) -> Weighted:
    places, proposed = [], []
    for _ in range(chains):
        x, log_density = proposal.draw(np.clip(net(size, proposal.dimension, rng), _EDGE, 1.0 - _EDGE))
        places.append(x)
        proposed.append(log_density)
    every = np.concatenate(places)
    ratio = density.evaluate(every).value - np.concatenate(proposed)
    weight, k = smoothed(ratio)
    shape = (chains, size)
    return Weighted(every.reshape(*shape, -1), weight.reshape(shape), ratio.reshape(shape), k)
