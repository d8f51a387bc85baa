r"""Linear models some of whose fixed effects are known.

With beta_h known, y - offset - X_h beta_h = X_f beta_f + Zb + e: the columns X_f are the model's, what is known joins
the offset, and REML is of X_f. Estimates and what follows from them are carried back to all columns, where covariances
with beta_h are zero, and so are the derivatives of X'V^{-1}X in them that degrees of freedom are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.basis import fixed_basis
from mixfit.lmm.estimate import at_estimates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.information import VarianceInformation
    from mixfit.lmm.types import LinearEstimate
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "KnownEffects",
    "among_all",
    "bordered",
    "determined_columns",
    "free_design",
    "information_of_all",
    "of_free",
]


@dataclass(frozen=True, eq=False)
class KnownEffects:
    """Known fixed effects.

    Attributes
    ----------
    places : ndarray of intp, shape (h,)
        Among the columns of all predictors that are not aliased, the mean's first.
    values : ndarray, shape (h,)
    """

    places: Index
    values: Array

    def free(self, p: int) -> Index:
        """The other places among p."""
        return np.setdiff1d(np.arange(p), self.places)

    def within(self, places: slice) -> tuple[Index, Array]:
        """Places and values of one predictor, counted from its first."""
        own = (self.places >= places.start) & (self.places < places.stop)
        return self.places[own] - places.start, self.values[own]


def determined_columns(design: Design) -> Index:
    """Columns of X that earlier ones do not determine, known ones among them."""
    root = 1.0 if design.weights is None else np.sqrt(design.weights)
    return fixed_basis(np.ascontiguousarray(root * design.X.T)).kept


def free_design(design: Design, kept: Index, held: KnownEffects) -> Design:
    """The design of the fixed effects that are estimated, without the terms that its columns belong to."""
    known = design.X[:, kept[held.places]] @ held.values
    free = kept[held.free(len(kept))]
    return replace(
        design,
        X=np.ascontiguousarray(design.X[:, free]),
        exog_names=tuple(design.exog_names[j] for j in free),
        offset=known if design.offset is None else design.offset + known,
        fixed=None,
    )


def among_all(found: LinearEstimate, assembly: Assembly, held: KnownEffects) -> LinearEstimate:
    """Estimates of the free fixed effects, with the known ones among them."""
    p = len(found.beta) + len(held.places)
    free = held.free(p)
    beta = np.empty(p)
    beta[free], beta[held.places] = found.beta, held.values
    return _replaced(found, assembly, beta, bordered(found.cov_beta, free, p))


def of_free(estimate: LinearEstimate, assembly: Assembly, held: KnownEffects) -> LinearEstimate:
    """The estimates that `among_all` was given."""
    free = held.free(len(estimate.beta))
    return _replaced(estimate, assembly, estimate.beta[free], estimate.cov_beta[np.ix_(free, free)])


def _replaced(estimate: LinearEstimate, assembly: Assembly, beta: Array, covariance: Array) -> LinearEstimate:
    """Other fixed effects; the criterion at the estimates is of theta alone and stays."""
    out = replace(estimate, beta=beta, cov_beta=covariance)
    out.at.keep(at_estimates(assembly, estimate))
    return out


def information_of_all(known: VarianceInformation, held: KnownEffects) -> VarianceInformation:
    """Derivatives of the moments of all fixed effects, from those of the free ones."""
    p = len(known.cov_beta) + len(held.places)
    free = held.free(p)
    return replace(
        known,
        cov_beta=bordered(known.cov_beta, free, p),
        slopes=bordered(known.slopes, free, p),
        products=bordered(known.products, free, p),
    )


def bordered(matrices: Array, free: Index, p: int) -> Array:
    """Matrices (..., f, f) with rows and columns of zeros at the other places, (..., p, p)."""
    out = np.zeros((*matrices.shape[:-2], p, p))
    out[..., free[:, None], free] = matrices
    return out
