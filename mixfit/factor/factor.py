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
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.plan import SymbolicPlan
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

    Right-hand sides are pairs: a dict of (k_i, r, q_i) for the chain factors, and an array with r columns for the
    trailing block, whose rows are its own affair once it is eliminated (`mixfit.factor.trailing.TrailingFactor`).

    Attributes
    ----------
    templates : tuple of ndarray, shape (k_i, k_i)
        T_i of every factor: block diagonal over its terms.
    chain : dict of i to ChainBlock
        In order of elimination.
    trailing : TrailingFactor, or None
        Factor of the trailing block S.
    logdet : float
        log|A|.
    """

    gram: Gram
    plan: SymbolicPlan
    templates: tuple[Array, ...]
    chain: dict[int, ChainBlock]
    trailing: TrailingFactor | None
    logdet: float

    def half(self, blocks: Sequence[Array]) -> Halves:
        """L^{-1} Lambda'B for B in blocks of shape (k_i, r, q_i)."""
        columns = self.plan.columns
        starts = {i: lv.matmul(block.root, blocks[i]) for i, block in self.chain.items()}
        if self.trailing is None:
            return self._sweep(starts, columns.stack(blocks))
        return self._sweep(starts, columns.multiply([t.T for t in self.templates], columns.stack(blocks)))

    def forward(self, own: Mapping[int, Array], trailing: Array) -> Halves:
        """L^{-1} D for right-hand sides that are Lambda'B already: chain (k, r, q), trailing (m, r)."""
        return self._sweep({i: lv.matmul(block.inverse, own[i]) for i, block in self.chain.items()}, trailing)

    def _sweep(self, starts: dict[int, Array], trailing: Array) -> Halves:
        """Eliminate the chain, from each block's right-hand side times its own L^{-1}."""
        plan = self.plan
        out: dict[int, Array] = {}
        done: dict[int, Array] = {}
        carry: Array = np.zeros(trailing.shape)
        for i, block in self.chain.items():
            y = out[i] = starts[i] - lv.matmul(block.root, done[i]) if i in done else starts[i]
            for j, nested in block.nested.items():
                update = lv.segment_products(nested, y, plan.parent[i, j], plan.width[j])
                done[j] = done[j] + update if j in done else update
            if block.crossed is not None:
                carry += plan.crossed[i].rmatmul(block.crossed, y)
        if self.trailing is None:
            return out, trailing
        return out, self.trailing.forward(trailing - plan.columns.multiply([t.T for t in self.templates], carry))

    def inner(self, a: Halves, b: Halves) -> Array:
        """D_a'A^{-1}D_b from what `forward` makes of D_a and D_b; 0 without random effects."""
        parts = [lv.column_products(y, b[0][i]) for i, y in a[0].items()]
        if self.trailing is not None:
            # What is dual may cost a solution a column.
            few = a[1].shape[1] < b[1].shape[1]
            parts.append(self.trailing.dual(a[1]).T @ b[1] if few else a[1].T @ self.trailing.dual(b[1]))
        return sum(parts[1:], start=parts[0]) if parts else np.zeros(())

    def cancellation(self) -> float:
        """By how much the rounding of log|A| is above that of its own size: sum of what pivots were over what is left.

        Of the trailing block, whose pivots are its own affair, one level of each factor: where all levels meet, the
        sums over the levels of two factors are what they share.
        """
        lost = 0.0
        for i, block in self.chain.items():
            before = _diagonal(lv.congruence(self.templates[i], self.gram.diagonal[i]))
            lost += float(((before + 1.0) * _diagonal(block.inverse) ** 2 - 1.0).sum())
        for j in self.plan.trailing:
            lost += float(_diagonal(lv.congruence(self.templates[j], self.gram.diagonal[j])).sum(axis=0).max())
        return lost

    def squares(self, half: Halves) -> Array:
        """d'A^{-1}d of every column: the diagonal of `inner`."""
        first, *others = [np.einsum("krq,krq->r", y, y) for y in half[0].values()] or [np.zeros(())]
        total = sum(others, start=first)
        return total if self.trailing is None else total + np.einsum("mr,mr->r", half[1], self.trailing.dual(half[1]))

    def backward(self, own: dict[int, Array], trailing: Array) -> tuple[list[Array], list[Array]]:
        """u = L'^{-1} y and b = Lambda u, both in blocks of shape (k_i, r, q_i), factor by factor."""
        plan = self.plan
        u: dict[int, Array] = {}
        b: dict[int, Array] = {}
        b_trailing = trailing
        if self.trailing is not None:
            u_trailing = self.trailing.backward(trailing)
            b_trailing = plan.columns.multiply(self.templates, u_trailing)
            for j in plan.trailing:
                u[j] = plan.columns.unstack(u_trailing, j)
                b[j] = plan.columns.unstack(b_trailing, j)
        for i, block in reversed(self.chain.items()):
            rhs = own[i]
            for j, nested in block.nested.items():
                rhs = rhs - lv.matmul_at(nested, b[j], plan.parent[i, j])
            if block.crossed is not None:
                rhs = rhs - plan.crossed[i].matmul(block.crossed, b_trailing)
            u[i] = lv.matmul(lv.transpose(block.inverse), rhs)
            b[i] = lv.left_multiply(self.templates[i], u[i])
        every = range(len(plan.k))
        return [u[i] for i in every], [b[i] for i in every]

    def solve(self, blocks: Sequence[Array]) -> list[Array]:
        """A^{-1} d for scaled right-hand sides in blocks (k_i, r, q_i), factor by factor."""
        if len(self.plan.k) == 1 and self.trailing is None:
            # One factor's levels meet no others: A is block diagonal.
            inverse = self.chain[0].inverse
            return [lv.matmul(lv.transpose(inverse), lv.matmul(inverse, blocks[0]))]
        own = {i: blocks[i] for i in self.plan.chain}
        return self.backward(*self.forward(own, self.plan.columns.stack(blocks)))[0]


