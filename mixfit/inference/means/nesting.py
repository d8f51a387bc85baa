"""Factors whose levels belong to one level of another: varieties of a species, pupils of a class.

Found as R's emmeans finds them: where each level of a factor occurs with one level of another only, and where the
formula has a factor within another alone, as ``a / b`` has b. Their combinations that do not occur are no missing
cells; means are averaged over the levels that there are within each of the others'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.inference.means.grid_variables import GridVariable

    Index = NDArray[np.intp]

__all__ = ["Nesting", "find_nesting", "given_nesting", "occurs", "with_parents"]

#: For every nested factor the factors that it is nested in.
Nesting: TypeAlias = "dict[str, tuple[str, ...]]"


def find_nesting(variables: Mapping[str, GridVariable], terms: Sequence[Sequence[str]]) -> Nesting:
    """Which variables of the grid are nested, by the data and by the terms of the formula.

    Parameters
    ----------
    variables : mapping of str to GridVariable
    terms : sequence of sequence of str
        Names that each term of the fixed part looks up.
    """
    factors = {name: v for name, v in variables.items() if v.codes is not None and len(v.values) > 1}
    found: Nesting = {}
    for name, factor in factors.items():
        others = [other for other in factors if other != name and name not in found.get(other, ())]
        parents = [other for other in others if _determines(factor, factors[other])]
        if parents:
            found[name] = tuple(parents)
    known = [frozenset(term) & frozenset(factors) for term in terms]
    for name in factors:
        if frozenset([name]) not in known:
            more = [p for p in _written_parents(name, known) if p not in found.get(name, ())]
            if more:
                found[name] = (*found.get(name, ()), *more)
    for name in list(found):
        found[name] = tuple(dict.fromkeys(p for parent in found[name] for p in (*found.get(parent, ()), parent)))
    return {name: parents for name, parents in found.items() if name not in parents}


def _determines(factor: GridVariable, other: GridVariable) -> bool:
    """Whether rows of one level of a factor have one level of another: no table of both, which may be large."""
    codes = np.array([factor.codes, other.codes])
    own, its = codes[:, (codes >= 0).all(axis=0)]
    return len(np.unique(own * len(other.values) + its)) == len(np.unique(own))


def _written_parents(name: str, terms: Sequence[frozenset[str]]) -> list[str]:
    """Factors that a factor without a main effect is coded within: those whose own margin is not in the formula."""
    own = [term for term in terms if name in term]
    smallest = [term for term in own if not any(other < term for other in own)]
    return list(dict.fromkeys(p for term in smallest for p in sorted(term - {name}) if term - {p} not in terms))


def given_nesting(nesting: Mapping[str, Sequence[str] | str], variables: Mapping[str, GridVariable]) -> Nesting:
    """Read `nesting=`.

    Raises
    ------
    FitError
        For a name that is no factor of the fixed effects.
    """
    read = {n: (p,) if isinstance(p, str) else tuple(p) for n, p in nesting.items()}
    for name in (name for child, parents in read.items() for name in (child, *parents)):
        if name not in variables or variables[name].codes is None:
            known = ", ".join(n for n, v in variables.items() if v.codes is not None) or "none"
            raise FitError(f"nesting= names {name!r}, which is no factor of the fixed effects ({known}).")
    return read


def with_parents(names: Sequence[str], nesting: Nesting) -> tuple[str, ...]:
    """Names, each nested one followed by what it is nested in.

    Examples
    --------
    >>> with_parents(["variety", "water"], {"variety": ("species",)})
    ('variety', 'species', 'water')
    """
    return tuple(dict.fromkeys(n for name in names for n in (name, *(p for p in nesting.get(name, ()) if p != name))))


def occurs(names: Sequence[str], variables: Mapping[str, GridVariable]) -> NDArray[np.bool_]:
    """Which combinations of the values of some factors the data have: an axis for each."""
    return _counts([variables[name] for name in names]) > 0


def _counts(factors: Sequence[GridVariable]) -> Index:
    sizes = [len(factor.values) for factor in factors]
    codes = np.array([factor.codes for factor in factors])
    inside = (codes >= 0).all(axis=0)
    flat = np.ravel_multi_index(tuple(codes[:, inside]), tuple(sizes))
    return np.bincount(flat, minlength=int(np.prod(sizes))).reshape(sizes)
