"""The tasks by mixfit: ``python -m tests.benchmarks.tasks_mixfit NAME DIRECTORY REPEATS [REPEATS OF THE FIT]``.

Each function takes the data and makes the fits, which are not timed, and gives what is: a call without arguments
that returns the numbers to compare.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import mixfit

if TYPE_CHECKING:
    from collections.abc import Callable

    Computation = Callable[[], list[float]]

__all__ = ["COMPUTATIONS", "FITS"]


def fresh(fit: Any) -> Any:
    """The same fit without what it has computed and kept."""
    return type(fit)(fit.model, fit.estimate)


def pb_modcomp(frame: pd.DataFrame) -> Computation:
    """Treatment of the penicillin yields."""
    large = mixfit.mixed("yield ~ treat + (1|blend)", frame).fit(reml=False)
    small = mixfit.mixed("yield ~ 1 + (1|blend)", frame).fit(reml=False)

    def compute() -> list[float]:
        test = mixfit.pb_modcomp(fresh(large), fresh(small), n=1000, seed=1, progress=False)
        return [test.statistic, test.pvalue]

    return compute


def bootstrap_intervals(frame: pd.DataFrame) -> Computation:
    """Percentile intervals of all parameters."""
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", frame).fit()

    def compute() -> list[float]:
        intervals = fresh(fit).bootstrap(n=1000, seed=1, progress=False).conf_int()
        return [float(value) for value in intervals.loc["Days"]]

    return compute


def power(frame: pd.DataFrame) -> Computation:
    """How often an effect of a third of the pilot's is found."""
    plan = mixfit.mixed("Reaction ~ Days + (Days|Subject)", frame).fit().with_params(fixed={"Days": 3.5})
    return lambda: [plan.power("Days", ddf="z", n_sim=1000, seed=1, progress=False).frame["power"].item()]


def profile_intervals(frame: pd.DataFrame) -> Computation:
    """Profile intervals of all parameters, in the order of lme4."""
    fit = mixfit.mixed("Reaction ~ Days + (Days|Subject)", frame).fit()

    def compute() -> list[float]:
        intervals = fresh(fit).conf_int(method="profile", which="all")
        names = ["sd((Intercept)|Subject)", "cor((Intercept),Days|Subject)", "sd(Days|Subject)", "sigma"]
        return [float(value) for value in intervals.loc[[*names, "Intercept", "Days"]].to_numpy().ravel()]

    return compute


def exact_rlrt(frame: pd.DataFrame) -> Computation:
    """Variance of the operators."""
    fit = mixfit.mixed("bright ~ 1 + (1|operator)", frame).fit()
    return lambda: [mixfit.exact_rlrt(fresh(fit), n_sim=10_000, seed=1).statistic]


def kr_exam(frame: pd.DataFrame) -> Computation:
    """Two covariates of pupils in schools."""
    large = mixfit.mixed("score ~ intake + sex + (intake|school)", frame).fit()
    small = mixfit.mixed("score ~ 1 + (intake|school)", frame).fit()

    def compute() -> list[float]:
        test = mixfit.kr_modcomp(fresh(large), fresh(small))
        return [float(test[column].iloc[0]) for column in ("stat", "ddf")]

    return compute


def _insteval(frame: pd.DataFrame) -> mixfit.LinearMixedModel:
    model = mixfit.mixed("y ~ service + (1|s) + (1|d) + (1|dept)", frame)
    assert isinstance(model, mixfit.LinearMixedModel)
    return model


def kr_insteval(frame: pd.DataFrame) -> Computation:
    """The effect of a service course."""
    fit = _insteval(frame).fit()
    return lambda: [float(value) for value in fresh(fit).anova(ddf="kenward-roger")["F value"]]


def _curve(frame: pd.DataFrame, effects: str, start: dict[str, float], method: str) -> Computation:
    def compute() -> list[float]:
        model = mixfit.nonlinear(f"y ~ SSlogis(t, Asym, xmid, scal) ~ {effects}", frame, start=start)
        return [float(value) for value in model.fit(method="lb" if method == "lb" else "laplace").params]

    return compute


def _growth(frame: pd.DataFrame, method: str) -> Computation:
    return _curve(frame, "(Asym + xmid | g)", {"Asym": 95.0, "xmid": 4.2, "scal": 1.0}, method)


def _orange(frame: pd.DataFrame, method: str) -> Computation:
    return _curve(frame, "(Asym | g)", {"Asym": 200.0, "xmid": 725.0, "scal": 350.0}, method)


COMPUTATIONS: dict[str, Callable[[pd.DataFrame], Computation]] = {
    "pb_modcomp": pb_modcomp,
    "bootstrap_intervals": bootstrap_intervals,
    "power": power,
    "profile_intervals": profile_intervals,
    "exact_rlrt": exact_rlrt,
    "kr_exam": kr_exam,
    "kr_insteval": kr_insteval,
    "growth_laplace": lambda frame: _growth(frame, "laplace"),
    "growth_lb": lambda frame: _growth(frame, "lb"),
    "orange_laplace": lambda frame: _orange(frame, "laplace"),
    "orange_lb": lambda frame: _orange(frame, "lb"),
}
# The fits that a task is held against where no R package is.
FITS: dict[str, Callable[[pd.DataFrame], object]] = {"kr_insteval": lambda frame: _insteval(frame).fit()}


def timed(call: Callable[[], object], repeats: int) -> tuple[list[float], object]:
    """Seconds of each call after one to warm up, and what the last one gave."""
    result = call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return times, result


def main() -> None:
    """Time one task and print its times and numbers as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=COMPUTATIONS)
    parser.add_argument("directory", type=Path)
    parser.add_argument("repeats", type=int)
    options = parser.parse_args()
    frame = pd.read_parquet(options.directory / "data.parquet")
    times, numbers = timed(COMPUTATIONS[options.name](frame), options.repeats)
    answer = {"times": times, "numbers": numbers}
    if options.name in FITS:
        answer["fit"], _ = timed(lambda: FITS[options.name](frame), options.repeats)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
