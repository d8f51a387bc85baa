r"""Distributions of the latent variable behind ordered categories: F, 1 - F and the density f, in logarithms.

With r = f'/f, the hazards a = f / F and b = f / (1 - F) have a' = a (r - a) and b' = b (r + b), of which
r - a and r + b are given without cancellation in the tails. The mirror image of F is F*(x) = 1 - F(-x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from mixfit.families.jets import fixed, log1mexp
from mixfit.families.links import TAILS, Hazards

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Function = Callable[[Array], Array]

__all__ = ["LATENT", "Latent", "log_between", "mirrored"]

# The largest double is exp(709.78).
_LARGEST_EXPONENT = 709.0
# The third power of exp(200) is a double.
_LARGEST_HAZARD_EXPONENT = 200.0
# Below it 1 - exp(-t) is t, and t / expm1(t) is 1 - t / 2 + t^2 / 12, to all digits.
_SMALL = 1e-5
_LOG_SMALL = np.log(_SMALL)
_LOG_ROOT_TWO_PI = 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True, eq=False)
class Latent:
    """One distribution; functions of places of any shape.

    Attributes
    ----------
    name : str
        Of the link F^-1.
    log_below, log_above : callable
        log F and log(1 - F).
    log_density : callable
    bend, twist : callable
        r and r'.
    hazards : callable
    variance : float, or None
        None where there is none.
    concave : bool
        Whether log f is concave, and so log F, log(1 - F) and log(F(u) - F(v)) in (u, v) (Pratt 1981).
    """

    name: str
    log_below: Function
    log_above: Function
    log_density: Function
    bend: Function
    twist: Function
    hazards: Callable[[Array], Hazards]
    variance: float | None
    concave: bool = True


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _gumbel_hazard(x: Array) -> Array:
    return np.exp(np.minimum(x, _LARGEST_HAZARD_EXPONENT))


def _gumbel_below(x: Array) -> Array:
    # log(1 - e^-t) is log t - t / 2 for small t = e^x.
    t = np.exp(np.minimum(x, _LARGEST_EXPONENT))
    with np.errstate(divide="ignore"):
        return np.where(x < _LOG_SMALL, x - 0.5 * t, np.log(-np.expm1(-t)))


def _gumbel_hazards(x: Array) -> Hazards:
    t = _gumbel_hazard(x)
    small = t < _SMALL
    # t / (e^t - 1) by e^-t, which does not overflow.
    a = np.where(small, 1.0 - t * (0.5 - t / 12.0), t * np.exp(-t) / -np.expm1(-np.maximum(t, _SMALL)))
    success_bend = np.where(small, -t * (0.5 + t / 12.0), 1.0 - t - a)
    return Hazards(a, t, success_bend, np.ones_like(t))


LATENT: dict[str, Latent] = {
    "logit": Latent(
        "logit",
        lambda x: -_softplus(-x),
        lambda x: -_softplus(x),
        lambda x: -np.abs(x) - 2.0 * np.log1p(np.exp(-np.abs(x))),
        lambda x: expit(-x) - expit(x),
        lambda x: -2.0 * expit(x) * expit(-x),
        TAILS["logit"].hazards,
        np.pi**2 / 3.0,
    ),
    "probit": Latent(
        "probit",
        TAILS["probit"].log_mean,
        TAILS["probit"].log_rest,
        lambda x: -0.5 * x * x - _LOG_ROOT_TWO_PI,
        lambda x: -x,
        lambda x: np.full_like(x, -1.0),
        TAILS["probit"].hazards,
        1.0,
    ),
    "cloglog": Latent(
        "cloglog",
        _gumbel_below,
        lambda x: -np.exp(np.minimum(x, _LARGEST_EXPONENT)),
        lambda x: x - np.exp(np.minimum(x, _LARGEST_EXPONENT)),
        lambda x: 1.0 - _gumbel_hazard(x),
        lambda x: -_gumbel_hazard(x),
        _gumbel_hazards,
        np.pi**2 / 6.0,
    ),
    "cauchit": Latent(
        "cauchit",
        TAILS["cauchit"].log_mean,
        TAILS["cauchit"].log_rest,
        lambda x: -np.log(np.pi) - np.log1p(x * x),
        lambda x: -2.0 * x / (1.0 + x * x),
        lambda x: 2.0 * (x * x - 1.0) / (1.0 + x * x) ** 2,
        TAILS["cauchit"].hazards,
        None,
        concave=False,
    ),
}


def mirrored(latent: Latent, name: str) -> Latent:
    """The distribution of -z."""

    def hazards(x: Array) -> Hazards:
        h = latent.hazards(-x)
        return Hazards(h.failure, h.success, -h.failure_bend, -h.success_bend)

    return Latent(
        name,
        lambda x: latent.log_above(-x),
        lambda x: latent.log_below(-x),
        lambda x: latent.log_density(-x),
        lambda x: -latent.bend(-x),
        lambda x: latent.twist(-x),
        hazards,
        latent.variance,
        latent.concave,
    )


LATENT["loglog"] = mirrored(LATENT["cloglog"], "loglog")


def log_between(latent: Latent, upper: Array, lower: Array) -> Array:
    """log(F(upper) - F(lower)), by the tail in which the digits are; -inf where the two are not in order.

    Examples
    --------
    >>> log_between(LATENT["probit"], np.array([31.0]), np.array([30.0])).round(3).tolist()
    [-454.321]
    """
    below, above = latent.log_below(upper), latent.log_above(lower)
    left = below < above
    edge = np.where(left, below, above)
    gap = np.where(left, latent.log_below(lower) - below, latent.log_above(upper) - above)
    with np.errstate(all="ignore"):
        inside = edge + log1mexp(fixed(np.minimum(gap, -np.finfo(float).tiny))).value
    return np.where((upper <= lower) | (gap >= 0.0), -np.inf, inside)
