r"""What a generalized mixed model asks of a family, row by row.

For a row with mean mu = mu(eta), l is its log density with every constant and f_1, f_2, f_3 its derivatives in
mu. In the linear predictor

    l' = f_1 mu',   l'' = f_2 mu'^2 + f_1 mu'',   l''' = f_3 mu'^3 + 3 f_2 mu' mu'' + f_1 mu'''.

The weight W in A = Lambda'Z'WZ Lambda + I is -l'' (the Laplace approximation as glmmTMB has it), or its
expectation I(mu) mu'^2 where lme4 defines the likelihood by it; for canonical links they are the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from mixfit.errors import DataError
from mixfit.families.links import LINKS, Link

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["DispersionTerms", "Family", "Terms", "check_rows"]

_LARGEST_LOG_MEAN = 100.0


@dataclass(frozen=True, eq=False)
class Terms:
    """Derivatives of the log density in eta, each of shape (n,).

    Attributes
    ----------
    score : l'
    weight : W
    weight_slope : dW / d eta
    observed : -l''
    expected : E[-l'']
    """

    score: Array
    weight: Array
    weight_slope: Array
    observed: Array
    expected: Array


@dataclass(frozen=True, eq=False)
class DispersionTerms:
    """Derivatives in log phi, each of shape (n,).

    Attributes
    ----------
    loglik : dl / d log phi
    score : dl' / d log phi
    weight : dW / d log phi
    """

    loglik: Array
    score: Array
    weight: Array


def check_rows(bad: NDArray[np.bool_], message: str) -> None:
    """Raise DataError with the first bad row's number where any is bad."""
    if bad.any():
        raise DataError(f"{message} ({int(bad.sum())} of {len(bad)} rows, the first is row {int(np.argmax(bad))}).")


class Family(ABC):
    """A conditional distribution with its link.

    Parameters
    ----------
    link : str
        One of `links`; the first by default.

    Attributes
    ----------
    name : str
    links : tuple of str
    has_dispersion : bool
        Whether a dispersion phi is estimated.
    is_scaled : bool
        Whether phi is a factor of the variance, so that there is a residual standard deviation sqrt(phi).
    expected_weights : bool
        Whether W is the expected curvature, as in lme4.
    edged : tuple of str
        Links under which only predictors of one sign have a density, or it breaks off at zero.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    canonical: ClassVar[str] = ""
    has_dispersion: ClassVar[bool] = False
    is_scaled: ClassVar[bool] = False
    expected_weights: ClassVar[bool] = False
    edged: ClassVar[tuple[str, ...]] = ()

    def __init__(self, link: str | None = None) -> None:
        name = self.links[0] if link is None else link
        if name not in self.links:
            raise ValueError(f"{self.name} has the links {', '.join(self.links)}, not {name!r}.")
        self.link: Link = LINKS[name]

    def __reduce__(self) -> tuple[type[Family], tuple[str]]:
        return type(self), (self.link.name,)

    def __repr__(self) -> str:
        return f"{self.name}({self.link.name})"

    @property
    def has_edge(self) -> bool:
        """Whether only predictors on one side of zero have a density, or it breaks off there."""
        return self.link.name in self.edged

    def loglik(self, y: Array, prior: Array, eta: Array, phi: float) -> Array:
        """Log density of every row, with all constants."""
        return self.log_kernel(y, prior, eta, phi) + self.log_constant(y, prior)

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: float) -> Array:
        """Log density of every row less `log_constant`."""
        return self.kernel_mean(y, prior, self.link.mean(eta), phi)

    def log_constant(self, y: Array, prior: Array) -> Array:
        """What of the log density depends on neither predictor nor dispersion, so that it is computed once: (n,)."""
        return np.zeros(1)

    def loglik_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        """Log density at means mu, with all constants."""
        return self.kernel_mean(y, prior, mu, phi) + self.log_constant(y, prior)

    def terms(self, y: Array, prior: Array, eta: Array, phi: float) -> Terms:
        """Its derivatives in eta."""
        eta = self._within_range(eta)
        mu, d1, d2 = self.link.mean(eta), self.link.slope(eta), self.link.bend(eta)
        f1, f2, f3 = self.mean_derivatives(y, prior, mu, phi)
        observed = -(f2 * d1**2 + f1 * d2)
        information, information_slope = self.information(prior, mu, phi)
        expected = information * d1**2
        if self.expected_weights:
            slope = information_slope * d1**3 + 2.0 * information * d1 * d2
            return Terms(f1 * d1, expected, slope, observed, expected)
        third = f3 * d1**3 + 3.0 * f2 * d1 * d2 + f1 * self.link.twist(eta)
        return Terms(f1 * d1, observed, -third, observed, expected)

    def dispersion_terms(self, y: Array, prior: Array, eta: Array, phi: float) -> DispersionTerms:
        """Derivatives in log phi."""
        eta = self._within_range(eta)
        mu, d1, d2 = self.link.mean(eta), self.link.slope(eta), self.link.bend(eta)
        loglik, f1, f2 = self.dispersion_derivatives(y, prior, mu, phi)
        return DispersionTerms(loglik, f1 * d1, -(f2 * d1**2 + f1 * d2))

    def _within_range(self, eta: Array) -> Array:
        """Predictors of a log link no farther than the fifth power of the mean stays in the range of doubles."""
        return np.clip(eta, -_LARGEST_LOG_MEAN, _LARGEST_LOG_MEAN) if self.link.name == "log" else eta

    @abstractmethod
    def check(self, y: Array, prior: Array, name: str) -> None:
        """Raise DataError where the response (n,) is outside the support, naming column and row."""

    @abstractmethod
    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        """Log density at means mu, less `log_constant`."""

    @abstractmethod
    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        """f_1, f_2, f_3: derivatives of the log density in mu."""

    @abstractmethod
    def information(self, prior: Array, mu: Array, phi: float) -> tuple[Array, Array]:
        """I(mu) = E[-f_2] and its derivative."""

    @abstractmethod
    def unit_deviance(self, y: Array, mu: Array) -> Array:
        """Unit deviance d(y, mu) of an observation of prior weight 1."""

    @abstractmethod
    def variance(self, mu: Array, phi: float) -> Array:
        """Var(y | mu) of an observation of prior weight 1."""

    @abstractmethod
    def simulate(self, mu: Array, prior: Array, phi: float, rng: np.random.Generator) -> Array:
        """Draw responses of the shape of mu; prior weights broadcast on the last axis."""

    @abstractmethod
    def start_mean(self, y: Array, prior: Array) -> Array:
        """Responses moved inside the support, to start iterations from."""

    def deviances(self, y: Array, prior: Array, mu: Array, phi: float) -> Array:
        """What each row adds to the deviance; NotImplementedError where there is none."""
        return prior * self.unit_deviance(y, mu)

    def row_variance(self, prior: Array, mu: Array, phi: float) -> Array:
        """Var(y | mu) of every row."""
        return self.variance(mu, phi) / prior

    def dispersion_derivatives(self, y: Array, prior: Array, mu: Array, phi: float) -> tuple[Array, Array, Array]:
        """dl, df_1, df_2 / d log phi."""
        raise NotImplementedError(f"{self.name} has no dispersion parameter")

    def start_dispersion(self, y: Array, prior: Array, mu: Array) -> float:
        """A first guess of phi from fitted means."""
        return 1.0
