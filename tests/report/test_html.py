from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mixfit.results import LinearResults
from mixfit.tables.layout import shown
from tests.dense import DenseModel
from tests.fitted.models import MODELS, fitted

GOLDEN = Path(__file__).parents[1] / "fitted" / "golden"


class Cells(HTMLParser):
    """The text of all cells, with a check that every tag is closed in turn."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", MODELS)
def test_tables_say_what_the_text_says(name: str) -> None:
    summary = fitted(name).summary(ddf="none")
    rows = Cells(summary._repr_html_()).rows
    text = str(summary)
    assert all(len(row) > 0 for row in rows)
    for cell in (cell for row in rows for cell in row):
        assert cell in text or cell == "REML criterion"
    headings = [row[0] for row in rows if len(row) == 4]
    assert set(map(shown, summary.coefficients.index)) <= set(headings)


def test_varcorr_as_a_table() -> None:
    rows = Cells(fitted("sleepstudy_reml").varcorr()._repr_html_()).rows
    assert rows == [
        ["Groups", "Name", "Std.Dev.", "Corr"],
        ["Subject", "(Intercept)", "24.7407", ""],
        ["", "Days", "5.9221", "0.066"],
        ["Residual", "", "25.5918", ""],
    ]


def test_names_are_escaped() -> None:
    fit = fitted("sleepstudy_reml")
    design = replace(fit.model.design, exog_names=("Intercept", "I(a < b & c)"))
    model = DenseModel(design, "y ~ I(a < b & c) + (1 | <script>)", "<b>data</b>")
    source = LinearResults(model, fit.estimate).summary(ddf="none").as_html()
    assert "<script>" not in source
    assert "<b>data" not in source
    assert "I(a &lt; b &amp; c)" in source
    assert Cells(source).rows


def test_html_is_what_it_was() -> None:
    assert fitted("sleepstudy_ml").summary(ddf="none").as_html() + "\n" == (GOLDEN / "sleepstudy_ml.html").read_text()
