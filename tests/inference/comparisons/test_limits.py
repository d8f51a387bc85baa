"""Models at the edge of a parameter of others: their tests, and what summaries say of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import chi2

import mixfit
from mixfit.errors import ComparisonError
from mixfit.inference.comparisons.limits import is_limit, mixed_tail
from tests.glmm.test_glmm_several import data

FORMULA = "y ~ x + (1 | g)"


def poisson_like(seed: int = 2) -> pd.DataFrame:
    """Counts that vary less than Poisson's, with trials."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 10)
    x = rng.normal(size=200)
    return pd.DataFrame({"y": rng.binomial(6, 1 / (1 + np.exp(-0.4 * x))), "n": 6, "x": x, "g": g.astype(str)})


def test_further_zeros_are_tested_by_the_mixture() -> None:
    d = data("poisson", each=20)
    without = mixfit.mixed(FORMULA, d, family="poisson").fit()
    constant = mixfit.mixed(FORMULA, d, family="poisson", zi="~ 1").fit()
    table = mixfit.anova(without, constant)
    statistic = 2.0 * (constant.llf - without.llf)
    assert_allclose(table["Pr(>Chisq)"].iloc[1], 0.5 * chi2.sf(statistic, 1))
    assert "half a chi-square variable" in table.notes[0]
    several = mixfit.anova(without, mixfit.mixed(FORMULA, d, family="poisson", zi="~ x").fit())
    assert_allclose(several["Pr(>Chisq)"].iloc[1], chi2.sf(several["Chisq"].iloc[1], 2))
    assert "mean nothing there" in several.notes[0]
    ordinary = mixfit.anova(constant, mixfit.mixed(FORMULA, d, family="poisson", zi="~ x").fit())
    assert not ordinary.notes


def test_a_limit_is_tested_by_the_mixture() -> None:
    d = data("nbinom2", each=20)
    poisson, nbinom = (mixfit.mixed(FORMULA, d, family=name).fit() for name in ("poisson", "nbinom2"))
    table = mixfit.anova(nbinom, poisson)
    assert_allclose(table["Pr(>Chisq)"].iloc[1], 0.5 * chi2.sf(2.0 * (nbinom.llf - poisson.llf), 1))
    with pytest.raises(ComparisonError, match="different families"):
        mixfit.anova(poisson, mixfit.mixed(FORMULA, d, family="genpois").fit())


def test_the_mixture_is_its_parts() -> None:
    assert_allclose(mixed_tail(2.7, 3.0), 0.5 * chi2.sf(2.7, 2) + 0.5 * chi2.sf(2.7, 3))
    assert mixed_tail(0.0, 1.0) == 1.0
    assert is_limit("nbinom2(log)", "poisson(log)")
    assert not is_limit("nbinom2(log)", "poisson(sqrt)")


def test_other_predictors_must_be_nested() -> None:
    d = data("poisson", each=20)
    by_x, by_h = (mixfit.mixed(FORMULA, d, family="poisson", zi=zi).fit() for zi in ("~ 0 + x", "~ h"))
    with pytest.raises(ComparisonError, match="zi= of m1 does not contain that of m0"):
        mixfit.anova(by_x, by_h)
    larger = mixfit.mixed("y ~ x * h + (1 | g)", d, family="poisson").fit()
    with pytest.raises(ComparisonError, match="which has no zi="):
        mixfit.anova(by_x, larger)


@pytest.mark.parametrize("family", ["nbinom1", "nbinom2"])
def test_a_poisson_limit_is_a_boundary_with_a_certificate(family: str, recwarn: pytest.WarningsRecorder) -> None:
    d = poisson_like()
    fit, limit = (mixfit.mixed(FORMULA, d, family=name).fit() for name in (family, "poisson"))
    assert fit.converged
    assert_allclose(fit.llf, limit.llf, atol=1e-5)
    assert f"where {family} is poisson" in str(fit.summary())
    assert not len(recwarn)


def test_a_binomial_limit_is_a_boundary_with_a_certificate() -> None:
    d = poisson_like()
    formula = "cbind(y, n - y) ~ x + (1 | g)"
    fit, limit = (mixfit.mixed(formula, d, family=name).fit() for name in ("betabinomial", "binomial"))
    assert fit.converged
    assert_allclose(fit.llf, limit.llf, atol=1e-5)
    assert_allclose(fit.bse, limit.bse, rtol=1e-4)
    assert "where betabinomial is binomial" in str(fit.summary())


def test_no_further_zeros_are_said_to_be_none() -> None:
    d = poisson_like()
    fit = mixfit.mixed(FORMULA, d, family="poisson", zi="~ 1").fit()
    assert fit.converged
    assert "no further zeros" in str(fit.summary())
    assert_allclose(fit.llf, mixfit.mixed(FORMULA, d, family="poisson").fit().llf, atol=1e-6)
