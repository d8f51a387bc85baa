"""Points of a generalized model's parameter space, and the slopes of its likelihood there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Parameters", "Slopes"]


@dataclass(frozen=True, eq=False)
class Parameters:
    """A point.

    Attributes
    ----------
    points : tuple of ndarray
        Of the terms' structures: relative factors, or what is moved instead; see :mod:`mixfit.covariance.structure`.
    gamma : ndarray, shape (p,)
        Coefficients of the orthonormal fixed columns.
    phi : float
        Dispersion; 1 for families without.
    """

    points: tuple[Array, ...]
    gamma: Array
    phi: float


@dataclass(frozen=True, eq=False)
class Slopes:
    """Exact first derivatives of -2 log-likelihood.

    Attributes
    ----------
    relative : tuple of ndarray, shape (k_t, k_t)
        T'N_t T of every term: half the derivative in T E_ij is its (i, j).
    absolute : dict of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template; of adaptive quadrature only what N_t T_t says.
    gamma : ndarray, shape (p,)
    log_phi : float
    quadratic_share, inverse_share : tuple of ndarray, shape (k_t,)
        As in :class:`mixfit.lmm.derivatives.Derivatives`.
    """

    relative: tuple[Array, ...]
    absolute: dict[int, Array]
    gamma: Array
    log_phi: float
    quadratic_share: tuple[Array, ...]
    inverse_share: tuple[Array, ...]
