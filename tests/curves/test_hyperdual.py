"""Hyper-dual numbers carry exact first and second derivatives through arithmetic and numpy's functions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.curves.hyperdual import HyperDual, variables

T = np.array([0.0, 0.5, 2.0])
FUNCTIONS = {
    "sums": lambda a, b: 3.0 + a - 2.0 * b + T - (T - a) - (-b) + (+a),
    "products": lambda a, b: a * b * T * a + T * b,
    "quotients": lambda a, b: a / b + 2.0 / (a + T) + b / 3.0 + T / a,
    "powers": lambda a, b: a**b + a**3 + 2.0**b + T**a + a**-0.5,
    "exponentials": lambda a, b: np.exp(-b * T) * np.expm1(a) + np.exp2(a) + np.log1p(a) + np.log(b) * T,
    "logarithms": lambda a, b: np.log2(a) + np.log10(b) + np.sqrt(a * b) + np.square(b) + np.reciprocal(a),
    "trigonometry": lambda a, b: np.sin(a) * np.cos(b) + np.tanh(a - b) + np.arctan(a * b),
    "ufuncs": lambda a, b: np.add(a, T) + np.add(T, b) - np.subtract(T, a) + np.multiply(T, b) + np.power(a, 2.0),
    "more": lambda a, b: np.subtract(a, T) + np.true_divide(T, b) + np.negative(a) + np.positive(b) + np.power(T, a),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_differences(name: str) -> None:
    function = FUNCTIONS[name]
    phi = np.array([[0.7, 1.3, 0.9], [1.1, 0.4, 2.2]])
    found = function(*variables(phi))
    assert isinstance(found, HyperDual)
    assert_allclose(found.value, function(*phi))
    h = 1e-6
    for p in range(2):
        step = np.zeros((2, 1))
        step[p] = h
        above, below = function(*variables(phi + step)), function(*variables(phi - step))
        assert_allclose(found.slope[p], (above.value - below.value) / (2.0 * h), rtol=1e-7, atol=1e-7)
        assert_allclose(found.bend[:, p], (above.slope - below.slope) / (2.0 * h), rtol=1e-6, atol=1e-6)
    assert_allclose(found.bend, found.bend.swapaxes(0, 1))


def test_what_has_no_formula_is_refused() -> None:
    (a,) = variables(np.array([[1.0, 2.0]]))
    with pytest.raises(TypeError):
        np.floor(a)
    with pytest.raises(TypeError):
        np.add.reduce(a)
