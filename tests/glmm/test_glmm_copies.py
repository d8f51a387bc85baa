"""Gradients at several places at once against those of one place after another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Binomial
from mixfit.glmm.copies import can_copy, slopes_of_copies
from mixfit.glmm.laplace import laplace
from mixfit.glmm.objective import LaplaceObjective
from tests.families.cases import COMPOSED, EVERY
from tests.glmm.problems import ONE_FACTOR, SHAPES, At, point, without

if TYPE_CHECKING:
    from mixfit.families.base import Family
    from mixfit.glmm.pirls import Mode
    from mixfit.glmm.problem import GeneralizedParameters

pytestmark = pytest.mark.usefixtures("sharp_modes")


def places(at: At) -> list[GeneralizedParameters]:
    """One for each kind of parameter, a thousandth away."""
    here = at.point
    moved = [replace(here, gamma=here.gamma + 1e-3 * e) for e in np.eye(len(here.gamma))]
    moved.append(replace(here, points=tuple(1.001 * t for t in here.points)))
    return [*moved, replace(here, phi=1.001 * here.phi)] if at.problem.family.has_dispersion else moved


def mode(at: At) -> Mode:
    """The mode at the point itself."""
    return laplace(at.problem, at.point.gamma, at.point.points, at.point.phi).mode


@pytest.mark.parametrize("shape", ONE_FACTOR)
@pytest.mark.parametrize("family", [f for f in (*EVERY, *COMPOSED) if not f.free], ids=repr)
def test_slopes_are_those_of_each_place(family: Family, shape: str) -> None:
    at = point(ONE_FACTOR[shape], family)
    assert can_copy(at.problem, len(places(at)))
    found = slopes_of_copies(at.problem, mode(at), places(at))
    assert found is not None
    objective = LaplaceObjective(at.problem)
    for place, own in zip(places(at), found, strict=True):
        wanted = objective.slopes(objective.evaluate(place))
        assert_allclose(own.gamma, wanted.gamma, rtol=1e-8, atol=1e-8)
        assert_allclose(own.tail, wanted.tail, rtol=1e-8, atol=1e-8)
        for name in ("relative", "quadratic_share", "inverse_share"):
            for one, other in zip(getattr(own, name), getattr(wanted, name), strict=True):
                assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_known_dispersions_are_one_for_all() -> None:
    at = point(SHAPES["slope"], NegativeBinomial(phi=2.0))
    assert slopes_of_copies(at.problem, mode(at), places(at)) is not None


def test_many_places_ask_no_evaluation_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    at = point(SHAPES["scalar"], Poisson())
    objective = LaplaceObjective(at.problem)
    objective.settle(objective.evaluate(at.point))
    monkeypatch.setattr(LaplaceObjective, "evaluate", lambda *_: pytest.fail("evaluated"))
    assert len(objective.slopes_close_by(places(at))) == len(places(at))


@pytest.mark.parametrize("shape", ["nested", "crossed"])
def test_several_factors_go_one_by_one(shape: str) -> None:
    at = point(SHAPES[shape], Poisson())
    assert not can_copy(at.problem, 5)
    objective = LaplaceObjective(at.problem)
    objective.settle(objective.evaluate(at.point))
    assert len(objective.slopes_close_by(places(at))) == len(places(at))


def test_many_rows_go_one_by_one() -> None:
    at = point(SHAPES["scalar"], Binomial())
    assert can_copy(at.problem, 300)
    assert not can_copy(at.problem, 400)


def test_what_is_far_or_without_variance_is_left_to_a_search() -> None:
    at = point(SHAPES["slope"], Binomial())
    far = replace(at.point, gamma=at.point.gamma + 30.0)
    assert slopes_of_copies(at.problem, mode(at), [far]) is None
    flat = without(at, 0, 1)
    assert slopes_of_copies(flat.problem, mode(flat), places(flat)) is None
