r"""Rows of a nonlinear model as those of the linear one beside them: the curve there, and its slopes times X and Z.

A prediction f(phi), phi_p = x_p'beta + z_p'b, is off by sum_p J_p [x_p'(beta^ - beta) + z_p'(b~ - b)] to first order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mixfit.arguments import row_weights
from mixfit.fitted.linear_predictor import complete_variance, kept_columns, linear_predictor
from mixfit.fitted.new_responses import new_weights
from mixfit.fitted.predict import rows_to_predict
from mixfit.matrices.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import Selection

    Array = NDArray[np.float64]

__all__ = ["CurveRows", "curve_rows", "curve_variance", "curve_weights", "rows_beside"]


class CurveRows(NamedTuple):
    """Rows to predict.

    Attributes
    ----------
    value : ndarray, shape (m,)
        The curve.
    slope : ndarray, shape (P, m)
    X : ndarray, shape (m, p)
    Z : sequence of (ndarray, shape (m, k_t), or None)
        None for a term left out.
    codes : sequence of (ndarray of intp, shape (m,), or None)
    labels : pandas.Index, shape (m,)
    """

    value: Array
    slope: Array
    X: Array
    Z: Sequence[Array | None]
    codes: Sequence[NDArray[np.intp] | None]
    labels: pd.Index


def curve_rows(fit: Fit, newdata: object, selection: Selection, allow_new_levels: bool) -> CurveRows:
    """New rows, or those of the fit, with the random effects that `selection` keeps."""
    model, estimate = fit.model, fit.estimate
    stacked, curve = None, model.curve
    if newdata is not None:
        columns = Columns(newdata, "new data")
        stacked, curve = model.stack.frame(columns), model.stack.curve(columns)
    rows = rows_to_predict(fit, stacked, selection, allow_new_levels)
    Z = kept_columns(rows.Z, selection)
    eta = linear_predictor(rows.X, estimate.beta, rows.offset, Z, rows.codes, estimate.modes)
    size = len(model.parameters)
    m = len(eta) // size
    mean = curve(eta.reshape(size, m), 1)
    beside = [None if z is None else rows_beside(mean.slope, z) for z in Z]
    codes = [None if code is None else code[:m] for code in rows.codes]
    return CurveRows(mean.value, mean.slope, rows_beside(mean.slope, rows.X), beside, codes, rows.index[:m])


def rows_beside(slope: Array, stacked: Array) -> Array:
    """sum_p J_p times the rows (P m, k) of a stack: (m, k)."""
    size, m = slope.shape
    return np.asarray(np.einsum("am,amk->mk", slope, stacked.reshape(size, m, -1)))


def curve_variance(fit: Fit, rows: CurveRows) -> Array:
    """Variance of the curve's error, (m,): of an unseen level without that of its own effect."""
    return complete_variance(fit.model, fit.estimate, rows.X, rows.Z, rows.codes)


def curve_weights(fit: Fit, newdata: object, weights: ArrayLike | None = None, *, gamma: Array | None = None) -> Array:
    """Prior weights of new rows, or of those of the fit, over their squared standard deviations relative to sigma.

    These are at the fit's coefficients of dispersion=, or at `gamma`.
    """
    model, gamma = fit.model, fit.estimate.gamma if gamma is None else gamma
    if newdata is None:
        rows = model.observations
        own = np.ones(len(rows.y)) if rows.weights is None else rows.weights
        return np.asarray(own if model.spread is None else own * np.exp(-2.0 * model.spread.residual.spread @ gamma))
    columns = Columns(newdata, "new data")
    size, m = len(model.parameters), len(columns.index)
    every = weights if weights is None else np.tile(row_weights(weights, None, m), size)
    prior = new_weights(fit, model.stack.frame(columns), every, size * m)[:m]
    return np.asarray(prior if model.spread is None else prior * np.exp(-2.0 * model.spread.rows(newdata) @ gamma))
