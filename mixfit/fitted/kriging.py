r"""Effects at places or times that the fit has none for: their expectation given those that it has, and its error.

With Sigma the covariance of the effects b of a term's k places, c those of a new place with them, and v its variance,

    E[b_new | b] = c' Sigma^- b,      Var(b_new | b) = v - c' Sigma^- c

(kriging: Cressie 1993, Statistics for Spatial Data, 3.2). So a row at a new place is a row with the weights Sigma^- c
in place of the indicator of a place, and has a variance of its own beside that of the effects that it is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.errors import NewLevelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.new_rows import NewPlaces
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["kriged"]

# Squared singular values of the factor below this share of the largest are rounding of Sigma: effects of smooth fields
# are as good as determined by the others.
_SINGULAR = 1e-12
_SHOWN = 3


def kriged(
    fit: Fit, Z: Sequence[Array | None], places: Sequence[NewPlaces | None]
) -> tuple[tuple[Array | None, ...], tuple[Array | None, ...]]:
    """Columns of new rows, those at new places filled in, and the variance that these have of their own.

    Parameters
    ----------
    fit : Fit
    Z : sequence of (ndarray, shape (m, k_t), or None)
        Columns left of the bar, NaN in rows at new places.
    places : sequence of (NewPlaces, or None)
        These rows, of every term.

    Returns
    -------
    Z, variance : tuple of (ndarray, or None)
        Of every term; the variances, shape (m,), in squared units of the linear predictor, None where there are none.

    Raises
    ------
    NewLevelError
        For a place of which the structure says nothing.
    """
    random, estimate = fit.model.design.random, fit.estimate
    if not any(new is not None for new in places):
        return tuple(Z), (None,) * len(Z)
    thetas = split_theta([term.structure for term in random], estimate.theta)
    filled: list[Array | None] = list(Z)
    variances: list[Array | None] = [None] * len(Z)
    for t, (z, new) in enumerate(zip(Z, places, strict=True)):
        if new is None or z is None:
            continue
        found = random[t].structure.elsewhere(thetas[t], new.positions, new.known)
        beyond = np.ones(len(new.rows), dtype=bool) if found is None else np.isnan(found[0]).any(axis=1)
        if found is None or beyond.any():
            raise NewLevelError(_message(random[t], new.positions[beyond]))
        weights, rest = _conditional(estimate.templates[t], *found)
        whole, own = z.copy(), np.zeros(len(z))
        whole[new.rows], own[new.rows] = weights, estimate.unit**2 * rest
        filled[t], variances[t] = whole, own
    return tuple(filled), tuple(variances)


def _conditional(template: Array, covariance: Array, variance: Array) -> tuple[Array, Array]:
    """Weights (r, k) of the effects, and what is left of the variances (r,), by the pseudo-inverse of T T'."""
    u, s, _ = np.linalg.svd(template)
    kept = s**2 > _SINGULAR * s[0] ** 2
    half = covariance @ u[:, kept] / s[kept]
    weights = half / s[kept] @ u[:, kept].T
    return weights, np.maximum(variance - np.einsum("ij,ij->i", half, half), 0.0)


def _message(term: RandomDesign, positions: Array) -> str:
    shown = ", ".join(" ".join(f"{x:g}" for x in place) for place in positions[:_SHOWN])
    more = f" and {len(positions) - _SHOWN} more" if len(positions) > _SHOWN else ""
    return (
        f"{term.text}: the fit has no effects for {shown}{more}, and the structure {term.structure.name} does not say "
        "how they go with those that it has. Predict at the times of the fit, or without the term by re_form=; ou, "
        "exp, gau and mat know every time and place, ar1 all of its equal steps."
    )
