"""Densities of single parameters that are positive: standard deviations, rates, dispersions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import gammaln

from mixfit.bayes.distributions import LOG_2PI, Distribution, StudentT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Exponential", "Gamma", "HalfCauchy", "HalfNormal", "HalfT", "InvGamma", "SqrtInvGamma"]

_LOG_2 = float(np.log(2.0))


@dataclass(frozen=True)
class HalfNormal(Distribution):
    """The absolute value of a normal variable with mean 0.

    Parameters
    ----------
    scale : float
    autoscale : bool
        Whether `scale` is in standard deviations of the response over those of the column.

    Examples
    --------
    >>> from mixfit.bayes import HalfNormal
    >>> HalfNormal(1).log_density(np.array([0.0])).round(4).tolist()
    [-0.2258]
    """

    scale: float = 1.0
    autoscale: bool = False
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._demand_positive(scale=self.scale)

    def log_density(self, x: Array) -> Array:
        """Twice the normal one."""
        z = x / self.scale
        return np.asarray(_LOG_2 - 0.5 * (LOG_2PI + z * z) - np.log(self.scale))

    def slope(self, x: Array) -> Array:
        """-z over the scale."""
        return np.asarray(-x / self.scale**2)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Absolute values."""
        return np.abs(rng.normal(0.0, self.scale, size))

    def scaled(self, unit: float) -> Self:
        """With the scale times `unit`."""
        return replace(self, scale=self.scale * unit, autoscale=False) if self.autoscale else self


@dataclass(frozen=True)
class HalfT(Distribution):
    """The absolute value of a Student t variable with location 0.

    Parameters
    ----------
    df, scale : float
    autoscale : bool
        As of `HalfNormal`.

    Examples
    --------
    >>> from mixfit.bayes import HalfT
    >>> HalfT(3, 2.5).log_density(np.array([0.0])).round(4).tolist()
    [-1.224]
    """

    df: float
    scale: float = 1.0
    autoscale: bool = False
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._demand_positive(df=self.df, scale=self.scale)

    def log_density(self, x: Array) -> Array:
        """Twice that of the t distribution."""
        return np.asarray(_LOG_2 + StudentT(self.df, 0.0, self.scale).log_density(x))

    def slope(self, x: Array) -> Array:
        """That of the t distribution."""
        return StudentT(self.df, 0.0, self.scale).slope(x)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Absolute values."""
        return np.abs(self.scale * rng.standard_t(self.df, size))

    def scaled(self, unit: float) -> Self:
        """With the scale times `unit`."""
        return replace(self, scale=self.scale * unit, autoscale=False) if self.autoscale else self


class HalfCauchy(HalfT):
    """The absolute value of a Cauchy variable, `HalfT` with one degree of freedom.

    Parameters
    ----------
    scale : float
    autoscale : bool
        As of `HalfNormal`.

    Examples
    --------
    >>> from mixfit.bayes import HalfCauchy
    >>> HalfCauchy(1).log_density(np.array([0.0])).round(4).tolist()
    [-0.4516]
    """

    def __init__(self, scale: float = 1.0, autoscale: bool = False) -> None:
        super().__init__(1.0, scale, autoscale)

    def scaled(self, unit: float) -> Self:
        """With the scale times `unit`."""
        return type(self)(self.scale * unit) if self.autoscale else self


@dataclass(frozen=True)
class Exponential(Distribution):
    """The exponential distribution, rate * exp(-rate x).

    Parameters
    ----------
    rate : float
    autoscale : bool
        Whether 1 / `rate` is in standard deviations of the response over those of the column.

    Examples
    --------
    >>> from mixfit.bayes import Exponential
    >>> Exponential(2).log_density(np.array([0.0, 1.0])).round(4).tolist()
    [0.6931, -1.3069]
    """

    rate: float = 1.0
    autoscale: bool = False
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._demand_positive(rate=self.rate)

    def log_density(self, x: Array) -> Array:
        """log rate - rate x."""
        return np.asarray(np.log(self.rate) - self.rate * x)

    def slope(self, x: Array) -> Array:
        """-rate."""
        return np.full(np.shape(x), -self.rate)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Of the exponential distribution."""
        return rng.exponential(1.0 / self.rate, size)

    def scaled(self, unit: float) -> Self:
        """With the rate over `unit`."""
        return replace(self, rate=self.rate / unit, autoscale=False) if self.autoscale else self


@dataclass(frozen=True)
class Gamma(Distribution):
    """The gamma distribution, with density proportional to x^(shape - 1) exp(-rate x).

    Parameters
    ----------
    shape, rate : float

    Examples
    --------
    >>> from mixfit.bayes import Gamma
    >>> Gamma(2, 1).log_density(np.array([1.0])).round(4).tolist()
    [-1.0]
    """

    shape: float
    rate: float = 1.0
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._demand_positive(shape=self.shape, rate=self.rate)

    def log_density(self, x: Array) -> Array:
        """Of the gamma distribution."""
        constant = self.shape * np.log(self.rate) - gammaln(self.shape)
        return np.asarray(constant + (self.shape - 1.0) * np.log(x) - self.rate * x)

    def slope(self, x: Array) -> Array:
        """(shape - 1) / x - rate."""
        return np.asarray((self.shape - 1.0) / x - self.rate)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Of the gamma distribution."""
        return rng.gamma(self.shape, 1.0 / self.rate, size)


@dataclass(frozen=True)
class InvGamma(Distribution):
    """The inverse gamma distribution, with density proportional to x^(-shape - 1) exp(-scale / x).

    Parameters
    ----------
    shape, scale : float

    Examples
    --------
    >>> from mixfit.bayes import InvGamma
    >>> InvGamma(2, 1).log_density(np.array([1.0])).round(4).tolist()
    [-1.0]
    """

    shape: float
    scale: float = 1.0
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._demand_positive(shape=self.shape, scale=self.scale)

    def log_density(self, x: Array) -> Array:
        """Of the inverse gamma distribution."""
        constant = self.shape * np.log(self.scale) - gammaln(self.shape)
        return np.asarray(constant - (self.shape + 1.0) * np.log(x) - self.scale / x)

    def slope(self, x: Array) -> Array:
        """-(shape + 1) / x + scale / x^2."""
        return np.asarray(-(self.shape + 1.0) / x + self.scale / x**2)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Of the inverse gamma distribution."""
        return self.scale / rng.gamma(self.shape, 1.0, size)


@dataclass(frozen=True)
class SqrtInvGamma(Distribution):
    """Of a standard deviation whose square is inverse gamma: the conjugate prior of a residual variance.

    MCMCglmm's ``list(V = V, nu = nu)`` of a variance is ``SqrtInvGamma(nu / 2, nu * V / 2)``.

    Parameters
    ----------
    shape, scale : float
        Of the variance.

    Examples
    --------
    >>> from mixfit.bayes import SqrtInvGamma
    >>> SqrtInvGamma(2, 1).log_density(np.array([1.0])).round(4).tolist()
    [-0.3069]
    """

    shape: float
    scale: float = 1.0
    is_positive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._demand_positive(shape=self.shape, scale=self.scale)

    def log_density(self, x: Array) -> Array:
        """That of the square, times 2 x."""
        return InvGamma(self.shape, self.scale).log_density(x**2) + _LOG_2 + np.log(x)

    def slope(self, x: Array) -> Array:
        """-(2 shape + 1) / x + 2 scale / x^3."""
        return np.asarray(-(2.0 * self.shape + 1.0) / x + 2.0 * self.scale / x**3)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Roots of inverse gamma variables."""
        return np.sqrt(InvGamma(self.shape, self.scale).draw(rng, size))
