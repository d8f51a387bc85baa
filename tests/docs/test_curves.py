"""docs/curves.md: what the page shows is what nlmer and nlme find."""

import json
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from tests.docs.pages import run

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


def test_the_page_agrees_with_nlmer_and_nlme():
    page = run("curves.md")
    assert all(cell.error is None for cell in page.cells)
    names = page.names
    (case,) = [c for c in json.loads((Path(__file__).parents[1] / "data" / "nlmer.json").read_text()) if c["nlme"]]
    assert_allclose(names["fit"].llf, case["loglik"], atol=1e-4)
    assert_allclose(names["fit"].params, list(case["fixef"].values()), rtol=1e-3)
    assert_allclose(names["lb"].params, case["nlme"]["fixef"], rtol=1e-4)
    assert "True 0.0" in page.printed or "True -0.0" in page.printed
