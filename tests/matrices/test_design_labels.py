"""Labels that are the same although their types are not."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import mixfit
from mixfit.errors import DataError, NewLevelError
from mixfit.matrices.labels import match

DAYS = pd.date_range("2020-01-30", periods=4)


def series(values, dtype=None):
    return pd.Series(values, dtype=dtype)


@pytest.mark.parametrize(
    ("levels", "values", "codes"),
    [
        # the same type
        ([308, 309], [309, 308, 400], [1, 0, -1]),
        ([308, 309], [309.0, 308.0, np.nan], [1, 0, -1]),
        ([0.5, 1.0], [1, 2], [1, -1]),
        (["a", "b"], ["b", None, "c"], [1, -1, -1]),
        # numbers and their text
        ([308, 309], ["309", "308.0", "400"], [1, 0, -1]),
        ([0.5, 1.0], ["0.5", "1", "1.0"], [0, 1, 1]),
        (["308", "309"], [309, 308, 400], [1, 0, -1]),
        (["308.0", "309.0"], [309, 308.0], [1, 0]),
        (["-3", "1e+30"], [1e30, -3], [1, 0]),
        (["308", "309"], ["309.0", "309", "0308", "400.0"], [1, 1, -1, -1]),
        (["308.0", "309.0"], ["308", "x"], [0, -1]),
        (["7", "7.0", "8"], ["7.0", "8.0", "7"], [1, 2, 0]),
        # truth values and theirs
        ([False, True], ["True", "False"], [1, 0]),
        (["False", "True"], [True, False], [1, 0]),
        # dates and theirs
        (DAYS, ["2020-01-31", "2020-01-30 00:00:00", "2021-01-01"], [1, 0, -1]),
        (["2020-01-30", "2020-01-31"], DAYS[:3], [0, 1, -1]),
        (DAYS, [datetime.date(2020, 2, 1)], [2]),
        (DAYS, DAYS[[2, 0]].astype("datetime64[s]"), [2, 0]),
        (DAYS.tz_localize("UTC"), DAYS[1:3].tz_localize("UTC").tz_convert("Asia/Tokyo"), [1, 2]),
        # none at all
        ([308, 309], [None, None], [-1, -1]),
        (["a", "b"], [], []),
    ],
)
@pytest.mark.parametrize("categorical", [False, True])
def test_codes(levels, values, codes, categorical):
    values = pd.Series(values, dtype=object if len(values) == 0 else None)
    found = match(values.astype("category") if categorical else values, pd.Index(levels), "g")
    assert found.tolist() == codes
    assert found.dtype == np.intp


@pytest.mark.parametrize(
    ("levels", "values", "message"),
    [
        ([308, 309], ["S308", "309"], r"'g' holds text here \('S308'\), but numbers in the fit \(such as 308\)"),
        ([308, 309], ["0308"], r"'0308'"),
        ([308, 309], [True], "holds truth values here"),
        ([0, 1], [True, False], "holds truth values here"),
        (["a", "b"], [1, 2], r"holds numbers here \(1, 2\), but text in the fit \(such as 'a'\)"),
        (["a", "b"], list(range(9)), r"\(0, 1, 2, 3, 4, \.\.\.\)"),
        (DAYS, [1, 2], "holds numbers here"),
        (DAYS, ["yesterday"], "'yesterday'"),
        (DAYS, DAYS.tz_localize("UTC"), "holds times in a zone here"),
        ([1, 2], DAYS, "holds dates here"),
    ],
)
def test_labels_of_another_type_are_an_error(levels, values, message):
    with pytest.raises(DataError, match=message):
        match(pd.Series(values), pd.Index(levels), "g")


def test_a_category_without_rows_is_no_label():
    values = pd.Series(pd.Categorical([1, 2], categories=[1, 2, 3])).astype("category")
    odd = pd.Series(pd.Categorical(["1", "2"], categories=["1", "2", "none"]))
    assert match(values, pd.Index(["1", "2"]), "g").tolist() == [0, 1]
    assert match(odd, pd.Index([1, 2]), "g").tolist() == [0, 1]


def test_levels_of_one_text_have_no_number():
    # Which of the two would 7 be?
    levels = pd.Index(["7", "7.0", "8"])
    assert match(series([8]), levels, "g").tolist() == [2]
    assert match(series([7]), levels, "g").tolist() == [-1]
    assert match(series(["7", "7.0"]), levels, "g").tolist() == [0, 1]


@pytest.fixture(scope="module")
def fit():
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()


@pytest.mark.parametrize("subject", [308, 308.0, "308", np.int16(308)])
def test_predictions_of_one_subject_under_every_type(fit, subject):
    own = fit.predict(pd.DataFrame({"Days": [5], "Subject": pd.Categorical(["308"])}))
    new = pd.DataFrame({"Days": [5], "Subject": [subject]})
    for frame in (new, new.astype({"Subject": "category"}), pl.from_pandas(new), pa.Table.from_pandas(new)):
        for allowed in (False, True):
            assert float(fit.predict(frame, allow_new_levels=allowed).iloc[0]) == float(own.iloc[0])


def test_new_levels_are_not_hidden_by_their_type(fit):
    new = pd.DataFrame({"Days": [5, 5], "Subject": [308, 999]})
    with pytest.raises(NewLevelError, match="999"):
        fit.predict(new)
    population = fit.predict(new, re_form="population")
    assert fit.predict(new, allow_new_levels=True).iloc[1] == population.iloc[1]
    with pytest.raises(DataError, match="holds dates here"):
        fit.predict(new.assign(Subject=DAYS[:2]), allow_new_levels=True)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_group_gives_nan(fit, missing):
    new = pd.DataFrame({"Days": [5, 5], "Subject": pd.Series(["308", missing], dtype=object)})
    for allowed in (False, True):
        found = fit.predict(new, allow_new_levels=allowed)
        assert np.isfinite(found.iloc[0])
        assert np.isnan(found.iloc[1])
    assert np.isfinite(fit.predict(new, re_form="population")).all()


def dates(storage):
    days = pd.Series(DAYS[np.arange(80) % 4])
    objects = days.dt.date
    return {
        "datetime64[ns]": days.astype("datetime64[ns]"),
        "datetime64[s]": days.astype("datetime64[s]"),
        "date objects": objects,
        "datetime objects": days.astype(object),
        "date32": pd.Series(pa.array(objects.tolist()), dtype=pd.ArrowDtype(pa.date32())),
        "timestamp": days.astype(pd.ArrowDtype(pa.timestamp("us"))),
        "period": days.dt.to_period("D"),
        "period objects": days.dt.to_period("D").astype(object),
    }[storage]


STORAGES = [
    "datetime64[ns]",
    "datetime64[s]",
    "date objects",
    "datetime objects",
    "date32",
    "timestamp",
    "period",
    "period objects",
]
RNG = np.random.default_rng(6)
VISITS = pd.DataFrame({"y": RNG.normal(size=80) + np.arange(80) % 4, "x": RNG.normal(size=80), "g": np.arange(80) % 7})


@pytest.mark.parametrize("storage", STORAGES)
def test_a_date_is_the_same_in_every_storage(storage):
    data, plain = VISITS.assign(day=dates(storage)), VISITS.assign(day=dates("datetime64[ns]"))
    for formula in ("y ~ x + (1 | day)", "y ~ C(day) + (1 | g)", "y ~ x + (1 | day:g)"):
        found, expected = mixfit.mixed(formula, data).fit(), mixfit.mixed(formula, plain).fit()
        assert found.llf == expected.llf
        assert found.model.exog_names == expected.model.exog_names
        levels, theirs = (f.model.design.random[0].grouping.levels for f in (found, expected))
        assert list(levels) == list(theirs)
        for other in STORAGES:
            new = VISITS.assign(day=dates(other)).head(9)
            np.testing.assert_allclose(found.predict(new), expected.fittedvalues.iloc[:9], rtol=1e-12)
    with pytest.raises(DataError, match=r"Column 'day' is not numeric but holds dates: write C\(day\)"):
        mixfit.mixed("y ~ day + (1 | g)", data)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Chicago"])
def test_a_zone_changes_no_model(zone):
    data, plain = VISITS.assign(day=dates("datetime64[ns]").dt.tz_localize(zone)), VISITS.assign(day=dates("period"))
    for formula in ("y ~ x + (1 | day)", "y ~ C(day) + (1 | g)"):
        found, expected = mixfit.mixed(formula, data).fit(), mixfit.mixed(formula, plain).fit()
        assert found.llf == expected.llf
        new = data.head(9).assign(day=data.day.dt.tz_convert("Asia/Tokyo"))
        np.testing.assert_allclose(found.predict(new), expected.fittedvalues.iloc[:9], rtol=1e-12)
    with pytest.raises(DataError, match="'day' is not numeric but holds dates"):
        mixfit.mixed("y ~ day + (1 | g)", data)
