"""docs/relatives.md: what its prose says of its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.docs.pages import run

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


def test_numbers_of_the_page() -> None:
    page = run("relatives.md")
    assert not any(cell.error for cell in page.cells)
    names = page.names
    assert np.allclose(np.diagonal(names["K"]), 1.0)
    shares = names["phylo"].heritability()
    assert shares["Upper"][0] - shares["Lower"][0] > 0.5
    assert names["phylo"].model.groups["species"].n_levels == 22
    assert abs(names["animals"].heritability()["Share"][0] - 4.0 / 7.25) < 0.15
    assert "animals with a breeding value: 250" in page.printed
    assert "correlation with the true ones of ancestors: 0.33" in page.printed
    assert len(names["fits"][2].theta) == 19
    page.says("With ten traits an unstructured covariance has 55 parameters", "fits these alone")
