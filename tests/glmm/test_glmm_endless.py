"""Second derivatives where they are nearly none, as of a coefficient without a finite estimate, or where none are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit


def salamanders(**known: float) -> mixfit.GeneralizedMixedModel:
    """No zeros are too many in streams without mining: the log odds of a further one there go to minus infinity."""
    fixed = {f"zi:mined[T.{level}]": value for level, value in known.items()} or None
    data = mixfit.datasets.load("salamanders")
    return mixfit.mixed("count ~ spp + (1 | site)", data, family="nbinom2", zi="~ mined", fixed=fixed)


def test_standard_errors_beside_a_coefficient_that_runs_to_infinity() -> None:
    free, held = salamanders().fit(), salamanders(no=-20.0).fit()
    assert free.llf == pytest.approx(held.llf, abs=1e-6)
    assert_allclose(free.bse, held.bse, rtol=2e-3)
    assert free.bse_of("zi")["Intercept"] == pytest.approx(held.bse_of("zi")["Intercept"], rel=2e-3)
    # glmmTMB 1.1.
    assert free.bse["Intercept"] == pytest.approx(0.3506, abs=2e-4)
    assert free.bse_of("zi")["Intercept"] == pytest.approx(0.4799, abs=3e-4)


@pytest.mark.parametrize("far", [-12.0, -14.0, -18.3, -300.0])
def test_rows_that_are_settled_say_nothing_of_where_the_others_start(far: float) -> None:
    fit = salamanders(no=far).fit()
    assert fit.converged
    assert fit.llf == pytest.approx(-834.0523, abs=2e-4)
    assert fit.params_of("zi")["Intercept"] == pytest.approx(0.3788, abs=1e-3)


@pytest.mark.filterwarnings("ignore::mixfit.errors.BiasWarning")
@pytest.mark.parametrize("method", ["ml", "pql"])
def test_a_model_whose_only_variance_is_zero_has_no_second_derivatives(method: str) -> None:
    frame = pd.DataFrame({"y": np.tile([0, 1], 100), "g": np.arange(200) // 2})
    fit = mixfit.mixed("y ~ 1 + (1 | g)", frame, family="binomial").fit(method=method, n_agq=0 if method == "ml" else 1)
    assert fit.theta.tolist() == [0.0]
