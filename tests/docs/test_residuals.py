"""docs/residuals.md: every cell runs, and what the prose says of the fits is so."""

from __future__ import annotations

import pytest

from tests.docs.pages import run


def test_what_the_page_says_of_its_fits() -> None:
    page = run("residuals.md")
    assert all(cell.error is None for cell in page.cells)
    names = page.names
    fits = names["fits"]
    assert min(fits, key=lambda shape: fits[shape].aic) == "us(visit | subject)"
    assert names["blues"]["subject"].nunique() == 97
    assert names["teeth"]["Subject"].nunique() == 27
    strata = names["strata"]
    assert strata.conf_int(which="log sd(Sex[T.Female]|Residual)").iloc[0, 1] < -0.5
    assert names["alone"].llf == pytest.approx(names["same"].llf, abs=1e-8)


def test_the_contrasts_have_kenward_and_rogers_degrees_of_freedom() -> None:
    page = run("residuals.md")
    assert "kenward-roger" in str(page.names["means"])
