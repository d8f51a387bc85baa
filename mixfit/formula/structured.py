"""Random terms with a named covariance structure: ``ar1(0 + time | g)``, ``rr(0 + trait | id, d=2)``.

A name may be a function too, as ``exp`` is: it means a structure only around a bar. Such a call is lifted out of the
text before it is tokenized, where it would be one Python expression: spaces take the place of the name and of what
follows the grouping factor, so that ``(0 + time | g)`` stands in its own place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING

from mixfit.covariance.registry import is_structure, structure_names
from mixfit.formula.errors import error_at

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NamedStructure", "lift_structures", "masked"]

_CALL = re.compile(r"(?<![\w.`])([A-Za-z_]\w*)\(")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
# What a random term may begin with, and a Python expression with a bar in it, such as I(a | b), hardly ever does.
_INTERCEPT = re.compile(r"\s*(?:-\s*)?[01]\b")


@dataclass(frozen=True)
class NamedStructure:
    """``name(columns | group, options)`` as it is written.

    Attributes
    ----------
    name : str
    options : tuple of str
        What follows the grouping factor, split at commas: ``("d=2",)``.
    """

    name: str
    options: tuple[str, ...]


def lift_structures(source: str) -> tuple[str, dict[int, NamedStructure]]:
    """The formula with plain parentheses in place of named structures, and these by the places of the parentheses.

    Raises
    ------
    FormulaError
        For the name of a structure that there is not.
    """
    blotted = masked(source)
    out, found = list(source), {}
    for match in _CALL.finditer(blotted):
        name, opening = match.group(1), match.end() - 1
        closing, cuts, bar = _inside(blotted, opening)
        if closing is None or not bar:
            continue
        if not is_structure(name):
            nearest = _nearest(name)
            if nearest or _INTERCEPT.match(blotted, opening + 1):
                hint = f" Did you mean `{nearest[0]}`?" if nearest else ""
                raise error_at(
                    f"`{name}(... | ...)`: there is no covariance structure of this name.{hint} The structures are "
                    f"{', '.join(structure_names())}.",
                    source,
                    match.start(),
                    closing,
                )
            continue
        end = cuts[0] if cuts else closing
        out[match.start() : opening] = " " * (opening - match.start())
        out[end:closing] = " " * (closing - end)
        options = tuple(source[a + 1 : b].strip() for a, b in pairwise([*cuts, closing]))
        found[opening] = NamedStructure(name, options)
    return "".join(out), found


def masked(source: str) -> str:
    """The text with quotes blotted out."""
    return _QUOTED.sub(lambda match: "_" * len(match.group()), source)


def _nearest(name: str) -> list[str]:
    """The structure that a name is nearest to, if to any; one letter is a function's name, such as C and I."""
    return get_close_matches(name.lower(), structure_names(), n=1) if len(name) > 1 else []


def _inside(masked: str, opening: int) -> tuple[int | None, list[int], bool]:
    """The closing parenthesis, the commas after a bar and whether there is a bar, all at the depth of the call."""
    cuts: list[int] = []
    bar = False
    for place, char in _at_depth_one(masked, opening):
        if char == ")":
            return place, cuts, bar
        bar = bar or char == "|"
        if char == "," and bar:
            cuts.append(place)
    return None, cuts, bar


def _at_depth_one(masked: str, opening: int) -> Iterator[tuple[int, str]]:
    depth = 0
    for place in range(opening, len(masked)):
        char = masked[place]
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if not depth:
                yield place, ")"
                return
        elif depth == 1:
            yield place, char
