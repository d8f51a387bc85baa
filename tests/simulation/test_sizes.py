"""The study of docs/p_values.md, in small."""

from __future__ import annotations

import numpy as np

from tests.simulation.sizes import EFFECTS, METHODS, design, responses, sizes


def test_groups_are_unequal_and_hypotheses_true() -> None:
    frame = design(10)
    assert frame.groupby("g").size().tolist() == [3, 5, 7, 9, 11] * 2
    y = responses(frame, 4000, np.random.default_rng(1))
    # Means of groups of both arms, and their spread: 1 and the variance of b_j + c_j x + e.
    np.testing.assert_allclose(y.mean(), 1.0, atol=0.02)
    np.testing.assert_allclose(y[:, 0].var(), 1.0 + 0.25 + 1.0, rtol=0.08)


def test_methods_are_ordered_by_how_often_they_reject() -> None:
    found = sizes(5, 60, seed=1)
    assert set(found) == set(METHODS)
    assert set(found["z"]) == set(EFFECTS)
    z, satterthwaite, kenward_roger = (found[m]["arm"].count for m in ("z", "satterthwaite", "kenward-roger"))
    assert z > satterthwaite >= kenward_roger
    assert found["auto"]["arm"].count == kenward_roger
