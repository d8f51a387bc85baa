"""Steps toward singular optima."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mixfit.lmm.assemble import assemble
from mixfit.lmm.estimate import estimate
from tests.random_designs import Sketch


@pytest.mark.parametrize("reml", [True, False])
def test_one_variance_vanishes_where_all_of_them_may_not(reml: bool) -> None:
    """Both variances look as if they might be zero, and only one of them is: the other must not hold it up."""
    rng = np.random.default_rng(0)
    n, p = int(rng.integers(24, 60)), int(rng.integers(0, 4))
    design = Sketch(0, "uneven", n, ((2, "us"),), p=p, signal=0.0).design()
    y = rng.standard_normal((n, 12))[:, 0]
    fitted = estimate(assemble(replace(design, y=y)), reml=reml)
    assert fitted.certificate.converged
    assert np.count_nonzero(fitted.templates[0].any(axis=0)) == 1
