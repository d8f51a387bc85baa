r"""Left-out rows of a nonlinear model, each split's by a fit without it.

To first order about the modes of the other rows the distribution of a left-out row is normal,

    y_i ~ N(f(phi_i), J_i' Var(phi_i) J_i + sigma^2 / w_i),    phi_ip = x_ip'beta^ + z_ip'b~,

Var(phi) with the errors of beta^ and b~ jointly; a level that none of the other rows has enters with b~ = 0 and the
variance of its term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DesignError
from mixfit.fitted.curve_rows import curve_weights, rows_beside
from mixfit.fitted.linear_predictor import complete_variance, linear_predictor
from mixfit.gram.basis import fixed_basis
from mixfit.inference.crossvalidation.refits import are_known, codes_among, refit_without, refuse_unknown, rows_left
from mixfit.inference.prediction import unpredicted_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.crossvalidation.splits import Splits

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["CurvesLeftOut", "curves_left_out"]


@dataclass(frozen=True, eq=False)
class CurvesLeftOut:
    """Means and standard deviations of the N rows of splits, and whether each of the q refits converged."""

    mean: Array
    sd: Array
    converged: NDArray[np.bool_]


def curves_left_out(fit: Fit, splits: Splits) -> CurvesLeftOut:
    """Predict the rows of every split by a fit to the others.

    Raises
    ------
    FitError
        Where a refit fails, naming the group.
    DesignError
        Where only the rows of one group tell a fixed effect or a coefficient of the dispersion.
    """
    q = len(splits.labels)
    mean, sd = np.full(len(splits.rows), np.nan), np.full(len(splits.rows), np.nan)
    converged = np.zeros(q, dtype=bool)
    for g in range(q):
        own = np.flatnonzero((splits.codes == g) & splits.scored)
        rows, keep = splits.rows[own], rows_left(fit, splits, g)
        _refuse_unknown_spread(fit, splits, g, keep)
        other = refit_without(fit, splits, g)
        stacked = (rows + fit.nobs * np.arange(len(fit.model.parameters))[:, None]).ravel()
        known = are_known(other, fit.model.design.X[stacked])
        refuse_unknown(fit, splits, np.arange(q) == (-1 if known else g))
        mean[own], sd[own] = _predicted(fit, other, rows, stacked, keep)
        converged[g] = other.converged
    return CurvesLeftOut(mean, sd, converged)


def _predicted(fit: Fit, other: Fit, rows: Index, stacked: Index, keep: NDArray[np.bool_]) -> tuple[Array, Array]:
    design, model, estimate = fit.model.design, other.model, other.estimate
    codes = codes_among(design.random, np.tile(keep, len(model.parameters)), stacked)
    X, Z = design.X[np.ix_(stacked, model.kept)], [term.Z[stacked] for term in design.random]
    phi = linear_predictor(X, estimate.beta, None, Z, codes, estimate.modes).reshape(-1, len(rows))
    curve = fit.model.curve.of_rows(rows)(phi, 1)
    beside, level = [rows_beside(curve.slope, z) for z in Z], [code[: len(rows)] for code in codes]
    variance = complete_variance(model, estimate, rows_beside(curve.slope, X), beside, level)
    every = tuple(np.ones(z.shape[1], dtype=bool) for z in Z)
    unseen = unpredicted_variance(beside, level, every, estimate.templates)
    residual = 1.0 / curve_weights(fit, None, gamma=estimate.gamma)[rows]
    return np.asarray(curve.value), np.sqrt(variance + estimate.sigma**2 * (unseen + residual))


def _refuse_unknown_spread(fit: Fit, splits: Splits, group: int, keep: NDArray[np.bool_]) -> None:
    """The log standard deviations are linear in columns beside a constant, that of sigma."""
    spread = fit.model.spread
    if spread is None:
        return
    columns = np.column_stack([np.ones(int(keep.sum())), spread.residual.spread[keep]])
    kept = set(fixed_basis(np.ascontiguousarray(columns.T)).kept.tolist())
    lost = [name for j, name in enumerate(fit.model.spread_names, 1) if j not in kept]
    if lost:
        raise DesignError(
            f"Without {splits.name(group)}, the other rows do not determine {', '.join(lost)} of dispersion=: leave "
            "such a level in every fit."
        )
