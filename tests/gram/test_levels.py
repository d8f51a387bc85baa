"""The kernels over all levels against a loop over levels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.gram import levels as lv

RNG = np.random.default_rng(0)
Q = 7


def per_level(a: np.ndarray) -> np.ndarray:
    """Level first."""
    return np.moveaxis(a, -1, 0)


def blocks(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=(*shape, Q))


def positive(k: int) -> np.ndarray:
    a = per_level(blocks(k, k))
    return np.moveaxis(a @ a.swapaxes(1, 2) + np.eye(k), 0, -1)


@pytest.mark.parametrize(("r", "k", "c"), [(1, 1, 1), (2, 3, 1), (3, 2, 4), (1, 3, 3)])
def test_products(r: int, k: int, c: int) -> None:
    a, b = blocks(r, k), blocks(k, c)
    assert_allclose(per_level(lv.matmul(a, b)), per_level(a) @ per_level(b), atol=1e-13)
    assert np.array_equal(per_level(lv.transpose(a)), per_level(a).swapaxes(1, 2))
    t = np.random.default_rng(1).normal(size=(r, k))
    assert_allclose(per_level(lv.left_multiply(t, b)), t @ per_level(b), atol=1e-13)
    other = blocks(c, k)
    wanted = np.einsum("akq,ckq->ac", a, other)
    assert_allclose(lv.level_sum(a.reshape(r, k, Q), other), wanted, atol=1e-13)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_square_kernels(k: int) -> None:
    m, t = positive(k), np.tril(np.random.default_rng(k).normal(size=(k, k)))
    low = lv.cholesky(m)
    assert_allclose(per_level(low), np.linalg.cholesky(per_level(m)), atol=1e-13)
    assert_allclose(per_level(lv.lower_inverse(low)), np.linalg.inv(per_level(low)), atol=1e-12)
    assert_allclose(per_level(lv.congruence(t, m)), t.T @ per_level(m) @ t, atol=1e-12)
    before = per_level(m).copy()
    assert lv.add_identity(m) is m
    assert_allclose(per_level(m), before + np.eye(k))


@pytest.mark.parametrize(("r", "k"), [(1, 1), (1, 3), (3, 2)])
def test_gather_matmul(r: int, k: int) -> None:
    a, at = blocks(r, k), np.array([3, 0, 3, 6, 6, 1, 2, 2, 5])
    c = np.random.default_rng(3).normal(size=(k, len(at)))
    wanted = np.einsum("rke,ke->re", a[:, :, at], c)
    assert_allclose(lv.gather_matmul(a, at, c), wanted, atol=1e-13)


def test_segment_sum_leaves_empty_segments_zero() -> None:
    values, segment = blocks(2, 3), np.array([0, 2, 2, 5, 0, 2, 5])
    out = lv.segment_sum(values, segment, 6)
    wanted = np.zeros((2, 3, 6))
    for e, s in enumerate(segment):
        wanted[:, :, s] += values[:, :, e]
    assert out.shape == (2, 3, 6)
    assert_allclose(out, wanted, atol=1e-14)
