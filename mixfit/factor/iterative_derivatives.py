r"""Derivatives of log|B|, B = I + Sigma_T P, by random vectors: of traces of products of operators.

With W = B^{-1} = I - Q P and B_x = D_x P + Sigma P_x, for vectors z of independent signs,

    d log|B| / dx = E z'W B_x z,    d^2 log|B| / dx dy = E [z'W B_xy z - (B_y'W'z)'(W B_x z)],

one solution for each direction, and one besides. They are relative to the traces themselves within a few over the
square root of columns times vectors: degrees of freedom ask for no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.factor.scaled_operator import by_level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixfit.factor.probes import Probes
    from mixfit.factor.scaled_operator import Meeting, ScaledOperator
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]

__all__ = ["IterativeDerivatives", "Operated", "projected_estimate"]

# Any number: the same random vectors each time, so that the same model has the same estimates.
_SEED = 20_260_102


class _Block(Protocol):
    @property
    def columns(self) -> TrailingColumns: ...

    @property
    def meetings(self) -> Mapping[int, Meeting]: ...

    @property
    def gram(self) -> Gram: ...

    @property
    def n_probes(self) -> int: ...


class Operated(Protocol):
    """What is known of S at one theta."""

    @property
    def block(self) -> _Block:
        """The columns, what meets them, and how many random vectors there are."""
        ...

    @property
    def templates(self) -> tuple[Array, ...]:
        """T of every factor."""
        ...

    @property
    def operator(self) -> ScaledOperator:
        """R."""
        ...

    @property
    def probes(self) -> Probes:
        """Random vectors, solved for."""
        ...

    def solve(self, rhs: Array) -> Array:
        """R^{-1} of right-hand sides."""
        ...


@dataclass(frozen=True, eq=False)
class IterativeDerivatives:
    """First and second derivatives.

    Attributes
    ----------
    factor : Operated
    moves : dict of x to list of (i, left, right)
        P moves by -(L'R + R'L) / 2 along x.
    """

    factor: Operated
    moves: dict[int, list[tuple[int, Array, Array]]] = field(default_factory=dict)

    def move(self, x: int, i: int, left: Array, right: Array) -> None:
        """Subtract (L'R + R'L) / 2 from the derivative of P along x."""
        self.moves.setdefault(x, []).append((i, left, right))

    def inner(self, i: int, left: Array, right: Array) -> float:
        """<Q, L'R>."""
        operator, found, meeting = self.factor.operator, self.factor.probes, self.factor.block.meetings[i]
        known = np.vdot(meeting.times(left, operator.root), meeting.times(right, operator.root))
        l, r = meeting.matrix(left), meeting.matrix(right)  # noqa: E741
        w, y = operator.effects(found.w), operator.effects(found.first)
        return float(known + 0.5 * (np.vdot(l @ w, r @ y) + np.vdot(l @ y, r @ w)))

    def finish(self, directions: Mapping[int, Mapping[int, Array]], size: int) -> tuple[Array, Array]:
        """Traces of W B_x, and how they move."""
        factor, c = self.factor, self.factor.block.columns
        s = factor.block.n_probes
        z = _signs(c.m, s)
        own = {x: (j, d) for j, along in directions.items() for x, d in along.items()}
        moving = sorted({*own, *self.moves})
        turned = {x: _less_q(factor, self._changed(x, own, z), after_p=True) for x in moving}
        back = _less_q(factor, z, after_p=False)
        first, second = np.zeros(size), np.zeros((size, size))
        moved = {x: self._p_moved(x, z) for x in self.moves}
        for x in moving:
            first[x] = np.vdot(z, turned[x]) / s
        for y in moving:
            pulled = self._changed_transposed(y, own, back)
            for x in moving:
                if x <= y:
                    value = -np.vdot(pulled, turned[x])
                    for a, b in ((x, y), (y, x)):
                        if a in own and b in moved:
                            j, d = own[a]
                            value += np.vdot(back, _one_factor(c, j, d, moved[b]))
                    second[x, y] = second[y, x] = value / s
        return first, second

    def _changed(self, x: int, own: Mapping[int, tuple[int, Array]], v: Array) -> Array:
        """B_x v."""
        out = np.zeros_like(v)
        if x in own:
            out += _one_factor(self.factor.block.columns, *own[x], _p(self.factor, v))
        if x in self.moves:
            out += _sigma(self.factor, self._p_moved(x, v))
        return out

    def _changed_transposed(self, x: int, own: Mapping[int, tuple[int, Array]], v: Array) -> Array:
        """B_x'v."""
        out = np.zeros_like(v)
        if x in own:
            out += _p(self.factor, _one_factor(self.factor.block.columns, *own[x], v))
        if x in self.moves:
            out += self._p_moved(x, _sigma(self.factor, v))
        return out

    def _p_moved(self, x: int, v: Array) -> Array:
        """P_x v."""
        out = np.zeros_like(v)
        for i, left, right in self.moves[x]:
            meeting = self.factor.block.meetings[i]
            out -= 0.5 * (meeting.transposed(left) @ (meeting.matrix(right) @ v))
            out -= 0.5 * (meeting.transposed(right) @ (meeting.matrix(left) @ v))
        return out


def projected_estimate(factor: Operated, j: int) -> Array:
    """sum_l (P - P Q P)_ll of factor j: its own cross-products known, the rest by signs, a column of it at a time."""
    c, gram = factor.block.columns, factor.block.gram
    s, own, k = factor.block.n_probes, c.own(j), c.k[j]
    signs = _signs(c.width[j], s)
    out: Array = np.empty((k, k))
    for a in range(k):
        z = np.zeros((c.m, s))
        z[c.at(j, a)] = signs
        less = _less_q(factor, _p(factor, z), after_p=False)[own].reshape(k, c.width[j], s)
        less -= gram.diagonal[j][:, a, :, None] * signs
        out[a] = np.einsum("bqs,qs->b", less, signs) / s
    out += gram.diagonal[j].sum(axis=2)
    return 0.5 * (out + out.T)


def _signs(m: int, s: int) -> Array:
    return np.asarray(np.random.default_rng(_SEED).integers(0, 2, (m, s)) * 2.0 - 1.0, dtype=np.float64)


def _p(factor: Operated, v: Array) -> Array:
    """P v."""
    own = {j: factor.block.gram.diagonal[j] for j in factor.block.columns.factors}
    return by_level(factor.block.columns, own, v) - factor.operator.swept(v)


def _q(factor: Operated, v: Array) -> Array:
    """Q v = U R^{-1} U'v."""
    c, root = factor.block.columns, factor.operator.root
    return by_level(c, root, factor.solve(by_level(c, root, v, transposed=True)))


def _less_q(factor: Operated, v: Array, *, after_p: bool) -> Array:
    """(I - Q P) v, or (I - P Q) v."""
    return v - (_q(factor, _p(factor, v)) if after_p else _p(factor, _q(factor, v)))


def _sigma(factor: Operated, v: Array) -> Array:
    """Sigma_T v."""
    c, t = factor.block.columns, factor.templates
    return c.multiply(t, c.multiply([x.T for x in t], v))


def _one_factor(c: TrailingColumns, j: int, d: Array, v: Array) -> Array:
    """D v for the block-diagonal D of one matrix (k_j, k_j) for all levels of factor j."""
    out = np.zeros_like(v)
    own = c.own(j)
    out[own] = np.tensordot(d, v[own].reshape(c.k[j], c.width[j], -1), 1).reshape(own.stop - own.start, -1)
    return out
