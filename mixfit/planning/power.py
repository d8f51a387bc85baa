"""Power by simulation: at one layout, and along the numbers of levels of its factors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from mixfit.arguments import check_count
from mixfit.defaults import coverage
from mixfit.errors import ArgumentError, FitError
from mixfit.planning.hypotheses import hypotheses
from mixfit.planning.replicates import planned_ddf, replicate
from mixfit.progress import progress_bar
from mixfit.tables.table import Framed, Table
from mixfit.wald import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mixfit.planning.hypotheses import PlannedHypothesis
    from mixfit.planning.replicates import Replicates

    Array = NDArray[np.float64]

__all__ = ["Planned", "PowerCurve", "entropy_of", "power_curve", "simulate_power"]

# Of an integer that a generator draws to stand for its state.
_SEEDS = 2**63 - 1


class Planned(Protocol):
    """A plan as its power sees it."""

    @property
    def fit(self) -> Any:
        """The model at its stated parameters, which simulates and is refitted."""

    @property
    def data(self) -> pd.DataFrame:
        """The rows."""

    @property
    def groups(self) -> Sequence[str]:
        """Columns that are grouping factors."""

    def extend(self, along: Mapping[str, int | Iterable[Any]]) -> Planned:
        """The plan with other levels of factors."""


@dataclass(frozen=True, eq=False)
class PowerCurve(Framed):
    """Power of tests, at one layout or along numbers of levels.

    Attributes
    ----------
    frame : DataFrame
        A row a test at a layout: a column for each axis, ``test``, ``ddf``, ``nobs``, ``power`` with Wilson's interval
        from ``lower`` to ``upper``; ``type_s``, the share of significant estimates that have the wrong sign, and
        ``type_m``, the mean ratio of their size to the true one (Gelman & Carlin 2014), NaN for tests of several
        numbers and of a true value of zero; ``singular``, the share of singular refits; and how many ``failed``.
    axes : tuple of str
    n_sim : int
        Replicates at each layout. Refits that failed have not rejected.
    level : float
        Of the intervals; tests reject at one less it.
    failures : dict of str to int
        Reasons of failed refits, with their counts.
    formula : str
    replicates : DataFrame
        A row a replicate, test and layout: p-value, estimate, standard error and degrees of freedom.
    """

    frame: pd.DataFrame
    axes: tuple[str, ...]
    n_sim: int
    level: float
    failures: dict[str, int]
    formula: str
    replicates: pd.DataFrame

    @property
    def tests(self) -> tuple[str, ...]:
        """Names of the tests."""
        return tuple(dict.fromkeys(self.frame["test"]))

    def table(self) -> Table:
        """Lay the numbers out, with what is to be known of the refits.

        Returns
        -------
        Table
        """
        shown = self.frame.drop(columns=["failed"]).rename(columns={"type_s": "type S", "type_m": "type M"})
        text = shown.copy()
        for column in ("power", "lower", "upper", "type S", "singular"):
            text[column] = [_share(value) for value in shown[column]]
        text["type M"] = ["" if np.isnan(value) else f"{value:.2f}" for value in shown["type M"]]
        text.index = pd.Index([""] * len(shown))
        heading = (
            f"Power of tests at {1.0 - self.level:.3g}, {self.n_sim} simulated experiments a row",
            f"Formula: {self.formula}",
            "",
        )
        return Table(text, heading=heading, notes=tuple(self._notes()))

    def _notes(self) -> list[str]:
        if not self.failures:
            return []
        return [
            f"{sum(self.failures.values())} refits failed, and count as not rejecting:",
            *(f"  {count} x {reason}" for reason, count in self.failures.items()),
        ]

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table().as_html()


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def power_curve(
    plan: Planned,
    test: Any,
    *,
    n_sim: int,
    along: Mapping[str, Sequence[Any]] | None,
    ddf: str | None,
    level: float | None,
    seed: int | np.random.Generator | None,
    n_jobs: int | None,
    progress: bool,
) -> PowerCurve:
    """Power of a plan at all combinations of the levels of its axes; see `mixfit.results.power.power`."""
    check_count("n_sim", n_sim)
    share, axes = coverage(level), _read_axes(along)
    entropy = entropy_of(seed)
    points = list(product(*axes.values()))
    shown = {name: _labels(places) for name, places in axes.items()}
    rows, kept, failures = [], [], Counter[str]()
    with progress_bar(n_sim * len(points), progress=progress) as bar:
        for sizes in points:
            at = dict(zip(axes, sizes, strict=True))
            core, method, tests, found = simulate_power(plan, test, at, n_sim, ddf, entropy, n_jobs, bar.update)
            failures.update(reason for reason in found.failures if reason)
            labels = {name: shown[name][place] for name, place in at.items()}
            rows += [labels | _row(core, h, method, found, t, share) for t, h in enumerate(tests)]
            kept += [_frame(labels, h, found.tests[:, t]) for t, h in enumerate(tests)]
    if sum(failures.values()) == n_sim * len(points):
        raise FitError(f"All refits failed, most of them so: {failures.most_common(1)[0][0]}")
    return PowerCurve(
        frame=pd.DataFrame(rows),
        axes=tuple(axes),
        n_sim=int(n_sim),
        level=share,
        failures=dict(failures.most_common()),
        formula=plan.fit.model.description,
        replicates=pd.concat(kept, ignore_index=True),
    )


def simulate_power(
    plan: Planned,
    test: Any,
    at: Mapping[str, Any],
    n_sim: int,
    ddf: str | None,
    entropy: int,
    n_jobs: int | None,
    done: Any,
) -> tuple[Any, str, list[PlannedHypothesis], Replicates]:
    """Simulate and test a plan extended to the levels `at`: the model there, how it is tested, and what came of it.

    What is drawn at a layout depends on the seed and on its numbers of levels, and not on other layouts.
    """
    core = (plan.extend(at) if at else plan).fit
    tests, method = hypotheses(core, test), planned_ddf(core, ddf)
    counts = [levels if isinstance(levels, int) else len(levels) for levels in at.values()]
    rng = np.random.default_rng([entropy, *counts])
    return core, method, tests, replicate(core, tests, n_sim, method, rng, n_jobs, done)


def entropy_of(seed: int | np.random.Generator | None) -> int:
    """A number that stands for a seed, a generator or none."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(_SEEDS))
    if seed is None:
        return int(np.random.default_rng().integers(_SEEDS))
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ArgumentError(f"seed is a whole number that is not negative, or a Generator, not {seed!r}.")
    return int(seed)


