r"""Conjugate gradients for many right-hand sides at once, and what they tell of the logarithm of the matrix.

The steps of conjugate gradients on R x = w are those of Lanczos from w: with step lengths a_k and ratios b_k of squared
residuals, the tridiagonal T has 1 / a_k + b_{k-1} / a_{k-1} on its diagonal and sqrt(b_k) / a_k beside it, and Gauss'
quadrature gives w' log(R) w = |w|^2 e_1' log(T) e_1 (Golub & Meurant 2010, Matrices, Moments and Quadrature, chapters
4 and 7) to twice the order that the solution has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Krylov", "conjugate_gradients"]

# Steps beyond which rounding has taken what is left to gain: as many as a matrix of condition 1e6 needs for 1e-10.
_MOST_STEPS = 2000


@dataclass(frozen=True, eq=False)
class Krylov:
    """Solutions, and the tridiagonal matrices that they were found by.

    Attributes
    ----------
    solution : ndarray, shape (m, c)
        R^{-1} w.
    applied : ndarray, shape (m, c)
        R w.
    diagonal, beside : ndarray, shape (steps, c)
        Of T, whose rows beyond the last step of a column are those of I.
    squares : ndarray, shape (c,)
        w'w.
    """

    solution: Array
    applied: Array
    diagonal: Array
    beside: Array
    squares: Array

    @property
    def log_forms(self) -> Array:
        """w' log(R) w, (c,)."""
        k, c = self.diagonal.shape
        t = np.zeros((c, k, k))
        every = np.arange(k)
        t[:, every, every] = self.diagonal.T
        t[:, every[1:], every[:-1]] = self.beside[:-1].T
        values, vectors = np.linalg.eigh(t)
        return np.asarray(self.squares * np.einsum("ck,ck->c", vectors[:, 0] ** 2, np.log(values)))


def conjugate_gradients(apply: Callable[[Array], Array], rhs: Array, tolerance: float) -> Krylov:
    """Solve R x = w for the columns of `rhs`, (m, c), until residuals are below `tolerance` of them.

    Raises
    ------
    FitError
        Where that takes too many steps.
    """
    x, r = np.zeros_like(rhs), rhs.copy()
    p = r.copy()
    squares = np.einsum("mc,mc->c", r, r)
    rr, stop = squares, tolerance**2 * squares
    active = rr > 0.0
    diagonal, beside = [], []
    applied = np.zeros_like(rhs)
    ratio = np.zeros(rhs.shape[1])
    last = np.ones(rhs.shape[1])
    for step in range(_MOST_STEPS):
        if not active.any() and step:
            break
        rp = apply(p)
        if not step:
            applied = rp.copy()
        length = np.divide(rr, np.einsum("mc,mc->c", p, rp), out=np.zeros_like(rr), where=active)
        x += length * p
        rp *= length
        r -= rp
        after = np.einsum("mc,mc->c", r, r)
        safe = np.where(active, length, 1.0)
        diagonal.append(np.where(active, 1.0 / safe + ratio / last, 1.0))
        ratio = np.divide(after, rr, out=np.zeros_like(rr), where=active)
        going = active & (after > stop)
        beside.append(np.where(going, np.sqrt(ratio) / safe, 0.0))
        p *= ratio
        p += r
        rr, last, active = after, safe, going
    else:
        raise FitError(
            f"The crossed effects were not solved for in {_MOST_STEPS} steps: their variances are too large beside the "
            "residual one. Ask for another solver=, or rescale the columns left of the bar."
        )
    return Krylov(x, applied, np.array(diagonal), np.array(beside), squares)
