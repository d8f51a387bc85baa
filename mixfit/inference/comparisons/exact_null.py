"""Exact null distribution of the (restricted) likelihood ratio for one variance: its eigenvalues, and draws from it.

For y ~ N(X beta, sigma^2 (I + lambda ZZ')) these are the eigenvalues mu of Z'MZ, M the projection off X, and xi of
Z'Z (Crainiceanu & Ruppert 2004). With one column left of the bar Z'Z = D is diagonal, and Z'MZ = D - BB' for
B = Z'Q of p columns, Q an orthonormal basis of X. Among the m levels that share an entry d of D, all but p
directions are orthogonal to B and have the eigenvalue d: only the others need a decomposition.

Crainiceanu & Ruppert (2004, JRSS-B 66:165, theorem 1): with w_s^2 independent chi-square variables, one for each
of the n - p residual dimensions, and mu_s the eigenvalues of Z'MZ,

    RLRT = sup_{lambda >= 0} { nu log T - nu log D(lambda) - sum_s log(1 + lambda mu_s) },   nu = n - p,
    T = sum_s w_s^2,   D(lambda) = sum_s w_s^2 / (1 + lambda mu_s).

For the LRT nu = n, the logarithms have the eigenvalues xi of Z'Z, and U, chi-square with as many degrees of
freedom as fixed effects are restricted, adds n log(1 + U / T). Equal eigenvalues share one chi-square variable.

The supremum is the minimum of h = log D + L / nu, L = sum log(1 + lambda xi). In t = log(lambda) each part of h is
a logistic curve of unit width, so that a grid of step 0.2 separates its minima. On the grid D exp(L / nu) is a
matrix product and needs no logarithm; its best point is then refined by Newton steps kept between its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import ComparisonError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["ExactNull", "Spectrum", "draw_null", "maximal_ratio", "merge", "spectrum"]

# Eigenvalues are known to about 1e-14 of the largest; equal ones share a chi-square.
_EQUAL = 1e-10
_NOTHING = 1e-10
# Of log(lambda): the likelihood between two points of the grid has one mode at most, and Newton refines it.
_STEP = 0.2
_LOWEST, _HIGHEST = -10.0, 8.0
# exp(40) of a ratio of variances is all the variance there is.
_FAR = 40.0
# 3 MB an array, within a core's cache.
_CELLS_AT_ONCE = 400_000
# Newton with bisection takes 5; 60 halvings leave nothing of the interval.
_MAX_STEPS = 60
# The statistic is known to the square of this.
_SETTLED = 1e-7


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Distinct eigenvalues with their multiplicities, relative to the largest xi.

    Attributes
    ----------
    mu, mu_count : ndarray, shape (K,)
        Of Z'MZ, those that are not zero.
    xi, xi_count : ndarray, shape (L,)
        Of Z'Z.
    n, p : int
        Observations and fixed effects.
    """

    mu: Array
    mu_count: NDArray[np.intp]
    xi: Array
    xi_count: NDArray[np.intp]
    n: int
    p: int

    @property
    def df_rest(self) -> int:
        """Dimensions of the residuals that the random effect does not reach."""
        return self.n - self.p - int(self.mu_count.sum())


