r"""Ordered beta regression (Kubinec 2023, Political Analysis 31, 519-536): proportions with zeros and ones.

With cut points c_0 < c_1 on the scale of the predictor and mu = logistic(eta),

    P(y = 0) = 1 - logistic(eta - c_0),    P(y = 1) = logistic(eta - c_1),

and between them y is beta distributed with mean mu and precision phi.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit

from mixfit.errors import ParameterError
from mixfit.families.composed import Composed
from mixfit.families.declared import Shape, Support, check_rows
from mixfit.families.jets import Jet, choose, exp, log1mexp, log_gamma, logistic, softplus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["OrderedBeta"]


# Logits farther out have probabilities whose powers are no doubles.
_FARTHEST = 100.0


class OrderedBeta(Composed):
    """Responses in [0, 1], ends included: cut points in logits, precision phi inside.

    What is predicted is mu, the mean between the ends, as glmmTMB has it; E[y] is `expectation`.
    """

    name = "ordbeta"
    kind = "continuous"
    support = Support(lower=0.0, upper=1.0, closed=True)
    links = ("logit",)
    # The coordinates are c_0 and log(c_1 - c_0); the cut points are reported as probabilities.
    shapes = (
        Shape("lower", -2.0, float, float, lambda c: False),
        Shape("upper", np.log(4.0), float, float, lambda c: False),
    )

    @property
    def shape_values(self) -> dict[str, float]:
        first, log_gap = self.psi
        return {"lower": float(expit(first)), "upper": float(expit(first + np.exp(log_gap)))}

    def coordinates_of(self, values: Mapping[str, float]) -> Array:
        lower, upper = values["lower"], values["upper"]
        if not 0.0 < lower < upper < 1.0:
            raise ParameterError(
                f"lower and upper of ordbeta are probabilities, the first the smaller: not {lower:g} and {upper:g}."
            )
        return np.array([logit(lower), np.log(logit(upper) - logit(lower))])

    def check(self, y: Array, prior: Array, name: str) -> None:
        check_rows(self.support.outside(y), f"An ordbeta response lies in [0, 1]; {name!r} does not")

    def log_density(self, y: Array, eta: Jet, phi: Jet, shapes: tuple[Jet, ...]) -> Jet:
        gap = exp(shapes[1])
        low = eta - shapes[0]
        high = low - gap
        # logistic(low) - logistic(high) = logistic(low) logistic(-high) (1 - e^-gap).
        between = log1mexp(-gap) - softplus(-low) - softplus(high)
        inside = np.where((y > 0.0) & (y < 1.0), y, 0.5)
        mu, rest = logistic(eta), logistic(-eta)
        a, b = mu * phi, rest * phi
        beta = (a - 1.0) * np.log(inside) + (b - 1.0) * np.log1p(-inside)
        density = between + beta + (log_gamma(phi) - log_gamma(a) - log_gamma(b))
        return choose(y <= 0.0, -softplus(low), choose(y >= 1.0, -softplus(-high), density))

    def _within_range(self, eta: Array) -> Array:
        return np.clip(eta, -_FARTHEST, _FARTHEST)

    def expectation(self, eta: Array, phi: Array | float) -> Array:
        mu = self.link.mean(eta)
        first, log_gap = self.psi
        above, top = expit(eta - first), expit(eta - first - np.exp(log_gap))
        return np.asarray(top + (above - top) * mu)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        eta = self.link.eta(mu)
        first, log_gap = self.psi
        above, top = expit(eta - first), expit(eta - first - np.exp(log_gap))
        square = top + (above - top) * (mu * (1.0 - mu) / (1.0 + phi) + mu**2)
        return np.asarray(square - self.expectation(eta, phi) ** 2)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        eta = self.link.eta(mu)
        first, log_gap = self.psi
        inside = rng.beta(mu * phi, (1.0 - mu) * phi)
        u = rng.uniform(size=np.shape(mu))
        top = expit(eta - first - np.exp(log_gap))
        return np.where(u < top, 1.0, np.where(u > expit(eta - first), 0.0, inside))

    def start_mean(self, y: Array, prior: Array) -> Array:
        return np.clip(y, 0.05, 0.95)

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        inside = (y > 0.0) & (y < 1.0)
        spread = float(np.mean((y[inside] - mu[inside]) ** 2)) if inside.any() else 1.0
        return max(float(np.mean(mu * (1.0 - mu))) / spread - 1.0, 0.5)

    def start_shapes(self, y: Array, prior: Array, mu: Array) -> Array:
        # The cut points that give the shares of zeros and ones at the mean predictor.
        shares = [(np.sum(end) + 0.5) / (len(y) + 1.0) for end in (y <= 0.0, y >= 1.0)]
        centre = float(np.mean(self.link.eta(mu)))
        low = centre + np.log(shares[0] / (1.0 - shares[0]))
        high = centre - np.log(shares[1] / (1.0 - shares[1]))
        return np.array([low, np.log(max(high - low, 0.5))])
