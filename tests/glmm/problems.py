"""Small generalized problems of every shape, points to look at them from, and their criteria along lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.diagonal import Diagonal
from mixfit.covariance.term import Term
from mixfit.covariance.unstructured import Unstructured
from mixfit.factor.plan import make_plan
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.laplace import laplace, laplace_gradient
from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem
from mixfit.gram.basis import fixed_basis
from mixfit.gram.pattern import FactorRows, row_pattern
from mixfit.gram.products import weighted_products
from tests.families.cases import PHI, TRIALS, middle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.glmm.problem import LikelihoodSlopes

    Array = NDArray[np.float64]

N = 60
_RNG = np.random.default_rng(0)
_A = _RNG.permutation(np.arange(N) % 20)
_B = _RNG.permutation(N) % 7
_C = _RNG.permutation(N) % 5
# Grouping factors as (codes, levels, widths of the terms): a negative width is a diagonal term.
Shape = list[tuple["NDArray[np.intp]", int, list[int]]]
SCALAR: Shape = [(_A, 20, [1])]
SLOPE: Shape = [(_A, 20, [2])]
DIAGONAL: Shape = [(_A, 20, [-2])]
TWO_TERMS: Shape = [(_A, 20, [1, 1])]
NESTED: Shape = [(_A, 20, [1]), (_A // 4, 5, [2]), (_A // 8, 3, [1])]
CROSSED: Shape = [(_A, 20, [2]), (_B, 7, [1])]
BOTH: Shape = [(_A, 20, [1]), (_B, 7, [-2]), (_C, 5, [1]), (_A // 8, 3, [2])]
ONE_FACTOR = {"scalar": SCALAR, "slope": SLOPE, "diagonal": DIAGONAL, "two terms": TWO_TERMS}
SHAPES = {"scalar": SCALAR, "slope": SLOPE, "diagonal": DIAGONAL, "nested": NESTED, "crossed": CROSSED, "both": BOTH}


@dataclass(frozen=True)
class At:
    """A problem and a point of its parameter space."""

    problem: GeneralizedProblem
    point: GeneralizedParameters


def point(shape: Shape, family: Family, seed: int = 1) -> At:
    """A problem of a shape with simulated responses, at parameters that may have made them."""
    rng = np.random.default_rng(seed)
    centre, spread = middle(family)
    # The random part stays well inside the link's range.
    size = 0.25 * spread
    factors, terms = [], []
    for i, (codes, levels, widths) in enumerate(shape):
        k, at = sum(map(abs, widths)), 0
        columns = None if k == 1 else np.vstack([np.ones(N), rng.uniform(-1.0, 1.0, (k - 1, N))])
        factors.append(FactorRows(codes, levels, columns))
        for width in widths:
            structure = Diagonal(-width) if width < 0 else Unstructured(width)
            terms.append(Term(i, at, abs(width), structure))
            at += abs(width)
    X = fixed_basis(np.vstack([np.ones(N), rng.uniform(-1.0, 1.0, (2, N))]))
    templates = []
    for term in terms:
        t = np.tril(rng.uniform(-0.5, 0.5, (term.k, term.k)))
        t[np.diag_indices(term.k)] = rng.uniform(0.5, 1.0, term.k)
        templates.append(size * (np.diag(t.diagonal()) if term.structure.is_separable else t))
    beta = np.array([centre, 0.3 * size, -0.2 * size])
    offset = 0.2 * size * rng.uniform(-1.0, 1.0, N)
    prior, phi = np.ones(N), PHI.get(family.name, 1.0)
    if family.name in TRIALS:
        prior = rng.integers(1, 9, N).astype(float)
    elif family.has_dispersion:
        prior = rng.integers(1, 4, N).astype(float)
    eta = offset + (X.triangle @ beta) @ X.rows + size * rng.uniform(-1.0, 1.0, N)
    y = family.simulate(family.link.mean(eta), prior, phi, rng)
    pattern = row_pattern(factors)
    plan = make_plan(weighted_products(pattern, np.empty((0, N)), np.ones(N)))
    problem = GeneralizedProblem(family, y, prior, offset, X.rows, pattern, plan, tuple(terms))
    return At(problem, GeneralizedParameters(tuple(templates), X.triangle @ beta, phi))


def without(at: At, term: int, column: int) -> At:
    """The same point with one column of a template zero: a singular covariance."""
    templates = [t.copy() for t in at.point.points]
    templates[term][:, column] = 0.0
    return At(at.problem, GeneralizedParameters(tuple(templates), at.point.gamma, at.point.phi))


def dense_columns(at: At) -> Array:
    """Z Lambda of all factors, (n, q)."""
    blocks = []
    for rows, t in zip(at.problem.pattern.factors, at.problem.factor_templates(at.point.points), strict=True):
        columns = np.ones((1, len(rows.codes))) if rows.columns is None else rows.columns
        z = np.zeros((len(rows.codes), rows.n_levels, rows.k))
        z[np.arange(len(rows.codes)), rows.codes] = columns.T @ t
        blocks.append(z.reshape(len(z), -1))
    return np.hstack(blocks)


def laplace_at(at: At, point: GeneralizedParameters) -> float:
    """Laplace criterion."""
    return laplace(at.problem, point.gamma, point.points, point.phi).value


def laplace_slopes(at: At) -> LikelihoodSlopes:
    """Its gradient."""
    return laplace_gradient(laplace(at.problem, at.point.gamma, at.point.points, at.point.phi))


def quadrature_at(nodes: int) -> Callable[[At, GeneralizedParameters], float]:
    """Criterion by adaptive quadrature."""
    return lambda at, point: QuadratureObjective(at.problem, nodes).evaluate(point).value


def quadrature_slopes(at: At, nodes: int) -> LikelihoodSlopes:
    """Its gradient."""
    objective = QuadratureObjective(at.problem, nodes)
    return objective.slopes(objective.evaluate(at.point))


def quadrature_boundary(at: At, nodes: int) -> dict[int, Array]:
    """Its slopes in the variances that are zero."""
    objective = QuadratureObjective(at.problem, nodes)
    point = objective.evaluate(at.point)
    return objective.boundary_slopes(point, objective.slopes(point))


def difference(f: Callable[[float], float], h: float = 2e-4) -> float:
    """Central difference at zero with an error of order h**4."""
    return (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)


def check_gradient(
    at: At, slopes: LikelihoodSlopes, value: Callable[[At, GeneralizedParameters], float], tolerance: float = 1e-6
) -> None:
    """Every entry of an exact gradient against the criterion's central difference."""
    templates, gamma, phi, shape = at.point.points, at.point.gamma, at.point.phi, at.point.shape

    def close(actual: float, f: Callable[[float], GeneralizedParameters], what: str) -> None:
        wanted = difference(lambda h: value(at, f(h)))
        assert abs(actual - wanted) <= tolerance * max(1.0, abs(wanted)), f"{what}: {actual} instead of {wanted}"

    for a, e in enumerate(np.eye(len(gamma))):
        close(slopes.gamma[a], lambda h, e=e: replace(at.point, gamma=gamma + h * e), f"gamma[{a}]")
    for x, (t, term) in enumerate(zip(templates, at.problem.terms, strict=True)):
        for i, j in zip(*np.tril_indices(term.k), strict=True):
            if (term.structure.is_separable and i != j) or not (t[i, i] and t[j, j]):
                continue
            step = np.zeros_like(t)
            step[:, j] = t[:, i]

            def moved(h: float, x: int = x, step: Array = step) -> GeneralizedParameters:
                return replace(at.point, points=tuple(s + h * step if y == x else s for y, s in enumerate(templates)))

            close(2.0 * slopes.relative[x][i, j], moved, f"template {x} [{i}, {j}]")
    if at.problem.family.has_dispersion:
        close(slopes.tail[0], lambda h: replace(at.point, phi=phi * float(np.exp(h))), "log phi")
    for a, e in enumerate(np.eye(len(shape))):
        place = a - len(shape)
        close(slopes.tail[place], lambda h, e=e: replace(at.point, shape=shape + h * e), f"shape[{a}]")


def variance_difference(at: At, term: int, column: int, value: Callable[[At, GeneralizedParameters], float]) -> float:
    """One-sided difference of the criterion in a variance that is zero."""

    def along(variance: float) -> float:
        templates = [t.copy() for t in at.point.points]
        templates[term][column, column] = np.sqrt(variance)
        return value(at, GeneralizedParameters(tuple(templates), at.point.gamma, at.point.phi))

    h = 1e-5
    return (-11.0 * along(0.0) + 18.0 * along(h) - 9.0 * along(2.0 * h) + 2.0 * along(3.0 * h)) / (6.0 * h)
