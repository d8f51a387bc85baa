"""Predictions of a source are those of the same rows in memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, FitError, NewLevelError, SourceError
from mixfit.fitted import predict_batches


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(predict_batches, "CHUNK_ROWS", 37)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    sleep = mixfit.datasets.load("sleepstudy")
    sleep.loc[5, "Days"] = np.nan
    sleep.to_parquet(folder / "sleep.parquet", row_group_size=50)
    return folder / "sleep.parquet"


@pytest.fixture(scope="module")
def fits(path):
    formula = "Reaction ~ Days + (Days | Subject)"
    return mixfit.mixed(formula, pd.read_parquet(path)).fit(), mixfit.mixed(formula, path).fit()


@pytest.mark.parametrize("options", [{}, {"re_form": "population"}, {"se": True}])
def test_predictions_of_a_source(fits, path, options):
    memory, stream = fits
    expected = memory.predict(pd.read_parquet(path), **options)
    for fit in fits:
        assert_allclose(fit.predict(path, **options), expected, rtol=1e-8)
    assert_allclose(stream.predict(path.parent / "*.parquet", **options), expected, rtol=1e-8)


def test_predictions_are_written_beside_the_columns(fits, path, tmp_path):
    assert fits[1].predict(str(path), se=True, to=tmp_path / "out.parquet") == 180
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert list(out.columns) == ["Reaction", "Days", "Subject", ".fitted", ".fitted_se"]
    expected = fits[0].predict(pd.read_parquet(path), se=True)
    assert_allclose(out[[".fitted", ".fitted_se"]], expected, rtol=1e-8)
    pd.testing.assert_frame_equal(out.iloc[:, :3], pd.read_parquet(path))


def test_generalized_models_predict_sources(tmp_path):
    herds = mixfit.datasets.load("cbpp")
    herds.to_parquet(tmp_path / "herds.parquet")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial").fit()
    assert_allclose(fit.predict(tmp_path / "herds.parquet"), fit.predict(herds))
    assert fit.predict(tmp_path / "herds.parquet", type="link", to=tmp_path / "out.parquet") == 56


def test_a_file_that_cannot_be_finished_is_not_there(fits, path, tmp_path):
    rows = pq.read_table(path)
    new = rows.set_column(2, "Subject", pa.array(["308"] * 170 + ["999"] * 10))
    pq.write_table(new, tmp_path / "new.parquet")
    with pytest.raises(NewLevelError, match="999"):
        fits[1].predict(tmp_path / "new.parquet", to=tmp_path / "out.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["new.parquet"]
    with pytest.raises(SourceError, match="cannot be written"):
        fits[1].predict(path, to=tmp_path / "nowhere" / "out.parquet")


def test_an_interruption_leaves_no_file(fits, path, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq.ParquetWriter, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fits[1].predict(path, to=tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said(fits, path, tmp_path):
    with pytest.raises(FitError, match="to= is for the predictions of a source"):
        fits[1].predict(pd.read_parquet(path), to=tmp_path / "out.parquet")
    pd.read_parquet(path).assign(**{".fitted": 1.0}).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"has a column '\.fitted'"):
        fits[1].predict(tmp_path / "in.parquet", to=tmp_path / "out.parquet")
