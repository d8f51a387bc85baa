"""Power by simulation against closed forms, and refits made together against refits one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import mixfit
from mixfit import errors
from mixfit.wald import wilson

QUIET: dict[str, Any] = {"progress": False, "seed": 1}


def slopes(n: int = 20, formula: str = "y ~ Days + (Days | Subject)", effect: float = 3.0) -> Any:
    return mixfit.design(
        formula,
        mixfit.grid(Subject=n, Days=range(6)),
        fixed={"Intercept": 250.0, "Days": effect},
        sd={"Subject": {"(Intercept)": 25.0, "Days": 6.0}},
        cor={"Subject": 0.1} if "||" not in formula else {},
        sigma=25.0,
    )


def paired(n: int, effect: float) -> Any:
    layout = mixfit.grid(Subject=n, condition=["a", "b"])
    fixed = {"Intercept": 0.0, "condition[T.b]": effect}
    # So large a variance that no refit is singular: then the test is the paired t test.
    return mixfit.design("~ condition + (1 | Subject)", layout, fixed=fixed, sd={"Subject": 5.0}, sigma=1.0)


def groups(n: int) -> Any:
    layout = mixfit.grid(Subject=n, visit=3, arm=["a", "b", "c"], within="Subject", between="arm")
    fixed = {"Intercept": 0.0, "arm[T.b]": 0.5, "arm[T.c]": 1.5}
    return mixfit.design("~ arm + (1 | Subject)", layout, fixed=fixed, sd={"Subject": 1.5}, sigma=0.8)


def close(power: float, wanted: float, n: int) -> None:
    assert abs(power - wanted) < 4.0 * np.sqrt(wanted * (1.0 - wanted) / n)


@pytest.mark.parametrize(("n", "effect"), [(8, 1.5), (20, 0.8)])
def test_a_paired_design_has_the_power_of_the_noncentral_t(n: int, effect: float):
    power = paired(n, effect).power("condition[T.b]", n_sim=4000, ddf="satterthwaite", **QUIET)
    shift, critical = effect * np.sqrt(n / 2.0), stats.t.ppf(0.975, n - 1)
    wanted = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    close(power.frame["power"][0], wanted, 4000)
    assert power.frame["singular"][0] == 0.0
    assert_allclose(power.replicates["df"], n - 1, rtol=1e-6)


def test_groups_of_units_have_the_power_of_the_noncentral_f():
    n = 24
    power = groups(n).power("arm", n_sim=4000, **QUIET)
    means = np.array([0.0, 0.5, 1.5])
    variance = 1.5**2 + 0.8**2 / 3.0
    shift = n / 3.0 * ((means - means.mean()) ** 2).sum() / variance
    wanted = stats.ncf.sf(stats.f.ppf(0.95, 2, n - 3), 2, n - 3, shift)
    close(power.frame["power"][0], wanted, 4000)
    assert_allclose(power.replicates["df"].median(), n - 3, rtol=1e-6)


def test_under_the_null_the_test_rejects_at_its_level():
    power = paired(12, 0.0).power("condition[T.b]", n_sim=4000, level=0.9, **QUIET)
    close(power.frame["power"][0], 0.1, 4000)
    assert np.isnan(power.frame["type_m"][0])


@pytest.mark.parametrize("ddf", ["satterthwaite", "residual", "z"])
@pytest.mark.parametrize(
    ("plan", "test"),
    [
        (slopes(), "Days"),
        (slopes(formula="y ~ Days + (Days || Subject)"), {"Intercept": 1.0, "Days": 3.0}),
        (groups(12), "arm"),
        (groups(12), [[1.0, 0.5, 0.0], [0.0, 1.0, -1.0], [1.0, 1.5, -1.0]]),
    ],
    ids=["slopes", "independent slopes", "three arms", "rows that depend on each other"],
)
def test_refits_made_together_test_as_refits_one_by_one(
    plan: Any, test: Any, ddf: str, monkeypatch: pytest.MonkeyPatch
):
    # The single fitter stops at 1e-4 standard errors: let it go on as far as the batch.
    monkeypatch.setattr("mixfit.lmm.minimize.TOLERANCE", 1e-13)
    n = 12
    found = plan.power(test, n_sim=n, ddf=ddf, **QUIET).replicates
    y = plan.simulate(n, seed=np.random.default_rng([1])).to_numpy()
    for r in range(n):
        fit = plan.model.with_response(y[:, r]).fit()
        row = [[0.0, 1.0]] if test == "Days" else [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] if test == "arm" else test
        wanted = fit.contest(row, ddf=ddf).to_frame().iloc[0]
        assert_allclose(found["p_value"][r], wanted.iloc[-1], rtol=1e-3, atol=1e-12)
        if isinstance(test, dict) or test == "Days":
            single = fit.contest(row, ddf=ddf, joint=False).to_frame().iloc[0]
            assert_allclose(found["estimate"][r], single["Estimate"], rtol=1e-6)
            assert_allclose(found["se"][r], single["Std. Error"], rtol=1e-5)


def test_tests_are_those_that_refits_have_by_default():
    power = slopes().power("Days", along={"Subject": [8, 12]}, n_sim=4, **QUIET)
    assert power.frame["ddf"].tolist() == ["kenward-roger", "satterthwaite"]
    plan = slopes(8)
    y = plan.simulate(4, seed=np.random.default_rng([1, 8])).to_numpy()
    wanted = [plan.model.with_response(y[:, r]).fit().ttest().to_frame().iloc[1, -1] for r in range(4)]
    assert_allclose(power.replicates["p_value"][:4], wanted, rtol=1e-3)
    with mixfit.options(ddf="z", level=0.9):
        assert slopes().power("Days", n_sim=4, **QUIET).level == 0.9
        assert slopes().power("Days", n_sim=4, **QUIET).frame["ddf"].tolist() == ["z"]


def test_kenward_and_rogers_tests_are_those_of_the_refits():
    plan = slopes(8)
    found = plan.power("Days", n_sim=5, ddf="kenward-roger", **QUIET).replicates
    y = plan.simulate(5, seed=np.random.default_rng([1])).to_numpy()
    fits = [plan.model.with_response(y[:, r]).fit() for r in range(5)]
    wanted = [f.contest({"Days": 1}, ddf="kenward-roger").to_frame()["Pr(>F)"].iloc[0] for f in fits]
    # Found from other starts, to 1e-4 of a standard error.
    assert_allclose(found["p_value"], wanted, rtol=1e-3)


def test_several_tests_have_a_row_each():
    plan = groups(12)
    assert plan.power("anova", n_sim=20, **QUIET).tests == ("arm",)
    assert plan.power(["arm", "arm[T.c]", "(Intercept)"], n_sim=20, **QUIET).tests == ("arm", "arm[T.c]", "(Intercept)")


def crossed() -> Any:
    layout = mixfit.grid(Subject=10, item=8, condition=["a", "b"])
    return mixfit.design(
        "~ condition + (1 | Subject) + (1 | item)",
        layout,
        fixed={"Intercept": 0.0, "condition[T.b]": 0.4},
        sd={"Subject": 1.0, "item": 1.0},
        sigma=1.0,
    )


def test_crossed_factors_are_refitted_one_by_one():
    plan = crossed()
    found = plan.power("condition", n_sim=6, **QUIET)
    y = plan.simulate(6, seed=np.random.default_rng([1])).to_numpy()
    for r in range(6):
        wanted = plan.model.with_response(y[:, r]).fit().anova().to_frame().loc["condition", "Pr(>F)"]
        assert_allclose(found.replicates["p_value"][r], wanted, rtol=1e-6)


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_processes():
    one, two = (crossed().power("condition", n_sim=30, n_jobs=n, **QUIET).replicates for n in (1, 2))
    assert one.equals(two)


def test_generalized_models_are_tested_by_the_normal_distribution():
    layout = mixfit.grid(Subject=30, Days=range(4), arm=["c", "t"], within="Subject", between="arm")
    plan = mixfit.design(
        "~ Days * arm + (1 | Subject)",
        layout,
        family="poisson",
        fixed={"Intercept": 1.0, "Days": 0.1, "arm[T.t]": 0.0, "Days:arm[T.t]": 0.3},
        sd={"Subject": 0.3},
    )
    found = plan.power("Days:arm[T.t]", n_sim=10, **QUIET)
    fit = plan.model.with_response(plan.simulate(10, seed=np.random.default_rng([1]))["sim_4"]).fit()
    assert_allclose(found.replicates["p_value"][3], fit.pvalues["Days:arm[T.t]"], rtol=1e-6)
    assert found.frame["ddf"][0] == "z"


@pytest.mark.slow
def test_the_power_of_simrs_tutorial():
    # Green & MacLeod (2016), SIMR, Methods Ecol. Evol. 7, 493-498: the estimates that lme4 has for its data, with the
    # slope set to -0.05, and 33.40 % of 1,000 simulations (30.48 to 36.42).
    plan = mixfit.design(
        "z ~ x + (1 | g)",
        mixfit.grid(g=["a", "b", "c"], x=range(1, 11)),
        family="poisson",
        fixed={"(Intercept)": 1.54079, "x": -0.05},
        sd={"g": 0.28888},
    )
    found = plan.power("x", n_sim=1000, **QUIET).frame["power"][0]
    assert abs(found - 0.334) < 3.0 * np.sqrt(2.0 * 0.334 * 0.666 / 1000)


def test_a_function_gives_p_values_or_says_that_it_rejects():
    plan = slopes(10)
    by_name = plan.power("Days", n_sim=8, **QUIET).replicates["p_value"]

    def wald(fit: Any) -> float:
        return fit.ttest().to_frame().loc["Days", "Pr(>|t|)"]

    assert_allclose(plan.power(wald, n_sim=8, **QUIET).replicates["p_value"], by_name, rtol=1e-3)
    rejects = plan.power(lambda fit: bool(wald(fit) < 0.05), n_sim=8, **QUIET)
    assert rejects.frame["power"][0] == (by_name < 0.05).mean()


def test_refits_that_fail_are_counted_named_and_do_not_reject():
    plan, seen = slopes(10), []

    def fails(fit: Any) -> float:
        seen.append(1)
        if len(seen) % 2:
            raise RuntimeError("no number")
        return 0.0

    power = plan.power(fails, n_sim=8, **QUIET)
    assert power.frame["failed"][0] == 4
    assert power.frame["power"][0] == 0.5
    assert power.failures == {"the statistic raised RuntimeError: no number": 4}
    assert "4 refits failed" in str(power)


def test_numbers_of_a_layout_do_not_depend_on_those_beside_it():
    plan = slopes()
    alone = plan.power("Days", along={"Subject": [15]}, n_sim=30, **QUIET)
    among = plan.power("Days", along={"Subject": [10, 15, 30]}, n_sim=30, **QUIET)
    own = among.replicates[among.replicates["Subject"] == 15].reset_index(drop=True)
    assert own.equals(alone.replicates)
    other = plan.power("Days", along={"Subject": [15]}, n_sim=30, seed=2, progress=False)
    assert not other.replicates.equals(alone.replicates)


def test_two_axes_are_all_combinations_and_an_axis_takes_values():
    power = slopes().power("Days", along={"Subject": [10, 20], "Days": [3, [0.0, 5.0, 10.0, 20.0]]}, n_sim=50, **QUIET)
    assert power.frame[["Subject", "Days", "nobs"]].to_numpy().tolist() == [
        [10, 3, 30],
        [10, 4, 40],
        [20, 3, 60],
        [20, 4, 80],
    ]
    assert power.axes == ("Subject", "Days")


def test_places_with_as_many_levels_are_told_by_these():
    along = {"Subject": [10, 20], "Days": [[0, 5, 9], [0, 1, 2]]}
    power = slopes().power("Days", along=along, n_sim=20, **QUIET)
    assert power.frame["Days"].tolist() == ["0, 5, 9", "0, 1, 2"] * 2
    found = power.replicates.groupby("Days")["se"].mean()
    assert found["0, 5, 9"] < found["0, 1, 2"]
    with pytest.raises(errors.FitError, match="no place on a line"):
        slopes().power("Days", along={"Days": along["Days"]}, n_sim=5, **QUIET).plot()


@pytest.mark.slow
def test_errors_of_sign_and_size_are_those_of_the_significant_replicates():
    power = slopes(6, effect=1.0).power("Days", n_sim=600, **QUIET)
    kept = power.replicates[power.replicates["p_value"] < 0.05]["estimate"]
    assert_allclose(power.frame["power"][0], len(kept) / 600)
    assert_allclose(power.frame["type_s"][0], (kept < 0.0).mean())
    assert_allclose(power.frame["type_m"][0], kept.abs().mean())
    assert power.frame["type_s"][0] > 0.0
    assert power.frame["type_m"][0] > 2.0


@pytest.mark.parametrize(("successes", "n"), [(0, 20), (17, 20), (20, 20)])
def test_intervals_are_wilsons(successes: int, n: int):
    wanted = stats.binomtest(successes, n).proportion_ci(0.9, method="wilson")
    assert_allclose(
        [float(x) for x in wilson(np.array(float(successes)), n, 0.9)], [wanted.low, wanted.high], atol=1e-12
    )


def test_a_sample_size_is_where_the_closed_form_says():
    found = paired(10, 0.5).sample_size("condition[T.b]", "Subject", n_sim=2000, **QUIET)
    shift = 0.5 * np.sqrt(np.arange(2, 200) / 2.0)
    df = np.arange(1, 199)
    wanted = 2 + int(np.argmax(stats.nct.sf(stats.t.ppf(0.975, df), df, shift) >= 0.8))
    assert abs(found.n - wanted) <= 4
    row = found.curve.frame.set_index("Subject").loc[found.n]
    assert row["power"] >= 0.8
    assert found.n - 1 in set(found.curve.frame["Subject"])
    assert str(found).startswith(f"{found.n} levels of Subject have power 0.8")
    # From above as from below.
    assert abs(paired(160, 0.5).sample_size("condition[T.b]", "Subject", n_sim=500, **QUIET).n - wanted) <= 6


def test_a_sample_size_within_groups_is_a_number_in_each():
    layout = mixfit.grid(school=12, pupil=4, arm=["c", "t"], nested="school/pupil", between={"arm": "pupil"})
    plan = mixfit.design(
        "~ arm + (1 | school)", layout, fixed={"Intercept": 0, "arm[T.t]": 0.5}, sd={"school": 1}, sigma=1
    )
    found = plan.sample_size("arm", "pupil", n_sim=400, **QUIET)
    # Of 12 n pupils in two arms, the schools being in both.
    assert abs(found.n - 126 / 12) <= 2
    assert found.curve.frame.set_index("pupil").loc[found.n, "nobs"] == 12 * found.n


def test_an_effect_too_small_for_any_number_is_said():
    with pytest.raises(errors.FitError, match="40 levels of 'Subject' do not reach"):
        paired(10, 0.01).sample_size("condition[T.b]", "Subject", n_sim=50, largest=40, **QUIET)


@pytest.mark.parametrize("unit", [1.0, 1e9])
def test_an_effect_of_zero_has_no_errors_of_sign_and_no_sample_size(unit: float):
    sleep = mixfit.datasets.load("sleepstudy").assign(Days=lambda d: d["Days"] * unit)
    fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    null, small = (fit.with_params(fixed={"Days": effect / unit}) for effect in (0.0, 1e-3))
    for test in ("Days", "anova"):
        frame = null.power(test, n_sim=60, **QUIET).frame
        assert frame["power"][0] > 0.0
        assert frame[["type_s", "type_m"]].isna().all(axis=None)
        assert small.power(test, n_sim=60, **QUIET).frame["type_m"][0] > 10.0
        with pytest.raises(errors.FitError, match="stated effect of 'Days' is zero"):
            null.sample_size(test, "Subject", n_sim=5, **QUIET)


def test_the_smallest_effect_is_that_of_the_closed_form():
    n = 15
    found = paired(n, -1.0).smallest_effect("condition[T.b]", n_sim=4000, **QUIET)
    critical = stats.t.ppf(0.975, n - 1)
    grid = np.linspace(0.1, 3.0, 2901)
    wanted = -grid[np.argmax(stats.nct.sf(critical, n - 1, grid * np.sqrt(n / 2.0)) >= 0.8)]
    assert found.effect == pytest.approx(wanted, rel=0.03)
    assert found.upper < found.effect < found.lower < 0.0
    again = paired(n, found.effect).power("condition[T.b]", n_sim=4000, **QUIET)
    assert again.frame["power"][0] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("test", "options", "error", "said"),
    [
        ("days", {}, errors.FitError, "test= names 'days'. The model has the fixed effects 'Intercept', 'Days'"),
        ("Days", {"along": {"subject": [5]}}, errors.DataError, "no factor 'subject' .* factors are 'Subject', 'Days'"),
        ("Days", {"along": {"y": [5]}}, errors.DataError, "no factor 'y'"),
        ("Days", {"along": {"Subject": 5}}, errors.ArgumentError, "takes lists of numbers of levels"),
        ("Days", {"ddf": "exact"}, errors.FitError, "ddf is one of"),
        ("Days", {"n_sim": 0}, errors.FitError, "n_sim must be"),
        ("Days", {"level": 1.5}, errors.FitError, "level must lie"),
        ({"Days": 0.0}, {}, errors.FitError, "nothing to test"),
        (lambda fit: 1 / 0, {}, errors.FitError, "All refits failed, most of them so: the statistic raised ZeroDiv"),
    ],
)
def test_what_has_no_power_is_named(test: Any, options: dict[str, Any], error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        slopes().power(test, **{**QUIET, "n_sim": 5, **options})


def test_effects_and_sizes_are_of_one_test():
    with pytest.raises(errors.FitError, match="one fixed effect or one contrast"):
        groups(12).smallest_effect("arm", n_sim=5, **QUIET)
    with pytest.raises(errors.FitError, match="A sample size is of one test"):
        slopes().sample_size(["Days", "Intercept"], "Subject", n_sim=5, **QUIET)


def test_a_figure_has_a_panel_a_test_and_a_line_a_place_of_the_second_axis():
    pytest.importorskip("matplotlib").use("Agg")
    power = slopes().power(["Days", "Intercept"], along={"Subject": [5, 10], "Days": [3, 6]}, n_sim=20, **QUIET)
    axes = power.plot()
    assert [a.get_title() for a in axes] == ["Days", "Intercept"]
    drawn = {line.get_label(): line for line in axes[0].lines}
    for days in (3, 6):
        own = power.frame[(power.frame["test"] == "Days") & (power.frame["Days"] == days)]
        assert drawn[str(days)].get_xdata().tolist() == [5, 10]
        assert drawn[str(days)].get_ydata().tolist() == own["power"].tolist()
    with pytest.raises(errors.FitError, match="one axis or two"):
        slopes().power("Days", n_sim=5, **QUIET).plot()
