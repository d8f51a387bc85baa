r"""Coefficients of every level by its own rows alone, beside the partially pooled ones of the fit.

With everything else of the model at its estimates, the mode of level j solves

    (Z_j'W Z_j + sigma^2 Sigma^{-1}) b_j = Z_j'W (r_j - Z_j beta_Z),   r = y less all other parts of the predictor,

and the least-squares coefficients a_j solve Z_j'W Z_j a_j = Z_j'W r_j. With c_j = beta_Z + b_j and the score
s = W (y - fitted values),

    a_j = c_j + (Z_j'W Z_j)^{-1} Z_j's:

one scoring step from the fit without its penalty. For a generalized model s = dl/d eta and W = E[-l''] at the
modes, and a_j is that step, which exists also where a level's responses are all alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized, is_nonlinear
from mixfit.inference.predictors import refuse_unordered

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["Pooling", "pooling", "unpenalized_steps"]

# Smallest eigenvalue of the cross-products of a level, columns scaled to length 1, that counts as full rank.
_RANK = 1e-9


@dataclass(frozen=True, eq=False)
class Pooling:
    """Coefficients of the levels of one grouping factor.

    Attributes
    ----------
    within : DataFrame, shape (q, k)
        By least squares from the rows of each level; NaN where these do not determine them.
    pooled : DataFrame, shape (q, k)
        Fixed plus random effects, as ``fit.coef()``.
    fixed : Series, shape (k,)
        The fixed effects, zero for a column without one.
    """

    within: pd.DataFrame
    pooled: pd.DataFrame
    fixed: pd.Series[float]


def pooling(fit: Fit, group: str) -> Pooling:
    """Compare a factor's levels one by one with their partially pooled coefficients.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    group : str
        Grouping factor; its random columns are the coefficients, each once. All else in the model (other
        columns, other factors, the offset) is held at its estimate.

    Returns
    -------
    Pooling

    Raises
    ------
    FitError
        For a factor that the model does not have, and of unordered categories.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> p = pooling(mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(), "Subject")
    >>> p.within.loc["308"].round(2).tolist(), p.pooled.loc["308"].round(2).tolist()
    ([244.19, 21.76], [253.66, 19.67])
    """
    if is_nonlinear(fit):
        raise FitError("A curve has no least-squares fit to every group by itself: see plot.fitted_lines().")
    refuse_unordered(fit, "Fits to every group by itself")
    terms = [term for term in fit.model.design.random if term.grouping.name == group]
    if not terms:
        raise FitError(f"The model has no grouping factor {group!r}; it has {', '.join(map(repr, fit.ranef()))}.")
    columns = {name: z for term in terms for name, z in _columns(term)}
    score, weights = _score(fit)
    grouping = terms[0].written
    Z = np.column_stack(list(columns.values()))
    steps = unpenalized_steps(Z, grouping.codes, grouping.n_levels, weights, score)
    pooled = fit.coef()[group][list(columns)]
    fixed = fit.fixef.reindex(list(columns)).fillna(0.0)
    return Pooling(pooled + steps, pooled, fixed)


def _columns(term: RandomDesign) -> Iterator[tuple[str, Array]]:
    """What is written left of the bar; of a term whose columns are its levels the one that they are made of."""
    if term.spread is not None:
        yield term.spread.column, term.Z.sum(axis=1)
        return
    yield from zip(term.columns, term.Z.T, strict=True)


def unpenalized_steps(Z: Array, codes: NDArray[np.intp], n_levels: int, weights: Array, score: Array) -> Array:
    """(Z_j'W Z_j)^{-1} Z_j's of every level.

    Parameters
    ----------
    Z : ndarray, shape (n, k)
    codes : ndarray of intp, shape (n,)
    n_levels : int
    weights, score : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n_levels, k)
        NaN for a level whose columns are linearly dependent.

    Examples
    --------
    >>> one = np.ones(3)
    >>> unpenalized_steps(one[:, None], np.array([0, 0, 1]), 2, one, np.array([1.0, 3.0, 5.0])).tolist()
    [[2.0], [5.0]]
    """
    k = Z.shape[1]
    products = np.empty((n_levels, k, k))
    right = np.empty((n_levels, k))
    for a in range(k):
        right[:, a] = np.bincount(codes, Z[:, a] * score, n_levels)
        for b in range(a + 1):
            products[:, a, b] = products[:, b, a] = np.bincount(codes, weights * Z[:, a] * Z[:, b], n_levels)
    length = np.sqrt(np.diagonal(products, axis1=1, axis2=2))
    known = length.min(axis=1) > 0.0
    length = np.where(known[:, None], length, 1.0)
    scaled = products / (length[:, :, None] * length[:, None, :])
    known &= np.linalg.eigvalsh(scaled)[:, 0] > _RANK
    steps = np.full((n_levels, k), np.nan)
    steps[known] = np.linalg.solve(scaled[known], (right / length)[known][..., None])[..., 0] / length[known]
    return steps


def _score(fit: Fit) -> tuple[Array, Array]:
    """Score and weight of every row in its linear predictor, at the modes."""
    design = fit.model.design
    prior = np.ones(len(design.y)) if design.weights is None else design.weights
    if is_generalized(fit):
        if fit.estimate.further:
            raise FitError("Scores by row are for models of the mean alone, and this one has zi= or dispersion=.")
        terms = fit.family.terms(design.y, prior, fit.estimate.eta, fit.estimate.phi)
        return terms.score, terms.expected
    # Of the rows used, which results may be padded beyond.
    return prior * fit.resid.dropna().to_numpy(dtype=float), prior
