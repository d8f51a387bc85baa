r"""The numeric phase: factor A = Lambda'Z'WZ Lambda + I at one theta, and solve with it.

For a chain factor i with swept cross-product F_i and relative factor T_i, M = I + T'FT = LL' a level and
Y = L^{-1} T' [F_i,j, C_i] are its row of the factor, kept *unscaled* on the side of the factors to come:
so the swept blocks stay what they were, cross-products given the factors already eliminated,

    F_jj <- F_jj - sum Y_ij'Y_ij,     P <- P - sum Y_i'Y_i,

and theta enters only through small k x k matrices. The trailing block is S = Lambda_T'P Lambda_T + I.
(Bates et al. 2015, section 3, with the blocks of DESIGN 2.2.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack
from scipy.linalg.blas import dtrsm

from mixfit.errors import FitError
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.plan import Plan
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]

__all__ = [
    "ChainBlock",
    "Factor",
    "factorize",
    "scale_crossed",
    "scale_rows",
    "scale_trailing",
    "swept_trailing",
]


@dataclass(frozen=True, eq=False)
class ChainBlock:
    """One chain factor's part of the Cholesky factor.

    Attributes
    ----------
    swept : ndarray, shape (k, k, q)
        F_i: its cross-product after the factors before it.
    inverse : ndarray, shape (k, k, q)
        L^{-1}, lower triangular, of M = I + T'FT = LL'.
    root : ndarray, shape (k, k, q)
        L^{-1} T'.
    nested : dict of j to ndarray, shape (k_i, k_j, q_i)
        Y_ij against the level of chain factor j in which each level is nested.
    crossed : ndarray, shape (k_i, nnz), or None
        Entries of Y_i against the trailing columns.
    coupling, coupling_crossed
        The same before multiplication by L^{-1}T': F_ij, and C_i.
    """

    swept: Array
    inverse: Array
    root: Array
    nested: dict[int, Array]
    crossed: Array | None
    coupling: dict[int, Array]
    coupling_crossed: Array | None


@dataclass(frozen=True, eq=False)
class Factor:
    """The Cholesky factor of A(theta).

    Attributes
    ----------
    templates : tuple of ndarray, shape (k_i, k_i)
        T_i of every factor: block diagonal over its terms.
    chain : dict of i to ChainBlock
    trailing : ndarray, shape (m, m), Fortran order
        Lower Cholesky factor of the trailing block S.
    logdet : float
        log|A|.
    """

    gram: Gram
    plan: Plan
    templates: tuple[Array, ...]
    chain: dict[int, ChainBlock]
    trailing: Array
    logdet: float

    def scaled(self, blocks: Sequence[Array]) -> tuple[dict[int, Array], Array]:
        """Lambda' B for B in blocks of shape (k_i, r, q_i)."""
        plan = self.plan
        own = {i: lv.left_multiply(self.templates[i].T, blocks[i]) for i in plan.chain}
        return own, _stack_trailing(plan, [self.templates[j].T for j in plan.trailing], blocks)

    def forward(self, own: dict[int, Array], trailing: Array) -> tuple[dict[int, Array], Array]:
        """L^{-1} D for scaled right-hand sides: chain (k, r, q), trailing (m, r)."""
        plan, gram = self.plan, self.gram
        out: dict[int, Array] = {}
        done: dict[int, Array] = {}
        carry = np.zeros(trailing.shape)
        for position, i in enumerate(plan.chain):
            rhs = own[i]
            if i in done:
                rhs = rhs - lv.left_multiply(self.templates[i].T, done[i])
            y = out[i] = lv.matmul(self.chain[i].inverse, rhs)
            block = self.chain[i]
            for j in plan.chain[position + 1 :]:
                update = lv.segment_sum(
                    lv.matmul(lv.transpose(block.nested[j]), y), plan.parent[i, j], gram.n_levels[j]
                )
                done[j] = done[j] + update if j in done else update
            if block.crossed is not None:
                carry += plan.crossed[i].rmatmul(block.crossed, y)
        if plan.m:
            rhs = trailing - scale_rows(plan, [t.T for t in self.templates], gram, carry)
            trailing = dtrsm(1.0, self.trailing, rhs, lower=1)
        return out, trailing

    def backward(self, own: dict[int, Array], trailing: Array) -> tuple[list[Array], list[Array]]:
        """u = L'^{-1} y and b = Lambda u, both in blocks of shape (k_i, r, q_i), factor by factor."""
        plan, gram = self.plan, self.gram
        u: list[Array] = [np.empty(0)] * gram.n_factors
        b: list[Array] = [np.empty(0)] * gram.n_factors
        b_trailing = trailing
        if plan.m:
            u_trailing = dtrsm(1.0, self.trailing, trailing, lower=1, trans_a=1)
            b_trailing = scale_rows(plan, self.templates, gram, u_trailing)
            for j in plan.trailing:
                u[j] = _unstack(plan, gram, u_trailing, j)
                b[j] = _unstack(plan, gram, b_trailing, j)
        for position in range(len(plan.chain) - 1, -1, -1):
            i = plan.chain[position]
            block, rhs = self.chain[i], own[i]
            for j in plan.chain[position + 1 :]:
                rhs = rhs - lv.matmul(block.nested[j], b[j].take(plan.parent[i, j], axis=2))
            if block.crossed is not None:
                rhs = rhs - plan.crossed[i].matmul(block.crossed, b_trailing)
            u[i] = lv.matmul(lv.transpose(block.inverse), rhs)
            b[i] = lv.left_multiply(self.templates[i], u[i])
        return u, b


