"""docs/gallery.md: every cell runs, and every function of mixfit.plots is in a line of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mixfit import plots
from tests.docs.pages import DOCS, run

TEXT = (DOCS / "gallery.md").read_text(encoding="utf-8")
# Functions that methods of results stand for.
METHODS = {
    "calibration": ".cross_validate(",
    "coefficients_by_group": "fits.plot()",
    "effects_plot": ".effects(",
    "means_plot": ".emmeans(",
    "power_lines": ".power(",
    "profile_zeta": ".profile().plot()",
    "variogram_plot": ".plot.variogram(",
}


@pytest.mark.parametrize("name", plots.__all__)
def test_every_figure_is_shown(name: str) -> None:
    assert METHODS.get(name, f".{name}(") in TEXT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:More than 20 figures")
def test_every_cell_runs_and_draws() -> None:
    page = run("gallery.md")
    assert all(cell.error is None for cell in page.cells)
    assert page.names["check"].checks[4].doubtful


def test_it_is_among_the_guides() -> None:
    guides = (Path(DOCS) / "guides.md").read_text(encoding="utf-8")
    assert re.search(r"^gallery$", guides, flags=re.MULTILINE)
