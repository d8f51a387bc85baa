"""The blocked factor, its solves and its selected inverse against dense matrices on random patterns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.testing import assert_allclose

from mixfit.factor.factor import factorize
from mixfit.factor.plan import make_plan
from mixfit.factor.posterior import conditional_covariances, posterior
from mixfit.gram.pattern import FactorRows
from mixfit.gram.products import cross_products
from tests.factor.cases import WIDTHS, Case, cases, check_derivatives, check_inverse, check_solves, make_case
from tests.random_designs import PATTERNS


@given(cases)
@settings(max_examples=60)
def test_solves(case: Case) -> None:
    check_solves(case)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_every_pattern_and_width(pattern: str, widths: tuple[int, ...]) -> None:
    case = make_case(11, pattern, 64, widths)
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
