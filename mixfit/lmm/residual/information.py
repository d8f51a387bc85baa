r"""Curvature of the profiled criterion in the parameters of random effects and residuals together.

Without random effects V = R, and all of it follows from the sums over the blocks of each pattern, for N_P blocks:

    tr(V^{-1}V_i V^{-1}V_j) = sum_P N_P <A_i, A_j>,      e'V^{-1}V_i V^{-1}V_j V^{-1}e = sum_P <A_i A_j, sum e e'>, ...

which gives the expected information and the exact second derivatives (the formula of :mod:`mixfit.lmm.hessian`). On
strongly correlated rows the average information is no curvature; the expected one is. With random effects the average
information is what is cheap (Gilmour, Thompson & Cullis 1995), and the exact second derivatives are differences of the
exact gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.directions import ParameterDirection
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import random_predictor, random_sums
from mixfit.lmm.residual.derivatives import sum_over_patterns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.residual.derivatives import JointDerivatives

    Array = NDArray[np.float64]
    Part = Literal["error", "fixed"]

__all__ = [
    "average_information",
    "bends",
    "expected_information",
    "fixed_products",
    "flat_rows",
    "loaded_rows",
    "pattern_hessian",
    "through_covariance",
]

# Numbers that loaded rows may hold at a time: 32 MB.
_CELLS_AT_ONCE = 4_000_000


def expected_information(d: JointDerivatives) -> Array:
    """Expected second derivatives in the residuals' parameters, sigma profiled out, without random effects: (I, I).

    Those of maximum likelihood also for REML, which differ by the share that fixed effects have of the rows: what
    tr(PV_i PV_j) takes is several times what it saves.
    """
    at, patterns = d.at.at, d.at.problem.form.layout.patterns
    traces = sum_over_patterns(d.along, [p.count[:, None, None] * np.eye(p.size) for p in patterns])
    return _pair_traces(d) - np.outer(traces, traces) / at.problem.gram.n


def pattern_hessian(d: JointDerivatives) -> Array:
    """Exact second derivatives in the residuals' parameters, without random effects: (I, I)."""
    at = d.at.at
    scale, p = at.scale, d.at.problem.p
    quadratic = 2.0 * _through(d, [m.of_error for m in d.moments])
    if p:
        to_x = _fixed_errors(d)
        quadratic -= 2.0 * to_x @ to_x.T
    out = quadratic / scale - np.outer(d.quadratics, d.quadratics) / (scale * at.residual) - _pair_traces(d)
    if at.reml and p:
        out += 2.0 * _through(d, [m.of_fixed for m in d.moments]) - _restricted(d, fixed_products(d))
    return out + bends(d)


def _pair_traces(d: JointDerivatives) -> Array:
    """tr(R^{-1}R_i R^{-1}R_j)."""
    patterns = d.at.problem.form.layout.patterns
    pairs = ((a * p.count[:, None, None], a) for a, p in zip(d.along, patterns, strict=True))
    return np.asarray(sum(np.tensordot(left, right, ([1, 2, 3], [1, 2, 3])) for left, right in pairs))


def _through(d: JointDerivatives, sums: Sequence[Array]) -> Array:
    """sum over the patterns of <A_i A_j, S> for symmetric S, symmetrized."""
    parts = [np.tensordot(a @ s, a, ([1, 2, 3], [1, 2, 3])) for a, s in zip(d.along, sums, strict=True)]
    out = np.sum(parts, axis=0)
    return np.asarray(0.5 * (out + out.T))


def _loaded(d: JointDerivatives, which: Part, own: slice) -> list[Array]:
    """A_i times the rows of e or E in the blocks of every size, for some i: (i, B, m, c)."""
    out = []
    for a, blocks, m in zip(d.along, d.at.problem.rows.blocks, d.moments, strict=True):
        values = m.error if which == "error" else m.fixed
        out.append((a[own] if a.shape[1] == 1 else a[own][:, blocks.pattern]) @ values)
    return out


