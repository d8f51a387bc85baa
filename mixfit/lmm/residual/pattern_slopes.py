r"""Derivatives of the residuals' covariance by sums over the blocks of each pattern.

A_i ties rows of one block alone, so that of K the blocks are enough, summed over those of a pattern. In the coordinates
of Sigma_v itself, N_v = C'^{-1} K C^{-1}. For N_P blocks of a pattern

    tr(V^{-1}V_i V^{-1}V_j) = sum_P N_P <A_i, A_j>,      e'V^{-1}V_i V^{-1}V_j V^{-1}e = sum_P <A_i A_j, sum e e'>, ...
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.directions import ParameterDirection, regular_columns
from mixfit.gram.blocks import pattern_sums
from mixfit.lmm.residual.covariance import PatternFactors, PatternForm, restricted
from mixfit.lmm.residual.random_rows import level_covariances, levels_of
from mixfit.lmm.residual.slopes import ResidualSlopes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.gram.blocks import BlockColumns
    from mixfit.lmm.residual.criterion import JointEvaluation
    from mixfit.lmm.residual.slopes import Part

    Array = NDArray[np.float64]

__all__ = ["BlockMoments", "PatternSlopes", "pattern_slopes"]

# Numbers that loaded rows may hold at a time: 32 MB.
_CELLS_AT_ONCE = 4_000_000


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
class PatternSlopes(ResidualSlopes):
    """Derivatives of a `PatternForm`.

    Attributes
    ----------
    at : JointEvaluation
    directions : tuple of Direction
    moments : tuple of BlockMoments
        One for each size of blocks.
    along : tuple of ndarray, shape (I, P, m, m)
        A_i.
    """

    at: JointEvaluation
    directions: tuple[Direction, ...]
    moments: tuple[BlockMoments, ...]
    along: tuple[Array, ...]

    @property
    def form(self) -> PatternForm:
        """The blocks and their patterns."""
        assert isinstance(self.at.problem.form, PatternForm)
        return self.at.problem.form

    @property
    def factor(self) -> PatternFactors:
        """The factors of the patterns."""
        assert isinstance(self.at.factor, PatternFactors)
        return self.at.factor

    @property
    def size(self) -> int:  # type: ignore[override]
        """I."""
        return len(self.along[0])

    @property
    def blocks(self) -> tuple[BlockColumns, ...]:
        """The columns as evaluations take them."""
        assert isinstance(self.at.problem.rows.held, tuple)
        return self.at.problem.rows.held

    def rows(self, which: Part) -> Array:
        """Block after block."""
        parts = [self._values(m, which) for m in self.moments]
        return np.ascontiguousarray(np.concatenate([x.reshape(-1, x.shape[2]) for x in parts]).T)

    @staticmethod
    def _values(m: BlockMoments, which: Part) -> Array:
        return m.error if which == "error" else m.fixed

    # What K is made of

    @cached_property
    def slopes(self) -> tuple[Array, ...]:
        """K, summed over the blocks of each pattern: (P, m, m)."""
        at, out = self.at.at, []
        for patterns, m in zip(self.form.layout.patterns, self.moments, strict=True):
            k = patterns.count[:, None, None] * np.eye(patterns.size) - m.of_random - m.of_error / at.scale
            out.append(k - m.of_fixed if at.reml else k)
        return tuple(out)

    @cached_property
    def pattern_slopes(self) -> tuple[Array, ...]:
        """N_v, (P, m, m)."""
        return tuple(
            f.inverse.swapaxes(1, 2) @ k @ f.inverse for f, k in zip(self.factor.each, self.slopes, strict=True)
        )

    @cached_property
    def structure_slopes(self) -> Array:
        """N of the structures' covariances, (parts, K, K)."""
        k = self.form.structures[0].k
        out = np.zeros(len(self.form.structures) * k * k)
        for patterns, n in zip(self.form.layout.patterns, self.pattern_slopes, strict=True):
            v = patterns.place
            cell = (patterns.part[:, None, None] * k + v[:, :, None]) * k + v[:, None, :]
            out += np.bincount(cell.ravel(), n.ravel(), len(out))
        return out.reshape(-1, k, k)

    def structure_slope(self, part: int) -> tuple[Array, Array | None]:
        """T'N T of one structure, and N itself where its T is singular."""
        n = self.structure_slopes[part]
        t = self.form.structures[part].relative_factor(self.at.place.residual.points[part])
        regular = regular_columns(t)
        relative = (t.T @ n @ t) * (regular[:, None] & regular)
        return relative, None if regular.all() else n

    def gradient(self) -> Array:
        """<K, A_i>."""
        return _sum_over_patterns(self.along, self.slopes)

    # Sums over the patterns

    def traces(self) -> Array:
        """tr A_i."""
        patterns = self.form.layout.patterns
        return _sum_over_patterns(self.along, [p.count[:, None, None] * np.eye(p.size) for p in patterns])

    def pair_traces(self) -> Array:
        """tr(A_i A_j)."""
        pairs = ((a * p.count[:, None, None], a) for a, p in zip(self.along, self.form.layout.patterns, strict=True))
        return np.asarray(sum(np.tensordot(left, right, ([1, 2, 3], [1, 2, 3])) for left, right in pairs))

    def quadratics(self) -> Array:
        """e'A_i e."""
        return _sum_over_patterns(self.along, [m.of_error for m in self.moments])

    def squares(self, which: Part) -> Array:
        """<A_i A_j, S>, symmetrized, S being the sum over a pattern's blocks."""
        sums = [m.of_error if which == "error" else m.of_fixed for m in self.moments]
        parts = [np.tensordot(a @ s, a, ([1, 2, 3], [1, 2, 3])) for a, s in zip(self.along, sums, strict=True)]
        out = np.sum(parts, axis=0)
        return np.asarray(0.5 * (out + out.T))

    def loaded(self, which: Part) -> Iterator[tuple[slice, Array]]:
        """Block after block."""
        cells = sum(b.values.size * b.values.shape[1] for b in self.blocks)
        step = max(1, _CELLS_AT_ONCE // cells)
        for first in range(0, self.size, step):
            own = slice(first, min(first + step, self.size))
            parts = []
            for a, blocks, m in zip(self.along, self.blocks, self.moments, strict=True):
                values = self._values(m, which)
                w = (a[own] if a.shape[1] == 1 else a[own][:, blocks.pattern]) @ values
                parts.append(w.reshape(len(w), -1, values.shape[2]))
            yield own, np.ascontiguousarray(np.concatenate(parts, axis=1).swapaxes(1, 2))

    # Second derivatives

    def bends(self) -> Array:
        """<N, R''_ij> in the coordinates of the steps."""
        form = self.form
        r = len(self.directions)
        out = np.zeros((r + form.g, r + form.g))
        for part, structure in enumerate(form.structures):
            own = [a for a, x in enumerate(self.directions) if x.term == part]
            mine = [self.directions[a] for a in own]
            point = self.at.place.residual.points[part]
            if form.within is None:
                out[np.ix_(own, own)] = structure.bend_slopes(mine, point, *self.structure_slope(part))
            else:
                parameters = [x.parameter for x in mine if isinstance(x, ParameterDirection)]
                out[np.ix_(own, own)] = _bends_within(self, part, parameters)
        if form.g:
            _spread_bends(self, out)
        return out


def _sum_over_patterns(along: Sequence[Array], matrices: Sequence[Array]) -> Array:
    """sum of <A_i, M> over all patterns."""
    return np.asarray(sum(np.tensordot(a, m, 3) for a, m in zip(along, matrices, strict=True)), dtype=float)


def pattern_slopes(at: JointEvaluation, directions: tuple[Direction, ...], rows: Array) -> PatternSlopes:
    """Differentiate at an evaluation, for the rows (1 + p, n) of e and E."""
    out = PatternSlopes(at, directions, (), ())
    moments = []
    for blocks, values, of_random in zip(out.blocks, _in_blocks(out.blocks, rows), _random_moments(out), strict=True):
        error, fixed = values[..., :1], values[..., 1:]
        sums = [pattern_sums(blocks, part, part) for part in (error, fixed)]
        moments.append(BlockMoments(error, fixed, sums[0], sums[1], of_random))
    return PatternSlopes(at, directions, tuple(moments), _along(out))


def _along(d: PatternSlopes) -> tuple[Array, ...]:
    form, directions = d.form, d.directions
    out = []
    for patterns, f, changes in zip(form.layout.patterns, d.factor.each, _changes(d), strict=True):
        own = np.empty((len(directions) + form.g, *f.root.shape))
        own[: len(directions)] = f.along(changes)
        for g in range(form.g):
            own[len(directions) + g] = f.along_spread(patterns.spread[..., g])
        out.append(own)
    return tuple(out)


def _changes(d: PatternSlopes) -> list[Array]:
    """Sigma'_v of the directions in the patterns of each size, (I, P, m, m)."""
    form, points, directions = d.form, d.at.place.residual.points, d.directions
    k, parts = form.structures[0].k, len(form.structures)
    if form.within is None:
        changes = np.zeros((len(directions), parts, k, k))
        for change, direction in zip(changes, directions, strict=True):
            change[direction.term] = direction.change()
        return [restricted(changes, patterns) for patterns in form.layout.patterns]
    out = []
    for patterns, within in zip(form.layout.patterns, form.within, strict=True):
        slopes = [np.tensordot(within.rates(point).T, within.slopes(point), 1) for point in points]
        own = np.zeros((len(directions), *slopes[0].shape[1:]))
        for a, x in enumerate(directions):
            assert isinstance(x, ParameterDirection)
            mine = patterns.part == x.term
            own[a, mine] = slopes[x.term][x.parameter, mine]
        out.append(own)
    return out


def _in_blocks(held: tuple[BlockColumns, ...], rows: Array) -> list[Array]:
    """Rows (c, n) block after block, one array (B, m, c) for each size."""
    out, start = [], 0
    for blocks in held:
        b, m, _ = blocks.values.shape
        out.append(np.ascontiguousarray(rows[:, start : start + b * m].T).reshape(b, m, -1))
        start += b * m
    return out


def _random_moments(d: PatternSlopes) -> list[Array]:
    """sum over the blocks of each pattern of Z Q Z', the rows of a block being of the same levels."""
    problem = d.at.problem
    if not problem.terms:
        return [np.zeros(f.root.shape) for f in d.factor.each]
    levels = levels_of(d.at)
    out, start = [], 0
    for blocks, z in zip(d.blocks, _in_blocks(d.blocks, d.at.rows[problem.p + 1 :]), strict=True):
        b, m, _ = z.shape
        through = np.empty(z.shape)
        for part, q in level_covariances(levels, start + np.arange(b) * m):
            through[part] = z[part] @ q
        out.append(pattern_sums(blocks, through, z))
        start += b * m
    return out


def _bends_within(d: PatternSlopes, part: int, parameters: list[int]) -> Array:
    """Those of a part whose matrices are known by the distances within blocks, Sigma = s^2 C."""
    form, point = d.form, d.at.place.residual.points[part]
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


def _spread_bends(d: PatternSlopes, out: Array) -> None:
    """Those with gamma: D Sigma D has diag(z) Sigma + Sigma diag(z) in place of Sigma, and once more."""
    r = len(d.directions)
    for patterns, f, n, a in zip(d.form.layout.patterns, d.factor.each, d.pattern_slopes, d.along, strict=True):
        z = patterns.spread
        both = z[:, :, None, :] + z[:, None, :, :]
        whole = n * (f.root @ f.root.swapaxes(1, 2))
        out[r:, r:] += np.einsum("pab,pabg,pabh->gh", whole, both, both, optimize=True)
        # Sigma'_v = C A C'.
        changes = f.root @ a[:r] @ f.root.swapaxes(1, 2)
        mixed = np.einsum("pab,ipab,pabg->ig", n, changes, both, optimize=True)
        out[:r, r:] += mixed
        out[r:, :r] += mixed.T
