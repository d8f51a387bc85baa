"""Densities of single parameters that may have any value.

Each is a frozen dataclass with its log density, constants included, and the derivative of that. What is autoscaled has
its scale multiplied by a number of the data's once the model is known (see `mixfit.bayes.resolve`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import gammaln

from mixfit.errors import PriorError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "LOG_2PI",
    "Cauchy",
    "Distribution",
    "Flat",
    "Normal",
    "StudentT",
    "Uniform",
]

LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Distribution(ABC):
    """The prior of one parameter."""

    is_positive: ClassVar[bool] = False
    """Whether it is a density on the positive numbers, as of standard deviations."""
    is_proper: ClassVar[bool] = True

    def _demand_positive(self, **values: float) -> None:
        for name, value in values.items():
            if not (np.isfinite(value) and value > 0.0):
                raise PriorError(f"{type(self).__name__}: {name} is a positive number, not {value!r}.")

    @abstractmethod
    def log_density(self, x: Array) -> Array:
        """Log density with every constant, at any shape of places within the support."""

    @abstractmethod
    def slope(self, x: Array) -> Array:
        """Its derivative."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Independent draws, shape (size,)."""

    def scaled(self, unit: float) -> Self:
        """The prior of a parameter measured in `unit` where it is to be autoscaled; itself otherwise."""
        return self


@dataclass(frozen=True)
class Flat(Distribution):
    """Density 1 everywhere: a prior only where the data alone make a posterior.

    Examples
    --------
    >>> from mixfit.bayes import Flat
    >>> Flat().log_density(np.array([-3.0, 100.0])).tolist()
    [0.0, 0.0]
    """

    is_proper: ClassVar[bool] = False

    def log_density(self, x: Array) -> Array:
        """0."""
        return np.zeros(np.shape(x))

    def slope(self, x: Array) -> Array:
        """0."""
        return np.zeros(np.shape(x))

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Refused."""
        raise PriorError("Nothing can be drawn from a flat prior, which is no distribution: give a proper one.")


@dataclass(frozen=True)
class StudentT(Distribution):
    """Student's t with `df` degrees of freedom.

    Parameters
    ----------
    df, location, scale : float
    autoscale : bool
        Whether `scale` is in standard deviations of the response over those of the covariate.

    Examples
    --------
    >>> from mixfit.bayes import StudentT
    >>> StudentT(3, 0, 2.5).log_density(np.array([0.0])).round(4).tolist()
    [-1.9172]
    """

    df: float
    location: float = 0.0
    scale: float = 1.0
    autoscale: bool = False

    def __post_init__(self) -> None:
        self._demand_positive(df=self.df, scale=self.scale)

    def log_density(self, x: Array) -> Array:
        """Of the t distribution."""
        z, half = (x - self.location) / self.scale, 0.5 * (self.df + 1.0)
        constant = gammaln(half) - gammaln(0.5 * self.df) - 0.5 * np.log(self.df * np.pi) - np.log(self.scale)
        return np.asarray(constant - half * np.log1p(z * z / self.df))

    def slope(self, x: Array) -> Array:
        """-(df + 1) z / (df + z^2) over the scale."""
        z = (x - self.location) / self.scale
        return np.asarray(-(self.df + 1.0) * z / (self.df + z * z) / self.scale)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Of the t distribution."""
        return self.location + self.scale * rng.standard_t(self.df, size)

    def scaled(self, unit: float) -> Self:
        """With the scale times `unit`."""
        return replace(self, scale=self.scale * unit, autoscale=False) if self.autoscale else self


class Cauchy(StudentT):
    """Cauchy's distribution, `StudentT` with one degree of freedom.

    Parameters
    ----------
    location, scale : float
    autoscale : bool
        As of `StudentT`.

    Examples
    --------
    >>> from mixfit.bayes import Cauchy
    >>> Cauchy(0, 1).log_density(np.array([0.0])).round(4).tolist()
    [-1.1447]
    """

    def __init__(self, location: float = 0.0, scale: float = 1.0, autoscale: bool = False) -> None:
        super().__init__(1.0, location, scale, autoscale)

    def scaled(self, unit: float) -> Self:
        """With the scale times `unit`."""
        return type(self)(self.location, self.scale * unit) if self.autoscale else self


@dataclass(frozen=True)
class Normal(Distribution):
    """The normal distribution.

    Parameters
    ----------
    mean, sd : float
    autoscale : bool
        Whether `sd` is in standard deviations of the response (in units of the link where the family has no residual
        variance) over those of the covariate, as rstanarm has it.

    Examples
    --------
    >>> from mixfit.bayes import Normal
    >>> Normal(0, 2).log_density(np.array([0.0, 2.0])).round(4).tolist()
    [-1.6121, -2.1121]
    """

    mean: float = 0.0
    sd: float = 1.0
    autoscale: bool = False

    def __post_init__(self) -> None:
        self._demand_positive(sd=self.sd)

    def log_density(self, x: Array) -> Array:
        """Of the normal distribution."""
        z = (x - self.mean) / self.sd
        return np.asarray(-0.5 * (LOG_2PI + z * z) - np.log(self.sd))

    def slope(self, x: Array) -> Array:
        """-z over the standard deviation."""
        return np.asarray(-(x - self.mean) / self.sd**2)

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Of the normal distribution."""
        return rng.normal(self.mean, self.sd, size)

    def scaled(self, unit: float) -> Self:
        """With the standard deviation times `unit`."""
        return replace(self, sd=self.sd * unit, autoscale=False) if self.autoscale else self


@dataclass(frozen=True)
class Uniform(Distribution):
    """The uniform distribution between two bounds: of a structure's own parameter, such as a correlation.

    Parameters
    ----------
    lower, upper : float

    Examples
    --------
    >>> from mixfit.bayes import Uniform
    >>> Uniform(-1, 1).log_density(np.array([0.3])).round(4).tolist()
    [-0.6931]
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        self._demand_positive(**{"upper - lower": self.upper - self.lower})

    def log_density(self, x: Array) -> Array:
        """-log(upper - lower)."""
        inside = (x >= self.lower) & (x <= self.upper)
        return np.where(inside, -np.log(self.upper - self.lower), -np.inf)

    def slope(self, x: Array) -> Array:
        """0."""
        return np.zeros(np.shape(x))

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Of the uniform distribution."""
        return rng.uniform(self.lower, self.upper, size)
