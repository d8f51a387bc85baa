"""The order of theta is lme4's, whatever that of the formula."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixfit

UNBALANCED = pd.read_csv(Path(__file__).parents[1] / "inference" / "reference" / "unbalanced.csv")

# getME(lmer(<formula>, <data>, control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9))), "theta")
THEIRS = [
    ("strength ~ 1 + (1 | batch / cask)", "pastes", [3.52690186, 1.56346049]),
    ("y ~ x + (1 | h) + (x | g)", None, [0.5398529209, 0.0160939852, 0.2002591923, 0.7472981283]),
    ("y ~ x + (x | g) + (1 | h)", None, [0.5398529209, 0.0160939852, 0.2002591923, 0.7472981283]),
    ("y ~ x + (1 | h) + (x || g)", None, [0.205421202, 0.561085838, 0.746900600]),
    ("y ~ x + (x || g) + (1 | a:b:h)", None, [1.095811607, 0.252717864, 0.791058493]),
]


def fitted(formula, name):
    return mixfit.mixed(formula, UNBALANCED if name is None else mixfit.datasets.load(name)).fit()


@pytest.mark.parametrize(("formula", "name", "theta"), THEIRS)
def test_theta_stands_in_lme4s_order(formula, name, theta):
    np.testing.assert_allclose(fitted(formula, name).theta, theta, rtol=2e-4)


@pytest.mark.parametrize(("formula", "name"), [case[:2] for case in THEIRS])
def test_what_takes_theta_takes_it_in_that_order(formula, name):
    fit = fitted(formula, name)
    assert fit.model.criterion(fit.theta) == pytest.approx(-2.0 * fit.llf, abs=1e-9)
    np.testing.assert_array_equal(fit.model.Lambda(fit.theta).toarray(), fit.Lambda.toarray())
    again = fit.model.fit(start=fit.theta)
    np.testing.assert_allclose(again.theta, fit.theta, atol=1e-4)
    assert again.converged


def test_generalized_models_have_the_same_order():
    data = UNBALANCED.assign(z=(UNBALANCED["y"] > UNBALANCED["y"].median()).astype(int))
    one = mixfit.mixed("z ~ x + (1 | h) + (1 | g)", data, family="binomial").fit()
    other = mixfit.mixed("z ~ x + (1 | g) + (1 | h)", data, family="binomial").fit()
    np.testing.assert_allclose(one.theta, other.theta, atol=1e-4)
    assert len(one.bse_theta) == 2
    np.testing.assert_allclose(one.bse_theta, other.bse_theta, rtol=1e-2, equal_nan=True)
