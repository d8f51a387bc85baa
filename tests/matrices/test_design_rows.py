"""Which rows a design uses: missing values, weights, offsets."""

import warnings

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import DataError, UndefinedValuesWarning
from mixfit.formula import parse
from mixfit.matrices import build

N = 40
RNG = np.random.default_rng(4)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N) + 4,
        "z": RNG.normal(size=N),
        "f": RNG.choice(list("abc"), N),
        "g": np.arange(N) % 5,
        "h": [f"h{k % 4}" for k in range(N)],
        "w": RNG.integers(1, 5, N),
        "unused": np.nan,
    }
)


def design(formula, data=DATA, **kwargs):
    return build(parse(formula), data, **kwargs)


def without(column, rows, missing=None):
    return DATA.assign(**{column: DATA[column].astype(object).where(~np.isin(np.arange(N), rows), missing)})


FORMULA = "y ~ x*f + (z|g) + (1|h) + offset(o)"


@pytest.mark.parametrize("column", ["y", "x", "f", "z", "g", "h", "o", "w"])
@pytest.mark.parametrize("formula", [FORMULA, "log(y + 9) ~ scale(x):f + (z|g) + (1|h) + offset(o / 2)"])
def test_a_missing_value_drops_its_row_from_everything(column, formula):
    data = DATA.assign(o=DATA.z)
    holes = [3, 17, 30]
    gone = data.assign(**{column: data[column].astype(object).where(~np.isin(np.arange(N), holes), None)})
    found = design(formula, gone, weights="w")
    expected = design(formula, data.drop(index=holes), weights="w") if "scale" not in formula else None
    assert found.n_dropped == 3
    assert list(found.index) == [k for k in range(N) if k not in holes]
    assert len(found.y) == len(found.X) == len(found.weights) == len(found.offset) == N - 3
    for term in found.random:
        assert len(term.Z) == len(term.grouping.codes) == N - 3
    assert np.isfinite(found.X).all()
    if expected is not None:
        np.testing.assert_array_equal(found.y, expected.y)
        np.testing.assert_array_equal(found.X, expected.X)
        np.testing.assert_array_equal(found.weights, expected.weights)
        np.testing.assert_array_equal(found.offset, expected.offset)
        for one, other in zip(found.random, expected.random, strict=True):
            np.testing.assert_array_equal(one.Z, other.Z)
            np.testing.assert_array_equal(one.grouping.codes, other.grouping.codes)
            assert [str(v).removesuffix(".0") for v in one.grouping.levels] == [str(v) for v in other.grouping.levels]


def test_columns_that_the_model_does_not_use_do_not_matter():
    assert design("y ~ x + (1|g)").n_dropped == 0


def test_values_that_a_transformation_makes_missing():
    with pytest.warns(UndefinedValuesWarning):
        found = design("y ~ np.log(z) + (1|g)")
    assert found.n_dropped == int((DATA.z <= 0).sum()) > 0
    np.testing.assert_allclose(found.X[:, 1], np.log(DATA.z[DATA.z > 0]))


def test_a_transformation_may_fill_missing_values():
    found = design("y ~ x.fillna(0) + (1|g)", without("x", [2]).astype({"x": float}))
    assert found.n_dropped == 0
    assert found.X[2, 1] == 0


@pytest.mark.parametrize("transform", ["scale(x)", "center(x)", "standardize(x)", "poly(x, 2)", "bs(x, df=4)"])
def test_transforms_learn_from_the_rows_that_have_a_value(transform):
    found = design(f"y ~ {transform} + (1|g)", without("x", [5, 6]))
    expected = design(f"y ~ {transform} + (1|g)", DATA.drop(index=[5, 6]))
    np.testing.assert_allclose(found.X, expected.X, atol=1e-12)


def test_raise_names_every_column_and_how_often():
    data = without("x", [1, 2]).assign(f=DATA.f.where(DATA.index != 7), g=DATA.g.where(DATA.g > 0))
    with pytest.raises(DataError, match=r"g \(8\), f \(1\), x \(2\)"):
        design("y ~ x + f + (1|g)", data, na_action="raise")
    assert design("y ~ x + (1|h)", na_action="raise").n_dropped == 0


@pytest.mark.parametrize("weights", ["w", DATA.w.to_numpy(), list(DATA.w), DATA.w, pd.array(DATA.w, dtype="Int64")])
def test_ways_to_give_weights(weights):
    found = design("y ~ x + (1|g)", weights=weights)
    np.testing.assert_array_equal(found.weights, DATA.w)
    assert found.weights.dtype == np.float64


def test_weights_by_expression():
    np.testing.assert_allclose(design("y ~ x + (1|g)", weights="1 / w").weights, 1 / DATA.w)
    np.testing.assert_allclose(
        design("y ~ x + (1|g)", weights="sqrt(w) + k", context={"k": 2}).weights, DATA.w**0.5 + 2
    )


@pytest.mark.parametrize("argument", ["weights", "offset"])
def test_a_series_with_other_labels_than_the_data_is_refused(argument):
    weights = DATA.w.set_axis(range(N, 0, -1))
    with pytest.raises(DataError, match=rf"The index of the {argument} is not that of the data.*to_numpy\(\)"):
        design("y ~ x + (1|g)", **{argument: weights})
    found = design("y ~ x + (1|g)", **{argument: weights.to_numpy()})
    np.testing.assert_array_equal(getattr(found, argument), DATA.w)


