"""Zeta plots, of a profile made by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from mixfit.errors import FitError
from mixfit.plots import profile_zeta
from tests.plots.fits import pulp_fit


@dataclass
class FakeProfile:
    """zeta = (value - estimate) / scale, from -cutoff (or a bound) to cutoff; "rho" has no curve."""

    estimates: pd.Series = field(default_factory=lambda: pd.Series({"sd": 1.0, "rho": np.nan, "beta": 10.0}))
    cutoff: float = 3.0
    scale: dict[str, float] = field(default_factory=lambda: {"sd": 0.5, "beta": 2.0})

    @property
    def parameters(self) -> list[str]:
        return ["sd", "rho", "beta"]

    @property
    def curves(self) -> dict[str, object]:
        return dict.fromkeys(self.scale, object())

    def curve(self, parameter: str, points: int = 101) -> pd.DataFrame:
        low = -2.0 if parameter == "sd" else -self.cutoff
        zeta = np.linspace(low, self.cutoff, points)
        value = self.estimates[parameter] + self.scale[parameter] * zeta
        return pd.DataFrame({"value": value, "zeta": zeta, "abs_zeta": np.abs(zeta)})

    def value(self, parameter: str, zeta: object) -> np.ndarray:
        value = self.estimates[parameter] + self.scale[parameter] * np.asarray(zeta)
        return np.maximum(value, 0.0) if parameter == "sd" else value


Z95, Z99 = 1.9599639845, 2.5758293035


def test_curves_and_limits() -> None:
    profile = FakeProfile()
    sd, rho, beta = profile_zeta(profile, levels=[0.95, 0.99])
    assert [axes.get_xlabel() for axes in (sd, rho, beta)] == ["sd", "rho", "beta"]
    for axes, name in ((sd, "sd"), (beta, "beta")):
        _, curve, estimate = axes.lines
        np.testing.assert_allclose(curve.get_xydata(), profile.curve(name, points=201)[["value", "zeta"]])
        np.testing.assert_array_equal(estimate.get_xydata(), [[profile.estimates[name], 0.0]])
        assert axes.get_ylabel() == "ζ"
    lower, upper = (np.array(c.get_segments()) for c in beta.collections)
    np.testing.assert_allclose(lower[:, 0], [[10 - 2 * Z95, -Z95], [10 - 2 * Z99, -Z99]])
    np.testing.assert_allclose(upper[:, 1], [[10 + 2 * Z95, Z95], [10 + 2 * Z99, Z99]])
    # The bound of the standard deviation is reached before the lower limit of 99%.
    lower, upper = (np.array(c.get_segments()) for c in sd.collections)
    np.testing.assert_allclose(lower[:, 0], [[1 - 0.5 * Z95, -Z95]])
    np.testing.assert_allclose(upper[:, 1], [[1 + 0.5 * Z95, Z95], [1 + 0.5 * Z99, Z99]])
    assert [t.get_text() for t in rho.texts] == ["There is no curve."]


def test_absolute_values_with_bars() -> None:
    profile = FakeProfile(cutoff=2.2)
    (axes,) = profile_zeta(profile, "beta", levels=[0.95, 0.99], absolute=True)
    np.testing.assert_allclose(axes.lines[0].get_xydata(), profile.curve("beta", points=201)[["value", "abs_zeta"]])
    (bar,) = axes.collections[0].get_segments()
    np.testing.assert_allclose(bar, [[10 - 2 * Z95, Z95], [10 + 2 * Z95, Z95]])
    assert axes.get_ylabel() == "|ζ|"


def test_bars_end_at_a_bound() -> None:
    (axes,) = profile_zeta(FakeProfile(), ["sd"], levels=[0.99], absolute=True)
    (bar,) = axes.collections[0].get_segments()
    np.testing.assert_allclose(bar, [[0.0, Z99], [1 + 0.5 * Z99, Z99]])


def test_what_was_not_profiled_is_named() -> None:
    with pytest.raises(FitError, match="no profile of 'sigma', only of 'sd', 'rho', 'beta'"):
        profile_zeta(FakeProfile(), "sigma")
    with pytest.raises(ValueError, match="levels must lie between 0 and 1"):
        profile_zeta(FakeProfile(), levels=[95])


def test_a_profile_draws_itself() -> None:
    profile = pulp_fit().profile(which="random")
    (axes,) = profile.plot("sigma", levels=[0.95], absolute=True)
    (expected,) = profile_zeta(profile, "sigma", levels=[0.95], absolute=True)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("sigma", "|ζ|")
    for mine, theirs in zip(axes.lines, expected.lines, strict=True):
        np.testing.assert_array_equal(mine.get_xydata(), theirs.get_xydata())
    (bar,) = axes.collections[0].get_segments()
    np.testing.assert_allclose(bar[:, 0], profile.conf_int().loc["sigma"], rtol=1e-6)
    assert len(profile.plot()) == len(profile.parameters) == 2
    with pytest.raises(FitError, match=r"has 1 panel; axes= gives 2\."):
        profile.plot("sigma", axes=[axes, axes])
