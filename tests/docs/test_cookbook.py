"""docs/cookbook.md: thirty questions, each with a cell of at most three lines that runs and shows something."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import CELL, DOCS, run, split

PAGE = "cookbook.md"
TEXT = (DOCS / PAGE).read_text(encoding="utf-8")
ANSWERS = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
# The page says so.
QUESTIONS, MOST_LINES = 30, 3


@pytest.fixture(scope="module")
def page():
    return run(PAGE)


def test_there_are_thirty_questions() -> None:
    titles = [answer.splitlines()[0] for answer in ANSWERS]
    assert len(set(titles)) == QUESTIONS
    assert all(title.startswith("How ") and title.endswith("?") for title in titles)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.splitlines()[0])
def test_an_answer_is_short(answer: str) -> None:
    lines = split(CELL.findall(answer)[0])[1].splitlines()
    assert 1 <= len(lines) <= MOST_LINES


def test_every_cell_runs_and_shows_something(page) -> None:
    # The first cell loads the data, the last removes the folder.
    for cell in page.cells[1:-1]:
        refused = "raises-exception" in cell.tags
        assert refused == (cell.error is not None)
        assert refused or cell.printed or cell.value is not None, cell.source


def test_what_the_answers_say(page) -> None:
    answers = dict(zip([cell.source.strip() for cell in page.cells], page.cells, strict=True))
    singular = next(cell for source, cell in answers.items() if source.endswith("is_singular"))
    assert singular.value is True
    refused = next(cell for source, cell in answers.items() if source == "fit.VarCorr")
    assert "'varcorr'" in str(refused.error)
    streamed = next(cell for source, cell in answers.items() if "to_parquet" in source)
    assert streamed.value.to_numpy() == pytest.approx(page.names["fit"].params.to_numpy(), rel=1e-8)
