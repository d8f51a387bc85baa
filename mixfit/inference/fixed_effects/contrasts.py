"""Tests of linear functions L beta of the fixed effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.arguments import same_name
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.fixed_effects.denominator import Denominator
    from mixfit.inference.fixed_effects.kenward_roger import ScaledF

    Array = NDArray[np.float64]

__all__ = ["ContrastTests", "contrast_matrix", "contrast_tests", "independent_rows", "joint_test"]

# Singular values of unit rows below this share of the largest are rounding of contrasts typed with 7 digits.
_RANK = 1e-7


@dataclass(frozen=True, eq=False)
class ContrastTests:
    """Estimates of rows of L beta.

    Attributes
    ----------
    estimate, se, df : ndarray, shape (q,)
        ``df`` is infinite where the normal distribution is used.
    """

    estimate: Array
    se: Array
    df: Array


def contrast_tests(fit: Fit, L: ArrayLike, ddf: str | None = None) -> ContrastTests:
    """Estimate many contrasts at once, each with its own degrees of freedom.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    L : array_like, shape (q, p) or (p,)
        Rows of coefficients of ``fit.fixef``.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        As in ``fit.contest``. For generalized fits there are none: `df` is infinite.

    Returns
    -------
    ContrastTests
        Estimates L beta, standard errors and degrees of freedom as arrays. Kenward-Roger's standard errors
        come from the adjusted covariance; of a fit by maximum likelihood all of it comes from its REML refit.

    Raises
    ------
    FitError
        Where L does not fit the fixed effects, or `ddf` the model.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> contrast_tests(fit, [[0, 1], [1, 9]], "kenward-roger").df.round(3).tolist()
    [17.0, 17.0]
    """
    from mixfit.inference.fixed_effects.denominator import denominator

    rows, _ = contrast_matrix(fit, L)
    method = denominator(fit, ddf)
    variances = np.einsum("qp,pr,qr->q", rows, method.cov, rows)
    return ContrastTests(rows @ method.beta, np.sqrt(variances), method.df(rows))


def contrast_matrix(fit: Fit, L: Any) -> tuple[Array, list[str]]:
    """L as an array (q, p) and names of its rows, from an array, a mapping of names or a frame.

    Raises
    ------
    FitError
        For a name that is no fixed effect of the fit, or a shape that does not fit.
    """
    names = [str(name) for name in fit.fixef.index]
    if isinstance(L, pd.Series):
        L = L.to_dict()
    if isinstance(L, Mapping):
        return _named_row(L, names, fit.model.aliased)[None], ["1"]
    if isinstance(L, pd.DataFrame):
        rows = [_named_row(row.to_dict(), names, fit.model.aliased) for _, row in L.iterrows()]
        return np.array(rows, dtype=float).reshape(len(L), len(names)), [str(name) for name in L.index]
    try:
        array = np.atleast_2d(np.asarray(L, dtype=float))
    except (TypeError, ValueError) as error:
        raise FitError(f"L must be numbers, one row a contrast: {error}.") from error
    if array.ndim != 2 or array.shape[1] != len(names) or not np.isfinite(array).all():
        raise FitError(
            f"L must have a finite coefficient for each of the {len(names)} fixed effects ({', '.join(names)}) "
            f"in every row; it has the shape {np.shape(L)}."
        )
    return array, [str(i + 1) for i in range(len(array))]


def _named_row(coefficients: Mapping[Any, Any], names: Sequence[str], aliased: Sequence[str]) -> Array:
    row = np.zeros(len(names))
    for name, value in coefficients.items():
        known = "Intercept" if name == "(Intercept)" else same_name(str(name), [*names, *aliased])
        if known in aliased and value:
            raise FitError(f"The fixed effect {name!r} is aliased with others and has no estimate.")
        if known not in names and known not in aliased:
            raise FitError(f"The model has no fixed effect {name!r}; it has {', '.join(names)}.")
        if known in names:
            row[names.index(known)] = float(value)
    if not np.isfinite(row).all():
        raise FitError("The coefficients of a contrast must be finite.")
    return row


def independent_rows(L: Array, cov: Array, rhs: Array) -> tuple[Array, Array]:
    """P and d of L cov L' = P diag(d) P', without the directions in which L has no more rank.

    Parameters
    ----------
    L : ndarray, shape (q, p)
    cov : ndarray, shape (p, p)
    rhs : ndarray, shape (q,)

    Returns
    -------
    ndarray, shape (q, rank), and ndarray, shape (rank,)

    Raises
    ------
    FitError
        Where dependent rows of L are said to equal values that contradict each other.
    """
    free = wald.are_free(cov)
    half = L[:, free] @ np.linalg.cholesky(cov[np.ix_(free, free)])
    lengths = np.sqrt(np.einsum("qp,qp->q", half, half))
    largest = np.abs(L).max(axis=1, initial=0.0) * np.sqrt(np.diagonal(cov).max(initial=0.0))
    known = lengths <= np.sqrt(wald.HELD) * largest
    half[known], lengths[known] = 0.0, 1.0
    left, values, _ = np.linalg.svd(half / lengths[:, None])
    rank = int((values > _RANK * values.max(initial=0.0)).sum())
    wanted = rhs / lengths
    if np.abs(left[:, rank:].T @ wanted).max(initial=0.0) > _RANK * np.abs(wanted).max(initial=0.0):
        raise FitError("Rows of L that depend on each other are set equal to values that contradict each other.")
    vectors, roots, _ = np.linalg.svd(half)
    return vectors[:, :rank], roots[:rank] ** 2


def joint_test(method: Denominator, L: Array, rhs: Array) -> ScaledF | None:
    """Test L beta = rhs for all rows (q, p) together; None where L is zero."""
    vectors, variances = independent_rows(L, method.test_cov, rhs)
    if not len(variances):
        return None
    return method.joint(vectors.T @ L, vectors.T @ (L @ method.beta - rhs), variances)
