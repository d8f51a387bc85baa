"""docs/binary_data.md and the script that makes its numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCRIPT = DOCS / "scripts" / "binary_data.py"
PAGE = (DOCS / "binary_data.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("binary_data", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(script):
    """Three data sets of pairs and three of clusters of twenty."""
    return script.study(sizes=(2, 20), replicates=3)


def test_the_page_names_its_command_figure_and_marginal_slope(script):
    assert f"python docs/scripts/{SCRIPT.name}\n" in PAGE
    assert (DOCS / "images" / "binary_data.png").stat().st_size > 10_000
    assert "(images/binary_data.png)" in PAGE
    assert f"one of {script.marginal_slope():.2f} in the average over clusters." in PAGE
    # The average over u of logistic(x + 2u), its slope in x at zero over a quarter.
    u, w = np.polynomial.hermite_e.hermegauss(101)
    p = 1.0 / (1.0 + np.exp(-script.SD * u))
    assert_allclose(4.0 * (w / w.sum()) @ (p * (1.0 - p)), script.marginal_slope(), rtol=0.1)


def test_the_page_has_a_row_of_every_size_and_method(script):
    cells = [line.split(" | ")[:2] for line in PAGE.splitlines() if line.startswith("| ") and "±" in line]
    assert cells == [[f"| {size}", method] for size in script.SIZES for method in script.METHODS]


def test_the_table_is_the_page_s(script, rows):
    lines = script.table(rows).splitlines()
    assert "\n".join(lines[:2]) in PAGE
    assert len(lines) == 2 + 2 * len(script.METHODS)
    means = rows[(rows["size"] == 20) & (rows["method"] == "PQL")].mean(numeric_only=True)
    assert lines[-4].startswith(f"| 20 | PQL | {means['SD']:.2f} ± ")


def test_the_lesson(rows):
    by = rows.groupby(["size", "method"])["SD"].mean()
    assert by[2, "PQL"] < 0.6 < by[2, "Laplace"] < by[2, "n_agq=20"]
    assert by[2, "PQL"] < by[20, "PQL"] < 0.95
    assert abs(by[20, "n_agq=20"] - 1.0) < 0.1


def test_the_figure_is_drawn(script, rows, tmp_path):
    pytest.importorskip("matplotlib")
    script.draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
