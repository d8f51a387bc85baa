"""Second and third derivatives in log phi against differences of those that families have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mixfit.families.curvature import dispersion_curvature, shape_curvature
from tests.families.cases import COMPOSED, EVERY, case

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

FAMILIES = [f for f in (*EVERY, *COMPOSED) if f.dispersion != "none"]


def difference(f: Callable[[float], Array], h: float = 1e-4) -> Array:
    return (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)


def close(actual: Array, wanted: Array) -> None:
    assert_allclose(actual, wanted, rtol=1e-6, atol=1e-6 * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_derivatives_in_log_phi(family: Family) -> None:
    at = case(family)
    phi = at.phi * np.exp(np.linspace(-0.3, 0.3, len(at.y)))
    found = dispersion_curvature(family, at.y, at.prior, at.eta, phi)

    def once(h: float):
        return family.dispersion_terms(at.y, at.prior, at.eta, phi * np.exp(h))

    close(found.second, difference(lambda h: once(h).loglik))
    close(found.mixed, difference(lambda h: once(h).score))
    close(
        found.third,
        difference(lambda h: dispersion_curvature(family, at.y, at.prior, at.eta, phi * np.exp(h)).second),
    )


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.free], ids=repr)
def test_derivatives_in_log_phi_and_the_shapes(family: Family) -> None:
    at = case(family)
    phi = at.phi * np.exp(np.linspace(-0.3, 0.3, len(at.y)))
    found = shape_curvature(family, at.y, at.prior, at.eta, phi)
    assert len(found) == len(family.free)
    for i, one in enumerate(found):

        def once(h: float, i: int = i):
            return family.shape_terms(at.y, at.prior, at.eta, phi * np.exp(h))[i]

        close(one.first, difference(lambda h: once(h).loglik))
        close(one.mixed, difference(lambda h: once(h).score))
        close(
            one.second,
            difference(lambda h, i=i: shape_curvature(family, at.y, at.prior, at.eta, phi * np.exp(h))[i].first),
        )
