"""The trailing block as one matrix."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mixfit.errors import FitError
from mixfit.factor.dense_trailing import DenseBlock
from mixfit.factor.factor import factorize
from tests.factor.cases import make_case


def test_a_trailing_block_that_is_not_positive_definite() -> None:
    # What variance ratios beyond double precision leave, without trusting to the sign of a rounding error.
    case = make_case(5, "crossed", 60, (1,))
    block = case.factor.plan.block
    assert isinstance(block, DenseBlock)
    plan = replace(case.factor.plan, block=replace(block, gram=-block.gram))
    with pytest.raises(FitError, match="not positive definite"):
        factorize(case.gram, plan, case.templates)
