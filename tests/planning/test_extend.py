"""Layouts with other numbers of levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit import errors
from mixfit.planning.extend import extend


def test_new_units_are_copies_in_turn_so_that_factors_between_them_stay_balanced():
    layout = mixfit.grid(Subject=4, Days=3, arm=["c", "t"], within="Subject", between="arm")
    longer = extend(layout, {"Subject": 10}, {"Subject"})
    wanted = mixfit.grid(Subject=10, Days=3, arm=["c", "t"], within="Subject", between="arm")
    pd.testing.assert_frame_equal(longer, wanted)


def test_fewer_levels_are_the_first_ones():
    layout = mixfit.grid(Subject=10, Days=3, arm=["c", "t"], within="Subject", between="arm")
    shorter = extend(layout, {"Subject": 4}, {"Subject"})
    assert shorter["Subject"].cat.categories.tolist() == ["1", "2", "3", "4"]
    assert shorter["arm"].value_counts().tolist() == [6, 6]


@pytest.mark.parametrize("n", [4, 6, 8, 12, 16])
def test_arms_in_blocks_stay_balanced(n):
    units = pd.DataFrame({"g": [f"g{i}" for i in range(8)], "arm": list("xxxxyyyy"), "sex": list("ffmmffmm")})
    frame = units.assign(age=np.arange(8.0)).merge(pd.DataFrame({"t": [0, 1]}), how="cross")
    longer = extend(frame, {"g": n}, ["g"]).drop_duplicates("g")
    assert len(longer) == n
    assert longer["arm"].value_counts().tolist() == [n // 2, n // 2]
    if n % 4 == 0:
        assert longer.groupby(["arm", "sex"]).size().tolist() == [n // 4] * 4
    kept = longer[longer["g"].isin(units["g"])]
    assert kept.merge(units, on=["g", "arm", "sex"]).shape[0] == min(n, 8)


def test_arms_within_clinics_stay_balanced():
    units = pd.DataFrame({"clinic": list("aaaabbbb"), "g": [f"g{i}" for i in range(8)], "arm": list("xxyyxxyy")})
    for n in (2, 4, 6):
        longer = extend(units, {"g": n}, ["clinic", "g"])
        assert longer.groupby(["clinic", "arm"]).size().tolist() == [n // 2] * 4


def test_values_of_a_covariate_keep_their_order():
    frame = pd.DataFrame({"t": np.repeat(range(4), 2), "phase": np.repeat(list("aabb"), 2), "g": list("uv") * 4})
    assert sorted(set(extend(frame, {"t": 2}, ["g"])["t"])) == [0, 1]


def test_a_covariate_goes_on_with_its_steps_or_takes_the_values_given():
    layout = mixfit.grid(Subject=3, dose=[0.0, 0.5, 1.0])
    assert sorted(extend(layout, {"dose": 5}, {"Subject"})["dose"].unique()) == [0.0, 0.5, 1.0, 1.5, 2.0]
    given = extend(layout, {"dose": [0.0, 2.0]}, {"Subject"})
    assert len(given) == 6
    assert sorted(given["dose"].unique()) == [0.0, 2.0]


def test_groups_with_numbers_for_names_are_numbered_on():
    frame = pd.DataFrame({"Subject": [308, 308, 310, 310], "x": [0, 1, 0, 1]})
    assert extend(frame, {"Subject": 4}, {"Subject"})["Subject"].unique().tolist() == [308, 310, 311, 312]


def test_what_lies_within_new_levels_is_new():
    layout = mixfit.grid(school=2, classroom=3, pupil=4, nested="school/classroom/pupil")
    longer = extend(layout, {"school": 5}, {"school", "classroom"})
    assert longer["classroom"].nunique() == 15
    assert longer["pupil"].nunique() == 60
    assert not longer[["school", "classroom"]].drop_duplicates()["classroom"].duplicated().any()


def test_a_factor_within_groups_has_its_number_in_each():
    layout = mixfit.grid(school=2, classroom=3, pupil=4, nested="school/classroom/pupil")
    more = extend(layout, {"pupil": 10, "classroom": 2}, {"school", "classroom"})
    assert more.groupby("classroom", observed=True).size().tolist() == [10] * 4
    assert more["pupil"].nunique() == 40


def test_values_that_there_are_keep_their_own_rows():
    frame = pd.DataFrame({"Subject": list("aabb"), "x": [0, 5, 0, 5], "light": ["dim", "bright"] * 2})
    longer = extend(frame, {"x": [5, 7, 0]}, {"Subject"})
    assert longer.groupby("x")["light"].first().to_dict() == {5: "bright", 7: "bright", 0: "dim"}


def test_a_layout_of_100_000_rows_is_extended_by_array_operations():
    frame = mixfit.grid(Subject=20_000, visit=3)
    assert len(extend(frame, {"Subject": 50_000}, {"Subject"})) == 150_000


def test_missing_levels_have_no_number():
    frame = pd.DataFrame({"Subject": ["a", None, "b"], "note": ["u", "v", None]})
    with pytest.raises(errors.DataError, match="'Subject' has missing levels"):
        extend(frame, {"Subject": 4})
    whole = frame.dropna(subset=["Subject"])
    assert extend(whole, {"Subject": 4})["note"].isna().tolist() == [False, True, False, True]


def test_levels_that_were_copied_are_copied_again_under_other_names():
    layout = mixfit.grid(school=2, classroom=2, pupil=2, nested="school/classroom/pupil")
    groups = {"school", "classroom"}
    for along in ({"school": 5, "pupil": 3}, {"pupil": 3, "school": 5}):
        larger = extend(extend(layout, along, groups), {"pupil": 7, "school": 9}, groups)
        assert larger["pupil"].nunique() == len(larger) == 9 * 2 * 7
        assert larger["classroom"].nunique() == 18


@pytest.mark.parametrize(
    ("along", "error", "said"),
    [
        ({"subject": 4}, errors.DataError, "no factor 'subject' to go along; its columns are 'Subject', 'x'"),
        ({"x": 5}, errors.DataError, "no equal steps"),
        ({"Subject": 0}, errors.DataError, "positive number"),
        ({"x": [1, 1]}, errors.DataError, "not all different"),
        ({"x": "ab"}, errors.ArgumentError, "a number of them"),
        ({"x": 2.5}, errors.ArgumentError, "a number of them"),
    ],
)
def test_what_cannot_be_extended_is_named(along, error, said: str):
    layout = mixfit.grid(Subject=3, x=[0, 1, 5])
    with pytest.raises(error, match=said):
        extend(layout, along, {"Subject"})
