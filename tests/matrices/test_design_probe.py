"""Terms computed from whole columns are fitted, but not read from new rows."""

import pickle

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import DataError
from mixfit.formula import parse, parse_predictor
from mixfit.matrices import build

N = 120
RNG = np.random.default_rng(15)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "z": np.exp(RNG.normal(size=N)),
        "i": RNG.integers(0, 20, N),
        "f": RNG.choice(list("abc"), N),
        "b": np.arange(N) % 2,
        "holes": np.where(np.arange(N) % 11 == 3, np.nan, RNG.normal(size=N)),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N) % 5, unit="D"),
        "g": np.arange(N) % 10,
    }
)
CONTEXT = {
    "pd": pd,
    "stats_dict": lambda f: {level: f == level for level in sorted(set(f))[:-1]},
    "stats_rank": lambda x: pd.Series(x).rank().to_numpy(),
    "double": lambda x: 2 * x,
}
WHOLE = [
    "I((z - z.mean()) / z.std())",
    "I(z - np.mean(z))",
    "I(z / np.max(z))",
    "I(z / z.max())",
    "I(z - z.min())",
    "I(z / z.sum())",
    "I(z - np.median(z))",
    "z.rank()",
    "stats_rank(z)",
    "z.cumsum()",
    "I(z.diff().fillna(0))",
    "I(z.shift(1).fillna(0))",
    "pd.cut(z, 3)",
    "pd.cut(z, 3, labels=False)",
    "pd.qcut(z, 3)",
    "pd.qcut(z, 3, labels=False)",
    "C(pd.qcut(z, 4, labels=False))",
    "I(f.astype('category').cat.codes)",
    "np.arange(len(z))",
    "I(z > z.mean())",
    "x:I(z - z.mean())",
    "f*I(z - z.mean())",
    "x + scale(z) + I(i - i.mean())",
    "I(b - b.min())",
    "I(b / b.max())",
    "I(z.clip(upper=z.quantile(0.95)))",
    "I(z.clip(lower=z.quantile(0.05)))",
    "I(holes.fillna(holes.mean()))",
    "I(f == f.mode()[0])",
    "f.map(f.value_counts())",
    "I((day - day.min()).dt.days)",
    "I((day.max() - day).dt.days)",
    "stats_dict(f)",
    "I(z - z.groupby(f).transform('mean'))",
]
ROW_BY_ROW = [
    "scale(z)",
    "center(z) + poly(x, 2)",
    "bs(x, df=5)",
    "cr(x, df=4)",
    "poly(x, 3):f",
    "I(z**2) + np.log(z)",
    "I(x > 0)",
    "I(z / 10)",
    "double(z)",
    "C(f, contr.sum)*x",
    "C(i)",
    "np.where(f == 'a', x, 0)",
    "f.map({'a': 1, 'b': 2, 'c': 5})",
    "pd.cut(z, [0, 1, 100])",
    "np.clip(z, 0, 1)",
    "I(scale(z)**2)",
    "I(x + z - 3)",
    "x*z + f",
    "I(holes.fillna(0.0))",
    "I((day - pd.Timestamp('2024-01-01')).dt.days)",
    "I(day.dt.day)",
    "C(day)",
]


def design(formula, data=DATA, **options):
    return build(parse(formula), data, context=CONTEXT, **options)


@pytest.mark.parametrize("term", WHOLE)
@pytest.mark.parametrize("place", ["fixed", "random"])
def test_whole_columns_are_refused(term, place):
    formula = f"y ~ {term} + (1 | g)" if place == "fixed" else f"y ~ x + (0 + {term} || g)"
    reader = design(formula).reader
    for rows in (DATA, DATA.iloc[10:14], DATA.head(1)):
        with pytest.raises(
            DataError, match=r"`.*\(.*\).*` is computed from whole columns.*such as scale\((x|z|i|b|f|day|holes)\)"
        ):
            reader.read(rows, (True,))
        with pytest.raises(DataError, match="whole columns"):
            (reader.read_fixed if place == "fixed" else reader.read_random)(rows)


@pytest.mark.parametrize("term", ROW_BY_ROW)
def test_what_is_computed_row_by_row_is_read(term):
    found = design(f"y ~ {term} + (0 + {term} || g)")
    new = found.reader.read(DATA.iloc[[5, 90, 33]], (True,))
    np.testing.assert_allclose(new.X, found.X[[5, 90, 33]], atol=1e-12)
    np.testing.assert_allclose(new.Z[0], found.random[0].Z[[5, 90, 33]], atol=1e-12)


