"""Every kind of source gives the rows that it was made of, twice, and names the place where it cannot."""

import glob
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, feather

from mixfit.errors import SourceError
from mixfit.sources.opening import open_source

ROWS = pa.table(
    {
        "y": np.arange(25) / 7.0,
        "g": pa.array([f"g{i % 4}" for i in range(25)]),
        "n": pa.array([None if i == 3 else i for i in range(25)], pa.int64()),
    }
)


def parquet(folder, _):
    pq.write_table(ROWS, folder / "rows.parquet", row_group_size=7)
    return folder / "rows.parquet"


def parquet_glob(folder, _):
    for i in range(2):
        pq.write_table(ROWS.slice(13 * i, 13), folder / f"part{i}.parquet", row_group_size=5)
    return str(folder / "part*.parquet")


def csv_file(folder, _):
    csv.write_csv(ROWS, folder / "rows.csv")
    return str(folder / "rows.csv")


def ipc_list(folder, _):
    feather.write_feather(ROWS, folder / "rows.arrow", compression="uncompressed")
    return [folder / "rows.arrow"]


def dataset(folder, _):
    return pads.dataset(parquet(folder, _), format="parquet")


def parquet_file(folder, _):
    return pq.ParquetFile(parquet(folder, _))


def reader(folder, _):
    return pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches(max_chunksize=9))


def lazy_frame(folder, _):
    if not hasattr(pl.LazyFrame, "collect_batches"):
        pytest.skip("polars is too old")
    return pl.from_arrow(ROWS).lazy()


def relation(folder, request):
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    request.addfinalizer(connection.close)
    return connection.from_arrow(ROWS)


def dask_frame(folder, _):
    dd = pytest.importorskip("dask.dataframe")
    return dd.from_pandas(ROWS.to_pandas(), npartitions=3)


@pytest.mark.parametrize(
    "make",
    [parquet, parquet_glob, csv_file, ipc_list, dataset, parquet_file, reader, lazy_frame, relation, dask_frame],
)
def test_a_source_gives_all_rows_in_chunks_as_often_as_it_is_read(make, tmp_path, request):
    source = open_source(make(tmp_path, request))
    assert source.schema.names == ["y", "g", "n"]
    assert source.n_rows in (25, None)
    for _ in range(2):
        tables = list(source.batches(["g", "y"], 6))
        assert max(table.num_rows for table in tables) <= 6
        rows = pd.concat([table.to_pandas() for table in tables], ignore_index=True)
        pd.testing.assert_frame_equal(rows, ROWS.select(["g", "y"]).to_pandas(), check_dtype=False)


@pytest.mark.parametrize("make", [parquet, csv_file, relation, lazy_frame])
def test_missing_values_are_missing_in_batches(make, tmp_path, request):
    tables = open_source(make(tmp_path, request)).batches(["n"], 10)
    assert sum(table.column("n").null_count for table in tables) == 1


def test_the_number_of_rows_of_parquet_is_known_beforehand(tmp_path):
    assert open_source(parquet_glob(tmp_path, None)).n_rows == 25


def test_what_is_in_memory_is_no_source():
    frame = ROWS.to_pandas()
    assert all(open_source(data) is None for data in (frame, ROWS, pl.from_arrow(ROWS), frame.to_dict("list")))


def test_keys_of_a_directory_are_columns(tmp_path):
    for year in (2025, 2026):
        (tmp_path / f"year={year}").mkdir()
        pq.write_table(ROWS, tmp_path / f"year={year}" / "rows.parquet")
    rows = pa.concat_tables(open_source(tmp_path).batches(["year", "y"], 100)).to_pandas()
    assert rows["year"].value_counts().to_dict() == {2025: 25, 2026: 25}


def test_a_damaged_row_group_is_named(tmp_path):
    path = parquet(tmp_path, None)
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).dictionary_page_offset
    damaged = bytearray(path.read_bytes())
    damaged[place : place + 12] = b"\xff" * 12
    path.write_bytes(damaged)
    with pytest.raises(SourceError, match=r"rows\.parquet', row group 2, cannot be read"):
        list(open_source(path).batches(["y"], 100))
    with pytest.raises(SourceError, match="row group 2, cannot be read"):
        list(open_source(pq.ParquetFile(path)).batches(["y"], 100))


def test_a_file_cut_short_is_named(tmp_path):
    paths = parquet_glob(tmp_path, None)
    last = Path(sorted(glob.glob(paths))[1])
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(SourceError, match=r"part1\.parquet' cannot be read"):
        list(open_source(paths).batches(["y"], 100))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns("g"), r"part1\.parquet' has no column 'g', which the first file has"),
        (
            lambda table: table.set_column(0, "y", table.column("y").cast(pa.string())),
            r"Column 'y' is string in File '.*part1\.parquet', but double in the first file",
        ),
    ],
)
def test_columns_that_change_between_files_are_named(tmp_path, change, message):
    pq.write_table(ROWS, tmp_path / "part0.parquet")
    pq.write_table(change(ROWS), tmp_path / "part1.parquet")
    with pytest.raises(SourceError, match=message):
        list(open_source(str(tmp_path / "*.parquet")).batches(["y", "g"], 100))


@pytest.mark.parametrize("path", ["nothing.parquet", "no*thing.parquet"])
def test_a_file_that_is_not_there_is_an_error(tmp_path, path):
    with pytest.raises(SourceError, match="There is no file"):
        open_source(str(tmp_path / path))
    with pytest.raises(SourceError, match="There is no file ''"):
        open_source("")


def test_a_csv_column_that_changes_its_type_is_said(tmp_path):
    lines = ["y,g"] + [f"{i},a" for i in range(300_000)] + ["many,a"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    with pytest.raises(SourceError, match=r"rows\.csv' cannot be read: .*'many'.*types of their first rows"):
        list(open_source(tmp_path / "rows.csv").batches(["y"], 10_000))


def test_files_beside_the_rows_are_left_out(tmp_path):
    pq.write_table(ROWS, tmp_path / "rows.parquet")
    (tmp_path / "_SUCCESS.txt").write_text("")
    (tmp_path / ".rows.crc").write_text("")
    assert open_source(tmp_path).n_rows == 25


def test_a_file_of_an_unknown_format_is_an_error(tmp_path):
    (tmp_path / "rows.txt").write_text("y\n1\n")
    with pytest.raises(SourceError, match=r"end in one of \.parquet"):
        open_source(tmp_path / "rows.txt")


def test_the_temporary_file_of_a_reader_goes_with_its_source():
    before = set(Path(tempfile.gettempdir()).glob("mixfit-*"))
    source = open_source(reader(None, None))
    assert len(set(Path(tempfile.gettempdir()).glob("mixfit-*")) - before) == 1
    del source
    assert set(Path(tempfile.gettempdir()).glob("mixfit-*")) <= before


def test_a_reader_that_fails_leaves_nothing_behind():
    def batches():
        yield ROWS.to_batches()[0]
        raise OSError("the network is down")

    before = set(Path(tempfile.gettempdir()).glob("mixfit-*"))
    with pytest.raises(SourceError, match="the network is down"):
        open_source(pa.RecordBatchReader.from_batches(ROWS.schema, batches()))
    assert set(Path(tempfile.gettempdir()).glob("mixfit-*")) <= before
