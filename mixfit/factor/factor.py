r"""The numeric phase: factor A = Lambda'Z'WZ Lambda + I at one theta, and solve with it.

For a chain factor i with swept cross-product F_i and relative factor T_i, M = I + T'FT = LL' a level and
Y = L^{-1} T' [F_i,j, C_i] are its row of the factor, kept *unscaled* on the side of the factors to come:
so the swept blocks stay what they were, cross-products given the factors already eliminated,

    F_jj <- F_jj - sum Y_ij'Y_ij,     P <- P - sum Y_i'Y_i,

and theta enters only through small k x k matrices. What is left is S = Lambda_T'P Lambda_T + I, which the trailing
block factors (Bates, Maechler, Bolker & Walker 2015, JSS 67(1), section 3, block by block).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.plan import Plan
    from mixfit.factor.trailing import TrailingFactor
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Halves = tuple[dict[int, Array], Array]

__all__ = ["ChainBlock", "Factor", "factorize"]


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

    Right-hand sides and solutions are pairs: a dict of (k_i, r, q_i) for the chain factors, and an array with r columns
    for the trailing block, whose rows are the block's own affair after `forward` (see
    :class:`mixfit.factor.trailing.TrailingFactor`).

    Attributes
    ----------
    templates : tuple of ndarray, shape (k_i, k_i)
        T_i of every factor: block diagonal over its terms.
    chain : dict of i to ChainBlock
    trailing : TrailingFactor, or None
        Factor of the trailing block S.
    logdet : float
        log|A|.
    """

    gram: Gram
    plan: Plan
    templates: tuple[Array, ...]
    chain: dict[int, ChainBlock]
    trailing: TrailingFactor | None
    logdet: float

    def scaled(self, blocks: Sequence[Array]) -> Halves:
        """Lambda' B for B in blocks of shape (k_i, r, q_i)."""
        plan = self.plan
        own = [lv.left_multiply(t.T, b) for t, b in zip(self.templates, blocks, strict=True)]
        return {i: own[i] for i in plan.chain}, plan.columns.stack(own)

    def forward(self, own: dict[int, Array], trailing: Array) -> Halves:
        """L^{-1} D for scaled right-hand sides: chain (k, r, q), trailing (m, r)."""
        plan = self.plan
        out: dict[int, Array] = {}
        done: dict[int, Array] = {}
        carry: Array = np.zeros(trailing.shape)
        for position, i in enumerate(plan.chain):
            block, rhs = self.chain[i], own[i]
            if i in done:
                rhs = rhs - lv.left_multiply(self.templates[i].T, done[i])
            y = out[i] = lv.matmul(block.inverse, rhs)
            for j in plan.chain[position + 1 :]:
                update = lv.segment_sum(lv.matmul(lv.transpose(block.nested[j]), y), plan.parent[i, j], plan.width[j])
                done[j] = done[j] + update if j in done else update
            if block.crossed is not None:
                carry += plan.crossed[i].rmatmul(block.crossed, y)
        if self.trailing is not None:
            rhs = trailing - plan.columns.multiply([t.T for t in self.templates], carry)
            trailing = self.trailing.forward(rhs)
        return out, trailing

    def inner(self, a: Halves, b: Halves) -> Array:
        """D_a'A^{-1}D_b from what `forward` makes of D_a and D_b."""
        total = sum((lv.column_products(y, b[0][i]) for i, y in a[0].items()), start=np.zeros(()))
        return total if self.trailing is None else total + a[1].T @ self.trailing.dual(b[1])

    def squares(self, half: Halves) -> Array:
        """d'A^{-1}d of every column: the diagonal of `inner`."""
        total = sum((np.einsum("krq,krq->r", y, y) for y in half[0].values()), start=np.zeros(()))
        return total if self.trailing is None else total + np.einsum("mr,mr->r", half[1], self.trailing.dual(half[1]))

    def backward(self, own: dict[int, Array], trailing: Array) -> tuple[list[Array], list[Array]]:
        """u = L'^{-1} y and b = Lambda u, both in blocks of shape (k_i, r, q_i), factor by factor."""
        plan = self.plan
        u: list[Array] = [np.empty(0)] * len(plan.k)
        b: list[Array] = [np.empty(0)] * len(plan.k)
        b_trailing = trailing
        if self.trailing is not None:
            u_trailing = self.trailing.backward(trailing)
            b_trailing = plan.columns.multiply(self.templates, u_trailing)
            for j in plan.trailing:
                u[j] = plan.columns.unstack(u_trailing, j)
                b[j] = plan.columns.unstack(b_trailing, j)
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

    def solve(self, blocks: Sequence[Array]) -> list[Array]:
        """A^{-1} d for scaled right-hand sides in blocks (k_i, r, q_i), factor by factor."""
        own = {i: blocks[i] for i in self.plan.chain}
        return self.backward(*self.forward(own, self.plan.columns.stack(blocks)))[0]


def factorize(gram: Gram, plan: Plan, templates: Sequence[Array]) -> Factor:
    """Factor A(theta) for the relative factors `templates`, one a grouping factor."""
    swept = {i: gram.diagonal[i] for i in plan.chain}
    coupling = {(i, j): gram.pairs[i, j].values for a, i in enumerate(plan.chain) for j in plan.chain[a + 1 :]}
    crossing = dict(plan.crossing)
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
        crossed = None if plan.block is None else lv.gather_matmul(root, plan.crossed[i].level, crossing[i])
        chain[i] = ChainBlock(
            swept[i], inverse, root, nested, crossed, {j: coupling[i, j] for j in after}, crossing.get(i)
        )
        for a, j in enumerate(after):
            parent, q = plan.parent[i, j], plan.width[j]
            left = lv.transpose(nested[j])
            swept[j] = swept[j] - lv.segment_sum(lv.matmul(left, nested[j]), parent, q)
            for h in after[a + 1 :]:
                coupling[j, h] = coupling[j, h] - lv.segment_sum(lv.matmul(left, nested[h]), parent, q)
            if crossed is not None:
                product = lv.gather_matmul(left, plan.crossed[i].level, crossed)
                crossing[j] = crossing[j] - lv.segment_sum(product, plan.fill[i, j], crossing[j].shape[1])
    if plan.block is None:
        return Factor(gram, plan, tuple(templates), chain, None, logdet)
    rows = {i: block.crossed for i, block in chain.items() if block.crossed is not None}
    trailing = plan.block.factorize(templates, rows)
    return Factor(gram, plan, tuple(templates), chain, trailing, logdet + trailing.logdet)
