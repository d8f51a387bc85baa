"""Columns of text as R lays them out, and names as lme4 and R show them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = ["WIDTH", "abbreviate", "lay_out", "shown"]

# Columns of a terminal and of a page.
WIDTH = 80


def lay_out(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    row_names: Sequence[str] | None = None,
    *,
    right: bool = False,
    width: int = WIDTH,
) -> str:
    """Lay out a table of strings.

    Parameters
    ----------
    header : sequence of str, length c
    rows : sequence of sequence of str, shape (r, c)
    row_names : sequence of str, length r, optional
        Left-justified in front of every row; none gives a blank margin.
    right : bool
        Justify columns and headers to the right instead of the left.
    width : int
        Columns that go beyond it follow in a further block under the same row names.

    Returns
    -------
    str
        Lines without trailing blanks or final newline.

    Examples
    --------
    >>> print(lay_out(["a", "long"], [["1", "2"]], ["x"], right=True))
      a long
    x 1    2
    """
    names = list(row_names) if row_names is not None else [""] * len(rows)
    margin = max((len(name) for name in names), default=0)
    columns = [[header[j], *(row[j] for row in rows)] for j in range(len(header))]
    padded = []
    for column in columns:
        size = max(len(cell) for cell in column)
        padded.append([cell.rjust(size) if right else cell.ljust(size) for cell in column])
    blocks: list[list[list[str]]] = [[]]
    used = margin
    for cells in padded:
        if blocks[-1] and used + 1 + len(cells[0]) > width:
            blocks.append([])
            used = margin
        blocks[-1].append(cells)
        used += 1 + len(cells[0])
    lines = [
        " ".join([name.ljust(margin), *(cells[i] for cells in block)]).rstrip()
        for block in blocks
        for i, name in enumerate(["", *names])
    ]
    return "\n".join(lines)


def shown(name: str) -> str:
    """Spell a column name as lme4 prints it.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> shown("Intercept"), shown("Days")
    ('(Intercept)', 'Days')
    """
    return "(Intercept)" if name == "Intercept" else name


def abbreviate(names: Sequence[str], length: int) -> list[str]:
    """Shorten names to about `length` characters, all different, as R's ``abbreviate`` describes.

    From the right, first lower-case vowels go, then other lower-case letters, then anything; the
    first character of every word stays. Names that become equal get more characters.

    Parameters
    ----------
    names : sequence of str
    length : int
        Characters wanted; more where uniqueness asks for them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> abbreviate(["(Intercept)", "Days", "temperature[T.185]"], 6)
    ['(Intr)', 'Days', 't[T.18']
    """
    distinct = list(dict.fromkeys(names))
    short = {name: _shorten(name, length) for name in distinct}
    longest = max((len(name) for name in distinct), default=0)
    while length < longest:
        counts = Counter(short.values())
        clashing = [name for name in distinct if counts[short[name]] > 1]
        if not clashing:
            break
        length += 1
        for name in clashing:
            short[name] = _shorten(name, length)
    return [short[name] for name in names]


def _shorten(name: str, length: int) -> str:
    name = name.strip(" ")
    if len(name) <= length:
        return name
    characters = list(name)
    surplus = sum(c != " " for c in characters) - length
    passes: tuple[Callable[[str], bool], ...] = (_is_lower_vowel, str.islower, lambda c: c != " ")
    for droppable in passes:
        for i in range(len(characters) - 1, 0, -1):
            if surplus <= 0:
                break
            if characters[i - 1] != " " and droppable(characters[i]):
                del characters[i]
                surplus -= 1
    return "".join(characters).replace(" ", "")


def _is_lower_vowel(character: str) -> bool:
    return character.islower() and unicodedata.normalize("NFD", character)[0] in "aeiou"
