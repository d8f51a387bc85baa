r"""Exact gradient of the profiled criterion at the parameters of the residuals' covariance.

With V = R + Z Sigma Z' relative to sigma^2, whitened by R = L L', e = L^{-1}(y - X beta - Z b), E = L^{-1}(X - Z U) in
the metric of G_XX, Q = Lambda A^{-1} Lambda' and A_i = L^{-1} R'_i L'^{-1},

    dd/dphi_i = <K, A_i>,    K = I - L^{-1}Z Q Z'L'^{-1} - e e' / s^2 [- E E'],    s^2 = r^2 / nu,

the last part for REML only: what N of a random term is, for residuals. A_i ties rows of one block alone, so that of K
the blocks are enough, summed over those of a pattern. In the coordinates of Sigma_v itself, N_v = C'^{-1} K C^{-1}.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dtrtri

from mixfit.covariance.directions import ParameterDirection, regular_columns
from mixfit.factor.posterior import between_pairs, full_posterior, own_blocks
from mixfit.gram.blocks import pattern_sums
from mixfit.gram.products import random_predictor
from mixfit.lmm.derivatives import Derivatives, differentiate
from mixfit.lmm.residual.covariance import restricted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.structure import Structure
    from mixfit.lmm.residual.covariance import ResidualForm
    from mixfit.lmm.residual.criterion import JointEvaluation

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["BlockMoments", "JointDerivatives", "differentiate_joint", "residual_directions"]

# Numbers that the covariances of random effects, one matrix a block, may hold at a time: 160 MB.
_CELLS_AT_ONCE = 20_000_000


@dataclass(frozen=True, eq=False)
class BlockMoments:
    """Rows of e and E in blocks of one size, and sums over the blocks of each pattern.

    Attributes
    ----------
    error : ndarray, shape (B, m, 1)
    fixed : ndarray, shape (B, m, p)
    of_error, of_fixed, of_random : ndarray, shape (P, m, m)
        e e', E E' and L^{-1}Z Q Z'L'^{-1}.
    """

    error: Array
    fixed: Array
    of_error: Array
    of_fixed: Array
    of_random: Array


@dataclass(frozen=True, eq=False)
class JointDerivatives:
    """First derivatives at a place.

    Attributes
    ----------
    at : JointEvaluation
    random : Derivatives or None
        Of the random terms; None where there are none.
    directions : tuple of Direction
        Of the residuals' structures; `term` is the number of the part. One that scales all residuals is left out:
        sigma is profiled.
    moments : tuple of BlockMoments
        One for each size of blocks.
    along : tuple of ndarray, shape (I, P, m, m)
        A_i of the directions, then of gamma.
    """

    at: JointEvaluation
    random: Derivatives | None
    directions: tuple[Direction, ...]
    moments: tuple[BlockMoments, ...]
    along: tuple[Array, ...]

    @property
    def n_random(self) -> int:
        """Directions of the random terms, which come first among all."""
        return 0 if self.random is None else len(self.random.directions)

    @cached_property
    def slopes(self) -> tuple[Array, ...]:
        """K, summed over the blocks of each pattern: (P, m, m)."""
        at = self.at.at
        out = []
        for patterns, m in zip(self.at.problem.form.layout.patterns, self.moments, strict=True):
            k = patterns.count[:, None, None] * np.eye(patterns.size) - m.of_random - m.of_error / at.scale
            out.append(k - m.of_fixed if at.reml else k)
        return tuple(out)

    @cached_property
    def pattern_slopes(self) -> tuple[Array, ...]:
        """N_v, (P, m, m)."""
        return tuple(
            f.inverse.swapaxes(1, 2) @ k @ f.inverse for f, k in zip(self.at.factors, self.slopes, strict=True)
        )

    @cached_property
    def structure_slopes(self) -> Array:
        """N of the structures' covariances, (parts, K, K)."""
        form = self.at.problem.form
        k = form.structures[0].k
        out = np.zeros(len(form.structures) * k * k)
        for patterns, n in zip(form.layout.patterns, self.pattern_slopes, strict=True):
            v = patterns.place
            cell = (patterns.part[:, None, None] * k + v[:, :, None]) * k + v[:, None, :]
            out += np.bincount(cell.ravel(), n.ravel(), len(out))
        return out.reshape(-1, k, k)

    def structure_slope(self, part: int) -> tuple[Array, Array | None]:
        """T'N T of one structure, and N itself where its T is singular."""
        n = self.structure_slopes[part]
        t = self.at.problem.form.structures[part].relative_factor(self.at.place.residual.points[part])
        regular = regular_columns(t)
        relative = (t.T @ n @ t) * (regular[:, None] & regular)
        return relative, None if regular.all() else n

    @cached_property
    def residual_gradient(self) -> Array:
        """dd/dphi of the directions and of gamma, (I,)."""
        return sum_over_patterns(self.along, self.slopes)

    @cached_property
    def gradient(self) -> Array:
        """Of the random terms, of the structures and of gamma."""
        own = self.residual_gradient
        return own if self.random is None else np.concatenate([self.random.gradient, own])

    @cached_property
    def quadratics(self) -> Array:
        """e'A_i e, (I,)."""
        return sum_over_patterns(self.along, [m.of_error for m in self.moments])


