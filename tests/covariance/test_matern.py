"""The Matern correlation against 60-digit arithmetic, closed forms and its limit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.covariance.matern import log_matern, log_matern_derivatives

# Log M and its derivatives h, nu, hh, h nu, nu nu in log h and log nu, by mpmath 1.4 with 60 digits: besselk, and
# central differences of 1e-14.
REFERENCE = [
    (1e-20, 0.05, (-0.0099349176680426864, -0.00099844328029937024, 0.046092756360558638,
                   -0.00010084121701391199, 0.0036568533586151694, -0.16882327895273274)),
    (0.3, 0.5, (-0.3, -0.3, 0.4471617382045255, -0.3, 0.24838003058205264, -0.40450360341325191)),
    (2.0, 0.8, (-1.4995060299118645, -1.7674566995326007, 1.0342607995280553,
                -1.951833903974835, 0.58068391511963946, -0.18118855086541999)),
    (4.0, 7.5, (-0.58584101761578507, -1.1203477821316557, 0.61225196003084584,
                -2.0603958849021557, 1.0701255963862041, -0.60481093146948745)),
    (40.0, 3.0, (-32.523457063742217, -37.606602889725665, 6.4409088456266065,
                 -39.896198243876696, 2.7809805673892794, 3.1081767419797765)),
    (1.0, 24.9, (-0.010457863551819054, -0.020910955152459098, 0.010890350974842457,
                 -0.041802834637851241, 0.021765583227936034, -0.011785464657794838)),
    (1.0, 25.0, (-0.010414309307847744, -0.020823906870916814, 0.010843224171123733,
                 -0.041628978643209306, 0.021671523683244403, -0.011730826201358589)),
    (20.0, 60.0, (-1.6710801348786587, -3.2962523101142166, 1.652330292580117,
                  -6.4155565056392988, 3.1707097803976759, -1.5706199235735319)),
    (300.0, 1e4, (-2.2499718721906193, -4.4994375956263257, 2.2496906671975198,
                  -8.9968512034501669, 4.4978632929790504, -2.2486223558945763)),
    (1500.0, 1e6, (-0.56250040429692334, -1.1250004921868057, 0.56250065039037451,
                   -2.2499997187463965, 1.1250003515593096, -0.5625008261697788)),
]  # fmt: skip


@pytest.mark.parametrize(("h", "nu", "wanted"), REFERENCE)
def test_values_and_derivatives_have_their_digits(h: float, nu: float, wanted: tuple[float, ...]) -> None:
    value, first, second = (a[..., 0] for a in log_matern_derivatives(np.array([h]), nu))
    found = [value, *first, second[0, 0], second[0, 1], second[1, 1]]
    size = max(1.0, *np.abs(wanted))
    assert_allclose(found[:3], wanted[:3], rtol=0.0, atol=1e-12 * size)
    assert_allclose(found[3:], wanted[3:], rtol=0.0, atol=2e-9 * size)
    assert log_matern(np.array([h]), nu)[0] == pytest.approx(wanted[0], abs=1e-13 * size)


@pytest.mark.parametrize(("nu", "polynomial"), [(0.5, [1.0]), (1.5, [1.0, 1.0]), (2.5, [1.0, 1.0, 1.0 / 3.0])])
def test_half_orders_are_polynomials_times_an_exponential(nu: float, polynomial: list[float]) -> None:
    h = np.geomspace(1e-6, 100.0, 40)
    wanted = np.log(sum(c * h**m for m, c in enumerate(polynomial))) - h
    assert_allclose(log_matern(h, nu), wanted, rtol=1e-13, atol=1e-14)
    assert_allclose(log_matern_derivatives(h, nu)[0], wanted, rtol=1e-13, atol=1e-14)


def test_the_limit_is_gaussian() -> None:
    d, nu = np.linspace(0.01, 5.0, 30), 1e6
    assert_allclose(log_matern(2.0 * np.sqrt(nu) * d, nu), -(d**2), rtol=3e-5)


@pytest.mark.parametrize("nu", [0.01, 0.5, 3.0, 24.0, 26.0, 1e6])
def test_no_distance_is_too_small_or_too_large(nu: float) -> None:
    h = np.array([1e-50, 1e-12, 1.0, 1e4, 1e12, 1e100])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, first, second = log_matern_derivatives(h, nu)
        correlation = np.exp(log_matern(h, nu))
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()
    assert_allclose(correlation, np.exp(value), atol=1e-12)
    assert (np.diff(correlation) <= 1e-12).all()
    assert correlation[-1] == 0.0
