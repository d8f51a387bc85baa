"""Responses that are transformations of what was measured, and the way back."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.special

from mixfit.errors import FitError
from mixfit.formula import parse
from mixfit.matrices import build

N = 60
RNG = np.random.default_rng(9)
DATA = pd.DataFrame(
    {
        "y": np.exp(RNG.normal(1.0, 0.6, N)),
        "p": RNG.uniform(0.05, 0.95, N),
        "w": RNG.uniform(1.0, 3.0, N),
        "g": np.arange(N) % 6,
    }
).assign(**{"my y": lambda d: d["y"]}, near=lambda d: d["y"] - 3.0)
CONTEXT = {"own": lambda y: 2.0 * y, "c": 2.5, "logit": scipy.special.logit}


def transformation(response, data=DATA):
    return build(parse(f"{response} ~ 1 + (1 | g)"), data, context=CONTEXT).transformation


@pytest.mark.parametrize("response", ["y", "`my y`", "I(y)", "I(y - w)"])
def test_what_was_measured_is_no_transformation(response):
    assert transformation(response) is None


@pytest.mark.parametrize(
    ("response", "name", "measured"),
    [
        ("log(y)", "log", "y"),
        ("np.log(y)", "log", "y"),
        ("np.log(`my y`)", "log", "y"),
        ("np.log2(y)", "log2", "y"),
        ("log10(y)", "log10", "y"),
        ("np.log1p(y)", "log1p", "y"),
        ("sqrt(y)", "sqrt", "y"),
        ("np.cbrt(y)", "cbrt", "y"),
        ("np.exp(y)", "exp", "y"),
        ("np.arcsinh(near)", "arcsinh", "near"),
        ("logit(p)", "logit", "p"),
        ("np.arcsin(np.sqrt(p))", "np.arcsin(np.sqrt(p))", "p"),
        ("np.log(y + 1)", "np.log(y + 1)", "y"),
        ("np.log(y / w)", "log", None),
        ("I(y**2)", "I(y ** 2)", "y"),
        ("I(near**3)", "I(near ** 3)", "near"),
        ("I(y**-0.5)", "I(y ** (-0.5))", "y"),
        ("I(1 / y)", "I(1 / y)", "y"),
        ("I(1000 / (y + 2))", "I(1000 / (y + 2))", "y"),
        ("I(c * y)", "I(c * y)", "y"),
        ("I(2 - y)", "I(2 - y)", "y"),
        ("I(-near / 3)", "I(-near / 3)", "near"),
        ("I(2**near)", "I(2 ** near)", "near"),
        ("scale(near)", "scale(near)", "near"),
        ("center(log(y))", "center(log(y))", "y"),
    ],
)
def test_the_way_back(response, name, measured):
    found = transformation(response)
    assert found.name == name
    e = build(parse(f"{response} ~ 1 + (1 | g)"), DATA, context=CONTEXT).y
    wanted = DATA["y"] / DATA["w"] if measured is None else DATA[measured]
    np.testing.assert_allclose(found.mean(e), wanted, rtol=1e-9)
    step = 1e-6 * np.abs(e)
    numeric = (found.mean(e + step) - found.mean(e - step)) / (2.0 * step)
    np.testing.assert_allclose(found.slope(e), numeric, rtol=1e-5)
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    "response", ["own(y)", "np.log(own(y))", "I(near**2)", "I(1 / near)", "y.clip(1.0)", "y.rank()", "np.abs(near)"]
)
def test_no_way_back(response):
    found = transformation(response)
    assert found.steps is None
    with pytest.raises(FitError, match="how to go back from it is not known: type='link'"):
        found.mean(np.ones(1))


def test_differences_of_logarithms_are_ratios():
    assert transformation("np.log(y / 100)").log_base == 1.0
    assert transformation("np.log2(y)").log_base == pytest.approx(np.log(2.0))
    assert all(transformation(response).log_base is None for response in ("np.log(y + 1)", "sqrt(y)", "np.log1p(y)"))


@pytest.mark.parametrize(("response", "end"), [("sqrt(y)", 0.0), ("I(1 / y)", np.inf), ("np.exp(y)", -np.inf)])
def test_beyond_the_range_is_its_end(response, end):
    with np.errstate(divide="ignore"):
        assert transformation(response).mean(np.array([-0.5, 0.0])).tolist() == [end, end]


def test_a_column_that_is_named_like_a_function_call_is_a_column():
    assert transformation("`log(y)`", DATA.assign(**{"log(y)": np.log(DATA["y"])})) is None


def test_missing_values_are_no_obstacle():
    data = DATA.assign(y=DATA["y"].where(DATA.index % 7 != 0))
    assert transformation("np.log(y)", data).name == "log"
    assert transformation("scale(y)", data).steps is not None
