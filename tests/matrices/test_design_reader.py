"""Reading new data with the fitted encodings."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixfit.errors import DataError, NewLevelError
from mixfit.formula import parse
from mixfit.matrices import build

N = 90
RNG = np.random.default_rng(8)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N) + 4,
        "z": RNG.normal(size=N),
        "f": RNG.choice(list("abc"), N),
        "c": pd.Categorical(RNG.choice(["hi", "lo"], N), categories=["lo", "never", "hi"]),
        "b": RNG.choice([True, False], N),
        "g": np.arange(N) % 5,
        "h": [f"h{k % 4}" for k in range(N)],
    }
)
FORMULAS = [
    "y ~ 1 + (1|g)",
    "y ~ x + z + (x|g)",
    "y ~ 0 + f + x + (0 + f||h)",
    "y ~ f*c + (f|g) + (c|h)",
    "y ~ poly(x, 3) + scale(z) + (scale(x)|g/h)",
    "y ~ bs(x, df=5) + center(z):f + b + (b|g)",
    "y ~ C(f, contr.sum)*I(x > 4) + (1|g:h)",
    "y ~ cr(x, df=4) + (poly(z, 2)||factor(g))",
    "y ~ x + offset(scale(z)) + offset(x) + (1|h)",
    "y ~ np.log(x) + I(z^2) + (1|g) + (0 + z|g)",
    "y ~ C(g) + (C(g)|h)",
]


def twice(values):
    return 2 * values


def same(new, found, rows):
    np.testing.assert_allclose(new.X, found.X[rows], atol=1e-12)
    for j, term in enumerate(found.random):
        np.testing.assert_allclose(new.Z[j], term.Z[rows], atol=1e-12)
        np.testing.assert_array_equal(new.codes[j], term.grouping.codes[rows])
    expected = np.zeros(len(found.y)) if found.offset is None else found.offset
    np.testing.assert_allclose(new.offset, expected[rows], atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_rows_of_the_fit_are_read_as_they_were(formula):
    found = build(parse(formula), DATA)
    everything = (True,) * len(found.random)
    reader = pickle.loads(pickle.dumps(found.reader))
    # Few rows, in another order, without the response: learning anything anew would show.
    rows = np.array([40, 3, 77])
    new = reader.read(DATA.drop(columns="y").iloc[rows], everything)
    same(new, found, rows)
    assert list(new.index) == list(rows)
    # A reader reads twice alike.
    same(reader.read(DATA.iloc[rows], everything), found, rows)


@pytest.mark.parametrize("formula", FORMULAS)
def test_random_columns_need_neither_response_nor_groups(formula):
    found = build(parse(formula), DATA)
    rows = np.array([40, 3, 77])
    columns = [z for z, _ in found.reader.read_random(DATA.drop(columns=["y", "h"]).iloc[rows])]
    assert len(columns) == len(found.random)
    for Z, term in zip(columns, found.random, strict=True):
        np.testing.assert_allclose(Z, term.Z[rows], atol=1e-12)


def test_random_columns_name_what_is_missing():
    found = build(parse("y ~ 1 + (x|g)"), DATA)
    with pytest.raises(DataError, match="'x'"):
        found.reader.read_random(DATA[["g"]])


@pytest.mark.parametrize("formula", FORMULAS)
def test_every_row_at_once(formula):
    found = build(parse(formula), DATA)
    same(found.reader.read(DATA, (True,) * len(found.random)), found, np.arange(N))


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas])
def test_other_tables(formula, convert):
    found = build(parse(formula), DATA)
    rows = np.array([40, 3, 77])
    frame = convert(DATA.iloc[rows].reset_index(drop=True))
    new = found.reader.read(frame, (True,) * len(found.random))
    same(new, found, rows)
    assert list(new.index) == [0, 1, 2]


def test_terms_left_out_need_no_columns():
    found = build(parse("y ~ x + (z|g) + (f|h)"), DATA)
    new = found.reader.read(DATA[["x", "z", "g"]].head(4), (True, False))
    assert new.Z[1] is None
    assert new.codes[1] is None
    np.testing.assert_array_equal(new.Z[0], found.random[0].Z[:4])
    fixed = found.reader.read(DATA[["x"]].head(4), (False, False))
    assert fixed.Z == fixed.codes == (None, None)
    np.testing.assert_array_equal(fixed.X, found.X[:4])


def test_unknown_levels_of_groups_are_minus_one():
    found = build(parse("y ~ x + (1|h) + (1|g:h) + (1|g)"), DATA)
    new = DATA.head(3).assign(h=["h1", "new", None], g=[1, 2, 77])
    h, gh, g = found.reader.read(new, (True, True, True)).codes
    assert list(h) == [1, -1, -1]
    assert found.random[1].grouping.levels[gh[0]] == "1:h1"
    assert list(gh[1:]) == [-1, -1]
    assert list(g) == [1, 2, -1]


@pytest.mark.parametrize(
    "formula", ["y ~ f + (1|g)", "y ~ C(f) + (1|g)", "y ~ C(f, contr.sum):x + (1|g)", "y ~ x + (f|g)"]
)
def test_unknown_levels_of_factors_are_an_error(formula):
    reader = build(parse(formula), DATA).reader
    new = DATA.head(3).assign(f=["a", "new", "newer"])
    with pytest.raises(NewLevelError, match=r"Factor '(C\()?f.* never saw: 'new', 'newer'"):
        reader.read(new, (True,))


def test_a_category_that_no_row_has_is_not_a_new_level():
    reader = build(parse("y ~ f + (1|g)"), DATA).reader
    new = DATA.head(3).assign(f=pd.Categorical(["a", "b", "a"], categories=["x", "b", "a"]))
    np.testing.assert_array_equal(reader.read(new, (True,)).X[:, 1], [0, 1, 0])


@pytest.mark.parametrize(
    ("formula", "column"),
    [
        ("y ~ x + (1|g)", "x"),
        ("y ~ f + (1|g)", "f"),
        ("y ~ C(f) + x + (1|g)", "f"),
        ("y ~ poly(x, 2) + (1|g)", "x"),
        ("y ~ scale(x) + f + (1|g)", "x"),
    ],
)
def test_missing_values_make_rows_of_nan(formula, column):
    found = build(parse(formula), DATA)
    new = DATA.head(4).assign(**{column: DATA[column].head(4).where(np.arange(4) != 2, None)})
    read = found.reader.read(new, (True,))
    assert np.isnan(read.X[2]).any()
    np.testing.assert_allclose(read.X[[0, 1, 3]], found.X[[0, 1, 3]], atol=1e-12)
    assert np.isfinite(read.Z[0]).all()


def test_missing_values_left_of_the_bar():
    found = build(parse("y ~ 1 + (x|g) + (f|h)"), DATA)
    new = DATA.head(3).assign(x=[1.0, np.nan, 2.0], f=["a", "b", None])
    read = found.reader.read(new, (True, True))
    assert np.isnan(read.Z[0][1]).any()
    assert np.isnan(read.Z[1][2]).any()
    assert np.isfinite(read.Z[1][1]).all()
    assert np.isfinite(read.X).all()


def test_offsets_of_new_data():
    found = build(parse("y ~ x + offset(z) + (1|g)"), DATA, offset="x")
    np.testing.assert_allclose(found.reader.read(DATA.head(5), (False,)).offset, (DATA.z + DATA.x)[:5])
    array = build(parse("y ~ x + (1|g)"), DATA, offset=np.ones(N)).reader
    with pytest.raises(DataError, match="offset= as an array"):
        array.read(DATA.head(5), (False,))


def test_the_context_goes_with_the_reader():
    context = {"twice": twice, "k": 3.0, "unused": lambda: None}
    found = build(parse("y ~ twice(x) + I(k * z) + (1|g)"), DATA, context=context, offset="k * x")
    reader = pickle.loads(pickle.dumps(found.reader))
    same(reader.read(DATA.head(5), (True,)), found, np.arange(5))


@pytest.mark.parametrize(
    ("formula", "new", "message"),
    [
        ("y ~ x + (1|g)", DATA[["g"]], "The new data have no column 'x'"),
        ("y ~ poly(x, 2) + (1|g)", DATA[["g"]], "The new data have no column 'x'"),
        ("y ~ 1 + (1|g)", DATA[["x"]], "The new data have no column 'g'"),
        ("y ~ 1 + offset(z) + (1|g)", DATA[["x", "g"]], "The new data have no column 'z'"),
        ("y ~ x + (1|g)", DATA.assign(x="a"), "Column 'x' must be numeric, as it was in the fit"),
        ("y ~ f + (1|g)", DATA.assign(f=1.0), "`f` is numerical here, but it was categorical in the fit"),
        ("y ~ x*z + (1|g)", DATA.assign(x="a"), "Column 'x' must be numeric, as it was in the fit, not"),
        ("y ~ x + (1|g)", pd.concat([DATA, DATA], axis=1), "Duplicate column names in the new data"),
        ("y ~ x + (1|g)", 3, "The new data must be a pandas"),
    ],
)
def test_new_data_that_cannot_be_read(formula, new, message):
    reader = build(parse(formula), DATA).reader
    with pytest.raises(DataError, match=message):
        reader.read(new, (True,))


def test_flags_must_match_the_terms():
    with pytest.raises(ValueError, match="2 flags for 1 random terms"):
        build(parse("y ~ x + (1|g)"), DATA).reader.read(DATA, (True, True))


def test_new_data_are_not_changed():
    found = build(parse("y ~ f*scale(x) + offset(z) + (c|g/h)"), DATA)
    new = DATA.head(7).copy()
    found.reader.read(new, (True, True))
    pd.testing.assert_frame_equal(new, DATA.head(7))


def test_no_new_rows():
    found = build(parse("y ~ f + x + (x|g)"), DATA)
    new = found.reader.read(DATA.head(0), (True,))
    assert new.X.shape == (0, found.X.shape[1])
    assert new.Z[0].shape == (0, 2)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("dtype", [None, object, "float64", "category", "string"])
def test_no_rows_of_any_type(formula, dtype):
    found = build(parse(formula), DATA)
    new = DATA.head(0) if dtype is None else DATA.head(0).astype(dtype)
    read = found.reader.read(new, (True,) * len(found.random))
    assert read.X.shape == (0, found.X.shape[1])
    assert [Z.shape for Z in read.Z] == [(0, term.Z.shape[1]) for term in found.random]
    assert all(codes.shape == (0,) for codes in read.codes)
    assert read.offset.shape == (0,)
    assert found.reader.read_fixed(new).shape == (0, found.X.shape[1])
    assert [Z.shape for Z, _ in found.reader.read_random(new)] == [(0, term.Z.shape[1]) for term in found.random]
    with pytest.raises(DataError, match="no column"):
        found.reader.read(new[["x"]], (True,) * len(found.random)) if "g" in formula or "h" in formula else None
