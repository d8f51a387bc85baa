"""Effects that separate the response: estimates that ran away with them are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.glmm.separation import CERTAIN, PERFECT, fitted_doubt, refuse_random_separation, refuse_separation
from mixfit.model.base import sparse_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.glmm.problem import GeneralizedProblem
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.model.base import MixedModel

__all__ = ["refuse_separated"]


def refuse_separated(
    model: MixedModel,
    free: tuple[NDArray[np.float64], tuple[str, ...]],
    problem: GeneralizedProblem,
    estimate: GeneralizedEstimate | None,
) -> None:
    """Raise FitError where `estimate` (None: there is none) ran away with effects that separate the response.

    `free` are the columns of X whose coefficients are estimated, and their names.
    """
    # A mixture has no predictor of the mean that makes a response certain.
    sides = None if problem.stack is not None else problem.family.certain_sides(problem.y)
    if sides is None:
        return
    # Of a source the distinct rows.
    design = model.design.representatives
    doubt = None if estimate is None else fitted_doubt(problem.at(estimate.shape), estimate.eta, estimate.phi)
    found = estimate is not None and estimate.certificate.converged
    if not found or doubt is None or doubt.min() < CERTAIN:
        refuse_separation(*free, design.endog_name, sides, doubt, design.fixed)
    if not found or doubt is None or doubt.max() < PERFECT:
        columns = [r.grouping.name for r in design.random for _ in range(r.grouping.n_levels * r.Z.shape[1])]
        refuse_random_separation(free[0], sparse_columns(design), columns, design.endog_name, sides)
