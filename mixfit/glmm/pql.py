r"""Penalized quasi-likelihood (Breslow & Clayton 1993, JASA 88, 9-25).

At the joint mode of (beta, u) for the current theta the responses are replaced by a working response and its variance,

    z_i = eta_i - offset_i + l'_i / w_i,      Var(z_i | u) = 1 / w_i,      w_i = E[-l''_i] = mu'_i^2 / Var(y_i),

whose linear mixed model gives the next theta by maximum likelihood (as ``MASS::glmmPQL``), and so on until it is the
theta that it was made at. The variance of z is known for binomial and Poisson responses; other families have a factor
phi in it, estimated with theta. What PQL drops of the Laplace approximation is that w moves with theta and beta: a
quasi-likelihood, not a likelihood, is maximal at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import BiasWarning, FitError, warn
from mixfit.families.continuous import Gaussian
from mixfit.glmm.joint import FastObjective, joint_laplace
from mixfit.glmm.minimize import minimize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.glmm.laplace import Laplace
    from mixfit.glmm.minimize import GeneralizedMinimum
    from mixfit.glmm.objective import LikelihoodPoint
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem

    Array = NDArray[np.float64]

__all__ = ["PenalizedQuasi", "few_counts", "penalized_quasi", "warn_of_bias"]

# Working models settle within some ten; ones that cycle end here.
_MAX_WORKING_MODELS = 200
# A row that says nothing still has a working response, score / weight.
_SMALLEST_WEIGHT = 1e-10
# Below this the conditional distribution of a count is far from normal, which is what PQL takes it for
# (the rule of Bolker et al. 2009, Trends in Ecology & Evolution 24, 127-135).
_ENOUGH = 5.0


@dataclass(frozen=True, eq=False)
class PenalizedQuasi:
    """Where the working models settled.

    Attributes
    ----------
    center : Laplace
        The joint mode.
    optimum : GeneralizedMinimum
        Of the last working model; the certificate says whether it is the one it was made at.
    """

    center: Laplace
    optimum: GeneralizedMinimum[LikelihoodPoint]


def penalized_quasi(problem: GeneralizedProblem, start: GeneralizedParameters) -> PenalizedQuasi:
    """Iterate working linear mixed models from `start`.

    Raises
    ------
    FitError
        For a family whose variance has another form than a known function times a factor.
    """
    _check_family(problem.family)
    at = replace(start, gamma=np.empty(0))
    center = joint_laplace(problem, at.points, at.phi, start.gamma)
    evaluations = 0
    for _ in range(_MAX_WORKING_MODELS):
        optimum = minimize(FastObjective(working_problem(center), center.gamma), at)
        evaluations += optimum.certificate.n_evaluations
        settled = optimum.point.at is at
        at = optimum.point.at
        if settled:
            break
        center = joint_laplace(problem, at.points, at.phi, center.gamma, center.mode.u)
    certificate = replace(
        optimum.certificate,
        converged=settled and optimum.certificate.converged,
        n_evaluations=evaluations,
        message=optimum.certificate.message if settled else "the working models did not settle",
    )
    return PenalizedQuasi(center, replace(optimum, certificate=certificate))


def working_problem(center: Laplace) -> GeneralizedProblem:
    """The linear mixed model of the working response at a joint mode."""
    problem, terms = center.problem, center.mode.terms
    weight = np.maximum(terms.expected, _SMALLEST_WEIGHT)
    return replace(
        problem,
        family=Gaussian(phi=None if problem.family.has_dispersion else center.phi),
        y=center.mode.eta + terms.score / weight,
        prior=weight * center.phi,
    )


def few_counts(family: Family, prior: Array, mu: Array) -> bool:
    """Whether at least half of the rows expect fewer than 5 events (binomial: or fewer than 5 non-events)."""
    rarer = family.rare_events(mu)
    return rarer is not None and float(np.median(prior * rarer)) < _ENOUGH


def warn_of_bias(prior: Array, family: Family, eta: Array) -> None:
    """Issue BiasWarning to whoever called `fit`, for data with few counts."""
    if few_counts(family, prior, family.link.mean(eta)):
        warn(
            f"Penalized quasi-likelihood is biased for {family.name} data as sparse as these: at least half of the "
            "rows expect fewer than 5 events or non-events. Variances of random effects tend to come out too small, "
            "fixed effects too close to zero. Use method='ml', with n_agq > 1 where there is one grouping factor.",
            BiasWarning,
        )


def _check_family(family: Family) -> None:
    if (family.has_dispersion and not family.is_scaled) or family.response_link(1.0) is not family.link:
        raise FitError(
            f"method='pql' takes families whose variance is a known function of the mean, or one times a factor; that "
            f"of {family.name} depends on its dispersion in another way. Use method='ml'."
        )
