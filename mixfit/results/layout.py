"""Columns of text: padded, justified and folded at the width of the page, as R folds matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WIDTH", "lay_out"]

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
