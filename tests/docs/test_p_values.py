"""docs/p_values.md: every cell runs, and what the prose says of them is so."""

from __future__ import annotations

import mixfit
from mixfit.inference.fixed_effects.denominator import automatic
from tests.docs.pages import run


def test_what_the_page_says_of_its_fits() -> None:
    page = run("p_values.md")
    assert mixfit.options.ddf == "auto"
    fit, few = page.names["fit"], page.names["few"]
    assert (automatic(fit)[0], automatic(few)[0]) == ("satterthwaite", "kenward-roger")
    assert "Kenward-Roger's method" in page.printed
    assert (few.summary().coefficients["Std. Error"] != few.bse).all()