def _diagonal(blocks: Array) -> Array:
    """Diagonals of blocks (k, k, q): (k, q)."""
    return np.einsum("aaq->aq", blocks)


@np.errstate(divide="ignore", invalid="ignore")
def factorize(gram: Gram, plan: SymbolicPlan, templates: Sequence[Array]) -> Factor:
    """Factor A(theta) for the relative factors `templates`, one a grouping factor.

    Where rounding leaves a level's block of A not positive definite, as where the same column has variances of 1e16 in
    two terms, log|A| is not finite, and the criterion has no value there.
    """
    swept = {i: gram.diagonal[i] for i in plan.chain}
    coupling = {(i, j): gram.pairs[i, j].values for a, i in enumerate(plan.chain) for j in plan.chain[a + 1 :]}
    crossing = dict(plan.crossing)
    chain: dict[int, ChainBlock] = {}
    logdet = 0.0
    for position, i in enumerate(plan.chain):
        after = plan.chain[position + 1 :]
        t = templates[i]
        low = lv.cholesky(lv.add_identity(lv.congruence(t, swept[i])))
        logdet += lv.triangular_logdet(low)
        inverse = lv.lower_inverse(low)
        root = inverse * t[0, 0] if t.shape == (1, 1) else np.matmul(t, inverse)
        nested = {j: lv.matmul(root, coupling[i, j]) for j in after}
        crossed = None if plan.block is None else lv.gather_matmul(root, plan.crossed[i].level, crossing[i])
        chain[i] = ChainBlock(
            swept[i], inverse, root, nested, crossed, {j: coupling[i, j] for j in after}, crossing.get(i)
        )
        for a, j in enumerate(after):
            parent, q = plan.parent[i, j], plan.width[j]
            swept[j] = swept[j] - lv.segment_products(nested[j], nested[j], parent, q)
            for h in after[a + 1 :]:
                coupling[j, h] = coupling[j, h] - lv.segment_products(nested[j], nested[h], parent, q)
            if crossed is not None:
                left = lv.transpose(nested[j])
                product = lv.gather_matmul(left, plan.crossed[i].level, crossed)
                crossing[j] = crossing[j] - lv.segment_sum(product, plan.fill[i, j], crossing[j].shape[1])
    if plan.block is None:
        return Factor(gram, plan, tuple(templates), chain, None, logdet)
    rows = {i: block.crossed for i, block in chain.items() if block.crossed is not None}
    trailing = plan.block.factorize(templates, rows)
    return Factor(gram, plan, tuple(templates), chain, trailing, logdet + trailing.logdet)
