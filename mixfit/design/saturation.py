r"""Whether random and fixed effects together explain any response: then the likelihood has no maximum.

With rank [Z X] = n > rank Z, some fixed and random effects leave no residual whatever the response, and as sigma goes
to zero with the covariances of the effects held, log|V| goes to -inf in the n - rank Z directions off the span of Z
while (y - X beta)'V^{-1}(y - X beta) does not grow. With rank Z = n the density is bounded; but where every term has
all covariances of its columns, the residual variance is told from nothing but the shape of what they explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance
from mixfit.errors import DesignError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["check_saturation"]

# Rows up to which ranks are taken from a dense matrix; a design of more has effects by the thousand for it to matter.
_MOST_ROWS = 1000
# A singular value below this share of the largest, of columns of unit length, is rounding.
_RANK = 1e-9


def check_saturation(random: Sequence[RandomDesign], X: Array) -> None:
    """Refuse terms that explain, with the fixed effects, any response."""
    n = len(X)
    effects = sum(term.grouping.n_levels * term.Z.shape[1] for term in random)
    if not random or not X.shape[1] < n <= effects + X.shape[1] or n > _MOST_ROWS:
        return
    structures = [term.structure for term in random]
    if any(s.absorbs_residual or not s.free_blocks or s.relationship is not None for s in structures):
        return
    Z = _dense(random)
    if _rank(np.concatenate([Z, X], axis=1)) < n:
        return
    if _rank(Z) == n and any(term.structure.invariance is not Invariance.ANY_BASIS for term in random):
        return
    names = ", ".join(term.text for term in random)
    raise DesignError(
        f"{names}: with the fixed effects they explain any response of these {n} rows exactly, so that the likelihood "
        "has no maximum: nothing is left to estimate the residual variance from. Leave a term or fixed effects out."
    )


def _dense(random: Sequence[RandomDesign]) -> Array:
    """Z, (n, effects)."""
    parts = []
    for term in random:
        n, k = term.Z.shape
        part = np.zeros((n, term.grouping.n_levels, k))
        part[np.arange(n), term.grouping.codes] = term.Z
        parts.append(part.reshape(n, -1))
    return np.concatenate(parts, axis=1)


def _rank(columns: Array) -> int:
    lengths = np.linalg.norm(columns, axis=0)
    values = np.linalg.svd(columns[:, lengths > 0.0] / lengths[lengths > 0.0], compute_uv=False)
    return int(np.count_nonzero(values > _RANK * values.max(initial=0.0)))
