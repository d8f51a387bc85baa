"""The best of eight optima of the dense criterion: what a fit must be no worse than.

The criterion is the definition, y ~ N(X beta + offset, sigma^2 V), V = W^{-1} + sum_t Z_t (I (x) T_t T_t') Z_t' as an
n x n matrix, and the optimizer is SciPy's L-BFGS-B, so that nothing is shared with what is tested. Columns are brought
to unit length first: in other units an optimizer without curvature goes nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.optimize import minimize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["DenseCriterion", "best_of_eight"]

STARTS = 8


@dataclass(frozen=True, eq=False)
class DenseCriterion:
    """Deviance or REML criterion, less constants of the data, of the free entries of templates of unit columns."""

    design: Design
    reml: bool

    @cached_property
    def root(self) -> Array:
        """Square roots of the weights."""
        w = self.design.weights
        return np.ones(len(self.design.y)) if w is None else np.sqrt(w)

    @cached_property
    def fixed(self) -> Array:
        """An orthonormal basis of the weighted X, (n, p)."""
        columns = self.design.X * self.root[:, None]
        lengths = np.linalg.norm(columns, axis=0)
        u, d, _ = np.linalg.svd(columns / np.where(lengths > 0.0, lengths, 1.0), full_matrices=False)
        return u[:, d > 1e-10 * d.max(initial=0.0)]

    @cached_property
    def response(self) -> Array:
        """What X leaves of the weighted response, at unit mean square."""
        y = self.design.y if self.design.offset is None else self.design.y - self.design.offset
        rest = y * self.root
        for _ in range(2):
            rest = rest - self.fixed @ (self.fixed.T @ rest)
        return rest * np.sqrt(len(rest)) / np.linalg.norm(rest)

    @cached_property
    def units(self) -> list[Array]:
        """Root mean squares of the weighted columns of every term."""
        sizes = [np.sqrt(np.mean((r.Z * self.root[:, None]) ** 2, axis=0)) for r in self.design.random]
        return [np.where(size > 0.0, size, 1.0) for size in sizes]

    @cached_property
    def columns(self) -> list[Array]:
        """Dense weighted Z of every term, unit columns, (n, q, k)."""
        out, n = [], len(self.response)
        for r, unit in zip(self.design.random, self.units, strict=True):
            dense = np.zeros((n, r.grouping.n_levels, r.Z.shape[1]))
            dense[np.arange(n), r.grouping.codes] = r.Z * self.root[:, None] / unit
            out.append(dense)
        return out

    @cached_property
    def entries(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Free entries of every template."""
        return [
            (np.arange(r.Z.shape[1]),) * 2 if r.structure.is_separable else np.tril_indices(r.Z.shape[1])
            for r in self.design.random
        ]

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """Where the entries of one term end in theta."""
        return np.cumsum([len(rows) for rows, _ in self.entries])

    def templates(self, theta: Array) -> list[Array]:
        """Templates of unit columns."""
        out = []
        for (rows, cols), part, r in zip(
            self.entries, np.split(theta, self.ends[:-1]), self.design.random, strict=True
        ):
            t = np.zeros((r.Z.shape[1],) * 2)
            t[rows, cols] = part
            out.append(t)
        return out

    def theta(self, templates: Sequence[Array]) -> Array:
        """Of templates of the design's columns."""
        return np.concatenate(
            [
                (unit[:, None] * t)[rows, cols]
                for t, unit, (rows, cols) in zip(templates, self.units, self.entries, strict=True)
            ]
        )

    def __call__(self, theta: Array) -> tuple[float, Array]:
        """Value and gradient (Searle, Casella & McCulloch 1992, chapter 6)."""
        y, x, n = self.response, self.fixed, len(self.response)
        templates = self.templates(theta)
        half = np.concatenate([(z @ t).reshape(n, -1) for z, t in zip(self.columns, templates, strict=True)], axis=1)
        v = half @ half.T
        v[np.diag_indices(n)] += 1.0
        low, info = lapack.dpotrf(v, lower=1)
        if info:
            return np.inf, np.zeros(len(theta))
        inverse = lapack.dpotri(low, lower=1)[0]
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        vx = inverse @ x
        information = cho_factor(x.T @ vx) if x.shape[1] else None
        beta = cho_solve(information, vx.T @ y) if information else np.empty(0)
        e = y - x @ beta
        s = inverse @ e
        r2, nu = float(e @ s), n - (x.shape[1] if self.reml else 0)
        value = 2.0 * float(np.log(np.diagonal(low)).sum()) + nu * np.log(r2 / nu)
        if self.reml and information:
            value += 2.0 * float(np.log(np.abs(np.diagonal(information[0]))).sum())
            inverse = inverse - vx @ cho_solve(information, vx.T)
        slopes = []
        for z, t, (rows, cols) in zip(self.columns, templates, self.entries, strict=True):
            flat = z.reshape(n, -1)
            inner = np.einsum("nqa,nqb->ab", z, (inverse @ flat).reshape(z.shape))
            score = (s @ flat).reshape(z.shape[1:])
            slopes.append((2.0 * (inner - nu / r2 * score.T @ score) @ t)[rows, cols])
        return value, np.concatenate(slopes)


def best_of_eight(criterion: DenseCriterion, seed: int) -> tuple[float, Array]:
    """The lowest of eight optima: from the identity and from covariances of all sizes, some of them on faces."""
    rng = np.random.default_rng(seed)
    best, at = np.inf, np.empty(0)
    m = int(criterion.ends[-1])
    diagonal = np.concatenate([rows == cols for rows, cols in criterion.entries])
    for number in range(STARTS):
        start = diagonal.astype(float)
        if number:
            start = start * np.exp(rng.normal(size=m) * 2.0) + np.where(diagonal, 0.0, 0.3) * rng.normal(size=m)
        if number > STARTS // 2:
            start *= np.where(diagonal & (rng.random(m) < 0.3), 1e-3, 1.0)
        with np.errstate(all="ignore"):
            found = minimize(
                criterion, start, jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-13, "gtol": 1e-7}
            )
        if found.fun < best:
            best, at = float(found.fun), np.asarray(found.x)
    return best, at