def factorize(gram: Gram, plan: Plan, templates: Sequence[Array]) -> Factor:
    """Factor A(theta) for the relative factors `templates`, one a grouping factor."""
    swept = {i: gram.diagonal[i] for i in plan.chain}
    coupling = {(i, j): gram.pairs[i, j].values for a, i in enumerate(plan.chain) for j in plan.chain[a + 1 :]}
    crossing = {i: plan.crossed[i].values for i in plan.crossed}
    chain: dict[int, ChainBlock] = {}
    logdet = 0.0
    for position, i in enumerate(plan.chain):
        after = plan.chain[position + 1 :]
        t = templates[i]
        low = lv.cholesky(lv.add_identity(lv.congruence(t, swept[i])))
        for s in range(len(t)):
            logdet += 2.0 * float(np.log(low[s, s]).sum())
        inverse = lv.lower_inverse(low)
        root = inverse * t[0, 0] if t.shape == (1, 1) else np.matmul(t, inverse)
        nested = {j: lv.matmul(root, coupling[i, j]) for j in after}
        crossed = lv.gather_matmul(root, plan.crossed[i].level, crossing[i]) if plan.m else None
        chain[i] = ChainBlock(
            swept[i], inverse, root, nested, crossed, {j: coupling[i, j] for j in after}, crossing.get(i)
        )
        for a, j in enumerate(after):
            parent, q = plan.parent[i, j], gram.n_levels[j]
            left = lv.transpose(nested[j])
            swept[j] = swept[j] - lv.segment_sum(lv.matmul(left, nested[j]), parent, q)
            for h in after[a + 1 :]:
                coupling[j, h] = coupling[j, h] - lv.segment_sum(lv.matmul(left, nested[h]), parent, q)
            if crossed is not None:
                product = lv.gather_matmul(left, plan.crossed[i].level, crossed)
                crossing[j] = crossing[j] - lv.segment_sum(product, plan.fill[i, j], crossing[j].shape[1])
    trailing = np.empty((0, 0))
    if plan.m:
        trailing, extra = _factor_trailing(gram, plan, templates, chain)
        logdet += extra
    return Factor(gram, plan, tuple(templates), chain, trailing, logdet)


