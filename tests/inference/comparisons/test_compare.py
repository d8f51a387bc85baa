"""Fits side by side, against performance (tests/reference/performance.R) and against anova."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import BiasWarning, ComparisonError
from mixfit.inference.comparisons.compare import criterion_weights

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "performance.json").read_text(encoding="utf-8"))
FORMULAS = ["Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)"]


def fits(*, reml: bool) -> list[Any]:
    sleep = mixfit.datasets.load("sleepstudy")
    return [mixfit.mixed(formula, sleep).fit(reml=reml) for formula in FORMULAS]


def test_reference() -> None:
    found = mixfit.compare(*fits(reml=False)).frame
    names = {"AIC_wt": "wAIC", "AICc_wt": "wAICc", "BIC_wt": "wBIC", "R2_conditional": "R2c", "R2_marginal": "R2m"}
    for theirs in REFERENCE["compare"][0]:
        expected = [row[theirs] for row in REFERENCE["compare"]]
        ours = found[{"Sigma": "sigma", **names}.get(theirs, theirs)]
        # Variances by theta of lme4, which is good to some 1e-5.
        assert_allclose(ours, expected, rtol=3e-5, atol=1e-20, err_msg=theirs)


def test_tests_are_those_of_anova() -> None:
    models = fits(reml=True)
    found = mixfit.compare(*models, names=["a", "b", "c"])
    expected = mixfit.anova(*models)
    assert_allclose(found["Chisq"][1:], expected["Chisq"][1:])
    assert_allclose(found["Pr(>Chisq)"][1:], expected["Pr(>Chisq)"][1:])
    assert found["against"].tolist() == ["", "a", "b"]
    assert "refitting model(s) with ML (instead of REML)" in found.notes
    # what is no criterion is of the fits as they are
    assert_allclose(found["sigma"], [fit.sigma for fit in models])


def test_what_is_not_nested_has_no_test() -> None:
    sleep = mixfit.datasets.load("sleepstudy").assign(late=lambda d: (d["Days"] > 4).astype(float))
    one = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit(reml=False)
    two = mixfit.mixed("Reaction ~ late + I(late * Days) + (1 | Subject)", sleep).fit(reml=False)
    null = mixfit.mixed("Reaction ~ 1 + (1 | Subject)", sleep).fit(reml=False)
    found = mixfit.compare(two, one, null)
    assert found["against"].tolist() == ["m2", "m2", ""]
    assert found["Df"].tolist()[:2] == [2, 1]


def test_families_are_compared() -> None:
    ticks = mixfit.datasets.load("grouseticks")
    fits = [
        mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family=f).fit() for f in ("poisson", "nbinom2", "nbinom1")
    ]
    found = mixfit.compare(*fits)
    expected = mixfit.anova(*fits[:2])
    assert found["against"].tolist() == ["", "m0", "m0"]
    assert_allclose(found["Pr(>Chisq)"].iloc[1], expected["Pr(>Chisq)"].iloc[1])
    assert_allclose(found["AIC"], [fit.aic for fit in fits])
    assert any("half a chi-square" in note for note in found.notes)
    assert np.isnan(found["sigma"]).all()


def test_unordered_categories_have_no_r2() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=120), "g": np.repeat(np.arange(10), 12), "y": rng.choice([*"abc"], 120)})
    models = [mixfit.mixed(f"y ~ {x} + (1 | g)", frame, family="multinomial").fit() for x in ("1", "x")]
    found = mixfit.compare(*models)
    assert found[["R2m", "R2c"]].isna().all(axis=None)
    assert_allclose(found["Chisq"].iloc[1], mixfit.anova(*models)["Chisq"].iloc[1])


def test_models_without_rows_have_neither_r2_nor_residuals(tmp_path: Path) -> None:
    sleep = mixfit.datasets.load("sleepstudy").assign(late=lambda d: (d["Reaction"] > 300.0).astype(int))
    sleep.to_parquet(tmp_path / "rows.parquet")
    for response, options in (("Reaction", {}), ("late", {"family": "binomial"})):
        sources = (tmp_path / "rows.parquet", sleep)
        texts = (f"{response} ~ 1 + (1 | Subject)", f"{response} ~ Days + (1 | Subject)")
        streams, memory = (
            mixfit.compare(*(mixfit.mixed(text, source, **options).fit() for text in texts)) for source in sources
        )
        assert streams[["R2m", "R2c", "RMSE"]].isna().all(axis=None)
        assert streams["against"].tolist() == memory["against"].tolist() == ["", "m0"]
        for name in ("AIC", "Chisq", "sigma"):
            assert_allclose(streams[name], memory[name], rtol=1e-5)


def test_restricted_likelihoods() -> None:
    one, two, three = fits(reml=True)
    with pytest.raises(ComparisonError, match="fitted by REML and have different fixed effects"):
        mixfit.compare(one, two, refit=False)
    found = mixfit.compare(two, three, refit=False)
    assert_allclose(found["logLik"], [two.llf, three.llf])
    assert not found.notes


def test_fits_one_by_one_as_a_list_or_by_name() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    one, two = (mixfit.mixed(formula, sleep).fit() for formula in FORMULAS[:2])
    frame = mixfit.compare(one, two, names=["a", "b"]).frame
    assert list(frame.index) == ["a", "b"]
    assert frame.equals(mixfit.compare([one, two], names=["a", "b"]).frame)
    assert frame.equals(mixfit.compare({"a": one, "b": two}).frame)
    with pytest.raises(ComparisonError, match="two fits or more"):
        mixfit.compare([one])


def test_refusals() -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    one = mixfit.mixed(FORMULAS[1], sleep).fit()
    with pytest.raises(ComparisonError, match="use different rows"):
        mixfit.compare(one, mixfit.mixed(FORMULAS[2], sleep.iloc[:-1]).fit())
    with pytest.raises(ComparisonError, match="different responses"):
        mixfit.compare(one, mixfit.mixed(FORMULAS[1].replace("Reaction", "log(Reaction)"), sleep).fit())
    with pytest.raises(ComparisonError, match="two fits or more"):
        mixfit.compare(one)
    with pytest.raises(ComparisonError, match="different names"):
        mixfit.compare(one, one, names=["a", "a"])
    cbpp = mixfit.datasets.load("cbpp")
    model = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")
    with pytest.warns(BiasWarning):
        quasi = model.fit(method="pql")
    with pytest.raises(ComparisonError, match="m1 has no likelihood to compare"):
        mixfit.compare(model.fit(), quasi)


def test_weights_of_no_finite_criterion() -> None:
    assert np.isnan(criterion_weights(np.array([np.inf, np.inf]))).all()


def test_aicc_of_few_observations() -> None:
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit(reml=False)
    k, n = fit.npar, fit.nobs
    assert_allclose(fit.aicc, fit.aic + 2 * k * (k + 1) / (n - k - 1))
    tiny = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp").iloc[[0, 1, 5, 6]]).fit()
    assert tiny.aicc == np.inf
