"""A posterior as a user holds it: draws by name, tables of them, predictions, evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes.names import effect_names, group_names, natural_names
from mixfit.bayes.summaries import quantile_frame, summary_frame
from mixfit.errors import PriorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["Draws", "Evidence", "NamedDraws", "Posterior", "Sampler"]


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of everything, (chains, draws, ...).

    Attributes
    ----------
    x : ndarray, shape (chains, draws, d)
        Coordinates of the covariance parameters.
    beta : ndarray, shape (chains, draws, p)
    effects : tuple of ndarray, shape (chains, draws, q_t, k_t)
    """

    x: Array
    beta: Array
    effects: tuple[Array, ...]


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
class Posterior:
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

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> posterior = fit.sample(priors="brms", seed=1)
    >>> posterior.priors
    Intercept               StudentT(df=3, location=288.7, scale=59.3) at the means of the covariates
    Days                    Flat()
    sd(Subject, Intercept)  HalfT(df=3, scale=59.3)
    sd(Subject, Days)       HalfT(df=3, scale=59.3)
    cor(Subject)            LKJ(eta=1)
    sigma                   HalfT(df=3, scale=59.3)
    >>> posterior
    <Posterior: Reaction ~ Days + (Days | Subject), 4 chains of 1000 draws, collapsed>
    """

    fit: Fit
    priors: ResolvedPriors
    kept: Draws
    sampler: Sampler
    log_evidence: Evidence | None = None

    def __repr__(self) -> str:
        chains, draws = self.kept.beta.shape[:2]
        return f"<Posterior: {self.fit.model.formula_text}, {chains} chains of {draws} draws, {self.sampler.method}>"

    @cached_property
    def _parameters(self) -> tuple[list[str], Array]:
        """Names, and draws (chains, draws, m), of coefficients, sigma and covariance parameters."""
        kept, random = self.kept, self.fit.model.design.random
        names, parts = list(self.fit.model.exog_names), [kept.beta]
        flat = kept.x.reshape(-1, kept.x.shape[2])
        m = sum(self.priors.sizes)
        unit = np.ones(len(flat))
        if self.priors.sigma is not None:
            unit = np.exp(flat[:, m])
            names.append("sigma")
            parts.append(unit.reshape(*kept.x.shape[:2], 1))
        start = 0
        for r, group, own in zip(random, group_names(random), self.priors.coordinates, strict=True):
            natural = own.natural(flat[:, start : start + own.size], unit)
            names += natural_names(r, group)
            parts.append(natural.reshape(*kept.x.shape[:2], -1))
            start += own.size
        return names, np.concatenate(parts, axis=2)

    @cached_property
    def _effects(self) -> tuple[list[str], Array]:
        """The same of the random effects."""
        random = self.fit.model.design.random
        names = [n for r, group in zip(random, group_names(random), strict=True) for n in effect_names(r, group)]
        shape = self.kept.beta.shape[:2]
        return names, np.concatenate([b.reshape(*shape, -1) for b in self.kept.effects], axis=2)

    def _named(self, ranef: bool) -> tuple[list[str], Array]:
        if not ranef:
            return self._parameters
        (names, x), (more, b) = self._parameters, self._effects
        return names + more, np.concatenate([x, b], axis=2)

    @property
    def draws(self) -> NamedDraws:
        """Draws by the name of the parameter, (chains, draws) each."""
        names, x = self._named(ranef=True)
        random = self.fit.model.design.random
        wholes = {f"ranef({g})": b for g, b in zip(group_names(random), self.kept.effects, strict=True)}
        return NamedDraws({name: x[:, :, j] for j, name in enumerate(names)}, wholes)

    def summary(self, ranef: bool = False) -> pd.DataFrame:
        """Summarize the draws, a row a parameter.

        Parameters
        ----------
        ranef : bool
            Whether the random effects have rows too.

        Returns
        -------
        DataFrame
            Columns ``mean``, ``sd``, ``median``, ``5%``, ``95%``; Monte Carlo standard errors ``mcse_mean`` and
            ``mcse_sd``; effective draws ``ess_bulk`` and ``ess_tail``, and ``r_hat``, by ranks (Vehtari et al. 2021).

        Examples
        --------
        >>> import mixfit
        >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
        >>> posterior = fit.sample(seed=1)
        >>> posterior.summary().index.tolist()
        ['Intercept', 'sigma', 'sd(Batch, Intercept)']
        >>> len(posterior.summary(ranef=True))
        9
        """
        names, x = self._named(ranef)
        return summary_frame(x, names)

    def quantiles(self, levels: Sequence[float], ranef: bool = False) -> pd.DataFrame:
        """Return quantiles of the draws, a row a parameter, a column a level.

        Parameters
        ----------
        levels : sequence of float
        ranef : bool
            Whether the random effects have rows too.

        Returns
        -------
        DataFrame
        """
        names, x = self._named(ranef)
        return quantile_frame(x, names, levels)

    def to_frame(self, ranef: bool = False) -> pd.DataFrame:
        """Return the draws as a frame, a column a parameter.

        Parameters
        ----------
        ranef : bool
            Whether the random effects have columns too.

        Returns
        -------
        DataFrame
            Its index has the levels ``chain`` and ``draw``.
        """
        names, x = self._named(ranef)
        index = pd.MultiIndex.from_product([range(x.shape[0]), range(x.shape[1])], names=["chain", "draw"])
        return pd.DataFrame(x.reshape(-1, x.shape[2]), index=index, columns=pd.Index(names, dtype=object))

    @property
    def evidence(self) -> Evidence:
        """The log of the marginal likelihood, with its Monte Carlo standard error.

        Raises
        ------
        PriorError
            With improper priors, which have none.
        """
        if self.log_evidence is None:
            improper = "The priors are improper: there is no marginal likelihood."
            raise PriorError("No evidence is known from these draws." if self.priors.is_proper else improper)
        return self.log_evidence

    def bayes_factor(self, other: Posterior) -> float:
        """Return the ratio of this model's evidence to another's, of the same response.

        Parameters
        ----------
        other : Posterior

        Returns
        -------
        float
        """
        return float(np.exp(self.evidence.log - other.evidence.log))
