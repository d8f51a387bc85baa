r"""Numbers with their derivatives: how log densities that are made of several functions are differentiated exactly.

A jet is f with f', f'', f''' in the linear predictor eta, and with its derivative in one parameter psi of the
distribution and that one's f'_psi, f''_psi. Sums, products and smooth functions of jets follow Leibniz and Faa di
Bruno:

    (fg)''' = f''' g + 3 f'' g' + 3 f' g'' + f g''',        (F o f)''' = F''' f'^3 + 3 F'' f' f'' + F' f'''.

A jet that does not move with eta, or with psi, has no derivatives there, and none are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import digamma, expit, gammaln

from mixfit.families.polygammas import polygammas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.links import Link

    Array = NDArray[np.float64]
    Three = tuple[Array, Array, Array]

__all__ = [
    "Jet",
    "choose",
    "exp",
    "fixed",
    "log",
    "log1mexp",
    "log1p",
    "log_gamma",
    "logistic",
    "mean_of",
    "power",
    "softplus",
    "square",
]


@dataclass(frozen=True, eq=False)
class Jet:
    """A function of (eta, psi) at many points.

    Attributes
    ----------
    value : ndarray
    eta : tuple of ndarray, or None
        First, second and third derivative in eta; None where it does not move with eta.
    psi : tuple of ndarray, or None
        Derivative in psi of the value, of the first and of the second derivative; None where it does not move.
    """

    # numpy leaves `array * jet` to the jet.
    __array_ufunc__ = None

    value: Array
    eta: Three | None = None
    psi: Three | None = None

    def __add__(self, other: Jet | Array | float) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value + other, self.eta, self.psi)
        return Jet(self.value + other.value, _sum(self.eta, other.eta), _sum(self.psi, other.psi))

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return self * -1.0

    def __sub__(self, other: Jet | Array | float) -> Jet:
        return self + (-other)

    def __rsub__(self, other: Array | float) -> Jet:
        return (-self) + other

    def __mul__(self, other: Jet | Array | float) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value * other, _times(self.eta, other), _times(self.psi, other))
        f, g = self, other
        eta = _sum(_times(f.eta, g.value), _times(g.eta, f.value))
        psi = _sum(_times(f.psi, g.value), _times(g.psi, f.value))
        if f.eta is not None and g.eta is not None and eta is not None:
            a, b = f.eta, g.eta
            eta = eta[0], eta[1] + 2.0 * a[0] * b[0], eta[2] + 3.0 * (a[1] * b[0] + a[0] * b[1])
        for one, two in ((f, g), (g, f)):
            if one.psi is not None and two.eta is not None and psi is not None:
                p, b = one.psi, two.eta
                psi = psi[0], psi[1] + p[0] * b[0], psi[2] + 2.0 * p[1] * b[0] + p[0] * b[1]
        return Jet(f.value * g.value, eta, psi)

    __rmul__ = __mul__

    def __truediv__(self, other: Jet | Array | float) -> Jet:
        return self * (power(other, -1.0) if isinstance(other, Jet) else 1.0 / np.asarray(other))

    def __rtruediv__(self, other: Array | float) -> Jet:
        return power(self, -1.0) * other

    def through(self, value: Array, first: Array, second: Array, third: Array) -> Jet:
        """F of this, from the value and three derivatives of F here."""
        eta, psi = None, None
        if self.eta is not None:
            a, b, c = self.eta
            eta = first * a, second * a * a + first * b, third * a**3 + 3.0 * second * a * b + first * c
        if self.psi is not None:
            p, q, r = self.psi
            psi = first * p, first * q, first * r
            if self.eta is not None:
                a, b, _ = self.eta
                mixed = third * a * a * p + second * (b * p + 2.0 * a * q)
                psi = psi[0], psi[1] + second * a * p, psi[2] + mixed
        return Jet(value, eta, psi)


def _sum(a: Three | None, b: Three | None) -> Three | None:
    if a is None or b is None:
        return b if a is None else a
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _times(a: Three | None, factor: Array | float) -> Three | None:
    return None if a is None else (a[0] * factor, a[1] * factor, a[2] * factor)


def fixed(value: Array | float) -> Jet:
    """A constant."""
    return Jet(np.asarray(value, dtype=float))


def mean_of(link: Link, eta: Jet) -> Jet:
    """The inverse link of a jet."""
    at = eta.value
    if eta.eta is None and eta.psi is None:
        return fixed(link.mean(at))
    return eta.through(link.mean(at), link.slope(at), link.bend(at), link.twist(at))


def exp(x: Jet) -> Jet:
    """e^x."""
    y = np.exp(x.value)
    return x.through(y, y, y, y)


def log(x: Jet) -> Jet:
    """log x."""
    inverse = 1.0 / x.value
    return x.through(np.log(x.value), inverse, -(inverse**2), 2.0 * inverse**3)


def log1p(x: Jet) -> Jet:
    """log(1 + x)."""
    inverse = 1.0 / (1.0 + x.value)
    return x.through(np.log1p(x.value), inverse, -(inverse**2), 2.0 * inverse**3)


def power(x: Jet, exponent: float) -> Jet:
    """x^p for a number p."""
    p = exponent
    y = x.value**p
    inverse = 1.0 / x.value
    first = p * y * inverse
    second = (p - 1.0) * first * inverse
    return x.through(y, first, second, (p - 2.0) * second * inverse)


def square(x: Jet) -> Jet:
    """x^2."""
    return x.through(x.value**2, 2.0 * x.value, np.full_like(x.value, 2.0), np.zeros_like(x.value))


def logistic(x: Jet) -> Jet:
    """1 / (1 + e^-x)."""
    p, q = expit(x.value), expit(-x.value)
    slope = p * q
    return x.through(p, slope, slope * (q - p), slope * (1.0 - 6.0 * slope))


def choose(where: NDArray[np.bool_], one: Jet, other: Jet) -> Jet:
    """One of two jets at every point; what the other is there does not count, be it no number."""
    return Jet(
        np.where(where, one.value, other.value),
        _chosen(where, one.eta, other.eta),
        _chosen(where, one.psi, other.psi),
    )


def _chosen(where: NDArray[np.bool_], one: Three | None, other: Three | None) -> Three | None:
    if one is None and other is None:
        return None
    zero = np.zeros(())
    first, second, third = (
        np.where(where, a, b) for a, b in zip(one or (zero,) * 3, other or (zero,) * 3, strict=True)
    )
    return first, second, third


def softplus(x: Jet) -> Jet:
    """log(1 + e^x)."""
    p, q = expit(x.value), expit(-x.value)
    slope = p * q
    return x.through(np.logaddexp(0.0, x.value), p, slope, slope * (q - p))


def log_gamma(x: Jet) -> Jet:
    """log Gamma(x)."""
    z = x.value
    if x.eta is None and x.psi is None:
        return fixed(gammaln(z))
    if x.eta is None:
        # What moves with psi alone asks for one derivative.
        return x.through(gammaln(z), digamma(z), z, z)
    return x.through(gammaln(z), digamma(z), *polygammas(z))


def log1mexp(x: Jet) -> Jet:
    """log(1 - e^x) for x < 0, to the last digit near zero and far from it (Maechler 2012)."""
    z = x.value
    value = np.where(z > -np.log(2.0), np.log(-np.expm1(z)), np.log1p(-np.exp(np.minimum(z, -np.log(2.0)))))
    # g = -e^x / (1 - e^x) and its derivatives g (1 - g), g (1 - g)(1 - 2 g).
    first = 1.0 / -np.expm1(-z)
    second = first * (1.0 - first)
    return x.through(value, first, second, second * (1.0 - 2.0 * first))
