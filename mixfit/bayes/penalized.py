r"""The mode of a model's parameters under priors, as blme has it: maximum penalized likelihood.

The density of (sd, correlations, sigma), or of what else a prior is a density of, is maximized as it is written,
without the Jacobian of any coordinates: Chung, Rabe-Hesketh, Dorie, Gelman & Liu (2013), Psychometrika 78, 685-709. By
maximum likelihood the coefficients are at their joint mode with it; by REML they are integrated out with their prior.
The likelihood of a generalized model is the Laplace approximation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.begin import demand_finite
from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.distributions import LOG_2PI, StudentT
from mixfit.bayes.laplace import LaplacePosterior
from mixfit.bayes.mode import find_mode
from mixfit.bayes.resolve import resolve
from mixfit.errors import PriorError
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.estimate import packed, points_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.priors import Priors
    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import GeneralizedFit, LinearFit
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.lmm.types import LinearEstimate

    Array = NDArray[np.float64]

__all__ = ["PenalizedCriterion", "penalized_estimate", "penalized_generalized"]

# Of coordinates whose scale is about 1: central differences of smooth functions are then good to 1e-10.
_DIFFERENCE = 1e-5


class PenalizedCriterion(CollapsedPosterior):
    """The log likelihood and the log density of the natural parameters, in the coordinates of `CollapsedPosterior`.

    Parameters
    ----------
    fit : LinearFit
    priors : ResolvedPriors
    reml : bool
    """

    def __init__(self, fit: LinearFit, priors: ResolvedPriors, *, reml: bool) -> None:
        if any(isinstance(p, StudentT) for p in priors.fixed):
            raise PriorError(
                "Coefficients of a penalized fit have the prior Normal or Flat: those of t priors are drawn."
            )
        super().__init__(fit, priors)
        self.integrates = reml

    def deviance(self, x: Array) -> float:
        """-2 log-likelihood at one place (1, d), without the prior of coefficients unless they are integrated out."""
        value = -2.0 * float(self.evaluate(x).likelihood[0])
        if self.integrates:
            return value
        solved, log_w = self.solved(x), self._normals.log_precision(x[:, self.log_v])
        return value - float(solved.prior[0] - log_w.sum() + log_w.size * LOG_2PI)

    def inverse_root(self, x: Array) -> Array:
        """A root of K^{-1} at one place, (p, p)."""
        return np.asarray(np.linalg.cholesky(self.solved(x).inverse)[0], dtype=float)

    def _log_prior(self, x: Array) -> tuple[Array, Array]:
        priors, log_sigma = self.priors, x[:, self.log_sigma]
        assert priors.sigma is not None
        sigma, out = np.exp(log_sigma), np.zeros(x.shape)
        value = priors.sigma.log_density(sigma)
        out[:, self.log_sigma] = priors.sigma.slope(sigma) * sigma
        for at, prior in zip(self.terms, priors.terms, strict=True):
            found, jacobian = prior.density(x[:, at], log_sigma), prior.jacobian(x[:, at], log_sigma)
            value = value + found.value - jacobian.value
            out[:, at] += found.slope - jacobian.slope
            out[:, self.log_sigma] += found.log_sigma - jacobian.log_sigma
        return value, out


def penalized_estimate(fit: LinearFit, priors: Priors | str) -> LinearEstimate:
    """The estimates of the fit's model under priors, by REML or maximum likelihood as those of the fit.

    Raises
    ------
    PriorError
        For priors that name what the model does not have, or have no density at the estimates of the fit.
    """
    assembly, reml = fit.model.assembly, fit.reml
    density = PenalizedCriterion(fit, resolve(priors, fit.model, residual=True, posterior=False), reml=reml)
    start = density.start()
    demand_finite(density, start[None], start, start[density.log_sigma])
    mode = find_mode(density, start)
    x, sigma = mode.place[None], float(np.exp(mode.place[density.log_sigma]))
    given = [c.given(mode.place[at]) for at, c in zip(density.terms, density.priors.coordinates, strict=True)]
    scale = (sigma / assembly.response.scale) ** 2
    profile = evaluate(assembly.problem, points_of(assembly, given), reml=reml, scale=scale)
    found = packed(assembly, profile, mode.certificate)
    at_mean = density.draw(x, np.random.default_rng(0), spread=0.0)
    half = assembly.fixed.coefficients(density.inverse_root(x))
    out = replace(
        found,
        criterion=density.deviance(x),
        beta=at_mean.beta[0],
        cov_beta=sigma**2 * (half @ half.T),
        modes=tuple(b[0] for b in at_mean.effects),
    )
    out.at.keep(profile)
    return out


def penalized_generalized(fit: GeneralizedFit, priors: Priors | str) -> GeneralizedEstimate:
    """The estimates of the fit's model under priors; errors are those of the density's curvature at its mode.

    Raises
    ------
    PriorError
        For priors that name what the model does not have, and families with parameters of their own.
    """
    density = LaplacePosterior(fit, resolve(priors, fit.model, residual=False, posterior=False), natural=True)
    start = density.start()
    p = density.size - sum(density.priors.sizes)
    demand_finite(density, start[None], start[p:])
    mode = find_mode(density, start)
    found = density.at(mode.place)
    covariance = np.linalg.inv(mode.curvature)
    conditional = np.linalg.inv(mode.curvature[:p, :p])
    jacobian = _theta_slopes(density, mode.place)
    cov_theta = jacobian @ covariance[p:, p:] @ jacobian.T
    structures = [r.structure for r in fit.model.design.random]
    thetas = _thetas(density, mode.place)
    out = replace(
        fit.estimate,
        criterion=found.value,
        templates=tuple(s.template(own) for s, own in zip(structures, thetas, strict=True)),
        theta=np.concatenate(thetas),
        beta=density.beta(mode.place[None])[0],
        cov_beta=np.asarray(density.root @ covariance[:p, :p] @ density.root.T),
        cov_beta_conditional=np.asarray(density.root @ conditional @ density.root.T),
        cov_theta=cov_theta,
        cov_theta_beta=np.asarray(jacobian @ covariance[p:, :p] @ density.root.T),
        theta_errors=np.sqrt(cov_theta.diagonal()),
        modes=tuple(b[0] for b in density.effects(found, found.mode.u)),
        eta=found.mode.eta,
        certificate=mode.certificate,
    )
    out.at.keep(found)
    return out


def _thetas(density: LaplacePosterior, x: Array) -> list[Array]:
    """Theta of every term at a place (d,)."""
    out = []
    for at, own in zip(density.terms, density.priors.coordinates, strict=True):
        basis = np.eye(own.structure.k)
        out.append(own.structure.theta_of(own.structure.point_of(own.given(x[at]), basis), basis))
    return out


def _theta_slopes(density: LaplacePosterior, x: Array) -> Array:
    """Derivatives of theta in the coordinates of the terms, (m, m)."""
    first = density.size - sum(density.priors.sizes)
    moves = _DIFFERENCE * np.eye(density.size)[first:]
    sides = [[np.concatenate(_thetas(density, x + sign * move)) for move in moves] for sign in (1.0, -1.0)]
    return np.asarray((np.array(sides[0]) - np.array(sides[1])).T / (2.0 * _DIFFERENCE))
