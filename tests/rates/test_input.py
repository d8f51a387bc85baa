"""What `beta_binomial` reads: arrays, columns, formulas, units of several rows."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError, FormulaError
from tests.rates import arms

ROWS = pd.DataFrame(
    {
        "y": [2, 4, 7, 9, 1, 3, 5, 0],
        "n": [10, 12, 9, 11, 10, 20, 15, 4],
        "ward": list("bbaaccdd"),
        "month": list("uvuvuvuv"),
        "x": [1.0, 1.0, 2.0, 2.0, 5.0, 5.0, 4.0, 4.0],
        "z": np.arange(8.0),
    }
)
WARDS = ROWS.groupby("ward")[["y", "n"]].sum()


def same(first, second):
    assert_allclose(first.params, second.params, rtol=1e-10)
    pd.testing.assert_frame_equal(first.rates(), second.rates(), check_names=False)


def test_rows_of_a_unit_are_added_up():
    fit = mixfit.beta_binomial("y", "n", ROWS, by="ward")
    same(fit, mixfit.beta_binomial(WARDS["y"], WARDS["n"]))
    assert fit.rates().index.tolist() == ["a", "b", "c", "d"]
    assert fit.rates()["successes"].tolist() == [16, 6, 4, 5]
    assert fit.nobs == 4


def test_rows_taken_for_units_would_feign_precision():
    halves = pd.DataFrame(
        {"y": [11, 17, 13, 24, 14, 24, 11, 22, 8, 17, 11, 17, 14, 24, 15, 25, 12, 23, 9, 17], "n": 50}
    )
    halves["arm"] = [*range(10), *range(10)]
    fit = mixfit.beta_binomial("y", "n", halves, by="arm")
    same(fit, mixfit.beta_binomial(arms.Y, arms.N))
    rows = mixfit.beta_binomial("y", "n", halves)
    assert rows.bse["Intercept"] < 0.8 * fit.bse["Intercept"]
    assert rows.precision > 1.2 * fit.precision


@pytest.mark.parametrize(
    "by", [ROWS["ward"], ROWS["ward"].to_numpy(), ROWS["ward"].tolist(), ROWS["ward"].astype("category"), ["ward"]]
)
def test_units_may_be_named_by_a_column_or_an_array(by):
    same(mixfit.beta_binomial("y", "n", ROWS, by=by), mixfit.beta_binomial("y", "n", ROWS, by="ward"))


def test_several_columns_make_a_unit():
    fit = mixfit.beta_binomial("y", "n", pd.concat([ROWS, ROWS]), by=["ward", "month"])
    assert fit.rates().index.tolist()[:3] == ["a:u", "a:v", "b:u"]
    same(
        fit,
        mixfit.beta_binomial(
            2 * ROWS["y"].iloc[[2, 3, 0, 1, 4, 5, 6, 7]].set_axis(fit.rates().index),
            2 * ROWS["n"].iloc[[2, 3, 0, 1, 4, 5, 6, 7]].set_axis(fit.rates().index),
        ),
    )


def test_categories_keep_their_order_and_empty_ones_are_left_out():
    wards = pd.Categorical(ROWS["ward"], ["d", "e", "a", "b", "c"])
    fit = mixfit.beta_binomial("y", "n", ROWS.assign(ward=wards), by="ward")
    assert fit.rates().index.tolist() == ["d", "a", "b", "c"]
    assert fit.rates()["successes"].tolist() == [5, 16, 6, 4]


def test_arrays_columns_formulas_and_frames_of_others_agree():
    fit = mixfit.beta_binomial("y", "n", ROWS)
    same(fit, mixfit.beta_binomial(ROWS["y"].to_numpy(), ROWS["n"].to_numpy()))
    same(fit, mixfit.beta_binomial(ROWS["y"].tolist(), ROWS["n"].tolist()))
    same(fit, mixfit.beta_binomial("cbind(y, n - y) ~ 1", data=ROWS))
    same(fit, mixfit.beta_binomial("y", "n", pl.from_pandas(ROWS)))
    same(
        mixfit.beta_binomial("cbind(y, n - y) ~ x", data=pl.from_pandas(ROWS), by="ward"),
        mixfit.beta_binomial("cbind(y, n - y) ~ x", data=ROWS, by="ward"),
    )
    same(mixfit.beta_binomial("y", 30, ROWS), mixfit.beta_binomial("y", np.full(8, 30), ROWS))


def test_rows_of_one_trial_are_added_up_too():
    rng = np.random.default_rng(4)
    long = pd.DataFrame({"g": np.repeat(np.arange(9), 12)})
    long["y"] = rng.random(len(long)) < rng.beta(1.0, 2.0, 9)[long["g"]]
    counts = long.groupby("g")["y"].sum()
    fit = mixfit.beta_binomial("y ~ 1", data=long, by="g")
    same(fit, mixfit.beta_binomial(counts, 12))
    same(fit, mixfit.beta_binomial("y ~ 1", data=long.assign(y=long["y"].astype(int)), by="g"))


ONES = [True, False, None, True, False, False, True, False, True, True] * 2
OF_UNIT = list("aabbccddee") * 2


@pytest.mark.parametrize(
    "successes", [ONES, np.array(ONES), pd.Series(ONES), pd.Series(ONES, dtype="boolean"), pl.Series(ONES)]
)
def test_successes_of_single_trials_may_be_booleans(successes):
    known = [i for i, one in enumerate(ONES) if one is not None]
    counts = mixfit.beta_binomial([int(ONES[i]) for i in known], 1, by=[OF_UNIT[i] for i in known])
    same(mixfit.beta_binomial(successes, 1, by=OF_UNIT), counts)
    frame = pl.DataFrame({"y": successes, "g": OF_UNIT}) if isinstance(successes, pl.Series) else None
    frame = pd.DataFrame({"y": successes, "g": OF_UNIT}) if frame is None else frame
    same(mixfit.beta_binomial("y", 1, frame, by="g"), counts)


def test_an_array_of_categories_keeps_their_order():
    by = pd.Categorical(ROWS["ward"], categories=["c", "d", "x", "a", "b"])
    assert mixfit.beta_binomial("y", "n", ROWS, by=by).rates().index.tolist() == ["c", "d", "a", "b"]


def test_series_must_have_the_labels_of_the_frame():
    shuffled = ROWS.sample(frac=1.0, random_state=1)
    for options in ({"by": ROWS["ward"]}, {"by": "ward", "successes": ROWS["y"]}):
        arguments = {"successes": "y", "trials": "n", "data": shuffled} | options
        with pytest.raises(DataError, match=r"different indexes, or another than data="):
            mixfit.beta_binomial(**arguments)
    same(mixfit.beta_binomial("y", "n", shuffled, by=shuffled["ward"]), mixfit.beta_binomial("y", "n", ROWS, by="ward"))


def test_labels_come_from_the_index():
    fit = mixfit.beta_binomial(WARDS["y"], WARDS["n"])
    assert fit.rates().index.tolist() == ["a", "b", "c", "d"]
    assert fit.compare("a", "b") > 0.9
    assert fit.means["a"] == fit.mean
    with pytest.raises(DataError, match=r"labelled .*0.* by="):
        mixfit.beta_binomial("y", "n", pd.concat([ROWS, ROWS]))
    with pytest.raises(DataError, match="different indexes"):
        mixfit.beta_binomial(WARDS["y"], WARDS["n"].iloc[::-1])


def test_means_with_covariates():
    fit = mixfit.beta_binomial("cbind(y, n - y) ~ x", data=ROWS, by="ward")
    eta = fit.params["Intercept"] + fit.params["x"] * np.array([2.0, 1.0, 5.0, 4.0])
    assert_allclose(fit.means, 1 / (1 + np.exp(-eta)))
    with pytest.raises(FitError, match="see means"):
        _ = fit.mean
    rates = fit.rates()
    a = rates["successes"] + fit.means * fit.precision
    assert_allclose(rates["mean"], a / (rates["trials"] + fit.precision))


def test_a_covariate_belongs_to_the_unit():
    with pytest.raises(DataError, match=r"'z' differs between rows of the unit 'b'"):
        mixfit.beta_binomial("cbind(y, n - y) ~ z", data=ROWS, by="ward")
    with pytest.raises(DataError, match=r"'the offset' differs between rows of the unit"):
        mixfit.beta_binomial("cbind(y, n - y) ~ offset(z)", data=ROWS, by="ward")


def test_a_dot_stands_for_the_other_columns():
    fit = mixfit.beta_binomial(
        "cbind(y, n - y) ~ .", data=ROWS[["y", "n", "x", "z", "ward"]].assign(row=range(8)), by="row"
    )
    assert fit.params.index.tolist() == ["Intercept", "x", "z", "ward[T.b]", "ward[T.c]", "log(precision)"]
    assert fit.aliased == ("ward[T.d]",)


def test_dependent_covariates_are_left_out_by_name():
    fit = mixfit.beta_binomial("cbind(y, n - y) ~ x + I(2 * x)", data=ROWS)
    assert fit.aliased == ("I(2 * x)",)
    assert_allclose(fit.params, mixfit.beta_binomial("cbind(y, n - y) ~ x", data=ROWS).params)
    assert "Left out, determined by others: I(2 * x)." in str(fit.summary())


def test_missing_rows_are_left_out_or_refused():
    data = ROWS.astype({"y": float})
    data.loc[3, "y"] = np.nan
    data.loc[5, "ward"] = None
    fit = mixfit.beta_binomial("y", "n", data, by="ward")
    same(fit, mixfit.beta_binomial("y", "n", ROWS.drop([3, 5]), by="ward"))
    assert fit.data.n_dropped == 2
    assert "2 rows deleted due to missingness" in str(fit.summary())
    with pytest.raises(DataError, match=r"Missing values \(rows\) in: y \(1\), ward \(1\)"):
        mixfit.beta_binomial("y", "n", data, by="ward", na_action="raise")
    data.loc[7, "x"] = np.nan
    fit = mixfit.beta_binomial("cbind(y, n - y) ~ x", data=data)
    assert_allclose(fit.params, mixfit.beta_binomial("cbind(y, n - y) ~ x", data=ROWS.drop([3, 7])).params)


def test_a_unit_without_trials_stays_with_a_formula():
    data = ROWS.assign(y=[2, 4, 7, 9, 1, 3, 5, 0], n=[10, 12, 9, 11, 10, 20, 15, 0])
    fit = mixfit.beta_binomial("cbind(y, n - y) ~ x", data=data)
    assert_allclose(fit.params, mixfit.beta_binomial("cbind(y, n - y) ~ x", data=data.iloc[:7]).params)
    assert_allclose(fit.rates()["mean"].iloc[7], fit.means.iloc[7])


def test_a_unit_without_trials_needs_covariates_that_others_have():
    data = ROWS.assign(f=list("uuvvuvuw"), n=[10, 12, 9, 11, 10, 20, 15, 0], y=[2, 4, 7, 9, 1, 3, 5, 0])
    with pytest.raises(DataError, match="mean of unit 7 cannot be estimated: it has no trials"):
        mixfit.beta_binomial("cbind(y, n - y) ~ f", data=data)
    # A column that depends on another is no reason to refuse.
    fit = mixfit.beta_binomial("cbind(y, n - y) ~ x + I(2 * x)", data=data)
    assert fit.aliased == ("I(2 * x)",)
    other = mixfit.beta_binomial("cbind(y, n - y) ~ x", data=data)
    assert_allclose(fit.means[7], other.means[7])


def test_counts_must_be_counts():
    cases = [
        ([1.5, 2], [10, 10], r"'successes' must hold counts .* the first being 0 \(1\.5\)"),
        ([-1, 2], [10, 10], "'successes' must hold counts"),
        ([1, 2], [10, 10.5], "'trials' must hold counts"),
        ([np.inf, 2], [10, 10], "'successes' must hold counts"),
        ([1, 11], [10, 10], r"not be more than the trials.* the first being 1 \(11\)"),
        ([0, 0], [0, 0], "No unit has any trials"),
        (["a", "b"], [1, 2], "must be numeric"),
        ([1, 2, 3], [1, 2], "2 values for 3 rows"),
        (np.ones((2, 2)), 3, "one column of counts"),
        ([], [], "no rows"),
        ([1, 2], None, "Give the trials"),
        ([np.nan, np.nan], [1, 2], "No row is left"),
    ]
    for y, n, message in cases:
        with pytest.raises(DataError, match=message):
            mixfit.beta_binomial(y, n)
    with pytest.raises(DataError, match=r"'y' must hold counts"):
        mixfit.beta_binomial("y", "n", ROWS.assign(y=0.5))
    with pytest.raises(DataError, match="must be 0 or 1"):
        mixfit.beta_binomial("p ~ 1", data=ROWS.assign(p=0.4), by="ward")


def test_what_cannot_be_read_is_named():
    with pytest.raises(FormulaError, match=r"no column 'yy'\. Did you mean 'y'"):
        mixfit.beta_binomial("yy", "n", ROWS)
    with pytest.raises(FormulaError, match=r"no column 'wards'\. Did you mean 'ward'"):
        mixfit.beta_binomial("y", "n", ROWS, by="wards")
    with pytest.raises(FormulaError, match=r"takes no random terms: its units are named by by="):
        mixfit.beta_binomial("cbind(y, n - y) ~ x + (1 | ward)", data=ROWS)
    with pytest.raises(FormulaError, match="counts the trials itself"):
        mixfit.beta_binomial("cbind(y, n - y) ~ x", "n", ROWS)
    with pytest.raises(DataError, match="need data="):
        mixfit.beta_binomial("y", "n")
    with pytest.raises(DataError, match=r"by='by' has 3 values for 8 rows"):
        mixfit.beta_binomial("y", "n", ROWS, by=[1, 2, 3])
    with pytest.raises(FitError, match="'marginal', 'joint' or 'moments'"):
        mixfit.beta_binomial("y", "n", ROWS, method="bayes")
    with pytest.raises(FitError, match="logit, probit, cloglog"):
        mixfit.beta_binomial("y", "n", ROWS, link="identity")
    with pytest.raises(ValueError, match="na_action"):
        mixfit.beta_binomial("y", "n", ROWS, na_action="ignore")


@pytest.mark.parametrize("by", [ROWS[["ward", "month"]], ROWS[["ward", "month"]].to_numpy()])
def test_a_table_of_labels_is_refused(by):
    with pytest.raises(DataError, match=r"by= must be one value for each row, not of shape \(8, 2\)"):
        mixfit.beta_binomial("y", "n", ROWS, by=by)


def test_errors_write_labels_as_they_are_typed():
    with pytest.raises(DataError, match="Two rows are labelled 7"):
        mixfit.beta_binomial("y", "n", ROWS.set_axis([5, 6, 7, 7, 8, 9, 10, 11]))
    with pytest.raises(DataError, match=r"the first being 7 \(7\)"):
        mixfit.beta_binomial("y", 6, ROWS.set_axis([5, 6, 7, 4, 8, 9, 10, 11]))


def test_the_frame_is_not_changed():
    before = ROWS.copy()
    mixfit.beta_binomial("cbind(y, n - y) ~ x", data=ROWS, by="ward")
    pd.testing.assert_frame_equal(ROWS, before)
