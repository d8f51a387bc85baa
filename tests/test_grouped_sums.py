"""Models of databases and lazy frames by grouped sums are those of the same rows in memory."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, DesignError
from mixfit.matrices.batches import grouped, scan
from tests.test_streamed import assert_same_fit, table, with_gaps

duckdb = pytest.importorskip("duckdb")


@pytest.fixture(autouse=True)
def few_rows_stand_for_all(monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE", 30)
    monkeypatch.setattr(grouped, "SAMPLE", 30)


@pytest.fixture(params=["duckdb", "polars"])
def query(request):
    """What makes a query of a frame."""
    connection = duckdb.connect()
    if request.param == "polars" and not hasattr(pl.LazyFrame, "collect_batches"):
        pytest.skip("polars is too old")

    def make(frame):
        rows = pa.Table.from_pandas(frame, preserve_index=False)
        return rows, connection.from_arrow(rows) if request.param == "duckdb" else pl.from_arrow(rows).lazy()

    yield make
    connection.close()


FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x * arm + (x | g)",
    "y ~ x * t + old + (x | g) + offset(o)",
    "y ~ 0 + arm + old:x + k + (0 + old | g) + (x || h)",
    "y ~ x:t + (1 | h/old)",
    "y ~ k + (k:x | g)",
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("gaps", [False, True])
def test_estimates_are_those_in_memory(formula, gaps, query):
    frame = table(9000)
    rows, source = query((with_gaps(frame) if gaps else frame).drop(columns=["dose", "day"]))
    stream = mixfit.mixed(formula, source, chunk_rows=500)
    assert stream.engine == "grouped sums"
    a, b = assert_same_fit(mixfit.mixed(formula, rows), stream)
    assert_allclose(b.anova(type=2).frame, a.anova(type=2).frame, rtol=1e-6)
    assert str(b.varcorr()) == str(a.varcorr())


def test_means_and_comparisons_are_those_in_memory(query):
    rows, source = query(table(4000).drop(columns=["dose", "day"]))
    formulas = "y ~ x + (1 | g)", "y ~ x * arm + t + (1 | g)"
    memory = [mixfit.mixed(f, rows).fit() for f in formulas]
    # One of them by batches: expressions are no plain columns.
    stream = [mixfit.mixed(f, source).fit() for f in formulas]
    assert_allclose(*(m[1].emmeans("arm").frame[["emmean", "SE"]] for m in (memory, stream)), rtol=1e-7)
    assert str(mixfit.anova(*memory)) == str(mixfit.anova(*stream))
    larger = "y ~ x * arm + t + I(x**2) + (1 | g)"
    batches = mixfit.mixed(larger, source)
    assert batches.engine == "batches"
    tables = [
        mixfit.anova(m[1], fit) for m, fit in ((memory, mixfit.mixed(larger, rows).fit()), (stream, batches.fit()))
    ]
    assert_allclose(tables[1].frame, tables[0].frame, rtol=1e-6)


def test_numbers_far_from_zero_lose_nothing(query):
    frame = table(4000).drop(columns=["dose", "day"])
    near = mixfit.mixed("y ~ x + t + (x | g)", frame).fit()
    frame["y"] += 1e9
    frame["x"] += 1e6
    stream = mixfit.mixed("y ~ x + t + (x | g)", query(frame)[1])
    assert stream.engine == "grouped sums"
    fit = stream.fit()
    assert_allclose(fit.params.iloc[1:], near.params.iloc[1:], rtol=1e-7)
    assert_allclose(fit.sigma, near.sigma, rtol=1e-8)
    assert_allclose(fit.llf, near.llf, rtol=1e-8)


@pytest.mark.parametrize("formula", ["y ~ dose + x + (1 | g)", "y ~ dose + np.sqrt(k) + (1 | g)"])
def test_enums_keep_their_order(formula):
    with duckdb.connect() as connection:
        rows = connection.from_arrow(pa.Table.from_pandas(table(4000).astype({"dose": str}), preserve_index=False))
        kind = "enum ('low', 'mid', 'high', 'never')"
        relation = rows.project(f"y, x, k, g, dose::{kind} as dose")
        memory = mixfit.mixed(formula, relation.to_arrow_table())
        assert memory.exog_names[1:3] == ("dose[T.mid]", "dose[T.high]")
        assert_same_fit(memory, mixfit.mixed(formula, relation))


def test_columns_that_others_determine_are_aliased(query):
    frame = table(4000).drop(columns=["dose", "day"])
    frame["z"] = 2.0 * frame["x"] - 1.0
    frame = frame[~((frame["arm"] == "a") & frame["old"])]
    rows, source = query(frame)
    formula = "y ~ x + z + arm * old + (1 | g)"
    stream = mixfit.mixed(formula, source)
    assert stream.engine == "grouped sums"
    assert_same_fit(mixfit.mixed(formula, rows), stream)


def test_a_covariate_that_is_zero_in_a_cell_is_read_in_batches(query):
    frame = table(4000).drop(columns=["dose", "day"])
    frame.loc[frame["arm"] == "b", "x"] = 0.0
    rows, source = query(frame)
    formula = "y ~ 0 + arm + arm:x + (1 | g)"
    stream = mixfit.mixed(formula, source)
    assert stream.engine == "batches"
    assert_same_fit(mixfit.mixed(formula, rows), stream)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ np.log(k + 1) + (1 | g)", {}),
        ("y ~ x + (1 | g)", {"weights": "k + 1"}),
        ("y ~ h + (h | h)", {}),
        ("y ~ x + (1 | row)", {}),
    ],
)
def test_what_is_not_made_of_plain_columns_is_read_in_batches(formula, options, query):
    frame = table(4000).drop(columns=["dose", "day"]).assign(row=lambda f: np.arange(len(f)) // 2)
    assert mixfit.mixed(formula, query(frame)[1], **options).engine == "batches"


def test_what_cannot_be_used_is_refused(query):
    frame = table(400).drop(columns=["dose", "day"])
    with pytest.raises(DataError, match=r"Missing values \(rows\) in: y \("):
        mixfit.mixed(
            "y ~ x + (1 | g)", query(with_gaps(table(400)).drop(columns=["dose", "day"]))[1], na_action="raise"
        )
    with pytest.raises(DesignError, match="has one level"):
        mixfit.mixed("y ~ x + (1 | g)", query(frame.assign(g="a"))[1])
    with pytest.raises(DataError, match="response is infinite"):
        mixfit.mixed("y ~ x + (1 | h)", query(frame.assign(y=np.where(frame.index == 3, np.inf, 1.0)))[1])
