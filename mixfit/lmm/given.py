r"""A linear model with a term whose covariance is known itself: sigma is explicit, and tied to that term.

Relative to sigma^2 the term has K / sigma^2: with theta = 1 / sigma, and all else as ever,

    d(theta)    = log|A| - sum log w + n log(2 pi sigma^2) + r^2 / sigma^2,
    REML(theta) = d + log|G_XX| - p log(2 pi sigma^2),

no sigma^2 = r^2 / nu being inserted. Along x = log theta sigma^2 falls by 2 sigma^2 beside what Sigma does, so that

    dd/dx = <N, Sigma'> + 2 (r^2 / sigma^2 - nu),
    d_xx  = [as at fixed sigma] - 4 q_x / sigma^2 + 4 r^2 / sigma^2,    d_ax = [at fixed sigma] - 2 q_a / sigma^2,

q_a = e'V^{-1}V_a V^{-1}e. In the average information w_x = (V_x - 2 V) V^{-1}e.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.given import Given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.term import Term

    Array = NDArray[np.float64]

__all__ = ["given_direction", "given_scale", "tied_hessian", "tied_information", "tied_slope"]


def given_scale(terms: Sequence[Term], lengths: Sequence[float], points: Sequence[Array], log_scale: float) -> float:
    """sigma^2 in units of the squared residual length, of the points; NaN where no term says what it is.

    Parameters
    ----------
    terms : sequence of Term
    lengths : sequence of float
        r of each term, Z = Z_basis r, so that its theta is r / sigma.
    points : sequence of ndarray
    log_scale : float
        log of the residual length.
    """
    for term, length, point in zip(terms, lengths, points, strict=True):
        if term.structure.is_given:
            assert isinstance(term.structure, Given)
            theta = float(point[0]) if point.ndim == 1 else term.structure.theta_of_template(point)
            return float(np.exp(2.0 * (np.log(length / theta) - log_scale)))
    return np.nan


def given_direction(terms: Sequence[Term], directions: Sequence[Direction]) -> int | None:
    """Which of the directions is that of sigma."""
    return next((a for a, d in enumerate(directions) if terms[d.term].structure.is_given), None)


def tied_slope(residual: float, scale: float, nu: int) -> float:
    """What the slope along log theta has beside <N, Sigma'>, from r^2 and sigma^2."""
    return 2.0 * (residual / scale - nu)


def tied_information(information: Array, to_y: Array, residual: float, tied: int) -> Array:
    """The products w_a'Pw_b with those of w_x, from V_x's alone, `to_y` = w_a'V^{-1}e, and r^2."""
    out = information.copy()
    out[tied] -= 2.0 * to_y
    out[:, tied] -= 2.0 * to_y
    out[tied, tied] += 4.0 * residual
    return out


def tied_hessian(doubled: Array, quadratic: Array, residual: float, tied: int) -> Array:
    """What twice the average information has in excess along sigma; all over sigma^2."""
    out = doubled.copy()
    out[tied] += 2.0 * quadratic
    out[:, tied] += 2.0 * quadratic
    out[tied, tied] -= 4.0 * residual
    return out
