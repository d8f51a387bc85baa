r"""The steps of a Gibbs sampler for y = W l + e, W = [Z X], l = (b, beta), e ~ N(0, sigma^2 R^{-1}), R diagonal.

Every step draws from the distribution of some parameters given all others, for all chains at once: C of them are the
first axis of what varies. The effects b of a block of columns are independent N(0, Sigma) over its q levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.wishart import draw_inverse_wishart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["draw_covariance", "draw_expansion", "draw_location", "draw_residual_variance"]


def draw_location(
    products: Array, right: Array, precision: Array, pull: Array, variance: Array, rng: np.random.Generator
) -> Array:
    r"""Draw coefficients and random effects together (Garcia-Cortes & Sorensen 1996, Genet. Sel. Evol. 28, 121-126).

        l | ... ~ N(K^{-1} r, K^{-1}),    K = W'RW / sigma^2 + P,    r = W'Ry / sigma^2 + P m:

    Henderson's mixed-model equations, with P and m the precision and the means of the prior of l.

    Parameters
    ----------
    products : ndarray, shape (d, d) or (C, d, d)
        W'RW.
    right : ndarray, shape (C, d)
        W'Ry.
    precision : ndarray, shape (C, d, d)
        P: Sigma^{-1} for each level, and the precision of the coefficients.
    pull : ndarray, shape (d,)
        P m.
    variance : ndarray, shape (C,)
        sigma^2.
    rng : Generator

    Returns
    -------
    ndarray, shape (C, d)
    """
    root = np.linalg.cholesky(products / variance[:, None, None] + precision)
    half = np.linalg.solve(root, (right / variance[:, None] + pull)[:, :, None])
    noise = rng.standard_normal(half.shape)
    return np.asarray(np.linalg.solve(root.swapaxes(1, 2), half + noise)[:, :, 0])


def draw_covariance(effects: Array, df: float, scale: Array, rng: np.random.Generator) -> Array:
    r"""Draw the covariance of a block of random effects, whose prior is inverse Wishart.

        Sigma | ... ~ InvWishart(df + q, S + sum_j b_j b_j').

    Parameters
    ----------
    effects : ndarray, shape (C, q, k)
    df : float
    scale : ndarray, shape (k, k)
        S.
    rng : Generator

    Returns
    -------
    ndarray, shape (C, k, k)
    """
    total = scale + effects.swapaxes(1, 2) @ effects
    return draw_inverse_wishart(df + effects.shape[1], total, len(effects), rng)


def draw_residual_variance(squares: Array, count: float, shape: float, scale: float, rng: np.random.Generator) -> Array:
    r"""Draw the residual variance, whose prior is inverse gamma.

        sigma^2 | ... ~ InvGamma(shape + n / 2, scale + e'R e / 2).

    Parameters
    ----------
    squares : ndarray, shape (C,)
        e'R e.
    count : float
        n.
    shape, scale : float
    rng : Generator

    Returns
    -------
    ndarray, shape (C,)
    """
    return np.asarray((scale + 0.5 * squares) / rng.gamma(shape + 0.5 * count, size=len(squares)))


def draw_expansion(
    columns: Array, left: Array, weights: Array, sd: Array, variance: Array, rng: np.random.Generator
) -> Array:
    r"""Draw what standard deviations are multiplied by: a_t with b_t = a_t eta_t, a_t ~ N(0, s_t^2).

    Without it a variance near zero keeps its effects small, and these keep it there (Liu & Wu 1999, JASA 94,
    1264-1274; Gelman, van Dyk, Huang & Boscardin 2008, JCGS 17, 95-122). With F = [Z_1 eta_1, ...] and y~ what all
    other terms leave of y,

        a | ... ~ N(K^{-1} F'Ry~ / sigma^2, K^{-1}),    K = F'RF / sigma^2 + diag(1 / s^2).

    Parameters
    ----------
    columns : ndarray, shape (C, n, m)
        F.
    left : ndarray, shape (C, n)
        y~.
    weights : ndarray, shape (n,) or (C, n)
        R.
    sd : ndarray, shape (m,)
        s.
    variance : ndarray, shape (C,)
    rng : Generator

    Returns
    -------
    ndarray, shape (C, m)
    """
    weighted = (columns * weights[..., None]).swapaxes(1, 2)
    precision = np.broadcast_to(np.diag(sd**-2.0), (len(left), len(sd), len(sd)))
    return draw_location_of(weighted @ columns, (weighted @ left[:, :, None])[:, :, 0], precision, variance, rng)


def draw_location_of(
    products: Array, right: Array, precision: Array, variance: Array, rng: np.random.Generator
) -> Array:
    """`draw_location` about prior means of zero, the cross-products (C, d, d) of every chain its own."""
    return draw_location(products, right, precision, np.zeros(right.shape[1]), variance, rng)
