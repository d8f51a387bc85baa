"""Single-term deletions of fixed effects, as lme4's ``drop1``: refits from the products of the whole model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from mixfit.errors import ComparisonError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram.basis import fixed_basis
from mixfit.gram.residual import ResidualStage
from mixfit.inference.comparisons.likelihood_ratio import chi_square_tail
from mixfit.inference.comparisons.terms import deletable, fixed_terms, remaining_columns
from mixfit.inference.fixed_effects.tables import deletion_f_table
from mixfit.inference.predictors import seen_from
from mixfit.lmm.residual.minimize import minimize_joint
from mixfit.lmm.residual.start import joint_starts
from mixfit.lmm.residual.submodel import with_fixed as with_fixed_residual
from mixfit.lmm.second_look import search
from mixfit.lmm.submodel import coordinates
from mixfit.matrices.types import MEAN
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.inference.comparisons.terms import CodedTerm
    from mixfit.lmm.problem import Problem
    from mixfit.lmm.residual.criterion import ResidualProblem

    Array = NDArray[np.float64]

__all__ = ["DropTest", "Minimum", "columns_without", "deletions", "drop1", "minimum", "term_contrasts"]

DropTest = Literal["chisq", "F", "none"]
_REFITTED = "REML fit: all models were refitted by ML"


@dataclass(frozen=True)
class Minimum:
    """What a comparison needs of a fit: the criterion at its minimum, and whether that is one."""

    criterion: float
    converged: bool


def minimum(problem: Problem, *, reml: bool) -> Minimum:
    """Fit a linear problem from its moment estimates."""
    optimum = search(problem, reml=reml)
    return Minimum(optimum.profile.value, optimum.certificate.converged)


def drop1(
    fit: Fit,
    *,
    test: DropTest = "chisq",
    scope: Sequence[str] | None = None,
    ddf: str | None = None,
    predictor: str = MEAN,
) -> Table:
    """Leave out one fixed-effects term at a time and test what is lost.

    Only terms that no other term contains are left out. The reduced models are fitted by maximum likelihood,
    and so is the model itself where it was fitted by REML, as lme4's ``drop1`` does.

    Parameters
    ----------
    test : {"chisq", "F", "none"}
        The likelihood-ratio test; for linear models, F tests of the same hypotheses in the fit itself, as
        lmerTest's ``drop1``; or no test.
    scope : sequence of str, optional
        Names of the terms to leave out; all that can be by default.
    ddf : str, optional
        Of the F tests, as in ``fit.anova``.
    predictor : {"mean", "zi", "dispersion"}
        Of a generalized model, whose terms are left out.

    Returns
    -------
    Table
        Rows ``<none>`` and the terms; columns ``npar`` (parameters lost), ``AIC``, ``LRT``, ``Pr(Chi)``. Of F
        tests the columns of ``fit.anova()``.

    Raises
    ------
    ComparisonError
        Where a term of `scope` is not in the model, or is contained in another one.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=False).drop1()
    Single term deletions
    <BLANKLINE>
    Model:
    Reaction ~ Days + (Days | Subject)
           npar    AIC    LRT   Pr(Chi)
    <none>      1763.9
    Days      1 1785.5 23.537 1.226e-06 ***
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    if test not in ("chisq", "F", "none"):
        raise ComparisonError(f"drop1 has the tests 'chisq', 'F' and 'none', not {test!r}.")
    if test == "F":
        if predictor != MEAN:
            raise ComparisonError("F tests are of the mean's fixed effects: use drop1(test='chisq').")
        return deletion_f_table(fit, term_contrasts(fit, scope), ddf)
    if ddf is not None:
        raise ComparisonError("ddf is for drop1(test='F'); a likelihood-ratio test has no denominator.")
    columns = deletions(fit, scope, predictor)
    full, reduced = _refits(fit, list(columns.values()), predictor)
    lost = _copies(fit) * np.array([len(c) - _rank(c) for c in columns.values()])
    values = np.array([full.criterion, *(m.criterion for m in reduced)])
    df = np.concatenate([[np.nan], lost])
    frame = pd.DataFrame(
        {"npar": df, "AIC": values + 2.0 * (fit.npar - np.concatenate([[0], lost]))},
        index=["<none>", *columns],
    )
    if test == "chisq":
        frame["LRT"] = np.concatenate([[np.nan], np.maximum(values[1:] - values[0], 0.0)])
        frame["Pr(Chi)"] = chi_square_tail(frame["LRT"].to_numpy(), df)
    notes = [_REFITTED] if fit.reml else []
    notes += [
        f"The fit of {n} did not converge"
        for n, m in zip(frame.index, [full, *reduced], strict=True)
        if not m.converged
    ]
    return Table(
        frame,
        heading=("Single term deletions", "", "Model:", fit.model.description),
        notes=tuple(notes),
        p_column="Pr(Chi)" if test == "chisq" else None,
    )


def deletions(fit: Fit, scope: Sequence[str] | None = None, predictor: str = MEAN) -> dict[str, Array]:
    """Coordinates, in the orthonormal basis of X, of what is left of it without each deletable term.

    Parameters
    ----------
    fit : MixedResults
    scope : sequence of str, optional
        Names of the terms; all that marginality allows by default.
    predictor : str
        Whose X that is.

    Returns
    -------
    dict of str to ndarray, shape (p, c)
        By term, in the order of the formula.

    Raises
    ------
    ComparisonError
        Where a term of `scope` is not in the model, or another term contains it.
    """
    terms = fixed_terms(seen_from(fit, predictor).model.design)
    named = [t.name for t in deletable(terms)] if scope is None else [scope] if isinstance(scope, str) else list(scope)
    H = _coordinates(fit, predictor)
    return {name: H @ remaining_columns(terms, _named(terms, [name])) for name in named}


