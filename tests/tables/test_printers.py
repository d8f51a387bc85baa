"""One grid in four forms, and text that is markup in each of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from mixfit.errors import DataError, MissingFileError
from mixfit.tables.grid import Cell, Grid, Row, Section
from mixfit.tables.printers import as_html, as_latex, as_markdown, as_text, escape_latex, escape_markdown, save

if TYPE_CHECKING:
    from pathlib import Path

HARD = r'a_b & <c> | 50% #1 {x}^2 ~ \y $z *w* `v` "q"'
GRID = Grid(
    ("m_1", "m|2"),
    (
        Section("", (Row(HARD, (Cell("-1.5", "*"), Cell())), Row("", (Cell("[-2.0, 3.0]"), Cell("(0.1)"))))),
        Section("Nothing", ()),
        Section("R & D", (Row("[T.x]", (Cell("2"), Cell("3"))),)),
    ),
    title="A & B",
    notes=("p < 0.05",),
)


def test_text_lines_up() -> None:
    lines = as_text(GRID).splitlines()
    assert lines[0] == "A & B"
    assert lines[-1] == "p < 0.05"
    body = [line for line in lines[1:-1] if not line.startswith("---")]
    assert {len(line) for line in lines if line.startswith("---")} == {max(map(len, body))}
    # figures end in one column, and what closes a bracket or is a code of significance stands beyond it
    one, two, last = (next(line for line in body if part in line) for part in ("-1.5*", "[-2.0", "[T.x]"))
    ends = [one.index("-1.5*") + 3, two.index("3.0]") + 2, last.index(" 2 ") + 1]
    assert len(set(ends)) == 1
    assert "Nothing" not in lines


def test_html_is_well_formed_and_says_what_was_said() -> None:
    text = as_html(GRID).replace("&minus;", "−")
    table = ElementTree.fromstring(text)
    names = [cell.text for cell in table.iter("th") if cell.get("scope") == "row"]
    assert names == [HARD, "[T.x]"]
    assert table.find("caption").text == "A & B"
    widths = [sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter("tr")]
    assert set(widths) == {3}
    assert [sup.text for sup in table.iter("sup")] == ["*"]
    assert "−1.5" in text


def unescaped(text: str) -> str:
    """What LaTeX would print of text that `escape_latex` wrote."""
    back = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<"}
    back |= {r"\textgreater{}": ">", r"\textbar{}": "|", r"\textquotedbl{}": '"', "$-$": "-"}
    pattern = "|".join([*map(re.escape, back), r"\\[&%$#_{}]"])
    return re.sub(pattern, lambda match: back.get(match[0], match[0][1:]), text)


def test_latex_rows_have_all_their_columns() -> None:
    lines = as_latex(GRID, "tab:a").splitlines()
    assert lines[:4] == [r"\begin{table}", r"\centering", r"\caption{A \& B}", r"\label{tab:a}"]
    rows = [line.removesuffix(r" \\") for line in lines if line.endswith(r"\\") and r"\multicolumn" not in line]
    cells = [re.split(r"(?<!\\)&", row) for row in rows]
    assert {len(row) for row in cells} == {3}
    assert unescaped(cells[1][0].strip()) == HARD
    assert cells[1][1].strip() == "$-$1.5$^{*}$"
    # a bracket after a line break would be its argument
    assert cells[3][0].startswith("{}[T.x]")
    assert lines.count(r"\midrule") == 2
    assert [line for line in lines if "rule" in line and "mid" not in line] == [r"\toprule", r"\bottomrule"]
    assert not re.search(r"(?<!\\)[#%_]", as_latex(GRID))


def test_latex_without_title_is_a_tabular_alone() -> None:
    assert as_latex(Grid(("m",), ())).startswith(r"\begin{tabular}{lr}")


def test_minus_signs_are_those_of_numbers() -> None:
    assert escape_latex("1990-12 x-1 -2 (-3.5) [-1, -2]") == "1990-12 x-1 $-$2 ($-$3.5) [$-$1, $-$2]"


def test_markdown_rows_have_all_their_columns() -> None:
    lines = as_markdown(GRID).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {4}
    assert len({len(line) for line in rows}) == 1
    assert re.sub(r"\\(.)", r"\1", rows[2].split(" | ")[0].removeprefix("| ").strip()) == HARD
    assert escape_markdown("a*b_c") == r"a\*b\_c"
    assert lines[-1] == r"p \< 0.05"


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [
        (".txt", "A & B"),
        (".html", "<!DOCTYPE html>"),
        (".htm", "<!DOCTYPE"),
        (".tex", r"\begin{table}"),
        (".md", "**A & B**"),
    ],
)
def test_files_by_suffix(tmp_path: Path, suffix: str, begins: str) -> None:
    file = tmp_path / f"table{suffix}"
    save(GRID, str(file))
    assert file.read_text(encoding="utf-8").startswith(begins)


def test_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'a.doc' ends in none of .txt, .html, .tex, .md, .docx"):
        save(GRID, tmp_path / "a.doc")
    with pytest.raises(DataError, match="'table' ends in none"):
        save(GRID, tmp_path / "table")


@pytest.mark.parametrize("suffix", [".tex", ".docx"])
def test_a_folder_that_is_not_there(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(MissingFileError, match=r"no folder '.*none' to write"):
        save(GRID, tmp_path / "none" / f"table{suffix}")
