"""Where a user wants the search to begin: parameters that are given, among those that the data suggest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.glmm.problem import GeneralizedParameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.lmm.known import KnownEffects

    Array = NDArray[np.float64]

__all__ = ["GivenStart", "place_of", "points_at"]


@dataclass(frozen=True, eq=False)
class GivenStart:
    """Parameters to start from; all others are those that the data suggest.

    Attributes
    ----------
    thetas : mapping of int to ndarray
        Theta of terms, by their place.
    fixed : mapping of int to float
        Fixed effects, by their place among the columns of all predictors that are not aliased.
    phi : float, or None
    """

    thetas: Mapping[int, Array] = field(default_factory=dict)
    fixed: Mapping[int, float] = field(default_factory=dict)
    phi: float | None = None

    def without(self, held: KnownEffects) -> GivenStart:
        """The same where some fixed effects are known and left out of the count."""
        kept = {j: value for j, value in self.fixed.items() if j not in held.places}
        return replace(self, fixed={j - int((held.places < j).sum()): value for j, value in kept.items()})

    def place(self, assembly: GeneralizedAssembly, start: GeneralizedParameters) -> GeneralizedParameters:
        """The start with what is given in the place of its own."""
        points = list(start.points)
        for t, theta in self.thetas.items():
            points[t] = assembly.problem.terms[t].structure.point_of(theta, assembly.term_bases[t])
        beta = assembly.fixed.coefficients(start.gamma)
        for j, value in self.fixed.items():
            beta[j] = value
        phi = start.phi if self.phi is None else self.phi
        return replace(start, points=tuple(points), gamma=assembly.fixed.triangle @ beta, phi=phi)


def points_at(assembly: GeneralizedAssembly, theta: Array | Sequence[Array]) -> tuple[Array, ...]:
    """Points in the problem's bases, of theta as a whole or of one for each term."""
    terms = assembly.problem.terms
    parts = split_theta([t.structure for t in terms], theta) if isinstance(theta, np.ndarray) else theta
    triples = zip(terms, parts, assembly.term_bases, strict=True)
    return tuple(t.structure.point_of(own, basis) for t, own, basis in triples)


def place_of(assembly: GeneralizedAssembly, estimate: GeneralizedEstimate) -> GeneralizedParameters:
    """The estimates of all predictors as a point of the problem."""
    return GeneralizedParameters(
        points_at(assembly, estimate.every_theta),
        assembly.fixed.triangle @ estimate.every_beta,
        estimate.phi,
        estimate.shape,
    )