def spectrum(problem: Problem) -> Spectrum:
    """Eigenvalues of a problem with one random term of one column.

    Raises
    ------
    ComparisonError
        Where the fixed effects determine the groups, or groups and fixed effects leave no residual.
    """
    d = problem.gram.diagonal[0][0, 0]
    B = problem.gram.border[0][0, : problem.p].T
    xi, xi_count, group = merge(d)
    crowded = xi_count > problem.p
    alone = ~crowded[group]
    # QR turns the m levels of one entry to p directions that B reaches and m - p that it does not.
    turned = [np.linalg.qr(B[group == g], mode="r") for g in np.flatnonzero(crowded)] if problem.p else []
    R = np.concatenate([B[alone], *turned])
    entries = np.concatenate([d[alone], np.repeat(xi[crowded], problem.p)])
    inner = np.linalg.eigvalsh(np.diag(entries) - R @ R.T)
    untouched = xi_count[crowded] - problem.p
    counts = np.concatenate([np.ones(len(inner), dtype=np.intp), untouched])
    mu, mu_count, _ = merge(np.concatenate([inner, xi[crowded]]), counts)
    largest = float(xi[-1])
    kept = (mu > _NOTHING * largest) & (mu_count > 0)
    if not kept.any():
        raise ComparisonError(
            "The fixed effects determine the random effect: its variance cannot be told from them. Leave out the "
            "fixed effect that the groups determine."
        )
    found = Spectrum(mu[kept] / largest, mu_count[kept], xi / largest, xi_count, problem.gram.n, problem.p)
    if found.df_rest < 1:
        raise ComparisonError("Random and fixed effects fit every observation: no residual is left to test against.")
    return found