def swept_trailing(plan: Plan, chain: dict[int, ChainBlock]) -> Array:
    """P = Z_T'V_c^{-1}Z_T given the chain factors: lower triangle, Fortran order."""
    p = plan.trailing_gram.copy(order="F")
    for i in plan.chain:
        crossed = chain[i].crossed
        assert crossed is not None
        p = plan.crossed[i].subtract_gram(crossed, p)
    return p


def scale_trailing(gram: Gram, plan: Plan, templates: Sequence[Array], p: Array) -> Array:
    """Lambda_T' P Lambda_T in place, or Lambda_T Q Lambda_T' with transposed templates."""
    if all(gram.k[j] == 1 for j in plan.trailing):
        scale = _scalar_scale(gram, plan, templates)
        p *= scale
        p *= scale[:, None]
        return p
    full = np.tril(p)
    full += np.tril(p, -1).T
    transposed = [t.T for t in templates]
    half = scale_rows(plan, transposed, gram, full)
    return np.asfortranarray(scale_rows(plan, transposed, gram, half.T))


def _factor_trailing(
    gram: Gram, plan: Plan, templates: Sequence[Array], chain: dict[int, ChainBlock]
) -> tuple[Array, float]:
    s = scale_trailing(gram, plan, templates, swept_trailing(plan, chain))
    s.ravel(order="K")[:: plan.m + 1] += 1.0
    low, info = lapack.dpotrf(s, lower=1, clean=1, overwrite_a=1)
    if info:
        raise FitError(
            f"The trailing block of the factor is not positive definite at column {info}: "
            "the variance ratios are too large for double precision. Rescale the columns left of the bar."
        )
    return low, 2.0 * float(np.log(low.diagonal()).sum())


def _stack_trailing(plan: Plan, left: Sequence[Array], blocks: Sequence[Array]) -> Array:
    """Blocks (k_j, r, q_j) of the trailing factors, multiplied from the left, as an (m, r) array."""
    if not plan.m:
        return np.empty((0, blocks[0].shape[1]))
    parts = [
        lv.left_multiply(t, blocks[j]).swapaxes(1, 2).reshape(-1, blocks[j].shape[1])
        for t, j in zip(left, plan.trailing, strict=True)
    ]
    return np.concatenate(parts)


def _unstack(plan: Plan, gram: Gram, stacked: Array, j: int) -> Array:
    k, q = gram.k[j], gram.n_levels[j]
    rows = stacked[plan.offset[j] : plan.offset[j] + k * q]
    return np.ascontiguousarray(rows.reshape(k, q, -1).swapaxes(1, 2))


def scale_rows(plan: Plan, templates: Sequence[Array], gram: Gram, b: Array) -> Array:
    """Lambda_T B for b of shape (m, r)."""
    out = np.empty_like(b)
    for j in plan.trailing:
        rows = slice(plan.offset[j], plan.offset[j] + gram.k[j] * gram.n_levels[j])
        out[rows] = (templates[j] @ b[rows].reshape(gram.k[j], -1)).reshape(rows.stop - rows.start, -1)
    return out


def scale_crossed(gram: Gram, plan: Plan, templates: Sequence[Array], i: int, values: Array) -> Array:
    """Y Lambda_T for the entries (r, nnz) of chain factor i against the trailing columns."""
    if all(gram.k[j] == 1 for j in plan.trailing):
        return values * _scalar_scale(gram, plan, templates).take(plan.crossed[i].column)
    out = np.zeros_like(values)
    for j in plan.trailing:
        entries = plan.entries[i, j]
        for c in range(gram.k[j]):
            for b in range(gram.k[j]):
                out[:, entries[c]] += templates[j][b, c] * values[:, entries[b]]
    return out


def _scalar_scale(gram: Gram, plan: Plan, templates: Sequence[Array]) -> Array:
    return np.concatenate([np.full(gram.n_levels[j], templates[j][0, 0]) for j in plan.trailing])
