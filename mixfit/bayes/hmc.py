r"""Hamiltonian Monte Carlo, all chains in lockstep: every leapfrog step is one evaluation of an array of places.

Coordinates z are whitened, x = z R' with R R' an estimate of the covariance; the mass is the identity there. A
trajectory lasts a little longer than a quarter of the period of a normal density, jittered so that no chain returns to
where it started (Neal 2011, Handbook of MCMC, ch. 5). The step size is adapted to an acceptance by dual averaging
(Hoffman & Gelman 2014, JMLR 15), R in windows of doubling length from the draws of all chains together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.bayes.convergence import FEWEST, ess_bulk, r_hat
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.bayes.mode import LogDensity

    Array = NDArray[np.float64]

__all__ = ["Moves", "Trajectories", "sample_hmc"]

# A quarter of the period of a normal density of unit variance, pi / 2, leaves neighbours uncorrelated; a little more
# makes them vary against one another, in squares too, and moves directions that are longer than their estimate as far.
_DURATION = 2.0
# Shares of the duration between which a trajectory's own is drawn: none lasts less than a quarter of the period.
_JITTER = (0.8, 1.1)
# Beyond this many steps a trajectory costs more than it moves.
_MOST_STEPS = 64
# An energy that grows by more than this has diverged, as in Stan.
_DIVERGED = 1000.0
# Of the acceptance, dual averaging's constants (Hoffman & Gelman 2014, section 3.2.1).
_GAMMA, _T0, _KAPPA = 0.05, 10.0, 0.75
# Iterations before the first window, in it, and after the last.
_FIRST, _WINDOW, _LAST = 40, 25, 40
# A covariance of more coordinates than this is taken as diagonal.
_MOST_DENSE = 50
# Chains are run on, and fewer of their draws kept, until R-hat of every coordinate is below this, a little less than
# what is asked of parameters, and there are so many effective draws a chain (Vehtari et al. 2021, section 4), or of
# few draws this share; at most so long.
_AGREES, _ENOUGH, _SHARE, _MOST_THINNING = 1.008, 100, 0.1, 8
# What the estimate of a covariance keeps of the one before, as so many draws.
_PRIOR_DRAWS = 5.0


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Draws, and how they were made.

    Attributes
    ----------
    x : ndarray, shape (chains, draws, d)
    value : ndarray, shape (chains, draws)
        Log density.
    energy : ndarray, shape (chains, draws)
    accepted : float
        Mean acceptance probability.
    divergences : int
    step : float
    n_steps : float
        Mean leapfrog steps of a draw.
    n_evaluations : int
        Of the density with its slopes at an array of all chains, warm-up included.
    thinning : int
        Trajectories for each draw that is kept.
    """

    x: Array
    value: Array
    energy: Array
    accepted: float
    divergences: int
    step: float
    n_steps: float
    n_evaluations: int
    thinning: int = 1


@dataclass
class _Averaging:
    """Dual averaging of the log step size."""

    target: float
    center: float
    gap: float = 0.0
    count: int = 0
    mean: float = 0.0

    def update(self, accepted: float) -> float:
        """The step after an acceptance."""
        self.count += 1
        share = 1.0 / (self.count + _T0)
        self.gap = (1.0 - share) * self.gap + share * (self.target - accepted)
        step = self.center - np.sqrt(self.count) / _GAMMA * self.gap
        weight = self.count**-_KAPPA
        self.mean = weight * step + (1.0 - weight) * self.mean
        return float(np.exp(step))


