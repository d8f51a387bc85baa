"""docs/ten_tasks.md: ten tasks of at most three lines each, which run, and what the prose says of them is so."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import CELL, DOCS, run, split

PAGE = "ten_tasks.md"
TASKS = re.split(r"^## ", (DOCS / PAGE).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
# The lines that a task may take, and the characters that a line may have.
MOST_LINES, WIDEST = 3, 120


@pytest.fixture(scope="module")
def page():
    return run(PAGE)


def test_there_are_ten() -> None:
    assert [int(task.split(".")[0]) for task in TASKS] == list(range(1, 11))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.splitlines()[0])
def test_a_task_takes_three_lines(task: str) -> None:
    lines = [line for block in CELL.findall(task) for line in split(block)[1].splitlines() if line.strip()]
    assert 1 <= len(lines) <= MOST_LINES
    assert all(len(line) <= WIDEST and ";" not in line.removesuffix(";") for line in lines)


def test_every_cell_runs_and_shows_something(page) -> None:
    assert all(cell.error is None for cell in page.cells)
    assert all(cell.printed or cell.value is not None for cell in page.cells)


def test_what_the_page_says(page) -> None:
    names = page.names
    assert names["fit"].model.design.n_rows == 180
    assert len(names["fit"].check_model().checks) == 6
    scores = names["left_out"]
    assert scores["simple"]["rmse"] == pytest.approx(scores["fit"]["rmse"], rel=1e-6)
    assert scores["simple"]["log_score"] < scores["fit"]["log_score"]
    assert names["fit"].anova()["DenDF"].iloc[0] == pytest.approx(17.0, abs=1e-3)
