"""Groups with the same covariates, whatever the order of their rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixfit.matrices.alike import alike_groups


def test_groups_of_one_design_are_found_in_one_order_of_rows() -> None:
    designs = [([0.5, 0.1, 0.5], "aab"), ([0.5, 0.1, 0.5], "aba"), ([0.5, 0.1], "ab")]
    which = [0, 1, 0, 2, 0, 1]
    parts = [
        pd.DataFrame({"x": designs[d][0], "f": list(designs[d][1]), "group": g}).sample(frac=1.0, random_state=g)
        for g, d in enumerate(which)
    ]
    data = pd.concat(parts, ignore_index=True).sample(frac=1.0, random_state=3, ignore_index=True)
    found = alike_groups(data[["x", "f"]], data["group"].to_numpy(dtype=np.intp))
    assert [alike.members.tolist() for alike in found] == [[0, 2, 4], [1, 5], [3]]
    for alike in found:
        first = data[["x", "f"]].iloc[alike.rows[0]].to_numpy().tolist()
        for member, rows in zip(alike.members, alike.rows, strict=True):
            assert (data["group"].iloc[rows] == member).all()
            assert data[["x", "f"]].iloc[rows].to_numpy().tolist() == first


def test_without_covariates_groups_of_one_size_are_alike() -> None:
    found = alike_groups(pd.DataFrame(index=range(5)), np.array([0, 1, 0, 1, 2]))
    assert [alike.members.tolist() for alike in found] == [[0, 1], [2]]