class _Chains:
    """The state of all chains."""

    def __init__(
        self, density: LogDensity, x: Array, root: Array, rng: np.random.Generator, between: Moves | None
    ) -> None:
        self.density, self.rng, self.root, self.between = density, rng, root, between
        self.x, self.n_evaluations, self.divergences = x, 0, 0
        self.value, self.slope = self._evaluate(x)

    def _evaluate(self, x: Array) -> tuple[Array, Array]:
        found = self.density.evaluate(x, slopes=True)
        self.n_evaluations += 1
        assert found.slope is not None
        return found.value, found.slope

    def _whiten(self, slope: Array) -> Array:
        """Slopes in z from those in x."""
        return slope @ self.root if self.root.ndim == 2 else slope * self.root

    def _colour(self, z: Array) -> Array:
        """Changes of x from those of z."""
        return z @ self.root.T if self.root.ndim == 2 else z * self.root

    def advance(self, step: float, n_steps: int) -> tuple[Array, Array]:
        """One trajectory of every chain: acceptance probabilities, and energies before."""
        momentum = self.rng.standard_normal(self.x.shape)
        energy = 0.5 * np.einsum("cd,cd->c", momentum, momentum) - self.value
        x, value, slope = self.x, self.value, self.slope
        with np.errstate(invalid="ignore", over="ignore"):
            # A trajectory that diverges leaves the range of doubles, and is refused.
            p = momentum + 0.5 * step * self._whiten(slope)
            for i in range(n_steps):
                x = x + step * self._colour(p)
                value, slope = self._evaluate(x)
                p = p + (step if i < n_steps - 1 else 0.5 * step) * self._whiten(slope)
            gain = energy - (0.5 * np.einsum("cd,cd->c", p, p) - value)
        gain = np.where(np.isfinite(gain), gain, -np.inf)
        self.divergences += int((gain < -_DIVERGED).sum())
        accepted = np.exp(np.minimum(gain, 0.0))
        moved = self.rng.random(len(x)) < accepted
        self.x = np.where(moved[:, None], x, self.x)
        self.slope = np.where(moved[:, None], slope, self.slope)
        self.value = np.where(moved, value, self.value)
        return accepted, energy

    def shift(self, *, adapt: bool) -> None:
        """The moves between trajectories."""
        if self.between is None:
            return
        x = self.between.move(self.x, self.value, self.rng, adapt=adapt)
        if not np.array_equal(x, self.x):
            self.x = x
            self.value, self.slope = self._evaluate(x)


class Moves(Protocol):
    """Moves that leave a density as it is."""

    def move(self, x: Array, value: Array, rng: np.random.Generator, *, adapt: bool) -> Array:
        """Other places (R, d) from those whose log densities are `value`; what they adapt is adapted in warm-up."""


def sample_hmc(
    density: LogDensity,
    starts: Array,
    root: Array,
    *,
    draws: int,
    warmup: int,
    target: float,
    rng: np.random.Generator,
    progress: Callable[[int], object] | None = None,
    between: Moves | None = None,
) -> Trajectories:
    """Draw from a density.

    Parameters
    ----------
    density : LogDensity
    starts : ndarray, shape (chains, d)
    root : ndarray, shape (d, d) or (d,)
        A root of the covariance to begin with, or standard deviations.
    draws, warmup : int
        Of every chain. Where the draws do not agree or tell too little, more trajectories are made for each.
    target : float
        Acceptance that the step size is adapted to.
    rng : Generator
    progress : callable, optional
        Told the number of divergences after every iteration.
    between : Moves, optional
        What is done to the chains after each trajectory.

    Raises
    ------
    FitError
        Where the density is not finite at a start.
    """
    chains = _Chains(density, starts, root, rng, between)
    if not np.isfinite(chains.value).all():
        raise FitError("The posterior density is not finite where the chains start: look at priors with bounds.")
    step = _warm_up(chains, warmup, target, progress)
    chains.divergences = 0
    n, d = starts.shape
    kept = _Kept(np.empty((n, 0, d)), np.empty((n, 0)), np.empty((n, 0)))
    tally, thinning = _Tally(), 1
    try:
        kept = _advance(chains, step, kept, draws, 1, tally, progress)
        while thinning < _MOST_THINNING and not _mixed(kept.x):
            thinning *= 2
            kept = _advance(chains, step, kept.every_second(), draws, thinning, tally, progress)
    except _InterruptedError as stopped:
        kept = stopped.kept
        # What is drawn is kept.
        if not kept.x.shape[1]:
            raise KeyboardInterrupt from None
    return Trajectories(
        kept.x,
        kept.value,
        kept.energy,
        tally.accepted / tally.done,
        chains.divergences,
        step,
        tally.steps / tally.done,
        chains.n_evaluations,
        thinning,
    )


@dataclass(frozen=True, eq=False)
class _Kept:
    """Draws so far: places (chains, S, d), their values and energies (chains, S)."""

    x: Array
    value: Array
    energy: Array

    def every_second(self) -> _Kept:
        return _Kept(self.x[:, 1::2], self.value[:, 1::2], self.energy[:, 1::2])


@dataclass
class _Tally:
    """Of all trajectories: the sum of their acceptances, their steps and their number."""

    accepted: float = 0.0
    steps: int = 0
    done: int = 0


