"""Links: mu(eta) with three exact derivatives, safe at any eta, and both tails of a probability.

statsmodels' link classes differentiate numerically beyond the first order and overflow in the tails, so the
functions here stand beside theirs; statsmodels instances are recognized by name.

The tails keep the digits of the probabilities of success and of failure. With the hazards a = mu' / mu and
b = mu' / (1 - mu), the derivatives in eta of log mu are a and a (r - a), those of log(1 - mu) are -b and -b (r + b),
where r = mu'' / mu'. Neither mu nor 1 - mu is rounded first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfcx, expit, log_ndtr, logit, ndtr, ndtri

from mixfit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Function = Callable[[Array], Array]

__all__ = ["LINKS", "TAILS", "Hazards", "Link", "Tails", "logistic"]

# The largest double is exp(709.78).
_LARGEST_EXPONENT = 700.0
# 1 - exp(-exp(3.6)) differs from 1 by less than its rounding.
_CLOGLOG_END = 3.6
# Probabilities and their complements both keep a digit.
_PROBABILITY = 1e-15
# The third power of exp(200) is a double; a hazard beyond it is exp(-exp(200)), zero, from one or the other end.
_LARGEST_HAZARD_EXPONENT = 200.0
# The largest log of a probability that is not 1 in doubles.
_EDGE = 1e-15
# sqrt(2 / pi) and sqrt(1 / 2), of the normal density by erfcx.
_NORMAL = np.sqrt(2.0 / np.pi)
_HALF = np.sqrt(0.5)


@dataclass(frozen=True, eq=False)
class Link:
    """A link g by its inverse.

    Attributes
    ----------
    name : str
    eta : callable
        g(mu).
    mean, slope, bend, twist : callable
        mu(eta) and its first, second and third derivatives.
    probability : bool
        Whether the mean is kept inside (0, 1).
    """

    name: str
    eta: Function
    mean: Function
    slope: Function
    bend: Function
    twist: Function
    probability: bool = False

    __repr__ = brief

    @property
    def has_scale(self) -> bool:
        """Whether its predictors are numbers of which 1 is much, whatever the units of the response."""
        return self.probability or self.name == "log"

    def __reduce__(self) -> tuple[Callable[[str], Link], tuple[str]]:
        # Its parts may have no names of their own.
        return _named, (self.name,)


def _exp(eta: Array) -> Array:
    return np.exp(np.clip(eta, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _inside(p: Array) -> Array:
    return np.clip(p, _PROBABILITY, 1.0 - _PROBABILITY)


def logistic(eta: Array) -> tuple[Array, Array, Array]:
    """Mean, slope and bend of the inverse logit; the smaller of mu and 1 - mu keeps all its digits."""
    # In place: on long columns a new array costs more than its arithmetic.
    near = np.abs(eta)
    np.exp(np.negative(near, out=near), out=near)
    far = near + 1.0
    np.reciprocal(far, out=far)
    near *= far
    slope = near * far
    bend = np.subtract(near, far, out=near)
    bend *= slope
    mean = np.minimum(eta, 0.0)
    np.exp(mean, out=mean)
    mean *= far
    return mean, slope, np.copysign(bend, np.negative(eta, out=far), out=bend)


def _logistic_density(eta: Array) -> Array:
    return expit(eta) * expit(-eta)


def _logit_bend(eta: Array) -> Array:
    return _logistic_density(eta) * (expit(-eta) - expit(eta))


def _logit_twist(eta: Array) -> Array:
    density = _logistic_density(eta)
    return density * (1.0 - 6.0 * density)


def _normal_density(eta: Array) -> Array:
    return np.exp(-0.5 * np.minimum(eta * eta, 2.0 * _LARGEST_EXPONENT)) / np.sqrt(2.0 * np.pi)


def _cloglog_parts(eta: Array) -> tuple[Array, Array]:
    t = np.exp(np.clip(eta, -_LARGEST_EXPONENT, _CLOGLOG_END))
    return t, t * np.exp(-t)


def _cloglog_bend(eta: Array) -> Array:
    t, slope = _cloglog_parts(eta)
    return slope * (1.0 - t)


def _cloglog_twist(eta: Array) -> Array:
    t, slope = _cloglog_parts(eta)
    return slope * (1.0 - 3.0 * t + t * t)


def _cauchy_density(eta: Array) -> Array:
    return 1.0 / (np.pi * (1.0 + eta * eta))


def _signed_power(eta: Array, power: float) -> Array:
    # Only positive predictors have a mean under 1/mu^2.
    return np.where(eta > 0.0, np.abs(eta), np.nan) ** power


def _named(name: str) -> Link:
    return LINKS[name]


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link(
            "logit",
            logit,
            lambda e: _inside(expit(e)),
            _logistic_density,
            _logit_bend,
            _logit_twist,
            True,
        ),
        Link(
            "probit",
            ndtri,
            lambda e: _inside(ndtr(e)),
            _normal_density,
            lambda e: -e * _normal_density(e),
            lambda e: (e * e - 1.0) * _normal_density(e),
            True,
        ),
        Link(
            "cloglog",
            lambda mu: np.log(-np.log1p(-mu)),
            lambda e: _inside(-np.expm1(-_cloglog_parts(e)[0])),
            lambda e: _cloglog_parts(e)[1],
            _cloglog_bend,
            _cloglog_twist,
            True,
        ),
        Link(
            "cauchit",
            lambda mu: np.tan(np.pi * (mu - 0.5)),
            lambda e: _inside(0.5 + np.arctan(e) / np.pi),
            _cauchy_density,
            lambda e: -2.0 * np.pi * e * _cauchy_density(e) ** 2,
            lambda e: 2.0 * np.pi**2 * (3.0 * e * e - 1.0) * _cauchy_density(e) ** 3,
            True,
        ),
        Link("log", np.log, _exp, _exp, _exp, _exp),
        Link(
            "sqrt",
            np.sqrt,
            np.square,
            lambda e: 2.0 * e,
            lambda e: np.full_like(e, 2.0),
            lambda e: np.zeros_like(e),
        ),
        Link(
            "identity",
            lambda mu: mu,
            lambda e: e,
            lambda e: np.ones_like(e),
            lambda e: np.zeros_like(e),
            lambda e: np.zeros_like(e),
        ),
        Link(
            "inverse",
            lambda mu: 1.0 / mu,
            lambda e: 1.0 / e,
            lambda e: -1.0 / e**2,
            lambda e: 2.0 / e**3,
            lambda e: -6.0 / e**4,
        ),
        Link(
            "1/mu^2",
            lambda mu: mu**-2.0,
            lambda e: _signed_power(e, -0.5),
            lambda e: -0.5 * _signed_power(e, -1.5),
            lambda e: 0.75 * _signed_power(e, -2.5),
            lambda e: -1.875 * _signed_power(e, -3.5),
        ),
    )
}


@dataclass(frozen=True, eq=False)
class Hazards:
    """a, b, r - a and r + b, each of the shape of eta."""

    success: Array
    failure: Array
    success_bend: Array
    failure_bend: Array


@dataclass(frozen=True, eq=False)
class Tails:
    """log mu, log(1 - mu) and the hazards of one link, as functions of eta."""

    log_mean: Callable[[Array], Array]
    log_rest: Callable[[Array], Array]
    hazards: Callable[[Array], Hazards]


def _logit(eta: Array) -> Hazards:
    p, q = expit(eta), expit(-eta)
    return Hazards(q, p, -p, q)


def _probit(eta: Array) -> Hazards:
    a, b = _NORMAL / erfcx(-_HALF * eta), _NORMAL / erfcx(_HALF * eta)
    return Hazards(a, b, -eta - a, b - eta)


def _hazard(eta: Array) -> Array:
    return np.exp(np.clip(eta, -_LARGEST_HAZARD_EXPONENT, _LARGEST_HAZARD_EXPONENT))


def _cloglog(eta: Array) -> Hazards:
    t = _hazard(eta)
    a = t / np.expm1(np.minimum(t, _LARGEST_HAZARD_EXPONENT))
    a[t > _LARGEST_HAZARD_EXPONENT] = 0.0
    return Hazards(a, t, 1.0 - t - a, np.ones_like(t))


def _cauchit(eta: Array) -> Hazards:
    scale = 1.0 + eta * eta
    a, b = 1.0 / (scale * np.arctan2(1.0, -eta)), 1.0 / (scale * np.arctan2(1.0, eta))
    r = -2.0 * eta / scale
    return Hazards(a, b, r - a, r + b)


def _log(eta: Array) -> Hazards:
    # Outside the support, where there is no density, the numbers of its edge.
    inside = np.minimum(eta, -_EDGE)
    b = -np.exp(inside) / np.expm1(inside)
    return Hazards(np.ones_like(eta), b, np.zeros_like(eta), 1.0 + b)


def _log_below_one(eta: Array) -> Array:
    """log(1 - e^eta), and no density where e^eta is no probability."""
    return np.where(eta < 0.0, np.log(-np.expm1(np.minimum(eta, 0.0))), -np.inf)


TAILS: dict[str, Tails] = {
    "logit": Tails(lambda e: -np.logaddexp(0.0, -e), lambda e: -np.logaddexp(0.0, e), _logit),
    "probit": Tails(log_ndtr, lambda e: log_ndtr(-e), _probit),
    "cloglog": Tails(lambda e: np.log(-np.expm1(-_hazard(e))), lambda e: -_hazard(e), _cloglog),
    "cauchit": Tails(
        lambda e: np.log(np.arctan2(1.0, -e) / np.pi), lambda e: np.log(np.arctan2(1.0, e) / np.pi), _cauchit
    ),
    "log": Tails(lambda e: np.where(e < 0.0, e, -np.inf), _log_below_one, _log),
}
