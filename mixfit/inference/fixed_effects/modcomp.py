"""Comparisons of the fixed parts of two linear fits, as pbkrtest makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import same_residuals
from mixfit.gram.basis import fixed_basis
from mixfit.helped import helped
from mixfit.inference.fixed_effects.contrasts import contrast_matrix, joint_test
from mixfit.inference.fixed_effects.denominator import denominator, reml_fit
from mixfit.tables.table import Table
from mixfit.wald import f_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.fitted.protocols import LinearFit
    from mixfit.inference.fixed_effects.kenward_roger import ScaledF

    Array = NDArray[np.float64]

__all__ = ["kr_modcomp", "restriction_matrix", "sat_modcomp"]

# pbkrtest's bound, below which the scaled statistic is not to be relied on.
_SMALL_SCALE = 0.2
# Entries of unit rows below this are zero but for rounding, and print so.
_ROUNDING = 1e-9


@helped
def kr_modcomp(m1: LinearFit, m0: Any) -> Table:
    """Test a smaller fixed part against a larger one by Kenward and Roger's F, as pbkrtest's ``KRmodcomp``.

    Parameters
    ----------
    m1 : LinearResults
        The larger model. A fit by maximum likelihood is refitted by REML, and the table says so.
    m0 : LinearResults, array_like or mapping
        The same response, rows, weights, offset and random terms with fewer fixed effects (in either order),
        or a restriction matrix L, (q, p) or (p,), or a mapping of names to coefficients, for L beta = 0.

    Returns
    -------
    Table
        Columns ``stat`` (the scaled F), ``ndf``, ``ddf``, ``F.scaling`` and ``p.value``.

    Raises
    ------
    FitError
        Where the fits do not differ in nested fixed parts alone.

    References
    ----------
    Kenward & Roger (1997), Biometrics 53:983-997; Halekoh & Hojsgaard (2014), JSS 59(9).

    Examples
    --------
    >>> import mixfit
    >>> data = mixfit.datasets.load("penicillin")
    >>> m1 = mixfit.mixed("yield ~ treat + (1 | blend)", data).fit()
    >>> m0 = mixfit.mixed("yield ~ 1 + (1 | blend)", data).fit()
    >>> kr_modcomp(m1, m0)["p.value"].round(4).tolist()
    [0.3387]
    """
    large, L, heading = _compared(m1, m0)
    test, notes = _tested(large, L, "kenward-roger")
    notes = _refit_note(large) + notes
    value = test.statistic * test.scale
    if test.scale < _SMALL_SCALE:
        unscaled = f_tail(test.statistic, test.ndf, test.ddf)
        notes += (
            f"The scaling of the F statistic is below {_SMALL_SCALE}: the unscaled F = {test.statistic:.5g} "
            f"(p = {unscaled:.4g}) may be more reliable.",
        )
    frame = pd.DataFrame(
        {
            "stat": [value],
            "ndf": [test.ndf],
            "ddf": [test.ddf],
            "F.scaling": [test.scale],
            "p.value": [f_tail(value, test.ndf, test.ddf)],
        },
        index=["Ftest"],
    )
    return Table(frame, heading, notes, p_column="p.value")


@helped
def sat_modcomp(m1: LinearFit, m0: Any) -> Table:
    """Test a smaller fixed part against a larger one by Satterthwaite's F, as pbkrtest's ``SATmodcomp``.

    Parameters
    ----------
    m1 : LinearResults
        The larger model. A fit by maximum likelihood is refitted by REML, and the table says so.
    m0 : LinearResults, array_like or mapping
        As in `kr_modcomp`.

    Returns
    -------
    Table
        Columns ``statistic``, ``ndf``, ``ddf`` and ``p.value``.

    Raises
    ------
    FitError
        Where the fits do not differ in nested fixed parts alone.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> sat_modcomp(fit, {"Days": 1})["ddf"].round(2).tolist()
    [17.0]
    """
    large, L, heading = _compared(m1, m0)
    test, notes = _tested(reml_fit(large), L, "satterthwaite")
    frame = pd.DataFrame(
        {
            "statistic": [test.statistic],
            "ndf": [test.ndf],
            "ddf": [test.ddf],
            "p.value": [f_tail(test.statistic, test.ndf, test.ddf)],
        },
        index=["1"],
    )
    return Table(frame, heading, _refit_note(large) + notes, p_column="p.value")


def _refit_note(large: LinearFit) -> tuple[str, ...]:
    return () if large.reml else ("The larger model was fitted by maximum likelihood and is refitted by REML here.",)


def _tested(large: LinearFit, L: Array, ddf: str) -> tuple[ScaledF, tuple[str, ...]]:
    method = denominator(reml_fit(large), ddf)
    test = joint_test(method, L, np.zeros(len(L)))
    if test is None:
        raise FitError("L is zero: there is nothing to test.")
    return test, method.notes


def _compared(m1: object, m0: Any) -> tuple[LinearFit, Array, tuple[str, ...]]:
    """The larger model, the restriction on it, and what to say of both."""
    if not is_linear(m1):
        raise FitError(f"The comparison is of linear mixed models; the first argument is {type(m1).__name__}.")
    if not is_linear(m0):
        if hasattr(m0, "estimate"):
            raise FitError(f"The comparison is of linear mixed models; the second argument is {type(m0).__name__}.")
        L, _ = contrast_matrix(m1, m0)
        shown = pd.DataFrame(L, columns=m1.fixef.index).to_string(index=False)
        return m1, L, (f"large : {m1.model.description}", "small (L beta = 0), L =", shown)
    _check_same(m1, m0)
    large, small = (m1, m0) if len(m1.params) >= len(m0.params) else (m0, m1)
    L = restriction_matrix(large.model.exog, small.model.exog)
    return large, L, (f"large : {large.model.description}", f"small : {small.model.description}")


def _check_same(m1: LinearFit, m0: LinearFit) -> None:
    a, b = m1.model.design, m0.model.design
    if len(a.y) != len(b.y):
        raise FitError(
            f"The fits use {len(a.y)} and {len(b.y)} rows: fit both to the rows that are complete for the larger model."
        )
    if a.endog_name != b.endog_name or not np.array_equal(a.y, b.y):
        raise FitError(f"The fits have different responses or rows ({a.endog_name!r} and {b.endog_name!r}).")
    for what, mine, others in (("weights", a.weights, b.weights), ("offset", a.offset, b.offset)):
        one = np.ones(len(a.y)) if what == "weights" else np.zeros(len(a.y))
        if not np.array_equal(one if mine is None else mine, one if others is None else others):
            raise FitError(f"The fits have different {what}: they can be compared only with the same.")
    if not same_residuals(m1, m0):
        raise FitError(
            "The fits differ in residual= or dispersion=; these tests are for the fixed effects of models with the "
            "same residuals."
        )
    ours, theirs = ({_random_key(r): r.text for r in d.random} for d in (a, b))
    if ours.keys() != theirs.keys():
        different = [text for key, text in {**ours, **theirs}.items() if (key in ours) != (key in theirs)]
        raise FitError(
            f"The fits differ in random terms ({', '.join(different)}); these tests are for the fixed effects "
            "of models with the same random terms."
        )


def _random_key(term: Any) -> tuple[str, tuple[str, ...], Structure]:
    return term.grouping.name, term.columns, term.structure


def restriction_matrix(X: Array, X0: Array) -> Array:
    """Rows L, orthonormal, with {X beta: L beta = 0} the column space of X0.

    Parameters
    ----------
    X, X0 : ndarray, shapes (n, p) and (n, p0)
        Of full column rank, X0 with the fewer columns.

    Returns
    -------
    ndarray, shape (p - p0, p)

    Raises
    ------
    FitError
        Where the columns of X do not span those of X0 and more.
    """
    p0, p = X0.shape[1], X.shape[1]
    both = fixed_basis(np.ascontiguousarray(np.hstack([X0, X]).T))
    if len(both.rows) > p:
        raise FitError("The models are not nested: the larger one cannot express the fixed effects of the smaller.")
    if p == p0:
        raise FitError("The models have the same fixed effects: there is nothing to test.")
    L = np.linalg.qr((both.rows[p0:] @ X).T)[0].T
    return np.where(np.abs(L) < _ROUNDING, 0.0, L)
