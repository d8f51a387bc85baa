"""docs/how_many_subjects.md: every cell runs, and what the prose says of its numbers is so."""

from __future__ import annotations

import pytest

from tests.docs.pages import Page, run

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page() -> Page:
    return run("how_many_subjects.md")


def test_the_pilot_and_the_standard_error(page: Page) -> None:
    assert all(cell.error is None for cell in page.cells)
    assert page.names["pilot"].params["Days"] == pytest.approx(10.0, abs=1.0)
    assert round(float(page.names["plan"].bse["Days:arm[T.drug]"]), 1) == 2.7
    page.says("An effect of −5 ms a day with one of 2.7 is nothing to be sure of.")


def test_half_the_power_exaggerates_by_half(page: Page) -> None:
    row = page.names["power"].frame.iloc[0]
    assert row["power"] == pytest.approx(0.45, abs=0.06)
    assert row["type_m"] == pytest.approx(1.5, abs=0.1)


def test_normal_quantiles_reject_nearly_twice_as_often(page: Page) -> None:
    normal, satterthwaite = (float(line.split(":")[1]) for line in page.printed.splitlines()[-4:] if ": 0." in line)
    assert 1.6 < normal / satterthwaite < 2.0
    assert satterthwaite == pytest.approx(0.05, abs=0.012)


def test_days_beyond_ten_help_little(page: Page) -> None:
    power = page.names["curve"].frame.set_index(["Subject", "Days"])["power"]
    assert power[24, 10] - power[24, 5] > 0.15
    assert power[24, 20] - power[24, 10] < 0.12
    assert power[48, 10] - power[24, 10] > 0.2


def test_the_effect_that_is_found_and_the_sample_size(page: Page) -> None:
    assert 50 < page.names["found"].n < 68
    assert page.names["smallest"].effect < -7.0


def test_pupils_and_schools(page: Page) -> None:
    lessons = page.names["lessons"]
    power = lessons.power("arm", along={"school": [40, 60], "pupil": [5, 20]}, n_sim=200, seed=1, progress=False)
    found = power.frame.set_index(["school", "pupil"])["power"]
    assert abs(found[40, 20] - found[60, 5]) < 0.1
