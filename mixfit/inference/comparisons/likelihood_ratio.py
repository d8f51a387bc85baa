"""Likelihood-ratio tests between nested fits, as lme4's ``anova(m0, m1, ...)``."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.errors import ComparisonError
from mixfit.fitted.protocols import is_linear, is_nonlinear
from mixfit.gram.basis import fixed_basis
from mixfit.helped import helped
from mixfit.inference.comparisons.candidates import (
    Candidate,
    candidate,
    contains_residuals,
    on_boundary,
    outside,
    outside_columns,
)
from mixfit.inference.comparisons.common_rows import on_common_rows
from mixfit.inference.comparisons.limits import (
    bounded,
    check_known,
    check_predictors,
    is_limit,
    known_effects,
    mixed_tail,
)
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = [
    "REFITTED",
    "anova",
    "boundary_notes",
    "by_maximum_likelihood",
    "check_comparable",
    "check_nested",
    "check_restricted",
    "check_rows",
    "chi_square_tail",
    "tail_of",
]

REFITTED = "refitting model(s) with ML (instead of REML)"
# log|X'X| of one column space in two codings is equal to about 1e-12.
_SAME = 1e-8
# Means and sums of squares of the same rows, added up in two orders.
_ROUNDING = 1e-9


@helped
def anova(*fits: Any, refit: bool = True, names: Sequence[str] | None = None) -> Table:
    r"""Compare nested fits by likelihood-ratio tests, each with the next smaller one.

    Parameters
    ----------
    *fits : LinearResults or GeneralizedResults
        Two or more, of the same response on the same rows. Least-squares fits of statsmodels (OLS, WLS) may
        stand for linear models without random effects.
    refit : bool
        Whether fits by REML are refitted by maximum likelihood first, as lme4 does. Without it the restricted
        likelihoods are compared, which have a meaning only where all fits have the same fixed effects.
    names : sequence of str, optional
        Names of the rows; ``m0``, ``m1``, ... by default, in the order of the arguments.

    Returns
    -------
    Table
        A row a model, by number of parameters: ``npar``, ``AIC``, ``BIC``, ``logLik``, ``-2*log(L)``, and the test
        against the row above, ``Chisq``, ``Df`` and ``Pr(>Chisq)``.

    Raises
    ------
    ComparisonError
        Where the fits differ in response, rows, weights, offset, family or quadrature; where a fit is not nested
        in the next larger one; and where REML likelihoods of different fixed effects would be compared.

    Notes
    -----
    Chisq is twice the difference of the log-likelihoods, and its p-value the upper tail of chi-square on the
    difference of the numbers of parameters (Wilks 1938). Where the models differ in variances the null hypothesis
    lies on the boundary of the parameter space and that p-value is too large: see `ranova` and `exact_rlrt`.

    A model is nested where the columns of its X are combinations of those of the larger one, and each of its random
    terms is contained in one of the larger one's: the same groups with columns that are combinations, as ``(1 | g)``
    in ``(x | g)`` and ``(x || g)`` in ``(x | g)``, or groups within them that its columns tell apart, as
    ``(1 | g:f)`` in ``(0 + f | g)``. Of structures over the same columns the simpler one is: `cs` in `toep` in `us`,
    `ar1` in `hetar1`, `exp` in `mat`. Parameters such as a correlation of 0 lie within their bounds, and the p-value
    is as it should be; where the smaller model is on a bound of the larger one's structure, as `(1 | g)` is in
    `ar1(0 + time | g)` with a correlation of 1, a note says so.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> m0 = mixfit.mixed("Reaction ~ 1 + (Days | Subject)", sleep).fit(reml=False)
    >>> m1 = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=False)
    >>> mixfit.anova(m0, m1)
    Models:
    m0: Reaction ~ 1 + (Days | Subject)
    m1: Reaction ~ Days + (Days | Subject)
       npar    AIC    BIC  logLik -2*log(L)  Chisq Df Pr(>Chisq)
    m0    5 1785.5 1801.4 -887.74    1775.5
    m1    6 1763.9 1783.1 -875.97    1751.9 23.537  1  1.226e-06 ***
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    """
    if len(fits) < 2:
        raise ComparisonError("anova compares two fits or more: anova(m0, m1).")
    labels = [f"m{i}" for i in range(len(fits))] if names is None else [str(name) for name in names]
    if len(labels) != len(fits) or len(set(labels)) != len(labels):
        raise ComparisonError(f"names needs {len(fits)} different names, one for each fit; it has {labels}.")
    models = [candidate(name, fit) for name, fit in zip(labels, fits, strict=True)]
    for other in models[1:]:
        check_comparable(models[0], other)
    models = on_common_rows(models)
    refitted = refit and any(m.reml for m in models)
    if refit:
        models = [by_maximum_likelihood(m) for m in models]
    else:
        check_restricted(models)
    models.sort(key=lambda m: m.npar)
    for smaller, larger in pairwise(models):
        check_nested(smaller, larger)
    notes = [REFITTED] if refitted else []
    notes += [note for smaller, larger in pairwise(models) for note in boundary_notes(smaller, larger)]
    notes += [f"The fit {m.name} did not converge" for m in models if m.fit is not None and not m.fit.converged]
    heading = [f"Data: {models[0].data_name}"] if models[0].data_name else []
    return Table(
        _frame(models),
        heading=(*heading, "Models:", *(f"{m.name}: {m.formula}" for m in models)),
        notes=tuple(notes),
        p_column="Pr(>Chisq)",
    )


def boundary_notes(smaller: Candidate, larger: Candidate) -> list[str]:
    """What to say of a pair in which the smaller model is on a bound of the larger one."""
    edge = bounded(smaller, larger)[1]
    return ([edge] if edge else []) + [
        f"{term.text} of {smaller.name} is on the boundary of {larger.name}'s structures: the p-value is too large, of "
        "one parameter that ends there twice what it should be"
        for term in on_boundary(larger.random, smaller.random)
    ]


def _frame(models: Sequence[Candidate]) -> pd.DataFrame:
    npar, llf = np.array([m.npar for m in models]), np.array([m.llf for m in models])
    statistic = np.concatenate([[np.nan], 2.0 * np.maximum(np.diff(llf), 0.0)])
    df = np.concatenate([[np.nan], np.diff(npar)])
    p_values = np.full(len(models), np.nan)
    for i, (smaller, larger) in enumerate(pairwise(models), 1):
        p_values[i] = tail_of(smaller, larger, float(statistic[i]))
    return pd.DataFrame(
        {
            "npar": npar,
            "AIC": [wald.aic(m.llf, m.npar) for m in models],
            "BIC": [wald.bic(m.llf, m.npar, m.nobs) for m in models],
            "logLik": llf,
            "-2*log(L)": -2.0 * llf,
            "Chisq": statistic,
            "Df": df,
            "Pr(>Chisq)": p_values,
        },
        index=[m.name for m in models],
    )


def tail_of(smaller: Candidate, larger: Candidate, statistic: float) -> float:
    """The p-value of twice the difference of the log-likelihoods of a nested pair."""
    df = larger.npar - smaller.npar
    if bounded(smaller, larger)[0]:
        return mixed_tail(statistic, float(df))
    return float(chi_square_tail(np.array([statistic]), np.array([df]))[0])


def chi_square_tail(statistic: Array, df: Array) -> Array:
    """Upper tail of chi-square, NaN where there are no degrees of freedom."""
    from scipy.special import chdtrc

    positive = df > 0
    return np.where(positive, chdtrc(np.where(positive, df, 1.0), statistic), np.nan)


def by_maximum_likelihood(model: Candidate) -> Candidate:
    """The model fitted by maximum likelihood: itself where it is."""
    if not model.reml or not (is_linear(model.fit) or is_nonlinear(model.fit)):
        return model
    fit = model.fit.model.fit(reml=False, **({"method": "lb"} if is_nonlinear(model.fit) else {}))
    return replace(model, reml=False, llf=fit.llf, fit=fit)


def check_comparable(a: Candidate, b: Candidate) -> None:
    """Refuse fits whose likelihoods are not of the same data.

    Raises
    ------
    ComparisonError
        Naming what differs.
    """
    if a.family != b.family and not is_limit(a.family, b.family):
        what = "curves" if is_nonlinear(a.fit) and is_nonlinear(b.fit) else "families"
        raise ComparisonError(
            f"{a.name} and {b.name} have different {what} ({a.family}, {b.family}): their likelihoods cannot be "
            "compared by a likelihood-ratio test."
        )
    if a.n_agq != b.n_agq:
        raise ComparisonError(
            f"{a.name} and {b.name} approximate the likelihood differently (n_agq = {a.n_agq} and {b.n_agq}): "
            "fit both with the same n_agq."
        )
    check_rows(a, b)
    if not _same(a, a.weights, b.weights):
        raise ComparisonError(f"{a.name} and {b.name} have different weights: fit both with the same.")
    if not _same(a, a.offset, b.offset):
        raise ComparisonError(f"{a.name} and {b.name} have different offsets: fit both with the same.")


def _same(model: Candidate, one: Array, other: Array) -> bool:
    """Whether values of all rows are the same; without rows, whether their moments are, but for the order of sums."""
    if model.n is None:
        return np.array_equal(one, other)
    mean, squares = one
    scale = np.array([abs(mean) + np.sqrt(squares / model.n), squares])
    return bool((np.abs(one - other) <= _ROUNDING * scale).all())


def check_rows(a: Candidate, b: Candidate) -> None:
    """Refuse fits of other responses or rows.

    Raises
    ------
    ComparisonError
        Naming what differs.
    """
    if (a.n is None) != (b.n is None):
        batches, memory = (b, a) if a.n is None else (a, b)
        raise ComparisonError(
            f"{batches.name} is of rows in batches and {memory.name} of rows in memory: fit both to the same source."
        )
    if a.nobs != b.nobs:
        raise ComparisonError(
            f"{a.name} and {b.name} use different rows ({a.nobs} and {b.nobs}): leave rows with missing values out of "
            "the data before fitting."
        )
    if not _same(a, a.y, b.y):
        raise ComparisonError(
            f"{a.name} and {b.name} have different responses, or the same rows in another order: fit both to the "
            "same data and left-hand side."
        )
    if a.index is not None and b.index is not None and not a.index.equals(b.index):
        raise ComparisonError(f"{a.name} and {b.name} use rows of different labels: fit both to the same data.")


def check_restricted(models: Sequence[Candidate]) -> None:
    """Refuse restricted likelihoods that have different constants, or other likelihoods beside them."""
    if not any(m.reml for m in models):
        return
    first = models[0]
    for other in models[1:]:
        if first.reml != other.reml:
            raise ComparisonError(
                f"One of {first.name} and {other.name} is fitted by REML and the other is not: leave refit=True, or "
                "fit both alike."
            )
        _check_same_columns(first, other)


def _check_same_columns(a: Candidate, b: Candidate) -> None:
    held = known_effects(a) != known_effects(b)
    if held or outside_columns(a.X, b.X).any() or outside_columns(b.X, a.X).any():
        raise ComparisonError(
            f"{a.name} and {b.name} are fitted by REML and have different fixed effects: restricted likelihoods are "
            "then of different data. Leave refit=True, or fit by maximum likelihood."
        )
    volumes = [fixed_basis(np.ascontiguousarray(m.X.T)).log_determinant for m in (a, b)]
    if abs(volumes[0] - volumes[1]) > _SAME * max(1.0, abs(volumes[0])):
        raise ComparisonError(
            f"{a.name} and {b.name} are fitted by REML and code the same fixed effects differently, which changes the "
            "restricted likelihood by a constant. Code them alike, or leave refit=True."
        )


def check_nested(smaller: Candidate, larger: Candidate) -> None:
    """Refuse a pair in which the model of fewer parameters is no special case of the other.

    Raises
    ------
    ComparisonError
        Naming the fixed-effects columns or the random term that the larger model lacks.
    """
    alien = outside_columns(larger.X, smaller.X)
    if alien.any():
        named = _column_names(smaller)
        listed = ", ".join(repr(named[j]) for j in np.flatnonzero(alien))
        raise ComparisonError(
            f"{smaller.name} is not nested in {larger.name}: its fixed effects {listed} are no combinations of those "
            f"of {larger.name}. Compare their AIC instead."
        )
    check_predictors(smaller, larger)
    check_known(smaller, larger)
    terms = outside(larger.random, smaller.random)
    if terms:
        raise ComparisonError(
            f"{smaller.name} is not nested in {larger.name}: random terms that are not contained in one of "
            f"{larger.name}: {', '.join(t.text for t in terms)}. Compare their AIC instead."
        )
    if not contains_residuals(larger.residual, smaller.residual):
        raise ComparisonError(
            f"{smaller.name} is not known to be nested in {larger.name}: the residuals of {larger.name} have other "
            f"covariances than those of {smaller.name}. Compare their AIC instead."
        )


def _column_names(model: Candidate) -> list[str]:
    if model.fit is not None:
        return list(model.fit.model.reach[1])
    return [f"column {j}" for j in range(model.X.shape[1])]
