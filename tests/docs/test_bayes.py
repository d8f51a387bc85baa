"""docs/bayes.md: it runs, every call of its table is made, and what its prose says holds."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mixfit.errors import PriorError
from tests.docs.pages import DOCS, run

PAGE = "bayes.md"
ROW = re.compile(r"^\| (.+?[^\\]) \| (.+) \|$", flags=re.MULTILINE)

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


def calls() -> list[str]:
    """The code of the right column of the table: whatever stands between backticks."""
    rows = [row for row in ROW.findall((DOCS / PAGE).read_text(encoding="utf-8")) if "---" not in row[0]]
    return [code.replace(r"\|", "|") for _, right in rows for code in re.findall(r"`([^`]+)`", right)]


@pytest.fixture(scope="module")
def page():
    return run(PAGE)


@pytest.fixture(scope="module")
def names(page):
    return page.names


def test_the_table_is_read():
    assert len(calls()) > 15


@pytest.mark.parametrize("call", calls())
def test_every_call_of_the_table_runs(call, names):
    assert eval(call, dict(names)) is not None


def test_a_wrong_name_is_refused(page):
    (error,) = [cell.error for cell in page.cells if cell.error is not None]
    assert isinstance(error, PriorError)
    assert "Did you mean 'Subject'?" in str(error)


def test_what_the_page_says(page, names):
    for name in ("posterior", "own", "intercepts", "few", "drawn"):
        assert names[name].diagnostics()["r_hat"] < 1.02, name
    assert (names["posterior"].loo().rows["k_hat"] < 0.7).all()
    assert names["posterior"].loo().elpd > names["intercepts"].loo().elpd + 10
    assert names["posterior"].evidence.log > names["intercepts"].evidence.log
    spread = names["few"].summary().loc["Intercept", "sd"]
    assert spread > 1.15 * names["operators"].bse["Intercept"]
    table = names["few"].varcorr().loc["sd(operator, Intercept)"]
    assert table["95%"] > 5 * table["5%"]
    assert "log Bayes factor" in page.printed


def test_new_levels_are_wider_than_known_ones(names):
    new = names["posterior"].predict(names["new"], kind="predictive", new_levels="sample", seed=1)
    known = names["posterior"].predict(names["new"].assign(Subject="308"), kind="predictive", seed=1)
    assert (new["sd"] > known["sd"]).all()
    assert np.isfinite(new.to_numpy()).all()


def test_gibbs_asks_for_conjugate_priors(names):
    with pytest.raises(PriorError, match="priors of method='gibbs'"):
        names["herds"].sample(method="gibbs", draws=400, seed=1)
    assert names["conjugate"].sampler.method == "gibbs"
