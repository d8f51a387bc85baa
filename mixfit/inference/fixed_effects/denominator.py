"""The ways to find denominator degrees of freedom, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.inference.fixed_effects import kenward_roger as kr
from mixfit.inference.fixed_effects import satterthwaite as satt
from mixfit.inference.fixed_effects.kenward_roger import ScaledF
from mixfit.lmm.residual.moments import ResidualInformation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, LinearFit

    Array = NDArray[np.float64]

__all__ = ["Ddf", "Denominator", "denominator", "parse_ddf", "reml_fit"]

Ddf = Literal["satterthwaite", "kenward-roger", "residual", "none"]

_REFITTED = "The fit is by maximum likelihood; {method} method is for REML: these are the numbers of its REML refit."


@dataclass(frozen=True, eq=False)
class Denominator(ABC):
    """A fit seen by its tests.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    test_cov : ndarray, shape (p, p)
        Phi, which the rank of a hypothesis is judged in.
    cov : ndarray, shape (p, p)
        The covariance that standard errors come from.
    sigma : float
        Residual standard deviation, for sums of squares.
    label : str
        ``"Satterthwaite's method"``, to say in headings.
    notes : tuple of str
    """

    beta: Array
    test_cov: Array
    cov: Array
    sigma: float
    label: str
    notes: tuple[str, ...]

    @abstractmethod
    def df(self, L: Array) -> Array:
        """Degrees of freedom of every row of L (q, p) by itself."""

    @abstractmethod
    def joint(self, rows: Array, difference: Array, variances: Array) -> ScaledF:
        """Test rows (q, p) of diagonal covariance `variances` (q,); `difference` is their distance from rhs."""


@dataclass(frozen=True, eq=False)
class Satterthwaite(Denominator):
    """Degrees of freedom from the observed Hessian."""

    moments: satt.DfMoments

    def df(self, L: Array) -> Array:
        return satt.satterthwaite_df(self.moments, L)

    def joint(self, rows: Array, difference: Array, variances: Array) -> ScaledF:
        statistic = float((difference**2 / variances).mean())
        return ScaledF(statistic, len(rows), satt.combine_df(self.df(rows)), 1.0)


@dataclass(frozen=True, eq=False)
class KenwardRoger(Denominator):
    """Degrees of freedom and scale from the expected information."""

    adjustment: kr.Adjustment

    def df(self, L: Array) -> Array:
        return kr.kenward_roger_df(self.adjustment, L)

    def joint(self, rows: Array, difference: Array, variances: Array) -> ScaledF:
        root = np.sqrt(variances)
        return kr.scaled_f(self.adjustment, rows / root[:, None], difference / root)


@dataclass(frozen=True, eq=False)
class Constant(Denominator):
    """The same degrees of freedom for every hypothesis; infinite for the normal distribution."""

    value: float

    def df(self, L: Array) -> Array:
        return np.full(len(L), self.value)

    def joint(self, rows: Array, difference: Array, variances: Array) -> ScaledF:
        return ScaledF(float((difference**2 / variances).mean()), len(rows), self.value, 1.0)


def parse_ddf(fit: Fit, ddf: str | None) -> Ddf:
    """The method asked for, or the default of the kind of model.

    Raises
    ------
    FitError
        For a name that is none, and for degrees of freedom of a generalized model.
    """
    linear = is_linear(fit)
    if ddf is None:
        return "satterthwaite" if linear else "none"
    name = str(ddf).lower().replace("_", "-")
    for known in get_args(Ddf):
        if name == known:
            if not linear and known != "none":
                raise FitError(
                    f"ddf={ddf!r} is for linear mixed models; the tests of a generalized model are asymptotic "
                    "(ddf='none')."
                )
            return known
    raise FitError(f"ddf is one of {', '.join(map(repr, get_args(Ddf)))}, not {ddf!r}.")


def reml_fit(fit: LinearFit) -> LinearFit:
    """The fit itself, or its REML refit, kept with it."""
    return fit.reml_fit


def denominator(fit: Fit, ddf: str | None) -> Denominator:
    """What tests of `fit` by the method `ddf` need."""
    kind = parse_ddf(fit, ddf)
    own = getattr(fit, "own_denominator", None)
    if own is not None:
        # A fit that is seen with another covariance brings the degrees of freedom of its tests.
        found: Denominator = own(kind)
        return found
    beta, cov = fit.estimate.beta, fit.estimate.cov_beta
    if not len(beta):
        raise FitError("The model has no fixed effects to test.")
    if not is_linear(fit) or kind == "none":
        return Constant(beta, cov, cov, float("nan"), "the normal distribution", (), float("inf"))
    if kind == "kenward-roger":
        return _kenward_roger(fit)
    if kind == "residual":
        degrees = float(fit.nobs - len(beta))
        return Constant(beta, cov, cov, fit.sigma, "residual degrees of freedom", (), degrees)
    structures = [term.structure for term in fit.model.design.random]
    known = fit.variance_information
    moments = (
        satt.DfMoments(known.cov_beta, known.jacobian, known.covariance)
        if isinstance(known, ResidualInformation)
        else satt.moments(known, structures, fit.estimate.theta, reml=fit.reml)
    )
    return Satterthwaite(beta, cov, cov, fit.sigma, "Satterthwaite's method", (), moments)


def _kenward_roger(fit: LinearFit) -> KenwardRoger:
    refit = reml_fit(fit)
    known = refit.variance_information
    adjustment = (
        kr.Adjustment(known.cov_beta, known.adjusted, -known.jacobian, known.covariance)
        if isinstance(known, ResidualInformation)
        else kr.adjust(known)
    )
    notes = () if fit.reml else (_REFITTED.format(method="Kenward-Roger's"),)
    return KenwardRoger(
        refit.estimate.beta,
        adjustment.cov_beta,
        adjustment.adjusted,
        refit.sigma,
        "Kenward-Roger's method",
        notes,
        adjustment,
    )
