"""New random effects, and new Gaussian responses: all replicates in one array operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.results.predict import term_effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["add_noise", "draw_predictors"]


def draw_predictors(
    mean: Array,
    random: Sequence[RandomDesign],
    templates: Sequence[Array],
    unit: float,
    n: int,
    rng: np.random.Generator,
) -> Array:
    """Draw ``mean + sum_t Z_t b_t`` with b ~ N(0, unit**2 T T').

    Parameters
    ----------
    mean : ndarray, shape (m,)
        Fixed part, offset and whatever random effects are conditioned on.
    random : sequence of RandomDesign
        Terms to draw anew.
    templates : sequence of ndarray, shape (k_t, k_t)
        Factors of these terms.
    unit : float
        What the factors are relative to.
    n : int
        Number of replicates.
    rng : Generator

    Returns
    -------
    ndarray, shape (m, n)
        A column a replicate.

    Examples
    --------
    >>> draw_predictors(np.zeros(4), [], [], 1.0, 2, np.random.default_rng(1)).shape
    (4, 2)
    """
    out = np.repeat(mean[:, None], n, axis=1)
    for term, template in zip(random, templates, strict=True):
        k = len(term.columns)
        spherical = rng.standard_normal((term.grouping.n_levels, k, n))
        effects = unit * np.einsum("ij,qjr->qir", template, spherical)
        out += term_effect(term.Z, term.grouping.codes, effects)
    return out


def add_noise(predictors: Array, sigma: float, weights: Array | None, rng: np.random.Generator) -> Array:
    """Add e ~ N(0, sigma**2 / w) to every column.

    Parameters
    ----------
    predictors : ndarray, shape (m, n)
    sigma : float
        Residual standard deviation of an observation of weight 1.
    weights : ndarray, shape (m,), or None
    rng : Generator

    Returns
    -------
    ndarray, shape (m, n)

    Examples
    --------
    >>> add_noise(np.zeros((2, 3)), 0.0, None, np.random.default_rng(1)).any()
    np.False_
    """
    noise = rng.standard_normal(predictors.shape)
    noise *= sigma if weights is None else (sigma / np.sqrt(weights))[:, None]
    return predictors + noise
