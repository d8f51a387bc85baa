"""New responses from a fitted Gaussian model: all replicates in one array operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.results.predict import term_effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

__all__ = ["draw_responses"]


def draw_responses(
    mean: NDArray[np.float64],
    random: Sequence[RandomDesign],
    templates: Sequence[NDArray[np.float64]],
    sigma: float,
    weights: NDArray[np.float64] | None,
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Draw ``mean + sum_t Z_t b_t + e`` with b ~ N(0, sigma**2 T T') and e ~ N(0, sigma**2 / w).

    Parameters
    ----------
    mean : ndarray, shape (m,)
        Fixed part, offset and whatever random effects are conditioned on.
    random : sequence of RandomDesign
        Terms to draw anew.
    templates : sequence of ndarray, shape (k_t, k_t)
        Relative factors of these terms.
    sigma : float
        Residual standard deviation of an observation of weight 1.
    weights : ndarray, shape (m,), or None
    n : int
        Number of replicates.
    rng : Generator

    Returns
    -------
    ndarray, shape (m, n)
        A column a replicate.

    Examples
    --------
    >>> draw_responses(np.zeros(4), [], [], 1.0, None, 2, np.random.default_rng(1)).shape
    (4, 2)
    """
    out = np.repeat(mean[:, None], n, axis=1)
    for term, template in zip(random, templates, strict=True):
        k = len(term.columns)
        spherical = rng.standard_normal((term.grouping.n_levels, k, n))
        effects = sigma * np.einsum("ij,qjr->qir", template, spherical)
        out += term_effect(term.Z, term.grouping.codes, effects)
    noise = rng.standard_normal(out.shape)
    noise *= sigma if weights is None else (sigma / np.sqrt(weights))[:, None]
    out += noise
    return out
