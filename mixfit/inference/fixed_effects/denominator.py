r"""The ways to find denominator degrees of freedom, behind one interface, and which of them ``"auto"`` takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.defaults import options, read_ddf
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.fixed_effects import kenward_roger as kr
from mixfit.inference.fixed_effects import satterthwaite as satt
from mixfit.inference.fixed_effects.kenward_roger import ScaledF
from mixfit.lmm.residual.moments import ResidualInformation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, LinearFit
    from mixfit.lmm.information import VarianceInformation

    Array = NDArray[np.float64]

__all__ = [
    "FEW_GROUPS",
    "Denominator",
    "automatic",
    "denominator",
    "fewest_groups",
    "parse_ddf",
    "reml_fit",
    "robust_notes",
]

#: With fewer groups of some factor ``"auto"`` is Kenward and Roger's method. In docs/p_values.md Satterthwaite's tests
#: at 5 % reject in 9.5 % with 5 groups, 8.5 % with 10 and 4.8 % with 20, Kenward and Roger's in 0.8, 6.5 and 4.0 %: the
#: line is drawn where one that finds too little begins to be the lesser harm; above it lmerTest's convention holds.
FEW_GROUPS = 10
# Multiplications that ``"auto"`` spends on degrees of freedom, some two seconds of one core: a summary is not to take
# longer than the fits that it is printed for.
_AFFORDABLE = 4e10
# Factorizations of the trailing block that its second derivatives cost, for each variance parameter: an inverse, and
# products with it on both sides.
_FACTORIZATIONS = 4.0

_LABELS = {
    "kenward-roger": "Kenward-Roger's method",
    "kenward-roger-second-order": "Kenward-Roger's method with second derivatives",
    "kenward-roger-observed": "Kenward-Roger's method by the observed information",
    "kenward-roger-expected": "Kenward-Roger's method by the expected information",
}
_NORMAL = "Tests are by the normal distribution: "
_TOO_LARGE = _NORMAL + "degrees of freedom would take {work:.0e} multiplications (ddf='satterthwaite' has them)."
_GIVEN = _NORMAL + "degrees of freedom would need the information of a variance, and one is given."
_NO_MINIMUM = (
    _NORMAL + "the criterion curves downwards in a variance parameter, and without a covariance of the variances there "
    "are no degrees of freedom."
)
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


def fewest_groups(fit: Fit) -> int | None:
    """Levels of the grouping factor that has fewest; None without random terms."""
    return min((term.n_groups for term in fit.model.design.random), default=None)


def automatic(fit: Fit) -> tuple[str, tuple[str, ...]]:
    """The method that ``ddf="auto"`` is for a fit, and the reason where it is not the usual one.

    A linear model has Satterthwaite's, or Kenward and Roger's where it was fitted by REML to independent residuals, not
    by ``solver="iterative"``, and some grouping factor has fewer than `FEW_GROUPS` levels. The normal distribution is
    that of all other models, and of linear ones whose variances have no information to make degrees of freedom of, or
    too much of it: see `_work`. A fit that is seen with a robust covariance has Satterthwaite's for that.
    """
    if not is_linear(fit):
        return "z", ()
    if getattr(fit, "own_denominator", None) is not None:
        return "satterthwaite", ()
    if any(term.structure.is_given for term in fit.model.design.random):
        return "z", (_GIVEN,)
    if is_structured(fit):
        # Their information is that of a step of the search, which has been paid for many times.
        return "satterthwaite", ()
    work = _work(fit)
    if work > _AFFORDABLE:
        return "z", (_TOO_LARGE.format(work=work),)
    structures = [term.structure for term in fit.model.design.random]
    if not satt.curves_upwards(fit.variance_information, structures, fit.estimate.theta, reml=fit.reml):
        return "z", (_NO_MINIMUM,)
    groups = fewest_groups(fit)
    # Kenward and Roger's corrections multiply the errors of traces that are estimated by random vectors.
    is_sampled = fit.certificate.sampling_error > 0.0
    few = fit.reml and groups is not None and groups < FEW_GROUPS and not is_sampled
    return "kenward-roger" if few else "satterthwaite", ()


def _work(fit: LinearFit) -> float:
    """Multiplications that the information of the variances takes, known before any of it is computed.

    With m variance parameters, p fixed effects and q random effects the products among the m (p + 1) loaded columns are
    (m (p + 1))^2 q; the trailing block of crossed factors adds `_FACTORIZATIONS` of its factorizations a parameter.
    """
    problem = fit.model.assembly.problem
    gram, block = problem.gram, problem.plan.block
    q = sum(k * levels for k, levels in zip(gram.k, gram.n_levels, strict=True))
    m = len(fit.estimate.theta) + 1
    trailing = 0.0 if block is None else _FACTORIZATIONS * m * block.cost.flops
    return float((m * (problem.p + 1)) ** 2 * q) + trailing


def _resolved(fit: Fit, ddf: str | None) -> tuple[str, tuple[str, ...]]:
    """The method by its name, and what ``"auto"`` says of its choice."""
    name = options.ddf if ddf is None else read_ddf(ddf)
    if name == "auto":
        return automatic(fit)
    if ddf is None and name != "z" and getattr(fit, "own_denominator", None) is not None:
        # What the session asks of the models' own covariances says nothing of others.
        return automatic(fit)
    if is_linear(fit) or name == "z":
        return name, ()
    if ddf is None:
        # What the session asks of linear models says nothing of others.
        return "z", ()
    raise FitError(f"ddf={ddf!r} is for linear mixed models; the tests of other models are asymptotic (ddf='z').")


def robust_notes(fit: Fit) -> tuple[str, ...]:
    """What tables say of a generalized fit whose covariance is by clusters; nothing of others."""
    said = str(getattr(fit.estimate, "robust", ""))
    return (said,) if said else ()


def parse_ddf(fit: Fit, ddf: str | None) -> str:
    """The method asked for, by its name and never ``"auto"``; that of `mixfit.options` where none is.

    Raises
    ------
    FitError
        For a name that is none, and for degrees of freedom of a generalized model.
    """
    return _resolved(fit, ddf)[0]


def reml_fit(fit: LinearFit) -> LinearFit:
    """The fit itself, or its REML refit, kept with it."""
    return fit.reml_fit


def denominator(fit: Fit, ddf: str | None) -> Denominator:
    """What tests of `fit` by the method `ddf` need."""
    kind, notes = _resolved(fit, ddf)
    own = getattr(fit, "own_denominator", None)
    if own is not None:
        # A fit that is seen with another covariance brings the degrees of freedom of its tests.
        found: Denominator = own(kind)
        return found
    beta, cov = fit.estimate.beta, fit.estimate.cov_beta
    if not len(beta):
        raise FitError("The model has no fixed effects to test.")
    if not is_linear(fit) or kind == "z":
        notes = (*notes, *robust_notes(fit))
        return Constant(beta, cov, cov, float("nan"), "the normal distribution", notes, float("inf"))
    if kind.startswith("kenward-roger"):
        return _kenward_roger(fit, kind)
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


def _kenward_roger(fit: LinearFit, kind: str) -> KenwardRoger:
    refit = reml_fit(fit)
    known = refit.variance_information
    adjustment = (
        _adjusted_residuals(known, kind) if isinstance(known, ResidualInformation) else _adjusted(refit, known, kind)
    )
    notes = () if fit.reml else (_REFITTED.format(method="Kenward-Roger's"),)
    return KenwardRoger(
        refit.estimate.beta,
        adjustment.cov_beta,
        adjustment.adjusted,
        refit.sigma,
        _LABELS[kind],
        notes,
        adjustment,
    )


def _adjusted_residuals(known: ResidualInformation, kind: str) -> kr.Adjustment:
    """By the observed Hessian, as SAS PROC MIXED and mmrm have it, unless the expected information is asked for."""
    weights = known.expected if kind == "kenward-roger-expected" else known.covariance
    adjusted = known.second_order if kind == "kenward-roger-second-order" else known.adjusted_by(weights)
    return kr.Adjustment(known.cov_beta, adjusted, -known.jacobian, weights)


def _adjusted(fit: LinearFit, known: VarianceInformation, kind: str) -> kr.Adjustment:
    """By the expected information, as pbkrtest has it, unless the observed one is asked for."""
    if kind == "kenward-roger-second-order":
        bent = [term.text for term in fit.model.design.random if not term.structure.free_blocks]
        if bent:
            raise FitError(
                f"ddf='kenward-roger-second-order' is for models with residual=: {bent[0]} has parameters that the "
                "covariance is not linear in, and their second derivatives are not taken. ddf='kenward-roger' goes "
                "without."
            )
    return kr.adjust(known, observed=kind == "kenward-roger-observed")
