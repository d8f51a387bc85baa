r"""Series whose residuals have the covariance (1 - nu) C + nu I, C that of a Markov process, by recursions over time.

The process is x_1 of variance tau = 1 - nu, x_k = phi_k x_{k-1} + an innovation of variance tau (1 - phi_k^2), and a
row is x_k with an error of variance nu. Kalman's filter predicts a row by those before it,

    v_k = P_k + nu,    K_k = P_k / v_k,    P_{k+1} = phi_{k+1}^2 (P_k nu / v_k - tau) + tau,    P_1 = tau,

so that (y_k - m_k) / sqrt(v_k), of m_{k+1} = phi_{k+1} (m_k + K_k (y_k - m_k)), is the k-th row of L^{-1}y for the
lower triangular L of R = L L'. Without nugget K = 1, and a row is predicted by the one before it alone. What follows
from R is as little work: L, the transposes by the same recursions backwards, and products with C and its derivatives
from C_jk = phi_{j+1} ... phi_k. All series go through a step at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.series import Series

    Array = NDArray[np.float64]

__all__ = ["Filter", "Gains", "filtered"]


@dataclass(frozen=True, eq=False)
class Gains:
    """First and second derivatives in the parameter of phi and in nu, of what the filter knows beforehand.

    Attributes
    ----------
    first : ndarray, shape (2, n)
        Of v.
    second : ndarray, shape (3, n)
        Of v: twice in phi's parameter, in both, twice in nu.
    products : ndarray, shape (3, n)
        Expected products of the derivatives of a row's prediction, likewise.
    """

    first: Array
    second: Array
    products: Array


@dataclass(frozen=True, eq=False)
class Filter:
    """The recursions at their parameters; all arrays of rows (c, n) are in the order of the series.

    Attributes
    ----------
    series : Series
    phi, slope, bend : ndarray, shape (n,)
        Of the step to a row, 0 for first rows.
    nugget : ndarray, shape (n,)
    prior, variance, gain : ndarray, shape (n,)
        P, v and K.
    """

    series: Series
    phi: Array
    slope: Array
    bend: Array
    nugget: Array
    prior: Array
    variance: Array
    gain: Array

    @cached_property
    def root(self) -> Array:
        """sqrt(v)."""
        return np.asarray(np.sqrt(self.variance))

    def whiten(self, rows: Array) -> Array:
        """L^{-1}y."""
        predicted, kept = np.zeros_like(rows), 1.0 - self.gain
        weighted = self.gain * rows
        for own, before in self.series.steps:
            predicted[:, own] = self.phi[own] * (kept[before] * predicted[:, before] + weighted[:, before])
        return np.asarray((rows - predicted) / self.root)

    def back(self, rows: Array) -> Array:
        """L'^{-1}w."""
        out = rows / self.root
        ahead, kept = -out, 1.0 - self.gain
        for own, before in reversed(self.series.steps):
            through = self.phi[own] * ahead[:, own]
            ahead[:, before] += kept[before] * through
            out[:, before] += self.gain[before] * through
        return np.asarray(out)

    def colour(self, rows: Array) -> Array:
        """Lw."""
        errors = rows * self.root
        predicted, weighted = np.zeros_like(rows), self.gain * errors
        for own, before in self.series.steps:
            predicted[:, own] = self.phi[own] * (predicted[:, before] + weighted[:, before])
        return np.asarray(predicted + errors)

    def sums_before(self, rows: Array) -> tuple[Array, Array, Array]:
        """sum_{j<k} C_kj y_j of every row k, and its first and second derivatives in phi's parameter."""
        f, first, second = np.zeros_like(rows), np.zeros_like(rows), np.zeros_like(rows)
        for own, before in self.series.steps:
            phi, slope = self.phi[own], self.slope[own]
            known = f[:, before] + rows[:, before]
            f[:, own] = phi * known
            first[:, own] = slope * known + phi * first[:, before]
            second[:, own] = self.bend[own] * known + 2.0 * slope * first[:, before] + phi * second[:, before]
        return f, first, second

    def sums_after(self, rows: Array) -> tuple[Array, Array]:
        """sum_{j>k} C_kj y_j, and its first derivative."""
        f, first = np.zeros_like(rows), np.zeros_like(rows)
        for own, before in reversed(self.series.steps):
            known = f[:, own] + rows[:, own]
            f[:, before] = self.phi[own] * known
            first[:, before] = self.slope[own] * known + self.phi[own] * first[:, own]
        return f, first

    @cached_property
    def gains(self) -> Gains:
        """Derivatives of v and of the predictions."""
        return _gains(self)


