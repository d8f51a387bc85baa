"""Generalized fits that stand beside the numbers of lme4 and glmmTMB in golden/generalized."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import mixfit

if TYPE_CHECKING:
    from mixfit.results import GeneralizedResults

GOLDEN = Path(__file__).parent / "golden" / "generalized"
HERDS = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
LME4 = ["cbpp", "cbpp_agq9", "contraception_slope", "grouseticks", "toenail_like"]
TMB = ["tmb_cbpp", "tmb_grouseticks_nb", "tmb_sleepstudy_gamma", "tmb_sleepstudy_beta", "tmb_cbpp_bb"]

# data, formula, family, quadrature points
MODELS: dict[str, tuple[str, str, str, int]] = {
    "cbpp": ("cbpp", HERDS, "binomial", 1),
    "cbpp_agq9": ("cbpp", HERDS, "binomial", 9),
    "contraception_slope": (
        "contraception",
        "use ~ age + I(age**2) + urban + livch + (urban | district)",
        "binomial",
        1,
    ),
    "grouseticks": (
        "grouseticks",
        "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        "poisson",
        1,
    ),
    "toenail_like": ("toenail_like", "outcome ~ treated * visit + (1 | patient)", "binomial", 9),
    "tmb_cbpp": ("cbpp", HERDS, "binomial", 1),
    "tmb_grouseticks_nb": ("grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | BROOD)", "nbinom2", 1),
    "tmb_sleepstudy_gamma": ("sleepstudy", "Reaction ~ Days + (1 | Subject)", "gamma(log)", 1),
    "tmb_sleepstudy_beta": ("sleepstudy", "I(Reaction / 500) ~ Days + (1 | Subject)", "beta", 1),
    "tmb_cbpp_bb": ("cbpp", HERDS, "betabinomial", 1),
}


def read(name: str) -> pd.DataFrame:
    if name == "toenail_like":
        return pd.read_csv(GOLDEN / "toenail_like.csv")
    return mixfit.datasets.load(name)


@cache
def fitted(name: str) -> GeneralizedResults:
    data, formula, family, n_agq = MODELS[name]
    model = mixfit.mixed(formula, read(data), family=family)
    assert isinstance(model, mixfit.GeneralizedMixedModel)
    return model.fit(n_agq=n_agq)


@cache
def numbers() -> dict[tuple[str, str], pd.Series]:
    """The reference's numbers, by fit and quantity."""
    table = pd.read_csv(GOLDEN / "numbers.csv", dtype={"name": str})
    return {key: part.set_index("name")["value"] for key, part in table.groupby(["fit", "quantity"])}


def wanted(name: str, quantity: str) -> pd.Series:
    return numbers()[name, quantity]
