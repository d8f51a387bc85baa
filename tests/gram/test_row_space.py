"""Which linear functions the data tell."""

import numpy as np
import pytest

from mixfit.gram.basis import fixed_basis
from mixfit.gram.row_space import row_space


def cells(seed=3):
    rng = np.random.default_rng(seed)
    found = np.repeat([[0, 0], [0, 1], [1, 0], [1, 2]], 5, axis=0)
    a, b = np.eye(2)[found[:, 0]], np.eye(3)[found[:, 1]]
    return np.column_stack([np.ones(20), a, b]), rng


def test_estimable_functions_do_not_depend_on_the_solution():
    X, rng = cells()
    kept = np.array([0, 2, 4, 5])
    L = np.vstack([X[::5], X[0] - X[5], [0, 1, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0], rng.normal(size=6)])
    y = rng.normal(size=20)
    solution = np.linalg.pinv(X) @ y
    other = solution + np.linalg.svd(X)[2][4:].T @ rng.normal(size=2)
    same = np.isclose(L @ solution, L @ other, atol=1e-9)
    space = row_space(X, kept)
    assert space.contains(L).tolist() == same.tolist() == [True] * 5 + [False, True, False]
    assert not space.contains(np.full((1, 6), np.nan)).any()


def test_a_design_of_full_rank_tells_all_but_missing_values():
    X = np.column_stack([np.ones(4), np.arange(4.0)])
    assert row_space(X, np.array([0, 1])).contains(np.array([[1.0, 9.0], [np.nan, 0.0]])).tolist() == [True, False]


@pytest.mark.parametrize("units", [1e-9, 1.0, 1e9])
def test_units_of_a_column_do_not_count(units):
    X, rng = cells()
    x = rng.normal(size=20)
    X = np.column_stack([X, units * x, 2.0 * units * x + 3.0 * units])
    space = row_space(X, fixed_basis(X.T).kept)
    assert space.contains(X).all()
    new = np.array([X[0], X[0]])
    new[1, -1] += units
    assert space.contains(new).tolist() == [True, False]


@pytest.mark.parametrize("noise", [1e-8, 3e-8])
def test_the_rows_of_the_data_are_told_where_a_column_is_aliased_but_for_little(noise):
    X, rng = cells()
    x = rng.normal(size=20)
    near = np.zeros(20)
    near[7] = noise * np.linalg.norm(x)
    X = np.column_stack([X[:, :1], x, x + near])
    kept = fixed_basis(X.T).kept
    assert kept.tolist() == [0, 1]
    assert row_space(X, kept).contains(X).all()
