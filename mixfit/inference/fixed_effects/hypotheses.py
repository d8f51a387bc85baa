r"""Hypotheses of the terms of the fixed part: types I, II and III as SAS names them.

Type I tests each term given those before it, type II given all terms that do not contain it, both from the
forward Doolittle factor of X'X; type III takes, for every term, the estimable functions of the overparametrized
model that are orthogonal to those of the terms that contain it: hypotheses on marginal means that do not depend
on the coding of the factors nor, where all cells occur, on their counts. (Goodnight 1980, SAS R-101 and R-103;
the definitions of Kuznetsova, Brockhoff & Christensen 2017, JSS 82(13), row by row, since Satterthwaite's
degrees of freedom of several rows depend on them.)
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from mixfit.errors import FitError
from mixfit.gram.basis import fixed_basis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import FixedStructure, FixedTerm

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["containing_terms", "parse_type", "sequential_hypotheses", "type2_hypotheses", "type3_hypotheses"]

# Entries of a hypothesis in an orthonormal basis of X are known to about 1e-14.
_ROUNDING = 1e-10
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


def tested_terms(structure: FixedStructure) -> list[FixedTerm]:
    """All terms but the constant."""
    return [term for term in structure.terms if term.factors]


def _own_columns(structure: FixedStructure, kept: Index) -> dict[str, list[int]]:
    """Positions of every term's columns among those that are not aliased."""
    place = {int(j): i for i, j in enumerate(kept)}
    return {t.name: [place[j] for j in t.columns if j in place] for t in structure.terms}


def _doolittle(root: Array) -> Array:
    """Unit upper triangular rows from R with R'R the inner product."""
    return root / root.diagonal()[:, None]


def sequential_hypotheses(structure: FixedStructure, kept: Index, root: Array) -> dict[str, Array]:
    """Type I: R (p, p) is upper triangular with R'R = X'X of the columns that are kept."""
    rows = _doolittle(root)
    own = _own_columns(structure, kept)
    return {t.name: rows[own[t.name]] for t in tested_terms(structure)}


def type2_hypotheses(structure: FixedStructure, kept: Index, root: Array) -> dict[str, Array]:
    """Type II from the same R: each term last but for those that contain it."""
    terms, own, containing = tested_terms(structure), _own_columns(structure, kept), containing_terms(structure)
    if len(terms) < 2:
        return sequential_hypotheses(structure, kept, root)
    out = {}
    for term in terms:
        mine = own[term.name]
        if not containing[term.name]:
            out[term.name] = np.eye(len(kept))[mine]
            continue
        last = mine + [j for other in containing[term.name] for j in own[other]]
        order = [j for j in range(len(kept)) if j not in set(last)] + last
        rows = _doolittle(np.linalg.qr(root[:, order])[1])
        first = len(kept) - len(last)
        L = np.zeros((len(mine), len(kept)))
        L[:, order] = rows[first : first + len(mine)]
        out[term.name] = L
    return out


def type3_hypotheses(structure: FixedStructure, kept: Index, X: Array) -> dict[str, Array]:
    """Type III: X (n, c) holds all columns, also the aliased ones."""
    terms = tested_terms(structure)
    fitted = X[:, kept]
    if len(terms) < 2:
        return sequential_hypotheses(structure, kept, np.linalg.qr(fitted)[1])
    columns, owner, first_levels = _overparametrized(structure, X)
    # Within a term the cells of first levels come last: as in treatment coding, those are what is left out.
    names = [t.name for t in structure.terms]
    order = np.lexsort(np.array([first_levels, [names.index(o) for o in owner]]))
    basis = fixed_basis(np.ascontiguousarray(columns[:, order].T))
    chosen = order[basis.kept]
    # columns = B E', B the chosen ones: the columns of E span the estimable functions
    estimable = solve_triangular(basis.triangle, basis.rows @ columns).T
    estimable[np.abs(estimable) < _ROUNDING] = 0.0
    to_fitted = solve_triangular(basis.triangle, basis.rows @ fitted)
    containing = containing_terms(structure)
    return {t.name: _marginal_rows(estimable, chosen, owner, t.name, containing[t.name]) @ to_fitted for t in terms}


def _marginal_rows(estimable: Array, chosen: Index, owner: Sequence[str], term: str, containing: list[str]) -> Array:
    """Estimable functions of a term, orthogonal to those of the terms that contain it: (q, chosen)."""
    owner_of = np.array([owner[j] for j in chosen], dtype=object)
    mine = estimable[:, owner_of == term]
    if containing:
        others = estimable[:, np.isin(owner_of, containing)]
        mine = mine - others @ np.linalg.lstsq(others, mine, rcond=None)[0]
    rows = mine[chosen].T
    rows = np.where(np.abs(rows) < _ROUNDING, 0.0, rows)
    return rows[rows.any(axis=1)]


def _overparametrized(structure: FixedStructure, X: Array) -> tuple[Array, list[str], list[int]]:
    """Indicators of all cells of every term, times its covariates.

    Returns the columns, the term of each, and how many of its factors are at their first level.
    """
    blocks, owner, first_levels = [], [], []
    for term in structure.terms:
        factors = [structure.factors[name] for name in term.factors]
        grouped = [f for f in factors if f.levels is not None]
        if not grouped:
            blocks.append(X[:, list(term.columns)])
            owner += [term.name] * len(term.columns)
            first_levels += [0] * len(term.columns)
            continue
        covariates = np.ones((len(X), 1))
        for f in factors:
            if f.levels is None:
                covariates = (f.values[:, :, None] * covariates[:, None]).reshape(len(X), -1)
        sizes = [len(f.levels or ()) for f in grouped]
        for cell in product(*(range(size) for size in reversed(sizes))):
            levels = cell[::-1]
            inside = np.ones(len(X), dtype=bool)
            for f, level in zip(grouped, levels, strict=True):
                inside &= f.values == level
            blocks.append(covariates * inside[:, None])
            owner += [term.name] * covariates.shape[1]
            first_levels += [levels.count(0)] * covariates.shape[1]
    return np.concatenate(blocks, axis=1), owner, first_levels
