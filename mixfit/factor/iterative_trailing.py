r"""The trailing block as an operator that is never formed: for crossed factors without end.

Solutions are those of conjugate gradients; log|S| and sums over levels of entries of S^{-1} are estimates by random
vectors, the same at every theta, with standard errors (`mixfit.factor.probes`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.sparse import csr_array

from mixfit.factor.conjugate_gradients import conjugate_gradients
from mixfit.factor.iterative_derivatives import IterativeDerivatives, projected_estimate
from mixfit.factor.probes import mean_error, probes
from mixfit.factor.scaled_operator import Meeting, scaled_operator
from mixfit.factor.trailing import Cost
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.crossed import Crossed
    from mixfit.factor.probes import Probes
    from mixfit.factor.scaled_operator import ScaledOperator
    from mixfit.factor.trailing import TrailingColumns
    from mixfit.gram.products import Gram

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["IterativeBlock", "IterativeFactor", "IterativeInverse", "iterative_block"]

# Random vectors to begin with: enough to tell how many there have to be.
_PROBES = 16
# Solutions for the data have all their digits but those that a condition of 1e3 takes.
_TOLERANCE = 1e-12
# Arrays of a column a vector that conjugate gradients and what is made of them hold at a time.
_COPIES = 10
# Steps that they take where levels meet at random, for counting what a factorization costs.
_STEPS = 10


@dataclass(frozen=True, eq=False)
class IterativeBlock:
    """Cross-products of the trailing columns, and how many random vectors there are.

    Attributes
    ----------
    columns : TrailingColumns
    meetings : dict of i to Meeting
        Of every chain factor with the trailing columns.
    shared : csr_array, shape (m, m)
        Z_i'Z_j of trailing factors.
    gram : Gram
    n_probes : int
    """

    columns: TrailingColumns
    meetings: Mapping[int, Meeting]
    shared: csr_array
    gram: Gram
    n_probes: int = _PROBES

    @property
    def kind(self) -> Literal["iterative"]:
        """By conjugate gradients."""
        return "iterative"

    @property
    def order(self) -> Index:
        """As they come: nothing is eliminated."""
        return np.arange(self.columns.m)

    @property
    def cost(self) -> Cost:
        """What the traces of one theta take."""
        entries = float(sum(y.k * len(y.pattern.level) for y in self.meetings.values()) + self.shared.nnz)
        vectors = float(self.n_probes)
        return Cost(
            2.0 * _STEPS * vectors * entries, _COPIES * 8.0 * vectors * self.columns.m + 24.0 * entries, entries
        )

    def refill(self, gram: Gram) -> IterativeBlock:
        """The same block for other values on the same pattern."""
        return replace(self, gram=gram, shared=_shared(gram, self.columns))

    def with_probes(self, n: int) -> IterativeBlock:
        """The same block by another number of random vectors."""
        return replace(self, n_probes=n)

    def factorize(self, templates: Sequence[Array], rows: Mapping[int, Array]) -> IterativeFactor:
        """S as an operator."""
        operator = scaled_operator(self.gram, self.columns, self.meetings, self.shared, templates, rows)
        return IterativeFactor(self, tuple(templates), dict(rows), operator)


def iterative_block(gram: Gram, columns: TrailingColumns, patterns: Mapping[int, Crossed]) -> IterativeBlock:
    """Lay out an operator."""
    meetings = {i: Meeting.build(pattern, gram.k[i], columns) for i, pattern in patterns.items()}
    return IterativeBlock(columns, meetings, _shared(gram, columns), gram)


def _shared(gram: Gram, c: TrailingColumns) -> csr_array:
    """C_T, both triangles."""
    row, col, values = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)], [np.empty(0)]
    for (i, j), pairs in gram.pairs.items():
        if i in c.offset and j in c.offset:
            for a in range(c.k[i]):
                for b in range(c.k[j]):
                    at = c.at(i, a).start + pairs.row, c.at(j, b).start + pairs.col
                    row += at
                    col += at[::-1]
                    values += [pairs.values[a, b]] * 2
    return csr_array((np.concatenate(values), (np.concatenate(row), np.concatenate(col))), shape=(c.m, c.m))


@dataclass(frozen=True, eq=False)
class IterativeFactor:
    """S at one theta. The halves of right-hand sides are these themselves.

    Attributes
    ----------
    block : IterativeBlock
    templates : tuple of ndarray
    entries : dict of i to ndarray, shape (k_i, nnz_i)
        Of every Y_i.
    operator : ScaledOperator
    solved : deque of tuple of ndarray
        Halves and what is dual to them: a criterion and its derivatives ask for the same ones.
    """

    block: IterativeBlock
    templates: tuple[Array, ...]
    entries: dict[int, Array]
    operator: ScaledOperator
    solved: deque[tuple[Array, Array]] = field(default_factory=lambda: deque(maxlen=2), repr=False)

    @cached_property
    def probes(self) -> Probes:
        """The random vectors, solved for."""
        return probes(self.operator, self.block.n_probes)

    @cached_property
    def logdet_samples(self) -> Array:
        """log|S| by each random vector, (s,)."""
        known = sum(float(np.einsum("aaq->", own)) for own in self.operator.own.values())
        return self.operator.logdet - known + self.probes.samples(self.probes.log_forms)

    @property
    def logdet(self) -> float:
        """Their mean."""
        return float(self.logdet_samples.mean())

    @property
    def logdet_error(self) -> float:
        """Its standard error."""
        return mean_error(self.logdet_samples)

    def forward(self, rhs: Array) -> Array:
        """The right-hand sides themselves."""
        return rhs

    def dual(self, half: Array) -> Array:
        """S^{-1} d, remembered for the halves that were asked for last."""
        for known, found in self.solved:
            if known is half:
                return found
        out = self.operator.from_root(self.solve(self.operator.to_root(half)))
        self.solved.append((half, out))
        return out

    def backward(self, half: Array) -> Array:
        """The same."""
        return self.dual(half)

    def solve(self, rhs: Array) -> Array:
        """R^{-1} of right-hand sides (m, c)."""
        return conjugate_gradients(self.operator.apply, rhs, _TOLERANCE).solution

    def inverse(self) -> IterativeInverse:
        """Estimates of entries of S^{-1}, and of sums of them."""
        return IterativeInverse(self)

    def derivatives(self) -> IterativeDerivatives:
        """Estimates of derivatives of log|S|."""
        return IterativeDerivatives(self)


@dataclass(frozen=True, eq=False)
class IterativeInverse:
    """Estimates by the random vectors.

    Attributes
    ----------
    factor : IterativeFactor
    """

    factor: IterativeFactor

    def inverse_samples(self, j: int) -> Array:
        """sum_l (S^{-1})_ll by each random vector, (s, k_j, k_j)."""
        operator, found, c = self.factor.operator, self.factor.probes, self.factor.block.columns
        up = lv.transpose(operator.inverse[j])
        inner = lv.add_identity(operator.own[j].copy())
        known = lv.matmul(lv.matmul(up, inner), operator.inverse[j]).sum(axis=2)
        own = c.own(j)
        w, y = (operator.from_root(part)[own].reshape(c.k[j], c.width[j], -1) for part in (found.w, found.second))
        return known + found.samples(_symmetric(np.einsum("aqc,bqc->cab", w, y)))

    def row_samples(self, i: int, rows: Array) -> Array:
        """sum_l Y_l Q Y_l' by each random vector, (s, r, r)."""
        operator, found, meeting = self.factor.operator, self.factor.probes, self.factor.block.meetings[i]
        scaled = meeting.times(rows, operator.root)
        y = replace(meeting, k=len(rows)).matrix(rows)
        left, right = (
            (y @ operator.effects(part)).reshape(len(rows), -1, found.w.shape[1]) for part in (found.w, found.first)
        )
        return scaled @ scaled.T + found.samples(_symmetric(np.einsum("aqc,bqc->cab", left, right)))

    def inverse_sums(self, j: int) -> Array:
        """sum_l (S^{-1})_ll."""
        return np.asarray(self.inverse_samples(j).mean(axis=0))

    def row_sums(self, i: int, rows: Array) -> Array:
        """sum_l Y_l Q Y_l'."""
        return np.asarray(self.row_samples(i, rows).mean(axis=0))

    def projected_sums(self, j: int) -> Array:
        """sum_l (P - P Q P)_ll."""
        return projected_estimate(self.factor, j)

    def rows(self, i: int, rows: Array) -> Array:
        """Y Q on the pattern of Y."""
        operator, found, meeting = self.factor.operator, self.factor.probes, self.factor.block.meetings[i]
        root = operator.root
        out = meeting.times(meeting.times(rows, root), {j: lv.transpose(u) for j, u in root.items()})
        y = replace(meeting, k=len(rows)).matrix(rows)
        w, first = operator.effects(found.w), operator.effects(found.first)
        yw, yf = (y @ part for part in (w, first))
        level, column, q = meeting.pattern.level, meeting.pattern.column, meeting.pattern.n_levels
        for a, own in enumerate(out):
            for c in range(found.w.shape[1]):
                left, right = yw[a * q : (a + 1) * q, c], yf[a * q : (a + 1) * q, c]
                own += 0.5 * (left[level] * first[column, c] + right[level] * w[column, c])
        return out

    def blocks(self, j: int) -> Array:
        """Q_ll at every level."""
        operator, found, c = self.factor.operator, self.factor.probes, self.factor.block.columns
        inner = lv.add_identity(operator.own[j].copy())
        root = operator.root[j]
        known = lv.matmul(lv.matmul(root, inner), lv.transpose(root))
        own = c.own(j)
        w, y = (operator.effects(part)[own].reshape(c.k[j], c.width[j], -1) for part in (found.w, found.second))
        parts = np.einsum("aqc,bqc->abq", w, y)
        return np.asarray(known + 0.5 * (parts + lv.transpose(parts)))

    def between(self, i: int, j: int) -> Array:
        """Q at the pairs of levels of two factors."""
        operator, found, c = self.factor.operator, self.factor.probes, self.factor.block.columns
        pairs = self.factor.block.gram.pairs[i, j]
        w, y = operator.effects(found.w), operator.effects(found.first)

        def at(part: Array, factor: int, level: Index) -> Array:
            return part[c.own(factor)].reshape(c.k[factor], c.width[factor], -1)[:, level]

        return 0.5 * (
            np.einsum("aqc,bqc->abq", at(w, i, pairs.row), at(y, j, pairs.col))
            + np.einsum("aqc,bqc->abq", at(y, i, pairs.row), at(w, j, pairs.col))
        )


def _symmetric(blocks: Array) -> Array:
    """The symmetric part of every matrix (c, k, k)."""
    return 0.5 * (blocks + blocks.swapaxes(1, 2))
