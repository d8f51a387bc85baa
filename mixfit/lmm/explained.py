"""Whether random and fixed effects explain the response exactly: then the likelihood has no maximum.

With y in the span of [X Z] and rank Z < n (of REML: rank [X Z] < n), (y - X beta)'V^{-1}(y - X beta) does not grow as
sigma goes to zero with the covariances of the effects held, and log|V| goes to -inf. A search only comes to know of it
where next to nothing is left to the residual: until then no row is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from mixfit.errors import FitError
from mixfit.matrices.saturation import left_over, level_columns, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.gram.products import Rows

    Array = NDArray[np.float64]

__all__ = ["ExplainedError", "explained", "is_explained", "rounding"]

# Lengths of what is left of a response that are rounding: of its digits beside its least-squares residual's, of which
# 12 of 16 then agree, and of its own, of which 14 do: what a constant far from zero leaves has digits of that.
_OF_RESIDUAL = 1e-12
_OF_RESPONSE = 1e-14


class ExplainedError(FitError):
    """A search is on its way to a residual of nothing: it has no end."""


def rounding(length: float) -> float:
    """Length of a rest that is rounding, for a response `length` times as long as its least-squares residual."""
    return max(_OF_RESIDUAL, _OF_RESPONSE * length)


def is_explained(rows: Rows, length: float) -> bool:
    """Whether [X Z] leaves less than rounding of the response, the last of the columns, but not of any response."""
    X, y = rows.columns[:-1].T, rows.columns[-1:].T
    n = len(y)
    ones = np.ones((1, n))
    Z = sparse.hstack(
        [level_columns(f.codes, f.n_levels, (ones if f.columns is None else f.columns).T) for f in rows.factors],
        format="csr",
    )
    least = rounding(length)
    if left_over(sparse.hstack([Z, sparse.csr_array(X)], format="csr"), y, least)[0] > least:
        return False
    return Z.shape[1] < n or not spans(Z)


def explained(name: str | None = None) -> FitError:
    """Make the error for a response, of that name if it is known."""
    response = "the response" if name is None else f"the response {name!r}"
    return (FitError if name else ExplainedError)(
        f"The random effects explain {response} exactly: the likelihood has no maximum, and nothing is left "
        "to estimate a residual variance from. Look whether the response is constant within groups, or whether rows "
        "repeat."
    )
