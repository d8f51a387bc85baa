"""The strip plot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import DataError
from mixfit.plots import strip
from mixfit.plots.strips import side_by_side


def labels(axes: object) -> list[str]:
    return [t.get_text() for t in axes.get_xticklabels()]


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_every_point_stands_over_its_group(kind: str) -> None:
    pulp = mixfit.datasets.load("pulp")
    axes = strip(pulp if kind == "pandas" else pl.from_pandas(pulp), "bright", "operator")
    assert labels(axes) == ["a", "b", "c", "d"]
    points = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_array_equal(points[:, 1], pulp["bright"])
    np.testing.assert_array_equal(np.round(points[:, 0]), pulp["operator"].cat.codes)
    assert len(np.unique(points, axis=0)) == 20, "ties are side by side"
    means = np.array(axes.collections[1].get_segments())
    np.testing.assert_allclose(means[:, 0, 1], pulp.groupby("operator", observed=True)["bright"].mean())
    np.testing.assert_allclose(means[:, :, 0].mean(axis=1), np.arange(4))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("operator", "bright")


def test_groups_in_the_order_of_their_means() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    axes = strip(sleep, "Reaction", "Subject", sort=True)
    means = sleep.groupby("Subject", observed=True)["Reaction"].mean().sort_values()
    assert labels(axes) == means.index.tolist()
    np.testing.assert_allclose(np.array(axes.collections[1].get_segments())[:, 0, 1], means)
    points = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_array_equal(means.index[np.round(points[:, 0]).astype(int)], sleep["Subject"])
    assert len(strip(sleep, "Reaction", "Subject", means=False).collections) == 1


def test_categories_keep_their_order_and_missing_rows_are_left_out() -> None:
    data = pd.DataFrame({"y": [1.0, np.nan, 3.0, 4.0], "g": pd.Categorical(["lo", "lo", "hi", None], ["lo", "hi"])})
    axes = strip(data, "y", "g")
    assert labels(axes) == ["lo", "hi"]
    assert np.asarray(axes.collections[0].get_offsets()).tolist() == [[0.0, 1.0], [1.0, 3.0]]


def test_shifts_are_symmetric_and_stay_within_the_group() -> None:
    rng = np.random.default_rng(5)
    y, codes = rng.integers(0, 5, 3000).astype(float), rng.integers(0, 3, 3000)
    shifts = side_by_side(y, codes)
    assert np.abs(shifts).max() == pytest.approx(0.36)
    cells = pd.DataFrame({"y": y, "g": codes, "s": shifts}).groupby(["y", "g"])["s"]
    np.testing.assert_allclose(cells.mean(), 0.0, atol=1e-12)
    assert (cells.nunique() == cells.size()).all()
    assert side_by_side(np.ones(1), np.zeros(1, dtype=int)).tolist() == [0.0]


def test_what_cannot_be_drawn_is_named() -> None:
    pulp = mixfit.datasets.load("pulp")
    with pytest.raises(DataError, match="no column 'shift'; they have 'bright', 'operator'"):
        strip(pulp, "bright", "shift")
    with pytest.raises(DataError, match="'operator' must be numeric"):
        strip(pulp, "operator", "bright")
    with pytest.raises(DataError, match="No row has both"):
        strip(pulp.assign(bright=np.nan), "bright", "operator")


def test_categories_of_polars_have_the_order_that_a_fit_gives_them() -> None:
    data = pl.DataFrame({"y": [1.0, 2.0, 3.0, 4.0], "g": ["mid", "hi", "lo", "mid"]})
    axes = strip(data.with_columns(pl.col("g").cast(pl.Categorical)), "y", "g")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["hi", "lo", "mid"]
    order = pl.Enum(["lo", "mid", "hi"])
    axes = strip(data.with_columns(pl.col("g").cast(order)), "y", "g")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["lo", "mid", "hi"]
