"""Exact tests that one variance is zero: simulation of the finite-sample distribution of the likelihood ratio."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import ComparisonError
from mixfit.fitted.protocols import is_linear
from mixfit.helped import helped
from mixfit.inference.comparisons.candidates import candidate, contains_term, outside_columns, single_terms
from mixfit.inference.comparisons.drop1 import columns_without
from mixfit.inference.comparisons.exact_null import ExactNull, draw_null, spectrum
from mixfit.inference.comparisons.likelihood_ratio import check_comparable
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.submodel import with_fixed
from mixfit.matrices.across import refuse_given, refuse_related
from mixfit.tables.numbers import format_common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import LinearFit
    from mixfit.lmm.problem import Problem
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["ExactTest", "exact_lrt", "exact_rlrt"]

_REFITTED_ML = "fitted by REML; refitted by maximum likelihood for this test"
_REFITTED_REML = "fitted by maximum likelihood; refitted by REML for this test"


@dataclass(frozen=True, eq=False)
class ExactTest:
    """Result of an exact test; prints as R prints an ``htest``.

    Attributes
    ----------
    name : {"LRT", "RLRT"}
    statistic : float
    pvalue : float
        Share of the simulated statistics that are at least as large.
    n_sim : int
        Number of simulated statistics; 0 where the statistic is 0, whose p-value is 1 whatever the distribution.
    standard_error : float
        Monte-Carlo standard error of `pvalue`, sqrt(p (1 - p) / n_sim).
    data : str
        Formula of the model tested.
    notes : tuple of str
    sample : ndarray, shape (n_sim,), or None
        The simulated statistics, where they were asked for.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> test = mixfit.exact_rlrt(fit, n_sim=1000, seed=1)
    >>> round(test.statistic, 3), round(test.pvalue, 2)
    (3.47, 0.02)
    """

    name: str
    statistic: float
    pvalue: float
    n_sim: int
    standard_error: float
    data: str
    notes: tuple[str, ...] = ()
    sample: Array | None = field(default=None, repr=False)

    def __str__(self) -> str:
        statistic = format_common([self.statistic], 5)[0]
        if self.n_sim and self.pvalue < 1.0 / self.n_sim:
            shown = f"< {1.0 / self.n_sim:.4g}"
        else:
            shown = f"= {format_common([self.pvalue], 4)[0]}"
        basis = (
            f"p-value based on {self.n_sim} simulated values" if self.n_sim else "statistic of 0: nothing to simulate"
        )
        lines = [
            "",
            f"\tsimulated finite sample distribution of {self.name}.",
            "",
            f"\t({basis})",
            "",
            f"data:  {self.data}",
            f"{self.name} = {statistic}, p-value {shown}",
            *self.notes,
            "",
        ]
        return "\n".join(lines)

    __repr__ = __str__


@helped
def exact_rlrt(
    m: LinearFit,
    mA: LinearFit | None = None,
    m0: LinearFit | None = None,
    *,
    n_sim: int = 10_000,
    seed: int | np.random.Generator | None = None,
    keep_sample: bool = False,
) -> ExactTest:
    r"""Test that a variance is zero by the exact distribution of the restricted likelihood ratio.

    Parameters
    ----------
    m : LinearResults
        A fit whose only random term is the one tested, of one column: ``(1 | g)`` or ``(0 + x | g)``.
    mA, m0 : LinearResults, optional
        Where the model has other random terms too: the fit under the alternative, and the fit without the tested
        term. Both have the fixed effects of `m`, and `m` is the fit with the tested term alone.
    n_sim : int
        Number of simulated statistics.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
    keep_sample : bool
        Whether the result keeps the simulated statistics.

    Returns
    -------
    ExactTest

    Raises
    ------
    ComparisonError
        Where the tested term is not a single variance, or the three fits are not of the form above.

    Notes
    -----
    The distribution is that of Crainiceanu & Ruppert (2004, JRSS-B 66:165; `mixfit.inference.comparisons.exact_null`).
    With `mA` and `m0` it is an approximation, good where the nuisance variances are well estimated (Greven,
    Crainiceanu, Kuechenhoff & Peters 2008, JCGS 17:870). Fits by maximum likelihood are refitted by REML. Signature
    and results are those of RLRsim's ``exactRLRT`` (Scheipl, Greven & Kuechenhoff 2008, CSDA 52:3283), but for the
    supremum, which is found exactly here and on a grid there, and for prior weights, which count here.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> test = mixfit.exact_rlrt(fit, n_sim=50_000, seed=1)
    >>> round(test.statistic, 4), abs(test.pvalue - 0.0226) < 0.003
    (3.4701, True)
    """
    _check_simulations(n_sim)
    _check_single(m, "m")
    if (mA is None) != (m0 is None):
        raise ComparisonError("Give both mA and m0 where the model has other random terms, or neither of them.")
    if mA is None or m0 is None:
        fits, tested = [m], m
        fit = _by_reml(m)
        statistic = _null_criterion(fit.model.assembly.problem, reml=True) - fit.estimate.criterion
    else:
        fits, tested = [mA, m0], mA
        _check_three(m, mA, m0)
        statistic = _by_reml(m0).estimate.criterion - _by_reml(mA).estimate.criterion
    notes = () if all(fit.reml for fit in fits) else (_REFITTED_REML,)
    refuse_related(m.model.design.random, "the exact test")
    refuse_given(m.model.design.random, "the exact test")
    null = ExactNull(spectrum(m.model.assembly.problem), reml=True)
    return _test("RLRT", statistic, null, n_sim, seed, tested.model.formula_text, notes, keep_sample)


@helped
def exact_lrt(
    m: LinearFit,
    m0: Any = None,
    *,
    n_sim: int = 10_000,
    seed: int | np.random.Generator | None = None,
    keep_sample: bool = False,
    drop: Sequence[str] = (),
) -> ExactTest:
    r"""Test that a variance is zero, and fixed effects with it, by the exact distribution of the likelihood ratio.

    Parameters
    ----------
    m : LinearResults
        A fit whose only random term is the one tested, of one column.
    m0 : statsmodels OLS or WLS results, optional
        The model under the hypothesis, without the random term; its fixed effects may be fewer than those of `m`.
        By default it has those of `m`.
    n_sim : int
        Number of simulated statistics.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.
    keep_sample : bool
        Whether the result keeps the simulated statistics.
    drop : sequence of str
        In the place of `m0`: fixed-effects terms of `m` that the hypothesis leaves out, as `drop1` names them.

    Returns
    -------
    ExactTest

    Raises
    ------
    ComparisonError
        Where the tested term is not a single variance, or `m0` is not nested in `m`.

    Notes
    -----
    The distribution is that of Crainiceanu & Ruppert (2004, JRSS-B 66:165; `mixfit.inference.comparisons.exact_null`).
    A fit by REML is refitted by maximum likelihood. Where no fixed effects are restricted prefer `exact_rlrt`, whose
    test has more power. Signature and results are those of RLRsim's ``exactLRT``.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit(reml=False)
    >>> test = mixfit.exact_lrt(fit, n_sim=50_000, seed=1)
    >>> round(test.statistic, 4), abs(test.pvalue - 0.0226) < 0.003
    (2.5684, True)
    """
    _check_simulations(n_sim)
    _check_single(m, "m")
    fit = m if not m.reml else m.model.fit(reml=False)
    if m0 is not None and len(drop):
        raise ComparisonError("Give the hypothesis either as m0 or as the terms to drop, not both.")
    if m0 is not None:
        null_criterion, n_restricted = _least_squares(fit, m0)
    else:
        names = [drop] if isinstance(drop, str) else list(drop)
        assembly = fit.model.assembly
        problem = with_fixed(assembly, columns_without(fit, names)) if names else assembly.problem
        null_criterion = _null_criterion(problem, reml=False)
        n_restricted = assembly.problem.p - problem.p
    refuse_related(fit.model.design.random, "the exact test")
    refuse_given(fit.model.design.random, "the exact test")
    null = ExactNull(spectrum(fit.model.assembly.problem), reml=False, n_restricted=n_restricted)
    notes = (_REFITTED_ML,) if m.reml else ()
    statistic = null_criterion - fit.estimate.criterion
    return _test("LRT", statistic, null, n_sim, seed, m.model.formula_text, notes, keep_sample)


def _test(
    name: str,
    statistic: float,
    null: ExactNull,
    n_sim: int,
    seed: int | np.random.Generator | None,
    data: str,
    notes: tuple[str, ...],
    keep_sample: bool,
) -> ExactTest:
    if statistic <= 0.0:
        return ExactTest(name, 0.0, 1.0, 0, 0.0, data, notes)
    sample = draw_null(null, n_sim, np.random.default_rng(seed))
    p = float(np.count_nonzero(sample >= statistic)) / n_sim
    error = float(np.sqrt(p * (1.0 - p) / n_sim))
    return ExactTest(name, statistic, p, n_sim, error, data, notes, sample if keep_sample else None)


def _check_simulations(n_sim: int) -> None:
    if n_sim != int(n_sim) or n_sim < 1:
        raise ComparisonError(f"n_sim is a positive whole number of simulated statistics, not {n_sim!r}.")


def _check_linear(fit: Any, name: str) -> None:
    if not is_linear(fit):
        raise ComparisonError(
            f"{name} is {type(fit).__name__}: the exact distribution is known for linear mixed models only."
        )


def _check_single(fit: Any, name: str) -> None:
    _check_linear(fit, name)
    random = fit.model.design.random
    if len(random) != 1 or len(random[0].columns) != 1:
        raise ComparisonError(
            f"{name} has the random terms {', '.join(t.text for t in random)}: the exact test needs one term of one "
            "column. Where there are others give three fits: m with the tested term only, mA with all, m0 without it."
        )


def _by_reml(fit: LinearFit) -> LinearFit:
    return fit if fit.reml else fit.model.fit(reml=True)


def _null_criterion(problem: Problem, *, reml: bool) -> float:
    """-2 log-likelihood at variances of zero: least squares, with the constants of the criterion."""
    return evaluate(problem, [np.zeros((t.k, t.k)) for t in problem.terms], reml=reml).value


def _least_squares(fit: LinearFit, m0: Any) -> tuple[float, int]:
    """-2 log-likelihood of a least-squares fit, and how many fixed effects of `fit` it lacks."""
    null, whole = candidate("m0", m0), candidate("m", fit)
    if null.random or null.family != "linear":
        raise ComparisonError("m0 is a least-squares fit of statsmodels (OLS, WLS), without random effects.")
    check_comparable(whole, null)
    alien = outside_columns(whole.X, null.X)
    if alien.any():
        raise ComparisonError(f"m0 is not nested in m: its columns {np.flatnonzero(alien).tolist()} are none of m's.")
    return -2.0 * null.llf, whole.X.shape[1] - (null.npar - 1)


def _check_three(m: LinearFit, mA: LinearFit, m0: LinearFit) -> None:
    """m: the tested term; m0: the others; mA: all of them."""
    for fit, name in ((mA, "mA"), (m0, "m0")):
        _check_linear(fit, name)
        check_comparable(candidate("m", m), candidate(name, fit))
        if not np.array_equal(m.model.exog, fit.model.exog):
            raise ComparisonError(f"m and {name} have different fixed effects: all three fits need the same.")
    tested = m.model.design.random[0]
    wanted = [*single_terms(m0.model.design.random), tested]
    found = single_terms(mA.model.design.random)
    unmatched = list(found)
    for term in wanted:
        same = next((t for t in unmatched if _same_term(t, term)), None)
        if same is None:
            raise ComparisonError(
                f"mA has no term {term.text} of its own: it must have the terms of m0 and that of m, independent of "
                "one another. A variance with covariances cannot be tested exactly; see ranova."
            )
        unmatched = [t for t in unmatched if t is not same]
    if unmatched:
        raise ComparisonError(f"mA has terms that neither m0 nor m has: {', '.join(t.text for t in unmatched)}.")


def _same_term(a: RandomDesign, b: RandomDesign) -> bool:
    return len(a.columns) == len(b.columns) and contains_term(a, b) and contains_term(b, a)
