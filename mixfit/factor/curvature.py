r"""First and second derivatives of log|A|, along directions in the relative covariances of the factors.

With Sigma_i = T_i T_i' the relative covariance of one level of factor i, log|A| = log|H| for
H = I + Z Sigma Z', and along V_x = Z_i (I kron D_x) Z_i'

    d log|A| / dx = tr(H^{-1} V_x),        d^2 log|A| / dx dy = -tr(H^{-1} V_x H^{-1} V_y),

traces that would need all of Z'H^{-1}Z. The blocked elimination gives them without: a chain factor
contributes log|I + Sigma F| and sweeps X <- X - L'KL with K = (Sigma^{-1} + F)^{-1}, and the chain rule is
carried along with it. Everything is written so that Sigma may be singular:

    dK = E dSigma E' - K dF K,     dN = E' dF E - N dSigma N,     E = I - KF,  N = F - FKF,
    d log|I + Sigma F| = tr(N dSigma) + tr(K dF).

For one scalar factor crossed with the trailing block, say, the only large products are on the pattern that the
elimination needed, and two of trailing size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack

from mixfit.factor.factor import scale_rows, scale_trailing, swept_trailing
from mixfit.factor.jets import Jet, accumulate, pair
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import ChainBlock, Factor

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["CovarianceDirection", "log_determinant_derivatives"]


@dataclass(frozen=True, eq=False)
class CovarianceDirection:
    """Sigma_i -> Sigma_i + x D for the relative covariance of one factor.

    Attributes
    ----------
    factor : int
    matrix : ndarray, shape (k_i, k_i)
        D, symmetric, in the columns of the factor.
    """

    factor: int
    matrix: Array


@dataclass(eq=False)
class _Sums:
    """First and second derivatives, filled block by block."""

    first: Array
    second: Array

    def add_second(self, x: int, y: int, value: float) -> None:
        self.second[x, y] += value
        if x != y:
            self.second[y, x] += value


@dataclass(eq=False)
class _Swept:
    """The trailing block as the chain leaves it: P, its derivatives, and <Q, second derivatives>."""

    table: Array
    covariance: Array
    first: dict[int, Array]


def log_determinant_derivatives(factor: Factor, directions: Sequence[CovarianceDirection]) -> tuple[Array, Array]:
    """Gradient (m,) and Hessian (m, m) of log|A| along `directions`, at the factor's templates."""
    m = len(directions)
    sums = _Sums(np.zeros(m), np.zeros((m, m)))
    plan, gram = factor.plan, factor.gram
    matrices = {x: d.matrix for x, d in enumerate(directions)}
    own = {i: [x for x, d in enumerate(directions) if d.factor == i] for i in range(gram.n_factors)}
    trailing = _swept(factor) if plan.m else None
    swept = {i: Jet(factor.chain[i].swept) for i in plan.chain}
    coupling = {(i, j): Jet(c) for i in plan.chain for j, c in factor.chain[i].coupling.items()}
    crossing = {i: Jet(c) for i in plan.chain if (c := factor.chain[i].coupling_crossed) is not None}
    for position, i in enumerate(plan.chain):
        after = plan.chain[position + 1 :]
        carry = bool(after) or trailing is not None
        kernel = _eliminate(factor.chain[i], swept[i], {x: matrices[x] for x in own[i]}, sums, carry=carry)
        for a, j in enumerate(after):
            parent, q = plan.parent[i, j], gram.n_levels[j]
            left = coupling[i, j].map(lv.transpose).times(kernel, lv.matmul)
            for h in after[a:]:
                update = left.times(coupling[i, h], lv.matmul).map(partial(lv.segment_sum, segment=parent, size=q))
                (swept[j] if h == j else coupling[j, h]).subtract_derivatives(update)
            if i in crossing:
                update = left.times(crossing[i], partial(_gather_matmul, plan.crossed[i].level))
                size = crossing[j].value.shape[1]
                crossing[j].subtract_derivatives(
                    update.map(partial(lv.segment_sum, segment=plan.fill[i, j], size=size))
                )
        if trailing is not None:
            _sweep_trailing(factor, i, kernel, crossing[i], trailing, sums)
    if trailing is not None:
        _trailing_derivatives(factor, directions, own, trailing, sums)
    return sums.first, sums.second


