"""All that a result does, for every family that is differentiated by jets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from tests.families.cases import COMPOSED_CLASSES, PHI

if TYPE_CHECKING:
    from mixfit.families.base import Family

_GROUPS, _EACH = 12, 8


def simulated(family: Family) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(_GROUPS), _EACH)
    x = rng.normal(size=len(g))
    h = np.tile(["a", "b"], len(g) // 2)
    eta = 0.6 + 0.4 * x + 0.3 * (h == "b") + 0.4 * rng.normal(size=_GROUPS)[g]
    y = family.simulate(family.link.mean(eta), np.ones(len(g)), PHI.get(family.name, 1.0), rng)
    return pd.DataFrame({"y": y, "x": x, "h": h, "g": g.astype(str)})


@pytest.mark.slow
@pytest.mark.parametrize("cls", COMPOSED_CLASSES)
def test_a_result_does_all_that_results_do(cls: type[Family]) -> None:
    family = cls()
    data = simulated(family)
    fit = mixfit.mixed("y ~ x + h + (1 | g)", data, family=family.name).fit()
    assert fit.converged
    assert family.name in str(fit.summary())
    assert all(name in str(fit.summary()) for name in fit.shapes)
    predicted = fit.predict(data.head(3), se=True)
    assert_allclose(predicted["mean"], fit.fittedvalues[:3], rtol=1e-10)
    assert np.isfinite(predicted.to_numpy()).all()
    assert np.isfinite(fit.residuals("pearson")).all()
    assert np.isfinite(fit.get_prediction(data.head(3)).summary_frame()).all(axis=None)
    again = fit.simulate(2, seed=1)
    assert np.isfinite(again).all(axis=None)
    assert fit.refit(again["sim_1"]).converged
    smaller = mixfit.mixed("y ~ h + (1 | g)", data, family=family.name).fit()
    assert mixfit.anova(smaller, fit)["Pr(>Chisq)"].iloc[1] < 0.05
    assert fit.emmeans("h").to_frame().shape[0] == 2
    assert np.isfinite(fit.conf_int()).all(axis=None)
    if family.latent_variance(fit.dispersion, lambda: 1.0, 1.0) is None:
        with pytest.raises(FitError, match="No distribution-specific variance"):
            fit.r2()
    else:
        assert 0.0 < fit.r2().conditional < 1.0
