"""Code in an interpreter of its own, for what is imported when."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> None:
    """Run `code`; what it exits with, if not 0, fails the test with what it wrote to its standard error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
