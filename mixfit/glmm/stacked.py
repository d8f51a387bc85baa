r"""Several linear predictors of a row as rows of one problem.

The curvature of a row is a symmetric matrix W over its K predictors. With z_a the row of Z that belongs to predictor a,

    sum_ab W_ab z_a z_b' = sum_a (W_aa - sum_{b != a} W_ab) z_a z_a' + sum_{a < b} W_ab (z_a + z_b)(z_a + z_b)',

so that the problem has a row for each predictor and one for each pair, with weights linear in W and of either sign, and
all that is known of cross-products, factors and their inverses holds. Rows are stacked by blocks of n: predictors in
order, then pairs. Scores of pairs are zero. With h_ab = z_a'Q z_b from the leverages of these rows, the derivative of
log|A| along predictor k of a row is sum_ab h_ab dW_ab / d eta_k.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from mixfit.families.declared import DispersionTerms, Terms
from mixfit.gram.basis import FixedBasis, fixed_basis

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.families.several import PredictorDensity, RowDerivatives
    from mixfit.matrices.types import Grouping, Predictor, RandomDesign

    Array = NDArray[np.float64]

__all__ = ["Stack", "StackedTerms", "alone_of", "stack_fixed", "stack_offset", "stack_random", "term_places"]


# Of an indicator, by the columns of an orthonormal basis.
_ROUNDING = 1e-8
# Kinds of rows up to which each of them is looked at: more are those of numbers, and none moves alone.
_MOST_CELLS = 64


@dataclass(frozen=True, eq=False)
class Stack:
    """The predictors of a problem's rows.

    Attributes
    ----------
    predictors : PredictorDensity
    n : int
        Observations.
    random : tuple of int
        Predictors with random effects.
    n_fixed : tuple of int
        Fixed effects of each predictor.
    alone : tuple of ndarray, shape (p,)
        Directions of all fixed effects along which a predictor other than the first moves by one in some rows, and
        nowhere else.
    """

    predictors: PredictorDensity
    n: int
    random: tuple[int, ...]
    n_fixed: tuple[int, ...]
    alone: tuple[Array, ...] = ()

    def within(self, among: Array, n_fixed: tuple[int, ...]) -> Stack:
        """The same with fixed effects c of which g = `among`' c are these, the rows of `among` (c, p) orthonormal."""
        inside = [a for a in self.alone if np.allclose(among.T @ (among @ a), a, rtol=0.0, atol=_ROUNDING)]
        return replace(self, n_fixed=n_fixed, alone=tuple(among @ a for a in inside))

    @property
    def k(self) -> int:
        """Number of predictors."""
        return len(self.predictors.names)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of predictors, in the order of their rows."""
        return list(combinations(range(self.k), 2))

    def single(self, eta: Array) -> Array:
        """The predictors (K, ..., n) among stacked rows (..., rows)."""
        return np.moveaxis(eta[..., : self.k * self.n].reshape(*eta.shape[:-1], self.k, self.n), -2, 0)

    def stacked(self, single: Array) -> Array:
        """Values (K, ..., n) of the predictors as stacked rows, zero in those of pairs."""
        out = np.zeros((*single.shape[1:-1], self.k + len(self.pairs), self.n))
        out[..., : self.k, :] = np.moveaxis(single, 0, -2)
        return out.reshape(*single.shape[1:-1], -1)

    def loglik(self, family: Family, y: Array, prior: Array, eta: Array, phi: float) -> Array:
        """Log density of every observation at stacked predictors."""
        return self.predictors.loglik(family, y, prior, self.single(eta), phi)

    def terms(self, family: Family, y: Array, prior: Array, eta: Array, phi: float) -> StackedTerms:
        """Derivatives at stacked predictors."""
        rows = self.predictors.derivatives(family, y, prior, self.single(eta), phi)
        observed = self.weights({key: -value for key, value in rows.second.items()})
        score, expected = self.stacked(rows.first), self.stacked(rows.expected)
        return StackedTerms(score, observed, np.zeros(0), observed, expected, self, rows)

    def tail_terms(self, family: Family, y: Array, prior: Array, eta: Array, phi: float) -> tuple[DispersionTerms, ...]:
        """Derivatives in the parameters that are numbers for all rows: dl (n,), and stacked dl' and dW."""
        out = []
        for found in self.predictors.in_tail(family, y, prior, self.single(eta), phi):
            weight = self.weights({key: -value for key, value in found.second.items()})
            score = np.zeros((self.k, *np.shape(found.loglik)))
            for a, value in found.first.items():
                score[a] = value
            out.append(DispersionTerms(found.loglik, self.stacked(score), weight))
        return tuple(out)

    def weights(self, w: Mapping[tuple[int, int], Array]) -> Array:
        """Weights of the stacked rows of a matrix W over the predictors; entries left out are zero."""
        shape = np.broadcast_shapes(*(np.shape(value) for value in w.values()))
        out = np.zeros((self.k + len(self.pairs), *shape))
        for (a, b), value in w.items():
            if a == b:
                out[a] += value
            else:
                out[a] -= value
                out[b] -= value
                out[self.k + self.pairs.index((a, b))] = value
        return np.moveaxis(out, 0, -2).reshape(*shape[:-1], -1)

    def forms(self, leverage: Array) -> dict[tuple[int, int], Array]:
        """h_ab of the predictors with random effects, a <= b, from the leverages of the stacked rows."""
        h = leverage.reshape(-1, self.n)
        out = {(a, a): h[a] for a in self.random}
        for a, b in combinations(self.random, 2):
            out[a, b] = 0.5 * (h[self.k + self.pairs.index((a, b))] - h[a] - h[b])
        return out


