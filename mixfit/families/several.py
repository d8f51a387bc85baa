r"""Distributions with more linear predictors than the mean's: of the probability of a further zero, of the dispersion.

With the family's log density l(y | eta, delta) and pi = logistic(zeta),

    y = 0:   log(pi + (1 - pi) e^l),  or log pi where the family itself has no zero (a hurdle),
    y > 0:   log(1 - pi) + l.

With r the share of the family in a zero (1 elsewhere), s = r (1 - r), t = s (1 - 2 r) and q = 1 where y = 0, the
derivatives are

    zeta: q (1 - r) - pi,      eta: r l',      eta eta: s l'^2 + r l'',      zeta zeta: s - pi (1 - pi),
    zeta eta: -s l',      eta^3: t l'^3 + 3 s l' l'' + r l''',      zeta eta eta: -(t l'^2 + s l''),
    zeta zeta eta: t l',      zeta^3: -t - pi (1 - pi) (1 - 2 pi),

and likewise with the derivatives in delta, or any other parameter, for those in eta: of any of them a, b, c

    a b: s l_a l_b + r l_ab,      a b c: t l_a l_b l_c + s (l_a l_bc + l_b l_ac + l_c l_ab) + r l_abc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import expit

from mixfit.families.curvature import dispersion_curvature, shape_curvature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.families.declared import DispersionTerms

    Array = NDArray[np.float64]
    Second = dict[tuple[int, int], Array]
    Third = dict[tuple[int, int, int], Array]

__all__ = ["DISPERSION", "ZERO", "InParameter", "PredictorDensity", "RowDerivatives", "SeveralPredictors"]

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


class PredictorDensity(Protocol):
    """How the predictors of a row make its density: see `SeveralPredictors`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the predictors."""

    @property
    def zero(self) -> int | None:
        """Place of the predictor of zeros."""

    @property
    def dispersion(self) -> int | None:
        """Place of the dispersion's predictor."""

    def loglik(self, family: Any, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        """Log density of every row, with all constants, at predictors (K, ..., n)."""

    def derivatives(self, family: Any, y: Array, prior: Array, eta: Array, phi: Array | float) -> RowDerivatives:
        """Derivatives in the predictors."""

    def in_tail(self, family: Any, y: Array, prior: Array, eta: Array, phi: Array | float) -> tuple[InParameter, ...]:
        """Derivatives in the parameters of the family that are numbers for all rows."""

    def constants(self, family: Any, y: Array, prior: Array) -> Array:
        """First guesses of predictors that are the same in all rows, shape (K,)."""


@dataclass(frozen=True)
class SeveralPredictors:
    """How the predictors of a row make its density.

    Attributes
    ----------
    names : tuple of str
        The mean's, then those of `ZERO` and `DISPERSION` that there are.
    curved : bool
        Whether the dispersion has random effects, which ask for second and third derivatives in its predictor.
    """

    names: tuple[str, ...]
    curved: bool = False

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
        # Where its parts overflow against one another there is no density left.
        value = np.where(np.isnan(value), -np.inf, value)
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
        own = self._own(family, response, inner, eta, rows)
        shares = self._shares(family, response, inner, eta, rows, zero)
        r, s, t = shares
        l1, l2 = own.first, own.second
        first, expected = np.empty(eta.shape), np.empty(eta.shape)
        second: Second = {(a, b): s * l1[a] * l1[b] + r * value for (a, b), value in l2.items()}
        third: Third = {}
        for (a, b, c), value in own.third.items():
            cross = l1[a] * l2[b, c] + l1[b] * l2[a, c] + l1[c] * l2[a, b]
            _into(third, (a, b, c), t * l1[a] * l1[b] * l1[c] + s * cross + r * value)
        for a, value in l1.items():
            first[a] = r * value
        expected[0] = own.expected
        if self.zero is not None:
            z, p, rest = self.zero, expit(eta[self.zero]), expit(-eta[self.zero])
            first[z] = zero * (1.0 - r) - p
            second[z, z] = s - p * rest
            third[z, z, z] = -t - p * rest * (rest - p)
            for a, value in l1.items():
                second[min(a, z), max(a, z)] = -s * value
                _into(third, (a, z, z), t * value)
            for (a, b), value in l2.items():
                _into(third, (a, b, z), -(t * l1[a] * l1[b] + s * value))
            expected[0] *= rest
            # E[score^2] with P(y = 0) = p / (1 - r) where y = 0 is seen; of a hurdle p (1 - p).
            expected[z] = p * rest
        if self.dispersion is not None:
            d = self.dispersion
            # The information of a row is the mean square of its score: of all rows, since one score alone may be zero.
            square = first[d] ** 2
            expected[d] = np.maximum(square, square.mean(axis=-1, keepdims=True)) + _SMALLEST
            # Of a dispersion without random effects nothing moves with its curvature.
            second.setdefault((d, d), -(first[d] ** 2))
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
        own = self._own(family, response, inner, eta, rows)
        shares = self._shares(family, response, inner, eta, rows, zero)
        beside: list[Second] = [{} for _ in others]
        if self.dispersion is not None and self.curved:
            d, power = self.dispersion, family.dispersion_power
            curves = shape_curvature(family, response, inner, eta[0], np.asarray(rows))
            beside = [{(d, -1): power * c.first, (0, d): power * c.mixed, (d, d): power**2 * c.second} for c in curves]
        found = (self._in_parameter(other, more, own, shares) for other, more in zip(others, beside, strict=True))
        return tuple(
            InParameter(
                weight * f.loglik,
                {k: weight * v for k, v in f.first.items()},
                {k: weight * v for k, v in f.second.items()},
            )
            for f in found
        )

    def constants(self, family: Family, y: Array, prior: Array) -> Array:
        """Of the mean, the share of zeros, a first guess of the dispersion, as numbers for all rows: shape (K,)."""
        every, zeros = len(y), np.sum(y == 0.0)
        positive = y > 0.0
        # Half of the zeros are taken for the family's own.
        if self.zero is not None and (not family.has_zero or positive.any()):
            y, prior = (y[positive], prior[positive]) if family.has_zero else (y[y != 0.0], prior[y != 0.0])
        mean = np.full(1, float(prior @ family.start_mean(y, prior) / prior.sum()))
        out = np.zeros(len(self.names))
        out[0] = float(family.link.eta(mean)[0])
        if self.zero is not None:
            share = (zeros + 0.5) / (every + 1.0)
            share = 0.5 * share if family.has_zero else share
            out[self.zero] = np.log(share / (1.0 - share))
        if self.dispersion is not None:
            with np.errstate(all="ignore"):
                phi = family.start_dispersion(y, prior, np.full(len(y), mean[0]))
            if np.isfinite(phi) and phi > 0.0:
                out[self.dispersion] = np.log(phi) / family.dispersion_power
        return out

    def _own(self, family: Family, y: Array, prior: Array, eta: Array, phi: Array | float) -> _Own:
        """Derivatives of the family's log density in its own predictors."""
        terms = family.terms(y, prior, eta[0], phi)
        slope = family.observed_slope(y, prior, eta[0], phi, terms)
        own = _Own({0: terms.score}, {(0, 0): -terms.observed}, {(0, 0, 0): -slope}, terms.expected)
        if self.dispersion is None:
            return own
        d, power = self.dispersion, family.dispersion_power
        in_phi = family.dispersion_terms(y, prior, eta[0], phi)
        own.first[d] = power * in_phi.loglik
        own.second[0, d] = power * in_phi.score
        own.third[0, 0, d] = -power * in_phi.weight
        if self.curved:
            curve = dispersion_curvature(family, y, prior, eta[0], np.asarray(phi))
            own.second[d, d] = power**2 * curve.second
            own.third[0, d, d] = power**2 * curve.mixed
            own.third[d, d, d] = power**3 * curve.third
        return own

    def _in_parameter(
        self, d: DispersionTerms, beside: Second, own: _Own, shares: tuple[Array, Array, Array]
    ) -> InParameter:
        """Derivatives in one parameter; `beside` has those with the dispersion's predictor, (d, -1) being l_dp."""
        r, s, t = shares
        l1, l2, lp = own.first, own.second, d.loglik
        l1p: dict[int, Array] = {0: d.score}
        l2p: Second = {(0, 0): -d.weight}
        for (a, b), value in beside.items():
            if b < 0:
                l1p[a] = value
            else:
                l2p[a, b] = value
        first = {a: s * l1[a] * lp + r * value for a, value in l1p.items()}
        second: Second = {}
        for (a, b), value in l2p.items():
            cross = l1p[a] * l1[b] + l1p[b] * l1[a] + l2[a, b] * lp
            second[a, b] = t * l1[a] * l1[b] * lp + s * cross + r * value
        if self.zero is not None:
            z = self.zero
            first[z] = -s * lp
            second[z, z] = t * lp
            for a, value in l1p.items():
                second[min(a, z), max(a, z)] = -(t * l1[a] * lp + s * value)
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


@dataclass(frozen=True, eq=False)
class _Own:
    """Derivatives of the family's log density in its own predictors, the mean's and the dispersion's, by places."""

    first: dict[int, Array]
    second: Second
    third: Third
    expected: Array


def _into(third: Third, places: tuple[int, int, int], value: Array) -> None:
    """A third derivative under each pair of its places in order, with the place that is left."""
    a, b, c = sorted(places)
    third[a, b, c] = third[a, c, b] = third[b, c, a] = value


# Logarithms of dispersions farther out have powers that are no doubles.
_FARTHEST = 50.0
