r"""A generalized mixed model as the fitter sees it: rows, patterns and a plan, fixed while parameters vary.

Beside it the points of its parameter space with the slopes of a likelihood there, and how a design becomes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from mixfit.brief import brief
from mixfit.covariance.term import factor_templates
from mixfit.factor.factor import factorize
from mixfit.factor.plan import make_plan, refill
from mixfit.families.multinomial import CategoryPredictors
from mixfit.families.several import DISPERSION, SeveralPredictors
from mixfit.glmm.stacked import Stack, alone_of, stack_fixed, stack_offset, stack_random, term_places
from mixfit.gram.basis import FixedBasis, fixed_basis
from mixfit.gram.pattern import row_pattern
from mixfit.gram.products import weighted_products
from mixfit.gram.residual import ResidualStage
from mixfit.lmm.assemble import random_rows
from mixfit.lmm.contained import contained_columns
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.factor.factor import Factor
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.families.base import Family
    from mixfit.families.declared import Coupling, DispersionTerms, Terms
    from mixfit.gram.pattern import FactorRows, RowPattern
    from mixfit.matrices.types import Design, RandomDesign

    Array = NDArray[np.float64]

__all__ = [
    "GeneralizedAssembly",
    "GeneralizedParameters",
    "GeneralizedProblem",
    "LikelihoodSlopes",
    "PredictorPart",
    "assemble_generalized",
    "restricted",
    "with_fixed",
]


@dataclass(frozen=True, eq=False)
class GeneralizedProblem:
    """What is fixed while beta, theta and the dispersion vary.

    Attributes
    ----------
    family : Family
    y, prior, offset : ndarray, shape (n,)
    fixed : ndarray, shape (p, n)
        Orthonormal columns of X as rows.
    pattern : RowPattern
    plan : SymbolicPlan
    terms : tuple of Term
    stack : Stack, or None
        Where there are several predictors, whose rows are stacked: offset, fixed and pattern have more than n.
    n_levels, k : tuple of int
        Of each grouping factor.
    """

    family: Family
    y: Array
    prior: Array
    offset: Array
    fixed: Array
    pattern: RowPattern
    plan: SymbolicPlan
    terms: tuple[Term, ...]
    stack: Stack | None = None

    __repr__ = brief

    @cached_property
    def log_constant(self) -> float:
        """What of the log-likelihood depends on no parameter."""
        if self.stack is not None:
            return 0.0
        constant = self.family.log_constant(self.y, self.prior)
        return float(np.broadcast_to(constant, self.y.shape).sum())

    def loglik(self, eta: Array, phi: float) -> float:
        """Conditional log-likelihood of linear predictors (n,), with all constants."""
        if self.stack is not None:
            return float(self.stack.loglik(self.family, self.y, self.prior, eta, phi).sum())
        return float(self.family.log_kernel(self.y, self.prior, eta, phi).sum()) + self.log_constant

    def row_loglik(self, eta: Array, phi: float) -> Array:
        """Log density of every observation, (r, n), at r sets of predictors (r, rows), less `log_constant`."""
        if self.stack is not None:
            return self.stack.loglik(self.family, self.y, self.prior, eta, phi)
        return self.family.log_kernel(self.y, self.prior, eta, phi)

    def row_terms(self, eta: Array, phi: float) -> Terms:
        """Derivatives of the log density in the predictors of its rows, (rows,) or (r, rows)."""
        if self.stack is not None:
            return self.stack.terms(self.family, self.y, self.prior, eta, phi)
        return self.family.terms(self.y, self.prior, eta, phi)

    def tail_terms(self, eta: Array, phi: float) -> tuple[DispersionTerms, ...]:
        """Derivatives in the family's parameters that are numbers for all rows."""
        if self.stack is not None:
            return self.stack.tail_terms(self.family, self.y, self.prior, eta, phi)
        return self.family.tail_terms(self.y, self.prior, eta, phi)

    def coupling(self, eta: Array, phi: float) -> Coupling | None:
        """Curvatures of predictors and the family's parameters together, of a family that has them."""
        return None if self.stack is not None else self.family.coupling(self.y, self.prior, eta, phi)

    def at(self, shape: Array) -> GeneralizedProblem:
        """The problem at coordinates of the family's shapes; itself where none is estimated."""
        return replace(self, family=self.family.at(shape)) if len(shape) else self

    @cached_property
    def seen(self) -> tuple[NDArray[np.bool_], ...]:
        """Columns of each term that tell anything: not zero in every row, nor of a covariance that another contains."""
        squares = [self.squares(factor) for factor in range(len(self.k))]
        seen = tuple(squares[t.factor].diagonal()[t.columns] > 0.0 for t in self.terms)
        contained = contained_columns(self.terms, squares.__getitem__)
        return seen if contained is None else tuple(s & ~own for s, own in zip(seen, contained, strict=True))

    def squares(self, factor: int) -> Array:
        """Z'Z of a factor's columns over all rows, (k_i, k_i)."""
        columns = self.pattern.factors[factor].columns
        return np.full((1, 1), float(len(self.offset))) if columns is None else np.asarray(columns @ columns.T)

    def shown(self, points: Sequence[Array]) -> tuple[Array, ...]:
        """Points without what only columns that tell nothing would say."""
        triples = zip(self.terms, points, self.seen, strict=True)
        return tuple(t.structure.shown(point, seen) for t, point, seen in triples)

    @property
    def n(self) -> int:
        """Number of observations."""
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.fixed)

    @property
    def n_levels(self) -> tuple[int, ...]:
        """Levels of each grouping factor."""
        return self.pattern.n_levels

    @property
    def k(self) -> tuple[int, ...]:
        """Columns of each grouping factor."""
        return self.pattern.k

    def factor_templates(self, templates: Sequence[Array]) -> tuple[Array, ...]:
        """Block-diagonal templates of the grouping factors from those of the terms."""
        return factor_templates(self.terms, self.k, templates)

    def factorize(self, weights: Array, templates: Sequence[Array], columns: Array | None = None) -> Factor:
        """Factor Lambda'Z'WZ Lambda + I; `columns` (r, n) become the border of its cross-products."""
        empty = np.empty((0, len(self.offset))) if columns is None else columns
        gram = weighted_products(self.pattern, empty, weights)
        return factorize(gram, refill(self.plan, gram), self.factor_templates(templates))


