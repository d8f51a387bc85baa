r"""Distributions with more linear predictors than the mean's: of the probability of a further zero, of the dispersion.

With the family's log density l(y | eta, delta) and pi = logistic(zeta),

    y = 0:   log(pi + (1 - pi) e^l),  or log pi where the family itself has no zero (a hurdle),
    y > 0:   log(1 - pi) + l.

With r the share of the family in a zero (1 elsewhere), s = r (1 - r), t = s (1 - 2 r) and q = 1 where y = 0, the
derivatives are

    zeta: q (1 - r) - pi,      eta: r l',      eta eta: s l'^2 + r l'',      zeta zeta: s - pi (1 - pi),
    zeta eta: -s l',      eta^3: t l'^3 + 3 s l' l'' + r l''',      zeta eta eta: -(t l'^2 + s l''),
    zeta zeta eta: t l',      zeta^3: -t - pi (1 - pi) (1 - 2 pi),

and likewise with the derivatives in delta, or any other parameter, for those in eta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.families.declared import DispersionTerms

    Array = NDArray[np.float64]
    Second = dict[tuple[int, int], Array]
    Third = dict[tuple[int, int, int], Array]

__all__ = ["DISPERSION", "ZERO", "InParameter", "RowDerivatives", "SeveralPredictors"]

#: Names of the predictors after the mean's.
ZERO = "zi"
DISPERSION = "dispersion"
# A row that says nothing of its dispersion still has some curvature to step by.
_SMALLEST = 1e-8


@dataclass(frozen=True, eq=False)
class RowDerivatives:
    """Derivatives of the log density of each row in its K predictors.

    Attributes
    ----------
    first : ndarray, shape (K, n)
    second : dict of (a, b), a <= b, to ndarray, shape (n,)
    third : dict of (a, b, k), a <= b, to ndarray, shape (n,)
        In predictors a and b that may have random effects, and any k.
    expected : ndarray, shape (K, n)
        Positive curvatures, those between predictors left out.
    """

    first: Array
    second: Second
    third: Third
    expected: Array


@dataclass(frozen=True, eq=False)
class InParameter:
    """Derivatives in a parameter psi: dl, dl_a and dl_ab of the predictors that may have random effects."""

    loglik: Array
    first: dict[int, Array]
    second: Second


@dataclass(frozen=True)
class SeveralPredictors:
    """How the predictors of a row make its density.

    Attributes
    ----------
    names : tuple of str
        The mean's, then those of `ZERO` and `DISPERSION` that there are.
    """

    names: tuple[str, ...]

    @property
    def zero(self) -> int | None:
        """Place of the predictor of zeros."""
        return self.names.index(ZERO) if ZERO in self.names else None

    @property
    def dispersion(self) -> int | None:
        """Place of the dispersion's predictor."""
        return self.names.index(DISPERSION) if DISPERSION in self.names else None

    def phi(self, family: Family, eta: Array, phi: Array | float) -> Array | float:
        """The dispersion of every row at predictors (K, n)."""
        if self.dispersion is None:
            return phi
        return np.exp(family.dispersion_power * np.clip(eta[self.dispersion], -_FARTHEST, _FARTHEST))

    def loglik(self, family: Family, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        """Log density of every row, with all constants, at predictors (K, n)."""
        inner, weight = self._weights(family, prior)
        response, zero = self._responses(family, y)
        value = family.loglik(response, inner, eta[0], self.phi(family, eta, phi))
        if self.zero is None:
            return value
        zeta = eta[self.zero]
        at_zero = np.logaddexp(zeta, value) if family.has_zero else zeta
        return weight * (np.where(zero, at_zero, value) - np.logaddexp(0.0, zeta))

    def derivatives(self, family: Family, y: Array, prior: Array, eta: Array, phi: Array | float) -> RowDerivatives:
        """Derivatives in the predictors."""
        inner, weight = self._weights(family, prior)
        response, zero = self._responses(family, y)
        rows = self.phi(family, eta, phi)
        terms = family.terms(response, inner, eta[0], rows)
        slope = family.observed_slope(response, inner, eta[0], rows, terms)
        l1, l2, l3 = terms.score, -terms.observed, -slope
        first, expected = np.empty(eta.shape), np.empty(eta.shape)
        r, s, t = self._shares(family, response, inner, eta, rows, zero)
        first[0] = r * l1
        second: Second = {(0, 0): s * l1**2 + r * l2}
        third: Third = {(0, 0, 0): t * l1**3 + 3.0 * s * l1 * l2 + r * l3}
        expected[0] = terms.expected
        if self.zero is not None:
            z, p, rest = self.zero, expit(eta[self.zero]), expit(-eta[self.zero])
            first[z] = zero * (1.0 - r) - p
            second[0, z] = -s * l1
            second[z, z] = s - p * rest
            third[0, z, 0] = third[0, 0, z] = -(t * l1**2 + s * l2)
            third[0, z, z] = third[z, z, 0] = t * l1
            third[z, z, z] = -t - p * rest * (rest - p)
            expected[0] *= rest
            # E[score^2] with P(y = 0) = p / (1 - r) where y = 0 is seen; of a hurdle p (1 - p).
            expected[z] = p * rest
        if self.dispersion is not None:
            d = self.dispersion
            in_phi = self._in_parameter(
                family.dispersion_power, family.dispersion_terms(response, inner, eta[0], rows), l1, l2, r, s, t
            )
            first[d] = in_phi.loglik
            second[0, d] = in_phi.first[0]
            second[d, d] = -(in_phi.loglik**2)
            third[0, 0, d] = in_phi.second[0, 0]
            expected[d] = in_phi.loglik**2 + _SMALLEST
            if self.zero is not None:
                second[self.zero, d] = in_phi.first[self.zero]
                third[0, self.zero, d] = in_phi.second[0, self.zero]
                third[self.zero, self.zero, d] = in_phi.second[self.zero, self.zero]
        weighted = {k: weight * v for k, v in second.items()}, {k: weight * v for k, v in third.items()}
        return RowDerivatives(weight * first, *weighted, weight * expected)

    def in_tail(
        self, family: Family, y: Array, prior: Array, eta: Array, phi: Array | float
    ) -> tuple[InParameter, ...]:
        """Derivatives in the parameters of the family that are numbers for all rows."""
        inner, weight = self._weights(family, prior)
        response, zero = self._responses(family, y)
        rows = self.phi(family, eta, phi)
        others = family.tail_terms(response, inner, eta[0], rows)
        if not others:
            return ()
        terms = family.terms(response, inner, eta[0], rows)
        shares = self._shares(family, response, inner, eta, rows, zero)
        found = (self._in_parameter(1.0, d, terms.score, -terms.observed, *shares) for d in others)
        return tuple(
            InParameter(
                weight * f.loglik,
                {k: weight * v for k, v in f.first.items()},
                {k: weight * v for k, v in f.second.items()},
            )
            for f in found
        )

    def _in_parameter(
        self, power: float, d: DispersionTerms, l1: Array, l2: Array, r: Array, s: Array, t: Array
    ) -> InParameter:
        lp, l1p, l2p = power * d.loglik, power * d.score, -power * d.weight
        first = {0: s * l1 * lp + r * l1p}
        second: Second = {(0, 0): t * l1**2 * lp + s * (2.0 * l1 * l1p + l2 * lp) + r * l2p}
        if self.zero is not None:
            z = self.zero
            first[z] = -s * lp
            second[0, z] = -(t * l1 * lp + s * l1p)
            second[z, z] = t * lp
        return InParameter(r * lp, first, second)

    def _weights(self, family: Family, prior: Array) -> tuple[Array, Array | float]:
        """Prior weights inside the family, and those of the whole row: of trials a family must know."""
        if self.zero is None or family.kind == "proportion":
            return prior, 1.0
        return np.ones(len(prior)), prior

    def _responses(self, family: Family, y: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Responses that the family has a density for, and where y is zero."""
        zero = y == 0.0
        if self.zero is None or family.has_zero:
            return y, zero
        # What stands for a zero that the family does not know never counts.
        return np.where(zero, 1.0 if family.support.whole else 0.5, y), zero

    def _shares(
        self, family: Family, y: Array, prior: Array, eta: Array, phi: Array | float, zero: NDArray[np.bool_]
    ) -> tuple[Array, Array, Array]:
        """r, s and t."""
        r = np.ones(len(y))
        if self.zero is None:
            return r, np.zeros(len(y)), np.zeros(len(y))
        if family.has_zero:
            rest = np.zeros(len(y))
            with np.errstate(over="ignore"):
                odds = family.loglik(y, prior, eta[0], phi) - eta[self.zero]
            r, rest = np.where(zero, expit(odds), 1.0), np.where(zero, expit(-odds), 0.0)
        else:
            r, rest = np.where(zero, 0.0, 1.0), np.where(zero, 1.0, 0.0)
        s = r * rest
        return r, s, s * (rest - r)


# Logarithms of dispersions farther out have powers that are no doubles.
_FARTHEST = 50.0
