"""Fits of random generalized models against the best optimum that another optimizer finds.

A few of 30 rows and six or more variances still end at another optimum than the lowest; the shares are bounds.
"""

from __future__ import annotations

import pytest

from mixfit.errors import FitError
from tests.benchmarks.random_generalized import judge
from tests.random_generalized import random_generalized

# From a seed on: the first ones are those that the searches were made with.
FIRST, MODELS, STARTS = 3000, 30, 2
MOST_WORSE, MOST_REFUSED = 0.05, 0.12


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fits_converge_and_few_are_worse_than_the_best_of_other_optima() -> None:
    verdicts, refused = [], 0
    for seed in range(FIRST, FIRST + MODELS):
        try:
            verdicts.append(judge(random_generalized(seed), STARTS))
        except FitError:
            refused += 1
    assert all(v.converged for v in verdicts), "\n".join(map(str, verdicts))
    worse = [v for v in verdicts if v.is_wrong]
    assert len(worse) <= MOST_WORSE * MODELS, "\n".join(map(str, worse))
    assert refused <= MOST_REFUSED * MODELS
    # Of one the first search is refused on its way, and those from wider starts are counted with it.
    assert max(v.n_evaluations for v in verdicts) <= 160
