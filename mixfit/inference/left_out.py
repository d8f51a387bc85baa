"""Groups of rows to leave out: partitions by name, and rows that can be left out one from another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.fitted.residual_covariance import is_structured
from mixfit.lmm.working import linear_working_model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.types import Design

    Index = NDArray[np.intp]

__all__ = ["independent_rows", "partition", "partition_of"]


def partition(by: str | ArrayLike, design: Design) -> tuple[str, Index, pd.Index]:
    """Find the groups of rows that `by` names.

    Parameters
    ----------
    by : str or array_like, shape (nobs,)
        ``"observation"``, a grouping factor, or a label for every row used; a Series is read by its index where that
        has the labels of these rows.
    design : Design

    Returns
    -------
    name : str
    codes : ndarray of intp, shape (nobs,)
    labels : pandas.Index, shape (q,)

    Raises
    ------
    DataError
        For a name that is no grouping factor, labels that are missing, or as many as there are not rows.
    """
    n = len(design.y)
    if isinstance(by, str):
        if by == "observation":
            return by, np.arange(n), design.index
        for term in design.every_random:
            if _parts(term.grouping.name) == _parts(by):
                codes, levels = term.written.codes, term.written.levels
                seen = np.bincount(codes, minlength=len(levels)) > 0
                return term.grouping.name, (np.cumsum(seen) - 1)[codes], levels[seen]
        names = ", ".join(dict.fromkeys(repr(term.grouping.name) for term in design.every_random)) or "none"
        raise DataError(f"by={by!r} is neither 'observation' nor a grouping factor of the model, which has {names}.")
    if isinstance(by, pd.Series) and by.index.is_unique and design.index.isin(by.index).all():
        by = by.loc[design.index]
    codes, labels = pd.factorize(pd.Series(by), sort=True)
    if len(codes) != n:
        raise DataError(f"by= has {len(codes)} labels for the {n} rows that the model uses.")
    if (codes < 0).any():
        raise DataError("by= has missing labels: give every row that the model uses a group.")
    name = getattr(by, "name", None)
    return str(name) if name is not None else "group", codes.astype(np.intp), pd.Index(labels)


def _parts(name: str) -> frozenset[str]:
    return frozenset(re.sub(r"[\s`]", "", part) for part in name.split(":"))


def partition_of(fit: Fit, by: str | ArrayLike) -> tuple[str, NDArray[np.intp], pd.Index]:
    """`partition`, by the blocks of correlated residuals too."""
    if is_structured(fit) and isinstance(by, str):
        blocks = fit.model.residual.blocks
        if blocks is not None and _parts(blocks.name) == _parts(by):
            return blocks.name, blocks.codes, pd.Index(blocks.levels)
    return partition(by, fit.model.observations)


def independent_rows(fit: Fit, codes: Index) -> WorkingModel:
    """Rows whose residuals are independent; those of correlated ones go together or not at all.

    Whitened rows of a block are combinations of all of its rows: without some of these the others are whitened
    otherwise, without all of them nothing else changes.

    Raises
    ------
    FitError
        Where rows of one block of correlated residuals are in different groups, and where fixed effects are known.
    """
    if fit.model.known_effects:
        raise FitError(
            "Influence from one fit moves every fixed effect, and fixed= holds some of these: influence(refit=True) "
            "estimates the others anew without each group."
        )
    if not is_structured(fit):
        return fit.model.working_model(fit.estimate)
    residual = fit.model.residual
    if residual.blocks is not None:
        of_block = np.zeros(residual.blocks.n_levels, dtype=np.intp)
        of_block[residual.block] = codes
        if (of_block[residual.block] != codes).any():
            raise FitError(
                f"The residuals of each {residual.blocks.name} are correlated, and no row has a leverage of its own "
                f"beside residual=: leave out all rows of each, influence(by={residual.blocks.name!r}), or estimate "
                "the model anew without each group, influence(..., refit=True)."
            )
    return linear_working_model(fit.model.assembly_at(fit.estimate), fit.estimate)
