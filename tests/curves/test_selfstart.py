"""Self-starting curves find the parameters of data that they made, in any unit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.curves.mean import CurveExpression, self_starting
from mixfit.curves.selfstart import CURVES, curve_start
from mixfit.errors import FormulaError

# Parameters for x from 0 to 10 or so, and how each changes with the unit of x (a power) and of y.
CASES = {
    "SSlogis": ([50.0, 4.0, 1.5], [0, 1, 1], [1, 0, 0]),
    "SSfpl": ([5.0, 60.0, 4.0, 1.0], [0, 0, 1, 1], [1, 1, 0, 0]),
    "SSasympOrig": ([30.0, -1.0], [0, "log"], [1, 0]),
    "SSasymp": ([30.0, 3.0, -1.0], [0, 0, "log"], [1, 1, 0]),
    "SSasympOff": ([30.0, -1.0, 0.3], [0, "log", 1], [1, 0, 0]),
    "SSbiexp": ([20.0, 0.5, 5.0, -1.5], [0, "log", 0, "log"], [1, 0, 1, 0]),
    "SSmicmen": ([30.0, 2.0], [0, 1], [1, 0]),
    "SSgompertz": ([30.0, 5.0, 0.5], None, None),
    "SSweibull": ([40.0, 35.0, -2.5, 2.0], None, None),
}


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", CASES)
def test_starts_are_near_in_any_unit(name: str, unit: float) -> None:
    values, of_x, of_y = CASES[name]
    if of_x is None and unit != 1.0:
        pytest.skip("its parameters change with the unit of x in another way")
    x = np.linspace(0.5, 10.0, 30)
    truth = np.array(values)
    if of_x is not None:
        powers = [0 if kind == "log" else kind for kind in of_x]
        truth = truth * unit ** np.array(powers, float) * 7.0 ** np.array(of_y, float)
        truth -= np.log(unit) * np.array([kind == "log" for kind in of_x])
    y = CURVES[name](x * unit, *truth)
    start = curve_start(CURVES[name], [x * unit], y)
    assert start is not None
    off = np.sqrt(np.mean((CURVES[name](x * unit, *start) - y) ** 2))
    assert off < 0.1 * np.ptp(y)


def test_a_dose_is_a_second_covariate() -> None:
    dose, time = np.repeat([4.0, 5.0], 12), np.tile(np.linspace(0.25, 24.0, 12), 2)
    truth = np.array([-2.5, 0.5, -3.2])
    start = curve_start(CURVES["SSfol"], [dose, time], CURVES["SSfol"](dose, time, *truth))
    assert start is not None
    assert_allclose(start, truth, atol=0.7)


def test_no_start_in_data_without_any() -> None:
    assert curve_start(CURVES["SSlogis"], [np.full(3, np.nan)], np.ones(3)) is None


def test_calls_are_recognized() -> None:
    assert self_starting("a * exp(-k * t)") is None
    with pytest.raises(FormulaError, match="SSlogis takes 1 covariate"):
        self_starting("SSlogis(age, Asym, 3.0, scal)")
    with pytest.raises(FormulaError, match="SSfol takes 2 covariate"):
        self_starting("SSfol(Time, lKe, lKa, lCl)")


def test_a_function_without_derivatives_is_differenced() -> None:
    def stepwise(t: np.ndarray, a: np.ndarray, k: np.ndarray) -> np.ndarray:
        return np.asarray(a) * np.exp(-np.asarray(k) * t)

    def opaque(t: np.ndarray, a: np.ndarray, k: np.ndarray) -> np.ndarray:
        return stepwise(t, np.ldexp(a, 0), k)

    t, phi = np.linspace(0.0, 2.0, 5), np.array([[2.0] * 5, [0.7] * 5])
    exact = CurveExpression("a * exp(-k * t)", ("t",), ("a", "k"), {}).at({"t": t})
    differenced = CurveExpression("f(t, a, k)", ("t",), ("a", "k"), {"f": opaque}).at({"t": t})
    assert exact.is_exact
    assert not differenced.is_exact
    assert_allclose(differenced(phi).value, exact(phi).value)
    assert_allclose(differenced(phi).slope, exact(phi).slope, atol=1e-8)
    assert_allclose(differenced(phi).bend, exact(phi).bend, atol=1e-5)


def test_unknown_names_are_named() -> None:
    with pytest.raises(FormulaError, match="names 'b'"):
        CurveExpression("a * b", (), ("a",), {}).at({})(np.ones((1, 3)))
