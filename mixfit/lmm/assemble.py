"""From a design to a problem: bases, cross-products, plan. The only work on the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief
from mixfit.covariance.term import Term
from mixfit.errors import DesignError
from mixfit.factor.plan import make_plan
from mixfit.gram.basis import fixed_basis, response_basis, term_basis
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import cross_products
from mixfit.gram.residual import ResidualStage
from mixfit.lmm.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.gram.basis import FixedBasis, ResponseBasis
    from mixfit.gram.residual import Residual
    from mixfit.matrices.types import Design, RandomDesign

    Array = NDArray[np.float64]

__all__ = ["Assembly", "assemble", "check_degrees", "explained", "random_rows", "with_response"]


@dataclass(frozen=True, eq=False)
class Assembly:
    """A problem with the bases that lead back to the user's columns.

    Attributes
    ----------
    problem : Problem
    fixed : FixedBasis
    response : ResponseBasis
    term_bases : tuple of ndarray, shape (k_t, k_t)
        R_t with Z = Z_basis R_t.
    rows : tuple of FactorRows
    endog_name : str
    stage : ResidualStage
        What was done to the rows: weights, and a residual structure.
    """

    problem: Problem
    fixed: FixedBasis
    response: ResponseBasis
    term_bases: tuple[Array, ...]
    rows: tuple[FactorRows, ...]
    endog_name: str
    stage: ResidualStage

    __repr__ = brief


def assemble(design: Design, residual: Residual | None = None, psi: Array | None = None) -> Assembly:
    """Form the cross-products of a design, with a residual structure at parameters `psi` if it is given.

    Raises
    ------
    DesignError
        Where the fixed effects explain the response perfectly, and for two terms of a covariance known itself.
    """
    root = None if design.weights is None else np.sqrt(design.weights)
    stage = ResidualStage(root, residual, np.empty(0) if psi is None else psi)
    given = [r.text for r in design.random if r.structure.is_given]
    if len(given) > 1:
        raise DesignError(
            f"{' and '.join(given)}: a model has one term of known covariance without a parameter. Add the matrices up."
        )
    fixed = fixed_basis(_whitened_rows(design.X, stage))
    response = _response(fixed, _response_row(design, stage), design)
    rows, terms, bases = random_rows(design.random, stage)
    gram = cross_products(rows, np.concatenate([fixed.rows, response.row[None]]))
    problem = Problem(
        gram=gram,
        plan=make_plan(gram, solver=design.solver),
        terms=terms,
        p=len(fixed.rows),
        log_weights=stage.log_precision,
        log_x=fixed.log_determinant,
        log_scale=float(np.log(response.scale)),
        lengths=tuple(float(basis[0, 0]) for basis in bases),
        length=response.length,
    )
    return Assembly(problem, fixed, response, bases, rows, design.endog_name, stage)


def with_response(assembly: Assembly, design: Design) -> Assembly:
    """The same problem for the response of `design`: one column of the cross-products is new."""
    response = _response(assembly.fixed, _response_row(design, assembly.stage), design)
    gram = assembly.problem.gram.with_response(assembly.rows, assembly.fixed.rows, response.row)
    log_scale = float(np.log(response.scale))
    problem = replace(assembly.problem, gram=gram, log_scale=log_scale, length=response.length)
    return replace(assembly, problem=problem, response=response)


def _whitened_rows(x: Array, stage: ResidualStage) -> Array:
    return stage.whiten(np.ascontiguousarray(x.T))


def _response_row(design: Design, stage: ResidualStage) -> Array:
    return stage.whiten(design.y if design.offset is None else design.y - design.offset)


def _response(fixed: FixedBasis, row: Array, design: Design) -> ResponseBasis:
    check_degrees(len(row), len(fixed.rows))
    response = response_basis(fixed, row)
    if response is None:
        raise explained(design.endog_name)
    return response


def check_degrees(n: int, p: int) -> None:
    """Refuse as many fixed effects as observations."""
    if n <= p:
        raise DesignError(
            f"There are {p} fixed effects for {n} observations: none are left to "
            "estimate a variance from. Use fewer fixed effects."
        )


def explained(name: str) -> DesignError:
    """Make the error for a response that the fixed effects explain."""
    return DesignError(
        f"The fixed effects explain the response {name!r} perfectly: no variation is left "
        "for random effects. Remove fixed effects, or look whether the response is constant."
    )


def random_rows(
    random: Sequence[RandomDesign], stage: ResidualStage
) -> tuple[tuple[FactorRows, ...], tuple[Term, ...], tuple[Array, ...]]:
    """Rows of every grouping factor, by decreasing number of levels, with each term's place and basis."""
    groupings = list({id(r.grouping): r.grouping for r in random}.values())
    groupings.sort(key=lambda g: -g.n_levels)
    number = {id(g): i for i, g in enumerate(groupings)}
    columns: list[list[Array | None]] = [[] for _ in groupings]
    width = [0] * len(groupings)
    terms, bases = [], []
    for r in random:
        i = number[id(r.grouping)]
        part, basis = _term_rows(r, stage)
        k = len(basis)
        terms.append(Term(i, width[i], k, r.structure))
        bases.append(basis)
        columns[i].append(part)
        width[i] += k
    related = {number[id(r.grouping)]: r.structure.relationship for r in random}
    rows = tuple(
        FactorRows(g.codes, g.n_levels, _stack(parts, len(g.codes)), related[i])
        for i, (g, parts) in enumerate(zip(groupings, columns, strict=True))
    )
    return rows, tuple(terms), tuple(bases)


def _term_rows(r: RandomDesign, stage: ResidualStage) -> tuple[Array | None, Array]:
    """A term's rows in its basis; None for a column of ones."""
    if stage.is_identity and r.Z.shape[1] == 1 and (r.Z[:, 0] == 1.0).all():
        return None, np.eye(1)
    return term_basis(_whitened_rows(r.Z, stage), r.structure.invariance)


def _stack(parts: Sequence[Array | None], n: int) -> Array | None:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.ones((1, n)) if part is None else part for part in parts])
