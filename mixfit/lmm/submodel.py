r"""Problems of models within a model, from its cross-products alone.

Fewer fixed effects: with Q the orthonormal basis of X and y = Q gamma + s e, columns X A have the orthonormal
basis Q O, where O is that of R A, and the response residual is s e + Q (I - OO') gamma. Fewer random columns:
Z A = Z_basis (R A), whose orthonormal basis serves an unstructured covariance as well as any.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import block_diag

from mixfit.covariance.structure import Invariance
from mixfit.covariance.term import Term
from mixfit.factor.plan import make_plan
from mixfit.gram.basis import fixed_basis
from mixfit.gram.products import transformed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.gram.basis import FixedBasis
    from mixfit.gram.residual import ResidualStage
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["coordinates", "with_fixed", "with_random"]


def coordinates(fixed: FixedBasis, X: Array, stage: ResidualStage) -> Array:
    """Coordinates (p, P) of all columns of X (n, P), aliased ones included, in the orthonormal basis."""
    if len(fixed.kept) == X.shape[1]:
        return fixed.triangle
    return np.asarray(fixed.rows @ stage.whiten(np.ascontiguousarray(X.T)).T)


def with_fixed(assembly: Assembly, columns: Array) -> Problem:
    """The problem whose fixed effects have the coordinates `columns`, shape (p, c), in the orthonormal basis."""
    problem, response = assembly.problem, assembly.response
    basis = fixed_basis(np.ascontiguousarray(columns.T))
    O = basis.rows.T  # noqa: E741
    p, smaller = O.shape
    left = response.gamma - O @ (O.T @ response.gamma)
    scale = float(np.hypot(response.scale, np.linalg.norm(left)))
    M = np.zeros((p + 1, smaller + 1))
    M[:p, :smaller] = O
    M[:p, smaller] = left / scale
    M[p, smaller] = response.scale / scale
    gram = transformed(problem.gram, [None] * problem.gram.n_factors, M)
    return replace(
        problem,
        gram=gram,
        plan=make_plan(gram, solver=problem.plan.solver),
        p=smaller,
        log_x=basis.log_determinant,
        log_scale=float(np.log(scale)),
    )


def with_random(assembly: Assembly, columns: Sequence[Array | None]) -> Problem | None:
    """The problem whose random terms have the columns Z_t A_t, for A_t of shape (k_t, c_t).

    None in the place of A_t leaves a term out. Where the structure is not closed under changes of basis
    A_t selects columns. Returns None where no term is left.
    """
    problem = assembly.problem
    maps: list[list[Array]] = [[] for _ in range(problem.gram.n_factors)]
    places: list[tuple[int, Term, int]] = []
    for term, basis, A in zip(problem.terms, assembly.term_bases, columns, strict=True):
        C = np.empty((term.k, 0)) if A is None else _map(term, basis, A)
        if A is not None:
            places.append((term.factor, term, C.shape[1]))
        maps[term.factor].append(C)
    if not places:
        return None
    gram = transformed(problem.gram, [block_diag(*own) for own in maps], None)
    kept = sorted({factor for factor, _, _ in places})
    width = dict.fromkeys(kept, 0)
    terms = []
    for factor, term, k in places:
        terms.append(Term(kept.index(factor), width[factor], k, term.structure.restricted(k)))
        width[factor] += k
    lengths = tuple(x for x, A in zip(problem.lengths, columns, strict=True) if A is not None)
    return replace(
        problem, gram=gram, plan=make_plan(gram, solver=problem.plan.solver), terms=tuple(terms), lengths=lengths
    )


def _map(term: Term, basis: Array, A: Array) -> Array:
    if term.structure.invariance is Invariance.ANY_BASIS:
        return fixed_basis(np.ascontiguousarray((basis @ A).T)).rows.T
    return np.asarray(A != 0.0, dtype=float)
