"""Covariances that another term contains are zero, in the likelihood of the model without them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit.lmm.assemble import assemble
from mixfit.lmm.contained import contained_columns

# Each beside the model without what is contained, and which of theta that is.
CONTAINED = {
    "(x | a) + (x + z | a)": ("(x + z | a)", [0, 1, 2]),
    "(x + z | a) + (0 + x + z | a)": ("(x + z | a)", [6, 7, 8]),
    "(1 | a) + (x | a)": ("(x | a)", [0]),
    "(x | a) + (x + z || a)": ("(x | a) + (0 + z | a)", [3, 4]),
    "(1 | a) + (x || a)": ("(x || a)", [1]),
    "(x | a) + (0 + I(1 + 2 * x) | a)": ("(x | a)", [3]),
    "(x || a) + (0 + x + z | a)": ("(1 | a) + (0 + x + z | a)", [1]),
}
# No covariance of one term is that of another.
APART = ("(x | a) + (z | a)", "(x || a)", "(x | a) + (x | b)", "(1 | a) + (0 + x | a)")


def data_of(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, x, z = np.repeat(np.arange(14), 7), 5.0 + rng.normal(size=98), rng.normal(size=98)
    b = rng.normal(size=(14, 3)) * rng.choice([0.3, 1.0], size=3)
    y = 1 + x + b[a, 0] + b[a, 1] * (x - 5.0) + b[a, 2] * z + rng.normal(size=98)
    return pd.DataFrame({"y": y, "x": x, "z": z, "a": a.astype(str), "b": rng.permutation(a).astype(str)})


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("random", CONTAINED)
def test_what_another_term_contains_is_zero(random: str, reml: bool) -> None:
    alone, zero = CONTAINED[random]
    for seed in (1, 3, 5):
        fit = mixfit.mixed(f"y ~ x + {random}", data_of(seed)).fit(reml=reml)
        expected = mixfit.mixed(f"y ~ x + {alone}", data_of(seed)).fit(reml=reml)
        assert fit.converged
        assert fit.certificate.n_evaluations < 30
        assert fit.llf == pytest.approx(expected.llf, abs=1e-7)
        assert (fit.theta[zero] == 0.0).all()
        np.testing.assert_allclose(fit.fittedvalues, expected.fittedvalues, atol=1e-3)


@pytest.mark.parametrize("random", APART)
def test_other_terms_are_left_alone(random: str) -> None:
    problem = assemble(mixfit.mixed(f"y ~ x + {random}", data_of(1)).design).problem
    assert contained_columns(problem.terms, lambda factor: problem.gram.diagonal[factor].sum(axis=2)) is None


@pytest.mark.parametrize("random", ["(x | a) + (x + z | a)", "(1 | a) + (x || a)"])
def test_generalized_models_likewise(random: str) -> None:
    alone, zero = CONTAINED[random]
    data = data_of(3)
    data["count"] = np.random.default_rng(3).poisson(np.exp(np.clip(0.2 * data["y"], -2.0, 2.0)))
    fit = mixfit.mixed(f"count ~ x + {random}", data, "poisson").fit()
    expected = mixfit.mixed(f"count ~ x + {alone}", data, "poisson").fit()
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60
    assert fit.llf == pytest.approx(expected.llf, abs=1e-6)
    assert (fit.theta[zero] == 0.0).all()
