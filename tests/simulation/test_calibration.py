"""Ranks of a posterior that is right are uniform, and those of one that is not are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.simulation.calibration import KINDS, Ranks, ranks


def test_every_parameter_has_a_rank_among_its_draws() -> None:
    found = ranks(KINDS["one level"], 3, seed=1)
    assert found.share.columns.tolist() == ["Intercept", "sigma", "sd(operator, Intercept)"]
    assert found.share.shape == (3, 3)
    assert ((found.share >= 0.0) & (found.share <= 1.0)).all(axis=None)


@pytest.mark.parametrize(("stretch", "is_uniform"), [(1.0, True), (1.5, False)])
def test_ranks_among_draws_too_narrow_are_at_the_ends(stretch: float, is_uniform: bool) -> None:
    rng = np.random.default_rng(1)
    truth, draws = stretch * rng.standard_normal((400, 1)), rng.standard_normal((400, 99))
    row = Ranks(pd.DataFrame({"x": (draws < truth).mean(axis=1)}), 1.0).table().loc["x"]
    assert (row["p"] > 0.01) == is_uniform
    assert (row["lowest"].value + row["highest"].value < 0.14) == is_uniform
