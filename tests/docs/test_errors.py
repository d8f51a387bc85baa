"""docs/errors.md: a section of every error and warning, in the order of their kinds, and what it says of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import mixfit
from mixfit import errors
from tests.docs.pages import DOCS, run

TEXT = (DOCS / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))
CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "warn"]
BASES = (errors.MixfitError, errors.MixfitWarning)
# What Python's protocols ask for, and what only says that a subclass has not done its part.
PROTOCOLS = {"AttributeError", "KeyError", "NotImplementedError", "AssertionError"}
# What users do not call: the message is to who writes the call.
INTERNAL = {"formula/terms.py", "matrices/reader.py", "covariance/given.py", "gram/products.py"}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_section_that_it_knows(kind: type) -> None:
    assert kind.page == f"errors.html#{kind.__name__.lower()}"
    section = " ".join(SECTIONS[kind.__name__].split())
    if kind not in BASES:
        assert "*Cause.*" in section
        assert "*What to do.*" in section
        parent = kind.__mro__[1]
        assert parent in BASES or section.startswith(f"A `{parent.__name__}`.")
        other = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins"]
        assert all(f"`{name}` too." in section for name in other)


def test_every_section_is_of_a_class_and_has_an_anchor() -> None:
    assert set(SECTIONS) == {kind.__name__ for kind in CLASSES}
    depth = int(re.search(r"myst_heading_anchors = (\d)", (DOCS / "conf.py").read_text(encoding="utf-8"))[1])
    assert depth >= 3


def test_a_class_of_ones_own_stands_where_its_parent_does() -> None:
    class Mine(errors.DataError):
        pass

    assert Mine.page == errors.DataError.page
    assert Mine("said").page == errors.DataError.page


def test_the_page_runs() -> None:
    printed = run("errors.md").printed
    assert printed == "The data have no column 'Dys'. Did you mean 'Days'? See errors.html#formulaerror.\n"


def test_all_that_the_package_raises_is_of_one_hierarchy() -> None:
    package = Path(mixfit.__file__).parent
    bare = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.exc.func if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else ""
            is_builtin = isinstance(getattr(__import__("builtins"), name, None), type)
            if is_builtin and name not in PROTOCOLS and str(path.relative_to(package)) not in INTERNAL:
                bare.append(f"{path.relative_to(package)}:{node.lineno} {name}")
    assert not bare
