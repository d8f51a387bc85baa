"""CONTRIBUTING.md, CHANGELOG.md and CITATION.cff say what is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import mixfit
from tests.layers import LAYERS, PUBLIC
from tests.processors import CORES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_table_of_layers_is_the_one_that_is_enforced() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
    assert [int(level) for level, _ in rows] == list(range(len(rows)))
    rooms = [tuple(re.findall(r"`(\w+)`", names)) for _, names in rows]
    inside = [layer for layer in LAYERS if layer not in ((PUBLIC,), ("__main__",))]
    assert rooms == inside


NAMED = sorted(set(re.findall(r"`((?:mixfit|tests|docs|\.ci)/[\w./]*)`|\]\(([\w./]+\.md)\)", PAGE)))


@pytest.mark.parametrize("path", [a or b for a, b in NAMED])
def test_files_that_it_names_are_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_it_names_the_processors_and_the_longest_file() -> None:
    assert all(f"`{core}`" in PAGE or f"={core}`" in PAGE for core in CORES)
    assert "at most 400 lines" in PAGE


def test_the_version_is_one() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([\d.]+)\] - \d{4}-\d\d-\d\d$", changes, flags=re.MULTILINE)
    assert re.search(r"^## \[Unreleased\]$", changes, flags=re.MULTILINE)
    assert PROJECT["version"] == mixfit.__version__ == versions[0]
    assert f"\nversion: {mixfit.__version__}\n" in citation


def test_workflows_test_every_python_that_is_promised() -> None:
    workflow = ROOT / ".github" / "workflows" / "tests.yml"
    if not workflow.exists():
        pytest.skip("not a git checkout")
    promised = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    assert promised[0] == PROJECT["requires-python"].removeprefix(">=")
    tested = re.search(r"python: (\[.*\])", workflow.read_text(encoding="utf-8"))
    assert tested is not None
    assert re.findall(r"3\.\d+", tested[1]) == promised
