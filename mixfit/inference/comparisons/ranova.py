"""Single-term deletions of random effects, as lmerTest's ``ranova``: refits from the same cross-products."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.arguments import check_flag
from mixfit.covariance.structure import Invariance
from mixfit.errors import ComparisonError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram.basis import fixed_basis
from mixfit.inference.comparisons.candidates import outside_columns, same_levels
from mixfit.inference.comparisons.drop1 import Minimum, minimum
from mixfit.inference.comparisons.likelihood_ratio import chi_square_tail
from mixfit.inference.comparisons.terms import deletable, random_terms, remaining_columns
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.residual.estimate import joint_problem
from mixfit.lmm.residual.minimize import minimize_joint
from mixfit.lmm.residual.start import joint_starts
from mixfit.lmm.submodel import with_random
from mixfit.matrices.across import refuse_given
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import LinearFit
    from mixfit.fitted.residual_covariance import StructuredFit
    from mixfit.inference.comparisons.terms import CodedTerm
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["MIXTURE", "Reduction", "mixture_tail", "ranova", "reductions"]

MIXTURE = "Pr(>mix)"


@dataclass(frozen=True, eq=False)
class Reduction:
    """A random term with less in it.

    Attributes
    ----------
    name : str
    term : int
        Place of the term in the formula.
    columns : ndarray, shape (k, c), or None
        A such that Z A is what is left of it; None where nothing is.
    n_lost : int
        Free entries of its factor that are lost.
    n_effects : int or None
        Size k of the covariance matrix that loses one column; None where it loses more than one.
    """

    name: str
    term: int
    columns: Array | None
    n_lost: int
    n_effects: int | None


def ranova(fit: LinearFit, *, reduce_terms: bool = True) -> Table:
    r"""Leave out one random term, or one of its columns, at a time and test what is lost.

    As lmerTest's ``ranova``: fits by REML stay so, since the fixed effects are the same.

    Parameters
    ----------
    reduce_terms : bool
        Whether a term such as ``(x | g)`` loses x and stays ``(1 | g)``; otherwise whole terms are left out.
        Terms of independent columns, ``(x || g)``, are taken apart in any case, as lme4 takes them apart.

    Returns
    -------
    Table
        Rows ``<none>`` and ``(1 | g)`` or ``x in (x | g)``; columns ``npar``, ``logLik``, ``AIC``, ``LRT``,
        ``Df``, ``Pr(>mix)``, the p-value of the mixture below, and ``Pr(>Chisq)``, that of lmerTest.

    Notes
    -----
    A variance of zero lies on the boundary of the parameter space, and ``Pr(>Chisq)`` is too large. Where one
    column of a term of k is left out, the likelihood-ratio statistic is asymptotically distributed as
    0.5 chi2(k - 1) + 0.5 chi2(k), chi2(0) being zero for certain (Self & Liang 1987, case 6; Stram & Lee
    1994, Biometrics 50:1171); for a scalar term, k = 1, that halves the p-value. The mixture holds for many
    levels of the grouping factor, and where the variances that remain are positive; with few levels it is
    itself too large, and `mixfit.exact_rlrt` is exact for one variance. The weights have no such simple form
    where more than one column of an unstructured term is left out, and the p-value is then missing.

    Unlike lmerTest, a lone ``(0 + x | g)`` is left out whole: ``(1 | g)`` in its place would be no special
    case. A term such as ``(0 + f | g)`` of a factor f becomes ``(1 | g)``, which is.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> table = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().ranova()
    >>> table.frame["LRT"].round(3).tolist()
    [nan, 42.837]
    """
    refuse_given(fit.model.design.random, "ranova")
    if not is_linear(fit):
        raise ComparisonError(f"ranova takes linear fits, not {type(fit).__name__}: compare fits by anova(m0, m1).")
    check_flag("reduce_terms", reduce_terms)
    found = reductions(fit, reduce_terms)
    fits = [Minimum(fit.estimate.criterion, fit.converged)]
    fits += [_refit(fit, reduction) for reduction in found]
    values = np.array([m.criterion for m in fits])
    lost = np.array([0, *(r.n_lost for r in found)])
    npar = fit.npar - lost
    statistic = np.concatenate([[np.nan], np.maximum(values[1:] - values[0], 0.0)])
    df = np.where(np.arange(len(lost)) > 0, lost, np.nan)
    frame = pd.DataFrame(
        {
            "npar": npar,
            "logLik": -0.5 * values,
            "AIC": [wald.aic(-0.5 * value, int(n)) for value, n in zip(values, npar, strict=True)],
            "LRT": statistic,
            "Df": df,
            MIXTURE: [np.nan, *(mixture_tail(s, r.n_effects) for s, r in zip(statistic[1:], found, strict=True))],
            "Pr(>Chisq)": chi_square_tail(statistic, df),
        },
        index=["<none>", *(r.name for r in found)],
    )
    notes = [f"{MIXTURE}: of 0.5 chi2(Df - 1) + 0.5 chi2(Df), since a variance is zero under the hypothesis"]
    if any(r.n_effects is None for r in found):
        notes.append("(blank where a hypothesis sets several variances of one term to zero)")
    notes += [
        f"The fit without {r.name} did not converge" for r, m in zip(found, fits[1:], strict=True) if not m.converged
    ]
    return Table(
        frame,
        heading=(
            "ANOVA-like table for random-effects: Single term deletions",
            "",
            "Model:",
            fit.model.formula_text,
        ),
        notes=tuple(notes),
        p_column="Pr(>Chisq)",
        more_p_columns=(MIXTURE,),
    )


def mixture_tail(statistic: float, k: int | None) -> float:
    """Upper tail of 0.5 chi2(k - 1) + 0.5 chi2(k), where chi2(0) is zero for certain; NaN for k = None.

    The asymptotic distribution of the likelihood-ratio statistic for one column of k in a random term, under the
    hypothesis that it has no variance (Self & Liang 1987, JASA 82:605; Stram & Lee 1994, Biometrics 50:1171).

    Examples
    --------
    >>> round(mixture_tail(2.705543, 1), 4), mixture_tail(0.0, 1)
    (0.05, 1.0)
    """
    from scipy.special import chdtrc

    if k is None:
        return float("nan")
    if statistic <= 0.0:
        return 1.0
    lower = float(chdtrc(k - 1, statistic)) if k > 1 else 0.0
    return 0.5 * lower + 0.5 * float(chdtrc(k, statistic))


def _refit(fit: LinearFit, reduction: Reduction) -> Minimum:
    if is_structured(fit):
        return _refit_beside_residuals(fit, reduction)
    problem, reml = fit.model.assembly.problem, fit.reml
    columns: list[Array | None] = [np.eye(term.k) for term in problem.terms]
    columns[reduction.term] = reduction.columns
    smaller = with_random(fit.model.assembly, columns)
    if smaller is not None:
        return minimum(smaller, reml=reml)
    # Least squares, with the constants of the criterion: every variance ratio zero.
    return Minimum(evaluate(problem, [np.zeros((t.k, t.k)) for t in problem.terms], reml=reml).value, converged=True)


def _refit_beside_residuals(fit: StructuredFit, reduction: Reduction) -> Minimum:
    """From the rows with Z A in place of Z: the residuals' parameters are estimated anew."""
    design, model, random = fit.model.design, fit.model, []
    for place, term in enumerate(design.random):
        if place != reduction.term:
            random.append(term)
        elif reduction.columns is not None:
            Z, k = term.Z @ reduction.columns, reduction.columns.shape[1]
            names = tuple(str(column) for column in range(k))
            random.append(replace(term, Z=Z, structure=term.structure.restricted(k), columns=names))
    problem = joint_problem(replace(design, random=tuple(random)), model.problem.form, model.residual)
    optimum = minimize_joint(problem, joint_starts(problem), reml=fit.reml)
    return Minimum(optimum.derivatives.at.value, optimum.certificate.converged)


