"""The parametric bootstrap: lme4's distributions, R's intervals, nothing hidden."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.inference.bootstrap import BootstrapResult, interpolated_quantiles
from mixfit.inference.profiles.parameters import parameter_values
from tests.fresh import run
from tests.inference.fits import herds

R = json.loads((Path(__file__).parents[1] / "data" / "bootstrap_r.json").read_text())


@cache
def sleepstudy():
    return mixfit.mixed("Reaction ~ Days + (Days|Subject)", mixfit.datasets.load("sleepstudy")).fit()


def test_the_distribution_is_that_of_lme4() -> None:
    """Shares of replicates below lme4's quantiles, within four Monte-Carlo standard errors of their levels."""
    reference = R["sleepstudy"]
    boot = sleepstudy().bootstrap(n=4000, seed=20, progress=False)
    assert boot.n_failed == 0
    replicates = boot.replicates[reference["columns"]]
    assert replicates.shape == boot.replicates.shape
    for level, quantiles in zip(reference["levels"], reference["quantiles"], strict=True):
        share = (replicates < quantiles).mean()
        error = np.sqrt(level * (1 - level) * (1 / 4000 + 1 / reference["n"]))
        assert (np.abs(share - level) < 4 * error).all(), (level, share)
    error = np.array(reference["sd"]) * np.sqrt(2 / 4000)
    assert (np.abs(replicates.mean() - reference["mean"]) < 4 * error).all()
    # Half the sampling variance of a mean; doubled, for the correlation's distribution is far from normal.
    assert (np.abs(boot.bse[reference["columns"]] - reference["sd"]) < 4 * error).all()


def test_replicates_are_refits_of_the_simulations_of_that_seed() -> None:
    fit = sleepstudy()
    boot = fit.bootstrap(n=8, seed=3, progress=False)
    y = fit.simulate(8, seed=3)
    for r in range(8):
        wanted = parameter_values(fit.refit(y.iloc[:, r]))
        assert_allclose(boot.replicates.iloc[r], wanted, rtol=2e-4, atol=2e-4)
    assert_allclose(boot.estimates, parameter_values(fit))
    assert_allclose(boot.bias, boot.replicates.mean() - boot.estimates)


def test_a_statistic_is_a_function_of_every_refit() -> None:
    fit = sleepstudy()
    every = fit.bootstrap(n=12, seed=3, progress=False)
    own = fit.bootstrap(lambda refit: refit.params, n=12, seed=3, progress=False)
    assert_allclose(own.replicates, every.replicates[["Intercept", "Days"]], rtol=1e-9)
    number = fit.bootstrap(lambda refit: refit.ranef()["Subject"].iloc[0, 0], n=3, seed=3, progress=False)
    assert number.replicates.columns.tolist() == ["statistic"]
    assert number.replicates["statistic"].nunique() == 3
    named = fit.bootstrap(lambda refit: {"a": refit.sigma, "b": refit.llf}, n=12, seed=3, progress=False)
    assert_allclose(named.replicates["a"], every.replicates["sigma"], rtol=1e-9)


@pytest.mark.parametrize("data", ["penicillin_plates", "pastes"])
def test_crossed_and_nested_models_are_refitted_one_by_one(data: str) -> None:
    random = "(1|plate) + (1|sample)" if data == "penicillin_plates" else "(1|batch/cask)"
    response = "diameter" if data == "penicillin_plates" else "strength"
    fit = mixfit.mixed(f"{response} ~ 1 + {random}", mixfit.datasets.load(data)).fit()
    boot = fit.bootstrap(n=25, seed=2, progress=False)
    y = fit.simulate(25, seed=2)
    assert_allclose(boot.replicates.iloc[24], parameter_values(fit.refit(y["sim_25"])), rtol=1e-12)
    assert (boot.replicates.std() > 0).all()


@pytest.mark.slow
def test_processes_change_nothing() -> None:
    alone = herds().bootstrap(n=24, seed=5, progress=False)
    shared = herds().bootstrap(n=24, seed=5, progress=False, n_jobs=2)
    pd.testing.assert_frame_equal(alone.replicates, shared.replicates)
    assert_allclose(
        alone.replicates.iloc[0], parameter_values(herds().refit(herds().simulate(24, seed=5)["sim_1"])), rtol=1e-12
    )