@dataclass(frozen=True, eq=False)
class GeneralizedParameters:
    """A point.

    Attributes
    ----------
    points : tuple of ndarray
        Of the terms' structures: relative factors, or what is moved instead; see :mod:`mixfit.covariance.structure`.
    gamma : ndarray, shape (p,)
        Coefficients of the orthonormal fixed columns.
    phi : float
        Dispersion; 1 for families without.
    shape : ndarray, shape (s,)
        Coordinates of the family's other parameters, those that are estimated.
    """

    points: tuple[Array, ...]
    gamma: Array
    phi: float
    shape: Array = field(default_factory=lambda: np.empty(0))

    def stepped(self, family: Family, tail: Array) -> tuple[float, Array]:
        """phi and shape, a step away in log phi, if it is estimated, and the coordinates of the shapes."""
        if not family.has_dispersion:
            return self.phi, self.shape + tail
        return self.phi * float(np.exp(tail[0])), self.shape + tail[1:]


@dataclass(frozen=True, eq=False)
class LikelihoodSlopes:
    """Exact first derivatives of -2 log-likelihood.

    Attributes
    ----------
    relative : tuple of ndarray, shape (k_t, k_t)
        T'N_t T of every term: half the derivative in T E_ij is its (i, j).
    absolute : dict of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template; of adaptive quadrature only what N_t T_t says.
    gamma : ndarray, shape (p,)
    tail : ndarray
        In log phi, if it is estimated, and in the coordinates of the shapes that are.
    quadratic_share, inverse_share : tuple of ndarray, shape (k_t,)
        As in :class:`mixfit.lmm.derivatives.Derivatives`.
    """

    relative: tuple[Array, ...]
    absolute: dict[int, Array]
    gamma: Array
    tail: Array
    quadratic_share: tuple[Array, ...]
    inverse_share: tuple[Array, ...]


@dataclass(frozen=True)
class PredictorPart:
    """What of a problem belongs to one of its predictors.

    Attributes
    ----------
    name : str
    columns : tuple of str
        Names of its fixed effects that are not aliased.
    kept : ndarray of intp
        Which columns of its X those are.
    fixed, rows : slice
        Of the coefficients, of the stacked rows.
    terms : tuple of int
        Its random terms among those of all predictors.
    first : tuple of bool
        Which of these it does not share with an earlier predictor.
    """

    name: str
    columns: tuple[str, ...]
    kept: NDArray[np.intp]
    fixed: slice
    rows: slice
    terms: tuple[int, ...]
    first: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class GeneralizedAssembly:
    """A problem with the bases that lead back to the user's columns.

    Attributes
    ----------
    problem : GeneralizedProblem
    fixed : FixedBasis
    term_bases : tuple of ndarray, shape (k_t, k_t)
        R_t with Z = Z_basis R_t.
    parts : tuple of PredictorPart
        What belongs to each predictor, where there are several.
    """

    problem: GeneralizedProblem
    fixed: FixedBasis
    term_bases: tuple[Array, ...]
    parts: tuple[PredictorPart, ...] = ()

    __repr__ = brief


