"""Groups of rows that have the same covariates, so that one design serves the responses of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Index = NDArray[np.intp]

__all__ = ["Alike", "alike_groups"]


@dataclass(frozen=True, eq=False)
class Alike:
    """Groups of one design.

    Attributes
    ----------
    members : ndarray of intp, shape (R,)
        The groups.
    rows : ndarray of intp, shape (R, n)
        The rows of each, in one order of the covariates.
    """

    members: Index
    rows: Index


def alike_groups(covariates: pd.DataFrame, group: Index) -> list[Alike]:
    """Groups by their covariates, whatever the order of their rows.

    Parameters
    ----------
    covariates : DataFrame, shape (N, v)
        Values count as the same where they are equal.
    group : ndarray of intp, shape (N,)
        The group of each row; every number below the largest occurs.

    Returns
    -------
    list of Alike
        By the first of their members.
    """
    codes = np.stack(
        [np.zeros(len(group), dtype=np.intp), *(pd.factorize(covariates[name])[0] for name in covariates)], axis=1
    ).astype(np.intp)
    order = np.lexsort((*codes.T, group))
    sizes = np.bincount(group)
    starts = np.cumsum(sizes) - sizes
    out = []
    for n in np.unique(sizes):
        own = np.flatnonzero(sizes == n)
        rows = order[starts[own][:, None] + np.arange(n)]
        cells = np.ascontiguousarray(codes[rows].reshape(len(own), -1))
        # A row of numbers as one value, which is sorted faster than by its columns.
        whole = cells.view(np.dtype((np.void, cells.shape[1] * cells.itemsize))).reshape(-1)
        design = np.unique(whole, return_inverse=True)[1].reshape(-1)
        by_design = np.argsort(design, kind="stable")
        parts = np.split(by_design, np.flatnonzero(np.diff(design[by_design])) + 1)
        out += [Alike(own[part], rows[part]) for part in parts]
    return sorted(out, key=lambda alike: int(alike.members[0]))
