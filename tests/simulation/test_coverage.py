"""The study of coverage by family, in small."""

from __future__ import annotations

import numpy as np
import pytest

from mixfit.families.resolve import FAMILIES, resolve_family
from tests.simulation.coverage import SCENARIOS, Coverage, Scenario, coverage, drawn
from tests.simulation.study import Share

# Of distributions of one number a row.
KINDS = ("count", "continuous", "proportion", "ordinal")


def scenario(title: str) -> Scenario:
    return next(s for s in SCENARIOS if s.title == title)


def test_every_family_is_studied() -> None:
    studied = {resolve_family(s.family).name for s in SCENARIOS}
    assert {family.name for family in FAMILIES.values() if family.kind in KINDS} <= studied


@pytest.mark.parametrize("one", SCENARIOS, ids=lambda s: s.title)
def test_responses_are_drawn_that_the_model_takes(one: Scenario) -> None:
    model, responses = drawn(one, 2, np.random.default_rng(1))
    assert responses.shape == (2, len(model.endog))
    assert not np.array_equal(*responses)
    model.with_response(responses[1])


@pytest.mark.parametrize("title", ["nbinom2 zi=", "cumulative", "weibull"])
def test_intervals_of_every_coefficient_are_counted(title: str) -> None:
    one = scenario(title)
    found = coverage(one, 4, seed=2)
    assert list(found.held) == list(one.fixed)
    assert found.failed == 0
    assert all(share.n == 4 and share.count >= 2 for share in found.held.values())


def test_intervals_about_other_values_hold_nothing() -> None:
    one = scenario("poisson")
    model, responses = drawn(one, 3, np.random.default_rng(1))
    assert len(responses) == 3
    moved = Scenario(one.family, {name: value + 1.0 for name, value in one.fixed.items()})
    fits = [model.with_response(y).fit() for y in responses]
    assert not any(moved.held(fit).any() for fit in fits)  # type: ignore[union-attr]
    assert all(one.held(fit).all() for fit in fits)  # type: ignore[union-attr]


def test_shares_that_chance_does_not_make_are_marked() -> None:
    found = Coverage({"a": Share(188, 200), "b": Share(170, 200), "c": Share(200, 200)}, failed=0)
    assert [found.far(name) for name in found.held] == [False, True, True]
