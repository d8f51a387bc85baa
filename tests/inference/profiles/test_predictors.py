"""Profiles of models with several predictors: ends are where refits with a parameter held rise by the quantile."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mixfit

if TYPE_CHECKING:
    import pandas as pd

# The 95 % quantile of a chi-square variable with one degree of freedom; ends are known to 5e-3 of a standard error.
CUTOFF = 3.841459
CLOSE = 2e-3

MODELS = {
    "zeros": ("count ~ mined + (1 | site)", {"family": "nbinom2", "zi": "~ mined"}),
    "hurdle": (
        "count ~ mined + (1 | site)",
        {"family": "truncated_nbinom2", "zi": "~ mined + (1 | spp)", "dispersion": "~ DOY"},
    ),
    "shared": ("count ~ mined + (1 |a| site)", {"family": "poisson", "zi": "~ mined + (1 |a| site)"}),
}


@cache
def fitted(name: str):
    formula, options = MODELS[name]
    return mixfit.mixed(formula, mixfit.datasets.load("salamanders"), **options).fit()


@cache
def limits(name: str) -> pd.DataFrame:
    return fitted(name).conf_int(method="profile")


def rise(name: str, parameter: str, value: float) -> float:
    formula, options = MODELS[name]
    held = mixfit.mixed(formula, mixfit.datasets.load("salamanders"), **options, fixed={parameter: value}).fit()
    return 2.0 * (fitted(name).llf - held.llf)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("zeros", "zi:Intercept"),
        ("hurdle", "zi:mined[T.no]"),
        ("hurdle", "zi:sd((Intercept)|spp)"),
        ("hurdle", "dispersion:DOY"),
        ("shared", "zi:Intercept"),
    ],
)
def test_parameters_of_every_predictor_end_where_the_likelihood_has_fallen(name: str, parameter: str) -> None:
    for end in limits(name).loc[parameter]:
        np.testing.assert_allclose(rise(name, parameter, end), CUTOFF, rtol=CLOSE)


def test_an_end_that_the_likelihood_never_reaches_is_infinite() -> None:
    lower, upper = limits("zeros").loc["zi:mined[T.no]"]
    assert lower == -np.inf
    np.testing.assert_allclose(rise("zeros", "zi:mined[T.no]", upper), CUTOFF, rtol=CLOSE)
    assert rise("zeros", "zi:mined[T.no]", -30.0) < CUTOFF - 0.5


def test_parameters_of_all_predictors_are_named() -> None:
    assert limits("hurdle").index.tolist() == [
        "sd((Intercept)|site)",
        "Intercept",
        "mined[T.no]",
        "zi:sd((Intercept)|spp)",
        "zi:Intercept",
        "zi:mined[T.no]",
        "dispersion:Intercept",
        "dispersion:DOY",
    ]
    assert limits("shared").index.tolist()[:3] == [
        "sd((Intercept)|site)",
        "sd(zi:Intercept|site)",
        "cor((Intercept),zi:Intercept|site)",
    ]


def test_a_predictor_by_its_name() -> None:
    fit = fitted("hurdle")
    own = fit.conf_int(method="profile", predictor="zi")
    assert own.index.tolist() == ["Intercept", "mined[T.no]"]
    np.testing.assert_allclose(own, limits("hurdle").loc[["zi:Intercept", "zi:mined[T.no]"]])


def test_wald_intervals_of_all_parameters() -> None:
    fit = fitted("hurdle")
    wald = fit.conf_int(which="all")
    assert wald.index.tolist() == limits("hurdle").index.tolist()
    np.testing.assert_allclose(wald.loc[["zi:Intercept", "zi:mined[T.no]"]], fit.conf_int(predictor="zi"), rtol=1e-12)
    sd = fit.varcorr("zi").components[0].sd.item()
    # symmetric about the logarithm of the estimate
    np.testing.assert_allclose(np.prod(wald.loc["zi:sd((Intercept)|spp)"]), sd**2, rtol=1e-9)


def test_curves_pass_through_the_ends() -> None:
    fit = fitted("hurdle")
    profile = fit.profile(["zi:sd((Intercept)|spp)", "dispersion:DOY"])
    np.testing.assert_allclose(profile.conf_int(0.95), limits("hurdle").loc[list(profile.curves)], rtol=1e-2)
    assert profile.estimates["zi:mined[T.no]"] == pytest.approx(fit.params_of("zi")["mined[T.no]"])


@cache
def heavy_tails(**fixed: float):
    sleep = mixfit.datasets.load("sleepstudy")
    return mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep, family="t", fixed=fixed or None).fit()


@pytest.mark.parametrize("name", ["phi", "df"])
def test_scale_and_shape_of_a_distribution(name: str) -> None:
    fit = heavy_tails()
    for end in fit.conf_int(method="profile", which=name).loc[name]:
        np.testing.assert_allclose(2.0 * (fit.llf - heavy_tails(**{name: end}).llf), CUTOFF, rtol=CLOSE)


def tastes() -> pd.DataFrame:
    wine = mixfit.datasets.load("wine")
    words = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
    return wine.assign(taste=wine.rating.astype(str).map(words), good=(wine.rating.astype(int) > 3).astype(float))


def test_two_categories_are_a_binomial_model() -> None:
    data = tastes().assign(two=lambda d: np.where(d.good > 0, "yes", "no"))
    two = mixfit.mixed("two ~ temp + (1 | judge)", data, family="multinomial(baseline='no')").fit()
    one = mixfit.mixed("good ~ temp + (1 | judge)", data, family="binomial").fit()
    for method in ("profile", "wald"):
        np.testing.assert_allclose(
            two.conf_int(method=method, which="all"), one.conf_int(method=method, which="all"), rtol=2e-4
        )


def test_another_baseline_turns_the_intervals_of_categories_round() -> None:
    data, formula = tastes(), "taste ~ temp + (1 | judge)"
    poor, fair = (mixfit.mixed(formula, data, family=f"multinomial(baseline={b!r})").fit() for b in ("poor", "fair"))
    np.testing.assert_allclose(
        poor.conf_int(method="profile", which="fair"),
        -fair.conf_int(method="profile", which="poor").to_numpy()[:, ::-1],
        rtol=5e-3,
    )
