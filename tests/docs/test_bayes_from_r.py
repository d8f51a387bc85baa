"""docs/bayes_from_r.md: it runs, every call of its tables is made, and what its prose says holds."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.docs.pages import DOCS, run

PAGE = "bayes_from_r.md"
ROW = re.compile(r"^\| (.+?[^\\]) \| (.+) \|$", flags=re.MULTILINE)

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


def calls() -> list[str]:
    """The code of the right columns of the tables: whatever stands between backticks."""
    rows = [row for row in ROW.findall((DOCS / PAGE).read_text(encoding="utf-8")) if "---" not in row[0]]
    return [code.replace(r"\|", "|") for _, right in rows for code in re.findall(r"`([^`]+)`", right)]


@pytest.fixture(scope="module")
def page():
    return run(PAGE)


def test_the_tables_are_read():
    assert len(calls()) > 15


@pytest.mark.parametrize("call", calls())
def test_every_call_of_the_tables_runs(call, page):
    assert eval(call, dict(page.names)) is not None


def test_no_cell_fails(page):
    assert not [cell.error for cell in page.cells if cell.error is not None]


def test_the_sampler_by_hand_agrees(page):
    names = page.names
    collapsed = names["fit"].sample("MCMCglmm", seed=2)
    assert_allclose(np.median(names["by_hand"], axis=0)[:2], collapsed.summary()["median"].iloc[:2], rtol=0.05)
    assert_allclose(names["by_hand"][:, 0].mean(), 60.4, atol=0.05)
    assert names["gibbs"].summary()["r_hat"].iloc[0] < 1.05


def test_expansion_helps(page):
    names = page.names
    name, size = "sd(operator, Intercept)", "ess_bulk"
    expanded = names["fit"].sample(names["expanded"], method="gibbs", seed=3).summary().loc[name, size]
    assert expanded > names["gibbs"].summary().loc[name, size]


def test_a_variance_that_is_not_zero(page):
    assert page.names["dyes"].fit().theta[0] == 0
    assert page.names["penalized"].theta[0] > 0.2
