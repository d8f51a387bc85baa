r"""A covariance known itself, without a parameter: Sigma = K, as the sampling variances of a meta-analysis are.

A linear model's Sigma is relative to sigma^2, so that theta = 1 / sigma: the one number that theta and sigma are
together is sigma, and the criterion is not profiled over it (:mod:`mixfit.lmm.given`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.covariance.directions import ParameterDirection
from mixfit.covariance.known import Proportional, read_known
from mixfit.covariance.structure import SINGULAR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.columns import GivenColumns, Recoding
    from mixfit.covariance.coordinates import Coordinates
    from mixfit.covariance.directions import Direction
    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["Given"]


@dataclass(frozen=True, eq=False)
class _NoCoordinates:
    """Of a covariance without parameters: S is what it is at the minimum.

    Attributes
    ----------
    whole : ndarray, shape (k, k)
        S.
    fixed : ndarray
        The point of it.
    """

    whole: Array
    fixed: Array

    @property
    def size(self) -> int:
        """None."""
        return 0

    @property
    def is_default(self) -> bool:
        """No others are asked for."""
        return True

    def at(self, parameter: NaturalParameter) -> int:
        """None is there."""
        raise ValueError(parameter)

    def bounds(self) -> tuple[Array, Array]:
        """None."""
        return np.empty(0), np.empty(0)

    def factor(self, x: Array) -> Array:
        """S."""
        return self.whole

    def point(self, x: Array) -> Array:
        """The point."""
        return self.fixed

    def coordinates(self, standardized: Array) -> Array:
        """None."""
        return np.empty(0)

    def gradient(self, x: Array, n: Array) -> Array:
        """None."""
        return np.empty(0)

    def spacing(self, x: Array, smallest: float, levels: int) -> Array:
        """None."""
        return np.empty(0)

    def natural_values(self, x: Array, units: Array) -> Array:
        """None."""
        return np.empty(0)

    def working_slope(self, x: Array, parameter: NaturalParameter) -> Array:
        """None."""
        return np.empty(0)


@dataclass(frozen=True)
class Given(Proportional):
    """``equalto(0 + f | g, K)``, ``equalto(1 | f, K)``: Sigma = K.

    Attributes
    ----------
    length : float or None
        Where Sigma is not relative to sigma, theta of the problem's columns.
    """

    length: float | None = None

    name: ClassVar[str] = "equalto"

    @classmethod
    def read(cls, given: GivenColumns) -> tuple[Structure, Recoding | None]:
        """K of the levels that the columns, or the groups, are."""
        known, recoding = read_known(given, cls.name)
        return cls(len(known.labels), known, recoding is not None), recoding

    @property
    def is_given(self) -> bool:
        """Where there is a sigma for theta to be one over."""
        return self.length is None

    @property
    def absorbs_residual(self) -> bool:
        """No: it has no variance to tell from another one."""
        return False

    def held(self, length: float) -> Structure:
        """Theta is the length."""
        return replace(self, length=length)

    def starts(self, variances: Array) -> list[Array]:
        """As of any multiple of K, or the one there is."""
        return super().starts(variances) if self.length is None else [np.array([self.length])]

    def scaled(self, point: Array, share: float) -> Array:
        """Relative to another scale; nothing where there is none."""
        return super().scaled(point, share) if self.length is None else point

    def directions(self, term: int, point: Array, seen: NDArray[np.bool_]) -> list[Direction]:
        """The logarithm of theta, -log sigma: no variance that may vanish."""
        if self.length is not None:
            return []
        twice = 2.0 * np.eye(self.k)
        t = self.relative_factor(point)
        return [ParameterDirection(term, t, 0, 2.0 * t @ t.T, twice, True, False)]

    def is_singular(self, template: Array, scale: Array, tolerance: float = SINGULAR) -> NDArray[np.bool_] | np.bool_:
        """Whether sigma is nothing beside the standard deviation that it gives a row on average."""
        if not self.is_given:
            return np.zeros(template.shape[:-2], dtype=bool)
        deviations = np.linalg.norm(template, axis=-1)
        return np.asarray(np.linalg.norm(deviations * scale, axis=-1) > 1.0 / tolerance)

    def coordinates_at(self, center: Array) -> Coordinates:
        """None: S is that of the minimum."""
        return _NoCoordinates(self.relative_factor(center), center)

    def theta_of_template(self, template: Array) -> float:
        """Theta of the template that it makes."""
        return float(template[0, 0] / self.known.root[0, 0])

    def theta_jacobian(self, point: Array, directions: Sequence[Direction], basis: Array) -> Array:
        """As of any parameter; it does not move where it is held."""
        return super().theta_jacobian(point, directions, basis) if directions else np.zeros((1, 0))
