"""Numbers that decide something stand at the top of their file, each or each group of them below its reason."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mixfit"
# A group of constants shares one comment.
ASSIGNMENT = re.compile(r"[_A-Z][A-Za-z0-9_, ]*(: .+)? = ")


def is_number(node: ast.expr) -> bool:
    """Whether a number is written in it."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and not isinstance(node.value, bool)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    if isinstance(node, ast.BinOp):
        return is_number(node.left) or is_number(node.right)
    return isinstance(node, ast.Tuple) and bool(node.elts) and all(map(is_number, node.elts))


def without_reason(text: str) -> list[str]:
    """Names of the constants of a module that no comment stands above."""
    lines, found = text.splitlines(), []
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if not (isinstance(targets[0], ast.Name) and targets[0].id.isupper() and value and is_number(value)):
            continue
        above = node.lineno - 2
        while above >= 0 and ASSIGNMENT.match(lines[above]):
            above -= 1
        if above < 0 or not lines[above].startswith("#"):
            found.append(targets[0].id)
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_constant_has_its_reason(path: Path) -> None:
    assert without_reason(path.read_text()) == []


def test_a_constant_without_a_reason_is_found() -> None:
    assert without_reason("# Why.\n_A = 1.0\n_B = -2\n\n_C: float = 3.0 * x\n_D = (1, 2)\n_E = name\n") == ["_C", "_D"]