def assemble_generalized(design: Design, family: Family) -> GeneralizedAssembly:
    """Bases, patterns and plan of a design; `design.weights` are the prior weights (binomial: trials)."""
    design.refuse_estimates("generalized ones")
    n = len(design.y)
    prior = np.ones(n) if design.weights is None else design.weights
    offset = np.zeros(n) if design.offset is None else design.offset
    if design.further or family.kind == "multinomial":
        return _assemble_several(design, family, prior)
    fixed = fixed_basis(np.ascontiguousarray(design.X.T))
    rows, terms, bases = _random_rows(design.random)
    pattern = row_pattern(rows)
    plan = make_plan(weighted_products(pattern, np.empty((0, n)), np.ones(n)), solver=design.solver)
    problem = GeneralizedProblem(family, design.y, prior, offset, fixed.rows, pattern, plan, terms)
    return GeneralizedAssembly(problem, fixed, bases)


def _random_rows(random: Sequence[RandomDesign]) -> tuple[tuple[FactorRows, ...], tuple[Term, ...], tuple[Array, ...]]:
    """Rows, terms and bases, covariances that are known themselves with nothing to move."""
    rows, terms, bases = random_rows(random, ResidualStage())
    pairs = zip(terms, bases, strict=True)
    return rows, tuple(replace(t, structure=t.structure.held(float(basis[0, 0]))) for t, basis in pairs), bases


def _assemble_several(design: Design, family: Family, prior: Array) -> GeneralizedAssembly:
    predictors, n = design.predictors, len(design.y)
    names = tuple(p.name for p in predictors)
    fixed, own = stack_fixed(predictors)
    rows, terms, bases = _random_rows(stack_random(predictors))
    pattern = row_pattern(rows)
    offset = stack_offset(predictors)
    every = weighted_products(pattern, np.empty((0, len(offset))), np.ones(len(offset)))
    plan = make_plan(every, solver=design.solver)
    random = tuple(a for a, p in enumerate(predictors) if p.random)
    curved = any(p.random for p in predictors if p.name == DISPERSION)
    of_categories = family.kind == "multinomial"
    density = CategoryPredictors(names) if of_categories else SeveralPredictors(names, curved)
    alone = () if of_categories else alone_of([p.X for p in predictors], own)
    stack = Stack(density, n, random, tuple(len(b.kept) for b in own), alone)
    inner = family.with_predicted_dispersion() if DISPERSION in names else family
    problem = GeneralizedProblem(inner, design.y, prior, offset, fixed.rows, pattern, plan, terms, stack)
    if of_categories:
        # Parameters are those of all categories together, and not of a mean and what is beside it.
        return GeneralizedAssembly(problem, fixed, bases)
    parts, p = [], 0
    for a, (predictor, basis, places) in enumerate(zip(predictors, own, term_places(predictors), strict=True)):
        after = p + len(basis.kept)
        columns = tuple(predictor.exog_names[j] for j in basis.kept)
        first = tuple(term.is_first for term in predictor.random)
        place = slice(p, after), slice(a * n, (a + 1) * n), places, first
        parts.append(PredictorPart(predictor.name, columns, basis.kept, *place))
        p = after
    return GeneralizedAssembly(problem, fixed, bases, tuple(parts))


def with_fixed(assembly: GeneralizedAssembly, columns: Array, predictor: str = MEAN) -> GeneralizedAssembly:
    """The model whose fixed effects have the coordinates `columns`, shape (p, c), in the orthonormal basis.

    Of several predictors only those of one change.
    """
    triangle = assembly.fixed.triangle
    blocks = [columns if part.name == predictor else triangle[part.fixed, part.fixed] for part in assembly.parts]
    return restricted(assembly, blocks or [columns])


def restricted(assembly: GeneralizedAssembly, columns: Sequence[Array]) -> GeneralizedAssembly:
    """The model with other fixed effects, given for each predictor in its orthonormal basis, (p_a, c_a)."""
    own = [fixed_basis(np.ascontiguousarray(c.T)) for c in columns]
    among = np.asarray(block_diag(*(b.rows for b in own)))
    rows = among @ assembly.fixed.rows
    fixed = FixedBasis(rows, np.asarray(block_diag(*(b.triangle for b in own))), own[0].kept)
    problem = replace(assembly.problem, fixed=rows)
    parts, start = [], 0
    for part, basis in zip(assembly.parts, own, strict=False):
        # Which of the new columns these are: they need not be the user's.
        names = tuple(f"column {j}" for j in basis.kept)
        parts.append(replace(part, columns=names, kept=basis.kept, fixed=slice(start, start + len(basis.kept))))
        start += len(basis.kept)
    if problem.stack is not None:
        problem = replace(problem, stack=problem.stack.within(among, tuple(len(b.kept) for b in own)))
    return replace(assembly, fixed=fixed, problem=problem, parts=tuple(parts))
