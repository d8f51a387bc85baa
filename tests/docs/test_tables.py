"""docs/tables.md: every cell runs, and what the prose says of the tables is so."""

from __future__ import annotations

from tests.docs.pages import run


def test_what_the_page_says() -> None:
    page = run("tables.md")
    assert all(cell.error is None for cell in page.cells)
    slopes, robust = page.names["slopes"], page.names["intercepts"].robust("CR2")
    assert abs(robust.bse["Days"] / slopes.bse["Days"] - 1.0) < 0.05
    assert page.names["intercepts"].bse["Days"] < 0.6 * robust.bse["Days"]
    assert r"\toprule" in page.printed
    assert "| AIC " in page.printed