@dataclass(frozen=True, eq=False)
class StackedTerms(Terms):
    """Derivatives of stacked rows; `weight_slope` is empty, since a row's weight moves with several predictors."""

    stack: Stack
    rows: RowDerivatives

    def slopes(self, leverage: Array) -> Array:
        """sum_ab h_ab dW_ab / d eta_k of every row."""
        stack = self.stack
        out = np.zeros((stack.k + len(stack.pairs), stack.n))
        for (a, b), h in stack.forms(leverage).items():
            times = 1.0 if a == b else 2.0
            for k in range(stack.k):
                if (a, b, k) in self.rows.third:
                    out[k] -= times * h * self.rows.third[a, b, k]
        return out.ravel()

    @property
    def concave(self) -> NDArray[np.bool_]:
        """Where the curvature in the predictors with random effects is positive definite, stacked."""
        w, random = self.rows.second, self.stack.random
        good = np.ones(self.stack.n, dtype=bool)
        for a in random:
            good &= w[a, a] < 0.0
        for a, b in combinations(random, 2):
            good &= w[a, a] * w[b, b] > w[a, b] ** 2 if (a, b) in w else good
        return np.tile(good, self.stack.k + len(self.stack.pairs))


def stack_fixed(predictors: Sequence[Predictor]) -> tuple[FixedBasis, tuple[FixedBasis, ...]]:
    """The block-diagonal basis of all fixed effects on stacked rows, and each predictor's own."""
    own = tuple(fixed_basis(np.ascontiguousarray(p.X.T)) for p in predictors)
    n = len(predictors[0].X)
    pairs = list(combinations(range(len(own)), 2))
    rows = np.zeros((sum(len(b.rows) for b in own), len(own) + len(pairs), n))
    start = 0
    for a, basis in enumerate(own):
        for block in [a, *(len(own) + i for i, pair in enumerate(pairs) if a in pair)]:
            rows[start : start + len(basis.rows), block] = basis.rows
        start += len(basis.rows)
    triangle = np.asarray(block_diag(*(b.triangle for b in own)))
    return FixedBasis(rows.reshape(len(rows), -1), triangle, own[0].kept), own


def alone_of(X: Sequence[Array], own: Sequence[FixedBasis]) -> tuple[Array, ...]:
    """See `Stack.alone`: for the indicators of columns, of what no indicator tells, of rows alike, and of all rows.

    Parameters
    ----------
    X : sequence of ndarray, shape (n, p_a)
        The columns of each predictor.
    own : sequence of FixedBasis
    """
    ends = np.cumsum([len(basis.rows) for basis in own])
    out: list[Array] = []
    for columns, basis, end in zip(X[1:], own[1:], ends[1:], strict=True):
        sets = _row_sets(columns)
        along = sets @ basis.rows.T
        inside = np.abs(along @ basis.rows - sets).max(axis=1, initial=0.0) < _ROUNDING
        out.extend(np.pad(along[inside], ((0, 0), (end - len(basis.rows), ends[-1] - end))))
    return tuple(out)


def _row_sets(X: Array) -> Array:
    """Indicators (r, n) of sets of rows, each once."""
    n = len(X)
    binary = X[:, ((X == 0.0) | (X == 1.0)).all(axis=0) & (X[:1] != X).any(axis=0)].T
    sets = [np.ones((1, n)), binary, 1.0 - binary, 1.0 - binary.max(axis=0, initial=0.0)[None]]
    _, alike = np.unique(X @ np.random.default_rng(0).standard_normal(X.shape[1]), return_inverse=True)
    if alike.max(initial=-1) < _MOST_CELLS:
        sets.append(np.arange(alike.max(initial=-1) + 1)[:, None] == alike)
    found = np.concatenate(sets).astype(float)
    return np.unique(found[found.any(axis=1)], axis=0)


def stack_offset(predictors: Sequence[Predictor]) -> Array:
    """Offsets of stacked rows; those of pairs are never looked at."""
    n, pairs = len(predictors[0].X), len(predictors) * (len(predictors) - 1) // 2
    own = [np.zeros(n) if p.offset is None else p.offset for p in predictors]
    return np.concatenate([*own, np.zeros(n * pairs)])


def stack_random(predictors: Sequence[Predictor]) -> tuple[RandomDesign, ...]:
    """The random terms of all predictors on stacked rows, zero where a row is not their predictor's."""
    pairs = list(combinations(range(len(predictors)), 2))
    blocks = len(predictors) + len(pairs)
    groupings: dict[int, Grouping] = {}
    out: dict[int, RandomDesign] = {}
    for a, (predictor, places) in enumerate(zip(predictors, term_places(predictors), strict=True)):
        mine = np.array([b == a for b in range(len(predictors))] + [a in pair for pair in pairs])
        for term, place in zip(predictor.random, places, strict=True):
            g = term.grouping
            stacked = groupings.setdefault(id(g), replace(g, codes=np.tile(g.codes, blocks)))
            Z = (mine[:, None, None] * term.Z).reshape(-1, term.Z.shape[1])
            # Of predictors that share a term each has its columns in its rows.
            Z = Z + out[place].Z if place in out else Z
            out[place] = replace(out.get(place, term), grouping=stacked, Z=Z)
    return tuple(out.values())


def term_places(predictors: Sequence[Predictor]) -> tuple[tuple[int, ...], ...]:
    """Places of the terms of each predictor among those of all, where what several share stands once."""
    known: dict[tuple[str, str], int] = {}
    out, n = [], 0
    for predictor in predictors:
        places = []
        for term in predictor.random:
            place = n if term.shared_key is None else known.setdefault(term.shared_key, n)
            n += place == n
            places.append(place)
        out.append(tuple(places))
    return tuple(out)
