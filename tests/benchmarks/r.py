"""What the rivals in R have in common: their child process is ``worker.R`` with the rival's own script."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["command", "version"]

_HERE = Path(__file__).parent


@cache
def version(package: str) -> str | None:
    """Return the version of a package that would run; None where Rscript or the package is not installed."""
    if shutil.which("Rscript") is None:
        return None
    script = f'cat(format(packageVersion("{package}")), "in R", format(getRversion()))'
    run = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=False)
    return run.stdout.strip() if run.returncode == 0 else None


def command(package: str, directory: Path) -> list[str]:
    """Return how to start the child process of a package, but for its last arguments."""
    return ["Rscript", str(_HERE / "worker.R"), str(_HERE / f"{package.lower()}.R"), str(directory)]
