"""Simulation-based calibration in small; `python -m tests.simulation.calibration` has 1,000 data sets of each kind."""

from __future__ import annotations

import pytest

from tests.simulation.calibration import KINDS, ranks

REPLICATES = 50


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.method == "auto"])
def test_ranks_are_uniform(name: str) -> None:
    table = ranks(KINDS[name], REPLICATES, seed=1).table()
    assert table["p"].min() > 0.01 / len(table), table
