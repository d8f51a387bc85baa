r"""What every cluster of observations adds to the gradient of a marginal likelihood.

Where clusters hold every level of the random effects whole, a marginal likelihood is a sum over them, and so are A and
the modes block by block: the sums over rows and levels that its gradient is (see :mod:`mixfit.glmm.laplace`) are taken
cluster by cluster. Level j of a factor adds to T'N T

    I - (A^{-1})_jj - u_j u_j' + (1/2) (u_j v_j' + v_j u_j'),       (A^{-1})_jj = T^+ Q_jj T^+',

and to N itself, s = Z'l' and r = Z'(c - W_o Z Lambda v) of its rows, (Z'V^{-1}Z)_jj - s s' + (1/2) (s r' + r s').
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.factor.posterior import own_blocks, projected_blocks
from mixfit.glmm.laplace import laplace_moves
from mixfit.gram.products import random_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.glmm.laplace import Laplace, LaplaceMoves

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["ClusterSlopes", "Clustered", "laplace_cluster_slopes"]


@dataclass(frozen=True, eq=False)
class ClusterSlopes:
    """First derivatives of what each of J clusters adds to -2 log-likelihood.

    Attributes
    ----------
    relative : tuple of ndarray, shape (J, k_t, k_t)
        T'N_t T of every term.
    absolute : dict of int to ndarray, shape (J, k_t, k_t)
        N_t of the terms with a singular template, where it is known.
    gamma : ndarray, shape (J, p)
    tail : ndarray, shape (J, t)
    """

    relative: tuple[Array, ...]
    absolute: dict[int, Array]
    gamma: Array
    tail: Array

    def along(self, directions: Sequence[Direction]) -> Array:
        """The same in (directions, gamma, tail), (J, m + p + t).

        Raises
        ------
        FitError
            Where a direction leads out of the range of a singular template that nothing more is known of.
        """
        columns = []
        for d in directions:
            k = self.relative[d.term].shape[1]
            leads_out = d.within(np.zeros((k, 1, 1))) is None
            if leads_out and d.term not in self.absolute:
                raise FitError(
                    "A random term is singular, and the scores of clusters along its null space are known of nested "
                    "factors by the Laplace approximation alone: simplify the term, as with (x || g), or fit with "
                    "n_agq=1."
                )
            own = self.absolute[d.term] if leads_out else self.relative[d.term]
            # Slopes are linear in either.
            weights = [d.slope(unit, unit if leads_out else None) for unit in np.eye(k * k).reshape(-1, k, k)]
            columns.append(own.reshape(-1, k * k) @ weights)
        return np.column_stack([*columns, self.gamma, self.tail])


@dataclass(frozen=True, eq=False)
class Clustered:
    """Clusters of observations; the rows of several predictors are those of all observations, one after another.

    Attributes
    ----------
    codes : ndarray of intp, shape (n,)
    size : int
    """

    codes: Index
    size: int

    def sums(self, rows: Array) -> Array:
        """Sums of rows, (J,)."""
        return np.bincount(np.tile(self.codes, len(rows) // len(self.codes)), rows, self.size).astype(np.float64)

    def levels(self, values: Array, level: Index) -> Array:
        """Sums (J, k, k) of matrices (k, k, q) of the levels, `level` being those of the rows."""
        holder = np.zeros(values.shape[2], dtype=np.intp)
        holder[level] = np.tile(self.codes, len(level) // len(self.codes))
        return np.array([[np.bincount(holder, x, self.size) for x in row] for row in values]).transpose(2, 0, 1)

    def columns(self, sums: Sequence[Array]) -> Array:
        """Sums (J,) of any number of quantities as columns."""
        return np.array(sums).reshape(len(sums), self.size).T


def laplace_cluster_slopes(at: Laplace, clustered: Clustered) -> ClusterSlopes:
    """The gradient of the Laplace approximation by clusters that hold levels whole."""
    problem, mode, moves = at.problem, at.mode, laplace_moves(at)
    row = -2.0 * mode.terms.score + moves.bent
    tail = [
        clustered.sums(moves.leverage * d.weight + moves.shift * d.score) - 2.0 * clustered.sums(d.loglik)
        for d in problem.tail_terms(mode.eta, at.phi)
    ]
    relative = []
    for term, template, regular in zip(problem.terms, at.templates, at.regular, strict=True):
        own, i = term.columns, term.factor
        u, v = mode.u[i][own, 0], moves.v[i][own, 0]
        back = np.linalg.pinv(template)
        inverse = np.einsum("ac,cdq,bd->abq", back, own_blocks(moves.post, i)[own, own], back)
        cross = u[:, None] * v
        each = np.eye(term.k)[..., None] - inverse - u[:, None] * u + 0.5 * (cross + cross.swapaxes(0, 1))
        kept = regular[:, None] & regular
        relative.append(clustered.levels(each, problem.pattern.factors[i].codes) * kept)
    gamma = clustered.columns([clustered.sums(x * row) for x in problem.fixed])
    absolute = _absolute(at, moves, clustered)
    return ClusterSlopes(tuple(relative), absolute, gamma, clustered.columns(tail))


def _absolute(at: Laplace, moves: LaplaceMoves, clustered: Clustered) -> dict[int, Array]:
    factors, out = at.problem.pattern.factors, {}
    for index, (term, regular) in enumerate(zip(at.problem.terms, at.regular, strict=True)):
        projected = None if regular.all() else projected_blocks(at.factor, moves.post, term.factor)
        if projected is None:
            continue
        s, r = random_sums(factors, np.stack([at.mode.terms.score, moves.bent]))[term.factor].swapaxes(0, 1)
        s, r = s[term.columns], r[term.columns]
        cross = s[:, None] * r
        each = projected[term.columns, term.columns] - s[:, None] * s + 0.5 * (cross + cross.swapaxes(0, 1))
        out[index] = clustered.levels(each, factors[term.factor].codes)
    return out
