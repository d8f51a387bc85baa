"""Which labels, and combinations of labels, rows have shown so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.parser.types import Factor

from mixfit.formula.terms import called_name
from mixfit.matrices.columns import code_factor, is_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.batches.asked import Asked
    from mixfit.matrices.columns import Coded
    from mixfit.matrices.environment import Environment

__all__ = ["Seen", "combinations_of"]

_LOOKUP = Factor.EvalMethod.LOOKUP
# A covariate of up to so many distinct values has all of them kept: those of more have a mean that is worth more.
_FEW_VALUES = 16
# A table of all combinations is quicker than sorting as long as it is no larger than a few columns.
_TABLE_ROWS = 4


@dataclass(eq=False)
class Seen:
    """Combinations of the labels of some factors that rows have shown.

    Attributes
    ----------
    factors : tuple of Factor
    most : int or None
        How many are worth knowing; None for all.
    """

    factors: tuple[Factor, ...]
    most: int | None = None
    _known: set[Any] = field(default_factory=set)

    def new_rows(self, environment: Environment, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """The first of some rows of a batch for each combination that no row before has shown."""
        if self.most is not None and len(self._known) > self.most:
            return rows[:0]
        coded = [_coded(environment, factor) for factor in self.factors]
        cells, size = coded[0].codes[rows], len(coded[0].levels)
        for more in coded[1:]:
            cells, size = cells * len(more.levels) + more.codes[rows], size * len(more.levels)
        found, first = _first_places(cells, size)
        labels = _labels(coded, found)
        known = np.fromiter(map(self._known.__contains__, labels), dtype=bool, count=len(labels))
        self._known.update(labels)
        return rows[first[~known]]


def _first_places(cells: NDArray[np.intp], size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers below `size` that occur, and where each does so first."""
    if size > _TABLE_ROWS * len(cells):
        found, first = np.unique(cells, return_index=True)
        return found, first
    places = np.full(size, -1, dtype=np.intp)
    # Of several assignments to one place the last stays.
    places[cells[::-1]] = np.arange(len(cells) - 1, -1, -1)
    found = np.flatnonzero(places >= 0)
    return found, places[found]


def _labels(coded: Sequence[Coded], cells: NDArray[np.intp]) -> list[Any]:
    """Labels of numbered combinations: of one factor its own, of several tuples."""
    parts: list[list[Any]] = []
    for one in reversed(coded[1:]):
        cells, codes = np.divmod(cells, len(one.levels))
        parts.append(one.levels.take(codes).tolist())
    parts.append(coded[0].levels.take(cells).tolist())
    return parts[0] if len(parts) == 1 else list(zip(*reversed(parts), strict=True))


def _coded(environment: Environment, factor: Factor) -> Coded:
    if factor.eval_method is _LOOKUP and factor.expr in environment.columns:
        return environment.columns.coded(factor.expr)
    return code_factor(environment.series(factor), factor.expr)


def combinations_of(asked: Asked, environment: Environment) -> list[Seen]:
    """The combinations that a model depends on: of grouping factors, and of the factors in each term."""
    formula = asked.formula
    kinds = {factor.expr: factor for factor in asked.factors if _is_factor(asked, environment, factor)}
    terms = [*formula.fixed, *(term for random in formula.random for term in random.terms)]
    keys = [random.groups for random in formula.random]
    keys += [tuple(f for f in term.factors if f.expr in kinds) for term in terms]
    distinct = {tuple(f.expr for f in key): key for key in keys if key}
    few = [f for term in formula.fixed for f in term.factors if f.expr not in kinds and f.expr in environment.columns]
    return [Seen(key) for key in distinct.values()] + [
        Seen((f,), _FEW_VALUES) for f in {f.expr: f for f in few}.values()
    ]


def _is_factor(asked: Asked, environment: Environment, factor: Factor) -> bool:
    if factor.eval_method is _LOOKUP and factor.expr in environment.columns:
        return environment.columns.kind(factor.expr) == "factor"
    if called_name(factor.expr) in ("C", "factor"):
        return True
    if factor.expr in asked.learned:
        return False
    value = environment.evaluate(factor)
    if isinstance(value, dict) or np.ndim(value) != 1:
        return False
    return is_factor(value if isinstance(value, pd.Series) else pd.Series(np.asarray(value)))
