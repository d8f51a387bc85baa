"""Simulate a plan, fit the simulations and test them: many replicates at one layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.defaults import options, read_ddf
from mixfit.fitted.protocols import is_linear
from mixfit.inference.fixed_effects.denominator import FEW_GROUPS, fewest_groups, parse_ddf
from mixfit.inference.refit import Refits, Refitter, batch_singular, simulated_blocks
from mixfit.lmm.batch.estimate import Batch
from mixfit.lmm.types import LinearEstimate
from mixfit.planning.wald_tests import N_NUMBERS, RefitTests, batch_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.planning.hypotheses import PlannedHypothesis

    Array = NDArray[np.float64]

__all__ = ["Replicates", "planned_ddf", "replicate"]

# Tests that are array operations over replicates; the others look at one refit after another.
_TOGETHER = ("satterthwaite", "residual", "z")


@dataclass(frozen=True, eq=False)
class Replicates:
    """R simulated experiments.

    Attributes
    ----------
    tests : ndarray, shape (R, T, 4)
        p-value, estimate, standard error and degrees of freedom of each test; NaN where there is none.
    singular : ndarray of bool, shape (R,)
    failures : tuple of str, length R
        Why a refit failed; empty where it did not.
    """

    tests: Array
    singular: NDArray[np.bool_]
    failures: tuple[str, ...]

    def rejected(self, level: float) -> NDArray[np.bool_]:
        """Which tests reject, (R, T), at 1 - `level`; none of refits that failed."""
        return np.asarray(self.tests[:, :, 0] < 1.0 - level)


def planned_ddf(fit: Fit, ddf: str | None) -> str:
    """The method that tests the refits of a plan, never ``"auto"``; that of `mixfit.options` where none is given.

    ``"auto"`` is what it is for most refits: the normal distribution of generalized models, Kenward and Roger's method
    where a grouping factor has few levels, Satterthwaite's elsewhere.

    Raises
    ------
    FitError
        For a name that is none, and for degrees of freedom of a generalized model.
    """
    name = options.ddf if ddf is None else read_ddf(ddf)
    if name != "auto":
        return parse_ddf(fit, name if is_linear(fit) or ddf is not None else "z")
    if not is_linear(fit) or any(term.structure.is_given for term in fit.model.design.random):
        return "z"
    groups = fewest_groups(fit)
    return "kenward-roger" if fit.reml and groups is not None and groups < FEW_GROUPS else "satterthwaite"


def replicate(
    fit: Fit,
    hypotheses: Sequence[PlannedHypothesis],
    n: int,
    ddf: str,
    rng: np.random.Generator,
    n_jobs: int | None,
    done: Callable[[int], object],
) -> Replicates:
    """Simulate n responses of the rows of a plan, fit the model to each and test it.

    Parameters
    ----------
    fit : FittedLinear or FittedGeneralized
        At the stated parameters.
    hypotheses : sequence of PlannedHypothesis
    n : int
    ddf : str
    rng : Generator
    n_jobs : int or None
        As joblib's, for refits that are not made together.
    done : callable
        Hears of every few refits.

    Returns
    -------
    Replicates
    """
    width = len(hypotheses) * N_NUMBERS
    batch = _batch(fit, hypotheses, ddf)
    parts = []
    if batch is None:
        refit = Refitter(fit, RefitTests(tuple(hypotheses), ddf), n_jobs, width)
        found = Refits.join([refit(y, done) for y in simulated_blocks(fit, n, rng, "population", refit.block)])
        return Replicates(found.values.reshape(n, -1, N_NUMBERS), found.singular, found.failures)
    for y in simulated_blocks(fit, n, rng, "population", batch.errors_block):
        many, errors = batch.fit_with_errors(y, reml=fit.reml)
        parts.append(
            Replicates(batch_tests(fit, many, errors, hypotheses, ddf), batch_singular(fit, many), many.failures)
        )
        done(y.shape[1])
    return Replicates(
        np.concatenate([part.tests for part in parts]),
        np.concatenate([part.singular for part in parts]),
        tuple(reason for part in parts for reason in part.failures),
    )


def _batch(fit: Any, hypotheses: Sequence[PlannedHypothesis], ddf: str) -> Batch | None:
    """What fits and tests all responses together; None where they are fitted or tested one by one."""
    if ddf not in _TOGETHER or not isinstance(fit.estimate, LinearEstimate):
        return None
    if fit.model.known_effects or any(h.function is not None for h in hypotheses):
        return None
    return Batch.of(fit.model.assembly, fit.model.design.offset)
