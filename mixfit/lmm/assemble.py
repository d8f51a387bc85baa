"""From a design to a problem: bases, cross-products, plan. The only work on the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.term import Term
from mixfit.errors import DesignError
from mixfit.factor.plan import make_plan
from mixfit.gram.basis import fixed_basis, response_basis, term_basis
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import cross_products
from mixfit.lmm.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import Design, RandomDesign
    from mixfit.gram.basis import FixedBasis, ResponseBasis

    Array = NDArray[np.float64]

__all__ = ["Assembly", "assemble", "random_rows", "with_response"]


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
    root_weights : ndarray, shape (n,), or None
    """

    problem: Problem
    fixed: FixedBasis
    response: ResponseBasis
    term_bases: tuple[Array, ...]
    rows: tuple[FactorRows, ...]
    endog_name: str
    root_weights: Array | None


def assemble(design: Design) -> Assembly:
    """Form the cross-products of a design.

    Raises
    ------
    DesignError
        Where the fixed effects explain the response perfectly.
    """
    root = None if design.weights is None else np.sqrt(design.weights)
    fixed = fixed_basis(_weighted_rows(design.X, root))
    response = _response(fixed, _response_row(design, root), design)
    rows, terms, bases = random_rows(design.random, root)
    gram = cross_products(rows, np.concatenate([fixed.rows, response.row[None]]))
    problem = Problem(
        gram=gram,
        plan=make_plan(gram),
        terms=terms,
        p=len(fixed.rows),
        log_weights=0.0 if design.weights is None else float(np.log(design.weights).sum()),
        log_x=fixed.log_determinant,
        log_scale=float(np.log(response.scale)),
    )
    return Assembly(problem, fixed, response, bases, rows, design.endog_name, root)


def with_response(assembly: Assembly, design: Design) -> Assembly:
    """The same problem for the response of `design`: one column of the cross-products is new."""
    response = _response(assembly.fixed, _response_row(design, assembly.root_weights), design)
    gram = assembly.problem.gram.with_response(assembly.rows, assembly.fixed.rows, response.row)
    problem = replace(assembly.problem, gram=gram, log_scale=float(np.log(response.scale)))
    return replace(assembly, problem=problem, response=response)


def _weighted_rows(x: Array, root: Array | None) -> Array:
    rows = np.ascontiguousarray(x.T)
    return rows if root is None else rows * root


def _response_row(design: Design, root: Array | None) -> Array:
    y = design.y if design.offset is None else design.y - design.offset
    return y if root is None else y * root


def _response(fixed: FixedBasis, row: Array, design: Design) -> ResponseBasis:
    if len(row) <= len(fixed.rows):
        raise DesignError(
            f"There are {len(fixed.rows)} fixed effects for {len(row)} observations: none are left to "
            "estimate a variance from. Use fewer fixed effects."
        )
    response = response_basis(fixed, row)
    if response is None:
        raise DesignError(
            f"The fixed effects explain the response {design.endog_name!r} perfectly: no variation is left "
            "for random effects. Remove fixed effects, or look whether the response is constant."
        )
    return response


def random_rows(
    random: Sequence[RandomDesign], root: Array | None
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
        part, basis = _term_rows(r, root)
        k = len(basis)
        terms.append(Term(i, width[i], k, r.structure))
        bases.append(basis)
        columns[i].append(part)
        width[i] += k
    rows = tuple(
        FactorRows(g.codes, g.n_levels, _stack(parts, len(g.codes)))
        for g, parts in zip(groupings, columns, strict=True)
    )
    return rows, tuple(terms), tuple(bases)


def _term_rows(r: RandomDesign, root: Array | None) -> tuple[Array | None, Array]:
    """A term's rows in its basis; None for a column of ones."""
    if root is None and r.Z.shape[1] == 1 and (r.Z[:, 0] == 1.0).all():
        return None, np.eye(1)
    return term_basis(_weighted_rows(r.Z, root), r.structure.invariance)


def _stack(parts: Sequence[Array | None], n: int) -> Array | None:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.ones((1, n)) if part is None else part for part in parts])
