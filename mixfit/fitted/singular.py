"""Whether a random effect has no variance, or is determined by the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

__all__ = ["any_singular", "column_scales", "singular", "undetermined"]

# Of a matrix with a unit diagonal, the smallest eigenvalue below which its columns are dependent but for rounding.
_DEPENDENT = 1e-10


def any_singular(
    templates: Iterable[NDArray[np.float64]], scales: Iterable[NDArray[np.float64]], tolerance: float = 1e-4
) -> bool:
    """Say whether a relative covariance factor lies on the boundary of its parameter space.

    Parameters
    ----------
    templates : iterable of ndarray, shape (k_t, k_t)
        Lower-triangular relative factors.
    scales : iterable of ndarray, shape (k_t,)
        Root mean squares of the terms' columns, so that the answer does not depend on their units.
    tolerance : float
        On the scale of theta, whose unit is the residual standard deviation; 1e-4 is the
        default of lme4's ``isSingular``.

    Returns
    -------
    bool
        True where a diagonal entry, for a column of unit mean square, is below `tolerance`.

    Examples
    --------
    >>> one = [np.ones(2)]
    >>> any_singular([np.eye(2)], one), any_singular([np.array([[1.0, 0.0], [0.3, 0.0]])], one)
    (False, True)
    """
    return any(bool(singular(*pair, tolerance)) for pair in zip(templates, scales, strict=True))


def singular(
    template: NDArray[np.float64], scale: NDArray[np.float64], tolerance: float = 1e-4
) -> NDArray[np.bool_] | np.bool_:
    """The same of one term, for one template or many: (..., k, k) gives (...)."""
    return (np.diagonal(template, axis1=-2, axis2=-1) * scale < tolerance).any(axis=-1)


def column_scales(random: Iterable[RandomDesign]) -> list[NDArray[np.float64]]:
    """Root mean square of every column left of the bar, by term: shape (k_t,) each."""
    return [np.sqrt(np.einsum("nk,nk->k", term.Z, term.Z) / len(term.Z)) for term in random]


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
    k, codes, q = term.Z.shape[1], term.grouping.codes, term.grouping.n_levels
    if term.structure.invariance is not Invariance.ANY_BASIS or k == 1:
        return False
    gram = np.empty((q, k, k))
    for i in range(k):
        for j in range(i + 1):
            gram[:, i, j] = gram[:, j, i] = np.bincount(codes, term.Z[:, i] * term.Z[:, j], q)
    scale = np.sqrt(np.maximum(np.einsum("qii->qi", gram), np.finfo(float).tiny))
    least = np.linalg.eigvalsh(gram / (scale[:, :, None] * scale[:, None, :]))[:, 0]
    return bool((least < _DEPENDENT).all())