def columns_without(fit: Fit, names: Sequence[str]) -> Array:
    """Coordinates (p, c), in the orthonormal basis of X, of what is left of it without some terms together.

    Raises
    ------
    ComparisonError
        Where a term is not in the model, or one that stays contains it.
    """
    terms = fixed_terms(fit.model.design)
    return np.asarray(_coordinates(fit) @ remaining_columns(terms, _named(terms, names)))


def _named(terms: Sequence[CodedTerm], names: Sequence[str]) -> list[CodedTerm]:
    found = [t for t in terms if t.factors and t.name in names]
    for name in names:
        own = [t for t in found if t.name == name]
        above = [t.name for t in terms if own and own[0].factors < t.factors and t not in found]
        if own and not above:
            continue
        reason = f"{', '.join(above)} contains it" if above else "the model has no such term"
        allowed = ", ".join(t.name for t in deletable(terms)) or "none"
        raise ComparisonError(f"The term {name!r} cannot be dropped: {reason}. Terms that can: {allowed}.")
    return found


def _coordinates(fit: Fit, predictor: str = MEAN) -> Array:
    if fit.model.known_effects:
        raise ComparisonError("drop1 leaves out columns, and fixed= holds coefficients: compare two fits by anova.")
    X = seen_from(fit, predictor).model.design.X
    if is_structured(fit):
        weights = fit.model.design.weights
        return coordinates(fit.model.problem.fixed, X, ResidualStage(None if weights is None else np.sqrt(weights)))
    if is_linear(fit):
        linear = fit.model.assembly
        return coordinates(linear.fixed, X, linear.stage)
    assembly = _generalized(fit).model.assembly
    if _copies(fit) > 1:
        return np.asarray(fixed_basis(np.ascontiguousarray(X.T)).rows @ X)
    for part in assembly.parts:
        if part.name == predictor:
            return np.asarray(assembly.fixed.rows[part.fixed, part.rows] @ X)
    return coordinates(assembly.fixed, X, ResidualStage())


def _copies(fit: Fit) -> int:
    """How many predictors have the same X: those of unordered categories."""
    return len(fit.model.design.predictors) if is_generalized(fit) and fit.model.family.kind == "multinomial" else 1


def _generalized(fit: Fit) -> GeneralizedFit:

    if not is_generalized(fit):
        raise ComparisonError(f"drop1 takes fits of mixfit, not {type(fit).__name__}.")
    return fit


def _rank(columns: Array) -> int:
    return len(fixed_basis(np.ascontiguousarray(columns.T)).kept)


def _refits(fit: Fit, columns: Sequence[Array], predictor: str) -> tuple[Minimum, list[Minimum]]:
    """The fit by maximum likelihood, and the fits of what is left of X."""
    own = Minimum(fit.estimate.criterion, fit.converged)
    if is_structured(fit):
        problem = fit.model.problem
        full = _minimum(problem) if fit.reml else own
        return full, [_minimum(with_fixed_residual(problem, c)) for c in columns]
    if is_linear(fit):
        from mixfit.lmm.submodel import with_fixed

        assembly = fit.model.assembly
        full = minimum(assembly.problem, reml=False) if fit.reml else own
        return full, [minimum(with_fixed(assembly, c), reml=False) for c in columns]
    from mixfit.glmm.estimate import estimate_generalized
    from mixfit.glmm.problem import restricted
    from mixfit.glmm.problem import with_fixed as with_fixed_generalized

    whole, copies = _generalized(fit), _copies(fit)
    every = whole.model.assembly
    problems = [
        restricted(every, [c] * copies) if copies > 1 else with_fixed_generalized(every, c, predictor) for c in columns
    ]
    smaller = [estimate_generalized(problem, whole.estimate.n_agq) for problem in problems]
    return own, [Minimum(e.criterion, e.certificate.converged) for e in smaller]


def _minimum(problem: ResidualProblem) -> Minimum:
    """Fit by maximum likelihood from moment estimates."""
    optimum = minimize_joint(problem, joint_starts(problem), reml=False)
    return Minimum(optimum.derivatives.at.value, optimum.certificate.converged)


def term_contrasts(fit: Fit, scope: Sequence[str] | None = None) -> dict[str, Array]:
    """Hypotheses L beta = 0 under which each deletable term can be left out: shape (df, p), by term.

    With X = QR and O an orthonormal basis of what is left, the mean X beta lies in its span where C'R beta = 0, C
    being the orthogonal complement of O.
    """
    if is_structured(fit):
        triangle = fit.model.problem.fixed.triangle
    else:
        assembly = fit.model.assembly if is_linear(fit) else _generalized(fit).model.assembly
        triangle = assembly.fixed.triangle
    out = {}
    for name, columns in deletions(fit, scope).items():
        basis = fixed_basis(np.ascontiguousarray(columns.T)).rows
        complement = np.linalg.svd(basis, full_matrices=True)[2][len(basis) :]
        out[name] = complement @ triangle
    return out
