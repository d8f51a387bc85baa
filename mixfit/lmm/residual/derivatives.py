r"""Exact gradient of the profiled criterion at the parameters of the residuals' covariance.

With V = R + Z Sigma Z' relative to sigma^2, whitened by R = L L', e = L^{-1}(y - X beta - Z b), E = L^{-1}(X - Z U) in
the metric of G_XX, Q = Lambda A^{-1} Lambda' and A_i = L^{-1} R'_i L'^{-1},

    dd/dphi_i = <K, A_i>,    K = I - L^{-1}Z Q Z'L'^{-1} - e e' / s^2 [- E E'],    s^2 = r^2 / nu,

the last part for REML only: what N of a random term is, for residuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dtrtri

from mixfit.covariance.directions import ParameterDirection
from mixfit.covariance.parametric import Parametric
from mixfit.gram.products import random_predictor
from mixfit.lmm.derivatives import Derivatives, differentiate
from mixfit.lmm.residual.pattern_slopes import pattern_slopes
from mixfit.lmm.residual.series import SeriesForm
from mixfit.lmm.residual.series_slopes import series_slopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.structure import Structure
    from mixfit.lmm.residual.criterion import JointEvaluation
    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.lmm.residual.slopes import ResidualSlopes

    Array = NDArray[np.float64]

__all__ = ["JointDerivatives", "differentiate_joint", "residual_directions", "residual_rows", "residual_slopes"]


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
    slopes : ResidualSlopes
        Of the residuals, in these directions and gamma.
    """

    at: JointEvaluation
    random: Derivatives | None
    directions: tuple[Direction, ...]
    slopes: ResidualSlopes

    @property
    def n_random(self) -> int:
        """Directions of the random terms, which come first among all."""
        return 0 if self.random is None else len(self.random.directions)

    @cached_property
    def residual_gradient(self) -> Array:
        """dd/dphi of the directions and of gamma, (I,)."""
        return self.slopes.gradient()

    @cached_property
    def gradient(self) -> Array:
        """Of the random terms, of the structures and of gamma."""
        own = self.residual_gradient
        return own if self.random is None else np.concatenate([self.random.gradient, own])


def residual_directions(form: ResidualForm, points: Sequence[Array]) -> tuple[Direction, ...]:
    """Every direction of the structures but one, of the first, that with the others would scale all residuals."""
    out: list[Direction] = []
    for part, (structure, point) in enumerate(zip(form.structures, points, strict=True)):
        own = _own_directions(form, structure, part, point)
        out += own if part else _without_scale(structure, own)
    return tuple(out)


def _own_directions(form: ResidualForm, structure: Structure, part: int, point: Array) -> list[Direction]:
    if not form.has_own_points:
        return structure.directions(part, point, np.ones(structure.k, dtype=bool))
    # Matrices of all places are not formed: the slopes have what the directions change.
    assert isinstance(structure, Parametric)
    nothing = np.empty((0, 0))
    lower, upper = structure.box()
    free = np.flatnonzero((point > lower) & (point < upper)).tolist()
    return [ParameterDirection(part, nothing, m, nothing, None, m < structure.n_deviations, False) for m in free]


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
    return JointDerivatives(at, random, directions, residual_slopes(at, directions, residual_rows(at)))


def residual_slopes(at: JointEvaluation, directions: tuple[Direction, ...], rows: Array) -> ResidualSlopes:
    """Derivatives of the residuals along directions, and gamma, for the rows (1 + p, n) of e and E."""
    make = series_slopes if isinstance(at.problem.form, SeriesForm) else pattern_slopes
    return make(at, directions, rows)


def residual_rows(at: JointEvaluation) -> Array:
    """e and the columns of E as rows, (1 + p, n), in the order of the form."""
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