def test_joblibs_back_ends_do_the_refits() -> None:
    import joblib

    seen = []

    def statistic(refit):
        seen.append(1)
        return refit.llf

    with joblib.parallel_config(backend="threading"):
        boot = herds().bootstrap(statistic, n=3, seed=5, progress=False, n_jobs=2)
    assert boot.n_failed == 0
    assert len(seen) >= 3


def test_modes_can_be_held() -> None:
    fit = sleepstudy()
    held = fit.bootstrap(n=300, seed=1, progress=False, re_form=None)
    fresh = fit.bootstrap(n=300, seed=1, progress=False)
    # With the subjects' effects held the mean line varies with the residual only.
    assert held.bse["Intercept"] < 0.7 * fresh.bse["Intercept"]


def _rare():
    data = pd.DataFrame({"y": [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0], "g": list("aaabbbcccddd")})
    return mixfit.mixed("y ~ 1 + (1|g)", data, family="binomial").fit()


def test_failures_are_counted_with_their_reasons() -> None:
    fit = _rare()
    boot = fit.bootstrap(n=60, seed=1, progress=False)
    y = fit.simulate(60, seed=1).to_numpy()
    constant = int((y == y[0]).all(axis=0).sum())
    assert constant > 0
    reason = next(r for r in boot.failures if "the same in every row" in r)
    assert boot.failures[reason] == constant
    assert boot.n_failed == sum(boot.failures.values()) == int(boot.replicates["Intercept"].isna().sum())
    assert f"{boot.n_failed} refits failed and are left out" in str(boot)
    assert f"{constant} x DataError" in str(boot)
    assert np.isfinite(boot.conf_int()).to_numpy().all()


def test_what_a_statistic_makes_of_a_replicate_is_counted_but_not_of_the_fit() -> None:
    fit = sleepstudy()

    def moody(refit):
        if refit.params["Days"] < 10.0:
            raise ZeroDivisionError("too flat")
        return refit.sigma

    boot = fit.bootstrap(moody, n=30, seed=1, progress=False)
    assert 0 < boot.n_failed < 30
    assert boot.failures == {"the statistic raised ZeroDivisionError: too flat": boot.n_failed}
    with pytest.raises(KeyError):
        fit.bootstrap(lambda refit: refit.params["nothing"], n=2, progress=False)


def test_singular_refits_are_counted_and_undefined_correlations_told() -> None:
    boot = sleepstudy().bootstrap(n=1000, seed=1, progress=False)
    y = sleepstudy().simulate(1000, seed=1).to_numpy()
    corr = boot.replicates["cor((Intercept),Days|Subject)"].to_numpy()
    at_end = np.flatnonzero(np.isnan(corr) | (np.abs(corr) > 1 - 1e-9))
    assert all(sleepstudy().refit(y[:, r]).is_singular for r in at_end)
    assert boot.n_singular == len(at_end)
    assert f"{boot.n_singular} refits are singular." in str(boot)
    without = BootstrapResult(pd.DataFrame({"c": [0.5, np.nan]}), pd.Series({"c": 0.1}), {}, 1, "y ~ x")
    assert "c is undefined in 1 replicates." in str(without)


def test_intervals_are_those_of_r() -> None:
    """R 4.2, boot.ci(conf = 0.83, type = c("perc", "basic", "norm")) of these 19 numbers about 1.6."""
    x = [
        2.31,
        0.74,
        1.95,
        3.02,
        1.11,
        0.42,
        2.58,
        1.67,
        4.9,
        0.98,
        1.43,
        2.07,
        0.63,
        1.29,
        3.71,
        1.81,
        2.83,
        0.87,
        1.55,
    ]
    boot = BootstrapResult(pd.DataFrame({"x": [*x, np.nan]}), pd.Series({"x": 1.6}), {"lost": 1}, 0, "y ~ x")
    assert_allclose(boot.conf_int(0.83).loc["x"], [0.5776001566, 4.006932446], rtol=1e-9)
    assert_allclose(boot.conf_int(0.83, kind="basic").loc["x"], [-0.8069324459, 2.622399843], rtol=1e-9)
    assert_allclose(boot.conf_int(0.83, kind="normal").loc["x"], [-0.2561647388, 2.880375265], rtol=1e-9)
    assert boot.conf_int().columns.tolist() == [0, 1]


