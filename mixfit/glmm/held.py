r"""Fixed effects that are held at known values, of any predictor.

With X = QR of a predictor and beta_h known, eta = offset + X_h beta_h + X_f beta_f: the columns that are free are
R_f in the orthonormal basis, and what is known joins the offset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.problem import restricted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import FurtherEstimate, GeneralizedEstimate

    Array = NDArray[np.float64]

__all__ = ["Held", "with_held", "without_held"]


@dataclass(frozen=True, eq=False)
class Held:
    """Known fixed effects.

    Attributes
    ----------
    places : ndarray of intp, shape (h,)
        Among the columns of all predictors that are not aliased, the mean's first.
    values : ndarray, shape (h,)
    """

    places: NDArray[np.intp]
    values: Array

    def free(self, p: int) -> NDArray[np.intp]:
        """The other places among p."""
        return np.setdiff1d(np.arange(p), self.places)

    def within(self, places: slice) -> tuple[NDArray[np.intp], Array]:
        """Places and values of one predictor, counted from its first."""
        own = (self.places >= places.start) & (self.places < places.stop)
        return self.places[own] - places.start, self.values[own]


def without_held(assembly: GeneralizedAssembly, held: Held) -> GeneralizedAssembly:
    """The problem of the other fixed effects."""
    triangle, p = assembly.fixed.triangle, assembly.problem.p
    known = (triangle[:, held.places] @ held.values) @ assembly.fixed.rows
    blocks = [part.fixed for part in assembly.parts] or [slice(0, p)]
    columns = []
    for own in blocks:
        size = own.stop - own.start
        free = np.setdiff1d(np.arange(size), held.within(own)[0])
        columns.append(triangle[own, own][:, free])
    out = restricted(assembly, columns)
    return replace(out, problem=replace(out.problem, offset=out.problem.offset + known))


def with_held(found: GeneralizedEstimate, assembly: GeneralizedAssembly, held: Held) -> GeneralizedEstimate:
    """The estimates of the other fixed effects with the known ones among them, whose covariances are zero."""
    p = assembly.problem.p
    if not assembly.parts:
        return _mean(found, held.free(p), held.places, held.values)
    mean, *others = assembly.parts
    further = {}
    for part in others:
        own, known = held.within(part.fixed)
        rest = np.setdiff1d(np.arange(part.fixed.stop - part.fixed.start), own)
        estimate = found.further[part.name]
        beta, covariance = _whole(estimate, rest, own, known)
        further[part.name] = replace(estimate, names=part.columns, kept=part.kept, beta=beta, cov_beta=covariance)
    places, values = held.within(mean.fixed)
    free = np.setdiff1d(np.arange(mean.fixed.stop - mean.fixed.start), places)
    every = _square(found.cov_every_beta, held.free(p), p)
    return replace(_mean(found, free, places, values), further=further, cov_every_beta=every)


def _mean(
    found: GeneralizedEstimate, free: NDArray[np.intp], places: NDArray[np.intp], values: Array
) -> GeneralizedEstimate:
    """What of the estimates is the mean's."""
    beta, covariance = _whole(found, free, places, values)
    beside_theta = np.zeros((len(found.cov_theta_beta), len(beta)))
    beside_theta[:, free] = found.cov_theta_beta
    return replace(
        found,
        beta=beta,
        cov_beta=covariance,
        cov_beta_conditional=_square(found.cov_beta_conditional, free, len(beta)),
        cov_theta_beta=beside_theta,
    )


def _whole(
    found: GeneralizedEstimate | FurtherEstimate, free: NDArray[np.intp], places: NDArray[np.intp], values: Array
) -> tuple[Array, Array]:
    beta = np.empty(len(free) + len(places))
    beta[free], beta[places] = found.beta, values
    return beta, _square(found.cov_beta, free, len(beta))


def _square(covariance: Array, free: NDArray[np.intp], p: int) -> Array:
    out = np.zeros((p, p))
    out[np.ix_(free, free)] = covariance
    return out
