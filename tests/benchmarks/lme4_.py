"""lme4, in R, with its default settings."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

NAME = "lme4"

VERSION = 'cat(format(packageVersion("lme4")), "in R", format(getRversion()))'


@cache
def version() -> str | None:
    """Return the version that would run; None where Rscript or lme4 is not installed."""
    if shutil.which("Rscript") is None:
        return None
    run = subprocess.run(["Rscript", "-e", VERSION], capture_output=True, text=True, check=False)
    return run.stdout.strip() if run.returncode == 0 else None


def command(directory: Path) -> list[str]:
    """Return how to start the child process, but for its last arguments."""
    return ["Rscript", str(Path(__file__).with_name("lme4.R")), str(directory)]
