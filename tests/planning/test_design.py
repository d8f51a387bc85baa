"""Models with stated parameters: their names, what they refuse, and responses drawn from them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit import errors

SLOPES = {
    "fixed": {"(Intercept)": 250.0, "Days": 5.0},
    "sd": {"Subject": {"(Intercept)": 25.0, "Days": 6.0}},
    "cor": {"Subject": 0.3},
    "sigma": 20.0,
}


def slopes(formula: str = "y ~ Days + (Days | Subject)", **changed: Any) -> Any:
    return mixfit.design(formula, mixfit.grid(Subject=12, Days=range(5)), **{**SLOPES, **changed})


def test_the_covariance_of_responses_is_the_stated_one():
    plan = slopes()
    drawn = plan.simulate(4000, seed=1).to_numpy()
    z = np.column_stack([np.ones(5), np.arange(5.0)])
    sigma = np.array([[625.0, 45.0], [45.0, 36.0]])
    wanted = z @ sigma @ z.T + 400.0 * np.eye(5)
    every = drawn.reshape(12, 5, -1).swapaxes(1, 2).reshape(-1, 5)
    n = len(every)
    assert_allclose(every.mean(axis=0), 250.0 + 5.0 * np.arange(5), atol=4.0 * np.sqrt(wanted.max() / n))
    spread = np.sqrt((wanted**2 + np.outer(wanted.diagonal(), wanted.diagonal())) / n)
    assert (np.abs(np.cov(every.T) - wanted) < 4.5 * spread).all()


def test_standard_errors_are_those_of_generalized_least_squares():
    plan = slopes()
    z = np.column_stack([np.ones(5), np.arange(5.0)])
    v = z @ np.array([[625.0, 45.0], [45.0, 36.0]]) @ z.T + 400.0 * np.eye(5)
    wanted = np.linalg.inv(12 * z.T @ np.linalg.solve(v, z))
    assert_allclose(plan.bse.to_numpy(), np.sqrt(wanted.diagonal()), rtol=1e-9)


@pytest.mark.parametrize(
    "named",
    [
        {"sd": {"sd((Intercept)|Subject)": 25.0, "sd(Days|Subject)": 6.0}},
        {"sd": {"Subject": {"Intercept": 25.0, "Days": 6.0}}},
        {"cor": {"cor((Intercept),Days|Subject)": 0.3}},
        {"cor": {"Subject": {("Days", "(Intercept)"): 0.3}}},
        {"fixed": {"Intercept": 250.0, "Days": 5.0}},
    ],
)
def test_parameters_have_several_names_and_one_meaning(named: dict[str, Any]):
    pd.testing.assert_series_equal(slopes(**named).params, slopes().params)


def test_the_left_side_is_a_name_alone_and_is_not_read():
    layout = mixfit.grid(Subject=12, Days=range(5)).assign(y=np.nan)
    plan = mixfit.design("y ~ Days + (Days | Subject)", layout, **SLOPES)
    assert plan.nobs == 60
    assert layout["y"].isna().all()
    with pytest.raises(errors.FormulaError, match="names its response"):
        mixfit.design("log(y) ~ Days + (Days | Subject)", layout, **SLOPES)
    assert slopes("~ Days + (Days | Subject)").simulate(3, seed=2).equals(slopes().simulate(3, seed=2))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fixed": {"Intercept": 1.0}}, "Give 'Days' by fixed="),
        ({"sd": None, "cor": None}, r"'sd\(\(Intercept\)\|Subject\)', 'sd\(Days\|Subject\)' by sd=; 'cor.* by cor="),
        ({"sigma": None}, "'sigma' by sigma="),
        ({"fixed": {"Intercept": 1.0, "days": 1.0}}, "names 'days', and takes .*'Days', 'Intercept'"),
        ({"sd": {"subject": 1.0}}, "names 'subject', and takes groups or the parameters"),
        ({"sd": {"Subject": 1.0}}, "one number, and it has"),
        ({"sd": {"Subject": {"Dys": 1.0}}}, "names 'Dys' of 'Subject'"),
        ({"sd": {"Subject": {"Intercept": -1.0, "Days": 1.0}}}, "cannot be negative"),
        ({"cor": {"Subject": 1.5}}, "No covariance matrix of .* positive semidefinite"),
        ({"cor": {"Subject": np.nan}}, "no finite number"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"dispersion": 2.0}, "no such parameter. It has"),
    ],
)
def test_what_is_missing_unknown_or_impossible_is_named(changed: dict[str, Any], said: str):
    with pytest.raises(errors.ParameterError, match=said):
        slopes(**changed)


def test_correlations_that_contradict_each_other_are_refused():
    layout = mixfit.grid(Subject=12, item=["a", "b", "c"], repeat=2)
    common: dict[str, Any] = {"fixed": {"Intercept": 0.0}, "sigma": 1.0}
    common["sd"] = {"Subject": {"item[a]": 1.0, "item[b]": 1.0, "item[c]": 1.0}}
    pairs = [("item[a]", "item[b]"), ("item[a]", "item[c]"), ("item[b]", "item[c]")]
    with pytest.raises(errors.ParameterError, match="positive semidefinite"):
        mixfit.design(
            "~ 1 + (0 + item | Subject)",
            layout,
            cor={"Subject": dict(zip(pairs, (0.9, 0.9, -0.9), strict=True))},
            **common,
        )
    fine = mixfit.design(
        "~ 1 + (0 + item | Subject)", layout, cor={"Subject": dict(zip(pairs, (1.0, 0.5, 0.5), strict=True))}, **common
    )
    assert_allclose(fine.params.filter(like="cor(").to_numpy(), [1.0, 0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize(
    ("term", "sd", "cor"),
    [
        ("ar1(0 + item | Subject)", 2.0, 0.6),
        ("cs(0 + item | Subject)", {"item[a]": 1.0, "item[b]": 2.0, "item[c]": 3.0}, -0.4),
        ("homtoep(0 + item | Subject)", 2.0, None),
        ("(0 + item || Subject)", {"item[a]": 1.0, "item[b]": 2.0, "item[c]": 0.0}, None),
    ],
)
def test_named_structures_have_their_parameters(term: str, sd: Any, cor: Any):
    layout = mixfit.grid(Subject=12, item=["a", "b", "c"], repeat=2)
    more = {"cor(lag 1|Subject)": 0.6, "cor(lag 2|Subject)": -0.1} if "toep" in term else {}
    given = more if cor is None else {"Subject": cor}
    if more:
        names = [s for s in _names(term, layout) if s.startswith("cor(")]
        given = dict(zip(names, more.values(), strict=True))
    plan = mixfit.design(f"~ 1 + {term}", layout, fixed={"Intercept": 0}, sd={"Subject": sd}, cor=given, sigma=1.5)
    stated = plan.params.filter(regex=r"^cor\(").to_numpy()
    assert_allclose(stated, [*given.values()], atol=1e-12)
    assert_allclose(plan.params.filter(regex=r"^sd\(").to_numpy(), [*sd.values()] if isinstance(sd, dict) else [sd])


def _names(term: str, layout: pd.DataFrame) -> list[str]:
    from mixfit.fitted.stated import slots

    rows = layout.assign(y=np.random.default_rng(1).normal(size=len(layout)))
    return [slot.name for slot in slots(mixfit.mixed(f"y ~ 1 + {term}", rows))]


def test_reduced_rank_is_not_described_by_correlations():
    layout = mixfit.grid(Subject=12, item=["a", "b", "c"], repeat=2)
    sd = dict.fromkeys(["item[a]", "item[b]", "item[c]"], 1.0)
    with pytest.raises(errors.FitError, match="not described by"):
        mixfit.design("~ 1 + rr(0 + item | Subject, d=1)", layout, fixed={"Intercept": 0}, sd={"Subject": sd}, sigma=1)


FAMILIES = [
    ("poisson", {}, 1.2),
    ("binomial", {"weights": "n"}, 1.2),
    ("nbinom2", {"dispersion": 3.0}, 1.2),
    ("beta", {"dispersion": 5.0}, 0.5),
    ("gamma(log)", {"dispersion": 0.5}, 1.2),
    ("lognormal", {"dispersion": 0.5}, 1.2),
    ("t", {"dispersion": {"phi": 0.5, "df": 6.0}}, 1.2),
    ("tweedie", {"dispersion": {"phi": 1.0, "power": 1.5}}, 1.2),
    ("truncated_poisson", {}, 1.2),
]


@pytest.mark.parametrize(("family", "more", "intercept"), FAMILIES)
def test_means_of_simulated_responses_are_those_predicted(family: str, more: dict[str, Any], intercept: float):
    layout = mixfit.grid(Subject=6, Days=range(4)).assign(n=10)
    plan = mixfit.design(
        "~ Days + (1 | Subject)",
        layout,
        family=family,
        fixed={"Intercept": intercept, "Days": 0.1},
        sd={"Subject": 0.0},
        **more,
    )
    drawn = plan.simulate(4000, seed=1).to_numpy()
    error = drawn.std(axis=1) / np.sqrt(4000)
    assert (np.abs(drawn.mean(axis=1) - plan.predict().to_numpy()) < 4.5 * error).all()


def test_predictors_of_zeros_and_dispersion_have_parameters_of_their_own():
    layout = mixfit.grid(Subject=40, Days=range(5), arm=["c", "t"])
    plan = mixfit.design(
        "~ Days + (1 | Subject)",
        layout,
        family="nbinom2",
        zi="~ arm + (1 | Subject)",
        dispersion="~ arm",
        fixed={
            "(Intercept)": 2.0,
            "Days": 0.0,
            "zi:(Intercept)": -1.0,
            "zi:arm[T.t]": 2.0,
            "dispersion:Intercept": 3.0,
            "dispersion:arm[T.t]": 0.0,
        },
        sd={"Subject": 0.1, "zi:Subject": 0.0},
    )
    zero = (plan.simulate(200, seed=1).to_numpy() == 0.0).mean(axis=1)
    shares = [zero[(layout["arm"] == arm).to_numpy()].mean() for arm in ("c", "t")]
    assert_allclose(shares, 1.0 / (1.0 + np.exp([1.0, -1.0])), atol=0.01)


def test_a_pilot_whose_zeros_have_no_random_effects_has_its_own_parameters():
    formula = "count ~ spp + (1 | site)"
    fit = mixfit.mixed(formula, mixfit.datasets.load("salamanders"), family="nbinom2", zi="~ mined").fit()
    params = fit.with_params().params
    assert_allclose(params[["zi:Intercept", "zi:mined[T.no]"]], fit.params_of("zi"))
    assert_allclose(params[fit.params.index], fit.params)


def test_the_pilot_at_its_own_parameters_simulates_what_it_simulates_itself():
    sleep = mixfit.datasets.load("sleepstudy")
    pilot = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    plan = pilot.with_params()
    assert_allclose(plan.simulate(3, seed=4).to_numpy(), pilot.simulate(3, seed=4).to_numpy(), rtol=1e-12)
    assert_allclose(plan.bse.to_numpy(), pilot.bse.to_numpy(), rtol=1e-8)
    again = pilot.with_params(fixed={"Days": 0.0}).simulate(3, seed=4).to_numpy()
    assert_allclose(again, pilot.simulate(3, params={"Days": 0.0}, seed=4).to_numpy(), rtol=1e-12)
    effect = np.outer(sleep["Days"], np.repeat(pilot.params["Days"], 3))
    assert_allclose(pilot.simulate(3, seed=4).to_numpy() - again, effect, atol=1e-9)


def test_a_generalized_pilot_extends_to_new_herds():
    herds = mixfit.datasets.load("cbpp")
    pilot = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial").fit()
    plan = pilot.with_params(sd={"herd": 1.0}).extend({"herd": 30})
    assert plan.model.groups["herd"].n_levels == 30
    assert plan.simulate(2, seed=1).shape == (plan.nobs, 2)
    assert plan.params["sd((Intercept)|herd)"] == pytest.approx(1.0)


@pytest.mark.parametrize("formula", ["poly(Days, 2) + (1 | Subject)", "Days + (scale(Days) | Subject)"])
def test_columns_computed_from_all_rows_are_no_others_in_an_extended_layout(formula: str):
    plan = mixfit.mixed(f"Reaction ~ {formula}", mixfit.datasets.load("sleepstudy")).fit().with_params()
    with pytest.raises(errors.DataError, match=r"'(poly|scale)\(Days.* is computed from whole columns"):
        plan.extend({"Subject": 36})


def test_rows_with_missing_values_are_none():
    layout = mixfit.grid(Subject=10, x=[0.0, 1.0, 2.0])
    layout["x"] = layout["x"].where(layout.index != 4)
    fixed = {"Intercept": 0.0, "x": 1.0}
    plan = mixfit.design("~ x + (1 | Subject)", layout, fixed=fixed, sd={"Subject": 1.0}, sigma=1.0)
    assert plan.nobs == len(plan.data) == 29
    assert plan.extend({"Subject": 20}).nobs == 58


def test_levels_of_fixed_factors_have_parameters_of_their_own():
    plan = mixfit.design(
        "~ dose + (1 | Subject)",
        mixfit.grid(Subject=10, dose=["low", "high"]),
        fixed={"Intercept": 0.0, "dose[T.high]": 1.0},
        sd={"Subject": 1.0},
        sigma=1.0,
    )
    with pytest.raises(errors.DataError, match=r"other parameters than those stated: 'dose\[T.3\]'"):
        plan.extend({"dose": 3})


def test_columns_of_rows_alone_are_the_same_in_an_extended_layout():
    sleep = mixfit.datasets.load("sleepstudy")
    formula = "Reaction ~ C(Days > 4, contr.sum) + np.log1p(Days) + (1 | Subject)"
    plan = mixfit.mixed(formula, sleep, context={"np": np}).fit().with_params()
    longer = plan.extend({"Subject": 36})
    assert_allclose(longer.bse.to_numpy(), plan.bse.to_numpy() / np.sqrt(2.0), rtol=1e-9)


def test_new_rows_have_new_levels():
    new = pd.DataFrame({"Subject": ["x", "x", "y"], "Days": [0, 1, 0]})
    drawn = slopes(sigma=1e-6).simulate(2000, newdata=new, seed=1).to_numpy()
    assert np.cov(drawn)[0, 1] == pytest.approx(625.0 + 45.0, rel=0.15)
    assert abs(np.corrcoef(drawn)[0, 2]) < 0.1


def test_plans_pickle():
    plan = pickle.loads(pickle.dumps(slopes()))
    assert plan.simulate(1, seed=1).equals(slopes().simulate(1, seed=1))


def test_models_whose_parameters_are_no_numbers_by_name_say_so():
    sleep = mixfit.datasets.load("sleepstudy")
    structured = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep, dispersion="~ Days").fit()
    with pytest.raises(errors.ParameterError, match="structured residuals"):
        structured.with_params()
    ordered = mixfit.mixed("rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative").fit()
    with pytest.raises(errors.ParameterError, match="ordered categories"):
        ordered.with_params()
    with pytest.raises(errors.ParameterError, match="ordered categories"):
        mixfit.design("~ x + (1 | g)", mixfit.grid(g=5, x=3), family="cumulative", fixed={}, sd={"g": 1.0})
