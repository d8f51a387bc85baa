"""The factor at the estimates is the fit's own: what follows from it makes none again."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mixfit
from mixfit.lmm import criterion, problem

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def factorizations(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for every factorization of a linear model."""
    made: list[int] = []
    real = criterion.factorize

    def counted(*arguments: object) -> object:
        made.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(criterion, "factorize", counted)
    return made


@pytest.fixture(params=[True, False], ids=["small", "large"])
def is_small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a small problem is fitted from sums over its levels, without a factor."""
    if not request.param:
        monkeypatch.setattr(problem, "one_factor", lambda *_: None)
    return bool(request.param)


@pytest.mark.parametrize("reml", [True, False])
def test_what_follows_from_a_linear_fit_factorizes_nothing(
    factorizations: list[int], is_small: bool, reml: bool
) -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=reml)
    assert len(factorizations) == (0 if is_small else fit.certificate.n_evaluations)
    factorizations.clear()
    _ = fit.ranef(condsd=True)
    assert len(factorizations) == int(is_small)
    _ = fit.summary(), fit.ranef(condsd=True), fit.cov_params(), fit.predict(sleep.head(), se=True)
    _ = fit.hatvalues(), fit.cooks_distance(), fit.varcorr(), fit.conf_int(), fit.conf_int(which="all")
    # The dozens of evaluations of the likelihood's curvature are no factorizations of the optimum.
    factorizations.clear()
    _ = fit.anova(), fit.ttest(), fit.emmeans("Days", at={"Days": [0, 9]}, ddf="satterthwaite")
    if reml:
        _ = fit.anova(ddf="kenward-roger"), fit.vcov_kr()
    assert not factorizations


def test_the_factor_is_made_once_after_a_pickle(factorizations: list[int]) -> None:
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    wanted = fit.ranef(condsd=True)["operator"]
    again = pickle.loads(pickle.dumps(fit))
    factorizations.clear()
    got = again.ranef(condsd=True)["operator"]
    _ = again.hatvalues(), again.anova(), again.predict(se=True)
    assert len(factorizations) == 1
    np.testing.assert_allclose(got, wanted, rtol=1e-10)
