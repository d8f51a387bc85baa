"""Fits of random models are no worse than the best of eight that another optimizer finds on the dense criterion."""

from __future__ import annotations

from contextlib import suppress

import pytest

from mixfit.errors import DesignError
from tests.benchmarks.random_models import judge
from tests.random_models import random_model

MODELS = 200
# Of a thousand models with other seeds eight are worse: no number of searches finds every minimum of few
# levels. Seed 31 is one of them.
MISSED = 1


@pytest.mark.slow
def test_all_fits_converge_and_all_but_one_are_as_good_as_the_best_of_eight() -> None:
    verdicts = []
    for seed in range(MODELS):
        with suppress(DesignError):
            verdicts.append(judge(random_model(seed)))
    stopped = [v for v in verdicts if not v.converged]
    assert not stopped, "\n".join(map(str, stopped))
    worse = [v for v in verdicts if v.excess > 1e-5]
    assert len(worse) <= MISSED, "\n".join(map(str, worse))
    assert len(verdicts) > 0.95 * MODELS
