"""A rival's child process, seen from the runner."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ROOT", "RivalError", "Session", "environment"]

ROOT = Path(__file__).resolve().parents[2]

# Set before the child starts: libraries read these once, when they are loaded.
THREADS = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)


class RivalError(RuntimeError):
    """A rival's process ended before it answered."""


def environment() -> dict[str, str]:
    """Return the environment of every child process: one thread each, this repository importable."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": path}


class Session:
    """A process that has its data loaded and fits when it is asked to."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - closed on exit
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if exc[0] is not None:
            self._process.kill()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def wait_until_ready(self) -> float | None:
        """Wait for the data to be loaded and return the time of the warm-up, if there was one."""
        first: float | None = self._answer()["first"]
        return first

    def fit(self, count: int) -> dict[str, Any]:
        """Fit `count` times and return the answer of the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise RivalError(said[-1] if said else f"exit status {self._process.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer
