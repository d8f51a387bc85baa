"""Names of a model's parameters: ``Days``, ``sigma``, ``sd(Subject, Days)``, ``ranef(Subject, 308, Days)``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mixfit.fitted.varcorr import unique_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.matrices.types import RandomDesign

__all__ = ["effect_names", "group_names", "natural_names"]


def group_names(random: Sequence[RandomDesign]) -> list[str]:
    """The name of each term's grouping factor, numbered only where two terms have a column of one name."""
    labels = [(r.grouping.name, column) for r in random for column in r.columns]
    names = [r.grouping.name for r in random]
    return names if max(Counter(labels).values(), default=0) <= 1 else unique_names(names)


def natural_names(r: RandomDesign, group: str) -> list[str]:
    """Names of a term's natural parameters."""
    return [_label(p, r.columns, group) for p in r.structure.natural]


def _label(parameter: NaturalParameter, columns: Sequence[str], group: str) -> str:
    if parameter.of:
        return f"{parameter.kind}({parameter.of}, {group})"
    named = dict.fromkeys((columns[parameter.first], columns[parameter.second]))
    return f"{parameter.kind}({group}, {', '.join(named)})"


def effect_names(r: RandomDesign, group: str) -> list[str]:
    """Names of a term's effects, level by level."""
    return [f"ranef({group}, {level}, {column})" for level in r.grouping.levels for column in r.columns]
