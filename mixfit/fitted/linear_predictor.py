"""Linear predictors of rows: the fixed part plus the modes of the random effects that are kept, and their variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Estimate, Fit, Model
    from mixfit.fitted.re_form import Selection

    Array = NDArray[np.float64]
    Columns = Sequence[NDArray[np.float64] | None]
    Codes = Sequence[NDArray[np.intp] | None]

__all__ = [
    "complete_variance",
    "fixed_variance",
    "kept_columns",
    "linear_predictor",
    "term_effect",
    "training_predictor",
]


def term_effect(Z: NDArray[np.float64], codes: NDArray[np.intp], effects: NDArray[np.float64]) -> NDArray[np.float64]:
    """Contribution ``z_i' b_code(i)`` of one random term to every row.

    Parameters
    ----------
    Z : ndarray, shape (m, k)
    codes : ndarray of intp, shape (m,)
        Level of every row; a negative code contributes zero.
    effects : ndarray, shape (q, k) or (q, k, r)
        Effects by level; r sets of them at once.

    Returns
    -------
    ndarray, shape (m,) or (m, r)
        NaN where Z has NaN.

    Examples
    --------
    >>> term_effect(np.ones((3, 1)), np.array([1, 0, -1]), np.array([[5.0], [7.0]])).tolist()
    [7.0, 5.0, 0.0]
    """
    z = Z if bool((codes >= 0).all()) else np.where((codes >= 0)[:, None], Z, 0.0 * Z)
    total = np.zeros((len(codes), *effects.shape[2:]))
    # a column at a time, so that no array is larger than the result
    for j in range(Z.shape[1]):
        column = z[:, j] if effects.ndim == 2 else z[:, j, None]
        total += column * effects[:, j][codes]
    return total


def linear_predictor(
    X: NDArray[np.float64],
    beta: NDArray[np.float64],
    offset: NDArray[np.float64] | None,
    Z: Columns,
    codes: Codes,
    modes: Sequence[NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Evaluate ``X beta + offset + sum_t Z_t b_t``.

    Parameters
    ----------
    X : ndarray, shape (m, p)
    beta : ndarray, shape (p,)
    offset : ndarray, shape (m,), or None
    Z : sequence of (ndarray, shape (m, k_t), or None)
        None for a term left out.
    codes : sequence of (ndarray of intp, shape (m,), or None)
    modes : sequence of ndarray, shape (q_t, k_t)

    Returns
    -------
    ndarray, shape (m,)
    """
    eta: NDArray[np.float64] = X @ beta
    if offset is not None:
        eta = eta + offset
    for z, code, mode in zip(Z, codes, modes, strict=True):
        if z is not None and code is not None:
            eta = eta + term_effect(z, code, mode)
    return eta


def kept_columns(Z: Columns, selection: Selection) -> list[NDArray[np.float64] | None]:
    """Set to zero the columns that are not selected; None where a term keeps none.

    Parameters
    ----------
    Z : sequence of (ndarray, shape (m, k_t), or None)
    selection : tuple of ndarray of bool, shape (k_t,)

    Returns
    -------
    list of (ndarray, shape (m, k_t), or None)
    """
    return [
        None if z is None or not keep.any() else z if keep.all() else np.where(keep, z, 0.0)
        for z, keep in zip(Z, selection, strict=True)
    ]


def fixed_variance(X: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Variance ``x' C x`` of the fixed part of every row.

    Parameters
    ----------
    X : ndarray, shape (m, p)
    covariance : ndarray, shape (p, p)

    Returns
    -------
    ndarray, shape (m,)

    Examples
    --------
    >>> fixed_variance(np.array([[1.0, 2.0]]), np.diag([1.0, 3.0])).tolist()
    [13.0]
    """
    return np.asarray(np.einsum("ij,ij->i", X @ covariance, X))


def complete_variance(
    model: Model, estimate: Estimate, X: NDArray[np.float64], Z: Columns, codes: Codes
) -> NDArray[np.float64]:
    """Variance of predictions, fixed and random parts jointly, at the estimated theta.

    Parameters
    ----------
    model : Model
        Asked for the joint variance where random terms take part.
    estimate : Estimate
    X : ndarray, shape (m, p)
        Columns of ``model.exog``.
    Z : sequence of (ndarray, shape (m, k_t), or None)
        None for a term left out.
    codes : sequence of (ndarray of intp, shape (m,), or None)
        Negative for an unseen level, whose own effect adds no variance.

    Returns
    -------
    ndarray, shape (m,)
        NaN for rows with missing values.
    """
    if all(z is None for z in Z):
        return fixed_variance(X, estimate.cov_beta)
    whole = ~np.isnan(X).any(axis=1)
    for z in Z:
        if z is not None:
            whole &= ~np.isnan(z).any(axis=1)
    rows_Z: list[NDArray[np.float64] | None] = []
    rows_codes: list[NDArray[np.intp] | None] = []
    for z, code in zip(Z, codes, strict=True):
        if z is None or code is None:
            rows_Z.append(None)
            rows_codes.append(None)
        else:
            seen = code[whole] >= 0
            rows_Z.append(np.where(seen[:, None], z[whole], 0.0))
            rows_codes.append(np.where(seen, code[whole], 0))
    variance = np.full(len(X), np.nan)
    variance[whole] = model.prediction_variance(estimate, X[whole], rows_Z, rows_codes)
    return variance


def training_predictor(fit: Fit, selection: Selection) -> Array:
    """Linear predictor of the rows used, with the random columns of a selection: shape (nobs,)."""
    design = fit.model.design
    Z = kept_columns([term.Z for term in design.random], selection)
    codes = [term.grouping.codes for term in design.random]
    return linear_predictor(fit.model.exog, fit.estimate.beta, design.offset, Z, codes, fit.estimate.modes)
