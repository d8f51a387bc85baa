"""docs/reference/index.rst names all that is public, and nothing that is not there."""

import importlib
import inspect
import re

import pytest

import mixfit
from mixfit import bayes, datasets, errors, plots
from tests.docs.pages import DOCS

TEXT = (DOCS / "reference" / "index.rst").read_text(encoding="utf-8")
NAMES = re.findall(r"^   ~?([A-Za-z_][\w.]*)$", TEXT, flags=re.MULTILINE)


def found(name):
    """What a name of the reference stands for: an attribute of the package, or of one of its modules."""
    if "." not in name:
        return getattr(mixfit, name)
    module, _, last = f"mixfit.{name}".rpartition(".")
    return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_names_is_there_and_described(name):
    assert inspect.getdoc(found(name))


@pytest.mark.parametrize(
    ("module", "prefix"),
    [(mixfit, ""), (plots, "plots."), (datasets, "datasets."), (errors, "errors."), (bayes, "bayes.")],
)
def test_it_names_what_is_public(module, prefix):
    public = {name for name in module.__all__ if not inspect.ismodule(getattr(module, name))} - {"__version__"}
    assert {prefix + name for name in public} <= set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isfunction(found(name))])
def test_every_function_has_an_example(name):
    assert "\n>>> " in inspect.getdoc(found(name))


def test_nothing_twice():
    assert len(NAMES) == len(set(NAMES))
