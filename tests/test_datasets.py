"""The bundled datasets: what they declare is what they hold, and both are what R holds."""

import doctest
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mixfit import datasets
from mixfit.errors import DataError

ROOT = Path(__file__).resolve().parent.parent

# Name, rows, a response and its sum: a row lost or a digit changed shows.
SETS = {
    "beat_the_blues": (280, "bdi", 4041),
    "cake": (270, "angle", 8673),
    "cbpp": (56, "incidence", 99),
    "contraception": (1934, "age", 4.2507),
    "dyestuff": (30, "Yield", 45825),
    "dyestuff2": (30, "Yield", 169.968),
    "grouseticks": (403, "TICKS", 2567),
    "insteval": (73421, "y", 235369),
    "orthodont": (108, "distance", 2594.5),
    "ovary": (308, "follicles", 3707),
    "pastes": (60, "strength", 3603.2),
    "penicillin": (20, "yield", 1720),
    "penicillin_plates": (144, "diameter", 3308),
    "pulp": (20, "bright", 1208.0),
    "rat_weights": (176, "weight", 67669),
    "salamanders": (644, "count", 852),
    "sleepstudy": (180, "Reaction", 53731.4205),
    "toenail": (1908, "time", 8950.6427803),
    "verbagg": (7584, "Anger", 151704),
    "wheat_field": (224, "yield", 5718.05),
    "wine": (72, "response", 3400),
}

# Levels as R shows them where their order is easily lost: (dataset, column) -> first, last, number.
LEVELS = {
    ("cake", "replicate"): ("1", "2", "15", 15),
    ("cbpp", "herd"): ("1", "2", "15", 15),
    ("contraception", "district"): ("1", "2", "61", 60),
    ("contraception", "livch"): ("0", "1", "3+", 4),
    ("contraception", "woman"): ("1", "2", "1934", 1934),
    ("grouseticks", "BROOD"): ("501", "502", "743", 118),
    ("grouseticks", "INDEX"): ("1", "2", "403", 403),
    ("grouseticks", "YEAR"): ("95", "96", "97", 3),
    ("insteval", "d"): ("1", "6", "2160", 1128),
    ("insteval", "dept"): ("15", "5", "2", 14),
    ("insteval", "s"): ("1", "2", "2972", 2972),
    ("ovary", "Mare"): ("1", "2", "11", 11),
    ("pastes", "sample"): ("A:a", "A:b", "J:c", 30),
    ("penicillin", "blend"): ("Blend1", "Blend2", "Blend5", 5),
    ("pulp", "operator"): ("a", "b", "d", 4),
    ("rat_weights", "Rat"): ("1", "2", "16", 16),
    ("salamanders", "mined"): ("yes", "no", "no", 2),
    ("salamanders", "site"): ("R-1", "R-2", "VF-11", 23),
    ("salamanders", "spp"): ("GP", "PR", "DF", 7),
    ("sleepstudy", "Subject"): ("308", "309", "372", 18),
    ("toenail", "outcome"): ("none or mild", "moderate or severe", "moderate or severe", 2),
    ("toenail", "patientID"): ("1", "2", "383", 294),
    ("toenail", "treatment"): ("itraconazole", "terbinafine", "terbinafine", 2),
    ("verbagg", "id"): ("1", "2", "316", 316),
    ("verbagg", "item"): ("S1WantCurse", "S1WantScold", "S4DoShout", 24),
    ("verbagg", "mode"): ("want", "do", "do", 2),
    ("verbagg", "resp"): ("no", "perhaps", "yes", 3),
}


def declared(name):
    return json.loads((ROOT / "datasets" / f"{name}.json").read_text(encoding="utf-8"))


def test_list_names_every_set_and_its_size():
    table = datasets.list()
    assert table.columns.to_list() == ["name", "rows", "columns", "title", "source"]
    assert table["name"].to_list() == sorted(SETS)
    assert (table["title"].str.len() > 10).all()
    assert table["source"].str.contains(r"\(\d{4}\)\.").all(), "a source is a citation with its year"
    for row in table.itertuples():
        assert datasets.load(row.name).shape == (row.rows, row.columns)


