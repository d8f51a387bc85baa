"""docs/which_model.md: every model of its tables is made, and what it names exists."""

from __future__ import annotations

import re

import pytest

import mixfit
from mixfit.families.resolve import resolve_family
from tests.docs.pages import DOCS, run

PAGE = "which_model.md"
TEXT = (DOCS / PAGE).read_text(encoding="utf-8")
CODE = [code.replace(r"\|", "|") for code in re.findall(r"`([^`\n]+)`", TEXT)]
MODELS = [code for code in CODE if code.startswith("mixed(")]


@pytest.fixture(scope="module")
def fit():
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()


def test_the_tables_are_read() -> None:
    assert len(MODELS) == 20
    assert len(re.findall("^## [1-6]", TEXT, flags=re.MULTILINE)) == 6


@pytest.mark.parametrize("call", MODELS)
def test_every_model_is_made(call: str) -> None:
    assert eval(call, dict(run(PAGE).names)).fit is not None


def test_families_exist() -> None:
    named = {name for code in CODE for name in re.findall(r'family="([^"]+)"', code)} - {"cumulative"}
    assert len(named) > 8
    for name in named:
        resolve_family(name)


def test_names_exist(fit) -> None:
    for code in CODE:
        for name in re.findall(r"\bmixfit\.(\w+)", code):
            assert hasattr(mixfit, name), code
        for name in re.findall(r"\bfit\.(?!plot\.)(\w+)", code):
            assert hasattr(fit, name), code
    assert callable(fit.plot.variogram)
