"""The selected inverse, its sums and leverages against dense matrices on random patterns."""

from __future__ import annotations

from hypothesis import given, settings

from tests.factor.cases import Case, cases, check_inverse


@given(cases)
@settings(max_examples=60)
def test_selected_inverse(case: Case) -> None:
    check_inverse(case)
