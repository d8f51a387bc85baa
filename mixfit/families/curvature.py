r"""Second and third derivatives of log densities in the logarithm of the dispersion, for random effects of it.

Families know the derivatives in the linear predictor eta, and each of these once in another parameter. With
delta = log phi in the place of eta a jet (see :mod:`mixfit.families.jets`) gives l_d, l_dd, l_ddd and, with eta or the
coordinate psi of a shape in that of psi, l_e, l_de, l_dde. The one derivative in all three is that along (1, 1) in
(eta, delta) less what it shares with theirs:

    l_edp = (l_ssp - l_eep - l_ddp) / 2,      s moving both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.families.jets import Jet, fixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.families.jets import Three

    Array = NDArray[np.float64]

__all__ = ["DispersionCurvature", "ShapeCurvature", "dispersion_curvature", "shape_curvature"]

_ONE, _ZERO = np.ones(()), np.zeros(())
_UNIT: Three = (_ONE, _ZERO, _ZERO)


@dataclass(frozen=True, eq=False)
class DispersionCurvature:
    """Derivatives that have log phi twice or more, each of shape (n,).

    Attributes
    ----------
    second : l_dd
    mixed : l_dde
    third : l_ddd
    """

    second: Array
    mixed: Array
    third: Array


@dataclass(frozen=True, eq=False)
class ShapeCurvature:
    """Derivatives in the coordinate of a shape and log phi, each of shape (n,).

    Attributes
    ----------
    first : l_dp
    second : l_ddp
    mixed : l_dep
    """

    first: Array
    second: Array
    mixed: Array


def dispersion_curvature(family: Family, y: Array, prior: Array, eta: Array, phi: Array) -> DispersionCurvature:
    """Derivatives at predictors eta and dispersions phi, (n,)."""
    shapes = tuple(fixed(c) for c in family.psi)
    with np.errstate(all="ignore"):
        jet = family.log_jet(y, prior, Jet(eta, None, _UNIT), _moving(phi), shapes)
    n = np.shape(eta)
    _, second, third = _three(jet.eta, n)
    return DispersionCurvature(second, _three(jet.psi, n)[2], third)


def shape_curvature(family: Family, y: Array, prior: Array, eta: Array, phi: Array) -> tuple[ShapeCurvature, ...]:
    """The same of every shape that is estimated."""
    out = []
    n = np.shape(eta)
    for i in family.free:
        shapes = tuple(Jet(np.asarray(c), None, _UNIT) if i == j else fixed(c) for j, c in enumerate(family.psi))
        with np.errstate(all="ignore"):
            along = family.log_jet(y, prior, Jet(eta), _moving(phi), shapes)
            both = family.log_jet(y, prior, Jet(eta, _UNIT), _moving(phi), shapes)
            mean = family.log_jet(y, prior, Jet(eta, _UNIT), Jet(phi), shapes)
        _, first, second = _three(along.psi, n)
        mixed = 0.5 * (_three(both.psi, n)[2] - _three(mean.psi, n)[2] - second)
        out.append(ShapeCurvature(first, second, mixed))
    return tuple(out)


def _moving(phi: Array) -> Jet:
    """phi = e^delta with its derivatives in delta."""
    return Jet(phi, (phi, phi, phi))


def _three(found: Three | None, shape: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(np.broadcast_to(d, shape) for d in (found or (_ZERO,) * 3))
