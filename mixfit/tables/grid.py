"""A table of text in sections, whoever prints it: rows of cells under columns, with rules between the sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cell", "Grid", "Row", "Section"]


@dataclass(frozen=True)
class Cell:
    """What stands at one place.

    Attributes
    ----------
    text : str
        Empty where there is nothing to say.
    code : str
        A code of significance, which printers raise.
    """

    text: str = ""
    code: str = ""

    @property
    def plain(self) -> str:
        """Text and code side by side."""
        return self.text + self.code


@dataclass(frozen=True)
class Row:
    """A row.

    Attributes
    ----------
    name : str
        Empty in a row that belongs to the one above.
    cells : tuple of Cell
        One a column.
    """

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """Rows between two rules, under a title that may be empty."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Grid:
    """A table of text.

    Attributes
    ----------
    columns : tuple of str
        Headings, without that of the row names.
    sections : tuple of Section
        Those without rows are not printed.
    title : str
        Empty for none.
    notes : tuple of str
        Lines below.

    Examples
    --------
    >>> grid = Grid(("m",), (Section("", (Row("a", (Cell("1.5", "*"),)),)),))
    >>> [row.cells[0].plain for section in grid.filled() for row in section.rows]
    ['1.5*']
    """

    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    def filled(self) -> Iterator[Section]:
        """The sections that have rows."""
        return (section for section in self.sections if section.rows)
