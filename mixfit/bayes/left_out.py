r"""Densities of a linear model's rows left out one by one or group by group, exact given the covariance parameters.

Given theta and sigma the rows J of a set have the means eta_J, and Cov(eta_J | y) = sigma^2 H. With R = I - H,

    y_J | y_(-J), theta, sigma ~ N(y_J - R^{-1} e, sigma^2 R^{-1}),     e = y_J - eta_J,

whatever the model of eta: R / sigma^2 is the block of the inverse of y's marginal covariance. Rows are those of the
weighted problem, sqrt(w) y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.blocks import equal_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.collapsed import CollapsedPosterior

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["group_densities", "row_densities", "stands_apart"]

_LOG_2PI = float(np.log(2.0 * np.pi))
# Numbers of pairs of rows, or of rows times columns, that are held at a time.
_CELLS_AT_ONCE = 400_000


def _constant(density: CollapsedPosterior) -> Array:
    """What the log density of every row (n,) has in units of the response, beside that of the problem's units."""
    assembly = density.fit.model.assembly
    out = np.full(len(assembly.response.row), -0.5 * _LOG_2PI - np.log(assembly.response.scale))
    if assembly.stage.root_weights is not None:
        out = out + np.log(assembly.stage.root_weights)
    return out


def row_densities(density: CollapsedPosterior, x: Array) -> tuple[Array, Array]:
    """Log densities (R, n) of every row at places (R, d): given all other rows, and given all rows."""
    constant, y = _constant(density), density.fit.model.assembly.response.row
    without, with_all = (np.empty((len(x), len(y))) for _ in range(2))
    for at in _blocks(len(x), len(y)):
        found, scale2 = density.rows_at(x[at])
        leverage, variance = found.leverage, scale2[:, None]
        e, rest = y - found.mean, 1.0 - leverage
        without[at] = constant - 0.5 * (np.log(variance / rest) + e**2 / rest / variance)
        # N(y; eta, sigma^2 + Var(eta)): what the row's own density is on average over the effects.
        own = variance * (1.0 + leverage)
        with_all[at] = constant - 0.5 * (np.log(own) + e**2 / own)
    return without, with_all


def group_densities(density: CollapsedPosterior, x: Array, codes: Index) -> tuple[Array, Array | None]:
    """Log densities (R, q) of the rows of each group: given all other rows, and what the coefficients say of them.

    The second, which the effective number of parameters is taken from, is of groups that share no level of any factor
    with other groups, and None elsewhere.
    """
    constant, y = _constant(density), density.fit.model.assembly.response.row
    sets = equal_sizes(codes)
    groups = sum(len(names) for names, _ in sets)
    apart = stands_apart([own.codes for own in density.fit.model.assembly.rows], codes)
    without, with_all = (np.empty((len(x), groups)) for _ in range(2))
    for at in _blocks(len(x), sum(rows.size * rows.shape[1] for _, rows in sets)):
        found, scale2 = density.rows_at(x[at])
        for names, rows in sets:
            e = y[rows] - found.mean[:, rows]
            rest = np.eye(rows.shape[1]) - found.covariance(rows)
            known = constant[rows].sum(axis=1)
            without[at[:, None], names] = known + _normal(e, rest, scale2, inverse=True)
            if apart:
                gap, covariance = density.apart_at(x[at], rows)
                with_all[at[:, None], names] = known + _normal(gap, covariance, scale2, inverse=False)
    return without, with_all if apart else None


def _normal(e: Array, matrix: Array, scale2: Array, *, inverse: bool) -> Array:
    """-(c log s + log|M| + e'M^{-1}e / s) / 2 for e (R, g, c) and M (R, g, c, c), + log|M| where `inverse`.

    With M = I - H the precision of what is left out is M / s, and its distance from its mean is M^{-1} e.
    """
    low = np.linalg.cholesky(matrix)
    half = np.linalg.solve(low, e[..., None])[..., 0]
    log_det = 2.0 * np.log(np.einsum("rgcc->rgc", low)).sum(axis=2)
    spread = e.shape[2] * np.log(scale2)[:, None] - (log_det if inverse else -log_det)
    return np.asarray(-0.5 * (spread + np.einsum("rgc,rgc->rg", half, half) / scale2[:, None]))


def stands_apart(factors: list[Index], codes: Index) -> bool:
    """Whether no level of any factor has rows of two groups."""
    return all(len(np.unique(np.stack([own, codes]), axis=1).T) == len(np.unique(own)) for own in factors)


def _blocks(places: int, cells: int) -> list[Index]:
    step = max(1, _CELLS_AT_ONCE // cells)
    return [np.arange(a, min(a + step, places)) for a in range(0, places, step)]
