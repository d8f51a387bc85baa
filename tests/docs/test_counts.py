"""docs/counts.md: every cell runs, and what the prose says of the fits is so."""

from __future__ import annotations

import pytest

from tests.docs.pages import run


@pytest.mark.slow
def test_what_the_page_says_of_the_salamanders() -> None:
    whole = run("counts.md")
    assert all(cell.error is None for cell in whole.cells)
    page = whole.names
    zeros = page["poisson"].frequencies(5).frame["ratio"]
    assert zeros["0"] == pytest.approx(1.25, abs=0.01)
    assert (zeros[["1", "3"]] < 0.7).all()
    tests = {name: page[name].residual_tests(seed=1).frame["p.value"] for name in ("zip_", "nbinom", "nbinom1")}
    assert tests["zip_"]["dispersion"] < 0.05
    assert tests["nbinom"]["zero inflation"] > 0.05
    assert (tests["nbinom1"] > 0.05).all()
    table = page["poisson"].compare_families([page["nbinom"], page["zinb"], "nbinom1"]).frame
    assert table.index[0] == "nbinom1(log)"
    assert page["spread"].converged
    # The effects of the mean and of zeros hardly go together.
    assert abs(page["together"].varcorr().to_frame().sdcor[2]) < 0.2
    assert page["together"].llf - page["apart"].llf < 0.1
