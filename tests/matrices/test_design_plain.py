"""Terms of bare columns: what numpy fills in is what formulaic builds."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixfit.errors import DataError, DesignError, NewLevelError
from mixfit.formula import parse
from mixfit.matrices import build, parts
from mixfit.matrices.plain import PlainPart

N = 72
RNG = np.random.default_rng(52)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N) + 3,
        "small": RNG.normal(size=N).astype(np.float32),
        "i": RNG.integers(-4, 9, N),
        "u": RNG.integers(0, 9, N).astype(np.uint8),
        "n": pd.array(RNG.integers(0, 9, N), dtype="Int64"),
        "q": pd.array(RNG.normal(size=N), dtype="Float64"),
        "f": RNG.choice(["a", "b", "c"], N),
        "o": pd.Series(RNG.choice(["low", "high"], N), dtype=object),
        "s": pd.array(RNG.choice(["s1", "s2", "s3"], N), dtype="string"),
        "c": pd.Categorical(RNG.choice(["hi", "lo", "mid"], N), categories=["lo", "never", "mid", "hi"]),
        "r": pd.Categorical(RNG.choice([3, 1, 2], N), ordered=True),
        "d": pd.Categorical(RNG.choice([0.5, 1.0], N)),
        "b": RNG.choice([True, False], N),
        "k": pd.array(RNG.choice([True, False], N), dtype="boolean"),
        "my col": RNG.normal(size=N),
        "a:b": RNG.choice(["p", "q"], N),
        "g": np.arange(N) % 6,
    }
)
NUMBERS = ["x", "small", "i", "u", "n", "q", "`my col`"]
FACTORS = ["f", "o", "s", "c", "r", "d", "b", "k", "`a:b`"]
FIXED = [
    "1",
    "0 + x",
    "x + i + n",
    "x:i",
    "x*q*small",
    *FACTORS,
    *(f"0 + {f}" for f in FACTORS),
    "0 + f + c",
    "0 + x + f",
    "0 + x:f",
    "f:x",
    "f*c",
    "f:c",
    "f/c",
    "f + f:c",
    "c + c:f",
    "f*x*b",
    "f:c:b",
    "f:c:x",
    "0 + f:c:b",
    "(f + c + b)^2",
    "(f + x + i)^2",
    "x + f:x + f:i",
    "b + k + b:k",
    "`a:b`*`my col`",
    "r + d + r:d:x",
    "u + f - 1",
]


def formulaics(monkeypatch, formula, data, **options):
    """The same design with every part built by formulaic."""
    with monkeypatch.context() as patch:
        patch.setattr(parts, "plan_plain", lambda bare, columns: None)
        found = build(parse(formula), data, **options)
    assert not isinstance(found.reader.fixed, PlainPart)
    return found


def same_structure(mine, theirs):
    assert mine.terms == theirs.terms
    assert list(mine.factors) == list(theirs.factors)
    for name, factor in theirs.factors.items():
        assert mine.factors[name].levels == factor.levels
        np.testing.assert_array_equal(mine.factors[name].values, factor.values)


def same_design(mine, theirs):
    assert isinstance(mine.reader.fixed, PlainPart)
    assert mine.exog_names == theirs.exog_names
    np.testing.assert_array_equal(mine.X, theirs.X)
    np.testing.assert_array_equal(mine.y, theirs.y)
    assert mine.X.dtype == np.float64
    assert mine.n_dropped == theirs.n_dropped
    same_structure(mine.fixed, theirs.fixed)
    assert mine.reader.fixed_terms == theirs.reader.fixed_terms
    assert mine.reader.factor_names == theirs.reader.factor_names
    assert mine.reader.fixed.codings == theirs.reader.fixed.codings
    assert mine.reader.fixed.n_levels == theirs.reader.fixed.n_levels
    for a, b in zip(mine.random, theirs.random, strict=True):
        assert a.columns == b.columns
        np.testing.assert_array_equal(a.Z, b.Z)


@pytest.mark.parametrize("fixed", FIXED)
def test_every_design_is_formulaics(fixed, monkeypatch):
    formula = f"y ~ {fixed} + ({fixed} || g)"
    same_design(build(parse(formula), DATA), formulaics(monkeypatch, formula, DATA))


@pytest.mark.parametrize("fixed", FIXED)
def test_missing_rows_and_rows_without_weight_are_left_out_alike(fixed, monkeypatch):
    data = DATA.copy()
    for j, name in enumerate(("x", "q", "f", "o", "s", "c", "k", "y", "my col")):
        data.loc[[3 * j, 3 * j + 40], name] = None
    # A level that only a row of weight zero or a missing row has, and one that only missing rows have.
    data["c"] = data.c.cat.add_categories(["once", "gone"])
    data.loc[50, "c"] = "once"
    data.loc[51, ["c", "y"]] = "gone", np.nan
    weights = np.where(np.arange(N) == 50, 0.0, 1.0)
    formula = f"y ~ {fixed} + ({fixed} || g)"
    same_design(build(parse(formula), data, weights), formulaics(monkeypatch, formula, data, weights=weights))


@pytest.mark.parametrize("fixed", FIXED)
def test_new_rows_are_read_as_formulaic_reads_them(fixed, monkeypatch):
    formula = f"y ~ {fixed} + ({fixed} || g)"
    mine, theirs = build(parse(formula), DATA), formulaics(monkeypatch, formula, DATA)
    reader = pickle.loads(pickle.dumps(mine.reader))
    new = DATA.drop(columns="y").iloc[[40, 3, 17, 66]].copy()
    new.loc[new.index[1], ["f", "c", "x"]] = None
    for rows in (new, new.head(1)):
        a, b = reader.read(rows, (True,)), theirs.reader.read(rows, (True,))
        np.testing.assert_array_equal(a.X, b.X)
        np.testing.assert_array_equal(a.Z[0], b.Z[0])


@given(
    terms=st.lists(
        st.lists(st.sampled_from([*NUMBERS, *FACTORS]), min_size=1, max_size=3, unique=True), min_size=1, max_size=4
    ),
    constant=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_products_of_columns_are_coded_as_formulaic_codes_them(terms, constant):
    formula = f"y ~ {int(constant)} + {' + '.join(':'.join(term) for term in terms)} + (1 | g)"
    with pytest.MonkeyPatch.context() as patch:
        theirs = formulaics(patch, formula, DATA)
    same_design(build(parse(formula), DATA), theirs)


def test_the_order_of_a_product_is_kept():
    one, other = (build(parse(f"y ~ {product} + (1|g)"), DATA).exog_names for product in ("f:x", "x:f"))
    assert one[1] == "f[a]:x"
    assert other[1] == "x:f[a]"


def test_products_of_small_integers_do_not_overflow():
    data = DATA.assign(v=np.full(N, 200, dtype=np.uint8) + np.arange(N, dtype=np.uint8) % 3)
    found = build(parse("y ~ 0 + u:v + (1|g)"), data)
    np.testing.assert_array_equal(found.X[:, 0], data.u.astype(float) * data.v.astype(float))


@pytest.mark.parametrize("terms", ["f + scale(x)", "I(x*2)", "C(f)", "x + day", "f + outside"])
def test_what_must_be_computed_is_formulaics(terms):
    data = DATA.assign(day=pd.date_range("2020-01-01", periods=N))
    context = {"outside": np.arange(N) / 7}
    if "day" in terms:
        with pytest.raises(DataError, match="'day' is not numeric"):
            build(parse(f"y ~ {terms} + (1|g)"), data)
        return
    found = build(parse(f"y ~ {terms} + (1|g)"), data, context=context)
    assert not isinstance(found.reader.fixed, PlainPart)


def test_a_factor_of_plain_and_of_computed_parts_has_the_same_levels():
    data = DATA.assign(x=DATA.x.where(DATA.c != "mid"))
    found = build(parse("y ~ c + (0 + c:scale(x) | g)"), data)
    assert found.exog_names == ("Intercept", "c[T.hi]")
    assert found.random[0].columns == ("c[lo]:scale(x)", "c[hi]:scale(x)")


def test_one_level_is_an_error():
    with pytest.raises(DesignError, match="Factor 'f' has one level"):
        build(parse("y ~ f + (1|g)"), DATA.assign(f="a"))


def test_levels_that_print_alike_are_an_error():
    odd = pd.Categorical.from_codes(np.arange(N) % 3, categories=pd.Index([1, "1", "2"], dtype=object))
    data = DATA.assign(f=odd)
    with pytest.raises(DataError, match=r"would be named 'f\[1\]'"):
        build(parse("y ~ 0 + f + (1|g)"), data)


def test_new_levels_are_named():
    reader = build(parse("y ~ c*f + (1|g)"), DATA).reader
    new = DATA.head(3).assign(c=pd.Categorical(["lo", "odd", "even"]))
    with pytest.raises(NewLevelError, match="Factor 'c' has levels that the fit never saw: 'even', 'odd'"):
        reader.read(new, (False,))


@pytest.mark.parametrize("fixed", FIXED)
def test_no_rows_and_rows_without_values_are_read(fixed):
    reader = build(parse(f"y ~ {fixed} + ({fixed} || g)"), DATA).reader
    assert reader.read(DATA.head(0), (True,)).X.shape[0] == 0
    empty = pd.DataFrame(None, index=[0, 1], columns=DATA.columns)
    X = reader.read(empty.assign(g=0), (True,)).X
    assert np.isnan(X).all() or fixed == "1"
