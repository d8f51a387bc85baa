"""Models of Dask frames, whose partitions are summed where Dask runs them."""

from __future__ import annotations

import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.matrices.batches import scan
from tests.test_streamed import assert_same_fit, table, with_gaps

dd = pytest.importorskip("dask.dataframe")


@pytest.fixture(autouse=True)
def few_rows_stand_for_all(monkeypatch):
    monkeypatch.setattr(scan, "SAMPLE", 30)


@pytest.mark.parametrize(
    "formula", ["y ~ x * arm + (x | g)", "y ~ scale(x) + (1 | g) + (1 | h)", "y ~ poly(x, 2) + (1 | g/arm)"]
)
@pytest.mark.parametrize("gaps", [False, True])
def test_estimates_are_those_in_memory(formula, gaps):
    frame = with_gaps(table()) if gaps else table()
    stream = mixfit.mixed(formula, dd.from_pandas(frame, npartitions=11), weights="k + 1", offset="o")
    assert_same_fit(mixfit.mixed(formula, frame, weights="k + 1", offset="o"), stream)


def test_a_row_that_one_partition_has_is_among_those_that_stand_for_all():
    frame = table().assign(rare=0.0)
    frame.loc[[401, 402], "rare"] = [1.0, 2.5]
    stream = mixfit.mixed("y ~ I(rare * 2) + (1 | g)", dd.from_pandas(frame, npartitions=11))
    assert_same_fit(mixfit.mixed("y ~ I(rare * 2) + (1 | g)", frame), stream)


@pytest.mark.slow
def test_two_workers_give_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    frame = table(3000)
    for i in range(6):
        frame.iloc[500 * i : 500 * (i + 1)].to_parquet(tmp_path / f"part{i}.parquet")
    memory = mixfit.mixed("y ~ x * arm + (x | g)", pd.concat([frame]))
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster):
        stream = mixfit.mixed("y ~ x * arm + (x | g)", dd.read_parquet(tmp_path / "part*.parquet"))
    a, b = memory.fit(), stream.fit()
    assert_allclose(b.params, a.params, rtol=1e-10)
    assert_allclose(b.llf, a.llf, rtol=1e-12)
