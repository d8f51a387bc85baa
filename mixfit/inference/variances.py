"""Variances of the parts of the linear predictor, and of the conditional distribution on its scale.

Nakagawa, Johnson & Schielzeth (2017, J. R. Soc. Interface 14: 20170213), with the mean random-effects variance
of Johnson (2014, Methods Ecol. Evol. 5: 944-946) for random slopes: mean over the rows of z'Sigma z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.predictors import refuse_unordered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["VarianceComponents", "distribution_variance", "mean_random_variances", "variance_components"]


@dataclass(frozen=True)
class VarianceComponents:
    """What the variance of a response is made of, on the scale of the linear predictor.

    Attributes
    ----------
    fixed : float
        Variance of X beta over the rows (divisor n - 1).
    random : float
        Mean over the rows of z'Sigma z, summed over the terms.
    by_group : mapping of str to float
        The same by grouping factor.
    distribution : float
        Residual variance of a linear model (the mean over the rows where it varies), distribution-specific variance of
        a generalized one.
    dispersion : float
        Variance of the random effects that single observations have, which count as residual.
    singular : bool
        Whether a random effect has no variance or is determined by others.
    trials : float
        Trials of a row, on average, whose proportion of successes a binomial response is.
    """

    fixed: float
    random: float
    by_group: Mapping[str, float]
    distribution: float
    dispersion: float
    singular: bool
    trials: float = 1.0

    @property
    def residual(self) -> float:
        """Distribution-specific variance and that of single observations."""
        return self.distribution + self.dispersion

    @property
    def total(self) -> float:
        """Of fixed effects, random effects and residual."""
        return self.fixed + self.random + self.residual


def mean_random_variances(random: Sequence[RandomDesign], templates: Sequence[Array], unit: float) -> list[float]:
    """Mean over the rows of z'Sigma z of every term (Johnson 2014, eq. 10).

    Parameters
    ----------
    random : sequence of RandomDesign
    templates : sequence of ndarray, shape (k_t, k_t)
    unit : float
        Sigma_t = unit**2 T T'.

    Returns
    -------
    list of float
    """
    means = []
    for term, template in zip(random, templates, strict=True):
        scaled = term.Z @ template
        known = term.structure.relationship
        if known is not None:
            scaled *= np.sqrt(known.variances[term.grouping.codes])[:, None]
        means.append(unit**2 * float(np.einsum("nk,nk->", scaled, scaled)) / len(scaled))
    return means


def variance_components(fit: Fit, per_trial: bool = False) -> VarianceComponents:
    """Split the variance of the response into its parts.

    Parameters
    ----------
    fit : MixedResults
    per_trial : bool
        Whether a binomial response is split for single trials: see `distribution_variance`.

    Returns
    -------
    VarianceComponents

    Raises
    ------
    FitError
        For unordered categories.
    """
    refuse_unordered(fit, "Shares of variance")
    design, estimate = fit.model.design, fit.estimate
    n = len(design.y)
    generalized = is_generalized(fit)
    # Before anything is split: a family may have none, such as one whose rows have several predictors.
    distribution = _residual_variance(fit, per_trial)
    means = mean_random_variances(design.random, estimate.templates, fit.estimate.unit)
    by_group: dict[str, float] = {}
    dispersion = 0.0
    for term, mean in zip(design.random, means, strict=True):
        if generalized and term.grouping.n_levels == n:
            dispersion += mean
        else:
            by_group[term.grouping.name] = by_group.get(term.grouping.name, 0.0) + mean
    eta = fit.model.exog @ estimate.beta
    return VarianceComponents(
        fixed=float(np.var(eta, ddof=1)),
        random=sum(by_group.values()),
        by_group=by_group,
        distribution=distribution,
        dispersion=dispersion,
        singular=fit.is_singular,
        trials=_trials(fit, per_trial) if is_generalized(fit) and fit.model.family.kind == "proportion" else 1.0,
    )


def _residual_variance(fit: Fit, per_trial: bool) -> float:
    if is_generalized(fit):
        return distribution_variance(fit, per_trial)
    if not is_structured(fit):
        return float(fit.estimate.unit**2)
    deviations = fit.model.stage.deviations(fit.estimate.psi)
    return float(fit.sigma**2 * np.mean(deviations**2))


def distribution_variance(fit: GeneralizedFit, per_trial: bool = False) -> float:
    """Distribution-specific variance on the scale of the link (Nakagawa et al. 2017, table 1).

    Parameters
    ----------
    fit : GeneralizedResults
    per_trial : bool
        Whether the theoretical variance of a binomial response is not divided by the mean number of trials.

    Returns
    -------
    float

    Raises
    ------
    FitError
        For a family and link without one.
    """
    trials = _trials(fit, per_trial)
    if fit.estimate.further:
        raise FitError(
            "ICC and R2 are for models of the mean alone, and this one has zi= or dispersion=: no "
            "distribution-specific variance of such a mixture is known."
        )
    variance = fit.family.latent_variance(fit.dispersion, lambda: _null_mean(fit), trials)
    if variance is not None:
        return variance
    raise FitError(
        f"No distribution-specific variance is known for the family {fit.model.family!r}: ICC and R2 are for "
        "gaussian(identity), binomial(logit, probit, cloglog), poisson(log, sqrt), nbinom2(log) and gamma(log)."
    )


def _trials(fit: GeneralizedFit, per_trial: bool) -> float:
    """Mean number of trials of a row, or one."""
    weights = fit.model.design.weights
    return 1.0 if per_trial or weights is None else float(np.mean(weights))


def _null_mean(fit: GeneralizedFit) -> float:
    """exp(beta_0 + Sigma_tau / 2) of the model with an intercept alone for fixed effects.

    Sigma_tau is the variance of its random effects but for those of single observations.
    """
    design = fit.model.design
    n = len(design.y)
    intercept = replace(design, X=np.ones((n, 1)), exog_names=("Intercept",))
    null = fit.model.with_design(intercept).fit(n_agq=fit.estimate.n_agq)
    means = mean_random_variances(design.random, null.estimate.templates, 1.0)
    tau = sum(mean for term, mean in zip(design.random, means, strict=True) if term.grouping.n_levels < n)
    return float(np.exp(null.estimate.beta[0] + 0.5 * tau))
