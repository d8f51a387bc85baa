r"""Whether random and fixed effects together explain any response: then the likelihood has no maximum.

With rank [Z X] = n > rank Z, some fixed and random effects leave no residual whatever the response, and as sigma goes
to zero with the covariances of the effects held, log|V| goes to -inf in the n - rank Z directions off the span of Z
while (y - X beta)'V^{-1}(y - X beta) does not grow. With rank Z = n the density is bounded; but where every term has
all covariances of its columns, the residual variance is told from nothing but the shape of what they explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import lsmr, splu
from scipy.sparse.linalg import norm as sparse_norm

from mixfit.covariance.structure import Invariance
from mixfit.errors import DesignError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["check_saturation", "left_over", "level_columns", "spans"]

# Rows up to which ranks are taken from the singular values of a dense matrix.
_MOST_ROWS = 1000
# A random response lies 1 / sqrt(n) of its length, times a standard normal number, off a span of n - 1 dimensions. Less
# than this share of it is left off a span that is not whole once in sixty by chance, and of both responses in 4000.
_LEFT = 0.02
# Steps of the least squares, whose residual falls as the spread of the singular values lets it; and how small the
# gradient is where it is at its end, since what is left lies in no column.
_MOST_STEPS = 300
_ORTHOGONAL = 1e-6
# scipy's name for it.
_AT_LIMIT = 7
# Rows up to which a factor decides where the steps do not: columns that chain the rows have few entries there.
_MOST_FACTORED = 30_000
# Added to the squares of columns of unit length, and how often it is made up for: what lies along squared singular
# values a tenth of it is left to a third, along larger ones soon to nothing.
_RIDGE = 1e-11
_REFINEMENTS = 10
# A singular value below this share of the largest, of columns of unit length, is rounding.
_RANK = 1e-9


def check_saturation(random: Sequence[RandomDesign], X: Array) -> None:
    """Refuse terms that explain, with the fixed effects, any response."""
    n = len(X)
    effects = sum(term.grouping.n_levels * term.Z.shape[1] for term in random)
    if not random or not X.shape[1] < n <= effects + X.shape[1]:
        return
    structures = [term.structure for term in random]
    if any(not s.free_blocks or s.relationship is not None for s in structures):
        return
    Z = _columns(random)
    if not spans(sparse.hstack([Z, sparse.csr_array(X)], format="csr")):
        return
    if any(term.structure.invariance is not Invariance.ANY_BASIS for term in random) and spans(Z):
        return
    names = ", ".join(term.text for term in random)
    raise DesignError(
        f"{names}: with the fixed effects they explain any response of these {n} rows exactly, so that the likelihood "
        "has no maximum: nothing is left to estimate the residual variance from. Leave a term or fixed effects out."
    )


def _columns(random: Sequence[RandomDesign]) -> sparse.csr_array:
    """Z, (n, effects)."""
    return sparse.hstack([level_columns(t.grouping.codes, t.grouping.n_levels, t.Z) for t in random], format="csr")


def level_columns(codes: NDArray[np.intp], n_levels: int, columns: Array) -> sparse.csr_array:
    """Columns (n, k), one of each for every level: (n, q k)."""
    n, k = columns.shape
    at = codes[:, None] * k + np.arange(k)
    return sparse.csr_array((columns.ravel(), at.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n_levels * k))


def spans(columns: sparse.csr_array) -> bool:
    """Whether columns (n, c) span all of R^n: by their singular values, or by what they leave of random responses."""
    n = columns.shape[0]
    if n <= _MOST_ROWS:
        values = np.linalg.svd(_unit(columns).toarray(), compute_uv=False)
        return int(np.count_nonzero(values > _RANK * values.max(initial=0.0))) == n
    # The same numbers each time: a model is refused or not, whenever it is made.
    response = np.random.default_rng(0).standard_normal((n, 2))
    response /= np.linalg.norm(response, axis=0)
    return bool((left_over(columns, response, _LEFT / np.sqrt(n)) < _LEFT / np.sqrt(n)).all())


def _unit(columns: sparse.csr_array) -> sparse.csr_array:
    """Columns of unit length, without those of zeros."""
    lengths = sparse_norm(columns, axis=0)
    used = np.flatnonzero(lengths > 0.0)
    return columns[:, used] @ sparse.diags_array(1.0 / lengths[used])


def left_over(columns: sparse.csr_array, responses: Array, least: float) -> Array:
    """Lengths of what least squares leave of responses (n, r) of unit length, (r,): less than `least` is nothing.

    By LSMR (Fong & Saunders 2011, SIAM Journal on Scientific Computing 33, 2950-2971), and by a factor of Z'Z where it
    comes to no end.
    """
    n = len(responses)
    columns = _unit(columns)
    out, exact = np.empty(responses.shape[1]), 0.1 * least
    for j, response in enumerate(responses.T):
        found, stop, *_ = lsmr(
            columns, response, atol=min(_ORTHOGONAL, 0.1 * exact), btol=exact, conlim=0.0, maxiter=_MOST_STEPS
        )
        if stop == _AT_LIMIT and n <= _MOST_FACTORED:
            gram = (columns.T @ columns + _RIDGE * sparse.eye_array(columns.shape[1])).tocsc()
            options = {"SymmetricMode": True}
            factor = splu(gram, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
            # Each step leaves the share ridge / (s^2 + ridge) of what lies along a singular vector.
            for _ in range(_REFINEMENTS):
                found = found + factor.solve(columns.T @ (response - columns @ found))
        out[j] = np.linalg.norm(response - columns @ found)
    return out
