"""Run a page of docs/ as its build does: every code cell from top to bottom, in one namespace."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"^:(\w+):(.*)$")


@dataclass(frozen=True)
class Cell:
    """A code cell after it ran: source, tags, what it printed, the value of its last expression or its error."""

    source: str
    tags: tuple[str, ...]
    printed: str
    value: Any
    error: BaseException | None


@dataclass(frozen=True)
class Page:
    """A page after it ran: its text, its prose in one line without code, its cells and the names that they left."""

    text: str
    prose: str
    cells: list[Cell]
    names: dict[str, Any] = field(repr=False)

    @property
    def printed(self) -> str:
        """All that the cells printed."""
        return "".join(cell.printed for cell in self.cells)

    def says(self, *sentences: str) -> None:
        """Assert that the prose holds each sentence; line breaks do not matter."""
        for sentence in sentences:
            assert " ".join(sentence.split()) in self.prose, sentence


def split(block: str) -> tuple[tuple[str, ...], str]:
    """Tags and source of a cell's text."""
    lines = block.splitlines()
    tags: tuple[str, ...] = ()
    while lines and (option := OPTION.match(lines[0])):
        if option[1] == "tags":
            tags = tuple(tag.strip() for tag in option[2].strip(" []").split(","))
        lines.pop(0)
    return tags, "\n".join(lines).strip("\n") + "\n"


def run_cell(source: str, tags: tuple[str, ...], names: dict[str, Any], name: str) -> Cell:
    """Execute one cell; only a cell tagged raises-exception may fail, and it must."""
    tree = ast.parse(source, filename=name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out, value, error = io.StringIO(), None, None
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(tree, name, "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), name, "eval"), names)
        except Exception as raised:
            if "raises-exception" not in tags:
                raise
            error = raised
    assert error is not None or "raises-exception" not in tags, f"this cell was to fail:\n{source}"
    return Cell(source, tags, out.getvalue(), value, error)


@cache
def run(name: str) -> Page:
    """Run docs/``name``; a page runs once a session, however many tests ask for it."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    text = (DOCS / name).read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [run_cell(source, tags, names, name) for tags, source in map(split, CELL.findall(text))]
    plt.close("all")
    prose = " ".join(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL).split())
    return Page(text, prose, cells, names)
