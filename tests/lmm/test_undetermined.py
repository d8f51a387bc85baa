"""Factors that are both fixed and grouping, under REML."""

import numpy as np
import pytest

import mixfit

SLEEP = mixfit.datasets.load("sleepstudy").assign(Subject=lambda d: d["Subject"].astype(str))
PASTES = mixfit.datasets.load("pastes")


@pytest.mark.parametrize(
    ("formula", "data", "zero", "llf"),
    [
        # The log-likelihoods are lme4's, whose theta depends on where it starts.
        ("Reaction ~ Subject + (1 | Subject)", SLEEP, [0], -864.5811),
        ("Reaction ~ Subject + (Days | Subject)", SLEEP, [0, 1], -802.3006),
        ("Reaction ~ 0 + Subject + Subject:Days + (Days | Subject)", SLEEP, [0, 1, 2], -731.6529),
        ("strength ~ batch + (1 | batch / cask)", PASTES, [1], -102.7245),
    ],
)
def test_what_reml_says_nothing_of_is_zero(formula, data, zero, llf):
    fit = mixfit.mixed(formula, data).fit()
    assert fit.converged
    assert fit.is_singular
    assert np.flatnonzero(fit.theta == 0.0).tolist() == zero
    assert fit.llf == pytest.approx(llf, abs=6e-5)


@pytest.mark.parametrize(
    ("formula", "llf"),
    [
        # The log-likelihoods are those of the dense criterion at its minimum over the covariance that it tells.
        ("Reaction ~ Subject + (Days + z | Subject)", -801.948042457),
        ("Reaction ~ Subject + (Days + z || Subject)", -801.970369816),
        ("Reaction ~ Subject * Days + (Days + z | Subject)", -731.253648465),
        # Only a free covariance can be searched in fewer columns.
        ("Reaction ~ Subject + cs(0 + Days + z | Subject)", -801.948042457),
        ("Reaction ~ Subject * Days + (Days | Subject) + (1 | day)", -731.652852855),
        ("Reaction ~ Subject * Days + cs(Days | Subject)", -731.652852855),
    ],
)
def test_the_search_does_not_follow_what_reml_says_nothing_of(formula, llf):
    rng = np.random.default_rng(1)
    data = SLEEP.assign(z=rng.normal(size=180), day=SLEEP["Days"].astype(str))
    model = mixfit.mixed(formula, data)
    for start in (None, np.ones(model.fit().theta.shape)):
        fit = model.fit(start=start)
        assert fit.converged
        assert fit.certificate.n_evaluations < 20
        assert fit.llf == pytest.approx(llf, abs=1e-6)


def test_strong_effects_keep_their_digits_in_fewer_columns():
    """What the columns leave of the response is then asked of the rows themselves."""
    rng = np.random.default_rng(3)
    effects = np.repeat(rng.normal(size=18), 10)
    strong = SLEEP.assign(y=1e4 * effects * SLEEP["Days"] + rng.normal(size=180))
    fit = mixfit.mixed("y ~ Subject + (Days | Subject)", strong).fit()
    alone = mixfit.mixed("y ~ Subject + (0 + Days | Subject)", strong).fit()
    assert fit.converged
    assert fit.llf == pytest.approx(alone.llf, abs=1e-4)
    assert fit.sigma == pytest.approx(alone.sigma, rel=1e-5)


def test_it_is_an_optimum_among_others():
    fit = mixfit.mixed("Reaction ~ Subject + (Days | Subject)", SLEEP).fit()
    for first in (0.3, 2.0):
        at = fit.model.criterion([first, 0.0, fit.theta[2]])
        assert at == pytest.approx(-2.0 * fit.llf, abs=1e-8)


def test_units_and_other_columns_do_not_matter():
    plain = mixfit.mixed("Reaction ~ Subject + (Days | Subject)", SLEEP).fit()
    shifted = mixfit.mixed("Reaction ~ Subject + (I(Days / 1000 - 3) | Subject)", SLEEP).fit()
    assert shifted.llf == pytest.approx(plain.llf, abs=1e-6)
    assert shifted.is_singular
    independent = mixfit.mixed("Reaction ~ Subject + (Days || Subject)", SLEEP).fit()
    assert independent.theta[0] == 0.0
    assert independent.theta[1] == pytest.approx(plain.theta[2], rel=1e-5)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "residual"])
def test_tests_are_those_without_the_term(ddf):
    rng = np.random.default_rng(7)
    data = PASTES.assign(y=rng.normal(size=60) + np.repeat(rng.normal(size=30), 2))
    both = mixfit.mixed("y ~ batch + (1 | batch) + (1 | batch:cask)", data).fit()
    one = mixfit.mixed("y ~ batch + (1 | batch:cask)", data).fit()
    np.testing.assert_allclose(both.anova(ddf=ddf).frame, one.anova(ddf=ddf).frame, rtol=1e-4)
    np.testing.assert_allclose(both.bse, one.bse, rtol=1e-5)


def test_maximum_likelihood_and_other_models_are_left_alone():
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", SLEEP).fit()
    assert not fit.is_singular
    # A factor that is in X but for one level still has something to say.
    most = SLEEP.assign(some=SLEEP["Subject"].where(SLEEP["Subject"] > "309", "other"))
    assert mixfit.mixed("Reaction ~ some + (1 | Subject)", most).fit().theta[0] > 0.0
