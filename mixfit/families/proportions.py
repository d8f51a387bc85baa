"""Proportions: binomial, beta-binomial, beta.

phi is a precision, as in glmmTMB. Beta-binomial: the probability of a row's trials is beta distributed with
a = mu phi, b = (1 - mu) phi. Beta: Var = mu (1 - mu) / (1 + phi) (Ferrari & Cribari-Neto 2004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from mixfit.families.base import Family
from mixfit.families.declared import Support, Terms, check_rows
from mixfit.families.jets import Jet, log, log_gamma, mean_of
from mixfit.families.links import TAILS, logistic
from mixfit.families.polygammas import polygammas
from mixfit.families.rises import log_rise, rise, rise_derivatives

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Beta", "BetaBinomial", "Binomial", "log_choose"]

_SHARES = Support(lower=0.0, upper=1.0, closed=True, whole=True)
# Variances of the latent logistic, normal and Gumbel variables.
_LATENT = {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0}
# Numbers of trials and of successes are whole but for the rounding of a share times its trials.
_ROUNDING = 1e-6


def log_choose(trials: Array, successes: Array) -> Array:
    """log of the binomial coefficient."""
    out: Array = gammaln(trials + 1.0) - gammaln(successes + 1.0) - gammaln(trials - successes + 1.0)
    return out


def _check_shares(family: Family, y: Array, prior: Array, name: str) -> None:
    check_rows(family.support.outside(y), f"A binomial response lies in [0, 1]; {name!r} does not")
    successes = y * prior
    check_rows(
        np.abs(successes - np.round(successes)) > _ROUNDING * np.maximum(prior, 1.0),
        f"{name!r} times its number of trials is not a whole number; give the trials as weights=",
    )
    check_rows(
        np.abs(prior - np.round(prior)) > _ROUNDING,
        "The weights of a binomial model are numbers of trials: whole",
    )


class Binomial(Family):
    """Proportions y of `prior` trials."""

    name = "binomial"
    kind = "proportion"
    support = _SHARES
    mean_name = "prob"
    links = ("logit", "probit", "cloglog", "cauchit", "log")
    edged = ("log",)
    canonical = "logit"
    expected_weights = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        _check_shares(self, y, prior, name)

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return _LATENT[self.link.name] / trials if self.link.name in _LATENT else None

    def log_constant(self, y: Array, prior: Array) -> Array:
        return log_choose(prior, prior * y)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        if self.link.name == "logit":
            # y eta - log(1 + e^eta), which neither overflows nor rounds the tail away.
            tail = np.abs(eta)
            np.log1p(np.exp(np.negative(tail, out=tail), out=tail), out=tail)
            out = y * eta
            out -= np.maximum(eta, 0.0)
            out -= tail
            out *= prior
            return out
        # 0 log 0 counts nothing, but a mean outside the support has no density whatever the response.
        tails = TAILS[self.link.name]
        success, failure = tails.log_mean(eta), tails.log_rest(eta)
        with np.errstate(invalid="ignore"):
            kernel = np.where(y > 0.0, y * success, 0.0) + np.where(y < 1.0, (1.0 - y) * failure, 0.0)
        if self.has_edge:
            kernel = np.where(eta < 0.0, kernel, -np.inf)
        return prior * kernel

    def terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Terms:
        if self.link.name == "logit":
            mean, weight, bend = logistic(eta)
            weight *= prior
            bend *= prior
            score = np.subtract(y, mean, out=mean)
            score *= prior
            return Terms(score, weight, bend, weight, weight)
        h = TAILS[self.link.name].hazards(eta)
        weight = prior * h.success * h.failure
        return Terms(
            score=prior * (y * h.success - (1.0 - y) * h.failure),
            weight=weight,
            weight_slope=weight * (h.success_bend + h.failure_bend),
            observed=prior * ((1.0 - y) * h.failure * h.failure_bend - y * h.success * h.success_bend),
            expected=weight,
        )

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        kernel = prior * (xlogy(y, mu) + xlogy(1.0 - y, 1.0 - mu))
        # A log link can leave the support: no density there, whatever the response.
        return np.where(mu < 1.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        nu = 1.0 - mu
        return (
            prior * (y - mu) / (mu * nu),
            -prior * (y / mu**2 + (1.0 - y) / nu**2),
            2.0 * prior * (y / mu**3 - (1.0 - y) / nu**3),
        )

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        v = mu * (1.0 - mu)
        return prior / v, -prior * (1.0 - 2.0 * mu) / v**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        distance = xlogy(y, y / mu) + xlogy(1.0 - y, (1.0 - y) / (1.0 - mu))
        return np.asarray(2.0 * distance)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu * (1.0 - mu)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.binomial(np.round(prior).astype(np.int64), mu) / prior

    def start_mean(self, y: Array, prior: Array) -> Array:
        return (prior * y + 0.5) / (prior + 1.0)


class BetaBinomial(Family):
    r"""Proportions y of `prior` trials whose probability is beta distributed with precision phi.

    With s successes, f failures of m trials, a = mu phi, b = (1 - mu) phi and R of :mod:`mixfit.families.rises`,

        log p = log choose(m, s) + s log mu + f log(1 - mu) + R(s, a) + R(f, b) - R(m, phi),

    of which the last three vanish in the binomial limit phi -> oo.
    """

    name = "betabinomial"
    links = ("logit", "probit", "cloglog")
    kind = "proportion"
    support = _SHARES
    dispersion = "shape"
    mean_name = "prob"

    def check(self, y: Array, prior: Array, name: str) -> None:
        _check_shares(self, y, prior, name)

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        nu, s, f = 1.0 - mu, prior * y, prior * (1.0 - y)
        out: Array = xlogy(s, mu) + xlogy(f, nu) + log_rise(s, mu * phi) + log_rise(f, nu * phi) - log_rise(prior, phi)
        return out

    def log_constant(self, y: Array, prior: Array) -> Array:
        return log_choose(prior, prior * y)

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        mu, s, f = mean_of(self.link, eta), prior * y, prior * (1.0 - y)
        nu = 1.0 - mu
        return s * log(mu) + f * log(nu) + rise(s, mu * phi) + rise(f, nu * phi) - rise(prior, phi)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        nu, s, f = 1.0 - mu, prior * y, prior * (1.0 - y)
        (a1, a2, a3), (b1, b2, b3) = rise_derivatives(s, mu * phi), rise_derivatives(f, nu * phi)
        return (
            s / mu - f / nu + phi * (a1 - b1),
            -s / mu**2 - f / nu**2 + phi**2 * (a2 + b2),
            2.0 * (s / mu**3 - f / nu**3) + phi**3 * (a3 - b3),
        )

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        nu, s, f = 1.0 - mu, prior * y, prior * (1.0 - y)
        (a1, a2, a3), (b1, b2, b3) = rise_derivatives(s, mu * phi), rise_derivatives(f, nu * phi)
        return (
            phi * (mu * a1 + nu * b1 - rise_derivatives(prior, phi)[0]),
            phi * (a1 - b1) + phi**2 * (mu * a2 - nu * b2),
            2.0 * phi**2 * (a2 + b2) + phi**3 * (mu * a3 + nu * b3),
        )

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        # The binomial information deflated by the overdispersion 1 + (m - 1) / (1 + phi); exact at m = 1.
        inflation = 1.0 + (prior - 1.0) / (1.0 + phi)
        v = mu * (1.0 - mu)
        return prior / (v * inflation), -prior * (1.0 - 2.0 * mu) / (v**2 * inflation)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        raise NotImplementedError("The beta-binomial family has no deviance.")

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu * (1.0 - mu)

    def row_variance(self, prior: Array, mu: Array, phi: Array | float) -> Array:
        # The trials of a row share one probability: their mean varies more than binomial ones'.
        return self.variance(mu, phi) / prior * (1.0 + (prior - 1.0) / (1.0 + phi))

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        p = rng.beta(mu * phi, (1.0 - mu) * phi)
        return rng.binomial(np.round(prior).astype(np.int64), p) / prior

    def start_mean(self, y: Array, prior: Array) -> Array:
        return (prior * y + 0.5) / (prior + 1.0)

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        v = prior * (y - mu) ** 2 / (mu * (1.0 - mu))
        excess = float(np.mean((v - 1.0) / np.maximum(prior - 1.0, 1.0)))
        return 1.0 / min(max(excess, 0.01), 2.0)


class Beta(Family):
    """Responses inside (0, 1) with precision phi; prior weights multiply the log density."""

    name = "beta"
    links = ("logit", "probit", "cloglog")
    kind = "continuous"
    support = Support(lower=0.0, upper=1.0)
    dispersion = "shape"

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(self.support.outside(y), f"A beta response lies strictly inside (0, 1); {name!r} does not")

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        a, b = mu * phi, (1.0 - mu) * phi
        kernel = xlogy(a - 1.0, y) + (b - 1.0) * np.log1p(-y)
        out: Array = prior * (gammaln(phi) - gammaln(a) - gammaln(b) + kernel)
        return out

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        a, b = mu * phi, (1.0 - mu) * phi
        odds = np.log(y) - np.log1p(-y)
        information, slope = self.information(prior, mu, phi)
        return prior * phi * (odds - digamma(a) + digamma(b)), -information, -slope

    def log_jet(self, y: Array, prior: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        mu = mean_of(self.link, eta)
        a, b = mu * phi, (1.0 - mu) * phi
        kernel = a * np.log(y) + b * np.log1p(-y)
        return prior * (log_gamma(phi) - log_gamma(a) - log_gamma(b) + kernel)

    def dispersion_derivatives(
        self, y: Array, prior: Array, mu: Array, phi: Array | float
    ) -> tuple[Array, Array, Array]:
        nu = 1.0 - mu
        a, b = mu * phi, nu * phi
        (tri_a, tetra_a), (tri_b, tetra_b) = polygammas(a), polygammas(b)
        psi_a, psi_b, log_y, log_rest = digamma(a), digamma(b), np.log(y), np.log1p(-y)
        return (
            prior * phi * (digamma(phi) - mu * psi_a - nu * psi_b + mu * log_y + nu * log_rest),
            prior * phi * (log_y - log_rest - psi_a + psi_b) + prior * phi**2 * (nu * tri_b - mu * tri_a),
            -prior * phi**2 * (2.0 * (tri_a + tri_b) + phi * (mu * tetra_a + nu * tetra_b)),
        )

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        (tri_a, tetra_a), (tri_b, tetra_b) = polygammas(mu * phi), polygammas((1.0 - mu) * phi)
        return prior * phi**2 * (tri_a + tri_b), prior * phi**3 * (tetra_a - tetra_b)

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        raise NotImplementedError("The beta family has no deviance.")

    def variance(self, mu: Array, phi: Array | float) -> Array:
        return mu * (1.0 - mu) / (1.0 + phi)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        return rng.beta(mu * phi, (1.0 - mu) * phi)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        return max(float(np.mean(mu * (1.0 - mu)) / np.mean((y - mu) ** 2)) - 1.0, 0.1)
