"""No fit of a random model is worse than the best of eight that another optimizer finds on the dense criterion."""

from __future__ import annotations

from contextlib import suppress

import pytest

from mixfit.errors import DesignError
from tests.benchmarks.random_models import judge
from tests.random_models import random_model

MODELS = 200


@pytest.mark.slow
def test_no_fit_is_worse_than_the_best_of_eight() -> None:
    verdicts = []
    for seed in range(MODELS):
        with suppress(DesignError):
            verdicts.append(judge(random_model(seed)))
    wrong = [v for v in verdicts if v.excess > 1e-5 or not v.converged]
    assert not wrong, "\n".join(map(str, wrong))
    assert len(verdicts) > 0.95 * MODELS
