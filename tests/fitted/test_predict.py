from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from mixfit.errors import NewLevelError
from mixfit.matrices.new_rows import NewDesign
from mixfit.results import LinearResults
from tests import dense
from tests.fitted.models import fitted, numbers, sleepstudy

NEW = pd.DataFrame({"Days": [0, 3, 11, np.nan, 2], "Subject": ["308", "372", "309", "308", "new"]}, index=list("abcde"))


@pytest.mark.parametrize(
    ("re_form", "quantity"),
    [
        (None, "predict_all"),
        ("population", "predict_none"),
        (False, "predict_none"),
        ("~(1 | Subject)", "predict_intercept"),
    ],
)
def test_new_rows_as_lme4_predicts_them(re_form: object, quantity: str) -> None:
    fit = fitted("sleepstudy_reml")
    mine = fit.predict(NEW, re_form=re_form, allow_new_levels=True)
    wanted = numbers()["sleepstudy_reml", quantity]
    assert mine.index.equals(NEW.index)
    assert_allclose(mine, wanted, rtol=1e-8)
    assert mine.isna().tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(("re_form", "quantity"), [("(1 | batch)", "predict_batch"), (["batch:cask"], "predict_cask")])
def test_subset_of_terms_on_the_rows_of_the_fit(re_form: object, quantity: str) -> None:
    mine = fitted("pastes_ml").predict(re_form=re_form)
    assert_allclose(mine.iloc[:6], numbers()["pastes_ml", quantity], rtol=1e-8)


def test_rows_of_the_fit_by_default() -> None:
    fit = fitted("sleepstudy_weights")
    pd.testing.assert_series_equal(fit.predict(), fit.fittedvalues)
    design = fit.model.design
    population = design.X @ fit.estimate.beta + design.offset
    assert_allclose(fit.predict(re_form="population"), population)


def test_deficient_columns_are_left_out_of_new_rows() -> None:
    fit = fitted("sleepstudy_deficient")

    class Wider:
        """Reads an intercept, Days and the aliased D2."""

        def read(self, newdata: pd.DataFrame, terms: tuple[bool, ...]) -> NewDesign:
            new = fit.model.design.reader.read(newdata, terms)
            return replace(new, X=np.column_stack([new.X, newdata["D2"]]))

    model = dense.DenseModel(replace(fit.model.design, reader=Wider()), "")
    new = pd.DataFrame({"Days": [0.0, 3.0], "D2": [0.0, 6.0]})
    mine = LinearResults(model, fit.estimate).predict(new, re_form="population")
    assert_allclose(mine, fit.params["Intercept"] + fit.params["Days"] * new["Days"])


def test_unseen_level_is_named() -> None:
    fit = fitted("sleepstudy_reml")
    with pytest.raises(NewLevelError, match=r"'Subject'.*: new; allow_new_levels=True"):
        fit.predict(NEW)
    # a level is no matter where its term is left out, nor in a row with a missing value
    assert fit.predict(NEW, re_form="population").notna().sum() == 4
    missing = pd.DataFrame({"Days": [np.nan], "Subject": ["new"]})
    assert fit.predict(missing).isna().all()


def test_many_unseen_levels_are_counted_and_interactions_joined() -> None:
    from mixfit.fitted.predict import check_levels

    random = fitted("pastes_ml").model.design.random[1:]
    new = pd.DataFrame({"batch": list("ABCDEFG"), "cask": list("zzzzzzz")})
    read = NewDesign(
        X=np.ones((7, 1)),
        Z=(np.ones((7, 1)),),
        codes=(np.full(7, -1),),
        offset=np.zeros(7),
        index=new.index,
    )
    with pytest.raises(NewLevelError, match=r"'batch:cask'.*: A:z, B:z, C:z, D:z, E:z and 2 more;"):
        check_levels(read, random, new)
    with pytest.raises(NewLevelError, match=r"row 0, row 1"):
        check_levels(read, random, new.drop(columns="cask"))


def test_standard_errors_of_the_fixed_part() -> None:
    fit = fitted("sleepstudy_reml")
    frame = fit.predict(NEW, re_form="population", se=True)
    assert list(frame.columns) == ["mean", "mean_se"]
    x = np.array([1.0, 3.0])
    assert_allclose(frame["mean_se"].iloc[1], np.sqrt(x @ fit.cov_params().to_numpy() @ x))
    assert np.isnan(frame["mean_se"].iloc[3])


def test_standard_errors_with_random_effects() -> None:
    fit = fitted("sleepstudy_reml")
    frame = fit.predict(NEW, allow_new_levels=True, se=True)
    joint = dense.joint_covariance(fit.model.design, fit.estimate)
    level = fit.model.design.random[0].grouping.levels.get_loc("372")
    row = np.zeros(len(joint))
    row[[0, 1]] = row[[2 + 2 * level, 3 + 2 * level]] = 1.0, 3.0
    assert_allclose(frame["mean_se"].iloc[1], np.sqrt(row @ joint @ row))
    population = fit.predict(NEW, re_form="population", se=True)
    # an unseen level has the fixed part's error, and only a missing value has none
    assert_allclose(frame["mean_se"].iloc[4], population["mean_se"].iloc[4])
    assert frame["mean_se"].isna().tolist() == [False, False, False, True, False]
    inside = fit.predict(se=True)
    assert_allclose(inside["mean"], fit.fittedvalues)
    assert (inside["mean_se"] < fit.sigma).all()


def test_joint_covariance_is_the_spread_of_the_prediction_errors() -> None:
    # the hook that tests stand on, against simulated truth
    model = sleepstudy()
    fit = fitted("sleepstudy_reml")
    rng = np.random.default_rng(7)
    sigma, T = fit.sigma, fit.estimate.templates[0]
    design = model.design
    term = design.random[0]
    b = sigma * rng.standard_normal((4000, 18, 2)) @ T.T
    effects = np.einsum("ij,rij->ri", term.Z, b[:, term.grouping.codes])
    y = design.X @ fit.estimate.beta + effects + sigma * rng.standard_normal((4000, 180))
    s = dense.solve(design, fit.estimate.templates, True)
    Vi = np.linalg.inv(s.V0)
    H = np.linalg.solve(s.X.T @ Vi @ s.X, s.X.T @ Vi)
    beta = y @ H.T
    modes = (y - beta @ s.X.T) @ (s.G0 @ s.Z.T @ Vi).T
    errors = np.hstack([beta - fit.estimate.beta, modes - b.reshape(4000, -1)])
    variance = np.diag(dense.joint_covariance(design, fit.estimate))
    assert_allclose(errors.var(axis=0), variance, rtol=0.12)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_unseen_level_of_other_frames_is_named(library: str) -> None:
    from mixfit.fitted.predict import check_levels

    module = pytest.importorskip(library)
    columns = {"Days": [0.0, 1.0], "Subject": ["308", "new"]}
    frame = module.DataFrame(columns) if library == "polars" else module.table(columns)
    random = fitted("sleepstudy_reml").model.design.random
    read = NewDesign(np.ones((2, 2)), (np.ones((2, 2)),), (np.array([0, -1]),), np.zeros(2), pd.RangeIndex(2))
    with pytest.raises(NewLevelError, match="never saw: new;"):
        check_levels(read, random, frame)
