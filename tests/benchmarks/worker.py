"""The child process of a rival that is a Python package.

It reads the data, fits once to warm up, says that it is ready, and then answers each line of its standard
input (a number of fits) with one line of JSON (their times and what the last one found). So every rival keeps
its data loaded while another one has its turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from tests.benchmarks.cases import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Model", "serve"]


class Model(NamedTuple):
    """What a rival fits: see `cases.Case`."""

    formula: str
    reml: bool = False
    family: str = "gaussian"
    n_agq: int = 1
    zi: str | None = None
    dispersion: str | None = None


def serve(
    estimate: Callable[[pd.DataFrame, Model], tuple[Any, Any, Any]],
    describe: Callable[[Any], dict[str, Any]],
) -> None:
    """Serve fits until standard input ends.

    Parameters
    ----------
    estimate : callable
        (data, model) to (fit, coefficients, standard errors): what is timed.
    describe : callable
        A fit to its log-likelihood and number of evaluations: not timed.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("formula")
    parser.add_argument("method", choices=["reml", "ml"])
    parser.add_argument("family")
    parser.add_argument("n_agq", type=int)
    parser.add_argument("zi", type=_formula)
    parser.add_argument("dispersion", type=_formula)
    parser.add_argument("start", choices=["warm", "cold"])
    options = parser.parse_args()
    # What packages print must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    beside = (options.zi, options.dispersion)
    model = Model(options.formula, options.method == "reml", options.family, options.n_agq, *beside)
    frame = pd.read_parquet(options.directory / "data.parquet")
    first = None
    if options.start == "warm":
        start = time.perf_counter()
        estimate(frame, model)
        first = time.perf_counter() - start
    print(json.dumps({"first": first}), file=answers, flush=True)
    for line in sys.stdin:
        times, cpu = [], 0.0
        result: Any = None
        for _ in range(int(line)):
            # Dropped before the clock starts: two fits are never held at once, nor is one's end timed.
            result = None
            start, start_cpu = time.perf_counter(), time.process_time()
            result = estimate(frame, model)
            times.append(time.perf_counter() - start)
            cpu += time.process_time() - start_cpu
        fit, beta, se = result
        answer = {
            "times": times,
            "cpu": cpu,
            "beta": [float(value) for value in beta],
            "se": [float(value) for value in se],
            "peak_mb": peak_mb(),
            **describe(fit),
        }
        print(json.dumps(answer), file=answers, flush=True)


def _formula(text: str) -> str | None:
    return None if text == NONE else text


def peak_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    try:
        # Not ru_maxrss, which on Linux starts from the size of the parent process.
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
