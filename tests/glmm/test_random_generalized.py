"""No fit of a random generalized model is worse than the best optimum that another optimizer finds."""

from __future__ import annotations

import pytest

from mixfit.errors import FitError
from tests.benchmarks.random_generalized import judge
from tests.random_generalized import random_generalized

# From a seed on: the first ones are those that the searches were made with.
FIRST, MODELS, STARTS = 3000, 60, 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_fit_is_worse_than_the_best_of_other_optima() -> None:
    verdicts, refused = [], 0
    for seed in range(FIRST, FIRST + MODELS):
        try:
            verdicts.append(judge(random_generalized(seed), STARTS))
        except FitError:
            refused += 1
    wrong = [v for v in verdicts if v.is_wrong]
    assert not wrong, "\n".join(map(str, wrong))
    assert refused <= 0.05 * MODELS
    assert max(v.n_evaluations for v in verdicts) <= 120
