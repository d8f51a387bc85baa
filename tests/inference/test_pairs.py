"""Covariances of pairs of rows against the covariance of all rows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.inference.pairs import pair_covariances, row_pairs
from mixfit.lmm.residual.estimate import place_of
from tests.dense import full_z
from tests.residual_cases import CASES, dense_covariance, model_of

# Bessel functions of all places of a site.
SLOW = {"smooth field": (pytest.mark.slow,)}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in CASES])
def test_residual_structures_and_random_effects(name: str) -> None:
    model = model_of(CASES[name], subjects=40)
    fit = model.fit()
    v = fit.sigma**2 * dense_covariance(model, place_of(model.problem, fit.estimate))
    first, second = np.indices(v.shape).reshape(2, -1)
    assert_allclose(pair_covariances(fit, first, second).reshape(v.shape), v, rtol=1e-9, atol=1e-10 * v.max())


@pytest.mark.parametrize("formula", ["(Days | Subject)", "(1 | Subject) + (1 | d)", "ar1(0 + Days | Subject)"])
def test_independent_residuals(formula: str) -> None:
    sleep = mixfit.datasets.load("sleepstudy")
    sleep["d"] = (sleep["Days"] % 3).astype(str)
    fit = mixfit.mixed(f"Reaction ~ Days + {formula}", sleep).fit()
    v = fit.sigma**2 * np.eye(180)
    for term, template in zip(fit.model.design.random, fit.estimate.templates, strict=True):
        z, sigma = full_z(term), fit.sigma**2 * template @ template.T
        v += z @ np.kron(np.eye(term.grouping.n_levels), sigma) @ z.T
    first, second = np.indices(v.shape).reshape(2, -1)
    assert_allclose(pair_covariances(fit, first, second).reshape(v.shape), v, rtol=1e-10, atol=1e-9)


def test_every_pair_of_a_level_once() -> None:
    codes = np.random.default_rng(3).integers(0, 6, 40)
    first, second = row_pairs(codes, 10_000, np.random.default_rng(1))
    expected = {(i, j) for i in range(40) for j in range(40) if i < j and codes[i] == codes[j]}
    assert {tuple(sorted(p)) for p in zip(first.tolist(), second.tolist(), strict=True)} == expected
    assert len(first) == len(expected)


def test_of_too_many_pairs_some_are_drawn() -> None:
    codes = np.random.default_rng(3).integers(0, 6, 400)
    first, second = row_pairs(codes, 500, np.random.default_rng(1))
    assert len(first) == 500
    assert (codes[first] == codes[second]).all()
    assert (first != second).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == 500
