"""Every input that cannot be used: the error's type, and what it names."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from mixfit.errors import ArgumentError, DataError, DesignError, FormulaError
from mixfit.formula import parse
from mixfit.matrices import build

N = 30
DATA = pd.DataFrame(
    {
        "y": np.sin(np.arange(N)),
        "x": np.cos(np.arange(N)),
        "g": [f"g{k % 5}" for k in range(N)],
        "each": np.arange(N),
        "one": "same",
        "s": [f"{k}" for k in range(N)],
        "flag": np.arange(N) % 2 == 0,
        "when": pd.date_range("2024-01-01", periods=N),
        "mixed": [1, "a"] * (N // 2),
    }
)


def design(formula, data=DATA, **kwargs):
    return build(parse(formula), data, **kwargs)


def with_value(column, row, value):
    return DATA.assign(**{column: DATA[column].astype(float).where(np.arange(N) != row, value)})


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y ~ X + (1|g)", FormulaError, "no column 'X'. Did you mean 'x'"),
        ("y ~ whenn + (1|g)", FormulaError, "no column 'whenn'. Did you mean 'when'"),
        ("y ~ log(nowhere) + (1|g)", FormulaError, "no column 'nowhere'"),
        ("y ~ poly(nowhere, 2) + (1|g)", FormulaError, "no column 'nowhere'"),
        ("y ~ nofunction(x) + (1|g)", FormulaError, "no column 'nofunction'"),
        ("nowhere ~ x + (1|g)", FormulaError, "no column 'nowhere'"),
        ("y ~ x + (1|nowhere)", FormulaError, "no column 'nowhere'"),
        ("y ~ x + (nowhere|g)", FormulaError, "no column 'nowhere'"),
        ("y ~ offset(nowhere) + (1|g)", FormulaError, "no column 'nowhere'"),
        ("y ~ scale + (1|g)", FormulaError, "no column 'scale'; it is a function"),
        ("y ~ x + (1|np)", FormulaError, "no column 'np'"),
        # What R's formulas know, or Python's with other imports.
        (
            "y ~ nofunction(x) + (1|g)",
            FormulaError,
            r"one of your own is passed by context=\{'nofunction': nofunction\}",
        ),
        ("y ~ ns(x, df=3) + (1|g)", FormulaError, r"natural cubic spline is cr\(x, df=3, constraints='center'\)"),
        ("y ~ ifelse(x > 0, 1, 0) + (1|g)", FormulaError, r"np\.where\(condition, a, b\)"),
        ("y ~ log1p(x) + (1|g)", FormulaError, r"numpy's function is np\.log1p"),
        ("y ~ poly(x, 2, raw=TRUE) + (1|g)", FormulaError, "Python writes True"),
        ("y ~ pd.cut(x, 2) + (1|g)", FormulaError, "context={'pd': pandas}"),
        ("y ~ relevel(s, 'b') + (1|g)", FormulaError, r"C\(x, contr\.treatment\('level'\)\)"),
        ("y ~ x + weights(x) + (1|g)", FormulaError, "Weights are an argument"),
        ("y ~ C(s, 'b') + (1|g)", FormulaError, r"^C\(x, 'b'\): contrasts are not named by a string.*treatment\('b'\)"),
        ("y ~ C(s, Treatment('zzz')) + (1|g)", DataError, "'zzz'` .* not among the provided levels"),
        ("y ~ np.log(s) + (1|g)", FormulaError, r"`np.log\(s\)` cannot be evaluated"),
        ("y ~ when + (1|g)", DataError, "Column 'when' is not numeric"),
        ("y ~ mixed + (1|g)", DataError, "'mixed' of the data mixes types"),
        ("y ~ x + (1|mixed)", DataError, "'mixed' of the data mixes types"),
        ("y ~ np.ones(3) + (1|g)", DataError, r"`np.ones\(3\)` gives 3 values for 30 rows"),
        (
            "s ~ x + (1|g)",
            DataError,
            "Response 's' must be numeric, not str|Response 's' must be numeric, not object",
        ),
        ("g ~ x + (1|g)", DataError, "Response 'g' must be numeric"),
        ("flag ~ x + (1|g)", DataError, "Response 'flag' must be numeric, not bool"),
        ("when ~ x + (1|g)", DataError, "Response 'when' must be numeric"),
        ("poly(y, 2) ~ x + (1|g)", DataError, r"Response 'poly\(y, 2\)' must be one column"),
        ("np.mean(y) ~ x + (1|g)", DataError, r"Response 'np.mean\(y\)' must be one column"),
        ("cbind(x, y) ~ x + (1|g)", DataError, "cbind.* binomial models"),
        (
            "I(1 / (each - 7)) ~ x + (1|g)",
            DataError,
            r"Response .* is infinite in 1 row\(s\), the first at 7",
        ),
        (
            "y ~ I(1 / (each - 7)) + (1|g)",
            DataError,
            r"Column 'I\(1 / \(each - 7\)\)' of the fixed effects is inf",
        ),
        (
            "y ~ x + (I(1 / (each - 7))|g)",
            DataError,
            r"Column 'I\(1 / \(each - 7\)\)' of \(I.* \| g\) is inf",
        ),
        ("y ~ offset(I(1 / (each - 7))) + (1|g)", DataError, "offset .* must be finite"),
        ("y ~ one + (1|g)", DesignError, "Factor 'one' has one level"),
        ("y ~ x + (1|one)", DesignError, r"\(1 \| one\): grouping factor 'one' has one level \(same\)"),
        ("y ~ x + (1|each)", DesignError, r"\(1 \| each\): grouping factor 'each' has 30 levels for 30 obs"),
        ("y ~ x + (x||each)", DesignError, "'each' has 30 levels for 30 observations"),
        ("y ~ x + (x|s)", DesignError, "'s' has 30 levels for 30 observations"),
        (
            "y ~ x + (poly(x, 5)|g)",
            DesignError,
            r"30 random effects for 30 observations \(5 levels of 'g' times 6",
        ),
    ],
)
def test_formula_against_data(formula, error, message):
    with np.errstate(divide="ignore"), pytest.raises(error, match=message):
        design(formula)


def test_scalar_terms_may_have_one_level_less_than_rows():
    data = DATA.assign(each=np.minimum(DATA.each, N - 2))
    assert design("y ~ 1 + (1|each)", data).random[0].grouping.n_levels == N - 1


def test_independent_columns_count_one_by_one():
    assert design("y ~ x + (poly(x, 5)||g)").random[0].Z.shape == (N, 6)


def test_infinite_values_name_column_or_row():
    with pytest.raises(DataError, match=r"Response 'y' is infinite in 1 row\(s\), the first at 'r3'"):
        design("y ~ x + (1|g)", with_value("y", 3, np.inf).set_index("r" + DATA.s))
    with pytest.raises(DataError, match="Column 'x' of the fixed effects is infinite in 1 row"):
        design("y ~ x + (1|g)", with_value("x", 3, -np.inf))
    with pytest.raises(DataError, match=r"Column 'x' of \(0 \+ x \| g\) is infinite"):
        design("y ~ 1 + (0 + x|g)", with_value("x", 3, np.inf))


def test_duplicate_column_names():
    data = pd.concat([DATA, DATA[["x", "g"]]], axis=1)
    with pytest.raises(DataError, match="Duplicate column names in the data: 'x', 'g'"):
        design("y ~ x + (1|g)", data)


@pytest.mark.parametrize("data", [DATA.head(0), pd.DataFrame({"y": [], "x": [], "g": []})])
def test_empty_data(data):
    with pytest.raises(DataError, match="no rows"):
        design("y ~ x + (1|g)", data)


@pytest.mark.parametrize("formula", ["y ~ x + (1|g)", "y ~ x*flag + (1|g)", "y ~ poly(x, 2) + (flag|g)"])
def test_all_rows_dropped(formula):
    with pytest.raises(DataError, match=r"No row is left.*y \(15\).*x.* \(15\)"):
        design(formula, DATA.assign(y=DATA.y.where(DATA.flag), x=DATA.x.where(~DATA.flag)))
    with pytest.raises(DataError, match=r"No row is left.*y \(30\)"):
        design(formula, DATA.assign(y=np.nan))


def test_a_transformation_that_leaves_no_row():
    with pytest.raises(DataError, match="No row is left"):
        design("y ~ np.sqrt(-2 - x) * g + (1|g)")


@pytest.mark.parametrize("data", [None, 3, "data.csv", [1, 2], np.zeros((3, 2))])
def test_things_that_are_no_table(data):
    with pytest.raises(DataError, match="must be a pandas, polars or pyarrow table"):
        design("y ~ x + (1|g)", data)


def test_na_action_is_checked():
    with pytest.raises(ArgumentError, match="na_action is"):
        design("y ~ x + (1|g)", na_action="omit")


@pytest.mark.parametrize("name", ["weights", "offset"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(N - 1), "has 29 values for 30 rows"),
        (2.0, "must be one column of 30 numbers"),
        (np.ones((N, 2)), "must be one column of 30 numbers"),
        ("s", "'s' must be numeric"),
        ("flag", "'flag' must be numeric, not bool"),
        (["a"] * N, "must be numeric"),
        ([1, "a"] * (N // 2), "mixes types"),
        (np.where(np.arange(N) == 2, np.inf, 1), r"must be finite; 1 row\(s\) are not"),
    ],
)
def test_weights_and_offset(name, value, message):
    with pytest.raises(DataError, match=message):
        design("y ~ x + (1|g)", **{name: value})


@pytest.mark.parametrize("name", ["weights", "offset"])
def test_weights_and_offset_that_do_not_exist(name):
    with pytest.raises(FormulaError, match=r"no column 'eahc'\. Did you mean 'each'"):
        design("y ~ x + (1|g)", **{name: "eahc"})
    with pytest.raises(FormulaError, match=r"no column 'eahc'\. Did you mean 'each'"):
        design("y ~ x + (1|g)", **{name: "1 + eahc"})
    with pytest.raises(FormulaError, match="cannot be evaluated"):
        design("y ~ x + (1|g)", **{name: "1 +"})


def test_negative_and_zero_sum_weights():
    with pytest.raises(DataError, match=r"must not be negative; 2 row\(s\) are"):
        design("y ~ x + (1|g)", weights=np.where(np.arange(N) < 2, -1.0, 1.0))
    with pytest.raises(DataError, match="sum to zero"):
        design("y ~ x + (1|g)", weights=np.zeros(N))


def test_patsys_bare_treatment_contrasts():
    patsy, plain = (design(f"y ~ {term} + (1|g)") for term in ("C(s, Treatment)", "C(s)"))
    np.testing.assert_array_equal(patsy.X, plain.X)
    assert patsy.exog_names[1:] == tuple(name.replace("C(s)", "C(s, Treatment)") for name in plain.exog_names[1:])


def test_dotted_names_in_functions_are_to_be_quoted():
    data = DATA.rename(columns={"x": "total.x"})
    with pytest.raises(FormulaError, match=r"no column 'total'\. Inside a function write `total\.x`\.$"):
        design("y ~ I(total.x > 0) + (1|g)", data)
    assert design("y ~ I(`total.x` > 0) + (1|g)", data) is not None


ROW_TABLES = {
    "lists": pd.Series([[1, 2]] * N),
    "ragged lists": pd.Series([[1] * (k % 3) for k in range(N)]),
    "arrays": pd.Series([np.zeros(2)] * N),
    "dicts": pd.Series([{"a": 1}] * N),
    "tuples": pd.Series([(1, 2)] * N),
    "sets": pd.Series([{1}] * N),
    "arrow lists": pd.Series(pa.array([[1, 2]] * N), dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "arrow structs": pd.Series(pa.array([{"a": 1}] * N), dtype=pd.ArrowDtype(pa.struct({"a": pa.int64()}))),
}


@pytest.mark.parametrize("kind", ROW_TABLES)
@pytest.mark.parametrize(
    "formula", ["y ~ v + (1|g)", "y ~ x + (1|v)", "y ~ x + (v|g)", "y ~ np.log(v) + (1|g)", "v ~ x + (1|g)"]
)
def test_columns_of_several_values_a_row_are_named(kind, formula):
    with pytest.raises(DataError, match="Column 'v' of the data holds several values a row"):
        design(formula, DATA.assign(v=ROW_TABLES[kind]))


@pytest.mark.parametrize("convert", [pl.from_pandas, pa.Table.from_pandas], ids=["polars", "arrow"])
@pytest.mark.parametrize("values", [[[1, 2]] * N, [{"a": 1}] * N], ids=["lists", "structs"])
def test_nested_columns_of_other_tables_are_named(convert, values):
    table = convert(DATA[["y", "x", "g"]].assign(v=values))
    with pytest.raises(DataError, match="Column 'v' of the data holds several values a row"):
        design("y ~ v + (1|g)", table)
    assert design("y ~ x + (1|g)", table).X.shape == (N, 2)


def test_columns_that_are_tables_are_named():
    wide = pd.concat({"y": DATA[["y"]], "v": DATA[["x", "y"]], "g": DATA[["g"]]}, axis=1)
    with pytest.raises(DataError, match="is a table of 2 columns: give each a name"):
        design("v ~ 1 + (1|g)", wide)
    mapping = {"y": DATA.y.to_numpy(), "v": np.zeros((N, 2)), "g": DATA.g.to_numpy()}
    with pytest.raises(DataError, match="Column 'v' of the data is a table"):
        design("y ~ 1 + (1|g)", mapping)


def test_columns_of_different_lengths_are_named():
    with pytest.raises(DataError, match=r"of the data are of different lengths: y \(30\), g \(29\)"):
        design("y ~ 1 + (1|g)", {"y": DATA.y.to_list(), "g": DATA.g.to_list()[1:]})


@pytest.mark.parametrize(
    "formula", ["y ~ Intercept + (1|g)", "y ~ Intercept + log(y + 99) + (1|g)", "y ~ x + (Intercept|g)"]
)
def test_a_column_called_intercept_beside_the_constant(formula):
    data = DATA.assign(Intercept=DATA.x)
    with pytest.raises(DataError, match=r"Two columns of .* would be named 'Intercept': rename a column"):
        design(formula, data)
    np.testing.assert_array_equal(design("y ~ 0 + Intercept + (1|g)", data).X[:, 0], DATA.x)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x + (1|g)", r"no column 'g'. It is in the index: pass data.reset_index\('g'\)"),
        ("y ~ g + (1|s)", "no column 'g'. It is in the index"),
    ],
)
def test_names_in_the_index_are_hinted_at(formula, message):
    with pytest.raises(FormulaError, match=message):
        design(formula, DATA.set_index("g"))
    with pytest.raises(FormulaError, match=message):
        design(formula, DATA.set_index(["g", "one"]))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ interaction(s, one) + (1|g)", "Write a:b"),
        ("y ~ x + (1|interaction(s, one))", "Write a:b"),
        ("y ~ x + (0 + dummy(s, 'a')|g)", r"np\.where\(x == 'level', 1, 0\)"),
    ],
)
def test_functions_of_r_and_lme4_are_hinted_at(formula, message):
    with pytest.raises(FormulaError, match=message):
        design(formula)


def test_values_of_one_strange_type_are_named():
    with pytest.raises(DataError, match=r"Column 'v' of the data holds values that are neither numbers nor labels"):
        design("y ~ v + (1|g)", DATA.assign(v=[object()] * N))


def test_a_mapping_of_single_values_is_no_table():
    with pytest.raises(DataError, match="columns of the data are single values: give one for each row"):
        design("y ~ x + (1|g)", {"y": 1.0, "x": 2.0, "g": 3})


def test_expressions_and_weights_of_several_lengths_are_named():
    ragged = [[1.0] * (k % 3) for k in range(N)]
    with pytest.raises(DataError, match=r"`v\(x\)` gives lists of several lengths"):
        build(parse("y ~ v(x) + (1|g)"), DATA, context={"v": lambda x: ragged})
    with pytest.raises(DataError, match="The weights must be one column of 30 numbers, not lists of several lengths"):
        design("y ~ x + (1|g)", weights=ragged)
