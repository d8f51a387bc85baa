r"""Lindstrom & Bates' alternating algorithm (1990, Biometrics 46): nlme's, and the start of the Laplace approximation.

Two steps are repeated until theta stands still: the joint mode of (beta, u) at theta, by penalized nonlinear least
squares, and theta in the linear model beside it, by maximum likelihood or REML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.lmm.minimize import minimize
from mixfit.lmm.start import start_points
from mixfit.nlmm.mode import joint_mode
from mixfit.nlmm.working import linear_model_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.minimize import LinearMinimum
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearProblem
    from mixfit.nlmm.working import LinearModelBeside

    Array = NDArray[np.float64]

__all__ = ["Alternation", "alternate"]

# Largest relative change of a covariance at which the algorithm has settled.
_SETTLED = 1e-9
# It converges linearly, in some ten rounds; one that cycles ends here.
_MAX_ROUNDS = 100


@dataclass(frozen=True, eq=False)
class Alternation:
    """Where the algorithm stands.

    Attributes
    ----------
    mode : NonlinearMode
        Of beta and u together, at the `optimum`'s theta but for the last round's change.
    beside : LinearModelBeside
    optimum : LinearMinimum
    n_rounds : int
    settled : bool
    """

    mode: NonlinearMode
    beside: LinearModelBeside
    optimum: LinearMinimum
    n_rounds: int
    settled: bool


def alternate(
    problem: NonlinearProblem,
    beta: Array,
    points: Sequence[Array],
    *,
    reml: bool,
    rounds: int = _MAX_ROUNDS,
    settled: float = _SETTLED,
) -> Alternation:
    """Alternate from `beta` and `points`, at most so many rounds, until covariances change by less than `settled`.

    Raises
    ------
    FitError
        Where the first joint mode cannot be found.
    """
    found: Alternation | None = None
    old = _covariances(problem, points)
    start: list[Array] | None = None
    for number in range(1, rounds + 1):
        try:
            mode = joint_mode(problem, beta, points, start)
            beside = linear_model_beside(problem, mode)
            starts = [list(points)] if found is not None else [list(points), *start_points(beside.problem)]
            optimum = minimize(beside.problem, starts, reml=reml)
        except FitError:
            if found is None:
                raise
            break
        points, beta, start = optimum.profile.points, mode.beta, mode.u
        new = _covariances(problem, points)
        change = max((_change(a, b) for a, b in zip(old, new, strict=True)), default=0.0)
        found, old = Alternation(mode, beside, optimum, number, change <= settled), new
        if found.settled:
            break
    assert found is not None
    return found


def _covariances(problem: NonlinearProblem, points: Sequence[Array]) -> list[Array]:
    return [t @ t.T for t in relative_factors(problem.terms, points)]


def _change(old: Array, new: Array) -> float:
    size = max(float(np.abs(old).max(initial=0.0)), float(np.abs(new).max(initial=0.0)))
    return float(np.abs(new - old).max(initial=0.0)) / size if size > 0.0 else 0.0
