"""The blocked factor, its solves and its selected inverse against dense matrices on random patterns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from mixfit.errors import FitError
from mixfit.factor import crossed
from mixfit.factor.dense_trailing import DenseBlock
from mixfit.factor.factor import factorize
from mixfit.factor.plan import make_plan
from mixfit.factor.posterior import conditional_covariances, posterior
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import cross_products
from tests.factor.cases import WIDTHS, Case, cases, check_derivatives, check_inverse, check_solves, make_case
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


@given(cases)
@settings(max_examples=60)
def test_solves(case: Case) -> None:
    check_solves(case)


@given(cases)
@settings(max_examples=60)
def test_selected_inverse(case: Case) -> None:
    check_inverse(case)


@given(cases)
@settings(max_examples=40)
def test_derivatives_of_the_log_determinant(case: Case) -> None:
    check_derivatives(case)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_every_pattern_and_width(pattern: str, widths: tuple[int, ...]) -> None:
    case = make_case(11, pattern, 64, widths)
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)


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


@pytest.mark.parametrize("pattern", PATTERNS)
def test_all_templates_zero(pattern: str) -> None:
    case = make_case(1, pattern, 50, (2, 1), zero=1.0)
    assert case.factor.logdet == 0.0
    check_solves(case)
    check_inverse(case)
    check_derivatives(case)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_rank_one_templates(pattern: str) -> None:
    case = make_case(2, pattern, 50, (3, 2))
    for t in case.templates:
        t[:, 1:] = 0.0
    again = Case(
        case.rows,
        case.columns,
        case.gram,
        case.templates,
        factorize(case.gram, case.factor.plan, case.templates),
    )
    check_solves(again)
    check_inverse(again)
    check_derivatives(again)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_levels_and_rows_in_another_order_change_nothing(pattern: str) -> None:
    case = make_case(3, pattern, 60, (2, 1))
    rng = np.random.default_rng(4)
    order = rng.permutation(60)
    names = [rng.permutation(f.n_levels) for f in case.rows]
    rows = [
        FactorRows(p[f.codes[order]], f.n_levels, None if f.columns is None else f.columns[:, order])
        for f, p in zip(case.rows, names, strict=True)
    ]
    gram = cross_products(rows, case.columns[:, order])
    factor = factorize(gram, make_plan(gram), case.templates)
    assert_allclose(factor.logdet, case.factor.logdet, rtol=1e-12)
    old = conditional_covariances(case.factor, posterior(case.factor))
    new = conditional_covariances(factor, posterior(factor))
    for p, x, y in zip(names, old, new, strict=True):
        assert_allclose(y[:, :, p], x, atol=1e-11)


def test_a_trailing_block_that_is_not_positive_definite() -> None:
    # What variance ratios beyond double precision leave, without trusting to the sign of a rounding error.
    case = make_case(5, "crossed", 60, (1,))
    block = case.factor.plan.block
    assert isinstance(block, DenseBlock)
    plan = replace(case.factor.plan, block=replace(block, gram=-block.gram))
    with pytest.raises(FitError, match="not positive definite"):
        factorize(case.gram, plan, case.templates)