def _read_axes(along: Mapping[str, Sequence[Any]] | None) -> dict[str, list[Any]]:
    """The places of every axis: numbers of levels, or tuples of their values."""
    if along is not None and not isinstance(along, Mapping):
        raise ArgumentError(
            f"along= takes numbers of levels by factor, such as {{'Subject': [20, 40]}}, not {along!r}."
        )
    return {name: [_place(name, place) for place in _listed(name, places)] for name, places in (along or {}).items()}


def _listed(name: str, places: Any) -> list[Any]:
    try:
        listed = [] if isinstance(places, str) else list(places)
    except TypeError:
        listed = []
    if not listed:
        raise ArgumentError(
            f"along= takes lists of numbers of levels, such as {{'Subject': [20, 40, 80]}}; for {name!r} it is "
            f"{places!r}."
        )
    return listed


def _labels(places: list[Any]) -> dict[Any, int | str]:
    """What a table shows of the places of an axis: numbers of levels or, where two have the same, the levels."""
    counts = {place: place if isinstance(place, int) else len(place) for place in places}
    if len(set(counts.values())) == len(counts):
        return dict(counts)
    return {place: str(place) if isinstance(place, int) else ", ".join(map(str, place)) for place in places}


def _place(name: str, place: Any) -> int | tuple[Any, ...]:
    if isinstance(place, (int, np.integer)) and not isinstance(place, bool):
        return int(place)
    try:
        return tuple([] if isinstance(place, str) else place)
    except TypeError as error:
        raise ArgumentError(f"A place on the axis {name!r} is a number of levels or a list, not {place!r}.") from error


def _row(core: Any, h: PlannedHypothesis, ddf: str, found: Replicates, t: int, level: float) -> dict[str, Any]:
    """What is said of one test at one layout."""
    n, rejected = len(found.failures), found.rejected(level)[:, t]
    count = float(rejected.sum())
    lower, upper = (float(limit) for limit in wilson(np.array(count), n, level))
    truth = h.truth(core)
    ratio = found.tests[rejected, t, 1] / truth if truth and count else np.array([np.nan])
    failed = sum(bool(reason) for reason in found.failures)
    return {
        "test": h.name,
        "ddf": "" if h.function is not None else ddf,
        "nobs": core.nobs,
        "power": count / n,
        "lower": lower,
        "upper": upper,
        "type_s": float(np.where(np.isnan(ratio), np.nan, ratio < 0.0).mean()),
        "type_m": float(np.abs(ratio).mean()),
        "singular": float(found.singular.mean()),
        "failed": failed,
    }


def _frame(labels: Mapping[str, int | str], h: PlannedHypothesis, numbers: Array) -> pd.DataFrame:
    columns = dict(zip(("p_value", "estimate", "se", "df"), numbers.T, strict=True))
    return pd.DataFrame({**labels, "test": h.name, "replicate": np.arange(1, len(numbers) + 1), **columns})
