"""Estimators of scikit-learn: its own checks, and what is mixed about them."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FormulaError

pytest.importorskip("sklearn")

from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.inspection import partial_dependence
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixfit.sklearn import MixedClassifier, MixedRegressor

FORMULA = "~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def sleep() -> tuple[pd.DataFrame, pd.Series]:
    data = mixfit.datasets.load("sleepstudy")
    return data[["Days", "Subject"]], data["Reaction"]


@parametrize_with_checks([MixedRegressor(), MixedClassifier()])
def test_scikit_learn(estimator, check) -> None:
    check(estimator)


def test_the_fit_is_that_of_mixed(sleep) -> None:
    X, y = sleep
    model = MixedRegressor(FORMULA).fit(X, y)
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", X.assign(Reaction=y)).fit()
    assert model.result_.llf == pytest.approx(fit.llf)
    np.testing.assert_allclose(model.predict(X), fit.fittedvalues)
    assert model.feature_names_in_.tolist() == ["Days", "Subject"]
    new = X.head(2).assign(Subject="nobody")
    np.testing.assert_allclose(model.predict(new), fit.predict(X.head(2), re_form="population"))
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert clone(model).formula == FORMULA
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    ml = MixedRegressor(FORMULA, reml=False).fit(X, y, sample_weight=1.0 + X["Days"])
    weighted = mixfit.mixed("y ~ Days + (Days | Subject)", X.assign(y=y), weights="1 + Days").fit(reml=False)
    assert ml.result_.llf == pytest.approx(weighted.llf)


def test_groups_may_stand_beside_the_columns(sleep) -> None:
    X, y = sleep
    model = MixedRegressor().fit(X[["Days"]], y, groups=X["Subject"])
    fit = mixfit.mixed("y ~ Days + (1 | Subject)", X.assign(y=y)).fit()
    np.testing.assert_allclose(model.predict(X[["Days"]], groups=X["Subject"]), fit.fittedvalues)
    np.testing.assert_allclose(model.predict(X[["Days"]]), fit.predict(re_form="population"))
    array = MixedRegressor("~ x0 + (x0 | groups)").fit(X[["Days"]].to_numpy(), y, groups=X["Subject"])
    slopes = mixfit.mixed("y ~ Days + (Days | Subject)", X.assign(y=y)).fit()
    np.testing.assert_allclose(array.predict([[3.0]], groups=["308"]), slopes.fittedvalues.iloc[3])


def test_folds_of_groups_are_those_of_refits(sleep) -> None:
    X, y = sleep
    folds = GroupKFold(6)
    found = cross_val_predict(MixedRegressor(FORMULA), X, y, groups=X["Subject"], cv=folds)
    fit = mixfit.mixed("y ~ Days + (Days | Subject)", X.assign(y=y))
    own = mixfit.cross_validate(fit, folds, groups="Subject", refit="theta").predictions
    np.testing.assert_allclose(pd.Series(found, X.index).loc[own.index], own["mean"], rtol=1e-6)


def test_pipelines_and_searches(sleep) -> None:
    X, y = sleep
    scaled = ColumnTransformer([("days", StandardScaler(), ["Days"]), ("subject", "passthrough", ["Subject"])])
    scaled.set_output(transform="pandas")
    pipeline = make_pipeline(scaled, MixedRegressor("~ days__Days + (1 | subject__Subject)"))
    formulas = ["~ days__Days + (1 | subject__Subject)", "~ 1 + (1 | subject__Subject)"]
    search = GridSearchCV(pipeline, {"mixedregressor__formula": formulas}, cv=GroupKFold(3))
    search.fit(X, y, groups=X["Subject"])
    assert search.best_params_["mixedregressor__formula"] == formulas[0]


def test_groups_are_routed(sleep) -> None:
    X, y = sleep
    with config_context(enable_metadata_routing=True):
        model = MixedRegressor().set_fit_request(groups=True)
        routed = cross_validate(model, X[["Days"]], y, params={"groups": X["Subject"]}, cv=GroupKFold(3))
    own = cross_validate(MixedRegressor("~ Days + (1 | Subject)"), X, y, groups=X["Subject"], cv=GroupKFold(3))
    np.testing.assert_allclose(routed["test_score"], own["test_score"])


def test_partial_dependence(sleep) -> None:
    X, y = sleep
    model = MixedRegressor().fit(X[["Days"]].astype(float), y, groups=X["Subject"])
    grid = partial_dependence(model, X[["Days"]].astype(float), ["Days"], grid_resolution=5)
    slope = np.diff(grid["average"][0]) / np.diff(grid["grid_values"][0])
    np.testing.assert_allclose(slope, model.result_.params["Days"])


def test_classes_are_those_of_the_binomial_model() -> None:
    data = mixfit.datasets.load("wine")
    X, y = data[["temp", "contact", "judge"]], np.where(data["rating"].astype(int) > 2, "good", "bad")
    model = MixedClassifier("~ temp + contact + (1 | judge)", n_agq=5).fit(X, y)
    fit = mixfit.mixed("z ~ temp + contact + (1 | judge)", X.assign(z=y == "good"), family="binomial").fit(n_agq=5)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], fit.fittedvalues)
    assert set(model.predict(X)) == {"bad", "good"}
    by_groups = MixedClassifier("~ temp + (1 | groups)", link="probit").fit(X[["temp"]], y, groups=X["judge"])
    other = mixfit.mixed("z ~ temp + (1 | judge)", X.assign(z=y == "good"), family="binomial(probit)").fit()
    np.testing.assert_allclose(by_groups.predict_proba(X[["temp"]])[:, 1], other.predict(re_form="marginal"))


def test_counts_by_family() -> None:
    ticks = mixfit.datasets.load("grouseticks")
    model = MixedRegressor("~ YEAR + (1 | BROOD)", family="poisson").fit(ticks[["YEAR", "BROOD"]], ticks["TICKS"])
    fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson").fit()
    np.testing.assert_allclose(model.predict(ticks[["YEAR", "BROOD"]]), fit.fittedvalues)


def test_formulas_name_no_response(sleep) -> None:
    X, y = sleep
    with pytest.raises(FormulaError, match="the response being y"):
        MixedRegressor("Reaction ~ Days + (1 | Subject)").fit(X, y)
    with pytest.raises(FormulaError, match="rename the column"):
        MixedRegressor().fit(X.assign(groups=1.0), y, groups=X["Subject"])


def test_mixfit_itself_imports_no_scikit_learn() -> None:
    script = "import mixfit, sys; mixfit.cross_validate; print('sklearn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
