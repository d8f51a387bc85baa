"""What follows from the modes is taken from the fit: nothing is looked for again."""

from __future__ import annotations

import pickle

import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.glmm import conditional
from mixfit.glmm.conditional import conditional_covariance, laplace_at


def fitted(**options: object) -> mixfit.GeneralizedResults:
    herds = mixfit.datasets.load("cbpp")
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial")
    return model.fit(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"n_agq": 5}, {"n_agq": 0}, {"method": "pql"}], ids=str)
def test_the_modes_are_kept(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(mixfit.errors.BiasWarning) if "method" in options else pytest.MonkeyPatch.context():
        fit = fitted(**options)
    assembly = fit.model._assembly

    def refuse(*_: object) -> None:
        raise AssertionError("the modes are known")

    monkeypatch.setattr(conditional, "laplace_of", refuse)
    kept = laplace_at(assembly, fit.estimate)
    assert_allclose(kept.mode.eta, fit.estimate.eta)
    covariance = conditional_covariance(assembly, fit.estimate)
    monkeypatch.undo()
    # A pickle starts without, and finds the same.
    again = pickle.loads(pickle.dumps(fit))
    for old, new in zip(covariance, conditional_covariance(again.model._assembly, again.estimate), strict=True):
        assert_allclose(new, old, rtol=1e-6)
