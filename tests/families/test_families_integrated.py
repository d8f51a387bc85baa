"""Means averaged over normal random effects, against closed forms and a finer rule."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from mixfit.errors import FitError
from mixfit.families.integrated import IntegratedMean
from mixfit.families.links import LINKS

ETA = np.array([-7.0, -1.3, 0.0, 0.4, 5.0])


@pytest.mark.parametrize("s", [0.0, 0.3, 1.0, 4.0, 20.0])
def test_probit_and_log_have_closed_forms(s):
    spread = np.full(len(ETA), s)
    probit = IntegratedMean(LINKS["probit"], spread).mean(ETA)
    np.testing.assert_allclose(probit, ndtr(ETA / np.sqrt(1.0 + s**2)), rtol=1e-11, atol=1e-14)
    log = IntegratedMean(LINKS["log"], spread).mean(ETA)
    np.testing.assert_allclose(log, np.exp(ETA + s**2 / 2.0), rtol=1e-12)


@pytest.mark.parametrize("name", ["logit", "cloglog", "cauchit", "sqrt", "identity"])
@pytest.mark.parametrize("s", [0.5, 3.0])
def test_other_links_by_adaptive_quadrature(name, s):
    link = LINKS[name]
    found = IntegratedMean(link, np.full(len(ETA), s)).mean(ETA)

    def integrand(z, eta):
        return float(link.mean(np.array(eta + s * z))) * norm.pdf(z)

    pieces = list(pairwise(np.linspace(-12.0, 12.0, 25)))
    for eta, mean in zip(ETA, found, strict=True):
        right = sum(quad(integrand, a, b, args=(eta,), epsabs=0.0, epsrel=1e-12)[0] for a, b in pieces)
        assert mean == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("name", ["logit", "probit", "cloglog", "cauchit", "log"])
def test_derivatives(name):
    spread, h = np.array([0.2, 1.0, 2.5, 0.7, 1.9]), 1e-5
    at = IntegratedMean(LINKS[name], spread)
    by_eta = (at.mean(ETA + h) - at.mean(ETA - h)) / (2.0 * h)
    np.testing.assert_allclose(at.slope(ETA), by_eta, rtol=2e-7, atol=1e-11)
    more, less = (IntegratedMean(LINKS[name], spread + d).mean(ETA) for d in (h, -h))
    np.testing.assert_allclose(at.spread_slope(ETA), (more - less) / (2.0 * h), rtol=2e-6, atol=1e-10)


def test_rows_with_missing_values_and_blocks(monkeypatch):
    whole = IntegratedMean(LINKS["logit"], np.array([1.0, np.nan, 2.0, 0.5, 1.0])).mean(ETA)
    assert np.isnan(whole).tolist() == [False, True, False, False, False]
    monkeypatch.setattr("mixfit.families.integrated._BLOCK", 1)
    rows = IntegratedMean(LINKS["logit"], np.array([1.0, np.nan, 2.0, 0.5, 1.0])).mean(ETA)
    np.testing.assert_allclose(rows, whole, rtol=1e-13)


@pytest.mark.parametrize("name", ["inverse", "1/mu^2"])
def test_inverse_links_have_no_average(name):
    assert IntegratedMean(LINKS[name], np.zeros(1)).mean(np.array([4.0]))[0] > 0.0
    with pytest.raises(FitError, match="no average"):
        IntegratedMean(LINKS[name], np.array([0.0, 0.1]))