def sum_over_patterns(along: Sequence[Array], matrices: Sequence[Array]) -> Array:
    """sum of <A_i, M> over all patterns."""
    return np.asarray(sum(np.tensordot(a, m, 3) for a, m in zip(along, matrices, strict=True)), dtype=float)


def residual_directions(form: ResidualForm, points: Sequence[Array]) -> tuple[Direction, ...]:
    """Every direction of the structures but one, of the first, that with the others would scale all residuals."""
    out: list[Direction] = []
    for part, (structure, point) in enumerate(zip(form.structures, points, strict=True)):
        own = _own_directions(form, structure, part, point)
        out += own if part else _without_scale(structure, own)
    return tuple(out)


def _own_directions(form: ResidualForm, structure: Structure, part: int, point: Array) -> list[Direction]:
    if form.within is None:
        return structure.directions(part, point, np.ones(structure.k, dtype=bool))
    # Matrices of all places are not formed: `along` has what the directions change.
    within, nothing = form.within[0], np.empty((0, 0))
    lower, upper = within.box()
    free = np.flatnonzero((point > lower) & (point < upper)).tolist()
    return [ParameterDirection(part, nothing, m, nothing, None, m < within.n_deviations, False) for m in free]


def _without_scale(structure: Structure, directions: list[Direction]) -> list[Direction]:
    if not structure.n_deviations:
        return directions
    first = next(
        a
        for a, d in enumerate(directions)
        if (d.is_deviation and d.parameter == 0 if isinstance(d, ParameterDirection) else d.is_pivot)
    )
    return directions[:first] + directions[first + 1 :]


def differentiate_joint(at: JointEvaluation) -> JointDerivatives:
    """Differentiate the criterion at a place."""
    form = at.problem.form
    directions = residual_directions(form, at.place.residual.points)
    random = differentiate(at.at) if at.problem.terms else None
    return JointDerivatives(at, random, directions, _moments(at), _along(at, directions))


def _along(at: JointEvaluation, directions: Sequence[Direction]) -> tuple[Array, ...]:
    form = at.problem.form
    out = []
    for patterns, f, changes in zip(form.layout.patterns, at.factors, _changes(at, directions), strict=True):
        own = np.empty((len(directions) + form.g, *f.root.shape))
        own[: len(directions)] = f.along(changes)
        for g in range(form.g):
            own[len(directions) + g] = f.along_spread(patterns.spread[..., g])
        out.append(own)
    return tuple(out)


def _changes(at: JointEvaluation, directions: Sequence[Direction]) -> list[Array]:
    """Sigma'_v of the directions in the patterns of each size, (I, P, m, m)."""
    form, points = at.problem.form, at.place.residual.points
    k, parts = form.structures[0].k, len(form.structures)
    if form.within is None:
        changes = np.zeros((len(directions), parts, k, k))
        for change, d in zip(changes, directions, strict=True):
            change[d.term] = d.change()
        return [restricted(changes, patterns) for patterns in form.layout.patterns]
    out = []
    for patterns, within in zip(form.layout.patterns, form.within, strict=True):
        slopes = [np.tensordot(within.rates(point).T, within.slopes(point), 1) for point in points]
        own = np.zeros((len(directions), *slopes[0].shape[1:]))
        for a, d in enumerate(directions):
            assert isinstance(d, ParameterDirection)
            mine = patterns.part == d.term
            own[a, mine] = slopes[d.term][d.parameter, mine]
        out.append(own)
    return out


