"""Averages over the reference grid, and which linear functions of an aliased design can be estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.inference.means.reference_grid import ReferenceGrid

    Array = NDArray[np.float64]

__all__ = ["Weights", "average", "estimable"]

Weights = Literal["equal", "proportional", "outer", "cells", "flat"]

_TOLERANCE = 1e-8


def average(grid: ReferenceGrid, weights: str = "equal") -> Array:
    """Average the rows of X within each focal combination.

    Parameters
    ----------
    grid : ReferenceGrid
    weights : {"equal", "proportional", "outer", "cells", "flat"}
        All combinations of the other variables alike; by their frequencies in the data, whatever the focal
        combination; by the product of each variable's own frequencies; by the frequencies within the focal
        combination; alike, but none for cells without data.

    Returns
    -------
    ndarray, shape (m, c)
        NaN for a focal combination without data where its own cells are the weights.

    Raises
    ------
    FitError
        For other weights.
    """
    cells = _weights(grid, weights)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.einsum("rm,rmc->mc", cells / cells.sum(axis=0), grid.X))


def _weights(grid: ReferenceGrid, weights: str) -> Array:
    counts = grid.counts
    if weights == "equal":
        return np.ones_like(counts)
    if weights == "cells":
        return counts
    if weights == "flat":
        return (counts > 0).astype(np.float64)
    frequencies = counts.sum(axis=1)
    if weights == "proportional":
        return np.broadcast_to(frequencies[:, None], counts.shape)
    if weights == "outer":
        table = frequencies.reshape(grid.shape)
        outer = np.ones(())
        for axis in range(table.ndim):
            others = tuple(i for i in range(table.ndim) if i != axis)
            outer = np.multiply.outer(outer, table.sum(axis=others))
        return np.broadcast_to(outer.reshape(-1, 1), counts.shape)
    known = ", ".join(map(repr, get_args(Weights)))
    raise FitError(f"weights is one of {known}, not {weights!r}.")


def estimable(L: Array, X: Array, kept: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which rows of L beta do not depend on how the aliasing of X is resolved.

    L beta is estimable where L is in the row space of X (Searle 1971, Linear Models, 5.4). With X_a = X_k A the
    aliased columns in terms of those kept, that is L_a = L_k A.

    Parameters
    ----------
    L : ndarray, shape (q, c)
    X : ndarray, shape (n, c)
    kept : ndarray of intp
        Columns that are not aliased, a basis of the column space.

    Returns
    -------
    ndarray of bool, shape (q,)
        False also for rows with NaN.

    Examples
    --------
    >>> X = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    >>> estimable(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, -1.0]]), X, np.array([0, 1])).tolist()
    [True, False, True]
    """
    known = np.asarray(~np.isnan(L).any(axis=1))
    aliased = np.setdiff1d(np.arange(X.shape[1]), kept)
    if not len(aliased):
        return known
    # in units of the columns, so that rounding is the same for all
    lengths = np.linalg.norm(X, axis=0)
    lengths[lengths == 0.0] = 1.0
    A = np.linalg.lstsq((X / lengths)[:, kept], (X / lengths)[:, aliased], rcond=None)[0]
    values = np.where(known[:, None], L, 0.0) / lengths
    distance = np.abs(values[:, aliased] - values[:, kept] @ A).max(axis=1)
    return np.asarray(known & (distance <= _TOLERANCE * np.abs(values).max(axis=1)))
