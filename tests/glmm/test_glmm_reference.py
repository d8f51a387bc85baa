"""Fits against lme4 2.1.0, glmmTMB and, for the inverse Gaussian, the integrated likelihood itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.tables.layout import shown
from tests.glmm.data import GLMMTMB, LME4, load

TMB = GLMMTMB["fits"]


@pytest.fixture(scope="module")
def fits() -> dict[str, Any]:
    """Fits made so far, by name."""
    return {}


def fitted(fits: dict[str, Any], name: str) -> tuple[Any, dict[str, Any]]:
    wanted = LME4["fits"].get(name) or TMB[name]
    if name not in fits:
        # The values of the inverse Gaussian are those of the exact integral.
        n_agq = wanted.get("n_agq", 25 if wanted["family"].startswith("inverse") else 1)
        model = mixfit.mixed(wanted["formula"], load(wanted["data"]), wanted["family"], offset=wanted["offset"])
        fits[name] = model.fit(n_agq=n_agq)
    return fits[name], wanted


def spelt(name: str) -> str:
    """A column's name as R has it."""
    return re.sub(r"\[T\.(.*)\]", r"\1", shown(name))


@pytest.mark.parametrize("name", LME4["fits"])
def test_lme4(fits: dict[str, Any], name: str) -> None:
    fit, wanted = fitted(fits, name)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60
    assert fit.nobs == wanted["n"]
    assert_allclose(fit.llf, wanted["loglik"], atol=1e-5)
    assert fit.is_singular is wanted["singular"]
    se = np.array(wanted["se"])
    assert len(fit.params) == len(se)
    assert_allclose((fit.params - wanted["fixef"]) / se, 0.0, atol=1e-3)
    # lme4's standard errors come from differences of the criterion's values.
    assert_allclose(fit.bse, se, rtol=1e-2)
    assert_allclose(np.sort(fit.theta), np.sort(wanted["theta"]), rtol=1e-3)


@pytest.mark.parametrize("name", LME4["fits"])
def test_lme4_criteria(fits: dict[str, Any], name: str) -> None:
    fit, wanted = fitted(fits, name)
    assert fit.df_resid == wanted["df_resid"]
    assert_allclose([fit.aic, fit.bic], [wanted["aic"], wanted["bic"]], atol=2e-5)


@pytest.mark.parametrize("name", LME4["fits"])
def test_lme4_random_effects(fits: dict[str, Any], name: str) -> None:
    fit, wanted = fitted(fits, name)
    frame = fit.varcorr().to_frame()
    keys = [[None if pd.isna(v) else spelt(v) for v in row] for row in frame[["grp", "var1", "var2"]].to_numpy()]
    mine = {tuple(key): sd for key, sd in zip(keys, frame["sdcor"], strict=True)}
    for row in wanted["varcorr"]:
        assert_allclose(mine[row["grp"], row["var1"], row["var2"]], row["sdcor"], rtol=1e-3)
    for group, reference in wanted["ranef"].items():
        table = fit.ranef()[group]
        values = np.array(reference["values"], dtype=float).reshape(len(reference["levels"]), -1)
        table.index = table.index.astype(str)
        assert [spelt(c) for c in table.columns] == reference["columns"]
        assert_allclose(table.loc[[str(v) for v in reference["levels"]]], values, atol=2e-3 * np.abs(values).max())


@pytest.mark.parametrize("name", TMB)
def test_glmmtmb(fits: dict[str, Any], name: str) -> None:
    fit, wanted = fitted(fits, name)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60
    assert_allclose(fit.llf, wanted["loglik"], atol=1e-5)
    assert_allclose((fit.params - wanted["fixef"]) / wanted["se"], 0.0, atol=1e-4)
    assert_allclose(fit.estimate.phi, wanted["phi"], rtol=1e-4)
    frame = fit.varcorr().to_frame()
    for group, sd in wanted["sd"].items():
        own = frame[frame["grp"] == group]
        assert_allclose(own.loc[own["var2"].isna(), "sdcor"], sd, rtol=1e-4, atol=1e-4)
        assert_allclose(own.loc[own["var2"].notna(), "sdcor"], wanted["correlation"][group], atol=1e-4)


@pytest.mark.parametrize("name", TMB)
def test_glmmtmb_standard_errors(fits: dict[str, Any], name: str) -> None:
    fit, wanted = fitted(fits, name)
    assert_allclose(fit.bse, wanted["se"], rtol=2e-4)
    assert_allclose(fit.estimate.log_phi_error, wanted["log_phi_se"], rtol=2e-4)
    if fit.is_singular:
        assert np.isnan(fit.estimate.theta_errors).all()
    elif len(fit.theta) == len(wanted["sd"]):
        log_sd_errors = fit.estimate.theta_errors / fit.theta
        assert_allclose(np.sort(log_sd_errors), np.sort(wanted["log_sd_se"]), rtol=1e-3)


def test_a_model_with_a_dispersion_counts_it_among_its_parameters(fits: dict[str, Any]) -> None:
    fit, wanted = fitted(fits, "gamma_simulated")
    assert fit.npar == len(wanted["fixef"]) + 1 + 1


def test_a_model_without_residuals_reports_no_residual_variance(fits: dict[str, Any]) -> None:
    fit, _ = fitted(fits, "cbpp_laplace")
    assert "Residual" not in set(fit.varcorr().to_frame()["grp"])