def test_quantiles_beyond_the_order_statistics_are_the_extremes() -> None:
    assert interpolated_quantiles(np.array([3.0, 1.0, 2.0]), np.array([0.01, 0.25, 0.99])).tolist() == [1.0, 1.0, 3.0]
    assert np.isnan(interpolated_quantiles(np.array([np.nan]), np.array([0.5]))).all()


def test_prints_as_boot_prints() -> None:
    nan = np.nan
    replicates = pd.DataFrame({"Intercept": [1.0, 2.0, 4.0, nan], "cor(a,b|g)": [0.5, 0.25, nan, nan]})
    estimates = pd.Series({"Intercept": 2.0, "cor(a,b|g)": 0.5})
    boot = BootstrapResult(replicates, estimates, {"it would not": 1}, 0, "y ~ x")
    assert str(boot).splitlines() == [
        "Parametric bootstrap, 4 replicates",
        "Formula: y ~ x",
        "",
        "           original     bias std. error",
        "Intercept       2.0  0.33333    1.52753",
        "cor(a,b|g)      0.5 -0.12500    0.17678",
        "1 refits failed and are left out:",
        "  1 x it would not",
        "cor(a,b|g) is undefined in 1 replicates.",
    ]
    assert "<table" in boot._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 0}, "positive whole number"), ({"type": "residual"}, "'parametric'"), ({"n": 2.5}, "whole")],
)
def test_refuses_what_it_cannot_do(options: dict, message: str) -> None:
    with pytest.raises(FitError, match=message):
        sleepstudy().bootstrap(**options)


def test_intervals_refuse_other_kinds() -> None:
    boot = sleepstudy().bootstrap(n=5, seed=1)
    with pytest.raises(FitError, match="kinds"):
        boot.conf_int(kind="bca")
    with pytest.raises(FitError, match="level"):
        boot.conf_int(level=95)


def test_quick_work_shows_no_bar(capfd: pytest.CaptureFixture[str]) -> None:
    sleepstudy().bootstrap(n=5, seed=1, progress=True)
    assert capfd.readouterr().err == ""


def test_who_wants_no_bar_is_not_told_of_notebook_widgets() -> None:
    """tqdm.auto warns as it is imported in a notebook without ipywidgets."""
    code = (
        "import sys, mixfit; fit = mixfit.mixed('bright ~ 1 + (1 | operator)', mixfit.datasets.load('pulp')).fit();"
        "fit.bootstrap(n=5, seed=1, progress=False); mixfit.pb_modcomp(fit, None, n=5, seed=1, progress=False);"
        "assert 'tqdm.auto' not in sys.modules;"
        "fit.bootstrap(n=5, seed=1); assert 'tqdm.auto' in sys.modules"
    )
    run(code)


def test_intervals_by_name_of_method() -> None:
    fit = sleepstudy()
    wanted = fit.bootstrap(n=50, seed=3, progress=False).conf_int(0.9)
    found = fit.conf_int(0.9, method="bootstrap", which=["Days", "sigma"], n=50, seed=3, progress=False)
    assert found.index.tolist() == ["Days", "sigma"]
    assert_allclose(found, wanted.loc[["Days", "sigma"]])


NOTEBOOK = """
import sys, types
# A notebook's kernel as tqdm knows it, of older and of newer versions, in an environment that has no widgets.
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
kernel = types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: kernel)
sys.modules["ipywidgets"] = None
import mixfit
fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
print(fit.bootstrap(n=10, seed=1).replicates.shape)
"""


def test_a_notebook_without_widgets_has_a_bar_of_text():
    run = [sys.executable, "-c", NOTEBOOK]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(10, 3)\n"
    assert "Warning" not in done.stderr
