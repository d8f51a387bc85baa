"""docs/effects.md: every cell and every call of its table runs, and what the prose says of the fits is so."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, run

PAGE = "effects.md"
CALLS = re.findall(r"^\| [^|]+ \| `([^`|]+)` \|$", (DOCS / PAGE).read_text(encoding="utf-8"), flags=re.MULTILINE)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def names():
    whole = run(PAGE)
    assert all(cell.error is None for cell in whole.cells)
    return whole.names


def test_the_table_is_read() -> None:
    assert len(CALLS) == 10


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_the_table_runs(call, names) -> None:
    assert eval(call, dict(names)) is not None


def test_what_the_page_says(names) -> None:
    growth, herds, baked = names["growth"], names["herds"], names["baked"]
    assert names["slopes"].pairs()["estimate"][0] == pytest.approx(0.3, abs=0.05)
    apart = baked.pairs().frame.set_index("contrast")["p.value"]
    assert apart["temperature175 - temperature195"] < 0.05
    zero, average = (herds.emmeans("period", type="response", re_form=r)["prob"] for r in ("population", "marginal"))
    assert (average > zero).all()
    averaged = growth.avg_slopes("age", by="Sex")
    assert averaged["estimate"].sort_values().tolist() == pytest.approx(
        names["slopes"]["age.trend"].sort_values().tolist()
    )
    assert averaged["df"][0] == pytest.approx(names["slopes"]["df"][0])
