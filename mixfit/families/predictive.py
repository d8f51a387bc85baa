r"""Densities of responses whose predictors vary: log E[p(y | eta)], eta ~ N(m, s^2).

With the mode eta~ of log p(y | eta) - (eta - m)^2 / (2 s^2), t^2 its curvature's inverse and eta = eta~ + t sinh(u),

    E[p] = int p(y | eta~ + t sinh u) phi((eta~ - m + t sinh u) / s) (t / s) cosh u du

by the trapezoidal rule, exact to rounding for integrands as smooth as these (Trefethen & Weideman 2014, SIAM Review 56,
385-458): nodes stand close where the density of the response is narrow, and the tails of N(m, s^2) are reached all the
same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

__all__ = ["log_predictive"]

# Nodes apart in u: half of it changes the logarithms of tests by less than 1e-10.
_SPACING = 0.12
# Standard deviations of N(m, s^2) that the nodes reach, and as many of the integrand: exp(-81 / 2) is beyond.
_REACH = 9.0
# Steps of scoring: where the mode is not quite found, the rule is as good with a few more nodes in vain.
_STEPS = 30
_HALVINGS = 8
# Of the step, in the integrand's standard deviations: the place of the nodes needs no more.
_CLOSE = 1e-3
# 80 MB of densities.
_BLOCK = 10_000_000


def log_predictive(family: Family, y: Array, prior: Array, phi: float, mean: Array, spread: Array) -> Array:
    """Log predictive density of every row.

    Parameters
    ----------
    family : Family
    y, prior : ndarray, shape (m,)
        Responses and prior weights.
    phi : float
        Dispersion.
    mean, spread : ndarray, shape (m,)
        Of the linear predictor: its mean and its standard deviation.

    Returns
    -------
    ndarray, shape (m,)

    Examples
    --------
    >>> from mixfit.families.resolve import resolve_family
    >>> one, s = np.ones(1), np.array([1.3])
    >>> round(float(np.exp(log_predictive(resolve_family("binomial"), one, one, 1.0, np.zeros(1), s))[0]), 12)
    0.5
    """
    out = np.array(np.broadcast_to(family.loglik(y, prior, mean, phi), y.shape), dtype=float)
    vary = np.flatnonzero(spread > 0.0)
    if not len(vary):
        return out
    y, prior, mean, spread = y[vary], prior[vary], mean[vary], spread[vary]
    centre, width = _mode(family, y, prior, phi, mean, spread)
    last = np.arcsinh(_REACH * (float((spread / width).max()) + 1.0) + float((np.abs(centre - mean) / width).max()))
    u = _SPACING * np.arange(-np.ceil(last / _SPACING), np.ceil(last / _SPACING) + 1.0)
    rows = max(_BLOCK // len(u), 1)
    for start in range(0, len(vary), rows):
        block = slice(start, start + rows)
        eta = centre[block, None] + width[block, None] * np.sinh(u)
        values = family.loglik(y[block, None], prior[block, None], eta, phi)
        values = values - 0.5 * ((eta - mean[block, None]) / spread[block, None]) ** 2 + np.log(np.cosh(u))
        # Beyond the edge of a link there is no density.
        values = np.where(np.isnan(values), -np.inf, values)
        top = values.max(axis=1)
        total = np.log(np.exp(values - top[:, None]).sum(axis=1)) + top
        out[vary[block]] = total + np.log(_SPACING * width[block] / spread[block]) - 0.5 * np.log(2.0 * np.pi)
    return out


def _mode(family: Family, y: Array, prior: Array, phi: float, mean: Array, spread: Array) -> tuple[Array, Array]:
    """Where p(y | eta) N(eta; m, s^2) is about largest, and how wide it is there."""

    def height(eta: Array) -> Array:
        return family.loglik(y, prior, eta, phi) - 0.5 * ((eta - mean) / spread) ** 2

    eta = mean.copy()
    best = height(eta)
    for _ in range(_STEPS):
        terms = family.terms(y, prior, eta, phi)
        width = 1.0 / np.sqrt(np.maximum(terms.expected, 0.0) + spread**-2)
        step = width**2 * (terms.score - (eta - mean) / spread**2)
        for _ in range(_HALVINGS):
            value = height(eta + step)
            worse = ~(value >= best)
            if not worse.any():
                break
            step = np.where(worse, 0.5 * step, step)
        better = value >= best
        eta, best = np.where(better, eta + step, eta), np.where(better, value, best)
        if (np.abs(step) < _CLOSE * width).all():
            break
    return eta, 1.0 / np.sqrt(np.maximum(family.terms(y, prior, eta, phi).expected, 0.0) + spread**-2)
