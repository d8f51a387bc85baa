"""What residual= and dispersion= are read as, and what they refuse before anything is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from mixfit import mixed
from mixfit.errors import DataError, DesignError, FormulaError, MixfitError
from tests.residual_cases import trial

if TYPE_CHECKING:
    from mixfit.model.residual import ResidualMixedModel


def read(residual: str | None, dispersion: str | None = None, **options: Any) -> ResidualMixedModel:
    data = options.pop("data", trial())
    formula = options.pop("formula", "y ~ x")
    return mixed(formula, data, residual=residual, dispersion=dispersion, **options)


@pytest.mark.parametrize("text", ["us(visit | subject)", "us(0 + visit | subject)", " us( visit|subject ) "])
def test_the_zero_of_places_may_be_left_out(text: str) -> None:
    residual = read(text).residual
    assert residual.columns == ("visit[1]", "visit[2]", "visit[3]", "visit[4]")
    assert residual.blocks is not None
    assert residual.blocks.n_levels == 16


@pytest.mark.parametrize("name", ["us", "cs", "toep", "hetar1", "diag"])
def test_numbers_are_places_in_their_order(name: str) -> None:
    data = trial().assign(number=lambda d: 10.0 * d["visit"].astype(float))
    residual = read(f"{name}(number | subject)", data=data).residual
    assert residual.columns == ("number[10]", "number[20]", "number[30]", "number[40]")
    assert (residual.place == data["visit"].astype(int).to_numpy() - 1).all()


def test_levels_that_are_numbers_stand_in_their_order() -> None:
    data = trial().assign(week=lambda d: (d["visit"].astype(int) * 4).astype(str))
    assert read("ar1(week | subject)", data=data).residual.columns == ("week[4]", "week[8]", "week[12]", "week[16]")


def test_nlmes_name_of_continuous_time() -> None:
    assert read("car1(time | subject)").residual.structures[0].name == "ou"


def test_places_of_many_blocks_need_no_columns() -> None:
    data = trial()
    model = read("exp(time + x | subject)", data=data)
    positions = np.array(model.residual.structures[0].positions)  # type: ignore[attr-defined]
    np.testing.assert_allclose(positions[model.residual.place], data[["time", "x"]])
    assert model.design.further[0].random[0].Z.shape == (len(data), 2)
    assert len(model.residual.columns) == len(data)


def test_parts_have_a_structure_each() -> None:
    residual = read("ar1(visit | subject), by=arm").residual
    assert len(residual.structures) == 2
    assert residual.part_names == ("Residual arm=drug", "Residual arm=placebo")


def test_dispersion_loses_its_constant_however_it_is_coded() -> None:
    ways = [read(None, text).residual for text in ("~ arm", "~ 0 + arm")]
    assert [way.spread_names for way in ways] == [("arm[T.placebo]",), ("arm[placebo]",)]
    np.testing.assert_array_equal(ways[0].spread, ways[1].spread)


def test_a_description_names_everything() -> None:
    model = read("ar1(visit | subject), by=arm", "~ x")
    assert model.description == "y ~ x; residual = ar1(0 + visit | subject), by=arm; dispersion = ~ x"


def test_a_model_of_some_rows_keeps_its_places() -> None:
    model = read("us(visit | subject)")
    smaller = model.of_rows(model.residual.block < 12)
    assert smaller.residual.columns == model.residual.columns
    assert smaller.residual.blocks is not None
    assert smaller.residual.blocks.n_levels == 12


def repeated() -> pd.DataFrame:
    data = trial()
    return pd.concat([data, data.iloc[[5]]], ignore_index=True)


def apart() -> pd.DataFrame:
    """No subject is seen at visits 1 and 4."""
    data = trial(missing=0.0)
    odd = data["subject"].astype(int) % 2 == 1
    return data[~(odd & (data["visit"] == "1")) & ~(~odd & (data["visit"] == "4"))]


REFUSED: dict[str, tuple[dict[str, Any], type[MixfitError], str]] = {
    "not a string": ({"residual": 3}, FormulaError, "residual= is a string"),
    "no structure": ({"residual": "visit | subject"}, FormulaError, "is no structure: write name"),
    "unknown structure": ({"residual": "hmm(visit | subject)"}, FormulaError, "hmm"),
    "a column that is not there": ({"residual": "us(vist | subject)"}, FormulaError, "visit"),
    "two rows at one place": (
        {"residual": "us(visit | subject)", "data": repeated()},
        DataError,
        r"2 rows of subject \d+ are at visit\[\d\]",
    ),
    "one row a block": (
        {"residual": "ar1(visit | id)", "data": trial().assign(id=lambda d: np.arange(len(d)).astype(str))},
        DataError,
        "no level of id has two rows",
    ),
    "a pair of places never seen together": (
        {"residual": "us(visit | subject)", "data": apart()},
        DataError,
        r"no level of subject has rows both at visit\[1\] and at visit\[4\]",
    ),
    "a place of an arm never seen": (
        {
            "residual": "hetar1(visit | subject), by=arm",
            "data": trial()[lambda d: (d["arm"] == "drug") | (d["visit"] != "3")],
        },
        DataError,
        r"no row of arm placebo is at visit\[3\]",
    ),
    "a block in two parts": ({"residual": "us(visit | site), by=arm"}, DataError, "are at visit"),
    "rows of a block in two arms": (
        {"residual": "ar1(visit | subject), by=half", "data": trial().assign(half=lambda d: d["visit"] < "3")},
        DataError,
        "more than one level of half",
    ),
    "columns that are no places": ({"residual": "us(x + time | subject)"}, DataError, "are no places"),
    "unequal steps": ({"residual": "ar1(time | subject)"}, DataError, "not equally spaced"),
    "random terms of the dispersion": (
        {"residual": "us(visit | subject)", "dispersion": "~ (1 | site)"},
        FormulaError,
        "beside residual= no random terms",
    ),
    "a dispersion that the structure has": (
        {"residual": "us(visit | subject)", "dispersion": "~ visit"},
        DesignError,
        "say it already",
    ),
    "a dispersion by constants": (
        {"residual": None, "dispersion": "~ 1"},
        FormulaError,
        "dispersion='~ 1' names nothing",
    ),
    "blocks across levels": (
        {"residual": "ar1(visit | subject)", "formula": "y ~ x + (1 | visit)"},
        DesignError,
        "are of several levels of visit",
    ),
    "no residual for a random intercept": (
        {"residual": "none", "formula": "y ~ x + (1 | subject)"},
        FormulaError,
        "residual='none' leaves all variance",
    ),
    "a dot beside a residual": ({"residual": "ar1(visit | subject)", "formula": "y ~ ."}, FormulaError, "write out"),
    "a family without residuals": (
        {"residual": "ar1(visit | subject)", "family": "poisson"},
        FormulaError,
        "the poisson family has none",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_before_fitting(name: str) -> None:
    arguments, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        read(**arguments)


@pytest.mark.parametrize("structure", ["us", "homcs"])
def test_effects_that_are_residuals_say_what_to_write(structure: str) -> None:
    with pytest.raises(DesignError, match=rf"residual='{structure}\(visit \| subject\)'"):
        mixed(f"y ~ x + {structure}(0 + visit | subject)", trial())
