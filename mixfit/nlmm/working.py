r"""The linear mixed model beside a point of a nonlinear one.

With slopes J at (beta~, b~) its response is w = y - f + X beta~ + Z b~ on X = sum_p J_p X_p and Z = sum_p J_p Z_p:
Lindstrom & Bates (1990, Biometrics 46) estimate theta in it. Its average information is the curvature by which the
Laplace approximation is minimized.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DesignError, FitError
from mixfit.factor.plan import refill
from mixfit.gram.basis import fixed_basis, response_basis
from mixfit.gram.products import cross_products
from mixfit.lmm.problem import Problem
from mixfit.lmm.residual.criterion import residual_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.basis import FixedBasis, ResponseBasis
    from mixfit.gram.pattern import FactorRows
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.residual.criterion import ResidualProblem
    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearProblem

    Array = NDArray[np.float64]

__all__ = ["LinearModelBeside", "linear_model_beside", "spread_model_beside"]

_DEPENDENT = (
    "The slopes of the curve in its coefficients depend on each other near the estimates: the data cannot tell all of "
    "the parameters. Give start= nearer to the data, or a curve with fewer parameters."
)
_EXACT = "The curve explains the response exactly: nothing is left to estimate a variance from."


@dataclass(frozen=True, eq=False)
class LinearModelBeside:
    """The problem with the bases of its X and response."""

    problem: Problem
    fixed: FixedBasis
    response: ResponseBasis

    def beta(self, profile: Evaluation) -> Array:
        """Coefficients of the columns X at an evaluation of the criterion."""
        return self.fixed.coefficients(self.response.gamma + self.response.scale * profile.beta)

    def information(self, profile: Evaluation) -> Array:
        """X'V^{-1}X over sigma^2 = 1, shape (p, p)."""
        half = self.fixed.triangle.T @ profile.fixed_root
        return half @ half.T


def linear_model_beside(problem: NonlinearProblem, mode: NonlinearMode) -> LinearModelBeside:
    """The linear model at a mode.

    Raises
    ------
    FitError
        Where the slopes of two coefficients depend on each other there, or explain the working response exactly.
    """
    border, rows, working = _rows_beside(problem, mode)
    fixed = fixed_basis(border)
    if len(fixed.kept) < problem.p:
        raise FitError(_DEPENDENT)
    response = response_basis(fixed, working)
    if response is None:
        raise FitError(_EXACT)
    gram = cross_products(rows, np.concatenate([fixed.rows, response.row[None]]))
    linear = Problem(
        gram=gram,
        plan=refill(problem.plan, gram),
        terms=problem.terms,
        p=problem.p,
        log_weights=problem.log_weights,
        log_x=fixed.log_determinant,
        log_scale=float(np.log(response.scale)),
    )
    return LinearModelBeside(linear, fixed, response)


def spread_model_beside(
    problem: NonlinearProblem, form: ResidualForm, weighted: NonlinearProblem, mode: NonlinearMode
) -> ResidualProblem:
    """The linear model at a mode, the log standard deviations of whose residuals have coefficients to estimate.

    Its rows are times the roots of the prior weights alone, those of the mode times the roots in `weighted`.

    Raises
    ------
    FitError
        As `linear_model_beside`.
    """
    border, rows, working = _rows_beside(weighted, mode)
    back = problem.root / weighted.root
    if len(fixed_basis(border).kept) < problem.p:
        raise FitError(_DEPENDENT)
    factors = [replace(f, columns=None if f.columns is None else f.columns * back) for f in rows]
    identity = tuple(np.eye(term.k) for term in problem.terms)
    try:
        return residual_problem(
            form, border * back, working * back, "", factors, problem.terms, identity, problem.log_weights
        )
    except DesignError as error:
        raise FitError(_EXACT) from error


def _rows_beside(problem: NonlinearProblem, mode: NonlinearMode) -> tuple[Array, tuple[FactorRows, ...], Array]:
    """X (p, n), the rows of the grouping factors and the response."""
    border = np.einsum("pan,an->pn", problem.X, mode.mean.slope)
    rows = problem.rows_at(mode.mean.slope).factors
    working = mode.residual + mode.beta @ border
    for f, block in zip(rows, mode.b, strict=True):
        assert f.columns is not None
        working = working + np.einsum("kn,kn->n", f.columns, block[:, 0].take(f.codes, axis=1))
    return border, rows, working
