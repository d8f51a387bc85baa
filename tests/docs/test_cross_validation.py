"""docs/cross_validation.md: every cell runs, and what the prose says of the scores is so."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn")

from tests.docs.pages import run


@pytest.mark.slow
def test_what_the_page_says_of_predictions() -> None:
    whole = run("cross_validation.md")
    assert all(cell.error is None for cell in whole.cells)
    page = whole.names
    rows, subjects, without = page["rows"], page["subjects"], page["without"]
    assert round(rows.score["rmse"]) == 28
    assert round(subjects.score["rmse"]) == 50
    assert without.score["rmse"] == pytest.approx(subjects.score["rmse"])
    lead = subjects.scores["log_score"] - without.scores["log_score"]
    assert lead.mean() == pytest.approx(0.07, abs=0.005)
    assert 2.7 < lead.mean() / lead.sem() < 3.0
    same = page["by_subject"]
    assert same.mean() > lead.mean()
    assert same.mean() / same.sem() < 2.0
    assert (same > 0.0).sum() == 16
    assert same.idxmin() == "332"
    assert page["fit"].caic().caic < page["intercepts"].caic().caic - 50
    refitted = page["mixfit"].cross_validate(page["fit"], by="Subject", refit="theta")
    assert 0.0 < subjects.score["log_score"] - refitted.score["log_score"] < 0.05
    assert refitted.score["rmse"] == pytest.approx(subjects.score["rmse"], rel=1e-6)
    assert page["search"].best_params_ == {"formula": "~ Days + (1 | Subject)"}
