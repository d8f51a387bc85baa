"""Derivatives of the log-determinant against traces of dense matrices."""

from __future__ import annotations

from hypothesis import given, settings

from tests.factor.cases import Case, cases, check_derivatives


@given(cases)
@settings(max_examples=40)
def test_derivatives_of_the_log_determinant(case: Case) -> None:
    check_derivatives(case)
