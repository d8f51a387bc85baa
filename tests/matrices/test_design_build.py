"""What a design holds, against formulaic and by hand."""

import importlib

import formulaic
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixfit.formula import parse
from mixfit.matrices import build

RNG = np.random.default_rng(20)
N = 60


def table(n=N):
    return pd.DataFrame(
        {
            "y": RNG.normal(size=n),
            "x": RNG.normal(size=n) + 3,
            "i": RNG.integers(1, 9, n),
            "f": RNG.choice(["a", "b", "c"], n),
            "c": pd.Categorical(RNG.choice(["hi", "lo"], n), categories=["lo", "hi"]),
            "b": RNG.choice([True, False], n),
            "g": np.arange(n) % 7,
            "h": [f"h{k % 4}" for k in range(n)],
        }
    )


DATA = table()


def design(formula, data=DATA, **kwargs):
    return build(parse(formula), data, **kwargs)


@pytest.mark.parametrize(
    "fixed",
    [
        "1",
        "0 + x",
        "x + i",
        "x*i",
        "f",
        "0 + f",
        "f*c",
        "f:x",
        "c/x",
        "x + poly(i, 3)",
        "scale(x) + center(i)",
        "bs(x, df=5)",
        "cr(x, df=4)",
        "C(f, contr.sum) + np.log(x**2)",
        "C(f, contr.helmert):x",
        "C(i)",
        "I(x^2) + I(i / 2)",
        "(x + i + f)^2",
        "x - 1 + f",
    ],
)
def test_fixed_columns_are_formulaics(fixed):
    ours = design(f"y ~ {fixed} + (1|g)")
    theirs = formulaic.model_matrix(fixed.replace("^", "**"), DATA)
    assert ours.exog_names == tuple(theirs.columns)
    np.testing.assert_allclose(ours.X, theirs.to_numpy(dtype=float), rtol=0, atol=1e-14)
    assert ours.X.dtype == np.float64


@pytest.mark.parametrize(
    ("left", "names"),
    [
        ("1", ("Intercept",)),
        ("x", ("Intercept", "x")),
        ("0 + x", ("x",)),
        ("f", ("Intercept", "f[T.b]", "f[T.c]")),
        ("0 + f", ("f[a]", "f[b]", "f[c]")),
        ("c*x", ("Intercept", "c[T.hi]", "x", "c[T.hi]:x")),
        ("b", ("Intercept", "b[T.True]")),
        ("scale(x)", ("Intercept", "scale(x)")),
    ],
)
@pytest.mark.parametrize("bar", ["|", "||"])
def test_random_columns_are_formulaics(left, names, bar):
    (term,) = design(f"y ~ x + ({left} {bar} g)").random
    theirs = formulaic.model_matrix(left, DATA.assign(b=DATA.b.astype("category")))
    assert term.columns == names
    np.testing.assert_allclose(term.Z, theirs.to_numpy(dtype=float), rtol=0, atol=1e-14)
    assert term.structure.name == ("us" if bar == "|" else "diag")


def test_boolean_columns_and_comparisons_are_factors():
    found = design("y ~ b + I(x > 3) + (1|g)")
    assert found.exog_names == ("Intercept", "b[T.True]", "I(x > 3)[T.True]")
    np.testing.assert_array_equal(found.X[:, 1], DATA.b.astype(float))
    np.testing.assert_array_equal(found.X[:, 2], (DATA.x > 3).astype(float))


def test_categories_keep_their_order_and_strings_are_sorted():
    assert design("y ~ c + f + (1|g)").exog_names == ("Intercept", "c[T.hi]", "f[T.b]", "f[T.c]")


def test_ordered_categories_are_coded_as_unordered_ones():
    data = DATA.assign(c=DATA.c.cat.as_ordered())
    np.testing.assert_array_equal(design("y ~ c + (1|g)", data).X, design("y ~ c + (1|g)").X)


