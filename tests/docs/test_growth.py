"""docs/growth.md: every cell runs, and what the prose says of the fits is so."""

from __future__ import annotations

import numpy as np
import pytest

from mixfit.errors import DataError
from mixfit.model.mixed import mixed
from tests.docs.pages import run


def test_what_the_page_says_of_its_fits() -> None:
    page = run("growth.md")
    assert all(cell.error is None for cell in page.cells)
    names = page.names
    levels, process = names["levels"], names["process"]
    ratio = (process.bse / levels.bse).iloc[1:]
    assert ((ratio > 1.6) & (ratio < 2.1)).all()
    assert levels.pvalues.iloc[2] < 0.01 < 0.1 < process.pvalues.iloc[2]
    assert names["errors"][1] < 0.65 * names["errors"][0]
    first = [names["best"](names[fit])["variety"].iloc[0] for fit in ("blocks", "surface")]
    assert first[0] != first[1]
    with pytest.raises(DataError, match="not equally spaced"):
        mixed("weight ~ Time * Diet", names["rats"], residual="ar1(Time | Rat)")
    plots = names["plots"]
    endless = mixed("yield ~ variety", plots, residual="exp(latitude + longitude | field, nugget)").fit()
    assert endless.varcorr().residual[0].values[1] > 100.0 * np.ptp(plots["latitude"])
    assert endless.aic < names["surface"].aic
