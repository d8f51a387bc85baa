"""Models of Ibis tables are those of the same rows in memory."""

from __future__ import annotations

import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import SourceError
from mixfit.matrices.batches import grouped, scan
from tests.test_streamed import assert_same_fit, table, with_gaps

ibis = pytest.importorskip("ibis")
pytest.importorskip("duckdb")


@pytest.fixture(autouse=True)
def few_rows_stand_for_all(monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE", 30)
    monkeypatch.setattr(grouped, "SAMPLE", 30)


@pytest.fixture
def rows(tmp_path):
    """A table of a database, of which the model sees some rows and a computed column."""
    connection = ibis.duckdb.connect()

    def make(frame):
        frame.to_parquet(tmp_path / "rows.parquet")
        return connection.read_parquet(tmp_path / "rows.parquet")

    yield make
    connection.disconnect()


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    ("formula", "engine"),
    [("y ~ x * arm + (x | g)", "grouped sums"), ("y ~ scale(x) + arm + (1 | g) + (1 | h)", "batches")],
)
def test_estimates_are_those_in_memory(rows, formula, engine, gaps):
    frame = table(4000).drop(columns=["dose", "day"])
    frame = with_gaps(frame.assign(dose="a")).drop(columns="dose") if gaps else frame
    stream = mixfit.mixed(formula, rows(frame), chunk_rows=500)
    assert stream.engine == engine
    assert_same_fit(mixfit.mixed(formula, frame), stream)


def test_the_rows_of_a_query(rows):
    frame = table(4000).drop(columns=["dose", "day"])
    query = rows(frame)
    query = query.filter(query.x > 0).mutate(double=2 * query.x)
    stream = mixfit.mixed("y ~ double + (1 | g)", query).fit()
    memory = mixfit.mixed("y ~ double + (1 | g)", frame.query("x > 0").assign(double=2 * frame.x)).fit()
    assert_allclose(stream.params, memory.params, rtol=1e-8)


def test_counts_of_a_binomial_model(rows):
    frame = table(2000).drop(columns=["dose", "day"])
    frame["well"] = frame["y"] > 3
    stream = mixfit.mixed("well ~ arm + t + (1 | g)", rows(frame), family="binomial")
    assert stream.engine == "counts"
    memory = mixfit.mixed("well ~ arm + t + (1 | g)", frame, family="binomial").fit()
    assert_allclose(stream.fit().llf, memory.llf, rtol=1e-10)


def test_a_query_that_fails(rows, tmp_path):
    query = rows(table(100).drop(columns=["dose", "day"]))
    (tmp_path / "rows.parquet").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="The Ibis table cannot be read"):
        mixfit.mixed("y ~ scale(x) + (1 | g)", query)
