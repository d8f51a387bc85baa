"""A grid as a document of Word: what stands in it, and where its rules are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from mixfit.errors import MissingPackageError
from mixfit.tables.printers import save
from tests.tables.test_printers import GRID, HARD

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def document(tmp_path: Path) -> Any:
    docx = pytest.importorskip("docx")
    save(GRID, tmp_path / "table.docx")
    return docx.Document(str(tmp_path / "table.docx"))


def rules(cell: Any) -> dict[str, int]:
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    borders = cell._tc.tcPr.find(f"{space}tcBorders")
    return {} if borders is None else {rule.tag.removeprefix(space): int(rule.get(f"{space}sz")) for rule in borders}


def test_what_was_said_stands_in_it(document: Any) -> None:
    (table,) = document.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["", "m_1", "m|2"],
        [HARD, "\N{MINUS SIGN}1.5*", ""],
        ["", "[\N{MINUS SIGN}2.0, 3.0]", "(0.1)"],
        ["R & D"] * 3,
        ["[T.x]", "2", "3"],
    ]
    assert [paragraph.text for paragraph in document.paragraphs] == ["A & B", "p < 0.05"]
    code = table.cell(1, 1).paragraphs[0].runs[-1]
    assert (code.text, code.font.superscript) == ("*", True)


def test_rules_are_booktabs(document: Any) -> None:
    (table,) = document.tables
    head, *_ = rows = [[rules(cell) for cell in row.cells] for row in table.rows]
    assert all(set(cell) == {"top", "bottom"} and cell["top"] > cell["bottom"] for cell in head)
    assert [set().union(*row) for row in rows[1:]] == [set(), {"bottom"}, set(), {"bottom"}]
    assert rows[-1][0]["bottom"] == head[0]["top"]


def test_without_python_docx_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(MissingPackageError, match=r"mixfit\[tables\]"):
        save(GRID, tmp_path / "table.docx")
