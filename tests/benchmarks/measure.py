"""One case: the data written once, the rivals fitting in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from tests.benchmarks.session import ROOT, RivalError, Session, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks.cases import Case

__all__ = ["Measurement", "Rival", "is_due", "measure"]

# Timed fits below which a warm-up would cost too much.
FEWEST_WARM = 3


class Rival(Protocol):
    """What a rival's module has."""

    NAME: str

    def version(self) -> str | None:
        """Return its version, or None where it is not installed."""

    def takes(self, case: Case) -> bool:
        """Tell whether it fits such models, by that method."""

    def command(self, directory: Path) -> list[str]:
        """Return how to start its child process."""


@dataclass
class Measurement:
    """What was measured of a case.

    Attributes
    ----------
    case : Case
    rows : int
    times : dict of str to list of float
        Seconds of each timed fit, by rival.
    first : dict of str to float
        Seconds of the first fit of each process: the warm-up, where there is one.
    answers : dict of str to dict
        The last answer of each rival.
    failures : dict of str to str
        Rivals that did not come to an end, and their last words.
    """

    case: Case
    rows: int
    times: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def median(self, rival: str) -> float | None:
        """Return the median time of a rival."""
        return median(self.times[rival]) if self.times.get(rival) else None

    def ratio(self, rival: str) -> float | None:
        """Return mixfit's median time over that of a rival."""
        ours, theirs = self.median("mixfit"), self.median(rival)
        return ours / theirs if ours and theirs else None

    def threads(self, rival: str) -> float:
        """Return processor seconds per second of a rival's fits."""
        return self.cpu[rival] / sum(self.times[rival])


def measure(
    case: Case, rivals: Sequence[Rival], *, repeats: int, quick: bool, say: Callable[[str], None]
) -> Measurement:
    """Measure a case.

    Parameters
    ----------
    case : Case
    rivals : sequence of Rival
        In the order of their turns.
    repeats : int
        Timed fits of those that are not slow; of the slow ones, at most.
    quick : bool
        Whether to use a small version of the data.
    say : callable
        Takes a line of progress.
    """
    with tempfile.TemporaryDirectory(prefix="mixfit-benchmark-") as path, ExitStack() as stack:
        directory = Path(path)
        result = Measurement(case, _write(case, directory, rivals, quick))
        say(f"{case.name}: {result.rows:,} rows")
        sessions: dict[str, Session] = {}
        counts = {rival.NAME: min(repeats, case.few.get(rival.NAME, repeats)) for rival in rivals}
        batches = {name: -(-count // case.batch) for name, count in counts.items()}
        turns = max(batches.values())
        for rival in rivals:
            start = "cold" if case.few.get(rival.NAME, FEWEST_WARM) < FEWEST_WARM else "warm"
            session = stack.enter_context(Session([*rival.command(directory), *case.arguments(start)]))
            try:
                first = session.wait_until_ready()
                sessions[rival.NAME] = session
                if first is not None:
                    result.first[rival.NAME] = first
            except RivalError as error:
                result.failures[rival.NAME] = str(error)
        for turn in range(turns):
            for name in [*sessions]:
                if not is_due(turn, turns, batches[name]):
                    continue
                done = len(result.times.get(name, ()))
                try:
                    answer = sessions[name].fit(min(case.batch, counts[name] - done))
                except RivalError as error:
                    result.failures[name] = str(error)
                    del sessions[name]
                    continue
                result.first.setdefault(name, answer["times"][0])
                result.times.setdefault(name, []).extend(answer["times"])
                result.cpu[name] = result.cpu.get(name, 0.0) + answer["cpu"]
                result.answers[name] = answer
                say(f"{case.name}: {name} {median(answer['times']):.3g} s")
    return result


def is_due(turn: int, turns: int, count: int) -> bool:
    """Tell whether a rival with `count` turns of `turns` fits in this one: they are spread evenly."""
    return (turn * count) // turns < ((turn + 1) * count) // turns


def _write(case: Case, directory: Path, rivals: Sequence[Rival], quick: bool) -> int:
    command = [sys.executable, "-m", "tests.benchmarks.data", case.name, str(directory)]
    if quick:
        command.append("--quick")
    if any(rival.NAME in ("lme4", "glmmTMB", "ordinal") for rival in rivals):
        command.append("--csv")
    run = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    rows: int = json.loads(run.stdout)["rows"]
    return rows
