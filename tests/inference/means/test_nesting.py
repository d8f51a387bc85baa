"""Nested factors, factors averaged over without a place in the grid, and letters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.inference.means.letters import letter_columns, letters_of
from mixfit.inference.means.specs import read_request

DATA = pd.read_csv(Path(__file__).resolve().parents[2] / "data" / "nested.csv")
# numbered within each species
DATA["number"] = DATA["variety"].str[1:].astype(int).map("v{}".format)


def fit(formula, data=DATA):
    return mixfit.mixed(f"{formula} + (1 | block)", data).fit()


def nesting_of(model):
    return read_request(model, (), None, None, 2, "mean").nesting


@pytest.fixture(scope="module")
def model():
    return fit("y ~ species + variety + water")


def test_nesting_is_in_the_data_or_in_the_formula(model):
    assert nesting_of(model) == {"variety": ("species",)}
    assert nesting_of(fit("y ~ species / number + water")) == {"number": ("species",)}
    assert nesting_of(fit("y ~ species * number + water")) == {}
    assert nesting_of(fit("y ~ species + species:number")) == {"number": ("species",)}
    assert nesting_of(fit("y ~ species * water + species:variety")) == {"variety": ("species",)}
    deep = DATA.assign(kingdom=np.where(DATA["species"] == "maize", "c4", "c3"))
    assert nesting_of(fit("y ~ kingdom + species + variety", deep)) == {
        "species": ("kingdom",),
        "variety": ("kingdom", "species"),
    }


def test_two_names_for_one_factor_are_not_nested_in_each_other():
    twice = nesting_of(fit("y ~ species + same", DATA.assign(same=DATA["species"].str[:1])))
    assert twice == {"species": ("same",)}


def test_both_ways_to_number_varieties_have_the_same_means(model):
    other = fit("y ~ species / number + water")
    for specs in ("species", "water", "~ 1"):
        np.testing.assert_allclose(other.emmeans(specs)["emmean"], model.emmeans(specs)["emmean"], rtol=1e-6)
    found, expected = other.emmeans("number"), model.emmeans("variety")
    assert list(found.frame)[:2] == ["number", "species"]
    assert found["emmean"].notna().all()
    np.testing.assert_allclose(np.sort(found["emmean"]), np.sort(expected["emmean"]), rtol=1e-6)


def test_means_are_averaged_over_the_levels_that_there_are(model):
    each = model.emmeans("variety").frame
    np.testing.assert_allclose(model.emmeans("species")["emmean"], each.groupby("species")["emmean"].mean(), rtol=1e-12)
    assert model.emmeans("~ 1")["emmean"][0] == pytest.approx(each.groupby("species")["emmean"].mean().mean())
    assert "NOTE: Nested factors: variety in species" in model.emmeans("water").notes


def test_by_brings_what_it_is_nested_in(model):
    means = model.emmeans("water", by="variety")
    assert means.by == ("variety", "species")
    within = model.emmeans("variety", by="species").pairs()
    assert within["contrast"].tolist() == ["m1 - m2", "o1 - o2", "o1 - o3", "o2 - o3", "w1 - w2"]
    # families of one, three and one comparisons
    alone = model.emmeans("variety", by="species").pairs(adjust="none")
    assert within["p.value"][0] == pytest.approx(alone["p.value"][0])
    assert within["p.value"][1] > 2 * alone["p.value"][1]


def test_nesting_may_be_said_or_denied(model):
    free = model.emmeans("variety", nesting={})
    assert "species" not in free.frame
    assert free["emmean"].isna().all()
    said = model.emmeans("variety", nesting={"variety": "species"})
    pd.testing.assert_frame_equal(said.frame, model.emmeans("variety").frame)
    with pytest.raises(FitError, match="nesting= names 'field'"):
        model.emmeans("variety", nesting={"variety": "field"})


@pytest.mark.parametrize("weights", ["equal", "proportional", "outer"])
def test_nuisance_factors_change_nothing_but_the_size_of_the_grid(weights):
    data = pd.read_csv(Path(__file__).resolve().parents[2] / "data" / "marginal.csv")
    full = mixfit.mixed("y ~ a * x + b * k + h + (1 | g)", data).fit()
    for nuisance in (["h"], ["b", "k"], ["b", "k", "h"]):
        found, expected = full.emmeans("a", nuisance=nuisance, weights=weights), full.emmeans("a", weights=weights)
        if weights == "equal" or nuisance == ["h"]:
            np.testing.assert_allclose(found["SE"], expected["SE"], rtol=1e-9)
        np.testing.assert_allclose(found.pairs()["estimate"], expected.pairs()["estimate"], rtol=1e-9)
    assert found.notes[1] == "Results are averaged over the levels of: b, k, h"


def test_what_is_no_nuisance_is_refused(model):
    crossed = fit("y ~ species * water")
    with pytest.raises(FitError, match="'water' does, with species"):
        crossed.emmeans("species", nuisance="water")
    with pytest.raises(FitError, match="which the means are for"):
        model.emmeans("water", nuisance="water")
    with pytest.raises(FitError, match="depend on the cell"):
        model.emmeans("species", nuisance="water", weights="cells")
    with pytest.raises(FitError, match="no variable of the fixed effects"):
        model.emmeans("species", nuisance="soil")


def test_means_share_a_letter_exactly_where_they_do_not_differ():
    rng = np.random.default_rng(2)
    for k in (2, 5, 9):
        for share in (0.1, 0.4, 0.8):
            differ = np.triu(rng.random((k, k)) < share, 1)
            differ |= differ.T
            columns = letter_columns(differ)
            together = (columns.astype(int) @ columns.T.astype(int)) > 0
            np.fill_diagonal(together, False)
            np.testing.assert_array_equal(together, ~differ & ~np.eye(k, dtype=bool))
            assert columns.any(axis=1).all()


def test_letters_run_out_in_words():
    with pytest.raises(FitError, match="needs 3 letters, and there are 2"):
        letters_of(np.eye(3, dtype=bool), "ab")


def test_displays_order_means_and_say_how_they_were_compared(model):
    means = model.emmeans("species")
    up, down = means.cld(), means.cld(reversed=True)
    assert up["species"].tolist() == ["oats", "maize", "wheat"] == down["species"].tolist()[::-1]
    assert up[".group"].tolist() == ["a", "b", "c"] == down[".group"].tolist()
    assert "P value adjustment: tukey method for comparing a family of 3 estimates" in up.notes
    same = means.cld(delta=5.0)
    assert same[".group"].tolist() == ["a", "a", "a"]
    assert "Statistics are tests of equivalence with a threshold of 5" in same.notes
    assert str(up).splitlines()[0].endswith(".group")


def test_means_that_cannot_be_estimated_have_no_letter():
    data = DATA[~((DATA["species"] == "oats") & (DATA["water"] == "wet"))]
    shown = fit("y ~ species * water", data).emmeans(["species", "water"]).cld()
    assert shown[".group"].tolist()[-1] == ""
    assert shown["emmean"].isna().tolist() == [False] * 5 + [True]