def reductions(fit: LinearFit, reduce_terms: bool) -> list[Reduction]:
    """Every deletion of a term, or of a part of one, in the order of the formula."""
    design = fit.model.design
    out: list[Reduction] = []
    for place, (term, coded) in enumerate(zip(design.random, random_terms(design), strict=True)):
        others = [other for other in design.random if other is not term]
        if term.structure.is_separable:
            out += _independent(place, term, coded)
        elif reduce_terms and term.structure.invariance is Invariance.ANY_BASIS and (scope := deletable(coded)):
            out += [_part(place, term, coded, dropped, others) for dropped in scope]
        else:
            out.append(_whole(term.text, place, term))
    return out


def _whole(name: str, place: int, term: RandomDesign) -> Reduction:
    lost = term.structure.n_parameters
    return Reduction(name, place, None, lost, 1 if lost == 1 else None)


def _independent(place: int, term: RandomDesign, coded: Sequence[CodedTerm]) -> list[Reduction]:
    """Each term left of ``||`` by itself: its columns have variances of their own."""
    k = len(term.columns)
    out = []
    for part in coded:
        left = np.eye(k)[:, [j for j in range(k) if j not in part.columns]]
        lost = len(part.columns)
        bar = "|" if lost == 1 else "||"
        group = term.grouping.name
        name = f"{part.name} in (0 + {part.name} {bar} {group})" if part.factors else f"(1 | {group})"
        out.append(Reduction(name, place, left if left.shape[1] else None, lost, 1 if lost == 1 else None))
    return out


def _part(
    place: int, term: RandomDesign, coded: Sequence[CodedTerm], dropped: CodedTerm, others: Sequence[RandomDesign]
) -> Reduction:
    """What is left of an unstructured term without one of its terms."""
    name, k = f"{dropped.name} in {term.text}", len(term.columns)
    left = _independent_columns(remaining_columns(coded, [dropped]), term.Z)
    if not left.shape[1]:
        left = _constant(term, others)
    c = left.shape[1]
    lost = term.structure.n_parameters - term.structure.restricted(c).n_parameters
    return Reduction(name, place, left if c else None, lost, k if k - c == 1 else None)


def _independent_columns(A: Array, Z: Array) -> Array:
    """The columns of A whose products Z A are independent."""
    return A[:, fixed_basis(np.ascontiguousarray((Z @ A).T)).kept]


def _constant(term: RandomDesign, others: Sequence[RandomDesign]) -> Array:
    """Coefficients (k, 1) of the constant among a term's columns; (k, 0) where it is not, or is a term already."""
    ones = np.ones((len(term.Z), 1))
    present = any(
        same_levels(other, term) and not other.structure.is_separable and not outside_columns(other.Z, ones).any()
        for other in others
    )
    if present or outside_columns(term.Z, ones).any():
        return np.empty((len(term.columns), 0))
    return np.asarray(np.linalg.lstsq(term.Z, ones, rcond=None)[0])
