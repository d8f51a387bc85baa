"""Links: round trips, derivatives, tails, and agreement with statsmodels."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from statsmodels.genmod.families import links as sm_links

from mixfit.families.links import LINKS
from tests.families.cases import MIDDLE

STATSMODELS = {
    "logit": sm_links.Logit,
    "probit": sm_links.Probit,
    "cloglog": sm_links.CLogLog,
    "cauchit": sm_links.Cauchy,
    "log": sm_links.Log,
    "sqrt": sm_links.Sqrt,
    "identity": sm_links.Identity,
    "inverse": sm_links.InversePower,
    "1/mu^2": sm_links.InverseSquared,
}


@pytest.mark.parametrize("name", LINKS)
@given(share=st.floats(-1.0, 1.0))
def test_round_trip(name: str, share: float) -> None:
    centre, spread = MIDDLE[name]
    eta = np.array([centre + spread * share])
    link = LINKS[name]
    assert_allclose(link.eta(link.mean(eta)), eta, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LINKS)
def test_means_are_those_of_statsmodels(name: str) -> None:
    centre, spread = MIDDLE[name]
    eta = centre + spread * np.linspace(-1.0, 1.0, 21)
    link, theirs = LINKS[name], STATSMODELS[name]()
    assert_allclose(link.mean(eta), theirs.inverse(eta), rtol=1e-12)
    assert_allclose(link.eta(link.mean(eta)), theirs(link.mean(eta)), rtol=1e-12)
    assert_allclose(link.slope(eta), theirs.inverse_deriv(eta), rtol=1e-10)


@pytest.mark.parametrize("name", LINKS)
def test_each_derivative_is_the_slope_of_the_one_before(name: str) -> None:
    centre, spread = MIDDLE[name]
    link, h = LINKS[name], 1e-4
    eta = centre + spread * np.linspace(-1.0, 1.0, 21)
    for lower, upper in ((link.mean, link.slope), (link.slope, link.bend), (link.bend, link.twist)):
        near, far = lower(eta + h) - lower(eta - h), lower(eta + 2 * h) - lower(eta - 2 * h)
        assert_allclose(upper(eta), (8.0 * near - far) / (12.0 * h), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", [n for n in LINKS if n not in ("inverse", "1/mu^2")])
@given(eta=st.floats(-1e8, 1e8))
def test_no_predictor_overflows(name: str, eta: float) -> None:
    link, at = LINKS[name], np.array([eta])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = [f(at)[0] for f in (link.mean, link.slope, link.bend, link.twist)]
    assert np.isfinite(values).all()
    if link.probability:
        assert 0.0 < values[0] < 1.0


@pytest.mark.parametrize("name", [n for n in LINKS if LINKS[n].probability])
def test_probabilities_rise(name: str) -> None:
    mean = LINKS[name].mean(np.linspace(-50.0, 50.0, 2001))
    assert (np.diff(mean) >= 0.0).all()
    assert mean[0] < 1e-2
    assert mean[-1] > 1.0 - 1e-2


@pytest.mark.parametrize("name", LINKS)
def test_links_are_the_same_after_pickling(name: str) -> None:
    assert pickle.loads(pickle.dumps(LINKS[name])) is LINKS[name]
