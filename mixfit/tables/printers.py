"""A grid as plain text, HTML, LaTeX with booktabs, and Markdown: one layout, and what each of them escapes."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from mixfit.arguments import check_folder
from mixfit.errors import DataError
from mixfit.tables.numbers import MINUS
from mixfit.tables.word import save_docx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixfit.tables.grid import Cell, Grid

__all__ = ["as_html", "as_latex", "as_markdown", "as_text", "escape_latex", "escape_markdown", "save"]

_GAP = "  "
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}
_SPECIAL_IN_LATEX = re.compile("|".join(map(re.escape, _LATEX)))
# What Markdown, with the usual extensions, reads as markup wherever it stands.
_SPECIAL_IN_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~$#])")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
{table}
</body>
</html>
"""


def as_text(grid: Grid) -> str:
    """Lay out a grid in characters of one width.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    str

    Examples
    --------
    >>> from mixfit.tables.grid import Cell, Grid, Row, Section
    >>> print(as_text(Grid(("m",), (Section("", (Row("a", (Cell("1.5"),)), Row("", (Cell("(0.2)"),)))),))))
    --------
           m
    --------
    a   1.5
       (0.2)
    --------
    """
    rows = [row for section in grid.filled() for row in section.rows]
    titles = [section.title for section in grid.filled()]
    margin = max((len(name) for name in (*(row.name for row in rows), *titles)), default=0)
    columns = [[_hanging(row.cells[j]) for row in rows] for j in range(len(grid.columns))]
    widths = [max(len(head), *(len(c) for c in column), 0) for head, column in zip(grid.columns, columns, strict=True)]
    rule = "-" * (margin + sum(len(_GAP) + width for width in widths))

    def line(name: str, cells: Sequence[str]) -> str:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return _GAP.join([name.ljust(margin), *padded]).rstrip()

    out = [grid.title, rule] if grid.title else [rule]
    out.append(line("", grid.columns))
    for section in grid.filled():
        out.append(rule)
        if section.title:
            out.append(section.title)
        out += [line(row.name, [_hanging(cell) for cell in row.cells]) for row in section.rows]
    return "\n".join([*out, rule, *grid.notes])


def _hanging(cell: Cell) -> str:
    """Numbers end in one column, with what closes a bracket or a code of significance beyond it."""
    text = cell.plain
    return text if not text or text[-1] in ")]*+" else f"{text} "


def as_html(grid: Grid) -> str:
    """Write a grid as a table of HTML; all text is escaped.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    str

    Examples
    --------
    >>> from mixfit.tables.grid import Cell, Grid, Row, Section
    >>> "a &lt; b" in as_html(Grid(("m",), (Section("", (Row("a < b", (Cell("1"),)),)),)))
    True
    """
    left, right = ' style="text-align:left"', ' style="text-align:right"'
    width = len(grid.columns) + 1

    def written(cell: Cell) -> str:
        text = MINUS.sub("&minus;", escape(cell.text))
        return f"<td{right}>{text}{f'<sup>{escape(cell.code)}</sup>' if cell.code else ''}</td>"

    head = "".join(f'<th scope="col"{right}>{escape(name)}</th>' for name in grid.columns)
    parts = ['<table class="mixfit mixfit-models">']
    if grid.title:
        parts.append(f"<caption{left}>{escape(grid.title)}</caption>")
    parts.append(f"<thead><tr><td></td>{head}</tr></thead>")
    for section in grid.filled():
        parts.append("<tbody>")
        if section.title:
            parts.append(f'<tr><th colspan="{width}" scope="rowgroup"{left}><i>{escape(section.title)}</i></th></tr>')
        for row in section.rows:
            name = f'<th scope="row"{left}>{escape(row.name)}</th>' if row.name else "<td></td>"
            parts.append(f"<tr>{name}{''.join(map(written, row.cells))}</tr>")
        parts.append("</tbody>")
    if grid.notes:
        lines = "<br>".join(escape(note) for note in grid.notes)
        parts.append(f'<tfoot><tr><td colspan="{width}"{left}>{lines}</td></tr></tfoot>')
    return "\n".join([*parts, "</table>"])


def escape_latex(text: str) -> str:
    r"""Text with everything escaped that LaTeX takes for a command.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> print(escape_latex(r"50% of a_b"), escape_latex("-1.5"))
    50\% of a\_b $-$1.5
    """
    return MINUS.sub("$-$", _SPECIAL_IN_LATEX.sub(lambda match: _LATEX[match[0]], text))


