"""lme4, in R, with its default settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import r

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.cases import Case

NAME = "lme4"


def version() -> str | None:
    """Return the version that would run; None where Rscript or lme4 is not installed."""
    return r.version(NAME)


def takes(case: Case) -> bool:
    """Tell whether it fits such models, by that method."""
    return case.classical


def command(directory: Path) -> list[str]:
    """Return how to start the child process, but for its last arguments."""
    return r.command(NAME, directory)