def test_only_the_term_at_fault_is_named():
    reader = design("y ~ x + scale(z) + I(i - i.mean()) + np.log(z) + (1 | g)").reader
    with pytest.raises(DataError, match=r"^`I\(i - i\.mean\(\)\)` is computed"):
        reader.read(DATA, (False,))


def test_the_spelling_is_of_the_column_at_fault():
    for formula in ("y ~ x + I(z - np.mean(z)) + (1 | g)", "y ~ scale(x) + pd.cut(z, 3) + (1 | g)"):
        with pytest.raises(DataError, match=r"^`[^`]*z[^`]*` is computed .* such as scale\(z\), center\(z\)"):
            design(formula).reader.read(DATA, (False,))


def test_a_random_term_that_is_left_out_is_no_fault():
    found = design("y ~ x + (0 + I(z - z.mean()) | g) + (1 | f)")
    new = found.reader.read(DATA.head(4), (False, True))
    np.testing.assert_array_equal(new.X, found.X[:4])
    np.testing.assert_array_equal(found.reader.read_fixed(DATA.head(4)), found.X[:4])
    with pytest.raises(DataError, match="whole columns"):
        found.reader.read(DATA.head(4), (True, True))


def test_offsets_and_groups_count_as_well():
    offset = design("y ~ x + offset(z - z.mean()) + (1 | g)").reader
    with pytest.raises(DataError, match=r"`z - z\.mean\(\)` is computed from whole"):
        offset.read(DATA.head(3), (True,))
    given = build(parse("y ~ x + (1 | g)"), DATA, offset="z / z.max()").reader
    with pytest.raises(DataError, match=r"`z / z\.max\(\)` is computed from whole"):
        given.read(DATA.head(3), (True,))
    group = design("y ~ x + (1 | pd.qcut(z, 8, labels=False))").reader
    with pytest.raises(DataError, match=r"`pd\.qcut\(z, 8, labels=False\)` is computed from whole"):
        group.read(DATA.head(3), (True,))
    group.read(DATA.head(3), (False,))
    design("y ~ x + offset(log(z)) + (1 | np.floor(i / 2))").reader.read(DATA.head(3), (True,))


def test_further_predictors_are_probed():
    further = {"zero": parse_predictor("~ I(z - z.mean())")}
    reader = design("y ~ x + (1 | g)", further=further).reader
    reader.read(DATA.head(3), (True,))
    with pytest.raises(DataError, match="whole columns"):
        reader.read(DATA.head(3), (True,), ((),))


def test_missing_rows_and_rows_without_weight_are_no_probes():
    data = DATA.assign(z=DATA.z.where(DATA.index % 5 != 0), y=DATA.y.where(DATA.index % 7 != 0))
    weights = np.where(DATA.index % 3 == 0, 0.0, 1.0)
    reader = design("y ~ scale(z) + np.log(z) + (1 | g)", data, weights=weights).reader
    assert np.isfinite(reader.read(DATA.head(3), (True,)).X).all()


def test_data_of_few_rows_are_probed():
    data = DATA.head(4).assign(g=[0, 0, 1, 1])
    found = design("y ~ I(x**2) + (1 | g)", data)
    np.testing.assert_allclose(found.reader.read(data, (True,)).X, found.X)
    with pytest.raises(DataError, match="whole columns"):
        design("y ~ I(x - x.mean()) + (1 | g)", data).reader.read(data, (True,))


def test_a_fit_has_its_own_rows_all_the_same():
    fit = mixfit.mixed("y ~ I(z - z.mean()) + (1 | g)", DATA).fit()
    assert np.isfinite(fit.predict()).all()
    assert np.isfinite(fit.simulate(2, seed=1)).to_numpy().all()
    with pytest.raises(DataError, match="whole columns"):
        fit.predict(DATA)
    with pytest.raises(DataError, match="whole columns"):
        mixfit.emmeans(fit, "z", at={"z": [1.0, 2.0]})
    own = fit.model.design.reader.read(DATA, (True,), own=True)
    np.testing.assert_array_equal(own.X, fit.model.design.X)


def test_probes_pickle():
    reader = pickle.loads(pickle.dumps(build(parse("y ~ scale(x) + I(z / z.max()) + (1 | g)"), DATA).reader))
    with pytest.raises(DataError, match=r"`I\(z / z\.max\(\)\)` is computed"):
        reader.read(DATA.head(3), (True,))


def test_plain_designs_keep_no_rows():
    assert design("y ~ x*f + (x | g)").reader.probe is None
    assert design("y ~ x + offset(z) + (1 | g)").reader.probe is None
