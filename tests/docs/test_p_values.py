"""docs/p_values.md: every cell runs, and what the prose says of them is so."""

from __future__ import annotations

import mixfit
from mixfit.inference.fixed_effects.denominator import automatic
from tests.docs.pages import run
from tests.simulation.sizes import EFFECTS, GROUPS, METHODS


def test_what_the_page_says_of_its_fits() -> None:
    page = run("p_values.md")
    assert mixfit.options.ddf == "auto"
    fit, few = page.names["fit"], page.names["few"]
    assert (automatic(fit)[0], automatic(few)[0]) == ("satterthwaite", "kenward-roger")
    assert "Kenward-Roger's method" in page.printed
    assert (few.summary().coefficients["Std. Error"] != few.bse).all()


def test_the_table_has_the_methods_and_groups_of_its_study() -> None:
    rows = [line for line in run("p_values.md").text.splitlines() if line.startswith("| ") and "±" in line]
    assert [line.split("|")[1:3] for line in rows] == [[f" {n} ", f" `{e}` "] for n in GROUPS for e in EFFECTS]
    assert f"| groups | effect | {' | '.join(METHODS)} |" in run("p_values.md").text
