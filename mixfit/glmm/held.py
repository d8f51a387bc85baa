r"""Fixed effects that are held at known values, of any predictor.

With X = QR of a predictor and beta_h known, eta = offset + X_h beta_h + X_f beta_f: the columns that are free are
R_f in the orthonormal basis, and what is known joins the offset.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.problem import restricted
from mixfit.lmm.known import bordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import FurtherEstimate, GeneralizedEstimate
    from mixfit.lmm.known import KnownEffects

    Array = NDArray[np.float64]

__all__ = ["with_held", "without_held"]


def without_held(assembly: GeneralizedAssembly, held: KnownEffects) -> GeneralizedAssembly:
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


def with_held(found: GeneralizedEstimate, assembly: GeneralizedAssembly, held: KnownEffects) -> GeneralizedEstimate:
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
    every = bordered(found.cov_every_beta, held.free(p), p)
    return replace(_mean(found, free, places, values), further=further, cov_every_beta=every)


def _mean(
    found: GeneralizedEstimate, free: NDArray[np.intp], places: NDArray[np.intp], values: Array
) -> GeneralizedEstimate:
    """What of the estimates is the mean's."""
    beta, covariance = _whole(found, free, places, values)
    beside_theta = np.zeros((len(found.cov_theta_beta), len(beta)))
    beside_theta[:, free] = found.cov_theta_beta
    beside_shape = found.cov_beta_shape
    if beside_shape.size:
        beside_shape = np.zeros((len(beta), found.cov_beta_shape.shape[1]))
        beside_shape[free] = found.cov_beta_shape[: len(free)]
    return replace(
        found,
        beta=beta,
        cov_beta=covariance,
        cov_beta_conditional=bordered(found.cov_beta_conditional, free, len(beta)),
        cov_theta_beta=beside_theta,
        cov_beta_shape=beside_shape,
    )


def _whole(
    found: GeneralizedEstimate | FurtherEstimate, free: NDArray[np.intp], places: NDArray[np.intp], values: Array
) -> tuple[Array, Array]:
    beta = np.empty(len(free) + len(places))
    beta[free], beta[places] = found.beta, values
    return beta, bordered(found.cov_beta, free, len(beta))
