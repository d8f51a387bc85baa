"""Variance components of structures with parameters of their own: a row each, or as many as they need."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixfit import mixed
from mixfit.tables.layout import WIDTH


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"g": np.repeat(np.arange(15), 36), "t": np.tile(np.repeat(np.arange(18), 2), 15)})
    frame["x"], frame["f"] = frame["t"] * 0.123456789, frame["t"].map(lambda t: f"{t:02d}")
    walk = np.cumsum(rng.normal(size=(15, 18)), axis=1)
    frame["y"] = np.repeat(walk, 2, axis=1).ravel() + rng.normal(size=len(frame))
    return frame


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("exp(0 + x + t | g)", r"^ g +x,t \(18 places\) +\d+\.\d+ +range \S+ \(exp\)$"),
        ("mat(0 + x | g)", r"^ g +x \(18 places\) +\d+\.\d+ +range \S+ smoothness \S+ \(mat\)$"),
        ("ou(0 + t | g)", r"^ g +t \(18 places\) +\d+\.\d+ +rate \S+ \(ou\)$"),
        ("ar1(0 + f | g)", r"^ g +f\[00\] .. f\[17\] +\d+\.\d+ +\d\.\d+ \(ar1\)$"),
    ],
)
def test_what_a_structure_has_stands_in_its_row(term: str, wanted: str) -> None:
    lines = pd.Series(str(mixed(f"y ~ 1 + {term}", rows()).fit().varcorr()).split("\n"))
    assert lines.str.match(wanted).sum() == 1
    assert len(lines) == 3
    assert lines.str.len().max() <= WIDTH


def test_many_lags_take_further_rows_under_the_first() -> None:
    fit = mixed("y ~ 1 + homtoep(0 + f | g) + (1 | g)", rows()).fit()
    lines = str(fit.varcorr()).split("\n")
    assert max(map(len, lines)) <= WIDTH
    start = lines[1].index(lines[1].split()[5])
    block = [line[start:] for line in lines[1:] if line[start:].strip()]
    assert " ".join(block).split()[:-1] == [f"{r:.3f}" for r in fit.varcorr().components[0].values[1:]]
    assert block[-1].endswith("(homtoep)")
    assert all(line[:start].strip() == "" for line in lines[2 : 1 + len(block)])
