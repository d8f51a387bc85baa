"""Draws from a posterior, by name, and how they were made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.names import effect_names, group_names, natural_names
from mixfit.bayes.zeros import zero_predictor
from mixfit.fitted.protocols import is_generalized
from mixfit.helped import Helped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["Draws", "Evidence", "NamedDraws", "PosteriorDraws", "Sampler"]


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of everything, (chains, draws, ...).

    Attributes
    ----------
    x : ndarray, shape (chains, draws, d)
        Coordinates of the covariance parameters.
    beta : ndarray, shape (chains, draws, p)
    effects : tuple of ndarray, shape (chains, draws, q_t, k_t)
    thresholds : ndarray, shape (chains, draws, K - 1), or None
        Of ordered categories.
    """

    x: Array
    beta: Array
    effects: tuple[Array, ...]
    thresholds: Array | None = None


@dataclass(frozen=True)
class Evidence:
    """The log of the marginal likelihood, and its Monte Carlo standard error.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> round(fit.sample(seed=1).evidence.log, 1)
    -168.8
    """

    log: float
    error: float


@dataclass(frozen=True, eq=False)
class Sampler:
    """How draws were made: what is not of the method is None.

    Attributes
    ----------
    method : str
    k : float
        Of the weights: k-hat.
    efficiency : float
        Share of the weighted points that is effective.
    n_points : int
    accepted : float
        Mean acceptance of trajectories.
    divergences : int
    step : float
    n_steps : float
        Mean leapfrog steps of a trajectory.
    energy : ndarray, shape (chains, draws)
    thinning : int
        Trajectories for each draw.
    """

    method: str
    k: float | None = None
    efficiency: float | None = None
    n_points: int | None = None
    accepted: float | None = None
    divergences: int | None = None
    step: float | None = None
    n_steps: float | None = None
    energy: Array | None = field(default=None, repr=False)
    thinning: int | None = None


class NamedDraws(Mapping[str, "Array"]):
    """Draws by the name of the parameter, each of shape (chains, draws).

    The effects of a term are also there as a whole, as ``"ranef(Subject)"``, of shape (chains, draws, levels, columns).

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    >>> draws = fit.sample(seed=1).draws
    >>> draws["sd(Batch, Intercept)"].shape, draws["ranef(Batch)"].shape
    ((4, 1000), (4, 1000, 6, 1))
    """

    def __init__(self, values: Mapping[str, Array], wholes: Mapping[str, Array]) -> None:
        self._values, self._wholes = values, wholes

    def __getitem__(self, name: str) -> Array:
        return self._wholes[name] if name in self._wholes else self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<NamedDraws: {', '.join(self)}; {', '.join(self._wholes)}>"


@dataclass(frozen=True, eq=False, repr=False)
class PosteriorDraws(Helped):
    """Draws from the posterior of a mixed model.

    Attributes
    ----------
    fit : Fit
        The fit whose model it is of.
    priors : ResolvedPriors
        Prints as a table of the priors, every number filled in.
    kept : Draws
    sampler : Sampler
        How the draws were made.
    log_evidence : Evidence, or None
        Where it is known.
    """

    fit: Fit
    priors: ResolvedPriors
    kept: Draws
    sampler: Sampler
    log_evidence: Evidence | None = None

    @cached_property
    def parameters(self) -> tuple[list[str], Array]:
        """Names, and draws (chains, draws, m), of coefficients, sigma and covariance parameters."""
        kept, random = self.kept, self.fit.model.design.random
        shape = kept.beta.shape[:2]
        names, parts = list(self.fit.model.exog_names), [kept.beta]
        if kept.thresholds is not None:
            names, parts = [*self.fit.model.threshold_names, *names], [kept.thresholds, *parts]
        if self.priors.sigma is not None:
            names.append("sigma")
            parts.append(self.sigma.reshape(*shape, 1))
        if self.priors.zi:
            predictor = zero_predictor(self.fit.model)
            assert predictor is not None
            names += [f"zi:{name}" for name in predictor.exog_names]
            parts.append(self.zi.reshape(*shape, -1))
        if self.priors.phi is not None:
            names.append("phi")
            parts.append(self.phi.reshape(*shape, 1))
        x, start = kept.x.reshape(-1, kept.x.shape[2]), 0
        for r, group, own in zip(random, group_names(random), self.priors.coordinates, strict=True):
            names += natural_names(r, group)
            parts.append(own.natural(x[:, start : start + own.size], self.sigma).reshape(*shape, -1))
            start += own.size
        return names, np.concatenate(parts, axis=2)

    @property
    def n_covariances(self) -> int:
        """How many of the parameters are sigma or phi and those of covariances: the last ones."""
        return sum(self.priors.sizes) + (self.priors.sigma is not None) + (self.priors.phi is not None)

    @cached_property
    def effects(self) -> tuple[list[str], Array]:
        """The same of the random effects."""
        random = self.fit.model.design.random
        names = [n for r, group in zip(random, group_names(random), strict=True) for n in effect_names(r, group)]
        shape = self.kept.beta.shape[:2]
        return names, np.concatenate([b.reshape(*shape, -1) for b in self.kept.effects], axis=2)

    def named(self, ranef: bool) -> tuple[list[str], Array]:
        """Names, and draws (chains, draws, m), with or without the random effects."""
        if not ranef:
            return self.parameters
        (names, x), (more, b) = self.parameters, self.effects
        return names + more, np.concatenate([x, b], axis=2)

    @cached_property
    def sigma(self) -> Array:
        """Draws of the residual standard deviation, (S,) over all chains; ones where there is none."""
        x = self.kept.x.reshape(-1, self.kept.x.shape[2])
        return np.ones(len(x)) if self.priors.sigma is None else np.exp(x[:, sum(self.priors.sizes)])

    @cached_property
    def phi(self) -> Array:
        """Draws of the family's dispersion, (S,) over all chains; what is known of it where it has no prior."""
        x = self.kept.x.reshape(-1, self.kept.x.shape[2])
        if self.priors.phi is None:
            return np.full(len(x), self.fit.dispersion if is_generalized(self.fit) else 1.0)
        return np.exp(x[:, sum(self.priors.sizes)])

    @property
    def zi(self) -> Array:
        """Draws of the coefficients of further zeros, (S, p): the last of what is kept."""
        x = self.kept.x.reshape(-1, self.kept.x.shape[2])
        return x[:, x.shape[1] - len(self.priors.zi) :]

    def templates(self, term: int) -> Array:
        """Factors (S, k, k) of the covariance of a term's effects, in units of the response."""
        start, own = sum(self.priors.sizes[:term]), self.priors.coordinates[term]
        x = self.kept.x.reshape(-1, self.kept.x.shape[2])[:, start : start + own.size]
        return own.templates(x) * self.sigma[:, None, None]

    @property
    def effect_groups(self) -> list[str]:
        """``ranef(Subject)``: a name for the effects of each term."""
        return [f"ranef({g})" for g in group_names(self.fit.model.design.random)]

    @property
    def draws(self) -> NamedDraws:
        """Draws by the name of the parameter, (chains, draws) each."""
        names, x = self.named(ranef=True)
        wholes = dict(zip(self.effect_groups, self.kept.effects, strict=True))
        return NamedDraws({name: x[:, :, j] for j, name in enumerate(names)}, wholes)