def _eliminate(block: ChainBlock, swept: Jet, own: dict[int, Array], sums: _Sums, *, carry: bool) -> Jet:
    """Add what log|I + Sigma F| of one chain factor contributes; return the jet of K, if it is carried on."""
    f = swept.value
    k = lv.matmul(lv.transpose(block.root), block.root)
    e = lv.add_identity(-lv.matmul(k, f))
    e_t = lv.transpose(e)
    n = lv.matmul(f, e)
    kernel = Jet(k)
    slopes_n: dict[int, Array] = {}
    slopes_e: dict[int, Array] = {}
    for x, d in own.items():
        kernel.first[x] = lv.matmul(lv.matmul(e, _constant(d)), e_t)
        slopes_n[x] = -lv.matmul(lv.matmul(n, _constant(d)), n)
        sums.first[x] += float(np.vdot(n.sum(axis=2), d))
    for x, d in swept.first.items():
        accumulate(kernel.first, x, -lv.matmul(lv.matmul(k, d), k))
        accumulate(slopes_n, x, lv.matmul(lv.matmul(e_t, d), e))
        sums.first[x] += float(np.vdot(k, d))
    for x, slope in kernel.first.items():
        slopes_e[x] = -lv.matmul(slope, f)
        if x in swept.first:
            slopes_e[x] -= lv.matmul(k, swept.first[x])
    moving = sorted(kernel.first)
    for a, x in enumerate(moving):
        for y in moving[a:]:
            value = 0.0
            if x in own:
                value += float(np.vdot(slopes_n[y].sum(axis=2), own[x]))
            if x in swept.first:
                value += float(np.vdot(kernel.first[y], swept.first[x]))
            if (x, y) in swept.second:
                value += float(np.vdot(k, swept.second[x, y]))
            sums.add_second(x, y, value)
            if not carry:
                continue
            half = np.zeros_like(k)
            if x in own:
                half += lv.matmul(lv.matmul(slopes_e[y], _constant(own[x])), e_t)
            if x in swept.first:
                half -= lv.matmul(lv.matmul(kernel.first[y], swept.first[x]), k)
            kernel.second[x, y] = half + lv.transpose(half)
            if (x, y) in swept.second:
                kernel.second[x, y] -= lv.matmul(lv.matmul(k, swept.second[x, y]), k)
    return kernel


def _gather_matmul(at: Index, a: Array, entries: Array) -> Array:
    return lv.gather_matmul(a, at, entries)


def _constant(d: Array) -> Array:
    """One matrix for all levels."""
    return d[:, :, None]


def _swept(factor: Factor) -> _Swept:
    """P and Q_TT = Lambda_T S^{-1} Lambda_T', both triangles of each."""
    plan = factor.plan
    inverse = lapack.dpotri(factor.trailing, lower=1)[0]
    covariance = scale_trailing(factor.gram, plan, [t.T for t in factor.templates], inverse)
    return _Swept(_symmetric(swept_trailing(plan, factor.chain)), _symmetric(covariance), {})


def _symmetric(lower: Array) -> Array:
    out = np.tril(lower)
    out += np.tril(lower, -1).T
    return out


def _sweep_trailing(factor: Factor, i: int, kernel: Jet, crossing: Jet, trailing: _Swept, sums: _Sums) -> None:
    """Carry P <- P - C'KC on: the first derivatives of P, and <Q, second derivatives> into the sums.

    Of C'KC only C' (K_xy C + 2 K_x C_y + 2 K_y C_x + 2 K C_xy) + 2 C_x'K C_y matters in <Q, .>, Q symmetric.
    """
    pattern = factor.plan.crossed[i]
    c = crossing.value

    def times(k: Array, entries: Array) -> Array:
        return lv.gather_matmul(k, pattern.level, entries)

    first: dict[int, Array] = {x: times(slope, c) for x, slope in kernel.first.items()}
    for x, slope in crossing.first.items():
        accumulate(first, x, 2.0 * times(kernel.value, slope))
    for x, y_x in first.items():
        product = pattern.product(c, y_x)
        accumulate(trailing.first, x, -0.5 * (product + product.T))
    second: dict[tuple[int, int], Array] = {xy: times(slope, c) for xy, slope in kernel.second.items()}
    for xy, slope in crossing.second.items():
        accumulate(second, xy, 2.0 * times(kernel.value, slope))
    for x, slope in kernel.first.items():
        for y, other in crossing.first.items():
            accumulate(second, pair(x, y), (4.0 if x == y else 2.0) * times(slope, other))
    for (x, y), y_xy in second.items():
        sums.add_second(x, y, -float(np.vdot(trailing.covariance, pattern.product(c, y_xy))))
    moving = sorted(crossing.first)
    for a, x in enumerate(moving):
        for y in moving[a:]:
            product = pattern.product(crossing.first[x], times(kernel.value, crossing.first[y]))
            sums.add_second(x, y, -2.0 * float(np.vdot(trailing.covariance, product)))


