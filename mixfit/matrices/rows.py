"""The design of some of the rows of another."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.types import Design, RandomDesign, SpreadLevels

__all__ = ["subset"]


def subset(design: Design, keep: NDArray[np.bool_]) -> Design:
    """The design of some rows; levels that none of them has are gone.

    Parameters
    ----------
    design : Design
    keep : ndarray of bool, shape (n,)

    Returns
    -------
    Design
    """
    terms = iter(_subset_terms([term for predictor in design.predictors for term in predictor.random], keep))
    mean, *further = (
        replace(
            predictor,
            X=predictor.X[keep],
            random=tuple(islice(terms, len(predictor.random))),
            offset=None if predictor.offset is None else predictor.offset[keep],
        )
        for predictor in design.predictors
    )
    return replace(
        design,
        y=design.y[keep],
        X=mean.X,
        random=mean.random,
        offset=mean.offset,
        further=tuple(further),
        weights=None if design.weights is None else design.weights[keep],
        index=design.index[keep],
        frame=None,
        excluded=None,
    )


def _subset_terms(random: Sequence[RandomDesign], keep: NDArray[np.bool_]) -> tuple[RandomDesign, ...]:
    groupings = {}
    for term in random:
        old = term.grouping
        if id(old) not in groupings:
            present, codes = np.unique(old.codes[keep], return_inverse=True)
            groupings[id(old)] = replace(old, codes=codes.astype(np.intp), levels=old.levels[present])
    return tuple(
        replace(
            term,
            grouping=groupings[id(term.grouping)],
            Z=term.Z[keep],
            spread=None if term.spread is None else _subset_spread(term.spread, keep),
            shared=None if term.shared is None else replace(term.shared, whole=term.shared.whole[keep]),
        )
        for term in random
    )


def _subset_spread(spread: SpreadLevels, keep: NDArray[np.bool_]) -> SpreadLevels:
    """All levels stay: their covariance is known."""
    return replace(spread, grouping=replace(spread.grouping, codes=spread.grouping.codes[keep]))
