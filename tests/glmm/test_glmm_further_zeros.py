"""Zeros in excess: where there are none, and where a dispersion stands for them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from tests.peer_models import peer_model

# Of -2 log-likelihood.
NO_DIFFERENCE = 1e-6


def fitted(seed: int) -> mixfit.GeneralizedResults:
    model = peer_model(seed)
    return mixfit.mixed(model.formula, model.data, model.family, zi=model.zi).fit()


@pytest.mark.parametrize("seed", [1066, 1148, 1274, 1427])
def test_no_further_zeros_are_those_of_the_family(seed: int) -> None:
    """A probability on its way to zero gets there in few evaluations, and the fit is that without."""
    drawn = peer_model(seed)
    plain = mixfit.mixed(drawn.formula, drawn.data, drawn.family).fit()
    fit = fitted(seed)
    assert fit.converged
    assert fit.llf == pytest.approx(plain.llf, abs=NO_DIFFERENCE)
    assert fit.certificate.n_evaluations <= 60


@pytest.mark.parametrize(
    ("seed", "other"),
    # -2 log-likelihood of the optimum without further zeros, which a search from the moments ends at.
    [(312, 215.523632), (1263, 133.753974)],
)
def test_a_dispersion_that_stands_for_zeros(seed: int, other: float) -> None:
    fit = fitted(seed)
    assert fit.converged
    assert fit.certificate.n_starts > 1
    assert -2.0 * fit.llf < other - 2.0


def test_as_good_as_another_optimizer() -> None:
    """glmmTMB's log-likelihood of that model."""
    assert fitted(312).llf == pytest.approx(-105.7652, abs=2e-3)


@pytest.mark.parametrize("seed", [1715, 1799])
def test_a_search_that_meets_no_value_starts_without_further_zeros(seed: int) -> None:
    assert fitted(seed).converged


def test_zeros_that_a_covariate_tells() -> None:
    """The constant is not all of the predictor."""
    rng = np.random.default_rng(4)
    g, x = np.repeat(np.arange(30), 8), rng.normal(size=240)
    y = rng.poisson(np.exp(1.0 + 0.4 * rng.normal(size=30)[g]))
    data = pd.DataFrame({"y": y * 1.0, "x": x, "g": g.astype(str)})
    fit = mixfit.mixed("y ~ 1 + (1|g)", data, "poisson", zi="~ x").fit()
    plain = mixfit.mixed("y ~ 1 + (1|g)", data, "poisson").fit()
    assert fit.converged
    assert fit.llf >= plain.llf - NO_DIFFERENCE
