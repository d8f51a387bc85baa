"""A posterior as a user holds it: draws by name, tables of them, predictions, evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.bayes.draws import PosteriorDraws
from mixfit.bayes.export import to_arviz
from mixfit.bayes.hypothesis import hypothesis
from mixfit.bayes.loo import loo
from mixfit.bayes.predict import predict, simulate
from mixfit.bayes.prior_draws import prior_predictive
from mixfit.bayes.reweigh import with_priors
from mixfit.bayes.summaries import energy_moved, mean_effects, quantile_frame, summary_frame
from mixfit.bayes.waic import waic
from mixfit.errors import PriorError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.bayes.draws import Evidence

__all__ = ["Posterior"]


class Posterior(PosteriorDraws):
    """Draws from the posterior of a mixed model.

    Attributes
    ----------
    fit : Fit
        The fit whose model it is of.
    priors : ResolvedPriors
        Prints as a table of the priors, every number filled in.
    kept : Draws
        Coordinates, coefficients and effects as arrays.
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

    # Functions of draws, as methods: each is documented where it is defined.
    predict = predict
    simulate = simulate
    prior_predictive = prior_predictive
    loo = loo
    waic = waic
    hypothesis = hypothesis
    with_priors = with_priors
    to_arviz = to_arviz

    def __repr__(self) -> str:
        chains, draws = self.kept.beta.shape[:2]
        return f"<Posterior: {self.fit.model.formula_text}, {chains} chains of {draws} draws, {self.sampler.method}>"

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
        names, x = self.named(ranef)
        return summary_frame(x, names)

    def quantiles(self, levels: Sequence[float], *, ranef: bool = False) -> pd.DataFrame:
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
        names, x = self.named(ranef)
        return quantile_frame(x, names, levels)

    def varcorr(self) -> pd.DataFrame:
        """Summarize standard deviations, correlations and sigma: their rows of `summary`.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import mixfit
        >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
        >>> fit.sample(seed=1).varcorr().index.tolist()
        ['sigma', 'sd(Batch, Intercept)']
        """
        names, x = self.named(ranef=False)
        p = len(names) - self.n_covariances
        return summary_frame(x[:, :, p:], names[p:])

    def ranef(self, sd: bool = False) -> dict[str, pd.DataFrame]:
        """Return the means of the random effects, laid out as those of a fit.

        Parameters
        ----------
        sd : bool
            Whether to add their standard deviations: the columns then have a top level, ``mean`` and ``sd``.

        Returns
        -------
        dict of str to DataFrame
            By grouping factor: a row a level, a column a random column.

        Examples
        --------
        >>> import mixfit
        >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
        >>> fit.sample(seed=1).ranef(sd=True)["Batch"].shape
        (6, 2)
        """
        return mean_effects(self.fit.model.design.random, self.kept.effects, sd=sd)

    def diagnostics(self) -> pd.Series[float]:
        """Return what says whether the draws are to be trusted.

        Returns
        -------
        Series
            ``r_hat``, the largest, ``ess_bulk`` and ``ess_tail``, the smallest of all parameters; of weighted points
            ``k_hat`` and ``efficiency``; of trajectories ``accepted``, ``divergences``, ``n_steps`` and ``bfmi``, the
            smallest share of the energy that a trajectory's new momentum moves (below 0.3 is too little).

        Examples
        --------
        >>> import mixfit
        >>> fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
        >>> fit.sample(seed=1).diagnostics().index.tolist()
        ['r_hat', 'ess_bulk', 'ess_tail', 'k_hat', 'efficiency']
        """
        table, s = self.summary(ranef=True), self.sampler
        out = {"r_hat": table["r_hat"].max(), "ess_bulk": table["ess_bulk"].min(), "ess_tail": table["ess_tail"].min()}
        more = {
            "k_hat": s.k,
            "efficiency": s.efficiency,
            "accepted": s.accepted,
            "divergences": s.divergences,
            "n_steps": s.n_steps,
            "bfmi": None if s.energy is None else energy_moved(s.energy),
        }
        return pd.Series({**out, **{name: float(value) for name, value in more.items() if value is not None}})

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
        names, x = self.named(ranef)
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
