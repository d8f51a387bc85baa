"""Numbers against lme4's, at lme4's own theta."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.tables.layout import shown
from tests import dense
from tests.fitted.models import MODELS, fitted, numbers

every_model = pytest.mark.parametrize("name", MODELS)


def wanted(name: str, quantity: str) -> pd.Series:
    return numbers()[name, quantity]


@every_model
def test_fixed_effects(name: str) -> None:
    fit = fitted(name)
    assert [shown(column) for column in fit.params.index] == list(wanted(name, "params").index)
    assert_allclose(fit.params, wanted(name, "params"), rtol=1e-7, atol=1e-9)
    assert_allclose(fit.fixef, fit.params)
    assert_allclose(fit.bse, wanted(name, "bse"), rtol=1e-7)
    assert_allclose(np.sqrt(np.diag(fit.cov_params())), wanted(name, "bse"), rtol=1e-7)
    assert_allclose(fit.tvalues, wanted(name, "params") / wanted(name, "bse").to_numpy(), rtol=1e-6, atol=1e-8)


@every_model
def test_likelihood_and_counts(name: str) -> None:
    fit, values = fitted(name), wanted(name, "scalar")
    for quantity, value in values.items():
        assert_allclose(getattr(fit, quantity), value, rtol=1e-9, err_msg=quantity)
    assert fit.is_singular is bool(values["is_singular"])
    assert_allclose(fit.scale, fit.sigma**2)
    assert_allclose(fit.deviance, -2 * fit.llf)
    assert fit.df_model == fit.npar


@every_model
def test_fitted_values_and_residuals(name: str) -> None:
    fit = fitted(name)
    assert_allclose(fit.fittedvalues.iloc[:6], wanted(name, "fitted"), rtol=1e-8)
    for kind in ("response", "pearson", "scaled"):
        assert_allclose(fit.residuals(kind).iloc[:6], wanted(name, kind), rtol=1e-6, atol=1e-8, err_msg=kind)
    assert_allclose(fit.resid, fit.residuals())
    assert fit.resid.index.equals(fit.model.design.index)


@every_model
def test_varcorr_frame(name: str) -> None:
    frame = fitted(name).varcorr().to_frame()
    label = [
        "|".join(shown(v) if v else "NA" for v in row) for row in zip(frame.grp, frame.var1, frame.var2, strict=True)
    ]
    assert list(frame.columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert label == list(wanted(name, "vcov").index)
    assert_allclose(frame["vcov"], wanted(name, "vcov"), rtol=1e-7, atol=1e-10)
    assert_allclose(frame["sdcor"], wanted(name, "sdcor"), rtol=1e-7, atol=1e-10)
    assert frame["var1"].iloc[-1] is None


def by_label(frames: dict[str, pd.DataFrame]) -> dict[str, float]:
    return {
        f"{group}|{shown(column)}|{level}": frame[column].loc[level]
        for group, frame in frames.items()
        for column in frame.columns
        for level in frame.index
    }


@every_model
def test_random_effects(name: str) -> None:
    fit = fitted(name)
    modes = wanted(name, "mode")
    scale = modes.abs().max() or 1.0
    mine = by_label(fit.ranef())
    assert set(mine) == set(modes.index)
    assert_allclose([mine[label] for label in modes.index], modes, atol=1e-7 * scale)
    deviations = wanted(name, "condsd")
    both = fit.ranef(condsd=True)
    sd = by_label({group: frame["sd"] for group, frame in both.items()})
    assert_allclose([sd[label] for label in deviations.index], deviations, rtol=1e-6, atol=1e-10)
    for group, frame in fit.ranef().items():
        pd.testing.assert_frame_equal(both[group]["mode"], frame)


@every_model
def test_coefficients_of_levels(name: str) -> None:
    mine, values = by_label(fitted(name).coef()), wanted(name, "coef")
    columns = list(dict.fromkeys(label.rsplit("|", 1)[0] for label in values.index))
    assert list(dict.fromkeys(label.rsplit("|", 1)[0] for label in mine)) == columns
    assert_allclose([mine.pop(label) for label in values.index], values, rtol=1e-7, atol=1e-8)
    assert not mine


def test_normal_tests_and_intervals() -> None:
    fit = fitted("sleepstudy_reml")
    limits = fit.conf_int(ddf="z")
    assert list(limits.columns) == [0, 1]
    assert_allclose(limits[1] - fit.params, 1.959963984540054 * fit.bse)
    assert_allclose(fit.params - limits[0], limits[1] - fit.params)
    # 2 * pnorm(-2) and 2 * pnorm(-1), from tables
    fit = fitted("pulp_reml")
    z = fit.tvalues.iloc[0]
    assert z > 400
    from mixfit.wald import p_values

    assert_allclose(p_values(np.array([2.0, -1.0])), [0.04550026389635839, 0.31731050786291415])
    with pytest.raises(ValueError, match="level"):
        fit.conf_int(level=1.5)


def test_diagonal_structure_has_no_covariance_rows() -> None:
    from mixfit.results import LinearResults
    from tests.fitted.models import sleepstudy_diag

    model = sleepstudy_diag()
    theta = wanted("sleepstudy_zerocorr", "theta").to_numpy()
    fit = LinearResults(model, dense.estimate(model.design, [np.diag(theta)], True))
    twin = fitted("sleepstudy_zerocorr")
    frame = fit.varcorr().to_frame()
    assert frame["grp"].tolist() == ["Subject", "Subject", "Residual"]
    assert_allclose(frame["vcov"], twin.varcorr().to_frame()["vcov"])
    assert fit.npar == twin.npar
    assert_allclose(fit.llf, twin.llf)
    assert "Corr" not in str(fit.varcorr())
    pd.testing.assert_frame_equal(fit.ranef()["Subject"], twin.ranef()["Subject"])


@every_model
def test_reference_optimizer_is_no_worse_than_lme4s(name: str) -> None:
    build, reml = MODELS[name]
    best = build().fit(reml=reml)
    assert -1e-9 < best.llf - fitted(name).llf < 1e-4
    slope = dense.gradient(best.model.design, best.estimate.templates, reml)
    assert np.abs(slope).max() < 1e-5 * len(best.model.design.y)


def test_residuals_of_every_kind_are_those_of_lme4() -> None:
    # lmer(Reaction ~ Days + (Days | Subject), sleepstudy, weights = rep(c(1, 2, 4), 60)), R 4.2.2, lme4 1.1-31
    fit = mixfit.mixed(
        "Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy"), weights=[1, 2, 4] * 60
    ).fit()
    for kind, values in {
        "response": [-4.717167, -15.511390],
        "working": [-4.717167, -15.511390],
        "deviance": [-4.717167, -21.936419],
        "pearson": [-4.717167, -21.936419],
    }.items():
        assert_allclose(fit.residuals(kind)[:2], values, rtol=1e-4)
    with pytest.raises(FitError, match="'scaled' or 'normalized', not 'partial'"):
        fit.residuals("partial")
