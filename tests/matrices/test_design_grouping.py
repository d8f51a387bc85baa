"""Grouping factors: codes, levels, crossing, sharing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixfit.errors import DesignError
from mixfit.formula import parse
from mixfit.matrices import build
from mixfit.matrices.columns import code_factor
from mixfit.matrices.grouping import cross


def grouping(values, text="g", **more):
    data = pd.DataFrame({"y": np.arange(float(len(values))), "g": values, **more})
    return build(parse(f"y ~ 1 + (1|{text})"), data).random[0].grouping


def labels(group):
    return [str(group.levels[code]) for code in group.codes]


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (["b", "a", "b", "c"], ["a", "b", "c"]),
        ([10, 9, 10, 100], [9, 10, 100]),
        ([1.5, -2.0, 1.5, 0.0], [-2.0, 0.0, 1.5]),
        ([True, False, True, True], [False, True]),
        (pd.Categorical(["z", "a", "z", "m"], categories=["z", "never", "m", "a"]), ["z", "m", "a"]),
        (pd.Categorical([3, 1, 3, 2], categories=[3, 2, 1], ordered=True), [3, 2, 1]),
        (pd.to_datetime(["2021-05-01", "2020-01-01", "2021-05-01", "2022-01-01"]), None),
        (pd.array(["b", "a", "b", "c"], dtype="string"), ["a", "b", "c"]),
        (pd.array([2, 1, 2, 3], dtype="Int64"), [1, 2, 3]),
        (pd.Series(["b", "a", "b", "c"], dtype=object), ["a", "b", "c"]),
    ],
)
def test_levels_and_codes(values, levels):
    group = grouping(values)
    expected = sorted(set(pd.Series(values))) if levels is None else levels
    assert list(group.levels) == expected
    assert [group.levels[code] for code in group.codes] == list(values)
    assert group.codes.dtype == np.intp
    assert group.n_levels == len(expected)


def test_levels_of_dropped_rows_are_dropped():
    data = pd.DataFrame({"y": [1.0, None, 2.0, 3.0, 5.0], "g": ["a", "b", "c", "a", "c"]})
    group = build(parse("y ~ 1 + (1|g)"), data).random[0].grouping
    assert list(group.levels) == ["a", "c"]
    assert list(group.codes) == [0, 1, 0, 1]


def test_interaction_has_the_observed_pairs_first_part_slowest():
    group = grouping(list("bbaab"), "g:h", h=["y", "x", "y", "y", "x"])
    assert group.name == "g:h"
    assert list(group.levels) == ["a:y", "b:x", "b:y"]
    assert labels(group) == ["b:y", "b:x", "a:y", "a:y", "b:x"]


def test_interaction_follows_category_order():
    group = grouping(pd.Categorical(list("bbab"), ["b", "a"]), "g:h", h=[2, 10, 2, 2])
    assert list(group.levels) == ["b:2", "b:10", "a:2"]


def test_whole_numbers_are_named_without_a_point():
    assert list(grouping([1.0, 2.0, 1.0, 1.0], "g:h", h=["u", "u", "v", "v"]).levels) == ["1:u", "1:v", "2:u"]


def test_nesting_is_the_interaction():
    data = pd.DataFrame({"y": np.arange(12.0), "a": list("uuuuvvvvwwww"), "b": [1, 1, 2, 2] * 3})
    nested = build(parse("y ~ 1 + (1|a/b)"), data).random
    spelled = build(parse("y ~ 1 + (1|a) + (1|a:b)"), data).random
    for one, other in zip(nested, spelled, strict=True):
        assert one.grouping.name == other.grouping.name
        np.testing.assert_array_equal(one.grouping.codes, other.grouping.codes)
        assert list(one.grouping.levels) == list(other.grouping.levels)


def test_terms_of_one_factor_share_it():
    data = pd.DataFrame(
        {"y": np.arange(20.0), "x": np.arange(20.0) % 3, "a": np.arange(20) % 4, "b": np.arange(20) // 5 % 2}
    )
    one, other, third, ab, ba = build(parse("y ~ x + (1|a) + (0 + x|a) + (1|b) + (1|a:b) + (0+x|b:a)"), data).random
    assert one.grouping is other.grouping
    assert one.grouping is not third.grouping
    assert ab.grouping is ba.grouping
    assert ba.grouping.name == "a:b"


SAME = pd.DataFrame(
    {"y": np.arange(24.0) ** 2 % 7, "x": np.arange(24.0) % 5, "g": np.arange(24) // 4, "h": np.arange(24) % 3}
).assign(name=lambda d: d["g"].map("subject {}".format), k="only", half=lambda d: (d.index % 2).astype(str))


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ("(1|g) + (1|name)", ["(1 | g)", "(1 | name)", "'g' and 'name' are one factor under two names"]),
        ("(x|name) + (1|h) + (x|g)", ["(x | name)", "(x | g)", "'name' and 'g'"]),
        ("(1|g/k)", ["(1 | g)", "(1 | g:k)", "'g' and 'g:k'"]),
        ("(1|h:g) + (1|h:name)", ["'h:g' and 'h:name'"]),
        ("(1|g) + (1|C(g))", ["'g' and 'C(g)'"]),
        ("(x|g) + (1|name)", ["(x | g)", "(1 | name)"]),
        ("(x||g) + (x|name)", ["(x || g)", "(x | name)"]),
        ("(1|g) + (0 + half|name)", ["'g' and 'name'"]),
        ("(1|g) + diag(1|g)", ["(1 | g) and diag(1 | g) are one term"]),
        ("(0 + x|g) + (0 + I(2 * x)|g)", ["(0 + x | g) and (0 + I(2 * x) | g) are one term"]),
    ],
)
def test_terms_that_cannot_be_told_apart_are_named(terms, named):
    with pytest.raises(DesignError) as caught:
        build(parse(f"y ~ x + {terms}"), SAME)
    assert all(part in str(caught.value) for part in named)


@pytest.mark.parametrize(
    "terms",
    ["(1|g) + (0 + x|name)", "(1|g) + (x|g)", "(1|g) + (1|h)", "(1|g) + (1|g:h)", "cs(1 + x|g) + (0 + x|name)"],
)
def test_other_terms_of_the_same_groups_are_not_refused(terms):
    build(parse(f"y ~ x + {terms}"), SAME)


def test_the_same_groups_in_the_rows_used_are_one_factor():
    data = SAME.assign(other=SAME["g"].where(SAME.index > 0, 99))
    build(parse("y ~ x + (1|g) + (1|other)"), data)
    with pytest.raises(DesignError, match="one factor under two names"):
        build(parse("y ~ x + (1|g) + (1|other)"), data.assign(y=data["y"].where(data.index > 3)))


def test_expressions_as_grouping_factors():
    assert list(grouping([3, 1, 3, 2], "factor(g)").levels) == [1, 2, 3]
    assert list(grouping([3, 1, 3, 2], "C(g)").levels) == [1, 2, 3]
    group = grouping([31, 12, 33, 22], "I(g // 10)")
    assert group.name == "I(g // 10)"
    assert list(group.levels) == [1, 2, 3]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.integers(0, 2)), min_size=1, max_size=60),
    st.booleans(),
)
def test_crossing_agrees_with_sorting_tuples(rows, nested):
    # The second column is drawn from many values, so that the table, nested and hashing ways all occur.
    rows = [(b % 6, b, c) for _, b, c in rows] if nested else rows
    names = ("a", "b", "c")
    coded = {name: code_factor(pd.Series([row[j] for row in rows]), name) for j, name in enumerate(names)}
    group, reader = cross(names, coded, None, {})
    distinct = sorted(set(rows))
    assert list(group.levels) == [":".join(map(str, row)) for row in distinct]
    assert list(group.codes) == [distinct.index(row) for row in rows]
    columns = [pd.Series([row[j] for row in rows]) for j in range(3)]
    np.testing.assert_array_equal(reader.read(columns), group.codes)


def test_large_crossing_by_hashing():
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 3000, 5000), rng.integers(0, 3000, 5000)
    coded = {"a": code_factor(pd.Series(a), "a"), "b": code_factor(pd.Series(b), "b")}
    group, _ = cross(("a", "b"), coded, None, {})
    distinct = sorted(set(zip(a.tolist(), b.tolist(), strict=True)))
    assert list(group.levels) == [f"{i}:{j}" for i, j in distinct]
    assert [distinct[code] for code in group.codes] == list(zip(a.tolist(), b.tolist(), strict=True))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=12, unique=True), st.integers(0, 10_000))
def test_level_names_do_not_matter_for_who_is_with_whom(names, seed):
    rows = np.random.default_rng(seed).permutation(np.arange(3 * len(names)) % len(names))
    group = grouping([names[k] for k in rows])
    assert group.n_levels == len(names)
    for k in range(len(names)):
        assert len(set(group.codes[rows == k])) == 1


def test_reading_levels_back():
    values = pd.Series(["b", "a", "b", "c"])
    _, reader = cross(("g",), {"g": code_factor(values, "g")}, None, {})
    new = pd.Series(["c", "new", None, "a"])
    for column in (new, new.astype("category"), new.astype(object)):
        assert list(reader.read([column])) == [2, -1, -1, 0]
    assert list(reader.read([pd.Series([], dtype=str)])) == []
    assert list(reader.read([pd.Series([None, None], dtype=object)])) == [-1, -1]


def test_reading_pairs_back():
    data = {"a": pd.Series(list("uuvv")), "b": pd.Series([1, 2, 2, 2])}
    _, reader = cross(("a", "b"), {k: code_factor(v, k) for k, v in data.items()}, None, {})
    # v:1 was never seen although v and 1 were.
    assert list(reader.read([pd.Series(list("vuvw")), pd.Series([2, 1, 1, 1])])) == [2, 0, -1, -1]
