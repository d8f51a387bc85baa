r"""Profiled deviance and REML criterion of a linear mixed model at one theta.

With G the Schur complement of [X y] in the bordered cross-products,

    d(theta)    = log|A| - sum log w + n [1 + log(2 pi r^2 / n)]
    REML(theta) = log|A| + log|G_XX| - sum log w + (n - p) [1 + log(2 pi r^2 / (n - p))]

(Bates, Maechler, Bolker & Walker 2015, JSS 67(1), eqs. 34 and 42).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dtrtri

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import relative_factors
from mixfit.factor.factor import factorize
from mixfit.lmm.border import eliminate, fixed_effects, is_cancelled, loss
from mixfit.lmm.given import given_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.lmm.border import Border, FixedEffects
    from mixfit.lmm.one_factor import Swept
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["Evaluation", "evaluate", "strengths", "whiten"]


# A sum's rounding, two bits above the last.
_ROUNDING = 4.0 * float(np.finfo(float).eps)
# What log|A| may lose without a closer look: its rounding is below the certificate's tolerance all the same.
_FEW_DIGITS = 1e6


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The criterion at one theta, with all that its derivatives reuse.

    Attributes
    ----------
    problem : Problem
    reml : bool
    points : tuple of ndarray
        Of the terms' structures; see :mod:`mixfit.covariance.structure`.
    templates : tuple of ndarray
        Relative factors of the terms.
    swept : Swept, or None
        What it was made of in a small problem with one grouping factor.
    made : tuple of Factor and Border, or None
        What it was made of in others.
    fixed_root : ndarray, shape (p, p)
        Lower Cholesky factor of G_XX = X'V^{-1}X.
    beta : ndarray, shape (p,)
        In the orthonormal basis, relative to the least-squares fit, in units of y's residual length.
    residual : float
        r^2 in units of the squared residual length.
    value : float
        The criterion with all its constants.
    resolution : float
        Differences of the criterion smaller than this are rounding: r^2 is what is left of y'y.
    scale : float
        sigma^2 in units of the squared residual length: r^2 / nu unless it was given.
    """

    problem: Problem
    reml: bool
    points: tuple[Array, ...]
    templates: tuple[Array, ...]
    swept: Swept | None
    made: tuple[Factor, Border] | None
    fixed_root: Array
    beta: Array
    residual: float
    value: float
    resolution: float
    scale: float

    @cached_property
    def _made(self) -> tuple[Factor, Border]:
        return _eliminated(self.problem, self.templates) if self.made is None else self.made

    @property
    def factor(self) -> Factor:
        """The Cholesky factor of A."""
        return self._made[0]

    @property
    def forward(self) -> tuple[dict[int, Array], Array]:
        """L^{-1} Lambda'Z'[X y]."""
        return self._made[1].forward

    @cached_property
    def contrast(self) -> Array:
        """The combination of [X y] that is y - X beta, as a row: (1, p + 1)."""
        return np.concatenate([-self.beta, [1.0]])[None]

    @cached_property
    def fixed_inverse(self) -> Array:
        """Inverse of `fixed_root`: what brings X into the metric of G_XX."""
        return np.asarray(dtrtri(self.fixed_root, lower=1)[0]) if len(self.fixed_root) else self.fixed_root

    @cached_property
    def regular(self) -> tuple[NDArray[np.bool_], ...]:
        """Which columns of each template carry variance."""
        return tuple(regular_columns(t) for t in self.templates)

    @cached_property
    def is_regular(self) -> bool:
        """Whether all do."""
        return all(bool(columns.all()) for columns in self.regular)


def evaluate(problem: Problem, points: Sequence[Array], *, reml: bool, scale: float | None = None) -> Evaluation:
    """Evaluate the criterion at one point a term: a relative factor, or what its structure moves instead.

    sigma^2 is at its best, unless a `scale` is given, or known with the covariance of a term.
    """
    if scale is None and problem.has_given:
        scale = given_scale(problem.terms, problem.lengths, points, problem.log_scale)
    templates = relative_factors(problem.terms, points)
    if scale is None and problem.one_factor is not None:
        swept = problem.one_factor.at(problem.factor_templates(templates)[0])
        if swept is not None:
            fixed = fixed_effects(swept.schur)
            if not is_cancelled(fixed, swept.schur):
                return _profiled(problem, reml, points, templates, swept, None, fixed, None)
    made = _eliminated(problem, templates)
    return _profiled(problem, reml, points, templates, None, made, made[1].fixed, scale)


def _eliminated(problem: Problem, templates: Sequence[Array]) -> tuple[Factor, Border]:
    factor = factorize(problem.gram, problem.plan, problem.factor_templates(templates))
    return factor, eliminate(factor)


def _profiled(
    problem: Problem,
    reml: bool,
    points: Sequence[Array],
    templates: tuple[Array, ...],
    swept: Swept | None,
    made: tuple[Factor, Border] | None,
    fixed: FixedEffects,
    scale: float | None,
) -> Evaluation:
    """The criterion from G and log|A|, however these were found."""
    p = problem.p
    from_rows = False
    if swept is not None:
        logdet, lost = swept.logdet, swept.strength
    else:
        assert made is not None
        factor, border = made
        logdet, from_rows = factor.logdet, border.from_rows
        lost = _overlap(factor, problem, templates) + sum(
            term.structure.cancellation(t, squares) * problem.gram.n_levels[term.factor]
            for term, t, squares in zip(problem.terms, templates, problem.squares, strict=True)
        )
    schur_scale = float(problem.gram.corner[p, p])
    # Rounding can leave a residual of nothing: keep the logarithm finite and the resolution honest.
    least = _ROUNDING**2 if from_rows else _ROUNDING
    residual = max(fixed.residual, least * schur_scale)
    nu = problem.degrees(reml=reml)
    found = residual / nu if scale is None else scale
    value = (
        logdet
        - problem.log_weights
        + residual / found
        + nu * (math.log(2.0 * math.pi * found) + 2.0 * problem.log_scale)
    )
    lost += nu * loss(schur_scale, residual, from_rows=from_rows)
    if reml:
        pivots = fixed.root.diagonal().tolist()
        value += 2.0 * sum(map(math.log, pivots)) + problem.log_x
        lost += sum(loss(1.0, pivot**2, from_rows=from_rows) for pivot in pivots)
    return Evaluation(
        problem,
        reml,
        tuple(points),
        templates,
        swept,
        made,
        fixed.root,
        fixed.beta,
        residual,
        float(value),
        float(_ROUNDING * (abs(value) + lost)),
        float(found),
    )


def strengths(problem: Problem, templates: Sequence[Array]) -> list[float]:
    """tr(T'FT) of every term, F the mean cross-product of its levels: the size of Lambda'Z'Z Lambda beside I."""
    pairs = zip(templates, problem.squares, strict=True)
    return [float(np.vdot(t, t * squares[:, None])) for t, squares in pairs]


def _overlap(factor: Factor, problem: Problem, templates: Sequence[Array]) -> float:
    """What log|A| loses where columns of Z share what they span, and I is all that A = Lambda'Z'Z Lambda + I has."""
    sizes = strengths(problem, templates)
    bound = sum(problem.gram.n_levels[t.factor] * size for t, size in zip(problem.terms, sizes, strict=True))
    return bound if bound < _FEW_DIGITS else factor.cancellation()


def whiten(root: Array, columns: Array) -> Array:
    """columns @ root'^{-1} for columns (..., p) of X: the last axis in the metric of G_XX."""
    flat = columns.reshape(-1, len(root))
    out: Array = dtrsm(1.0, root, flat.T, lower=1).T
    return out.reshape(columns.shape)
