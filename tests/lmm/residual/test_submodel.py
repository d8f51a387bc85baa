"""Problems with fewer fixed effects are those of the formula without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixfit.lmm.residual.criterion import evaluate_joint
from mixfit.lmm.residual.submodel import with_fixed
from tests.residual_cases import CASES, FORMS, model_of, random_place


@pytest.mark.parametrize(("name", "series"), [form for form in FORMS if CASES[form[0]].formula.startswith("y ~ x")])
def test_the_criterion_without_a_column_is_that_of_the_formula_without_it(name: str, series: bool) -> None:
    model = model_of(CASES[name], series=series)
    formula = CASES[name].formula.replace("y ~ x", "y ~ 1", 1)
    smaller = model_of(replace(CASES[name], formula=formula), series=series)
    kept = [model.exog_names.index(column) for column in smaller.exog_names]
    problem = with_fixed(model.problem, model.problem.fixed.triangle[:, kept])
    place = random_place(model.problem, 3)
    for reml in (False, True):
        expected = evaluate_joint(smaller.problem, place, reml=reml)
        found = evaluate_joint(problem, place, reml=reml)
        assert found.value == pytest.approx(expected.value, abs=1e-8)
        user = problem.response.gamma + problem.response.scale * found.at.beta
        other = smaller.problem.response.gamma + smaller.problem.response.scale * expected.at.beta
        assert np.linalg.norm(user) == pytest.approx(np.linalg.norm(other), rel=1e-8)
