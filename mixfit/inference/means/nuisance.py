"""Averages over factors that have no place in the reference grid.

A factor that interacts with none of the others moves all predictions alike: by the average over its levels less the one
in the grid. With those that it interacts with, and which are averaged over too, it is one factor of their combinations.
So grids stay small where there are many factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.inference.means.grid_variables import combinations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.grid_variables import GridVariable

    Array = NDArray[np.float64]

__all__ = ["nuisance_shift"]

_WEIGHTS = ("equal", "proportional", "outer")


def nuisance_shift(
    fit: Fit, variables: Mapping[str, GridVariable], nuisance: Sequence[str], grid: pd.DataFrame, weights: str
) -> Array:
    """What the averages over some factors add to the rows of X of a grid that has them at their first levels, (c,).

    Raises
    ------
    FitError
        For a factor that interacts with one that is no nuisance, a covariate, or weights that depend on a mean's cell.
    """
    if weights not in _WEIGHTS:
        raise FitError(
            f"weights={weights!r} depend on the cell of each mean, which nuisance= leaves out: they are one of "
            f"{', '.join(map(repr, _WEIGHTS))}."
        )
    terms = [set(term) & set(variables) for term in fit.model.design.reader.fixed_terms]
    for name in nuisance:
        if variables[name].codes is None:
            raise FitError(f"nuisance= is for factors, and {name!r} is a covariate, which is at one value anyway.")
        for term in terms:
            others = term - set(nuisance)
            if name in term and others:
                raise FitError(
                    f"nuisance= averages over factors that do not interact with others: {name!r} does, with "
                    f"{', '.join(sorted(others))}."
                )
    shift = np.zeros(len(fit.model.design.exog_names))
    for together in _components(nuisance, terms):
        factors = [variables[name] for name in together]
        cells = combinations(factors)
        rows = grid.iloc[np.zeros(len(cells), dtype=np.intp)].reset_index(drop=True)
        X = fit.model.design.reader.read_fixed(rows.assign(**{name: cells[name] for name in together}))
        shift += _shares(factors, len(cells), weights) @ (X - X[0])
    return shift


def _components(names: Sequence[str], terms: Sequence[set[str]]) -> list[list[str]]:
    """Names that stand in one term, or are linked by such."""
    groups: list[set[str]] = [{name} for name in names]
    for term in terms:
        linked = [group for group in groups if group & term]
        if len(linked) > 1:
            groups = [group for group in groups if not group & term] + [set().union(*linked)]
    return [[name for name in names if name in group] for group in groups]


def _shares(factors: Sequence[GridVariable], m: int, weights: str) -> Array:
    """What each combination counts, the first factor varying fastest."""
    if weights == "equal":
        return np.full(m, 1.0 / m)
    sizes = [len(factor.values) for factor in factors]
    codes = np.array([factor.codes for factor in factors])
    codes = codes[:, (codes >= 0).all(axis=0)]
    if weights == "proportional":
        counts = np.bincount(np.ravel_multi_index(tuple(codes[::-1]), tuple(sizes[::-1])), minlength=m)
        return np.asarray(counts / counts.sum())
    shares = np.ones(1)
    for code, size in zip(codes, sizes, strict=True):
        shares = np.outer(np.bincount(code, minlength=size) / code.size, shares).ravel()
    return shares
