"""Cross-validation of nonlinear models, beside fits without each group and beside the linear model on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

import mixfit
from mixfit.errors import DesignError, FitError
from tests.nlmm.test_laplace import data
from tests.test_nonlinear import load

if TYPE_CHECKING:
    import pandas as pd

LOGISTIC = "circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree"


@pytest.fixture(scope="module")
def orange() -> pd.DataFrame:
    return load("Orange")


@pytest.mark.parametrize("by", ["Tree", 4, "observation"])
@pytest.mark.parametrize("dispersion", [None, "~ log(age)"])
def test_rows_are_predicted_by_the_fit_to_the_others(
    orange: pd.DataFrame, by: str | int, dispersion: str | None
) -> None:
    fit = mixfit.nonlinear(LOGISTIC, orange, dispersion=dispersion).fit()
    found = mixfit.cross_validate(fit, by=by, seed=1 if by == 4 else None)
    assert found.refit
    assert found.converged is not None
    assert found.converged.all()
    for _, rows in list(found.predictions.groupby(found.by, observed=True))[:5]:
        other = mixfit.nonlinear(LOGISTIC, orange.drop(rows.index), dispersion=dispersion).fit()
        wanted = other.get_prediction(orange.loc[rows.index], allow_new_levels=True)
        assert_allclose(rows["mean"], wanted.predicted_mean, rtol=1e-6)
        assert_allclose(rows["sd"], wanted.se_obs, rtol=1e-4)
    rows = found.predictions
    assert_allclose(rows["log_density"], norm.logpdf(rows["observed"], rows["mean"], rows["sd"]))
    assert_allclose(found.score["rmse"], np.sqrt(((rows["observed"] - rows["mean"]) ** 2).mean()))
    assert found.calibration()["observed"].is_monotonic_increasing


@pytest.mark.parametrize("by", ["g", 5])
@pytest.mark.parametrize("reml", [False, True])
def test_on_a_straight_line_it_is_the_linear_models(by: str | int, reml: bool) -> None:
    frame = data()
    curve = mixfit.nonlinear("y ~ a + b * t ~ (a + b | g)", frame, start={"a": 1.0, "b": 1.0}, weights="w")
    line = mixfit.mixed("y ~ t + (t | g)", frame, weights="w").fit(reml=reml)
    seed = 2 if by == 5 else None
    found = mixfit.cross_validate(curve.fit(method="lb", reml=reml), by=by, seed=seed)
    wanted = mixfit.cross_validate(line, by=by, seed=seed, refit="theta")
    columns = ["observed", "mean", "log_density", "sd", "pit"]
    assert_allclose(found.predictions[columns], wanted.predictions[columns], rtol=2e-5, atol=1e-5)
    assert_allclose(found.score, wanted.score, rtol=1e-6)


def test_what_only_one_group_tells_is_named(orange: pd.DataFrame) -> None:
    marked = orange.assign(late=(orange["Tree"].astype(str) == "3").astype(float))
    fit = mixfit.nonlinear(LOGISTIC, marked, fixed="Asym ~ late").fit()
    with pytest.raises(DesignError, match=r"Without Tree '3', the other rows do not determine .*late"):
        mixfit.cross_validate(fit, by="Tree")
    assert mixfit.cross_validate(fit, by=5, seed=1).converged.all()
    spread = mixfit.nonlinear(LOGISTIC, marked, dispersion="~ late").fit()
    with pytest.raises(DesignError, match=r"Without Tree '3', the other rows do not determine late of dispersion="):
        mixfit.cross_validate(spread, by="Tree")


def test_scores_that_curves_do_not_have_are_refused(orange: pd.DataFrame) -> None:
    fit = mixfit.nonlinear(LOGISTIC, orange).fit()
    for scoring in ("joint_log_score", "brier"):
        with pytest.raises(FitError):
            mixfit.cross_validate(fit, by="Tree", scoring=scoring)


def test_a_fold_without_which_the_curve_cannot_be_fitted_is_named(orange: pd.DataFrame) -> None:
    fit = mixfit.nonlinear(LOGISTIC, orange).fit()
    late = np.flatnonzero(orange["age"] > 200)
    with pytest.raises(FitError, match="Without split 0 the model cannot be fitted"):
        mixfit.cross_validate(fit, by=[(np.setdiff1d(np.arange(35), late), late)])
