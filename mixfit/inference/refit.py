"""Refits of one model to many responses: together where the model allows it, else one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from mixfit.errors import MixfitError
from mixfit.fitted import singular as singularity
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.stated import stated_values
from mixfit.inference.profiles.parameters import parameter_array, parameter_values
from mixfit.lmm.batch.estimate import Batch
from mixfit.lmm.types import LinearEstimate
from mixfit.matrices.censored import refuse_censored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.fitted.re_form import ReForm
    from mixfit.lmm.batch.estimate import BatchEstimates

    Array = NDArray[np.float64]
    Statistic = Callable[[Any], Any]

T = TypeVar("T")

__all__ = [
    "Refits",
    "Refitter",
    "batch_singular",
    "mapped",
    "simulated_blocks",
    "statistic_values",
]

# Refits that a process does before it reports.
_TASK = 20
# Tasks that every process gets between two reports.
_TASKS_A_ROUND = 4
# 64 MB of responses.
_CELLS_AT_ONCE = 8_000_000


@dataclass(frozen=True, eq=False)
class Refits:
    """What is kept of R refits.

    Attributes
    ----------
    values : ndarray, shape (R, m)
        The statistic of each; NaN where it failed.
    criterion : ndarray, shape (R,)
        -2 log-likelihood; NaN where it failed.
    singular : ndarray of bool, shape (R,)
    failures : tuple of str, length R
        Why each failed; empty where it did not.
    """

    values: Array
    criterion: Array
    singular: NDArray[np.bool_]
    failures: tuple[str, ...]

    @staticmethod
    def join(parts: Sequence[Refits]) -> Refits:
        """Put refits one after another."""
        return Refits(
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.criterion for part in parts]),
            np.concatenate([part.singular for part in parts]),
            tuple(reason for part in parts for reason in part.failures),
        )


class Refitter:
    """Fits the model of a result to other responses, as that result was fitted.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    statistic : callable, optional
        Of a refitted result: a number, array, mapping or Series. All parameters by default.
    n_jobs : int or None
        As joblib's. Refits that are done together are one computation, whatever it is.
    width : int, optional
        Numbers that the statistic is; what it is of `fit` by default.
    """

    def __init__(
        self, fit: Fit, statistic: Statistic | None = None, n_jobs: int | None = 1, width: int | None = None
    ) -> None:
        self._fit = fit
        self._statistic = statistic
        self._n_jobs = n_jobs
        self._width = width
        assembly = getattr(fit.model, "_assembly", None)
        linear = isinstance(fit.estimate, LinearEstimate)
        plain = linear and getattr(fit.model, "priors", None) is None and not fit.model.known_effects
        self._batch = Batch.of(assembly, fit.model.design.offset) if plain and assembly is not None else None

    @property
    def block(self) -> int:
        """How many responses to ask for at once."""
        if self._batch is not None:
            return self._batch.block
        return max(1, _CELLS_AT_ONCE // self._fit.nobs)

    def __call__(self, y: Array, done: Callable[[int], object]) -> Refits:
        """Refit to the responses y, (n, R); `done` hears of every few that are."""
        if self._batch is None:
            # From the starts that each response suggests, which lead there sooner than the estimates of the fit.
            return self._one_by_one(y, [None] * y.shape[1], done)
        together = self._batch.fit(y, reml=self._fit.reml)
        if self._statistic is not None:
            return self._one_by_one(y, [[t[r] for t in together.thetas] for r in range(y.shape[1])], done)
        done(y.shape[1])
        return self._together(together)

    def _together(self, many: BatchEstimates) -> Refits:
        failed = np.array([bool(reason) for reason in many.failures])
        values = parameter_array(self._fit.model, many.beta, many.thetas, many.sigma, many.sigma)
        values[failed] = np.nan
        criterion = np.where(failed, np.nan, many.criterion)
        return Refits(values, criterion, batch_singular(self._fit, many), many.failures)

    def _one_by_one(self, y: Array, starts: Sequence[Sequence[Array] | None], done: Callable[[int], object]) -> Refits:
        width = len(statistic_values(self._statistic, self._fit)) if self._width is None else self._width
        tasks = [slice(at, at + _TASK) for at in range(0, y.shape[1], _TASK)]
        work = [(self._fit, self._statistic, width, y[:, task], starts[task]) for task in tasks]
        parts = []
        for part in mapped(_refit_each, work, self._n_jobs):
            parts.append(part)
            done(len(part.failures))
        return Refits.join(parts)


def batch_singular(fit: Fit, many: BatchEstimates) -> NDArray[np.bool_]:
    """Which of the estimates, (R,), are on the boundary, as `is_singular` tells; none of those that failed."""
    random = fit.model.design.random
    singular = np.full(len(many.failures), any(singularity.undetermined(term) for term in random))
    for term, templates, scale in zip(random, many.templates, singularity.column_scales(random), strict=True):
        singular |= term.structure.is_singular(templates, scale)
    return singular & np.array([not reason for reason in many.failures])


def statistic_values(statistic: Statistic | None, fit: Fit) -> pd.Series[float]:
    """The statistic of a result as named numbers: all parameters where there is none."""
    if statistic is None:
        return _every_value(fit)
    found = statistic(fit)
    if np.ndim(found) == 0 and not isinstance(found, Mapping):
        return pd.Series(np.array([found], dtype=np.float64), index=["statistic"])
    named: pd.Series[float] = pd.Series(found).astype(np.float64)
    return named


def _every_value(fit: Fit) -> pd.Series[float]:
    """All parameters: of the mean, and then of the other predictors and of the distribution."""
    own = parameter_values(fit)
    if not is_generalized(fit) or fit.model.family.kind in ("ordinal", "multinomial"):
        return own
    rest = {name: value for name, value in stated_values(fit, undefined=np.nan).items() if name not in own.index}
    return pd.concat([own, pd.Series(rest, dtype=np.float64)])


def simulated_blocks(fit: Fit, n: int, rng: np.random.Generator, re_form: ReForm, block: int) -> Iterator[Array]:
    """Draw n responses, up to `block` at a time: (nobs, R)."""
    # When rows whose event is seen would have been censored, nobody knows.
    refuse_censored(fit.model.design, "refits of simulated responses")
    for first in range(0, n, block):
        yield fit.simulate(min(block, n - first), seed=rng, re_form=re_form).to_numpy()


def _refit_each(
    fit: Any, statistic: Statistic | None, width: int, y: Array, starts: Sequence[Sequence[Array] | None]
) -> Refits:
    """Refit to the responses y, (n, R), one after another, from the templates of `starts` where there are some."""
    count = y.shape[1]
    values, criterion = np.full((count, width), np.nan), np.full(count, np.nan)
    singular, failures = np.zeros(count, dtype=bool), [""] * count
    for r, start in enumerate(starts):
        try:
            again = fit.refit(y[:, r]) if start is None else _finish(fit, y[:, r], start)
        except (MixfitError, np.linalg.LinAlgError, FloatingPointError) as error:
            failures[r] = f"{type(error).__name__}: {error}"
            continue
        if not again.converged:
            failures[r] = f"not converged: {again.certificate.message}"
            continue
        try:
            values[r] = statistic_values(statistic, again)
        except Exception as error:
            # It did well for the fit itself: what some replicate makes of it is theirs to count.
            failures[r] = f"the statistic raised {type(error).__name__}: {error}"
            continue
        criterion[r], singular[r] = again.estimate.criterion, again.is_singular
    return Refits(values, criterion, singular, tuple(failures))


def _finish(fit: Any, y: Array, templates: Sequence[Array]) -> Any:
    """The result of a linear model at estimates that are already known."""
    return fit.model.with_response(y).fit(reml=fit.reml, start=templates)


def mapped(function: Callable[..., T], work: Sequence[tuple[Any, ...]], n_jobs: int | None) -> Iterator[T]:
    """What a function makes of each tuple of arguments, by as many processes as joblib counts."""
    if n_jobs == 1:
        yield from (function(*arguments) for arguments in work)
        return
    from joblib import Parallel, delayed, effective_n_jobs

    # A few rounds, so that a bar moves: not every back end (Ray's) hands on single results as they come.
    turn = _TASKS_A_ROUND * effective_n_jobs(n_jobs)
    with Parallel(n_jobs=n_jobs) as pool:
        for first in range(0, len(work), turn):
            yield from pool(delayed(function)(*arguments) for arguments in work[first : first + turn])
