"""Wald tests of the fixed effects: of one refit, and of many that were made together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.inference.fixed_effects.contrasts import joint_test
from mixfit.inference.fixed_effects.denominator import denominator
from mixfit.inference.fixed_effects.satterthwaite import SAME_DF
from mixfit.wald import f_tail, f_tails, t_tails

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.lmm.batch.estimate import BatchEstimates
    from mixfit.lmm.batch.fixed import FixedErrors
    from mixfit.planning.hypotheses import PlannedHypothesis

    Array = NDArray[np.float64]

__all__ = ["N_NUMBERS", "RefitTests", "batch_tests"]

#: What is kept of a test: p-value, estimate, its standard error, degrees of freedom; NaN where there is none.
N_NUMBERS = 4


@dataclass(frozen=True)
class RefitTests:
    """The tests of one refit, as the statistic of a `mixfit.inference.refit.Refitter`.

    Attributes
    ----------
    hypotheses : sequence of PlannedHypothesis
    ddf : str
    """

    hypotheses: Sequence[PlannedHypothesis]
    ddf: str

    def __call__(self, fit: Any) -> Array:
        """The numbers of all tests, one after another: (T * 4,)."""
        method = denominator(fit, self.ddf) if any(h.function is None for h in self.hypotheses) else None
        out = np.full((len(self.hypotheses), N_NUMBERS), np.nan)
        for row, h in zip(out, self.hypotheses, strict=True):
            if h.function is not None:
                row[0] = _p_value(h.function(fit))
                continue
            assert method is not None
            if h.is_contrast:
                estimate = float((h.rows @ method.beta)[0])
                se = float(np.sqrt(h.rows[0] @ method.cov @ h.rows[0]))
                df = method.df(h.rows)
                row[:] = t_tails(np.array([estimate / se]), df)[0], estimate, se, df[0]
                continue
            test = joint_test(method, h.rows, np.zeros(len(h.rows)))
            if test is not None:
                row[0], row[3] = f_tail(test.statistic * test.scale, test.ndf, test.ddf), test.ddf
        return out.ravel()


def _p_value(found: Any) -> float:
    """A p-value, or 0 and 1 for what rejects and what does not."""
    return float(not found) if isinstance(found, (bool, np.bool_)) else float(found)


def batch_tests(
    fit: Fit, found: BatchEstimates, errors: FixedErrors, hypotheses: Sequence[PlannedHypothesis], ddf: str
) -> Array:
    """The numbers of all tests of R refits, (R, T, 4); NaN for those that failed.

    Parameters
    ----------
    fit : FittedLinear
        What they are refits of.
    found : BatchEstimates
    errors : FixedErrors
    hypotheses : sequence of PlannedHypothesis
        None of them a function.
    ddf : {"satterthwaite", "residual", "z"}

    Returns
    -------
    ndarray
    """
    r = len(found.beta)
    out = np.full((r, len(hypotheses), N_NUMBERS), np.nan)
    constant = {"residual": float(fit.nobs - found.beta.shape[1]), "z": np.inf}.get(ddf)
    for t, h in enumerate(hypotheses):
        rows = np.broadcast_to(h.rows, (r, *h.rows.shape))
        if not h.is_contrast:
            rows = _independent(rows, errors.root)
        variances, df = errors.satterthwaite(rows)
        if constant is not None:
            df = np.full(df.shape, constant)
        estimates = np.einsum("rqp,rp->rq", rows, found.beta)
        if h.is_contrast:
            se = np.sqrt(variances[:, 0])
            out[:, t] = np.stack([t_tails(estimates[:, 0] / se, df[:, 0]), estimates[:, 0], se, df[:, 0]], axis=1)
            continue
        ddf_r = df[:, 0] if constant is not None else _combined(df)
        statistic = (estimates**2 / variances).mean(axis=1)
        out[:, t, 0], out[:, t, 3] = f_tails(statistic, rows.shape[1], ddf_r), ddf_r
    out[[bool(reason) for reason in found.failures]] = np.nan
    return out


def _independent(rows: Array, root: Array) -> Array:
    """Combinations P'L of rows (R, q, p) whose estimates are independent, as many as L has rank: (R, rank, p)."""
    rank = int(np.linalg.matrix_rank(rows[0]))
    half = rows @ root
    _, vectors = np.linalg.eigh(half @ half.swapaxes(1, 2))
    return np.asarray(vectors[:, :, -rank:].swapaxes(1, 2) @ rows)


def _combined(df: Array) -> Array:
    """`mixfit.inference.fixed_effects.satterthwaite.combine_df` of every row of (R, q)."""
    q = df.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = (df / (df - 2.0)).sum(axis=1)
        combined = 2.0 * total / (total - q)
    combined = np.where((df <= 2.0).any(axis=1), 2.0, combined)
    return np.where((np.abs(np.diff(df, axis=1)) < SAME_DF).all(axis=1), df.mean(axis=1), combined)
