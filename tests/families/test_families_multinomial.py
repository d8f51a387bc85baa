"""Unordered categories: probabilities, derivatives to third order against differences, and what is refused."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mixfit.errors import DataError, FitError
from mixfit.families.multinomial import CategoryPredictors, Multinomial
from mixfit.families.resolve import resolve_family

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

K, N = 4, 40
FAMILY = Multinomial().of(list("abcd"))
ROWS = CategoryPredictors(("mean", "c", "d"))


def rows(seed: int = 1) -> tuple[Array, Array, Array]:
    """Responses, weights and predictors."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, K + 1, N).astype(float), rng.uniform(0.5, 3.0, N), rng.normal(0.0, 2.0, (K - 1, N))


def test_probabilities_of_all_responses_sum_to_one_and_are_odds_against_the_baseline() -> None:
    y, _, eta = rows()
    each = np.stack([FAMILY.row_loglik(np.full(N, k + 1.0), np.ones(N), eta) for k in range(K)])
    assert_allclose(np.exp(each).sum(axis=0), 1.0, rtol=1e-14)
    assert_allclose(each[1:] - each[0], eta, atol=1e-13)
    assert_array_equal(FAMILY.row_loglik(y, np.ones(N), eta), each[y.astype(int) - 1, np.arange(N)])


def test_derivatives_to_third_order_are_differences() -> None:
    y, prior, eta = rows()
    found, h = ROWS.derivatives(FAMILY, y, prior, eta, 1.0), 1e-5

    def moved(a: int, step: float) -> Array:
        out = eta.copy()
        out[a] += step
        return out

    for a in range(K - 1):
        up, down = (ROWS.derivatives(FAMILY, y, prior, moved(a, s), 1.0) for s in (h, -h))
        loglik = [ROWS.loglik(FAMILY, y, prior, moved(a, s), 1.0) for s in (h, -h)]
        assert_allclose(found.first[a], (loglik[0] - loglik[1]) / (2 * h), atol=1e-8)
        for b in range(K - 1):
            wanted = (up.first[b] - down.first[b]) / (2 * h)
            assert_allclose(found.second[min(a, b), max(a, b)], wanted, atol=1e-8)
        assert set(found.second) == {(i, j) for i in range(K - 1) for j in range(i, K - 1)}
        for pair, value in up.second.items():
            assert_allclose(found.third[*pair, a], (value - down.second[pair]) / (2 * h), atol=1e-8)
    assert_allclose(found.expected, -np.stack([found.second[a, a] for a in range(K - 1)]))


@pytest.mark.parametrize("size", [30.0, 700.0])
def test_far_predictors_keep_their_digits(size: float) -> None:
    """With one category all but certain, l = -exp(-size) of it, and its curvature as small."""
    eta = np.array([[size], [0.0], [0.0]])
    y, one = np.array([2.0]), np.ones(1)
    found = ROWS.derivatives(FAMILY, y, one, eta, 1.0)
    assert_allclose(found.first[0], 3.0 * np.exp(-size), rtol=1e-12)
    assert_allclose(found.second[0, 0], -3.0 * np.exp(-size), rtol=1e-12)
    assert_allclose(ROWS.loglik(FAMILY, np.array([1.0]), one, eta, 1.0), -size, rtol=1e-13)
    assert np.isfinite(ROWS.loglik(FAMILY, y, one, -eta, 1.0)).all()


def test_draws_have_the_probabilities() -> None:
    eta = np.tile(np.array([[0.5], [-1.0], [0.2]]), 20_000)
    drawn = FAMILY.draw(eta, np.random.default_rng(1))
    shares = np.bincount(drawn.astype(int), minlength=K + 1)[1:] / len(drawn)
    assert_allclose(shares, FAMILY.probabilities(eta)[:, 0], atol=0.012)
    assert np.isnan(FAMILY.draw(np.full((3, 1), np.nan), np.random.default_rng(1))).all()


def test_the_family_by_name() -> None:
    assert repr(resolve_family("multinomial")) == "multinomial(logit)"
    family = resolve_family("multinomial(baseline='b')")
    assert repr(family) == "multinomial(logit, baseline='b')"
    assert pickle.loads(pickle.dumps(family)).baseline == "b"
    with pytest.raises(FitError, match="has the link logit"):
        resolve_family("multinomial(probit)")


@pytest.mark.parametrize(
    ("categories", "y", "message"),
    [
        ("a", [1.0, 1.0], "one category"),
        ("abc", [1.0, 2.0, 1.0], "No row has the category 'c'"),
        (("a", "zi"), [1.0, 2.0], "as a predictor is|name of a predictor"),
    ],
)
def test_responses_that_are_refused(categories: tuple[str, ...], y: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Multinomial().of(list(categories)).check(np.array(y), np.ones(len(y)), "choice")
