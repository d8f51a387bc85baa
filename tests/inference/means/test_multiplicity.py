"""Adjusted p-values and critical values against their definitions."""

import numpy as np
import pytest
from scipy.stats import f, multivariate_normal, norm, studentized_range, t

from mixfit.errors import FitError
from mixfit.inference.means.contrast_coefficients import contrast_family, polynomials
from mixfit.inference.means.multiplicity import (
    ADJUSTMENTS,
    ComparisonFamily,
    adjusted_p_values,
    critical_values,
    resolve,
)

X = np.array([0.4, 1.7, 2.9, 4.1])


def pairs(k):
    C = contrast_family("pairwise", list("abcdefgh"[:k])).coefficients
    return ComparisonFamily(len(C), k, True, C @ C.T / 2.0)


@pytest.mark.parametrize("k", [3, 4])
@pytest.mark.parametrize("df", [7.5, np.inf])
def test_joint_distribution_of_pairs_is_the_studentized_range(k, df):
    exact = studentized_range.sf(np.sqrt(2.0) * X, k, df)
    found = adjusted_p_values(X, np.full(4, df), "mvt", pairs(k))
    np.testing.assert_allclose(found, exact, rtol=2e-4)
    critical = critical_values(np.array([df]), "mvt", pairs(k), 0.95)
    np.testing.assert_allclose(critical, studentized_range.ppf(0.95, k, df) / np.sqrt(2.0), rtol=1e-4)


def test_joint_distribution_with_correlation():
    R = np.array([[1.0, 0.6], [0.6, 1.0]])
    found = adjusted_p_values(np.array([1.0, -2.5]), np.full(2, np.inf), "mvt", ComparisonFamily(2, 3, False, R))
    inside = [multivariate_normal.cdf([x, x], cov=R, lower_limit=[-x, -x]) for x in (1.0, 2.5)]
    np.testing.assert_allclose(found, 1.0 - np.array(inside), rtol=1e-4)


def test_formulas():
    df = np.full(4, 9.0)
    p, family = 2.0 * t.sf(X, 9.0), pairs(4)
    for adjust, expected in {
        "none": p,
        "bonferroni": np.minimum(6.0 * p, 1.0),
        "sidak": 1.0 - (1.0 - p) ** 6,
        "scheffe": f.sf(X**2 / 3.0, 3, 9.0),
        "tukey": studentized_range.sf(np.sqrt(2.0) * X, 4, 9.0),
    }.items():
        np.testing.assert_allclose(adjusted_p_values(X, df, adjust, family), expected, rtol=1e-9)
        # small probabilities keep their digits
    assert adjusted_p_values(np.array([40.0]), np.array([np.inf]), "sidak", family)[0] == pytest.approx(
        12.0 * norm.sf(40.0)
    )


@pytest.mark.parametrize("adjust", ["none", "bonferroni", "sidak", "scheffe", "tukey", "dunnettx", "mvt"])
@pytest.mark.parametrize("df", [3.2, 40.0, np.inf])
def test_critical_values_have_the_p_value_they_are_for(adjust, df):
    critical = critical_values(np.array([df, np.nan]), adjust, pairs(4), 0.9)
    assert np.isnan(critical[1])
    p = adjusted_p_values(critical, np.array([df, np.nan]), adjust, pairs(4))
    assert p[0] == pytest.approx(0.1, rel=1e-6)
    assert np.isnan(p[1])


def test_tests_that_cannot_be_made_count():
    found = adjusted_p_values(np.array([3.0, np.nan, 2.0]), np.full(3, 20.0), "holm", ComparisonFamily(3, 3, True))
    single = 2.0 * t.sf([3.0, 2.0], 20.0)
    np.testing.assert_allclose(found, [3.0 * single[0], np.nan, 2.0 * single[1]])


def test_what_is_applied():
    alone, several = ComparisonFamily(1, 2, True), ComparisonFamily(3, 3, False)
    for adjust in ADJUSTMENTS:
        assert resolve(adjust, alone) == ("none", ())
    assert resolve("tukey", several)[0] == "sidak"
    assert resolve("tukey", pairs(3)) == ("tukey", ())
    assert resolve("fdr", several) == ("fdr", ())
    assert resolve("fdr", several, intervals=True) == ("bonferroni", ())
    with pytest.raises(FitError, match="adjust is one of"):
        resolve("lsd", several)


def test_polynomials_are_orthogonal_whole_numbers():
    for k in range(2, 13):
        P = polynomials(k)
        assert P.shape == (min(k - 1, 6), k)
        products = P @ P.T
        assert np.count_nonzero(products - np.diag(np.diag(products))) == 0
        assert (P.sum(axis=1) == 0).all()
        assert (np.round(P) == P).all()
        assert (np.gcd.reduce(P.astype(int), axis=1) == 1).all()