def test_rows_of_weight_zero_are_left_out_but_not_counted_as_missing():
    weights = DATA.w.where(DATA.index % 4 > 0, 0)
    data = without("x", [0, 1])
    for formula in ("y ~ x + (x|g)", "y ~ x*f + scale(z) + (f|h)"):
        found = design(formula, data, weights=weights)
        assert found.n_dropped == 2
        assert list(found.index) == [k for k in range(N) if k % 4 and k != 1]
        assert (found.weights > 0).all()
        np.testing.assert_array_equal(found.X[:, found.exog_names.index("x")], DATA.x[found.index])
        assert len(found.random[0].Z) == len(found.y) == len(found.X)


def test_no_weights_and_no_offset_are_none():
    found = design("y ~ x + (1|g)")
    assert found.weights is None
    assert found.offset is None


def test_offsets_add_up():
    formula = "y ~ offset(log(x)) + offset(z) + x + (1|g)"
    np.testing.assert_allclose(design(formula).offset, np.log(DATA.x) + DATA.z)
    np.testing.assert_allclose(design(formula, offset="w").offset, np.log(DATA.x) + DATA.z + DATA.w)
    np.testing.assert_allclose(design(formula, offset="w / 2").offset, np.log(DATA.x) + DATA.z + DATA.w / 2)
    np.testing.assert_allclose(design("y ~ x + (1|g)", offset=np.arange(N)).offset, np.arange(N))
    assert design(formula).exog_names == ("Intercept", "x")


def test_missing_weights_and_offsets_drop_their_rows():
    weights, offset = DATA.w.astype(float), DATA.z.copy()
    weights[3] = offset[8] = np.nan
    found = design("y ~ x + (1|g)", weights=weights, offset=offset)
    assert found.n_dropped == 2
    assert not {3, 8} & set(found.index)
    with pytest.raises(DataError, match=r"offset \(1\), weights \(1\)"):
        design("y ~ x + (1|g)", weights=weights, offset=offset, na_action="raise")


@pytest.mark.parametrize("offset", ["x + z", "x - 2*z", "-x", "i*j - 1", "i - x", "2.5*i + x*z", "x - x", "i + i"])
def test_arithmetic_of_columns_is_pandas(offset):
    numbers = np.random.default_rng(3)
    data = DATA.assign(x=numbers.normal(size=N) * 1e200, z=numbers.normal(size=N), i=numbers.integers(-9, 9, N), j=2)
    data.loc[data.index[4], "z"] = np.nan
    found = design("y ~ 1 + (1|g)", data, offset=offset)
    expected = data.eval(offset).dropna().to_numpy(dtype=float)
    np.testing.assert_array_equal(found.offset, expected)


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ log(x) + (1|g)", {}, r"`log\(x\)` \(3\)\. These rows are left out"),
        ("y ~ np.log(x) + (1|g)", {}, r"`np.log\(x\)` \(3\)"),
        ("y ~ np.sqrt(x):f + (1|g)", {}, r"`np.sqrt\(x\)` \(3\)"),
        ("y ~ z + (0 + np.log(x)|g)", {}, r"`np.log\(x\)` \(3\)"),
        ("log(x) ~ z + (1|g)", {}, r"`log\(x\)` \(3\)"),
        ("y ~ z + offset(log(x)) + (1|g)", {}, r"`log\(x\)` \(3\)"),
        ("y ~ z + (1|g)", {"offset": "np.log(x)"}, r"`np.log\(x\)` \(3\)"),
        ("y ~ z + (1|g)", {"weights": "np.sqrt(x)"}, r"`np.sqrt\(x\)` \(3\)"),
        ("y ~ I(z.shift(2)) + (1|g)", {}, r"`I\(z.shift\(2\)\)` \(2\)"),
    ],
)
def test_rows_that_an_expression_loses_are_counted(formula, options, message):
    data = DATA.assign(x=DATA.x.where(~DATA.index.isin([1, 5, 20]), -1.0))
    with pytest.warns(
        UndefinedValuesWarning,
        match=r"^Expressions without a value in rows in which their columns have one: " + message,
    ):
        found = design(formula, data, **options)
    assert found.n_dropped == (2 if "shift" in formula else 3)
    # A value missing beside them is no such row.
    more = data.assign(x=data.x.where(data.index != 7))
    with pytest.warns(UndefinedValuesWarning, match=message):
        design(formula, more, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        design(formula.replace("I(z.shift(2))", "z"), DATA, **options)
        with pytest.raises(DataError, match="Missing values"):
            design(formula, data, na_action="raise", **options)


def test_missing_columns_are_no_undefined_values():
    data = DATA.assign(x=DATA.x.where(DATA.index != 7), f=DATA.f.where(DATA.index != 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert design("y ~ np.log(x) + scale(x):C(f) + (1|g)", data).n_dropped == 2


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_the_warning_points_at_the_user(family):
    with pytest.warns(UndefinedValuesWarning) as caught:
        mixfit.mixed("I(1.0 * (y > 0)) ~ np.log(z) + (1 | g)", DATA, family=family)
    assert [warning.filename for warning in caught] == [__file__]
