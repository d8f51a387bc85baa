r"""The profiled criterion of a linear model at the parameters of its random effects and of its residuals.

Rows whitened by R = L L' are those of a model with independent residuals of one variance, of which
:mod:`mixfit.lmm.criterion` has the criterion; log|R| is added. Without random effects that is generalized least
squares, and the rows may be those that :mod:`mixfit.gram.blocks` leaves of each pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DesignError
from mixfit.factor.plan import make_plan, refill
from mixfit.gram.basis import fixed_basis, response_basis
from mixfit.gram.pattern import FactorRows, RowPattern, row_pattern
from mixfit.gram.products import weighted_products
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.arguments import Solver
    from mixfit.covariance.term import Term
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.gram.basis import FixedBasis, ResponseBasis
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.residual.form import Held, ResidualFactor, ResidualForm, ResidualPoint

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "JointEvaluation",
    "JointPlace",
    "ResidualProblem",
    "ResidualRows",
    "evaluate_joint",
    "problem_at",
    "residual_problem",
    "whitened_problem",
]


@dataclass(frozen=True, eq=False)
class ResidualRows:
    """Columns of the data, [X y] and then those of every grouping factor.

    Attributes
    ----------
    held : tuple of BlockColumns, or ndarray, shape (c, n)
        As the form has them.
    pattern : RowPattern
        Which levels of the grouping factors occur together, over the rows in the form's order.
    k : tuple of int
        Columns of the grouping factors.
    """

    held: Held
    pattern: RowPattern
    k: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ResidualProblem:
    """What is fixed while the parameters vary.

    Attributes
    ----------
    form : ResidualForm
    rows : ResidualRows
    plan : SymbolicPlan
    terms : tuple of Term
    term_bases : tuple of ndarray, shape (k_t, k_t)
    fixed : FixedBasis
    response : ResponseBasis
        Both of the rows as independent ones.
    n : int
        Rows of the data.
    log_weights : float
    """

    form: ResidualForm
    rows: ResidualRows
    plan: SymbolicPlan
    terms: tuple[Term, ...]
    term_bases: tuple[Array, ...]
    fixed: FixedBasis
    response: ResponseBasis
    n: int
    log_weights: float

    @property
    def p(self) -> int:
        """Fixed effects."""
        return len(self.fixed.rows)


@dataclass(frozen=True, eq=False)
class JointPlace:
    """Points of the random terms, and of the residuals' covariance."""

    random: tuple[Array, ...]
    residual: ResidualPoint


@dataclass(frozen=True, eq=False)
class JointEvaluation:
    """The criterion at a place.

    Attributes
    ----------
    place : JointPlace
    problem : ResidualProblem
    at : Evaluation
        Of the whitened rows.
    factor : ResidualFactor
    rows : ndarray, shape (c, n)
        Whitened columns, in the form's order.
    """

    place: JointPlace
    problem: ResidualProblem
    at: Evaluation
    factor: ResidualFactor
    rows: Array

    @property
    def value(self) -> float:
        """The criterion with all its constants."""
        return self.at.value

    @property
    def resolution(self) -> float:
        """Differences of the criterion smaller than this are rounding."""
        return self.at.resolution

    @property
    def random_rows(self) -> list[FactorRows]:
        """Whitened rows of the grouping factors."""
        return _factor_rows(self.problem, self.rows)


def residual_problem(
    form: ResidualForm,
    X: Array,
    y: Array,
    name: str,
    factors: Sequence[FactorRows],
    terms: tuple[Term, ...],
    term_bases: tuple[Array, ...],
    log_weights: float,
    solver: Solver = "auto",
) -> ResidualProblem:
    """Bring weighted rows into the order of a form.

    Parameters
    ----------
    form : ResidualForm
    X : ndarray, shape (p, n)
        Columns as rows, times the roots of the weights; so y, (n,), and the columns of `factors`.
    y : ndarray, shape (n,)
    name : str
        Of the response.
    factors : sequence of FactorRows
        By decreasing number of levels.
    terms, term_bases
        Of the random effects.
    log_weights : float
    solver : {"auto", "dense", "sparse", "iterative"}

    Raises
    ------
    DesignError
        Where the fixed effects explain the response perfectly, or leave nothing to estimate a variance from.
    """
    fixed = fixed_basis(X)
    if len(y) <= len(fixed.rows):
        raise DesignError(
            f"There are {len(fixed.rows)} fixed effects for {len(y)} observations: none are left to estimate a "
            "variance from. Use fewer fixed effects."
        )
    response = response_basis(fixed, y)
    if response is None:
        raise DesignError(
            f"The fixed effects explain the response {name!r} perfectly: no variation is left for residuals. Remove "
            "fixed effects, or look whether the response is constant."
        )
    columns = np.concatenate([fixed.rows, response.row[None], *(_columns(f, len(y)) for f in factors)])
    held = form.hold(columns, only_sums=not factors)
    order = form.order
    sorted_factors = [FactorRows(f.codes[order], f.n_levels, _columns(f, len(y))[:, order]) for f in factors]
    pattern = row_pattern(sorted_factors)
    rows = ResidualRows(held, pattern, tuple(f.k for f in factors))
    plan = make_plan(weighted_products(pattern, np.empty((0, len(y))), None), solver=solver)
    return ResidualProblem(form, rows, plan, terms, term_bases, fixed, response, len(y), log_weights)


def _columns(f: FactorRows, n: int) -> Array:
    return np.ones((1, n)) if f.columns is None else f.columns


def problem_at(problem: ResidualProblem, point: ResidualPoint) -> tuple[Problem, ResidualFactor, Array]:
    """The problem of the whitened rows, what whitens them, and the rows."""
    factor = problem.form.factor(point)
    whitened, rows = whitened_problem(problem, factor)
    return whitened, factor, rows


def whitened_problem(problem: ResidualProblem, factor: ResidualFactor) -> tuple[Problem, Array]:
    """The problem of rows whitened by a factor, and the rows."""
    rows = factor.whiten_held(problem.rows.held)
    p = problem.p
    pattern = problem.rows.pattern
    whitened = RowPattern(tuple(_factor_rows(problem, rows)), pattern.entries)
    gram = replace(weighted_products(whitened, rows[: p + 1], None), n=problem.n)
    return (
        Problem(
            gram=gram,
            plan=refill(problem.plan, gram),
            terms=problem.terms,
            p=p,
            log_weights=problem.log_weights - factor.log_determinant,
            log_x=problem.fixed.log_determinant,
            log_scale=float(np.log(problem.response.scale)),
        ),
        rows,
    )


def _factor_rows(problem: ResidualProblem, rows: Array) -> list[FactorRows]:
    out, at = [], problem.p + 1
    for f, k in zip(problem.rows.pattern.factors, problem.rows.k, strict=True):
        out.append(FactorRows(f.codes, f.n_levels, rows[at : at + k]))
        at += k
    return out


def evaluate_joint(problem: ResidualProblem, place: JointPlace, *, reml: bool) -> JointEvaluation:
    """Evaluate the criterion.

    Raises
    ------
    FitError
        Where the covariance of a block of residuals is singular.
    """
    whitened, factor, rows = problem_at(problem, place.residual)
    at = evaluate(whitened, place.random, reml=reml)
    return JointEvaluation(replace(place, random=at.points), problem, at, factor, rows)
