"""Contrast matrices of one's own: labelled, too short, wrong."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import FormulaError
from mixfit.formula import parse
from mixfit.matrices import build
from mixfit.matrices.contrasts import MatrixContrasts

N = 90
RNG = np.random.default_rng(20)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "x": RNG.normal(size=N),
        "f": RNG.choice(list("ABC"), N),
        "n": RNG.choice([1, 2, 3], N),
        "d": pd.Categorical(RNG.choice(list("ABCD"), N)),
        "g": np.arange(N) % 9,
    }
)
M = pd.DataFrame([[2 / 3, 0.0], [-1 / 3, 0.5], [-1 / 3, -0.5]], index=list("ABC"), columns=["A.BC", "B.C"])
ROW = {level: M.loc[level].to_numpy() for level in "ABC"}


def design(formula, data=DATA, **context):
    return build(parse(formula), data, context=context)


def rows(levels):
    return np.array([ROW[level] for level in levels])


@pytest.mark.parametrize("order", ["ABC", "CAB", "BCA"])
def test_rows_go_by_their_labels(order):
    found = design("y ~ C(f, M) + (1|g)", M=M.loc[list(order)])
    assert found.exog_names == ("Intercept", "C(f, M)[A.BC]", "C(f, M)[B.C]")
    np.testing.assert_array_equal(found.X[:, 1:], rows(DATA.f))


@pytest.mark.parametrize(
    "matrix",
    [
        M.to_numpy(),
        M.to_numpy().tolist(),
        {"a": M["A.BC"].tolist(), "b": M["B.C"].to_numpy()},
        {"a": M["A.BC"][::-1], "b": M["B.C"].to_dict()},
        MatrixContrasts(M),
        pl.from_pandas(M),
    ],
    ids=["array", "lists", "dict of lists", "dict of labelled columns", "object", "polars"],
)
def test_other_spellings(matrix):
    np.testing.assert_array_equal(design("y ~ C(f, M) + (1|g)", M=matrix).X[:, 1:], rows(DATA.f))


def test_names_of_columns():
    for matrix, names in (
        (M, ("A.BC", "B.C")),
        (M.to_numpy(), ("1", "2")),
        ({"p": M["A.BC"].tolist(), "q": M["B.C"].tolist()}, ("p", "q")),
        (pl.from_pandas(M), ("A.BC", "B.C")),
        (M["B.C"][::-1], ("B.C", "2")),
        (M["B.C"].rename(None), ("1", "2")),
    ):
        found = design("y ~ C(f, M) + (1|g)", M=matrix)
        assert found.exog_names[1:] == tuple(f"C(f, M)[{name}]" for name in names)


def test_a_labelled_series_is_one_column():
    backward = M["B.C"][::-1]
    np.testing.assert_array_equal(design("y ~ C(f, M) + (1|g)", M=backward).X[:, 1], rows(DATA.f)[:, 1])


def test_formulaics_own_object_keeps_labels():
    found = design("y ~ C(f, contr.custom(M)) + (1|g)", M=M.loc[list("CAB")])
    np.testing.assert_array_equal(found.X[:, 1:], rows(DATA.f))
    named = design("y ~ C(f, contr.custom(M, names=['p', 'q'])) + (1|g)", M=M.to_numpy())
    assert named.exog_names[2].endswith("[q]")


def test_labels_that_are_numbers():
    data = DATA.assign(n=DATA.n.map({1: 1, 2: 2, 3: 3}))
    found = design("y ~ C(n, M) + (1|g)", data, M=M.set_axis([3, 1, 2]).sort_index())
    expected = rows(data.n.map({3: "A", 1: "B", 2: "C"}))
    np.testing.assert_array_equal(found.X[:, 1:], expected)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (M.set_axis(list("XYZ")), r"labelled 'X', 'Y', 'Z', and the levels of factor 'f' are 'A', 'B', 'C'"),
        (M.set_axis(list("ABX")), "labelled 'A', 'B', 'X'"),
        (M.set_axis(list("AAB")), "labelled 'A', 'A', 'B'"),
        (M.head(2), "labelled 'A', 'B'"),
        (pd.concat([M, M.head(1).set_axis(["D"])]), "labelled 'A', 'B', 'C', 'D'"),
        (M.to_numpy()[:2], r"of 2 rows is for a factor of as many levels, and factor 'f' has 3 \('A', 'B', 'C'\)"),
        (np.eye(3), "has at most 2 columns, not 3: the constant"),
        (M.assign(more=M["A.BC"] + 1), "has at most 2 columns, not 3"),
        (np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]]), "linearly dependent"),
        (np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), "linearly dependent"),
        (np.array([[np.nan, 1.0], [0.0, 1.0], [0.0, 0.0]]), "table of finite numbers"),
        (M.astype(object).replace(0.5, "half"), "holds numbers"),
        (np.zeros((2, 2, 2)), "table of finite numbers"),
        (M.reset_index(drop=True), "labelled 0, 1, 2, and .* or an array of rows in that order"),
        (M.set_axis(["a", "a"], axis=1), "need names of their own, not 'a', 'a'"),
        (M.set_axis([2, "b"], axis=1)[[2]], "need names of their own, not 2, 2"),
    ],
)
def test_matrices_that_do_not_fit_the_factor(matrix, message):
    with pytest.raises(FormulaError, match=message):
        design("y ~ C(f, M) + (1|g)", M=matrix)


# contrasts(x) <- M in R: what is given, and the columns that R adds.
COMPLETED_BY_R = [
    (
        [[2 / 3], [-1 / 3], [-1 / 3], [0.0]],
        [
            [0.033060639575196074, -0.28677574416992158],
            [-0.669393604248039620, -0.36775744169921587],
            [0.735514883398431740, -0.20579404664062731],
            [-0.099181918725588097, 0.86032723250976473],
        ],
    ),
    (
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.0, 0.0]],
        [
            [-0.44721359549995787, -0.31622776601683789],
            [-0.44721359549995798, -0.31622776601683794],
            [0.53384465739548770, -0.12251482265544138],
            [0.53384465739548781, -0.12251482265544138],
            [-0.17326212379105971, 0.87748517734455866],
        ],
    ),
]


@pytest.mark.parametrize(("given", "added"), COMPLETED_BY_R)
def test_r_completes_matrices_alike(given, added):
    levels = list("ABCDE")[: len(given)]
    coding = MatrixContrasts(given).get_coding_matrix(levels)
    np.testing.assert_allclose(coding, np.column_stack([given, added]), atol=1e-14)


def test_too_few_columns_are_completed():
    first = pd.DataFrame({"first": [2 / 3, -1 / 3, -1 / 3, 0.0]}, index=list("ABCD"))
    found = design("y ~ C(d, M) + (1|g)", M=first)
    assert found.exog_names[1:] == ("C(d, M)[first]", "C(d, M)[2]", "C(d, M)[3]")
    coding = pd.DataFrame(found.X[:, 1:]).groupby(DATA.d.to_numpy()).first().to_numpy()
    np.testing.assert_array_equal(coding[:, 0], first["first"])
    # What is added is of unit length, and orthogonal to the constant and to all before.
    others = np.column_stack([np.ones(4), coding])
    product = others.T @ others
    np.testing.assert_allclose(product[2:, 2:], np.eye(2), atol=1e-14)
    np.testing.assert_allclose(product[2:, :2], 0.0, atol=1e-14)


def test_a_completed_matrix_fits_as_any_coding_does():
    data = DATA.assign(y=DATA.y + DATA.d.cat.codes + np.arange(N) % 9)
    short = mixfit.mixed("y ~ C(d, M) + (1|g)", data, context={"M": np.array([1.0, -1.0, 0.0, 0.0])}).fit(reml=False)
    usual = mixfit.mixed("y ~ d + (1|g)", data).fit(reml=False)
    assert short.llf == pytest.approx(usual.llf, abs=1e-9)
    np.testing.assert_allclose(short.fittedvalues, usual.fittedvalues, atol=1e-6)


def test_where_every_level_needs_a_column_there_are_indicators():
    found = design("y ~ 0 + C(f, M) + (1|g)", M=M)
    assert found.exog_names == ("C(f, M)[A]", "C(f, M)[B]", "C(f, M)[C]")
    np.testing.assert_array_equal(found.X, pd.get_dummies(DATA.f).to_numpy(float))
    slopes = design("y ~ C(f, M):x + (1|g)", M=M)
    assert slopes.exog_names[1:] == ("C(f, M)[A]:x", "C(f, M)[B]:x", "C(f, M)[C]:x")
    both = design("y ~ C(f, M)*x + (1|g)", M=M)
    assert both.exog_names[-1] == "C(f, M)[B.C]:x"


def test_new_rows_are_coded_alike():
    found = design("y ~ C(f, M)*x + (C(d, K)||g)", M=M.loc[list("BCA")], K=np.array([1.0, -1.0, 0.0, 0.0]))
    reader = pickle.loads(pickle.dumps(found.reader))
    for places in ([4], [8, 2, 60]):
        new = reader.read(DATA.iloc[places], (True,))
        np.testing.assert_array_equal(new.X, found.X[places])
        np.testing.assert_array_equal(new.Z[0], found.random[0].Z[places])


def test_levels_that_no_row_has_need_no_contrast():
    data = DATA.assign(d=DATA.d.cat.remove_categories("D"))
    found = design("y ~ C(d, M) + (1|g)", data, M=M)
    np.testing.assert_array_equal(found.X[:, 1:], rows(data.d.dropna()))
