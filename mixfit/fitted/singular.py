"""Whether a random effect has no variance, or is determined by the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.types import RandomDesign

__all__ = ["any_singular", "column_scales", "undetermined"]

# Of a matrix with a unit diagonal, the smallest eigenvalue below which its columns are dependent but for rounding.
_DEPENDENT = 1e-10


def any_singular(random: Sequence[RandomDesign], templates: Sequence[NDArray[np.float64]]) -> bool:
    """Say whether a relative covariance factor lies on the boundary of its parameter space.

    Parameters
    ----------
    random : sequence of RandomDesign
    templates : sequence of ndarray, shape (k_t, k_t)
        Lower-triangular relative factors.

    Returns
    -------
    bool
        True where a structure says so of columns brought to unit mean square, so that the answer does not depend on
        their units.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> random = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).design.random
    >>> any_singular(random, [np.eye(2)]), any_singular(random, [np.array([[1.0, 0.0], [0.3, 0.0]])])
    (False, True)
    """
    triples = zip(random, templates, column_scales(random), strict=True)
    return any(bool(term.structure.is_singular(t, scale)) for term, t, scale in triples)


def column_scales(random: Iterable[RandomDesign]) -> list[NDArray[np.float64]]:
    """Root mean square of every column left of the bar, by term: shape (k_t,) each."""
    return [np.sqrt(term.mean_squares) for term in random]


def undetermined(term: RandomDesign) -> bool:
    """Say whether no level can tell a term's columns apart: then its effects are singular in every level.

    That is so for ``(x|g)`` where x is constant within each group.

    Parameters
    ----------
    term : RandomDesign

    Returns
    -------
    bool
    """
    k = len(term.columns)
    if term.structure.invariance is not Invariance.ANY_BASIS or k == 1 or term.structure.rank < k:
        return False
    gram = term.level_products
    scale = np.sqrt(np.maximum(np.einsum("qii->qi", gram), np.finfo(float).tiny))
    least = np.linalg.eigvalsh(gram / (scale[:, :, None] * scale[:, None, :]))[:, 0]
    return bool((least < _DEPENDENT).all())
