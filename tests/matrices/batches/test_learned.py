"""What transforms learn from batches is what they learn from all rows."""

from __future__ import annotations

import numpy as np
import pytest
from formulaic.transforms import TRANSFORMS
from numpy.testing import assert_allclose

from mixfit.errors import DataError
from mixfit.matrices.batches.learned import ColumnMoments, PolynomialMoments, learned_calls, learned_state
from mixfit.matrices.batches.monomials import monomials


def moments_of(values, chunk=17):
    out = ColumnMoments()
    for start in range(0, len(values), chunk):
        out.add(values[start : start + chunk])
    return out


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_moments_of_batches_are_those_of_all(shift):
    x = np.random.default_rng(2).normal(size=200) + shift
    found = moments_of(np.insert(x, 3, np.nan))
    assert (found.n, found.low, found.high) == (200, x.min(), x.max())
    assert_allclose(found.mean, x.mean(), rtol=1e-14)
    assert_allclose(found.squares, ((x - x.mean()) ** 2).sum(), rtol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "scale(x)",
        "scale(x, ddof=0)",
        "scale(x, center=False)",
        "scale(x, scale=False)",
        "scale(x, 2.0, 3.0)",
        "scale(x, center=1.5)",
        "center(x)",
        "standardize(x)",
        "standardize(x, rescale=False)",
    ],
)
def test_scales_keep_what_formulaic_keeps(text):
    x = np.random.default_rng(2).normal(2.0, 3.0, size=200)
    (call,) = learned_calls(text, {})
    state = {}
    TRANSFORMS[call.name](x, *call.args, _state=state, **call.kwargs)
    found = learned_state(call, moments_of(x))
    assert found.keys() == state.keys()
    for key, value in state.items():
        assert (found[key] is None) == (value is None)
        if value is not None:
            assert_allclose(found[key], value, rtol=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 5])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_polynomials_keep_what_formulaic_keeps(degree, shift):
    x = np.random.default_rng(2).gamma(2.0, size=200) + shift
    state = {}
    TRANSFORMS["poly"](x, degree, _state=state)
    sums = PolynomialMoments(moments_of(x), degree)
    for start in range(0, 200, 17):
        sums.add(x[start : start + 17])
    found = sums.state()
    assert found["alpha"].keys() == state["alpha"].keys()
    assert_allclose(list(found["alpha"].values()), [state["alpha"][k] for k in found["alpha"]], rtol=1e-9)
    assert_allclose(list(found["norms2"].values()), [state["norms2"][k] for k in found["norms2"]], rtol=1e-9)


def test_a_transform_of_ones_own_is_refused():
    with pytest.raises(DataError, match=r"`scale\(x\)` needs all rows"):
        learned_calls("scale(x)", {"scale": TRANSFORMS["scale"]})


@pytest.mark.parametrize("text", ["np.log(x)", "C(x, contr.sum)", "I(x**2)", "x + y"])
def test_what_learns_nothing_is_left_alone(text):
    assert learned_calls(text, {}) == ()


def test_products_are_combinations_of_centred_products():
    rng = np.random.default_rng(4)
    data = {name: rng.normal(5.0, 2.0, size=50) for name in "abc"}
    own = monomials(
        [("a", "b", "c"), ("a",)], {n: v.mean() for n, v in data.items()}, {n: v.std() for n, v in data.items()}
    )
    centred = {n: (v - v.mean()) / v.std() for n, v in data.items()}
    values = np.stack([np.prod([np.ones(50), *(centred[n] for n in product)], axis=0) for product in own.products])
    for product in own.products:
        expected = np.prod([np.ones(50), *(data[n] for n in product)], axis=0)
        assert_allclose(own.coefficients(product) @ values, expected)
