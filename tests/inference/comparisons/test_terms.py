from __future__ import annotations

import numpy as np
import pytest

import mixfit
from mixfit.errors import ComparisonError
from mixfit.inference.comparisons.terms import deletable, fixed_terms, random_terms, remaining_columns
from tests.inference.cases import data

FRAME = data("cake").assign(heat=lambda d: d["temp"] / 100.0, square=lambda d: (d["temp"] / 100.0) ** 2)


def design(fixed: str):
    return mixfit.mixed(f"angle ~ {fixed} + (1 | recipe:replicate)", FRAME).design


# formula, and for every term that can go the formula of what is left
CASES = {
    "heat + square": {"heat": "square", "square": "heat"},
    "recipe * heat": {"recipe:heat": "recipe + heat"},
    "recipe / heat": {"recipe:heat": "recipe"},
    "0 + recipe + temperature": {"recipe": "0 + temperature", "temperature": "0 + recipe"},
    "0 + recipe + heat": {"recipe": "0 + heat", "heat": "0 + recipe"},
    "recipe:heat + temperature:heat": {"recipe:heat": "temperature:heat", "temperature:heat": "recipe:heat"},
    "recipe:temperature + temperature:replicate": {
        "recipe:temperature": "temperature:replicate",
        "temperature:replicate": "recipe:temperature",
    },
    "0 + recipe:temperature + replicate": {
        "recipe:temperature": "0 + replicate",
        "replicate": "0 + recipe:temperature",
    },
    "poly(heat, 2) * recipe": {"poly(heat, 2):recipe": "poly(heat, 2) + recipe"},
    "recipe:poly(heat, 2) + temperature:poly(heat, 2)": {
        "recipe:poly(heat, 2)": "temperature:poly(heat, 2)",
        "temperature:poly(heat, 2)": "recipe:poly(heat, 2)",
    },
    "C(recipe, contr.sum) + heat + C(recipe, contr.sum):heat": {
        "C(recipe, contr.sum):heat": "C(recipe, contr.sum) + heat"
    },
}


@pytest.mark.parametrize("fixed", CASES)
def test_what_is_left_spans_the_shorter_formula(fixed: str):
    whole = design(fixed)
    terms = fixed_terms(whole)
    assert {t.name for t in deletable(terms)} == set(CASES[fixed])
    for term in deletable(terms):
        left = whole.X @ remaining_columns(terms, [term])
        wanted = design(CASES[fixed][term.name]).X
        ranks = [np.linalg.matrix_rank(m) for m in (left, wanted, np.column_stack([left, wanted]))]
        assert ranks[0] == ranks[1] == ranks[2], term.name


def test_terms_left_of_a_bar():
    model = mixfit.mixed("angle ~ heat + (heat | replicate) + (0 + recipe | temperature)", FRAME)
    names = [[t.name for t in terms] for terms in random_terms(model.design)]
    assert names == [["1", "heat"], ["recipe"]]


def test_factors_that_cannot_be_told_apart_are_refused():
    fixed = "0 + recipe:poly(heat, 2):poly(square, 2) + temperature"
    with pytest.raises(ComparisonError, match=r"'recipe:poly\(heat, 2\):poly\(square, 2\)'"):
        fixed_terms(design(fixed))


def test_a_design_that_no_formula_made_is_refused():
    from tests.fitted.models import pulp

    with pytest.raises(ComparisonError, match="not read from a formula"):
        fixed_terms(pulp().design)