def _slices(d: JointDerivatives) -> list[slice]:
    """Parameters, as many at a time as memory allows."""
    size = len(d.along[0])
    cells = sum(b.values.size * b.values.shape[1] for b in d.at.problem.rows.blocks)
    step = max(1, _CELLS_AT_ONCE // cells)
    return [slice(first, min(first + step, size)) for first in range(0, size, step)]


def _fixed_errors(d: JointDerivatives) -> Array:
    """E'A_i e, (I, p)."""
    out = np.zeros((len(d.along[0]), d.at.problem.p))
    for own in _slices(d):
        for w, m in zip(_loaded(d, "error", own), d.moments, strict=True):
            out[own] += w.reshape(len(w), -1) @ m.fixed.reshape(-1, out.shape[1])
    return out


def fixed_products(d: JointDerivatives) -> Array:
    """E'A_i E, (I, p, p)."""
    p = d.at.problem.p
    out = np.zeros((len(d.along[0]), p, p))
    for own in _slices(d):
        for w, m in zip(_loaded(d, "fixed", own), d.moments, strict=True):
            out[own] += m.fixed.reshape(-1, p).T @ w.reshape(len(w), -1, p)
    return out


def _restricted(d: JointDerivatives, slopes: Array) -> Array:
    """tr(G^{-1}X_i G^{-1}X_j)."""
    return np.asarray(np.tensordot(slopes, slopes, ([1, 2], [1, 2])))


def bends(d: JointDerivatives) -> Array:
    """<N, R''_ij> in the coordinates of the steps: (I, I)."""
    form = d.at.problem.form
    r = len(d.directions)
    out = np.zeros((r + form.g, r + form.g))
    for part, structure in enumerate(form.structures):
        own = [a for a, x in enumerate(d.directions) if x.term == part]
        mine = [d.directions[a] for a in own]
        point = d.at.place.residual.points[part]
        if form.within is None:
            out[np.ix_(own, own)] = structure.bend_slopes(mine, point, *d.structure_slope(part))
        else:
            parameters = [x.parameter for x in mine if isinstance(x, ParameterDirection)]
            out[np.ix_(own, own)] = _bends_within(d, part, parameters)
    if form.g:
        _spread_bends(d, out)
    return out


def _bends_within(d: JointDerivatives, part: int, parameters: list[int]) -> Array:
    """Those of a part whose matrices are known by the distances within blocks, Sigma = s^2 C."""
    form, point = d.at.problem.form, d.at.place.residual.points[part]
    assert form.within is not None
    rates, m = form.within[0].rates(point), len(point)
    whole = np.zeros((m, m))
    for patterns, within, n in zip(form.layout.patterns, form.within, d.pattern_slopes, strict=True):
        assert isinstance(within, CorrelationStructure)
        own = n * (patterns.part == part)[:, None, None]
        sd, rho = point[0], point[1:]
        slopes = np.tensordot(within.slopes(point), own, 3)
        second = np.zeros((m, m))
        second[0, 0] = 2.0 * np.vdot(own, within.correlation(rho))
        second[0, 1:] = second[1:, 0] = 2.0 * sd * np.tensordot(within.correlation_slopes(rho), own, 3)
        second[1:, 1:] = sd**2 * np.tensordot(within.correlation_bends(rho), own, 3)
        whole += rates.T @ second @ rates + np.tensordot(slopes, within.rate_bends(point), 1)
    return whole[np.ix_(parameters, parameters)]


def _spread_bends(d: JointDerivatives, out: Array) -> None:
    """Those with gamma: D Sigma D has diag(z) Sigma + Sigma diag(z) in place of Sigma, and once more."""
    r = len(d.directions)
    for patterns, f, n, a in zip(
        d.at.problem.form.layout.patterns, d.at.factors, d.pattern_slopes, d.along, strict=True
    ):
        z = patterns.spread
        both = z[:, :, None, :] + z[:, None, :, :]
        whole = n * (f.root @ f.root.swapaxes(1, 2))
        out[r:, r:] += np.einsum("pab,pabg,pabh->gh", whole, both, both, optimize=True)
        # Sigma'_v = C A C'.
        changes = f.root @ a[:r] @ f.root.swapaxes(1, 2)
        mixed = np.einsum("pab,ipab,pabg->ig", n, changes, both, optimize=True)
        out[:r, r:] += mixed
        out[r:, :r] += mixed.T


def loaded_rows(d: JointDerivatives, which: Part) -> Array:
    """V_i V^{-1}C whitened, for C = y - X beta, or the columns of X in the metric of G_XX: (m, c, n).

    In the order of the blocks, random terms first.
    """
    c = 1 if which == "error" else d.at.problem.p
    out = []
    if d.random is not None:
        rows, terms = d.at.random_rows, d.at.at.problem.terms
        # V^{-1}C whitened are the rows of e and E themselves.
        sums = random_sums(rows, flat_rows(d, which))
        for direction in d.random.directions:
            term = terms[direction.term]
            own = rows[term.factor]
            assert own.columns is not None
            loaded = np.tensordot(direction.change(), sums[term.factor][term.columns], 1)
            out.append(random_predictor([FactorRows(own.codes, own.n_levels, own.columns[term.columns])], [loaded]))
    for some in _slices(d):
        parts = [w.reshape(len(w), -1, c) for w in _loaded(d, which, some)]
        out += list(np.concatenate(parts, axis=1).swapaxes(1, 2))
    return np.array(out).reshape(len(out), c, sum(m.error[..., 0].size for m in d.moments))


def flat_rows(d: JointDerivatives, which: Part) -> Array:
    """Rows of e (1, n) or E (p, n)."""
    c = 1 if which == "error" else d.at.problem.p
    parts = [(m.error if which == "error" else m.fixed).reshape(-1, c) for m in d.moments]
    return np.ascontiguousarray(np.concatenate(parts).T)


def through_covariance(d: JointDerivatives, rows: Array) -> Array:
    """W V^{-1} W' of whitened rows W, (c, n)."""
    out = rows @ rows.T
    if d.random is not None:
        half = d.at.at.factor.half(random_sums(d.at.random_rows, rows))
        out -= d.at.at.factor.inner(half, half)
    return np.asarray(out)


def average_information(d: JointDerivatives) -> Array:
    """Average information in all coordinates: e'V^{-1}V_i P V_j V^{-1}e / s^2, sigma profiled out."""
    at = d.at.at
    w = loaded_rows(d, "error")[:, 0]
    to_x, to_y = w @ flat_rows(d, "fixed").T, w @ flat_rows(d, "error")[0]
    out = (through_covariance(d, w) - to_x @ to_x.T - np.outer(to_y, to_y / at.residual)) / at.scale
    return 0.5 * (out + out.T)