def as_latex(grid: Grid, label: str = "") -> str:
    r"""Write a grid as a tabular of LaTeX, with the rules of its package booktabs.

    Parameters
    ----------
    grid : Grid
    label : str
        For ``\ref``; with it, or a title, the tabular stands in a table environment.

    Returns
    -------
    str

    Examples
    --------
    >>> from mixfit.tables.grid import Cell, Grid, Row, Section
    >>> print(as_latex(Grid(("m",), (Section("", (Row("a", (Cell("-1.5", "*"),)),)),))))
    \begin{tabular}{lr}
    \toprule
     & m \\
    \midrule
    a & $-$1.5$^{*}$ \\
    \bottomrule
    \end{tabular}
    """
    width = len(grid.columns) + 1

    def line(name: str, cells: Sequence[str]) -> str:
        # At the beginning of a row these would be arguments of the line break before it.
        guard = "{}" if name.startswith(("[", "*")) else ""
        return " & ".join([guard + escape_latex(name), *cells]) + r" \\"

    def written(cell: Cell) -> str:
        return escape_latex(cell.text) + (f"$^{{{cell.code}}}$" if cell.code else "")

    out = [rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}", r"\toprule"]
    out.append(line("", [escape_latex(name) for name in grid.columns]))
    for section in grid.filled():
        out.append(r"\midrule")
        if section.title:
            out.append(rf"\multicolumn{{{width}}}{{l}}{{\textit{{{escape_latex(section.title)}}}}} \\")
        out += [line(row.name, [written(cell) for cell in row.cells]) for row in section.rows]
    out.append(r"\bottomrule")
    out.append(r"\end{tabular}")
    out += [rf"\par{{\footnotesize {escape_latex(note)}}}" for note in grid.notes]
    if not (grid.title or label):
        return "\n".join(out)
    caption = [rf"\caption{{{escape_latex(grid.title)}}}"] if grid.title else []
    place = [rf"\label{{{label}}}"] if label else []
    return "\n".join([r"\begin{table}", r"\centering", *caption, *place, *out, r"\end{table}"])


def escape_markdown(text: str) -> str:
    r"""Text with everything escaped that Markdown takes for markup.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> print(escape_markdown("I(x ** 2) | a_b"))
    I(x \*\* 2) \| a\_b
    """
    return _SPECIAL_IN_MARKDOWN.sub(r"\\\1", text)


def as_markdown(grid: Grid) -> str:
    """Write a grid as a pipe table of Markdown, as GitHub and pandoc read it.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    str

    Examples
    --------
    >>> from mixfit.tables.grid import Cell, Grid, Row, Section
    >>> print(as_markdown(Grid(("m",), (Section("", (Row("a", (Cell("1.5"),)),)),))))
    |     |   m |
    | :-- | --: |
    | a   | 1.5 |
    """
    rows = [["", *(escape_markdown(name) for name in grid.columns)]]
    for section in grid.filled():
        if section.title:
            rows.append([f"*{escape_markdown(section.title)}*", *[""] * len(grid.columns)])
        rows += [[escape_markdown(row.name), *(escape_markdown(c.plain) for c in row.cells)] for row in section.rows]
    widths = [max(3, *(len(row[j]) for row in rows)) for j in range(len(grid.columns) + 1)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return f"| {' | '.join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in others)])} |"

    rule = line([":".ljust(widths[0], "-"), *("-" * (w - 1) + ":" for w in widths[1:])])
    title = [f"**{escape_markdown(grid.title)}**", ""] if grid.title else []
    notes = [part for note in grid.notes for part in ("", escape_markdown(note))]
    return "\n".join([*title, line(rows[0]), rule, *(line(row) for row in rows[1:]), *notes])


def save(grid: Grid, path: str | Path, label: str = "") -> None:
    """Write a grid to a file, by its suffix.

    Parameters
    ----------
    grid : Grid
    path : str or Path
        Ending in .txt, .html, .tex, .md or .docx.
    label : str
        As of `as_latex`.

    Raises
    ------
    DataError
        For another suffix.
    MissingPackageError
        For .docx without python-docx.
    MissingFileError
        Where there is no such folder.
    """
    file = Path(path)
    check_folder(file)
    suffix = {".htm": ".html", ".markdown": ".md"}.get(file.suffix.lower(), file.suffix.lower())
    if suffix == ".docx":
        save_docx(grid, file)
        return
    makers: dict[str, Callable[[], str]] = {
        ".txt": lambda: as_text(grid) + "\n",
        ".html": lambda: _PAGE.format(title=escape(grid.title or "Models"), table=as_html(grid)),
        ".tex": lambda: as_latex(grid, label) + "\n",
        ".md": lambda: as_markdown(grid) + "\n",
    }
    if suffix not in makers:
        known = ", ".join((*makers, ".docx"))
        raise DataError(f"{file.name!r} ends in none of {known}, by which the table's form is chosen.")
    file.write_text(makers[suffix](), encoding="utf-8")
