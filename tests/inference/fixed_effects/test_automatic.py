"""ddf="auto": which method it is, that it is the same everywhere, and what is said where it falls back."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit.errors import FitError
from mixfit.inference.fixed_effects import denominator as den
from mixfit.inference.fixed_effects import satterthwaite as satt
from tests.inference.fits import herds


@cache
def sleep(subjects: int = 18, reml: bool = True) -> Any:
    data = mixfit.datasets.load("sleepstudy")
    kept = data["Subject"].cat.categories[:subjects]
    rows = data[data["Subject"].isin(kept)].iloc[4:]
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", rows).fit(reml=reml)


@pytest.mark.parametrize(
    ("subjects", "reml", "method"),
    [
        (18, True, "satterthwaite"),
        (10, True, "satterthwaite"),
        (9, True, "kenward-roger"),
        (9, False, "satterthwaite"),
    ],
)
def test_few_groups_of_a_reml_fit_have_kenward_and_rogers(subjects: int, reml: bool, method: str) -> None:
    assert den.automatic(sleep(subjects, reml)) == (method, ())


def test_the_factor_with_fewest_levels_counts() -> None:
    fit = mixfit.mixed("diameter ~ 1 + (1 | plate) + (1 | sample)", mixfit.datasets.load("penicillin_plates")).fit()
    assert den.fewest_groups(fit) == 6
    assert den.automatic(fit)[0] == "kenward-roger"


def test_other_models() -> None:
    assert den.automatic(herds()) == ("z", ())
    teeth = mixfit.datasets.load("orthodont")
    blocks = mixfit.mixed("distance ~ age", teeth, residual="cs(age | Subject)").fit()
    assert den.automatic(blocks)[0] == "satterthwaite"
    assert den.fewest_groups(blocks) is None


@pytest.mark.parametrize("subjects", [18, 6])
def test_all_functions_say_the_same(subjects: int) -> None:
    fit = sleep(subjects)
    table = fit.ttest().frame
    columns = ["Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"]
    np.testing.assert_array_equal(fit.summary().coefficients, table[columns])
    tidy = fit.tidy("fixed", conf_int=True)
    np.testing.assert_array_equal(tidy[["estimate", "std.error", "df", "statistic", "p.value"]], table[columns])
    np.testing.assert_array_equal(fit.pvalues, table["Pr(>|t|)"])
    np.testing.assert_allclose(fit.conf_int(), tidy[["conf.low", "conf.high"]])
    rows = fit.contest(np.eye(2), joint=False).frame
    np.testing.assert_allclose(rows[["lower", "upper"]], fit.conf_int())
    joint = fit.anova().frame.loc["Days"]
    assert joint["Pr(>F)"] == pytest.approx(table["Pr(>|t|)"].iloc[1])
    assert fit.drop1(test="F").frame.loc["Days", "DenDF"] == pytest.approx(joint["DenDF"])
    mean = fit.emmeans("Days", at={"Days": [0]}).frame.iloc[0]
    assert mean[["emmean", "SE", "df"]].tolist() == pytest.approx(table.iloc[0, :3].tolist())
    population = fit.get_prediction(pd.DataFrame({"Days": [0], "Subject": ["308"]}), re_form="population")
    np.testing.assert_allclose(population.conf_int()[0], fit.conf_int().iloc[0])
    assert population.df[0] == pytest.approx(table["df"].iloc[0])


def test_means_with_random_effects_in_them_are_normal() -> None:
    fit = sleep()
    inside = fit.get_prediction()
    np.testing.assert_array_equal(inside.conf_int(), fit.get_prediction(ddf="z").conf_int())
    np.testing.assert_array_equal(inside.conf_int(), fit.get_prediction(ddf="auto").conf_int())
    with pytest.raises(FitError, match="re_form='population'"):
        fit.get_prediction(ddf="satterthwaite")
    residual = fit.get_prediction(re_form="population", ddf="residual")
    assert set(residual.df) == set(residual.df_obs) == {fit.nobs - 2.0}


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger"])
def test_an_observation_of_a_new_level_has_the_degrees_of_freedom_of_its_mean_squares(ddf: str) -> None:
    """Balanced, one way: T = MS_a / 20 + (MS_a - MS_e) / 5 + MS_e is a sum of independent mean squares."""
    pulp = mixfit.datasets.load("pulp")
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    within = pulp.groupby("operator", observed=True)["bright"].var().mean()
    between = 5.0 * pulp.groupby("operator", observed=True)["bright"].mean().var()
    total = 0.25 * between + 0.8 * within
    found = fit.get_prediction(re_form="population", ddf=ddf)
    assert found.se_obs[0] ** 2 == pytest.approx(total)
    wanted = total**2 / ((0.25 * between) ** 2 / 3 + (0.8 * within) ** 2 / 16)
    assert found.df_obs[0] == pytest.approx(wanted)
    low, high = found.conf_int(obs=True)[0]
    assert (high - low) / 2.0 == pytest.approx(stats.t.ppf(0.975, wanted) * np.sqrt(total))


def test_observations_weigh_slopes_and_weights() -> None:
    """Degrees of freedom by differences of T in the variance parameters."""
    fit = sleep()
    new = pd.DataFrame({"Days": [0.0, 9.0], "Subject": ["308", "309"]})
    found = fit.get_prediction(new, re_form="population", ddf="kenward-roger", weights=[1.0, 4.0])
    known = fit.variance_information
    adjusted = den.denominator(fit, "kenward-roger").adjustment
    x = np.column_stack([np.ones(2), new["Days"]])
    covariance = np.diag([0.0, 0.0])
    for parameter, value in zip(known.parameters, known.values[:-1], strict=True):
        covariance = covariance + value * parameter.slope
    total = np.einsum("ia,ab,ib->i", x, known.cov_beta + covariance, x) + known.values[-1] / np.array([1.0, 4.0])
    gradient = -np.einsum("ia,xab,ib->ix", x, adjusted.slopes, x)
    gradient[:, :-1] += np.column_stack([np.einsum("ia,ab,ib->i", x, p.slope, x) for p in known.parameters])
    gradient[:, -1] += 1.0 / np.array([1.0, 4.0])
    spread = np.einsum("ix,xy,iy->i", gradient, adjusted.weights, gradient)
    np.testing.assert_allclose(found.df_obs, 2.0 * total**2 / spread, rtol=1e-8)


def test_what_would_take_long_is_left_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()
    monkeypatch.setattr(den, "_AFFORDABLE", 10.0)
    monkeypatch.setattr(type(fit), "variance_information", property(lambda self: pytest.fail("it was computed")))
    summary = fit.summary()
    assert list(summary.coefficients.columns[2:]) == ["z value", "Pr(>|z|)"]
    assert "Tests are by the normal distribution: degrees of freedom would take 5e+03 multiplications" in str(summary)
    assert fit.anova().notes == fit.ttest().notes == den.automatic(fit)[1]
    assert "asymptotic" in fit.emmeans("Days").notes[0]


def test_the_work_is_counted_by_columns_and_levels_and_not_by_rows() -> None:
    """(m (p + 1))^2 q: three variance parameters and sigma, two fixed and 36 random effects."""
    assert den._work(sleep()) == (4 * 3) ** 2 * 36
    rng = np.random.default_rng(1)
    crossed = pd.DataFrame(rng.integers(0, 30, size=(400, 2)), columns=["a", "b"]).assign(y=rng.normal(size=400))
    fit = mixfit.mixed("y ~ 1 + (1 | a) + (1 | b)", crossed).fit()
    flops = fit.model.assembly.problem.plan.block.cost.flops
    assert den._work(fit) == (3 * 2) ** 2 * 60 + 4 * 3 * flops
    assert flops >= 30**3 / 3


def test_a_variance_that_is_given_leaves_normal_tests() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"study": [f"s{i}" for i in range(12)], "x": np.arange(12.0)})
    data["y"] = 0.2 * data["x"] + rng.normal(size=12)
    V = pd.DataFrame(np.diag(np.linspace(0.5, 1.0, 12)), data["study"], data["study"])
    fit = mixfit.mixed("y ~ x + equalto(1 | study, V)", data, context={"V": V}).fit()
    summary = fit.summary()
    assert "one is given" in summary.notes[-1]
    np.testing.assert_allclose(summary.coefficients["Pr(>|z|)"], fit.ttest(ddf="z")["Pr(>|z|)"])


def test_a_criterion_that_curves_downwards_leaves_normal_tests() -> None:
    fit = sleep()
    known = fit.variance_information
    structures = [term.structure for term in fit.model.design.random]
    assert satt.curves_upwards(known, structures, fit.estimate.theta, reml=True)
    # As at a saddle point, where the data ask for less of the first variance.
    turned = replace(known, pair_quadratics=-known.pair_quadratics)
    assert not satt.curves_upwards(turned, structures, fit.estimate.theta, reml=True)


def test_singular_fits_have_their_degrees_of_freedom() -> None:
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", pd.read_csv("tests/data/Dyestuff2.csv")).fit(reml=False)
    assert fit.is_singular
    assert den.automatic(fit) == ("satterthwaite", ())


def test_a_note_where_few_groups_make_z_doubtful() -> None:
    assert herds().summary().notes[-1] == "few groups (herd, 15): z tests reject too often, see mixfit.pb_modcomp"
    assert not herds().summary(ddf="none").notes
    ticks = mixfit.datasets.load("grouseticks")
    many = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson").fit()
    assert not many.summary().notes


def test_nonlinear_models_have_normal_tests() -> None:
    rng = np.random.default_rng(1)
    t, g = np.tile(np.arange(1.0, 9.0), 6), np.repeat(list("abcdef"), 8)
    rate = 0.5 + np.repeat(rng.normal(0.0, 0.1, 6), 8)
    data = pd.DataFrame({"t": t, "g": g, "y": 5.0 * np.exp(-rate * t) + rng.normal(0.0, 0.05, 48)})
    fit = mixfit.nonlinear("y ~ a * exp(-k * t) ~ k | g", data, start={"a": 4.0, "k": 0.4}).fit()
    assert list(fit.summary().coefficients.columns[2:]) == ["z value", "Pr(>|z|)"]
    assert fit.summary().notes[-1] == "few groups (g, 6): z tests reject too often"
    assert list(fit.summary(ddf="none").coefficients.columns[2:]) == ["t value"]


def test_sampled_traces_are_not_corrected_by_kenward_and_roger() -> None:
    rng = np.random.default_rng(1)
    n = 3000
    frame = pd.DataFrame({name: rng.integers(0, q, n) for name, q in (("a", 150), ("b", 120), ("c", 5))})
    frame["x"] = rng.normal(size=n)
    effects = sum(rng.normal(size=frame[name].max() + 1)[frame[name]] for name in "abc")
    frame["y"] = frame["x"] + effects + rng.normal(size=n)
    dense, sampled = (
        mixfit.mixed("y ~ x + (1 | a) + (1 | b) + (1 | c)", frame, solver=solver).fit()
        for solver in ("dense", "iterative")
    )
    assert den.parse_ddf(dense, None) == "kenward-roger"
    assert sampled.certificate.sampling_error > 0.0
    assert den.parse_ddf(sampled, None) == "satterthwaite"
