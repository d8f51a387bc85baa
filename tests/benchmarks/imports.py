"""How long an import takes, in interpreters that have imported nothing yet."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from tests.benchmarks.session import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["time_imports"]

# The start of the interpreter, the same for all, is not counted.
SCRIPT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def time_imports(statements: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Time imports in turn.

    Parameters
    ----------
    statements : sequence of str
        What stands after ``import``.
    repeats : int
        Interpreters for each, after one that only fills the caches of the disk and of bytecode.

    Returns
    -------
    dict of str to list of float
        Seconds, by statement.
    """
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    with tempfile.TemporaryDirectory(prefix="mixfit-benchmark-") as bytecode:
        # An installed package has its bytecode beside it. A checkout need not, and some environments forbid
        # to write it: so all packages, ours and theirs, keep theirs in a directory that the first turn fills.
        variables = environment() | {"PYTHONPYCACHEPREFIX": bytecode}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        for turn in range(repeats + 1):
            for statement, taken in times.items():
                seconds = _time(statement, variables)
                if turn:
                    taken.append(seconds)
    return times


def _time(statement: str, variables: dict[str, str]) -> float:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(statement)],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)
