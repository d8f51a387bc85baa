"""Layouts: which levels meet, how often, and in which order."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit import errors


def test_crossed_factors_meet_in_all_combinations_once():
    frame = mixfit.grid(Subject=3, Days=range(2), condition=["b", "a"], within="Subject")
    expected = list(itertools.product(["1", "2", "3"], [0, 1], ["b", "a"]))
    assert list(frame.itertuples(index=False, name=None)) == expected


def test_numbers_stay_numbers_and_words_keep_their_order():
    frame = mixfit.grid(Subject=2, dose=[0.5, 1.0], drug=["placebo", "active"], ok=[True, False])
    assert frame["dose"].dtype == np.float64
    assert list(frame["drug"].cat.categories) == ["placebo", "active"]
    assert frame["ok"].dtype == bool
    assert list(frame["Subject"].cat.categories) == ["1", "2"]


@pytest.mark.parametrize(("n", "sizes"), [(12, {2}), (14, {2, 3})])
def test_units_take_the_cells_of_factors_between_them_in_turn(n: int, sizes: set[int]):
    frame = mixfit.grid(Subject=n, Days=3, a=["x", "y"], b=["p", "q", "r"], within="Subject", between=["a", "b"])
    one = frame.drop_duplicates("Subject")
    assert len(one.drop_duplicates(["Subject", "a", "b"])) == len(frame.drop_duplicates(["Subject", "a", "b"])) == n
    assert set(one.groupby(["a", "b"], observed=True).size()) == sizes


def test_nested_levels_are_counted_in_each_level_above_and_have_names_of_their_own():
    frame = mixfit.grid(school=["north", "south"], classroom=3, pupil=4, nested="school/classroom/pupil")
    assert len(frame) == 24
    assert frame["classroom"].nunique() == 6
    assert frame["pupil"].nunique() == 24
    assert not frame[["classroom", "school"]].drop_duplicates()["classroom"].duplicated().any()
    assert frame["pupil"].iloc[-1] == "south.3.4"


def test_a_factor_between_inner_levels_is_balanced_within_outer_ones():
    frame = mixfit.grid(
        school=3, classroom=4, pupil=2, arm=["c", "t"], nested="school/classroom/pupil", between={"arm": "classroom"}
    )
    counts = pd.crosstab(frame["school"], frame["arm"])
    assert (counts == 4).all().all()


def test_two_chains_are_crossed():
    frame = mixfit.grid(school=2, pupil=3, book=2, item=5, nested=["school/pupil", "book/item"])
    assert len(frame) == 2 * 3 * 2 * 5
    assert (pd.crosstab(frame["pupil"], frame["item"]) == 1).all().all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "at least one factor"),
        ({"Subject": 0}, "'Subject' has no levels"),
        ({"Subject": 3, "x": [1, 1]}, "level 1 twice"),
        ({"Subject": 3, "x": []}, "'x' has no levels"),
        ({"Subject": 3, "within": "subject"}, "within= names 'subject', and the factors are 'Subject'"),
        ({"Subject": 3, "g": 2, "between": "g"}, "say by within="),
        ({"Subject": 3, "g": 2, "between": {"g": "school"}}, "between= names 'school'"),
        ({"Subject": 3, "between": {"Subject": "Subject"}}, "its own levels"),
        ({"a": 2, "b": 2, "nested": "a/c"}, "nested= names 'c'"),
        ({"a": 2, "b": 2, "nested": "a"}, "'a' alone"),
        ({"a": 2, "b": 2, "c": 2, "nested": ["a/c", "b/c"]}, "twice"),
        ({"a": 2, "b": ["x"], "nested": "a/b"}, "give their number"),
        ({"a": 2, "b": 2, "nested": "a/b", "between": {"b": "a"}}, "nested, and so cannot be between"),
        ({"a": 2, "b": 2, "c": 2, "between": {"c": "b", "b": "a"}}, "itself between"),
    ],
)
def test_what_no_layout_has_is_named(arguments, said: str):
    with pytest.raises(errors.DataError, match=said):
        mixfit.grid(**arguments)


def test_levels_are_a_number_or_a_list():
    with pytest.raises(errors.ArgumentError, match="'condition' are a number"):
        mixfit.grid(Subject=2, condition="ab")
