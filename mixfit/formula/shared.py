"""Names that random terms of several predictors share: ``(1 | a | g)`` in each, as brms writes it.

Between its bars a term has the name of a covariance matrix: terms of different predictors with one name and one
grouping factor are correlated. The name is lifted out of the text before it is tokenized, where a second bar would be
none: spaces take the place of the first bar and the name.
"""

from __future__ import annotations

import re

from mixfit.formula.structured import masked

__all__ = ["lift_names"]

_BETWEEN_BARS = re.compile(r"(?<!\|)\|\s*([^\W\d]\w*)\s*(?=\|(?!\|))")
_BEFORE_CALL = re.compile(r"[\w.)\]]")


def lift_names(source: str) -> tuple[str, dict[int, str]]:
    """The formula with one bar in each named term, and the names by the places of the terms' parentheses.

    Parameters
    ----------
    source : str
        Without the names of structures, so that a call is Python's (see `mixfit.formula.structured`).

    Returns
    -------
    str, and dict of int to str

    Examples
    --------
    >>> lift_names("y ~ x + (1 |a| g)")
    ('y ~ x + (1   | g)', {8: 'a'})
    >>> lift_names("y ~ I(a | b | c)")
    ('y ~ I(a | b | c)', {})
    """
    blotted = masked(source)
    out, found = list(source), {}
    for match in _BETWEEN_BARS.finditer(blotted):
        opened = _open_at(blotted, match.start())
        if not opened or any(blotted[i] != "(" or _is_call(blotted, i) for i in opened) or opened[-1] in found:
            continue
        out[match.start() : match.end()] = " " * (match.end() - match.start())
        found[opened[-1]] = match.group(1)
    return "".join(out), found


def _open_at(text: str, end: int) -> list[int]:
    """Places of the brackets that are open at a place, the innermost last."""
    opened: list[int] = []
    for place, char in enumerate(text[:end]):
        if char in "([{":
            opened.append(place)
        elif char in ")]}" and opened:
            opened.pop()
    return opened


def _is_call(text: str, opening: int) -> bool:
    return opening > 0 and _BEFORE_CALL.match(text[opening - 1]) is not None
