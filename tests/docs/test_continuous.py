"""docs/continuous.md: every cell runs, and what the prose says of the fits is so."""

from __future__ import annotations

import pytest

from tests.docs.pages import run


@pytest.mark.slow
def test_what_the_page_says() -> None:
    whole = run("continuous.md")
    assert all(cell.error is None for cell in whole.cells)
    page = whole.names
    t, normal, sleep = page["t"], page["normal"], page["sleep"]
    assert t.shapes["df"] < 3.0
    table = t.compare_families(["gaussian", "skewnormal", "lognormal", "gamma"]).frame
    assert table.index[0].startswith("t(")
    assert (t.residual_tests(seed=1).frame["p.value"] > 0.05).all()
    apart = (t.predict() - normal.predict()).abs().groupby(sleep["Subject"]).max()
    assert set(apart.nlargest(3).index) == {"308", "332", "352"}
    assert apart["333"] < 0.5 * apart["332"]
    near, far = ((sleep["Reaction"] - fit.predict()).abs().median() for fit in (t, normal))
    assert near < 0.95 * far
    cover, hurdle = page["cover"], page["hurdle"]
    assert cover.params["shade"] == pytest.approx(2.0, abs=3.0 * cover.bse["shade"])
    assert cover.dispersion == pytest.approx(4.0, abs=1.0)
    families = hurdle.compare_families([page["tweedie"], page["lognormal"]]).frame
    assert families.index[0].startswith("gamma(log)")
    relapses = page["relapses"]
    assert relapses.params["treated"] == pytest.approx(0.6, abs=3.0 * relapses.bse["treated"])
    assert relapses.dispersion == pytest.approx(0.7, abs=0.1)
    assert (relapses.residual_tests(seed=1).frame["p.value"] > 0.05).all()
    assert relapses.compare_families(["exponential", "lognormal_aft"]).frame.index[0].startswith("weibull")
