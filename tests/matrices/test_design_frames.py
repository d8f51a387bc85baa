"""pandas, polars and pyarrow tables give the same design."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixfit.errors import DataError
from mixfit.formula import parse
from mixfit.matrices import build

N = 50
RNG = np.random.default_rng(11)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "i": RNG.integers(0, 9, N),
        "f": RNG.choice(list("abc"), N),
        "b": RNG.choice([True, False], N),
        "c": pd.Categorical(RNG.choice(["hi", "lo"], N)),
        "g": [f"g{k % 6}" for k in range(N)],
        "when": pd.to_datetime(["2024-01-01", "2023-01-01"] * (N // 2)),
    }
)
HOLES = DATA.assign(x=DATA.x.where(DATA.index != 3), f=DATA.f.where(DATA.index != 5), g=DATA.g.where(DATA.index != 8))


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas, dict])
@pytest.mark.parametrize("data", [DATA, HOLES])
@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (x|g)",
        "log(i + 1) ~ f*b + scale(x) + c + (f|g) + offset(x)",
        "y ~ poly(x, 2) + (1|g:b) + (1|when)",
    ],
)
def test_same_design(convert, data, formula):
    ours, theirs = (
        build(parse(formula), convert(data), weights="i + 1"),
        build(parse(formula), data, weights="i + 1"),
    )
    np.testing.assert_array_equal(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.y, theirs.y)
    np.testing.assert_array_equal(ours.weights, theirs.weights)
    np.testing.assert_array_equal(ours.index, theirs.index)
    assert ours.exog_names == theirs.exog_names
    assert ours.n_dropped == theirs.n_dropped
    for one, other in zip(ours.random, theirs.random, strict=True):
        np.testing.assert_array_equal(one.Z, other.Z)
        np.testing.assert_array_equal(one.grouping.codes, other.grouping.codes)
        assert list(one.grouping.levels) == list(other.grouping.levels)


def test_level_order_of_dictionaries_and_enums():
    order = ["m", "z", "a"]
    values = ["a", "m", "z", "m"] * 3
    base = {"y": np.arange(12.0), "g": ["u", "v", "w"] * 4}
    arrow = pa.table({**base, "c": pa.array(pd.Categorical(values, order))})
    enum = pl.DataFrame({**base, "c": pl.Series(values, dtype=pl.Enum(order))})
    for table in (arrow, enum):
        assert build(parse("y ~ c + (1|g)"), table).exog_names == ("Intercept", "c[T.z]", "c[T.a]")
    # polars' Categorical has no order of its own.
    loose = pl.DataFrame({**base, "c": pl.Series(values, dtype=pl.Categorical)})
    assert build(parse("y ~ c + (1|g)"), loose).exog_names == ("Intercept", "c[T.m]", "c[T.z]")


def test_duplicate_names_in_arrow():
    with pytest.raises(DataError, match="Duplicate column names in the data: 'x'"):
        build(parse("y ~ x + (1|g)"), pa.table([[1.0], [2.0], [3.0]], names=["y", "x", "x"]))


def test_lazy_frames_are_refused():
    with pytest.raises(DataError, match="in memory, not LazyFrame"):
        build(parse("y ~ x + (1|g)"), pl.from_pandas(DATA).lazy())