@pytest.mark.parametrize("name", SETS)
def test_rows_and_values(name):
    rows, response, total = SETS[name]
    frame = datasets.load(name)
    assert len(frame) == rows
    assert frame[response].sum() == pytest.approx(total, abs=1e-6)
    assert not frame.isna().any(axis=None)
    assert isinstance(frame.index, pd.RangeIndex)


@pytest.mark.parametrize("name", SETS)
def test_types_and_levels_are_those_declared(name):
    frame, columns = datasets.load(name), declared(name)["columns"]
    assert frame.columns.to_list() == [*columns]
    for column, about in columns.items():
        dtype = frame[column].dtype
        if about["type"] != "factor":
            assert "levels" not in about
            assert dtype == {"integer": np.dtype("int64"), "float": np.dtype("float64")}[about["type"]]
            continue
        assert isinstance(dtype, pd.CategoricalDtype)
        assert dtype.ordered == about.get("ordered", False)
        levels = dtype.categories.to_list()
        assert all(isinstance(level, str) for level in levels)
        assert set(levels) == set(frame[column]), "every level occurs"
        if about["levels"] == "numeric":
            assert levels == sorted(levels, key=int)
        else:
            assert levels == about["levels"]


@pytest.mark.parametrize(("name", "column"), LEVELS)
def test_levels_stand_in_the_order_of_r(name, column):
    first, second, last, number = LEVELS[name, column]
    levels = datasets.load(name)[column].cat.categories.to_list()
    assert (levels[0], levels[1], levels[-1], len(levels)) == (first, second, last, number)


def test_departments_keep_the_order_of_r():
    levels = datasets.load("insteval")["dept"].cat.categories.to_list()
    assert levels == ["15", "5", "10", "12", "6", "7", "4", "8", "9", "14", "1", "3", "11", "2"]


def test_patients_of_the_toenail_trial_are_those_published():
    frame = datasets.load("toenail")
    patients = frame.groupby("patientID", observed=True)
    assert patients["treatment"].nunique().eq(1).all()
    assert patients["visit"].apply(lambda visits: visits.is_monotonic_increasing and visits.is_unique).all()
    assert frame["visit"].value_counts().sort_index().to_list() == [294, 288, 283, 272, 263, 244, 264]
    assert patients.size().eq(7).sum() == 224
    assert frame["outcome"].eq("moderate or severe").sum() == 408


@pytest.mark.parametrize("name", SETS)
def test_every_column_is_described_with_its_unit(name):
    table = datasets.describe(name)
    assert table.columns.to_list() == ["column", "type", "unit", "description"]
    assert table["column"].to_list() == datasets.load(name).columns.to_list()
    assert set(table["type"]) <= {"factor", "integer", "float"}
    assert table["unit"].str.strip().ne("").all()
    assert table["description"].str.fullmatch(r"[A-Z].+\.").all(), "a description is a sentence"
    assert table.attrs["source"] == declared(name)["source"]


def test_loads_share_no_state():
    changed = datasets.load("pulp")
    changed.loc[:, "bright"] = 0.0
    changed["operator"] = changed["operator"].cat.rename_categories(str.upper)
    fresh = datasets.load("pulp")
    assert fresh["bright"].sum() == pytest.approx(1208.0)
    assert fresh["operator"].cat.categories.to_list() == ["a", "b", "c", "d"]


@pytest.mark.parametrize("function", [datasets.load, datasets.describe])
def test_an_unknown_name_is_answered_with_close_ones(function):
    with pytest.raises(DataError, match=r"'Sleepstudi'; did you mean 'sleepstudy'\?.*list\(\)"):
        function("Sleepstudi")
    with pytest.raises(DataError, match=r"no bundled dataset 'zzz'\. .*list\(\)"):
        function("zzz")


def test_a_name_is_not_a_path():
    with pytest.raises(DataError, match="no bundled dataset"):
        datasets.load("../datasets/pulp")


def test_examples_in_the_docstrings():
    result = doctest.testmod(datasets)
    assert result.attempted > 5
    assert result.failed == 0
