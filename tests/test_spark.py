"""Models of Spark frames, whose partitions are summed by Spark's workers.

They need pyspark and a Java run time: pip install '.[test,spark]' and python -m pytest tests/test_spark.py
"""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError
from mixfit.matrices.batches import scan
from tests.test_streamed import assert_same_fit, table, with_gaps

sql = pytest.importorskip("pyspark.sql")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs a Java run time"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]


@pytest.fixture(scope="module")
def session():
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "3").getOrCreate()
    yield spark
    spark.stop()


@pytest.fixture(autouse=True)
def few_rows_stand_for_all(monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE", 30)


@pytest.mark.parametrize(
    ("formula", "engine"),
    [
        ("y ~ x * arm + (x | g)", "grouped sums"),
        ("y ~ scale(x) + arm + (1 | g) + (1 | h)", "batches"),
        ("y ~ poly(x, 2) + (1 | g/arm)", "batches"),
    ],
)
@pytest.mark.parametrize("gaps", [False, True])
def test_estimates_are_those_in_memory(session, tmp_path, formula, engine, gaps):
    frame = table(4000)
    frame = (with_gaps(frame) if gaps else frame).drop(columns=["dose", "day"])
    for i, part in enumerate(np.array_split(np.arange(len(frame)), 5)):
        frame.iloc[part].to_parquet(tmp_path / f"part{i}.parquet")
    stream = mixfit.mixed(formula, session.read.parquet(str(tmp_path)))
    assert stream.engine == engine
    a, b = assert_same_fit(mixfit.mixed(formula, frame), stream)
    assert_allclose(b.params, a.params, rtol=1e-10)


def test_partitions_without_rows_and_frames_without(session):
    frame = table(300).drop(columns=["dose", "day"])
    few = session.createDataFrame(pa.Table.from_pandas(frame)).repartition(7).filter("arm != 'c'")
    stream = mixfit.mixed("y ~ I(x * 2) + (1 | g)", few.filter("g != 'g03'"))
    assert_same_fit(mixfit.mixed("y ~ I(x * 2) + (1 | g)", frame.query("arm != 'c' and g != 'g03'")), stream)
    with pytest.raises(DataError, match="no rows"):
        mixfit.mixed("y ~ I(x * 2) + (1 | g)", few.filter("x > 1e9"))


def test_predictions_to_a_file(session, tmp_path):
    frame = table(500).drop(columns=["dose", "day"])
    fit = mixfit.mixed("y ~ x + (1 | g)", frame).fit()
    spark = session.createDataFrame(pa.Table.from_pandas(frame)).repartition(3)
    assert fit.predict(spark, to=tmp_path / "out.parquet") == 500
    out = pd.read_parquet(tmp_path / "out.parquet").sort_values("y")
    assert_allclose(out[".fitted"], fit.predict(frame)[frame["y"].argsort()])
