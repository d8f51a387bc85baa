"""docs/large_data.md: what its prose says of its numbers."""

from __future__ import annotations

import pytest

from mixfit.errors import RowsError, SourceError
from tests.docs.pages import run

pytest.importorskip("duckdb")
# The page runs as its build runs it.
pytestmark = pytest.mark.slow


def test_what_the_page_shows() -> None:
    page = run("large_data.md")
    assert [type(cell.error) for cell in page.cells if cell.error] == [RowsError, SourceError]
    assert "largest relative difference below 1e-8: True" in page.printed
    assert "60000 rows" in page.printed
    assert "grouped sums" in page.printed
    assert page.names["binary"].design.n_rows == 60_000
    assert len(page.names["binary"].design.representatives.y) < 20_000
    assert "visits2.parquet" in str(page.cells[-2].error)
