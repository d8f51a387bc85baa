from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mixfit.errors import FitError, FormulaError
from tests import dense
from tests.fitted.models import fitted, sleepstudy


def test_shape_names_and_seed() -> None:
    fit = fitted("sleepstudy_reml")
    draws = fit.simulate(3, seed=1)
    assert draws.index.equals(fit.model.design.index)
    assert list(draws.columns) == ["sim_1", "sim_2", "sim_3"]
    pd.testing.assert_frame_equal(draws, fit.simulate(3, seed=np.random.default_rng(1)))
    assert not np.allclose(draws, fit.simulate(3, seed=2))


@pytest.mark.parametrize("name", ["sleepstudy_weights", "sleepstudy_zerocorr", "pastes_ml"])
def test_mean_and_covariance_are_the_models(name: str) -> None:
    fit = fitted(name)
    n = 20_000
    draws = fit.simulate(n, seed=11).to_numpy()
    V = fit.scale * dense.solve(fit.model.design, fit.estimate.templates, fit.reml).V0
    sd = np.sqrt(np.diag(V))
    z = (draws.mean(axis=1) - fit.predict(re_form="population")) / sd
    assert np.abs(z).max() < 4.5 / np.sqrt(n)
    empirical = np.cov(draws) / np.outer(sd, sd)
    assert np.abs(empirical - V / np.outer(sd, sd)).max() < 6 / np.sqrt(n)


def test_holding_every_effect_leaves_the_residual() -> None:
    fit = fitted("sleepstudy_weights")
    n = 4000
    draws = fit.simulate(n, seed=3, re_form=None).to_numpy()
    scaled = (draws - fit.fittedvalues.to_numpy()[:, None]) * np.sqrt(fit.model.design.weights)[:, None] / fit.sigma
    assert_allclose(scaled.std(), 1.0, rtol=4 / np.sqrt(2 * scaled.size))
    assert np.abs(np.corrcoef(scaled[:20]) - np.eye(20)).max() < 5 / np.sqrt(n)


def test_holding_one_term_draws_the_other() -> None:
    fit = fitted("pastes_ml")
    draws = fit.simulate(20_000, seed=5, re_form="(1 | batch)").to_numpy()
    assert_allclose(draws.mean(axis=1), fit.predict(re_form="(1 | batch)"), atol=0.1)
    casks = fit.varcorr()["batch:cask"].to_numpy()[0, 0]
    assert_allclose(draws.var(axis=1), casks + fit.scale, rtol=0.06)


def test_refusals() -> None:
    fit = fitted("sleepstudy_reml")
    with pytest.raises(FitError, match="positive"):
        fit.simulate(0)
    with pytest.raises(FitError, match=r"a part of \(Days \| Subject\)"):
        fit.simulate(re_form="(1 | Subject)")
    with pytest.raises(FormulaError, match="k"):
        fit.simulate(re_form="(1 | k)")


def test_refit_takes_another_response() -> None:
    fit = sleepstudy().fit(reml=False)
    y = fit.model.design.y
    again = fit.refit(pd.Series(2 * y + 5)[::1])
    assert again.reml is False
    assert_allclose(again.sigma, 2 * fit.sigma, rtol=1e-6)
    assert_allclose(again.params - [5, 0], 2 * fit.params, rtol=1e-6)
    assert_allclose(fit.model.design.y, y)
