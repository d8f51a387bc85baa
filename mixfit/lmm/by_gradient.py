r"""The search for theta where log|A| and its slopes are estimates: the root of the gradient, with error bars.

By the same random vectors at every theta the estimated gradient is a smooth function of theta, and has a root of its
own. It is not the slope of the estimated criterion, so that no step is judged by values. With C the covariance of the
gradient over the random vectors and H the average information, the root misses the optimum by an error of covariance
H^{-1} C H^{-1}, where the data leave one of 2 H^{-1}: of the larger ratio of their roots the search takes as many
vectors as it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit import log
from mixfit.covariance.steps import move
from mixfit.errors import FitError
from mixfit.factor.iterative_trailing import IterativeBlock, IterativeFactor
from mixfit.gram import levels as lv
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import differentiate
from mixfit.optimize.bounds import LONGEST_STEP
from mixfit.optimize.certificate import Certificate
from mixfit.optimize.steps import newton_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.lmm.criterion import Evaluation
    from mixfit.lmm.derivatives import Derivatives
    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["GradientRoot", "is_estimated", "root_of_gradient"]

# Errors of variance parameters by the random vectors, in units of their standard errors: a thousandth is no digit that
# is reported.
_MOST_ERROR = 1e-3
# Decrease that a Newton step promises at the end: three thousandths of a standard error are 1e-5.
_STOP = 1e-7
# Beyond so many vectors their errors fall too slowly for what they cost: bands and grids of levels, which have many
# large eigenvalues of E, are for the sparse factor.
_MOST_PROBES = 512
# More than are needed, by the errors of a few: so that one change is enough.
_MARGIN = 1.3
_MAX_ITERATIONS = 60
# At a stationary point the quadratic part of a slope is as large as its other parts, but for sampling errors.
_UNSETTLED = 0.05
# Share of a column's effects that the data tell, below which its variance is on its way to zero.
_GONE = 1e-6


@dataclass(frozen=True, eq=False)
class GradientRoot:
    """Where the gradient vanishes.

    Attributes
    ----------
    profile : Evaluation
    derivatives : Derivatives
    certificate : Certificate
    """

    profile: Evaluation
    derivatives: Derivatives
    certificate: Certificate


def is_estimated(problem: Problem) -> bool:
    """Whether log|A| is an estimate by random vectors."""
    return isinstance(problem.plan.block, IterativeBlock)


def root_of_gradient(problem: Problem, start: Sequence[Array], *, reml: bool) -> GradientRoot:
    """Find the root from points `start`, with as many random vectors as its error asks for.

    Raises
    ------
    FitError
        Where a variance goes to zero, whose slope there would have to be known exactly.
    """
    points = list(start)
    message = "iteration limit"
    n_evaluations = 0
    for _ in range(_MAX_ITERATIONS):
        n_evaluations += 1
        found = evaluate(problem, points, reml=reml)
        log.evaluated(found.value, n_evaluations)
        local = differentiate(found)
        step, decrease = newton_step(local.information, local.gradient)
        error = _sampling_error(found, local)
        gone = _vanishing(found, local, settled=decrease < _STOP)
        if gone is not None:
            raise _refusal(problem, gone)
        n = _probes(problem)
        if decrease < _STOP and (error <= _MOST_ERROR or n >= _MOST_PROBES):
            message = "the gradient vanishes"
            break
        if error > _MOST_ERROR and decrease < max(error**2, _STOP) and n < _MOST_PROBES:
            needed = int(np.ceil(_MARGIN * n * (error / _MOST_ERROR) ** 2))
            problem = _with_probes(problem, min(needed, _MOST_PROBES))
        points = move(problem.terms, found.points, local.directions, np.clip(step, -LONGEST_STEP, LONGEST_STEP))
    trailing = found.factor.trailing
    certificate = Certificate(
        converged=decrease < _STOP and error <= _MOST_ERROR,
        projected_gradient=float(np.abs(local.gradient).max(initial=0.0)),
        predicted_decrease=decrease,
        boundary=(),
        tolerance=_STOP,
        n_evaluations=n_evaluations,
        message=message if error <= _MOST_ERROR else f"{message}, with a larger sampling error than asked for",
        sampling_error=error,
        criterion_error=trailing.logdet_error if isinstance(trailing, IterativeFactor) else 0.0,
    )
    return GradientRoot(found, local, certificate)


def _probes(problem: Problem) -> int:
    block = problem.plan.block
    assert isinstance(block, IterativeBlock)
    return block.n_probes


def _with_probes(problem: Problem, n: int) -> Problem:
    block = problem.plan.block
    assert isinstance(block, IterativeBlock)
    return replace(problem, plan=replace(problem.plan, block=block.with_probes(n)))


def _vanishing(found: Evaluation, local: Derivatives, *, settled: bool) -> int | None:
    """A term whose slope vanishes with its variance, and, once it is `settled`, not because its parts are the same."""
    triples = zip(found.regular, local.inverse_share, local.quadratic_share, strict=True)
    for x, (regular, inverse, quadratic) in enumerate(triples):
        gone = not regular.all() or bool((1.0 - inverse < _GONE).any())
        if gone or (settled and not (np.abs(quadratic - 1.0) < _UNSETTLED).all()):
            return x
    return None


def _refusal(problem: Problem, term: int) -> FitError:
    n = problem.gram.n_levels[problem.terms[term].factor]
    return FitError(
        f"A variance of the {n:,} levels of a grouping factor goes to zero, or a correlation to 1, where "
        "solver='iterative' has no exact slopes: leave the term out, or its correlations by ||, or ask for another "
        "solver=."
    )


def _sampling_error(found: Evaluation, local: Derivatives) -> float:
    """The largest error of a coordinate by the random vectors, in units of its standard error."""
    samples = _gradient_samples(found, local)
    inverse = np.linalg.pinv(local.average, hermitian=True)
    noise = inverse @ (np.cov(samples, rowvar=False).reshape(inverse.shape) / len(samples)) @ inverse
    known = np.maximum(2.0 * inverse.diagonal(), np.finfo(float).tiny)
    return float(np.sqrt(noise.diagonal() / known).max(initial=0.0))


def _gradient_samples(found: Evaluation, local: Derivatives) -> Array:
    """The gradient's part in the traces, by each random vector: (s, m)."""
    sums = _inverse_samples(found.factor)
    problem = found.problem
    out = np.empty((len(sums[0]), len(local.directions)))
    for a, d in enumerate(local.directions):
        term = problem.terms[d.term]
        own = sums[term.factor][:, term.columns, term.columns]
        out[:, a] = [-d.slope(sample, None) for sample in own]
    return out


def _inverse_samples(factor: Factor) -> list[Array]:
    """sum_l (A^{-1})_ll of every factor by each random vector, (s, k_i, k_i); of the chain what is not known."""
    trailing = factor.trailing
    assert isinstance(trailing, IterativeFactor)
    inverse = trailing.inverse()
    out: dict[int, Array] = {j: inverse.inverse_samples(j) for j in factor.plan.trailing}
    for i in factor.plan.chain:
        block = factor.chain[i]
        assert block.crossed is not None
        up = lv.transpose(block.inverse)
        out[i] = inverse.row_samples(i, lv.gather_matmul(up, factor.plan.crossed[i].level, block.crossed))
    return [out[i] for i in range(len(factor.plan.k))]
