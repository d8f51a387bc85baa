r"""Covariances of pairs of rows under a fitted linear model: random effects and residuals together.

    Cov(y_i, y_j) = sum_t [same level of t] z_ti'Sigma_t z_tj + R_ij,

R_ij = s_i s_j C_ij for residuals of standard deviations s, and C the correlation of their places where the two rows are
of one block. No matrix of all rows is formed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.parametric import Parametric
from mixfit.fitted.residual_covariance import is_structured, residual_deviations
from mixfit.fitted.varcorr import residual_parts
from mixfit.matrices.across import refuse_related
from mixfit.wald import correlation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import LinearFit

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["pair_covariances", "row_pairs"]

# Numbers that the columns of some pairs hold at a time: 32 MB.
_CELLS_AT_ONCE = 4_000_000


def row_pairs(codes: Index, most: int, rng: np.random.Generator) -> tuple[Index, Index]:
    """Pairs of rows of one level, each once.

    Parameters
    ----------
    codes : ndarray of intp, shape (n,)
        The level of each row.
    most : int
        Where there are more pairs, so many of them are drawn.
    rng : Generator

    Returns
    -------
    first, second : ndarray of intp, shape (P,)

    Examples
    --------
    >>> [pair.tolist() for pair in row_pairs(np.array([0, 1, 0, 0]), 10, np.random.default_rng(1))]
    [[0, 0, 2], [2, 3, 3]]
    """
    order = np.argsort(codes, kind="stable").astype(np.intp)
    size = np.bincount(codes)
    place = np.empty(len(codes), dtype=np.intp)
    place[order] = np.arange(len(codes)) - np.repeat(np.cumsum(size) - size, size)
    # The pairs of a row with those before it in its level, numbered row after row.
    before = place[order]
    total = int(before.sum())
    number = np.arange(total) if total <= most else np.sort(rng.choice(total, most, replace=False))
    end = np.cumsum(before)
    at = np.searchsorted(end, number, side="right")
    back = number - (end[at] - before[at])
    start = at - before[at]
    return order[start + back], order[at]


def pair_covariances(fit: LinearFit, first: Index, second: Index) -> Array:
    """Cov(y_i, y_j) of pairs of rows used, in squared units of the response.

    Parameters
    ----------
    fit : LinearFit
    first, second : ndarray of intp, shape (P,)

    Returns
    -------
    ndarray, shape (P,)

    Raises
    ------
    FitError
        For levels that are related by a sparse inverse, whose covariances are not at hand.
    """
    random = fit.model.design.random
    refuse_related(random, "a covariance of two rows")
    out = _residual_covariances(fit, first, second)
    for term, template in zip(random, fit.estimate.templates, strict=True):
        factor, codes = fit.estimate.unit * template, term.grouping.codes
        same = np.flatnonzero(codes[first] == codes[second])
        step = max(1, _CELLS_AT_ONCE // len(factor))
        for own in np.split(same, range(step, len(same), step)):
            left, right = (term.Z[rows[own]] @ factor for rows in (first, second))
            out[own] += np.einsum("pk,pk->p", left, right)
    return out


def _residual_covariances(fit: LinearFit, first: Index, second: Index) -> Array:
    deviation = residual_deviations(fit)
    own = first == second
    parts = residual_parts(fit)[0]
    if not parts or not is_structured(fit):
        return np.where(own, deviation[first] * deviation[second], 0.0)
    residual = fit.model.residual
    out = np.where(residual.block[first] == residual.block[second], deviation[first] * deviation[second], 0.0)
    place = np.column_stack([residual.place[first], residual.place[second]])
    for number, part in enumerate(parts):
        of_part = np.flatnonzero((residual.part[first] == number) & ~own)
        at = place[of_part]
        within = part.structure.among(at)
        if isinstance(within, Parametric):
            sigma = within.covariance(part.theta)
            out[of_part] *= sigma[:, 0, 1] / np.sqrt(sigma[:, 0, 0] * sigma[:, 1, 1])
        else:
            out[of_part] *= correlation(part.vcov)[at[:, 0], at[:, 1]]
    return out
