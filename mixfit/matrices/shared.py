"""Random terms of several predictors with one covariance: terms that share a name and a grouping factor.

Such terms have the columns of all of them, in the order of the predictors, and one effect b of a level for these
together. In the rows of one predictor the columns of the others are zero, so that z'b, z'Sigma z and all that follows
from them are as of any other term. The first predictor has the covariance among its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.columns import GivenColumns
from mixfit.covariance.registry import read_structure
from mixfit.errors import FormulaError
from mixfit.matrices.parts import check_names
from mixfit.matrices.random_terms import SharedColumns
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.formula import RandomTerm
    from mixfit.matrices.reader import PredictorReader
    from mixfit.matrices.types import Predictor, RandomDesign

    Array = NDArray[np.float64]

__all__ = ["AmongOthers", "share_terms", "shared_designs"]


@dataclass(frozen=True)
class AmongOthers:
    """The columns of a predictor among those of all that share a term, which are zero in its rows.

    Attributes
    ----------
    names : tuple of str, length k
        Of all columns.
    own : tuple of int
        Places of the predictor's.
    """

    names: tuple[str, ...]
    own: tuple[int, ...]

    def apply(self, values: Array) -> Array:
        """All columns."""
        out = np.zeros((len(values), len(self.names)))
        out[:, list(self.own)] = values
        return out


def share_terms(
    predictors: Sequence[Predictor],
    readers: Sequence[PredictorReader],
    formulas: Sequence[Sequence[RandomTerm]],
    lookup: Callable[[str], object],
) -> tuple[list[Predictor], list[PredictorReader]]:
    """Give terms of one name and grouping factor their common columns and covariance.

    Parameters
    ----------
    predictors : sequence of Predictor
        With every term as if it were alone.
    readers : sequence of PredictorReader
    formulas : sequence of sequence of RandomTerm
        The terms of each predictor.
    lookup : callable
        The value of a name of the formula's context.

    Raises
    ------
    FormulaError
        For a name that stands twice in a predictor or in one predictor only, and for terms of one name with different
        structures, or one that makes columns of its own.
    """
    members: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for a, terms in enumerate(formulas):
        for t, term in enumerate(terms):
            if term.shared is None:
                continue
            found = members.setdefault((term.shared, predictors[a].random[t].grouping.name), [])
            if any(b == a for b, _ in found):
                raise FormulaError(
                    f"The name {term.shared!r} stands in two terms of one predictor, {formulas[a][found[-1][1]].text} "
                    f"and {term.text}: columns of one predictor are correlated where they stand in one term."
                )
            found.append((a, t))
    random = [list(p.random) for p in predictors]
    random_readers = [list(r.random) for r in readers]
    for (name, _), places in members.items():
        if len(places) == 1:
            ((a, t),) = places
            alone = formulas[a][t].text
            raise FormulaError(
                f"{alone}: {name!r} between the bars names a covariance that terms of several predictors share, and no "
                f"other predictor has a term of this name and grouping factor. Write {_without_name(alone)}."
            )
        designs, own = [predictors[a].random[t] for a, t in places], [formulas[a][t] for a, t in places]
        names = tuple(_named(predictors[a].name, d) for (a, _), d in zip(places, designs, strict=True))
        made = shared_designs(name, designs, own, names, [predictors[a].name for a, _ in places], lookup)
        for (a, t), (design, among) in zip(places, made, strict=True):
            random[a][t], random_readers[a][t] = design, replace(random_readers[a][t], recoding=among)
    return (
        [replace(p, random=tuple(own)) for p, own in zip(predictors, random, strict=True)],
        [replace(r, random=tuple(own)) for r, own in zip(readers, random_readers, strict=True)],
    )


def _without_name(text: str) -> str:
    left, _, right = text.split("|")
    return f"{left.rstrip()} |{right}"


def _named(predictor: str, term: RandomDesign) -> tuple[str, ...]:
    return term.columns if predictor == MEAN else tuple(f"{predictor}:{column}" for column in term.columns)


def shared_designs(
    name: str,
    designs: Sequence[RandomDesign],
    terms: Sequence[RandomTerm],
    names: Sequence[tuple[str, ...]],
    predictors: Sequence[str],
    lookup: Callable[[str], object],
) -> list[tuple[RandomDesign, AmongOthers]]:
    """Terms of several predictors with the columns of all, and how each makes these of its own.

    Parameters
    ----------
    name : str
        What they share.
    designs, terms : sequence of RandomDesign, of RandomTerm
        Of each predictor.
    names : sequence of tuple of str
        Of their columns among those of all.
    predictors : sequence of str
        Names of the predictors.
    lookup : callable
        The value of a name of the formula's context.

    Raises
    ------
    FormulaError
        For different structures, or one that makes columns of its own.
    """
    kinds = {(term.structure, term.options) for term in terms}
    text = " and ".join(dict.fromkeys(term.text for term in terms))
    if len(kinds) > 1:
        raise FormulaError(f"{text} share the name {name!r} and have one covariance: give them one structure.")
    every, whole = tuple(c for own in names for c in own), np.hstack([d.Z for d in designs])
    check_names(every, text)
    ((structure_name, options),) = kinds
    structure, recoding = read_structure(structure_name, GivenColumns(text, every, whole, options, lookup))
    if recoding is not None:
        raise FormulaError(
            f"{text}: {structure_name}(... | ...) arranges the columns of one term, and these are of several "
            "predictors. Terms that share a name take us, diag, cs, rr and others that leave columns as they are."
        )
    of = tuple(place for place, own in enumerate(names) for _ in own)
    plain = tuple(column for design in designs for column in design.columns)
    out = []
    for place, design in enumerate(designs):
        shared = SharedColumns(name, place, of, tuple(predictors), plain, whole)
        among = AmongOthers(every, shared.own)
        term = replace(design, columns=every, Z=among.apply(design.Z), structure=structure, shared=shared)
        out.append((term, among))
    return out
