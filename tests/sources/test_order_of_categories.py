"""Ordered categories of several files: in one order, or refused by the name of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, name: str, levels: list[str]) -> None:
    rng = np.random.default_rng(len(levels))
    stage = pd.Categorical(rng.choice(levels, 60), categories=levels, ordered=True)
    frame = pd.DataFrame({"y": rng.normal(size=60), "stage": stage, "g": np.arange(60) % 6})
    frame.to_parquet(folder / name)


def test_another_order_is_refused_and_fewer_categories_are_not(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    write(tmp_path, "a.parquet", ["low", "mid", "high"])
    write(tmp_path, "b.parquet", ["low", "high"])
    formula = "y ~ stage + (1 | g)"
    assert mixfit.mixed(formula, tmp_path).fit().nobs == 120
    write(tmp_path, "c.parquet", ["high", "mid", "low"])
    with pytest.raises(SourceError, match=r"'stage' are 'high', 'mid', 'low' in File .*c\.parquet"):
        mixfit.mixed(formula, tmp_path).fit()
