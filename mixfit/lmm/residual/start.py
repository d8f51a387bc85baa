"""Where the search starts: moments of the least-squares residuals, and Henderson's of the random effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.blocks import pattern_sums
from mixfit.lmm.residual.covariance import PatternForm
from mixfit.lmm.residual.criterion import JointPlace, problem_at
from mixfit.lmm.residual.form import ResidualPoint
from mixfit.lmm.residual.series import SeriesForm
from mixfit.lmm.start import start_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.parametric import Parametric
    from mixfit.covariance.structure import Structure
    from mixfit.gram.blocks import BlockColumns
    from mixfit.lmm.residual.criterion import ResidualProblem

    Array = NDArray[np.float64]

__all__ = ["joint_starts"]

# Share of the smallest variance that the smallest eigenvalue of a start keeps: pairwise moments need not be definite.
_DEFINITE = 0.05
# Covariances shrink by this until that is so.
_SHRINKAGE = 0.8
# Of the mean variance, below which no place starts: the fixed effects may explain what little is seen there.
_SMALLEST_VARIANCE = 0.01


def joint_starts(problem: ResidualProblem) -> list[JointPlace]:
    """Places to start from; the structures with several points go through them side by side."""
    own = _residual_points(problem)
    gamma = np.zeros(problem.form.g)
    out = []
    for x in range(max(map(len, own))):
        residual = ResidualPoint(tuple(points[x % len(points)] for points in own), gamma)
        if not problem.terms:
            out.append(JointPlace((), residual))
            continue
        whitened = problem_at(problem, residual)[0]
        shown = [
            tuple(t.structure.shown(p, s) for t, p, s in zip(problem.terms, points, whitened.seen, strict=True))
            for points in start_points(whitened)
        ]
        out += [JointPlace(points, residual) for points in shown]
    return out


def _residual_points(problem: ResidualProblem) -> list[list[Array]]:
    """Points of every structure of the residuals."""
    form = problem.form
    if isinstance(form, SeriesForm):
        assert isinstance(problem.rows.held, np.ndarray)
        squares = problem.rows.held[problem.p] ** 2 * problem.n
        parts = len(form.structures)
        counts = np.bincount(form.series.part, minlength=parts)
        means = np.bincount(form.series.part, squares, parts) / counts
        return form.starts(np.maximum(means, _SMALLEST_VARIANCE))
    assert isinstance(form, PatternForm)
    if form.within is not None:
        return _points_within(problem, form, form.within)
    moments, pairs = _moments(problem, form)
    return [
        _points(structure, m, count, free=not problem.terms)
        for structure, m, count in zip(form.structures, moments, pairs, strict=True)
    ]


def _moments(problem: ResidualProblem, form: PatternForm) -> tuple[Array, Array]:
    """Mean products of the least-squares residuals of any two places of a block over their mean square, and pairs."""
    k = form.structures[0].k
    cells = len(form.structures) * k * k
    sums, counts = np.zeros(cells), np.zeros(cells)
    for patterns, blocks in zip(form.layout.patterns, _blocks(problem), strict=True):
        e = blocks.values[..., problem.p : problem.p + 1]
        v = patterns.place
        cell = ((patterns.part[:, None, None] * k + v[:, :, None]) * k + v[:, None, :]).ravel()
        sums += np.bincount(cell, pattern_sums(blocks, e, e).ravel(), cells)
        counts += np.bincount(cell, np.repeat(patterns.count, patterns.size**2), cells)
    means = np.divide(sums * problem.n, counts, out=np.zeros(cells), where=counts > 0)
    return means.reshape(-1, k, k), counts.reshape(-1, k, k)


def _blocks(problem: ResidualProblem) -> tuple[BlockColumns, ...]:
    assert isinstance(problem.rows.held, tuple)
    return problem.rows.held


def _points_within(problem: ResidualProblem, form: PatternForm, within: Sequence[Parametric]) -> list[list[Array]]:
    """Points at the variance of each part, with the shapes that suit the distances within the largest blocks."""
    sums, counts = np.zeros(len(form.structures)), np.zeros(len(form.structures))
    for patterns, blocks in zip(form.layout.patterns, _blocks(problem), strict=True):
        squares = (blocks.values[..., problem.p] ** 2).sum(axis=1)
        sums += np.bincount(patterns.part[blocks.pattern], squares, len(sums))
        counts += np.bincount(patterns.part, patterns.count * patterns.size, len(counts))
    variances = np.maximum(sums * problem.n / counts, _SMALLEST_VARIANCE)
    return [within[-1].starts(np.full(within[-1].k, v)) for v in variances]


def _points(structure: Structure, moments: Array, count: Array, *, free: bool) -> list[Array]:
    """Points at the variances, or where every covariance is free and nothing else explains it at the moments."""
    seen = count.diagonal() > 0
    variances = np.where(seen, np.maximum(moments.diagonal(), _SMALLEST_VARIANCE), 1.0)
    if not (free and structure.free_blocks == (slice(0, structure.k),)):
        return structure.starts(variances)
    off = moments - np.diag(moments.diagonal())
    least, share = _DEFINITE * variances.min(), 1.0
    while np.linalg.eigvalsh(np.diag(variances) + share * off)[0] < least:
        share *= _SHRINKAGE
    return [np.asarray(np.linalg.cholesky(np.diag(variances) + share * off))]
