r"""Hypotheses of the terms of the fixed part: types I, II and III as SAS names them.

Type I tests each term given those before it, type II given all terms that do not contain it; type III takes, for every
term, the estimable functions of the overparametrized model that are orthogonal to those of the terms that contain it:
hypotheses on marginal means that do not depend, where all cells occur, on their counts (Goodnight 1980, SAS R-101 and
R-103; the definitions are those of Kuznetsova, Brockhoff & Christensen 2017, JSS 82(13)).

All are found in the column space of X, by the cells of its terms: the coding of the factors does not matter, nor, for
types II and III, whether a constant that the factors imply is written. As Satterthwaite's degrees of freedom of several
rows depend on the rows, every hypothesis is given by rows that depend on nothing but what it says: the reduced echelon
form of treatment coding, which is what lmerTest has for type III.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.gram.basis import fixed_basis
from mixfit.inference.fixed_effects.cells import CONSTANT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.inference.fixed_effects.cells import CellSpace
    from mixfit.matrices.types import FixedStructure

    Array = NDArray[np.float64]

__all__ = ["containing_terms", "marginal_hypotheses", "parse_type", "partial_hypotheses", "sequential_hypotheses"]

_TYPES = {"1": 1, "2": 2, "3": 3, "I": 1, "II": 2, "III": 3}


def parse_type(kind: object) -> int:
    """1, 2 or 3 from that number or its Roman numeral."""
    found = _TYPES.get(str(kind).upper())
    if found is None:
        raise FitError(f"The types of analysis of variance are 1, 2 and 3 (I, II, III), not {kind!r}.")
    return found


def containing_terms(structure: FixedStructure) -> dict[str, list[str]]:
    """For every term, those that contain it: all its variables and further factors, the same covariates."""
    variables = {t.name: set(t.factors) for t in structure.terms}
    covariates = {name: {v for v in own if structure.factors[v].levels is None} for name, own in variables.items()}
    return {
        name: [other for other in variables if own < variables[other] and covariates[name] == covariates[other]]
        for name, own in variables.items()
    }


def _tested(structure: FixedStructure) -> list[str]:
    """All terms but the constant."""
    return [term.name for term in structure.terms if term.factors]


def sequential_hypotheses(structure: FixedStructure, space: CellSpace, root: Array) -> dict[str, Array]:
    """Type I: R (p, p) has R'R as the information on the fixed effects, X'X for sums of squares."""
    names = [term.name for term in structure.terms]
    return {name: _given(space, root, name, names[: names.index(name)]) for name in _tested(structure)}


def partial_hypotheses(structure: FixedStructure, space: CellSpace, root: Array) -> dict[str, Array]:
    """Type II, from the same R: each term given all that do not contain it."""
    containing = containing_terms(structure)
    names = [CONSTANT, *(term.name for term in structure.terms)]
    return {
        name: _given(space, root, name, [other for other in names if other not in (name, *containing[name])])
        for name in _tested(structure)
    }


def _given(space: CellSpace, root: Array, term: str, others: list[str]) -> Array:
    """What a term's columns add to those of the others, in the inner product R'R of all effects.

    With G the columns of the cells in that inner product and B an orthonormal basis of what G_term adds to the span of
    G_others, the projection on both is that on the others where B'R beta = 0.
    """
    to_basis = np.linalg.solve(space.from_fitted.T, root.T)
    before, mine = (space.coefficients[space.columns_of(names)] @ to_basis for names in (others, [term]))
    basis = fixed_basis(np.concatenate([before, mine]))
    added = basis.rows[basis.kept >= len(before)]
    return space.hypothesis(added @ to_basis.T)


def marginal_hypotheses(structure: FixedStructure, space: CellSpace) -> dict[str, Array]:
    """Type III: estimable functions of a term, orthogonal to those of the terms that contain it."""
    containing = containing_terms(structure)
    out = {}
    for name in _tested(structure):
        mine = space.coefficients[:, space.columns_of([name])[space.chosen]]
        if containing[name]:
            others = space.coefficients[:, space.columns_of(containing[name])[space.chosen]]
            mine = mine - others @ np.linalg.lstsq(others, mine, rcond=None)[0]
        out[name] = space.hypothesis(mine[space.chosen].T)
    return out
