"""Responses in ordered categories: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import mixfit
from mixfit.errors import DataError, DesignError, FormulaError
from mixfit.matrices.ordered import category_numbers

WINE = mixfit.datasets.load("wine")
FORMULA = "rating ~ temp + contact + (1 | judge)"


def model(data: object, formula: str = FORMULA, **options: object) -> mixfit.OrdinalMixedModel:
    return mixfit.mixed(formula, data, family="cumulative", **options)


def test_categories_are_numbered_in_their_order() -> None:
    rating = WINE["rating"].cat.rename_categories(list("edcba"))
    own = model(WINE.assign(rating=rating))
    assert own.categories == ("e", "d", "c", "b", "a")
    assert own.endog.tolist() == (WINE["rating"].cat.codes + 1).tolist()


@pytest.mark.parametrize("shift", [0, -3, 10])
def test_whole_numbers_are_their_own_order(shift: int) -> None:
    own = model(WINE.assign(rating=WINE["rating"].astype(int) + shift))
    assert own.categories == tuple(str(k + shift) for k in range(1, 6))
    assert own.endog.tolist() == WINE["rating"].astype(float).tolist()


def test_booleans_and_expressions_are_read() -> None:
    own = model(WINE, "I(response > 50) ~ temp + (1 | judge)")
    assert own.categories == ("False", "True")
    assert own.endog.tolist() == (1.0 + (WINE["response"] > 50)).tolist()


def test_a_polars_enumeration_has_an_order() -> None:
    if not pl.Series(["a"], dtype=pl.Enum(["a"])).to_pandas().cat.ordered:
        pytest.skip("this polars hands its enumerations over without their order")
    frame = pl.DataFrame({name: WINE[name].astype(str).tolist() for name in ("rating", "temp", "contact", "judge")})
    own = model(frame.with_columns(pl.col("rating").cast(pl.Enum(list("12345")))))
    assert own.endog.tolist() == WINE["rating"].astype(float).tolist()


def test_rows_without_a_response_are_dropped_with_their_categories() -> None:
    numbers = WINE["rating"].astype(float)
    own = model(WINE.assign(rating=numbers.where(numbers < 5)))
    assert own.categories == ("1", "2", "3", "4")
    assert own.design.n_dropped == int((numbers == 5).sum())


BAD_RESPONSES = [
    (lambda r: r.astype(str), "have no order"),
    (lambda r: r.cat.as_unordered(), "have no order"),
    (lambda r: r.cat.add_categories(["6", "7"]), "categories '6', '7'"),
    (lambda r: r.astype(int) + 0.5, "not whole"),
    (lambda r: 3, "one category"),
    (lambda r: pd.to_datetime(r.astype(int)), "cannot be of type"),
]


@pytest.mark.parametrize(("change", "said"), BAD_RESPONSES, ids=[said for _, said in BAD_RESPONSES])
def test_responses_without_ordered_categories_are_refused(change: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        model(WINE.assign(rating=change(WINE["rating"])))


def test_formulas_are_of_what_an_ordinal_model_has() -> None:
    with pytest.raises(FormulaError, match="in the place of the intercept"):
        model(WINE, "rating ~ 0 + temp + (1 | judge)")
    with pytest.raises(FormulaError, match="nominal= names no variable"):
        model(WINE, nominal="~ 1")
    with pytest.raises(FormulaError, match="fixed terms only"):
        model(WINE, dispersion="~ (1 | judge)")
    with pytest.raises(FormulaError, match="zi= models zeros"):
        model(WINE, zi="~ 1")
    with pytest.raises(DesignError, match=r"'temp\[T.warm\]' is among the nominal effects too"):
        model(WINE, nominal="~ temp")
    with pytest.raises(FormulaError, match="poisson family has none"):
        mixfit.mixed("response ~ 1 + (1 | judge)", WINE, "poisson", nominal="~ temp")
    with pytest.raises(FormulaError, match="give a family that has them"):
        mixfit.mixed("response ~ 1 + (1 | judge)", WINE, nominal="~ temp")


def test_dependent_columns_are_left_out_everywhere() -> None:
    data = WINE.assign(twice=WINE["temp"].eq("warm") * 2.0)
    own = model(data, "rating ~ temp + twice + (1 | judge)")
    assert own.exog_names == ("temp[T.warm]",)
    assert own.aliased == ("twice",)
    other = model(data, "rating ~ contact + (1 | judge)", nominal="~ temp + twice", dispersion="~ temp + twice")
    assert other.nominal_names == other.scale_names == ("temp[T.warm]",)


def test_categories_lead_back_to_their_numbers() -> None:
    assert category_numbers(["b", "a"], pd.Index(["a", "b"])).tolist() == [2.0, 1.0]
    assert category_numbers(np.array([4, 2]), pd.Index([2, 4])).tolist() == [2.0, 1.0]
    with pytest.raises(DataError, match="'c' is none of the categories"):
        category_numbers(["c"], pd.Index(["a", "b"]))
