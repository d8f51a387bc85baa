"""The examples in the docstrings of the package print what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

PACKAGE = Path(__file__).resolve().parent.parent / "mixfit"
# Packages that only one part of mixfit needs, and that the tests do not: an example with them is marked +SKIP.
OPTIONAL = {"marginaleffects"}
PROMPT = re.compile(r"^ *>>> (?!.*doctest: \+SKIP)", flags=re.MULTILINE)


def modules_with_examples() -> dict[str, int]:
    """The dotted names of files with examples, and how many lines of them are to run."""
    counts = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if count := len(PROMPT.findall(path.read_text(encoding="utf-8"))):
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            counts[name.removesuffix(".__init__")] = count
    return counts


@pytest.fixture
def without_screen():
    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.mark.usefixtures("without_screen")
@pytest.mark.parametrize(("name", "count"), modules_with_examples().items())
def test_examples_print_what_they_say(name: str, count: int) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name not in OPTIONAL:
            raise
        pytest.skip(f"{missing.name} is not installed")
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted == count, "not every example ran: doctest does not look into cached properties"


def test_there_are_examples() -> None:
    assert len(modules_with_examples()) > 50
