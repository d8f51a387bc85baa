r"""Probabilities of success and failure that keep their digits in both tails.

With the hazards a = mu' / mu and b = mu' / (1 - mu), the derivatives in eta of log mu are a and a (r - a), those of
log(1 - mu) are -b and -b (r + b), where r = mu'' / mu'. Neither mu nor 1 - mu is rounded first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfcx, expit, log_ndtr

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["TAILS", "Hazards", "Tails"]

_LARGEST_EXPONENT = 200.0
_EDGE = 1e-15
_NORMAL = np.sqrt(2.0 / np.pi)
_HALF = np.sqrt(0.5)


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
    return np.exp(np.clip(eta, -_LARGEST_EXPONENT, _LARGEST_EXPONENT))


def _cloglog(eta: Array) -> Hazards:
    t = _hazard(eta)
    a = t / np.expm1(np.minimum(t, _LARGEST_EXPONENT))
    a[t > _LARGEST_EXPONENT] = 0.0
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
