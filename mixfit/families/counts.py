"""Counts and proportions without a dispersion: binomial and Poisson."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, xlogy

from mixfit.errors import DataError
from mixfit.families.base import Family, Terms
from mixfit.families.links import logistic
from mixfit.families.tails import TAILS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Binomial", "Poisson", "check_rows", "log_choose"]


_LARGEST_EXPONENT = 600.0


def check_rows(bad: NDArray[np.bool_], message: str) -> None:
    """Raise DataError with the first bad row's number where any is bad."""
    if bad.any():
        raise DataError(f"{message} ({int(bad.sum())} of {len(bad)} rows, the first is row {int(np.argmax(bad))}).")


def log_choose(trials: Array, successes: Array) -> Array:
    """log of the binomial coefficient."""
    out: Array = gammaln(trials + 1.0) - gammaln(successes + 1.0) - gammaln(trials - successes + 1.0)
    return out


class Binomial(Family):
    """Proportions y of `prior` trials."""

    name = "binomial"
    links = ("logit", "probit", "cloglog", "cauchit", "log")
    edged = ("log",)
    canonical = "logit"
    expected_weights = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows((y < 0) | (y > 1), f"A binomial response lies in [0, 1]; {name!r} does not")
        successes = y * prior
        check_rows(
            np.abs(successes - np.round(successes)) > 1e-6 * np.maximum(prior, 1.0),
            f"{name!r} times its number of trials is not a whole number; give the trials as weights=",
        )
        check_rows(
            np.abs(prior - np.round(prior)) > 1e-6,
            "The weights of a binomial model are numbers of trials: whole",
        )

    def log_constant(self, y: Array, prior: Array) -> Array:
        return log_choose(prior, prior * y)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: float) -> Array:
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

    def terms(self, y: Array, prior: Array, eta: Array, phi: float) -> Terms:
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

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        kernel = prior * (xlogy(y, mu) + xlogy(1.0 - y, 1.0 - mu))
        # A log link can leave the support: no density there, whatever the response.
        return np.where(mu < 1.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        nu = 1.0 - mu
        return (
            prior * (y - mu) / (mu * nu),
            -prior * (y / mu**2 + (1.0 - y) / nu**2),
            2.0 * prior * (y / mu**3 - (1.0 - y) / nu**3),
        )

    def information(self, prior: Array, mu: Array, phi: float) -> tuple[Array, Array]:
        v = mu * (1.0 - mu)
        return prior / v, -prior * (1.0 - 2.0 * mu) / v**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        distance = xlogy(y, y / mu) + xlogy(1.0 - y, (1.0 - y) / (1.0 - mu))
        return np.asarray(2.0 * distance)

    def variance(self, mu: Array, phi: float) -> Array:
        return mu * (1.0 - mu)

    def simulate(self, mu: Array, prior: Array, phi: float, rng: np.random.Generator) -> Array:
        return rng.binomial(np.round(prior).astype(np.int64), mu) / prior

    def start_mean(self, y: Array, prior: Array) -> Array:
        return (prior * y + 0.5) / (prior + 1.0)


class Poisson(Family):
    """Counts; prior weights multiply the log density, as in R."""

    name = "poisson"
    links = ("log", "sqrt", "identity")
    edged = ("identity",)
    canonical = "log"
    expected_weights = True

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(y < 0, f"A {self.name} response is not negative; {name!r} is")
        check_rows(y != np.round(y), f"A {self.name} response is a whole number; {name!r} is not")

    def log_constant(self, y: Array, prior: Array) -> Array:
        if self.link.name != "log":
            return -prior * gammaln(y + 1.0)
        most = np.maximum(y, 1.0)
        return prior * (y * np.log(most) - most - gammaln(y + 1.0))

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: float) -> Array:
        if self.link.name != "log":
            return super().log_kernel(y, prior, eta, phi)
        # About log y, where y eta - mu of a large count would lose the digits that tell predictors apart.
        most = np.maximum(y, 1.0)
        distance = eta - np.log(most)
        return prior * (y * distance - most * np.expm1(np.minimum(distance, _LARGEST_EXPONENT)))

    def terms(self, y: Array, prior: Array, eta: Array, phi: float) -> Terms:
        if self.link.name != "log":
            return super().terms(y, prior, eta, phi)
        weight: Array = prior * self.link.mean(eta)
        return Terms(prior * y - weight, weight, weight, weight, weight)

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        with np.errstate(invalid="ignore"):
            kernel = prior * (xlogy(y, mu) - mu)
        # An identity link can leave the support: no density there, whatever the count.
        return np.where(mu > 0.0 if self.has_edge else mu >= 0.0, kernel, -np.inf)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        return prior * (y / mu - 1.0), -prior * y / mu**2, 2.0 * prior * y / mu**3

    def information(self, prior: Array, mu: Array, phi: float) -> tuple[Array, Array]:
        return prior / mu, -prior / mu**2

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        out: Array = 2.0 * (xlogy(y, y / mu) - (y - mu))
        return out

    def variance(self, mu: Array, phi: float) -> Array:
        return mu

    def simulate(self, mu: Array, prior: Array, phi: float, rng: np.random.Generator) -> Array:
        return rng.poisson(mu).astype(float)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return y + 0.1
