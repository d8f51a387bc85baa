"""Second derivatives where they are nearly none, as of a coefficient without a finite estimate, or where none are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.glmm.stacked import alone_of
from mixfit.gram.basis import fixed_basis


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


def test_zeros_that_some_rows_have_none_of_are_no_long_way() -> None:
    """A logit of a cell runs to minus infinity: the exact second derivatives say so, and the search goes there."""
    data = mixfit.datasets.load("salamanders")
    fit = mixfit.mixed("count ~ mined + Wtemp + (1 | spp)", data, family="nbinom1", zi="~ mined").fit()
    assert fit.converged
    # glmmTMB 1.1.5.
    assert -2.0 * fit.llf == pytest.approx(1675.750354, abs=1e-5)
    # 445 where the search went on in steps of one, most of them for differences of second derivatives.
    assert fit.certificate.n_evaluations < 400


def test_directions_in_which_rows_move_alone() -> None:
    rng = np.random.default_rng(1)
    f, x = rng.integers(0, 3, 40), rng.normal(size=40)
    one = np.ones(40)
    X = np.stack([one, x]).T, np.stack([one, f == 1, f == 2, x]).T.astype(float)
    own = [fixed_basis(np.ascontiguousarray(x.T)) for x in X]
    found = alone_of(X, own)
    moved = [a[2:] @ own[1].rows for a in found]
    for a, eta in zip(found, moved, strict=True):
        assert_allclose(a[:2], 0.0)
        assert_allclose(eta, np.round(eta), atol=1e-10)
    sets = {tuple(np.round(eta).astype(int)) for eta in moved}
    assert {tuple((f == level).astype(int)) for level in range(3)} < sets
    assert tuple(one.astype(int)) in sets


def positive(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(20), 20), rng.normal(size=400)
    mean = np.exp(0.5 + 0.4 * x + 0.5 * rng.normal(size=20)[g])
    # A variance of mean^3: the power would be 3.
    return pd.DataFrame({"y": rng.wald(mean, 4.0), "n": rng.poisson(2.0 * mean), "x": x, "g": g})


def test_a_tweedie_without_zeros_is_a_gamma_distribution() -> None:
    data = positive(1)
    fit = mixfit.mixed("y ~ x + (1 | g)", data, family="tweedie").fit()
    limit = mixfit.mixed("y ~ x + (1 | g)", data, family="gamma(log)").fit()
    assert fit.converged
    assert fit.certificate.n_evaluations < 40
    assert fit.llf == pytest.approx(limit.llf, abs=1e-7)
    assert_allclose(fit.params, limit.params, rtol=1e-5)
    assert_allclose(fit.bse, limit.bse, rtol=1e-4)


def test_a_tweedie_of_counts_has_no_end() -> None:
    with pytest.raises(FitError, match="power of the Tweedie distribution runs to 1"):
        mixfit.mixed("n ~ x + (1 | g)", positive(1), family="tweedie").fit()
