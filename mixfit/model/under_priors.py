"""Where the search for a generalized model's mode under priors starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.glmm.estimate import estimate_generalized

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixfit.glmm.given import GivenStart
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate

__all__ = ["start_under_priors"]

# Share of its mean in a response that no effects separate any more: with a tenth a category that is certain has a
# probability of nine tenths or more, and a start is all that is wanted.
_DRAWN = 0.1


def start_under_priors(
    assembly: GeneralizedAssembly, given: GivenStart | None, refuse: Callable[[GeneralizedEstimate], None]
) -> GeneralizedEstimate:
    """The unpenalized estimate or, where that does not exist or `refuse` refuses it, that of a response near its mean.

    Effects that separate the response have no estimate without priors, and one under them.
    """
    try:
        found = estimate_generalized(assembly, 1, "ml", given)
        refuse(found)
    except FitError:
        problem = assembly.problem
        mean = float(np.average(problem.y, weights=problem.prior))
        drawn = replace(problem, y=(1.0 - _DRAWN) * problem.y + _DRAWN * mean)
        return estimate_generalized(replace(assembly, problem=drawn), 1, "ml", given)
    return found
