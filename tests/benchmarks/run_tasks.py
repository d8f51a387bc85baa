"""Run the tasks, one process after the other, and lay out their table."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks import r
from tests.benchmarks.session import ROOT, RivalError, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.tasks import Task

__all__ = ["TaskMeasurement", "measure_task"]

_R_SCRIPT = Path(__file__).with_name("tasks.R")


@dataclass(frozen=True)
class TaskMeasurement:
    """What was measured of a task.

    Attributes
    ----------
    task : Task
    ours, theirs : list of float
        Seconds; `theirs` is empty where the rival is not there.
    difference : float or None
        The largest relative difference of the numbers of both.
    failure : str or None
        The last words of a rival that did not come to an end.
    """

    task: Task
    ours: list[float]
    theirs: list[float]
    difference: float | None = None
    failure: str | None = None

    @property
    def ratio(self) -> float | None:
        """mixfit's median time over the rival's."""
        return median(self.ours) / median(self.theirs) if self.theirs else None

    @property
    def agrees(self) -> bool:
        """Whether the numbers agree as far as they should."""
        return self.difference is None or self.difference <= self.task.tolerance


def measure_task(task: Task, *, repeats: int | None, quick: bool, say: Callable[[str], None]) -> TaskMeasurement:
    """Measure a task against its rival, where that is installed.

    Parameters
    ----------
    task : Task
    repeats : int or None
        At most so many of each.
    quick : bool
        Whether to use a small version of the data.
    say : callable
        Takes a line of progress.
    """
    with tempfile.TemporaryDirectory(prefix="mixfit-benchmark-") as directory:
        write = [sys.executable, "-m", "tests.benchmarks.data", task.data, directory, "--csv"]
        _answer([*write, "--quick"] if quick else write)
        counts = [min(count, repeats or count) for count in (task.repeats, task.rival_repeats)]
        own = [sys.executable, "-m", "tests.benchmarks.tasks_mixfit", task.name, directory, str(counts[0])]
        ours = _answer(own)
        say(f"{task.name}: mixfit {median(ours['times']):.3g} s")
        if task.rival == "fit":
            return TaskMeasurement(task, ours["times"], ours["fit"])
        if r.version(task.rival) is None:
            return TaskMeasurement(task, ours["times"], [])
        try:
            theirs = _answer(["Rscript", str(_R_SCRIPT), task.name, directory, str(counts[1])])
        except RivalError as error:
            return TaskMeasurement(task, ours["times"], [], failure=str(error))
        say(f"{task.name}: {task.rival} {median(theirs['times']):.3g} s")
    pairs = zip(ours["numbers"], theirs["numbers"], strict=True)
    difference = max(abs(a - b) / max(abs(b), 1e-12) for a, b in pairs)
    return TaskMeasurement(task, ours["times"], theirs["times"], difference)


def _answer(command: list[str]) -> dict[str, Any]:
    run = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if run.returncode:
        said = run.stderr.strip().splitlines()
        raise RivalError(said[-1] if said else f"exit status {run.returncode}")
    answer: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return answer
