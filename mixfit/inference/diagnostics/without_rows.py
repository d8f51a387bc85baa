"""The same model of some of its rows: its design, its fit, and the fits without each group of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from mixfit.errors import MixfitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import Design, RandomDesign
    from mixfit.results.base import MixedResults
    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["refits_without", "subset"]


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
    return replace(
        design,
        y=design.y[keep],
        X=design.X[keep],
        random=_subset_terms(design.random, keep),
        weights=None if design.weights is None else design.weights[keep],
        offset=None if design.offset is None else design.offset[keep],
        index=design.index[keep],
    )


def _subset_terms(random: Sequence[RandomDesign], keep: NDArray[np.bool_]) -> tuple[RandomDesign, ...]:
    groupings = {}
    for term in random:
        old = term.grouping
        if id(old) not in groupings:
            present, codes = np.unique(old.codes[keep], return_inverse=True)
            groupings[id(old)] = replace(old, codes=codes.astype(np.intp), levels=old.levels[present])
    return tuple(replace(term, grouping=groupings[id(term.grouping)], Z=term.Z[keep]) for term in random)


def refits_without(fit: MixedResults, codes: Index, q: int) -> tuple[Array, Array, Array, Array, NDArray[np.bool_]]:
    """dfbeta, errors, sigma, theta and convergence of the fits without each group; NaN where there is no fit."""
    p, m = len(fit.params), len(fit.estimate.theta)
    dfbeta, errors = np.full((q, p), np.nan), np.full((q, p), np.nan)
    sigma, theta, converged = np.full(q, np.nan), np.full((q, m), np.nan), np.zeros(q, dtype=bool)
    for g in range(q):
        try:
            other = _fit_rows(fit, codes != g)
        except MixfitError:
            # Too little is left, as where one of two levels goes: no estimate, and `converged` says so.
            continue
        dfbeta[g] = (other.params - fit.params).reindex(fit.params.index)
        errors[g] = other.bse.reindex(fit.params.index)
        sigma[g], theta[g], converged[g] = other.sigma, other.estimate.theta, other.converged
    return dfbeta, errors, sigma, theta, converged


def _fit_rows(fit: MixedResults, keep: NDArray[np.bool_]) -> LinearResults | GeneralizedResults:
    """The same model of some rows, from the estimates of all."""
    from mixfit.generalized import GeneralizedMixedModel
    from mixfit.model import LinearMixedModel
    from mixfit.results.generalized import GeneralizedResults

    design, formula = subset(fit.model.design, keep), fit.model.formula_text
    if isinstance(fit, GeneralizedResults):
        method: Literal["ml", "pql"] = "pql" if fit.estimate.method == "pql" else "ml"
        return GeneralizedMixedModel(formula, design, fit.model.family).fit(n_agq=fit.estimate.n_agq, method=method)
    return LinearMixedModel(formula, design).fit(reml=fit.reml, start=fit.estimate.templates)
