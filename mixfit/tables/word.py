"""A grid as a document of Word, by python-docx: three rules, as journals print tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mixfit.errors import MissingPackageError
from mixfit.tables.numbers import MINUS

if TYPE_CHECKING:
    from pathlib import Path

    from mixfit.tables.grid import Cell, Grid

__all__ = ["save_docx"]

# Widths of rules in eighths of a point, as booktabs has them: 0.08 and 0.05 em of ten points.
_HEAVY, _LIGHT = 6, 4
# Notes stand in the size that LaTeX calls footnotesize, of text in ten points.
_NOTE_POINTS = 8


def save_docx(grid: Grid, path: Path) -> None:
    """Write a grid to a file of Word: a caption, a table without vertical rules, notes below.

    Parameters
    ----------
    grid : Grid
    path : Path

    Raises
    ------
    MissingPackageError
        Where python-docx is not installed.
    """
    try:
        from docx import Document
        from docx.shared import Pt
    except ImportError as error:
        raise MissingPackageError(
            "Tables of Word need python-docx, which is not installed: pip install 'mixfit[tables]'."
        ) from error
    document = Document()
    if grid.title:
        document.add_paragraph(grid.title, style="Caption")
    _fill(document, grid)
    for note in grid.notes:
        document.add_paragraph().add_run(note).font.size = Pt(_NOTE_POINTS)
    document.save(str(path))


def _fill(document: Any, grid: Grid) -> None:
    from docx.oxml import OxmlElement

    sections = grid.filled()
    table = document.add_table(rows=0, cols=len(grid.columns) + 1)
    head = table.add_row()
    for place, name in zip(head.cells[1:], grid.columns, strict=True):
        _write(place, name, right=True)
    _write(head.cells[0], "")
    # The heading again on every page that the table goes on to.
    head._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    _rule(head, "top", _HEAVY)
    last = head
    for section in sections:
        _rule(last, "bottom", _LIGHT)
        if section.title:
            last = table.add_row()
            _write(last.cells[0].merge(last.cells[-1]), section.title, italic=True)
        for row in section.rows:
            last = table.add_row()
            _write(last.cells[0], row.name)
            for place, cell in zip(last.cells[1:], row.cells, strict=True):
                _write_number(place, cell)
    _rule(last, "bottom", _HEAVY)


def _write(place: Any, text: str, *, right: bool = False, italic: bool = False) -> Any:
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Pt

    paragraph = place.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT if right else WD_ALIGN_PARAGRAPH.LEFT
    paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(0)
    paragraph.add_run(text).italic = italic
    return paragraph


def _write_number(place: Any, cell: Cell) -> None:
    paragraph = _write(place, MINUS.sub("\N{MINUS SIGN}", cell.text), right=True)
    if cell.code:
        paragraph.add_run(cell.code).font.superscript = True


def _rule(row: Any, side: str, eighths: int) -> None:
    """A rule above or below the cells of a row."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    for cell in row._tr.tc_lst:
        properties = cell.get_or_add_tcPr()
        borders = properties.find(qn("w:tcBorders"))
        if borders is None:
            borders = OxmlElement("w:tcBorders")
            properties.append(borders)
        rule = OxmlElement(f"w:{side}")
        for name, value in (("val", "single"), ("sz", str(eighths)), ("space", "0"), ("color", "auto")):
            rule.set(qn(f"w:{name}"), value)
        borders.append(rule)