def filtered(series: Series, phi: Array, innovation: Array, slope: Array, bend: Array, nugget: Array) -> Filter:
    """The filter of transitions (n,), those of first rows being of no account.

    Parameters
    ----------
    series : Series
    phi, innovation, slope, bend : ndarray, shape (n,)
        See `mixfit.covariance.markov.Transitions`.
    nugget : ndarray, shape (n,)
        Of a row's series.
    """
    known = ~series.is_first
    phi, slope, bend = phi * known, slope * known, bend * known
    smooth = 1.0 - nugget
    prior = np.where(known, smooth * innovation, smooth)
    squared = phi**2
    for own, before in series.steps:
        p, nu = prior[before], nugget[before]
        with np.errstate(divide="ignore", invalid="ignore"):
            prior[own] += squared[own] * np.where(nu > 0.0, p * nu / (p + nu), 0.0)
    variance = prior + nugget
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = prior / variance
    return Filter(series, phi, slope, bend, nugget, prior, variance, gain)


def _gains(f: Filter) -> Gains:
    """P and v go by u = P nu / v, the variance of x_k once y_k is known; E eps_k^2 = v_k, and E m_k^2 = tau - P_k."""
    n = len(f.phi)
    nu, v, p, gain, smooth = f.nugget, f.variance, f.prior, f.gain, 1.0 - f.nugget
    u = p * nu / v
    u_p, u_n = (nu / v) ** 2, gain**2
    u_pp, u_pn, u_nn = -2.0 * nu**2 / v**3, 2.0 * nu * p / v**3, -2.0 * p**2 / v**3
    s, s_t, s_tt = f.phi**2, 2.0 * f.phi * f.slope, 2.0 * f.slope**2 + 2.0 * f.phi * f.bend
    first, second = np.zeros((2, n)), np.zeros((3, n))
    first[1, : f.series.n_series] = -1.0
    for own, b in f.series.steps:
        (a, c), (aa, ac, cc) = first[:, b], second[:, b]
        u_a, u_c = u_p[b] * a, u_p[b] * c + u_n[b]
        first[0, own] = s_t[own] * (u[b] - smooth[b]) + s[own] * u_a
        first[1, own] = s[own] * (u_c + 1.0) - 1.0
        u_aa = u_pp[b] * a**2 + u_p[b] * aa
        second[0, own] = s_tt[own] * (u[b] - smooth[b]) + 2.0 * s_t[own] * u_a + s[own] * u_aa
        u_ac = (u_pp[b] * c + u_pn[b]) * a + u_p[b] * ac
        second[1, own] = s_t[own] * (u_c + 1.0) + s[own] * u_ac
        second[2, own] = s[own] * ((u_pp[b] * c + 2.0 * u_pn[b]) * c + u_nn[b] + u_p[b] * cc)
    of_v = first + np.array([[0.0], [1.0]])
    return Gains(of_v, second, _products(f, (first - gain * of_v) / v))


def _products(f: Filter, slopes: Array) -> Array:
    """E m_i m_j of the predictions' derivatives m_i, from those with m, for the slopes K_i (2, n) of the gains.

    m_{k+1} = phi a_k, of a = m + K eps with the derivatives t_i = (1 - K) m_i + K_i eps.
    """
    mixed, out = np.zeros((2, len(f.phi))), np.zeros((3, len(f.phi)))
    kept, phi, slope = 1.0 - f.gain, f.phi, f.slope
    of_a = 1.0 - f.nugget - f.prior + f.gain**2 * f.variance
    cross = f.gain * slopes * f.variance
    own_products = np.stack([slopes[0] ** 2, slopes[0] * slopes[1], slopes[1] ** 2]) * f.variance
    for own, b in f.series.steps:
        t = kept[b] * mixed[:, b] + cross[:, b]
        tt = kept[b] ** 2 * out[:, b] + own_products[:, b]
        x, y = phi[own], slope[own]
        mixed[0, own], mixed[1, own] = x * (y * of_a[b] + x * t[0]), x**2 * t[1]
        out[0, own] = y**2 * of_a[b] + 2.0 * x * y * t[0] + x**2 * tt[0]
        out[1, own] = x * (y * t[1] + x * tt[1])
        out[2, own] = x**2 * tt[2]
    return out