def merge(values: Array, counts: NDArray[np.intp] | None = None) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Distinct values in increasing order, how often each occurs, and which of them each value is.

    Values closer than rounding, relative to the largest, are one.

    Examples
    --------
    >>> merge(np.array([5.0, 2.0, 5.0]))[:2]
    (array([2., 5.]), array([1, 2]))
    """
    order = np.argsort(values)
    ordered = values[order]
    weight = np.ones(len(values), dtype=np.intp) if counts is None else counts[order]
    new = np.concatenate([[True], np.diff(ordered) > _EQUAL * np.abs(ordered).max()])
    start = np.flatnonzero(new)
    member = np.empty(len(values), dtype=np.intp)
    member[order] = np.cumsum(new) - 1
    return ordered[start], np.add.reduceat(weight, start), member


@dataclass(frozen=True, eq=False)
class ExactNull:
    """What the distribution depends on.

    Attributes
    ----------
    spectrum : Spectrum
    reml : bool
    n_restricted : int
        Fixed effects that the hypothesis sets to zero as well; likelihood ratio only.
    """

    spectrum: Spectrum
    reml: bool
    n_restricted: int = 0

    @property
    def nu(self) -> int:
        """n - p for REML, n for maximum likelihood."""
        return self.spectrum.n - self.spectrum.p if self.reml else self.spectrum.n

    @property
    def logarithms(self) -> tuple[Array, NDArray[np.intp]]:
        """Eigenvalues and their counts in L."""
        s = self.spectrum
        return (s.mu, s.mu_count) if self.reml else (s.xi, s.xi_count)


def draw_null(model: ExactNull, n_sim: int, rng: np.random.Generator) -> Array:
    """Draw the statistic under the hypothesis: shape (n_sim,)."""
    rows = max(1, _CELLS_AT_ONCE // (len(model.spectrum.mu) + len(_grid(model))))
    out = np.empty(n_sim)
    for start in range(0, n_sim, rows):
        part = out[start : start + rows]
        W = _chi_squares(model.spectrum, len(part), rng)
        part[:] = maximal_ratio(model, W)
        if model.n_restricted:
            part += model.nu * np.log1p(rng.chisquare(model.n_restricted, len(part)) / W.sum(axis=1))
    return out


def _chi_squares(spectrum: Spectrum, size: int, rng: np.random.Generator) -> Array:
    """One variable a distinct eigenvalue, and the rest in the last column: (size, K + 1)."""
    counts = np.append(spectrum.mu_count, spectrum.df_rest)
    single = counts == 1
    W = np.empty((size, len(counts)))
    W[:, single] = rng.standard_normal((size, int(single.sum()))) ** 2
    W[:, ~single] = rng.chisquare(counts[~single], (size, int((~single).sum())))
    return W


def _grid(model: ExactNull) -> Array:
    """log(lambda), from where nothing has an effect to where every eigenvalue has all of it."""
    mu = model.spectrum.mu
    return np.arange(_LOWEST, _HIGHEST - np.log(mu.min()) + _STEP, _STEP)


def maximal_ratio(model: ExactNull, W: Array) -> Array:
    """The supremum for chi-square variables W, shape (m, K + 1): (m,)."""
    mu, nu = model.spectrum.mu, model.nu
    xi, count = model.logarithms
    t = _grid(model)
    lam = np.exp(t)
    volume = np.exp(np.log1p(np.outer(xi, lam)).T @ count / nu)
    table = np.concatenate([volume / (1.0 + np.outer(mu, lam)), volume[None]])
    total = W.sum(axis=1)
    scaled = W @ table
    best = scaled.argmin(axis=1)
    inside = scaled[np.arange(len(W)), best] < total
    # Where no grid point is better than lambda = 0, the slope there decides.
    slope = (count @ xi) / nu - (W[:, :-1] @ mu) / total
    small = ~inside & (slope < 0.0)
    rows = np.flatnonzero(inside | small)
    out = np.zeros(len(W))
    if not len(rows):
        return out
    place = np.where(inside, best, 0)[rows]
    low = np.where(place > 0, t[np.maximum(place - 1, 0)], -_FAR)
    high = np.where(place < len(t) - 1, t[np.minimum(place + 1, len(t) - 1)], _FAR + t[-1])
    start = np.where(inside[rows], t[place], _first_step(model, W[rows], total[rows], slope[rows], t[0]))
    least = _refine(model, W[rows], start, low, high)
    out[rows] = np.maximum(nu * (np.log(total[rows]) - least), 0.0)
    return out


def _first_step(model: ExactNull, W: Array, total: Array, slope: Array, limit: float) -> Array:
    """log of the Newton step from lambda = 0, at most `limit`."""
    mu, nu = model.spectrum.mu, model.nu
    xi, count = model.logarithms
    first = (W[:, :-1] @ mu) / total
    bend = 2.0 * (W[:, :-1] @ mu**2) / total - first**2 - (count @ xi**2) / nu
    step = np.divide(-slope, bend, out=np.full(len(W), np.exp(limit)), where=bend > 0.0)
    with np.errstate(divide="ignore"):
        return np.clip(np.log(np.maximum(step, 0.0)), -_FAR, limit)


def _refine(model: ExactNull, W: Array, t: Array, low: Array, high: Array) -> Array:
    """Minimum of h between `low` and `high` by Newton steps, halving the interval where one leads out of it."""
    t, low, high = t.copy(), low.copy(), high.copy()
    least = np.empty(len(t))
    active = np.arange(len(t))
    for _ in range(_MAX_STEPS):
        value, slope, bend = _derivatives(model, W[active], t[active])
        least[active] = value
        up = slope > 0.0
        high[active[up]] = t[active[up]]
        low[active[~up]] = t[active[~up]]
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.where(bend > 0.0, t[active] - slope / bend, np.nan)
        within = (step > low[active]) & (step < high[active])
        new = np.where(within, step, 0.5 * (low[active] + high[active]))
        # h falls by no more than this in the step to come, far below what a statistic shows.
        moving = np.abs(new - t[active]) * np.abs(slope) * model.nu > _SETTLED**2
        t[active] = new
        active = active[moving]
        if not len(active):
            break
    return least


def _derivatives(model: ExactNull, W: Array, t: Array) -> tuple[Array, Array, Array]:
    """h and its first two derivatives in t, each of shape (m,)."""
    lam = np.exp(t)[:, None]
    xi, count = model.logarithms
    kept = 1.0 / (1.0 + lam * model.spectrum.mu)
    parts = W[:, :-1] * kept
    D = parts.sum(axis=1) + W[:, -1]
    parts *= 1.0 - kept
    first = parts.sum(axis=1) / D
    second = (parts * (2.0 * kept - 1.0)).sum(axis=1) / D
    if model.reml:
        share = 1.0 - kept
        volume = -np.log(kept) @ count
    else:
        product = lam * xi
        share = product / (1.0 + product)
        volume = np.log1p(product) @ count
    slope = (share @ count) / model.nu - first
    bend = ((share * (1.0 - share)) @ count) / model.nu - second - first**2
    return np.log(D) + volume / model.nu, slope, bend