def residual_rows(at: JointEvaluation) -> Array:
    """e and the columns of E as rows, (1 + p, n), in the order of the blocks."""
    evaluation, p = at.at, at.problem.p
    columns = np.zeros((p + 1, p + 1))
    columns[0] = evaluation.contrast
    if p:
        columns[1:, :p] = dtrtri(evaluation.fixed_root, lower=1)[0]
    out = columns @ at.rows[: p + 1]
    if at.problem.terms:
        own, trailing = evaluation.forward
        b = evaluation.factor.backward({i: columns @ y for i, y in own.items()}, trailing @ columns.T)[1]
        out -= random_predictor(at.random_rows, b)
    return np.asarray(out)


def in_blocks(at: JointEvaluation, rows: Array) -> list[Array]:
    """Rows (c, n) in the order of the blocks, one array (B, m, c) for each size."""
    out, start = [], 0
    for blocks in at.problem.rows.blocks:
        b, m, _ = blocks.values.shape
        out.append(np.ascontiguousarray(rows[:, start : start + b * m].T).reshape(b, m, -1))
        start += b * m
    return out


def _moments(at: JointEvaluation) -> tuple[BlockMoments, ...]:
    random = _random_moments(at)
    out = []
    for blocks, values, of_random in zip(at.problem.rows.blocks, in_blocks(at, residual_rows(at)), random, strict=True):
        error, fixed = values[..., :1], values[..., 1:]
        sums = [pattern_sums(blocks, part, part) for part in (error, fixed)]
        out.append(BlockMoments(error, fixed, sums[0], sums[1], of_random))
    return tuple(out)


def _random_moments(at: JointEvaluation) -> list[Array]:
    """sum over the blocks of each pattern of Z Q Z', the rows of a block being of the same levels."""
    problem = at.problem
    if not problem.terms:
        return [np.zeros(f.root.shape) for f in at.factors]
    factor, pattern = at.at.factor, problem.rows.pattern
    post = full_posterior(factor)
    own = [own_blocks(post, i) for i in range(len(pattern.factors))]
    pairs = {(i, j): between_pairs(factor, post, i, j, row) for (i, j), (row, _, _) in pattern.entries.items()}
    out, start = [], 0
    for blocks, z in zip(problem.rows.blocks, in_blocks(at, at.rows[problem.p + 1 :]), strict=True):
        b, m, width = z.shape
        first = start + np.arange(b) * m
        through = np.empty(z.shape)
        step = max(1, _CELLS_AT_ONCE // width**2)
        for begin in range(0, b, step):
            part = slice(begin, min(begin + step, b))
            through[part] = z[part] @ _covariances_at(at, own, pairs, first[part], width)
        out.append(pattern_sums(blocks, through, z))
        start += b * m
    return out


def _covariances_at(
    at: JointEvaluation, own: Sequence[Array], pairs: dict[tuple[int, int], Array], rows: Index, width: int
) -> Array:
    """Q of the levels that each of some rows is of, all columns side by side: (rows, width, width)."""
    pattern = at.problem.rows.pattern
    ends = np.cumsum([0, *at.problem.rows.k])
    q = np.empty((len(rows), width, width))
    for i, f in enumerate(pattern.factors):
        mine = slice(ends[i], ends[i + 1])
        q[:, mine, mine] = np.moveaxis(own[i][..., f.codes[rows]], -1, 0)
        for j in range(i + 1, len(pattern.factors)):
            theirs = slice(ends[j], ends[j + 1])
            between = np.moveaxis(pairs[i, j][..., pattern.entries[i, j][2][rows]], -1, 0)
            q[:, mine, theirs], q[:, theirs, mine] = between, between.swapaxes(1, 2)
    return q
