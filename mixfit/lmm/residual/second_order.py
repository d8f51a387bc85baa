r"""What second derivatives of V add to Kenward & Roger's covariance of the fixed effects.

Of parameters with the covariance W that is -1/2 Phi {sum_ij W_ij X'V^{-1}V_ij V^{-1}X} Phi, and other parameters of the
same V have another one. Those of SAS PROC MIXED are taken: variances for standard deviations, covariances where V is
linear in them (unstructured, homogeneous compound symmetry and Toeplitz), else what is reported, such as correlations
and ranges. W being a tensor where the criterion is stationary, only the second derivatives are carried to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.parametric import Parametric
from mixfit.gram.products import random_sums
from mixfit.lmm.residual.covariance import of_parts, restricted
from mixfit.lmm.residual.pattern_slopes import PatternSlopes
from mixfit.lmm.residual.series_slopes import SeriesSlopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.structure import Structure
    from mixfit.lmm.residual.covariance import PatternFactor
    from mixfit.lmm.residual.derivatives import JointDerivatives

    Array = NDArray[np.float64]

__all__ = ["bent_products"]


def bent_products(d: JointDerivatives, weights: Array) -> Array:
    """E'(sum_ij W_ij V_ij)E over sigma^2, E being V^{-1}X in the metric of X'V^{-1}X: (p, p).

    Parameters
    ----------
    d : JointDerivatives
    weights : ndarray, shape (m + 1, m + 1)
        W of the coordinates of the search, and of log sigma.
    """
    own = weights[d.n_random :, d.n_random :]
    slopes = d.slopes
    assert isinstance(slopes, (PatternSlopes, SeriesSlopes))
    residual = _of_patterns(slopes, own) if isinstance(slopes, PatternSlopes) else _of_series(slopes, own)
    return residual + _of_random(d, weights)


def _of_random(d: JointDerivatives, weights: Array) -> Array:
    p = d.at.problem.p
    out = np.zeros((p, p))
    if d.random is None:
        return out
    sums = random_sums(d.at.random_rows, d.slopes.rows("fixed"))
    for t, (term, point) in enumerate(zip(d.at.at.problem.terms, d.at.at.points, strict=True)):
        second = _bent(term.structure, point, t, d.random.directions, weights)
        if second is not None:
            s = sums[term.factor][term.columns]
            out += np.tensordot(np.tensordot(second, s, 1), s, ([0, 2], [0, 2]))
    return out


def _own_weights(structure: Parametric, psi: Array, part: int, directions: Sequence[Direction], W: Array) -> Array:
    """W of the parameters psi of one structure."""
    own = [a for a, x in enumerate(directions) if x.term == part]
    slopes = structure.psi_slopes(psi, [directions[a] for a in own])
    return np.asarray(slopes @ W[np.ix_([*own, -1], [*own, -1])] @ slopes.T)


def _bent(structure: Structure, psi: Array, part: int, directions: Sequence[Direction], W: Array) -> Array | None:
    """sum_ab W_ab d^2 Sigma; None of structures whose covariances are their parameters."""
    if not isinstance(structure, Parametric):
        return None
    return structure.bent(psi, _own_weights(structure, psi, part, directions, W))


def _of_patterns(slopes: PatternSlopes, weights: Array) -> Array:
    """Block after block."""
    p = slopes.at.problem.p
    out = np.zeros((p, p))
    seconds = _pattern_bends(slopes, weights)
    for second, f, blocks, m in zip(seconds, slopes.factor.each, slopes.blocks, slopes.moments, strict=True):
        a = f.along(second)
        half = (a if len(a) == 1 else a[blocks.pattern]) @ m.fixed
        out += np.tensordot(half, m.fixed, ([0, 1], [0, 1]))
    return out


def _pattern_bends(slopes: PatternSlopes, weights: Array) -> list[Array]:
    """Weighted second derivatives of each pattern's D^{-1}R D^{-1}, (P, m, m)."""
    form, directions, points = slopes.form, slopes.directions, slopes.at.place.residual.points
    k = form.structures[0].k
    if form.within is None:
        pairs = enumerate(zip(form.structures, points, strict=True))
        parts = [_bent(s, x, a, directions, weights) for a, (s, x) in pairs]
        whole = np.stack([np.zeros((k, k)) if x is None else x for x in parts])
        out = [restricted(whole, patterns) for patterns in form.layout.patterns]
    else:
        out = []
        for patterns, within in zip(form.layout.patterns, form.within, strict=True):
            found = [_bent(within, x, a, directions, weights) for a, x in enumerate(points)]
            flat = np.zeros((len(patterns.count), patterns.size, patterns.size))
            out.append(of_parts(np.stack([flat if x is None else x for x in found]), patterns))
    if form.g:
        parts_and_factors = zip(out, slopes.factor.each, slopes.along, form.layout.patterns, strict=True)
        return [
            second + _spread_bend(f, along, patterns.spread, weights, len(directions))
            for second, f, along, patterns in parts_and_factors
        ]
    return out


def _spread_bend(f: PatternFactor, along: Array, spread: Array, weights: Array, r: int) -> Array:
    """What the log standard deviations bend: twice along them, and along each beside the r directions and log sigma."""
    sigma = f.root @ f.root.swapaxes(1, 2)
    both = spread[:, :, None, :] + spread[:, None, :, :]
    beside = f.root @ np.tensordot(weights[r:-1, :r], along[:r], 1) @ f.root.swapaxes(1, 2)
    beside = beside + 2.0 * weights[r:-1, -1, None, None, None] * sigma
    twice = np.einsum("gh,pabg,pabh->pab", weights[r:-1, r:-1], both, both, optimize=True)
    return np.asarray(2.0 * np.einsum("gpab,pabg->pab", beside, both) + sigma * twice)


def _of_series(slopes: SeriesSlopes, weights: Array) -> Array:
    """Forms u'(a C'' + b C' + c (I - C))u, row by row, for R = s^2 [(1 - nu) C + nu I] of each part."""
    form, f = slopes.form, slopes.factor.filter
    coefficients = []
    for part, (structure, psi) in enumerate(zip(form.structures, slopes.at.place.residual.points, strict=True)):
        assert isinstance(structure, Parametric)
        own = np.zeros((3, 3))
        m = len(psi)
        own[:m, :m] = _own_weights(structure, psi, part, slopes.directions, weights)
        smooth = 1.0 - (psi[2] if m > 2 else 0.0)
        # In a range 1 / kappa a second derivative has 2 / kappa of the first beside it.
        range_ = 2.0 * own[1, 1] / psi[1] if structure.natural[1].is_reciprocal else 0.0
        first = smooth * (4.0 * own[0, 1] / psi[0] + range_) - 2.0 * own[1, 2]
        coefficients.append([smooth * own[1, 1], first, 4.0 * own[0, 2] / psi[0]])
    a, b, c = np.array(coefficients)[form.series.part].T
    u = f.back(slopes.rows("fixed"))
    plain, slope, bend = f.sums_before(u)
    half = u @ (a * bend + b * slope - c * plain).T
    return np.asarray(half + half.T)
