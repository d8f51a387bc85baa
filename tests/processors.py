"""``python -m tests.processors``: the suite as it computes on other processors.

OpenBLAS has kernels for many processors, which round sums in different orders, and takes those of the one it runs on.
``OPENBLAS_CORETYPE`` makes it take others, where this processor knows their instructions: Prescott has SSE3 alone,
Haswell and Zen have AVX2, SkylakeX has AVX-512. A build of OpenBLAS may have the same kernels for two of them, and
then the second would show nothing new.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CORES", "Outcome", "kernels", "main", "run"]

ROOT = Path(__file__).resolve().parent.parent
CORES = ("Haswell", "SkylakeX", "Zen", "Prescott")

# Prints what the OpenBLAS of numpy and that of scipy compute with, one word where they agree.
_KERNELS = """
import numpy, scipy.linalg, threadpoolctl
scipy.linalg.cholesky(numpy.eye(64) + numpy.ones((64, 64)) @ numpy.ones((64, 64)))
print(*sorted({library.get("architecture", "unknown") for library in threadpoolctl.threadpool_info()}))
"""


@dataclass(frozen=True)
class Outcome:
    """What pytest's last lines say of a run, and its exit status."""

    status: int
    failed: tuple[str, ...]

    def __str__(self) -> str:
        if self.status == 0:
            return "all passed"
        return "\n  ".join([f"{len(self.failed)} failed (exit status {self.status})", *self.failed])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite once for each processor and print which tests fail under which.

    Parameters
    ----------
    argv : sequence of str, optional
        Names of processors, all by default; what follows ``--`` is for pytest.

    Returns
    -------
    int
        0 if something ran and all that ran passed.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    usage = "%(prog)s [PROCESSOR ...] [-- OPTION OF PYTEST ...]"
    parser = argparse.ArgumentParser(prog="python -m tests.processors", usage=usage)
    parser.add_argument("cores", nargs="*", metavar="PROCESSOR", help=f"{', '.join(CORES)} by default")
    outcomes: dict[str, Outcome] = {}
    said = []
    for core in parser.parse_args(arguments[:cut]).cores or CORES:
        found = kernels(core)
        if found is None:
            said.append(f"{core}: not run, since this processor does not know its instructions")
        elif found in outcomes:
            said.append(f"{core}: has the kernels of {found}, see above")
        else:
            print(f"== {core}, kernels of {found}", flush=True)
            outcomes[found] = run(core, arguments[cut + 1 :])
            said.append(f"{core}, kernels of {found}: {outcomes[found]}")
    print("", *said, sep="\n")
    return 0 if outcomes and all(outcome.status == 0 for outcome in outcomes.values()) else 1


def environment(core: str) -> dict[str, str]:
    """Return this process's environment with the kernels of a processor and one thread."""
    return os.environ | {"OPENBLAS_CORETYPE": core, "OPENBLAS_NUM_THREADS": "1"}


def kernels(core: str) -> str | None:
    """Return what OpenBLAS computes with when it is asked for a processor's kernels; None where it dies of them."""
    asked = subprocess.run(
        [sys.executable, "-c", _KERNELS], env=environment(core), capture_output=True, text=True, check=False
    )
    if asked.returncode > 0:
        raise RuntimeError(f"The kernels of {core} could not be asked for:\n{asked.stderr}")
    return asked.stdout.strip() if asked.returncode == 0 else None


def run(core: str, for_pytest: Sequence[str] = ()) -> Outcome:
    """Run pytest with the kernels of a processor, printing what it prints."""
    command = [sys.executable, "-m", "pytest", "-n", "2", "-rfE", *for_pytest]
    with subprocess.Popen(command, cwd=ROOT, env=environment(core), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        failed = []
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith(("FAILED ", "ERROR ")):
                failed.append(line.split(" - ")[0].split(" ", 1)[1].strip())
    return Outcome(process.returncode, tuple(failed))


if __name__ == "__main__":
    sys.exit(main())
