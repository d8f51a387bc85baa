r"""Moves of covariance parameters between trajectories, each term's effects moving with them.

With e = T^{-1} b held, b = T e follows T: where a standard deviation is near zero the data hardly object, and it moves
as freely as under its prior, while trajectories, whose effects are centred by how much the data tell of them at the
fit, take many small steps there. Interleaved the two make up for one another (Yu & Meng 2011, JCGS 20, 531-570).
Coordinates x of the term walk at random, and are accepted by the ratio of the density of (x, e),

    p(x, e) = p(z) |dz / de|,     z the coordinates of the trajectories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.centring import freed, log_freedom, place
from mixfit.covariance.steps import split_theta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.centring import CentredTerm
    from mixfit.bayes.generalized import GeneralizedPosterior

    Array = NDArray[np.float64]

__all__ = ["Interleaved"]

# First standard deviations of the walk, the share of steps that is to be accepted, which is best for one or a few
# numbers, and the power of 1 / t that the adaptation falls as.
_FIRST_STEP, _ACCEPTED, _FALL = 0.5, 0.4, 0.6
# Terms are moved whose standard deviations are fewer than so many standard errors from zero: others never come near it,
# and trajectories do as well without what a move costs, two evaluations of the density.
_NEAR_ZERO = 4.0


class Interleaved:
    """Moves of the terms of a density whose standard deviations may be near zero.

    Parameters
    ----------
    density : GeneralizedPosterior
    """

    def __init__(self, density: GeneralizedPosterior) -> None:
        self._density = density
        self._terms = [term for term in density.terms if _may_vanish(density, term)]
        self._steps = np.full(len(self._terms), _FIRST_STEP)
        self._back = np.linalg.inv(density.root) if density.root.ndim == 2 else 1.0 / density.root
        self._done = 0

    def move(self, z: Array, value: Array, rng: np.random.Generator, *, adapt: bool) -> Array:
        """Move places (R, d), whose log densities are `value`, once a term; steps are adapted where asked."""
        self._done += adapt
        for i, term in enumerate(self._terms):
            proposed, log_ratio = self._propose(term, z, self._steps[i], rng)
            there = self._density.evaluate(proposed).value
            with np.errstate(invalid="ignore"):
                gain = there - value + log_ratio
            gain = np.where(np.isfinite(gain), gain, -np.inf)
            moved = np.log(rng.random(len(z))) < gain
            z, value = np.where(moved[:, None], proposed, z), np.where(moved, there, value)
            if adapt:
                # Robbins & Monro: the step grows while more is accepted than wanted, ever more slowly.
                share = float(np.exp(np.minimum(gain, 0.0)).mean())
                self._steps[i] *= np.exp((share - _ACCEPTED) * self._done**-_FALL)
        return z

    def _propose(self, term: CentredTerm, z: Array, step: float, rng: np.random.Generator) -> tuple[Array, Array]:
        """Places with other coordinates of the term, and the logarithm of the change of |dz / de|."""
        density, out = self._density, z.copy()
        d = len(density.center)
        values, x = density.colour(z[:, :d]), z[:, d:]
        before = place(term, x, values)
        own = x[:, term.at] + step * rng.standard_normal(x[:, term.at].shape)
        after = freed(term, term.coordinates.templates(own), before.e)
        values[:, term.rows] = (after.v * term.deviations).reshape(len(z), -1)
        away = values - density.center
        out[:, :d] = away @ self._back.T if self._back.ndim == 2 else away * self._back
        out[:, d:][:, term.at] = own
        return out, log_freedom(after) - log_freedom(before)


def _may_vanish(density: GeneralizedPosterior, term: CentredTerm) -> bool:
    """Whether the least standard deviation of a term is within some standard errors of zero, or these are not known."""
    errors = split_theta([r.structure for r in density.fit.model.design.random], density.fit.estimate.theta_errors)
    own = errors[next(t for t, c in enumerate(density.places()) if c[1] == term.at)]
    return not term.deviations.min() > _NEAR_ZERO * np.max(own, initial=0.0)