def _trailing_derivatives(
    factor: Factor,
    directions: Sequence[CovarianceDirection],
    own: dict[int, list[int]],
    trailing: _Swept,
    sums: _Sums,
) -> None:
    """What log|I + Sigma_T P| contributes, Sigma_T and P both moving."""
    plan, gram = factor.plan, factor.gram
    e = -(trailing.covariance @ trailing.table)
    e.ravel()[:: plan.m + 1] += 1.0
    # M = PE = Z_T'H^{-1}Z_T
    between = trailing.table @ e
    sigma = [t @ t.T for t in factor.templates]
    pushed: dict[int, Array] = {}
    for x, slope in trailing.first.items():
        sums.first[x] += float(np.vdot(trailing.covariance, slope))
        right = slope @ e
        for j in plan.trailing:
            blocks = _column_products(factor, j, e, right)
            for y in own[j]:
                sums.add_second(x, y, float(np.vdot(directions[y].matrix, blocks)))
        # dP Q = (dP E) Sigma
        pushed[x] = scale_rows(plan, sigma, gram, right.T)
        for y in pushed:
            sums.add_second(y, x, -float(np.vdot(pushed[y], pushed[x].T)))
    for a, j in enumerate(plan.trailing):
        traces = _level_traces(factor, j, between)
        for x in own[j]:
            sums.first[x] += float(np.vdot(directions[x].matrix, traces))
        for h in plan.trailing[a:]:
            products = _block_products(factor, between, j, h)
            for x in own[j]:
                for y in own[h]:
                    if h != j or x <= y:
                        # tr(D_x M_ll' D_y M_l'l) over all pairs of levels
                        d, f = directions[x].matrix, directions[y].matrix
                        sums.add_second(x, y, -float(np.einsum("ab,cd,bcad->", d, f, products)))


def _columns(factor: Factor, j: int, a: int) -> slice:
    """Trailing columns of column `a` of factor j."""
    q = factor.gram.n_levels[j]
    first = factor.plan.offset[j] + a * q
    return slice(first, first + q)


def _column_products(factor: Factor, j: int, left: Array, right: Array) -> Array:
    """sum over levels l of left_{al}'right_{bl}, columns of factor j: (k, k)."""
    k = factor.gram.k[j]
    return np.array(
        [
            [np.einsum("ml,ml->", left[:, _columns(factor, j, a)], right[:, _columns(factor, j, b)]) for b in range(k)]
            for a in range(k)
        ]
    )


def _level_traces(factor: Factor, j: int, table: Array) -> Array:
    """sum over levels of the diagonal blocks of factor j: (k, k)."""
    k = factor.gram.k[j]
    return np.array(
        [[np.trace(table[_columns(factor, j, a), _columns(factor, j, b)]) for b in range(k)] for a in range(k)]
    )


def _block_products(factor: Factor, table: Array, j: int, h: int) -> Array:
    """<M_bc, M_ad> of the blocks between columns of factors j and h: (k_j, k_h, k_j, k_h)."""
    k, c = factor.gram.k[j], factor.gram.k[h]
    blocks = np.stack(
        [table[_columns(factor, j, a), _columns(factor, h, b)].ravel() for a in range(k) for b in range(c)]
    )
    out: Array = (blocks @ blocks.T).reshape(k, c, k, c)
    return out