def test_unused_categories_of_a_fixed_factor_are_dropped():
    data = DATA.assign(c=DATA.c.cat.set_categories(["never", "lo", "hi", "nor"]))
    for formula in ("y ~ c + (1|g)", "y ~ C(c) + (c|g)"):
        found = design(formula, data)
        assert len(found.exog_names) == 2
        np.testing.assert_array_equal(found.X[:, 1], (DATA.c == "hi").astype(float))


def test_level_that_dropping_rows_leaves_empty_is_dropped():
    data = DATA.assign(y=DATA.y.where(DATA.f != "b"))
    for formula in ("y ~ f + (1|g)", "y ~ C(f) + (1|g)"):
        (name,) = design(formula, data).exog_names[1:]
        assert name.endswith("[T.c]")


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("y", DATA.y),
        ("np.exp(y)", np.exp(DATA.y)),
        ("log(x ** 2)", np.log(DATA.x**2)),
        ("sqrt(i)", np.sqrt(DATA.i)),
        ("I(x - i)", DATA.x - DATA.i),
        ("scale(x)", (DATA.x - DATA.x.mean()) / DATA.x.std()),
    ],
)
def test_response(response, expected):
    found = design(f"{response} ~ 1 + (1|g)")
    assert found.endog_name == response
    np.testing.assert_allclose(found.y, expected, rtol=1e-13)


def test_backticked_names_everywhere():
    data = DATA.rename(columns={"y": "the y", "x": "an x", "g": "a group", "i": "k+1"})
    found = design("`the y` ~ `an x` + log(`k+1`) + (`an x`|`a group`)", data)
    plain = design("y ~ x + log(i) + (x|g)")
    assert found.endog_name == "the y"
    assert found.exog_names == ("Intercept", "an x", "log(`k+1`)")
    np.testing.assert_array_equal(found.X, plain.X)
    assert found.random[0].grouping.name == "a group"
    assert found.random[0].columns == ("Intercept", "an x")


def test_context_gives_names_and_the_data_come_first():
    found = design("y ~ twice(x) + I(x * k) + (1|g)", context={"twice": lambda v: 2 * v, "k": 3, "x": None})
    np.testing.assert_allclose(found.X[:, 1], 2 * DATA.x)
    np.testing.assert_allclose(found.X[:, 2], 3 * DATA.x)


def test_context_may_hold_a_whole_column():
    z = np.arange(N, dtype=float)
    np.testing.assert_array_equal(design("y ~ z + (z|g)", context={"z": z}).X[:, 1], z)


def test_dot_is_every_column_without_another_place():
    found = design("y ~ . + (1|g) + offset(i)", DATA[["y", "x", "i", "c", "g", "h"]], weights="x")
    assert found.exog_names == ("Intercept", "c[T.hi]", "h[T.h1]", "h[T.h2]", "h[T.h3]")


def test_index_is_the_users_even_when_labels_repeat():
    data = DATA.set_index(np.zeros(N, dtype=int)).assign(x=lambda d: np.where(np.arange(N) == 5, np.nan, d.x))
    for formula in ("y ~ x + (x|g)", "y ~ x + f + scale(x) + (1|g)", "y ~ C(f):x + (1|g)"):
        found = design(formula, data)
        assert found.n_dropped == 1
        assert list(found.index) == [0] * (N - 1)
        expected = design(formula, data.reset_index(drop=True))
        np.testing.assert_array_equal(found.X, expected.X)
        np.testing.assert_array_equal(expected.index, np.delete(np.arange(N), 5))


def test_object_columns_of_numbers_are_numbers():
    data = DATA.assign(x=DATA.x.astype(object), y=DATA.y.astype(object), i=DATA.i.astype(object))
    found = design("y ~ x + i + (1|g)", data)
    np.testing.assert_array_equal(found.X, design("y ~ x + i + (1|g)").X)
    np.testing.assert_array_equal(found.y, DATA.y)


@pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
def test_nullable_columns(backend):
    formula = "y ~ x + i + f + b + c + (x|h)"
    found = design(formula, DATA.convert_dtypes(dtype_backend=backend))
    np.testing.assert_array_equal(found.X, design(formula).X)
    np.testing.assert_array_equal(found.random[0].grouping.codes, design(formula).random[0].grouping.codes)


def test_the_users_frame_is_not_changed():
    data = table().assign(c=lambda d: d.c.cat.add_categories("never"), x=lambda d: d.x.where(d.x > 2))
    before = data.copy(deep=True)
    design("log(x) ~ f*c + b + scale(i) + (x|g) + (1|h:g) + offset(i)", data, weights="i", offset="y")
    pd.testing.assert_frame_equal(data, before)
    assert data.columns.equals(before.columns)


def test_arrays_are_the_designs_own():
    data = table()
    found = design("y ~ 0 + x + (0 + x|g)", data, weights="i", offset="x")
    y, x = data.y.copy(), data.x.copy()
    for array in (found.y, found.X, found.random[0].Z, found.weights, found.offset):
        array[:] = 0
    pd.testing.assert_series_equal(data.y, y)
    pd.testing.assert_series_equal(data.x, x)


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(24)))
def test_row_order_only_reorders_rows(order):
    data = DATA.head(24)
    formula = parse("y ~ x*f + scale(i) + (x|h) + (1|c:h)")
    here, there = build(formula, data), build(formula, data.iloc[list(order)])
    np.testing.assert_allclose(there.X, here.X[list(order)], atol=1e-12)
    assert there.exog_names == here.exog_names
    for a, b in zip(here.random, there.random, strict=True):
        np.testing.assert_array_equal(b.grouping.codes, a.grouping.codes[list(order)])
        assert list(a.grouping.levels) == list(b.grouping.levels)


def test_a_formula_that_was_read_before_is_that_of_each_data():
    formula = "y ~ x + (1 | g)"
    numbers = design(formula)
    labels = design(formula, DATA.assign(x=DATA["f"]))
    again = design(formula)
    assert numbers.exog_names == again.exog_names == ("Intercept", "x")
    assert labels.exog_names == ("Intercept", "x[T.b]", "x[T.c]")
    np.testing.assert_array_equal(again.X, numbers.X)
    few = design(formula, DATA[DATA["g"] > 2])
    assert few.random[0].grouping.n_levels == 4
    np.testing.assert_array_equal(few.X, numbers.X[DATA["g"] > 2])


def test_a_formula_that_was_read_before_takes_each_context_and_learns_anew():
    formula = "y ~ own(x) + scale(i) + (1 | g)"
    twice, thrice = (design(formula, context={"own": lambda x, k=k: k * x}) for k in (2.0, 3.0))
    np.testing.assert_allclose(thrice.X[:, 1], 1.5 * twice.X[:, 1])
    other = DATA.assign(i=10 * DATA["i"] + 5)
    moved = design(formula, other, context={"own": np.log})
    np.testing.assert_allclose(moved.X[:, 2], twice.X[:, 2])
    head = other.head(5)
    np.testing.assert_allclose(moved.reader.read_fixed(head)[:, 2], moved.X[:5, 2])
    np.testing.assert_allclose(twice.reader.read_fixed(DATA.head(5)), twice.X[:5])


def test_a_formula_that_was_read_before_takes_each_contrast():
    treatment, sums = design("y ~ C(f) + (1 | g)"), design("y ~ C(f, contr.sum) + (1 | g)")
    assert design("y ~ C(f) + (1 | g)").exog_names == treatment.exog_names != sums.exog_names


def test_levels_are_written_as_text_only_for_structures_that_know_them(monkeypatch):
    written = []
    # The package's name for the function hides the module.
    module = importlib.import_module("mixfit.matrices.build")
    monkeypatch.setattr(module, "_labels", lambda grouping: written.append(grouping.name) or ())
    design("y ~ x + (x | g) + diag(0 + f | h)")
    assert written == []
