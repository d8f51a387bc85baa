"""Rows of cross-blocks kept dense, kept sparse, or each as its own count says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixfit.factor import crossed
from tests.factor.cases import WIDTHS, check_derivatives, check_inverse, check_solves, make_case
from tests.random_designs import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["dense", "sparse", "split"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All rows of the cross-blocks dense, all sparse, or each by its own count."""
    share = {"dense": 0.0, "sparse": 2.0, "split": 0.3}[request.param]
    monkeypatch.setattr(crossed, "_DENSE_SHARE", share)
    monkeypatch.setattr(crossed, "_DENSE_ALWAYS", 0)
    return request.param


@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sparse_and_dense_rows(storage: str, data: st.DataObject) -> None:
    case = make_case(
        data.draw(st.integers(0, 2**20)),
        data.draw(st.sampled_from([p for p in PATTERNS if "crossed" in p])),
        70,
        data.draw(st.sampled_from(WIDTHS)),
        data.draw(st.sampled_from([0.0, 0.4])),
    )
    for pattern in case.factor.plan.crossed.values():
        if storage == "dense":
            assert len(pattern.in_light) == 0
        if storage == "sparse":
            assert len(pattern.heavy) == 0
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)


def test_the_split_has_both_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossed, "_DENSE_SHARE", 0.3)
    monkeypatch.setattr(crossed, "_DENSE_ALWAYS", 0)
    case = make_case(0, "uneven crossed", 70, (2, 1))
    pattern = case.factor.plan.crossed[0]
    assert len(pattern.in_light)
    assert len(pattern.in_heavy)
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)