class _InterruptedError(Exception):
    """Drawing was interrupted; it carries what there is."""

    def __init__(self, kept: _Kept) -> None:
        super().__init__()
        self.kept = kept


def _advance(
    chains: _Chains,
    step: float,
    kept: _Kept,
    draws: int,
    thinning: int,
    tally: _Tally,
    progress: Callable[[int], object] | None,
) -> _Kept:
    """The draws that are kept, filled up to `draws` by the last of each `thinning` trajectories."""
    n, first, d = kept.x.shape
    x, value, energy = np.empty((n, draws, d)), np.empty((n, draws)), np.empty((n, draws))
    x[:, :first], value[:, :first], energy[:, :first] = kept.x, kept.value, kept.energy
    i = first
    try:
        while i < draws:
            n_steps = _steps(step, chains.rng)
            probability, before = chains.advance(step, n_steps)
            chains.shift(adapt=False)
            tally.accepted += float(probability.mean())
            tally.steps, tally.done = tally.steps + n_steps, tally.done + 1
            if tally.done % thinning == 0:
                x[:, i], value[:, i], energy[:, i] = chains.x, chains.value, before
                i += 1
            if progress is not None:
                progress(chains.divergences)
    except KeyboardInterrupt as error:
        raise _InterruptedError(_Kept(x[:, :i], value[:, :i], energy[:, :i])) from error
    return _Kept(x, value, energy)


def _mixed(x: Array) -> bool:
    """Whether chains (chains, S, d) agree, and tell enough."""
    if len(x) < 2 or x.shape[1] < 2 * FEWEST:
        return True
    enough = min(_ENOUGH * len(x), _SHARE * x.shape[0] * x.shape[1])
    return bool(np.nanmax(r_hat(x)) < _AGREES and np.nanmin(ess_bulk(x)) > enough)


def _steps(step: float, rng: np.random.Generator) -> int:
    return int(np.clip(np.rint(_DURATION * rng.uniform(*_JITTER) / step), 1, _MOST_STEPS))


def _first_step(chains: _Chains) -> float:
    """A step that accepts about half of the trajectories of one step."""
    step, grows = 0.5, None
    for _ in range(50):
        saved = chains.x, chains.value, chains.slope
        accepted = float(np.mean(chains.advance(step, 1)[0]))
        chains.x, chains.value, chains.slope = saved
        if grows is None:
            grows = accepted > 0.5
        if (accepted > 0.5) != grows:
            break
        step *= 2.0 if grows else 0.5
    return step


def _warm_up(chains: _Chains, warmup: int, target: float, progress: Callable[[int], object] | None) -> float:
    ends = _window_ends(warmup)
    step = _first_step(chains)
    averaging = _Averaging(target, float(np.log(10.0 * step)))
    seen: list[Array] = []
    for i in range(warmup):
        accepted, _ = chains.advance(step, _steps(step, chains.rng))
        chains.shift(adapt=True)
        step = averaging.update(float(accepted.mean()))
        if progress is not None:
            progress(chains.divergences)
        if ends and i >= _FIRST:
            seen.append(chains.x)
        if i + 1 in ends:
            chains.root = _root(np.concatenate(seen), chains.root)
            seen = []
            step = _first_step(chains)
            averaging = _Averaging(target, float(np.log(10.0 * step)))
    return float(np.exp(averaging.mean)) if averaging.count else step


def _window_ends(warmup: int) -> set[int]:
    """Iterations after which the covariance is estimated anew."""
    ends, end, length = set(), _FIRST, _WINDOW
    last = warmup - _LAST
    while end + length <= last:
        # A window that leaves no room for one of twice its length takes what is left.
        end = end + length if end + 3 * length <= last else last
        ends.add(end)
        length *= 2
        if end == last:
            break
    return ends


def _root(x: Array, before: Array) -> Array:
    """A root of the covariance of draws (R, d), a little of the one before kept."""
    share = len(x) / (len(x) + _PRIOR_DRAWS)
    if before.ndim == 1 or x.shape[1] > _MOST_DENSE:
        old = before**2 if before.ndim == 1 else np.einsum("ij,ij->i", before, before)
        return np.sqrt(share * x.var(axis=0, ddof=1) + (1.0 - share) * old)
    covariance = share * np.cov(x, rowvar=False).reshape(x.shape[1], -1) + (1.0 - share) * before @ before.T
    return np.asarray(np.linalg.cholesky(covariance), dtype=float)
