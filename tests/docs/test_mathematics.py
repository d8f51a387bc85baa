"""docs/mathematics.md: each function that its table names is where it says, and each package too."""

import importlib
import re

import pytest

from tests.docs.pages import DOCS

TEXT = (DOCS / "mathematics.md").read_text(encoding="utf-8")
ROWS = [
    (file, name)
    for file, names in re.findall(r"^\| .* \| `([\w/]+)\.py` \| (`.*`) \|$", TEXT, flags=re.MULTILINE)
    for name in re.findall(r"`(\w+)`", names)
]


def test_the_table_is_read():
    assert len(ROWS) > 25


@pytest.mark.parametrize(("file", "name"), ROWS)
def test_functions_are_where_the_table_says(file, name):
    module = importlib.import_module("mixfit." + file.replace("/", "."))
    assert getattr(module, name).__module__ == module.__name__


@pytest.mark.parametrize("package", re.findall(r"^\| \d \| `([\w.]+)` \|", TEXT, flags=re.MULTILINE))
def test_packages_are_there(package):
    assert importlib.import_module(package).__doc__
