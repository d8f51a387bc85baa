"""The command: which cases, which rivals, and the report."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import glmm_, glmmtmb_, lme4_, mixfit_, ordinal_
from tests.benchmarks.cases import CASES, IMPORT_CASE, IMPORT_REPEATS, IMPORTS
from tests.benchmarks.imports import time_imports
from tests.benchmarks.machine import machine, packages
from tests.benchmarks.measure import measure
from tests.benchmarks.run_tasks import measure_task
from tests.benchmarks.table import agreement_lines, fit_table, import_table, task_lines, task_table
from tests.benchmarks.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.cases import Case
    from tests.benchmarks.measure import Measurement, Rival
    from tests.benchmarks.run_tasks import TaskMeasurement

__all__ = ["main"]

# In the order of their turns.
RIVALS: tuple[Rival, ...] = (mixfit_, glmm_, lme4_, glmmtmb_, ordinal_)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its report.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0, also where a demand does not hold: that is for the reader of the table to see.
    """
    options = _parser().parse_args(argv)
    chosen = options.case or _names()
    versions = {rival.NAME: rival.version() for rival in RIVALS}
    measurements = [
        measure(
            case,
            _rivals(case, versions, options),
            repeats=options.repeats or (case.batch if options.quick else case.repeats),
            quick=options.quick,
            say=_say,
        )
        for case in CASES
        if case.name in chosen
    ]
    tasks = [
        measure_task(task, repeats=1 if options.quick else options.repeats, quick=options.quick, say=_say)
        for task in TASKS
        if task.name in chosen
    ]
    imports = None
    if IMPORT_CASE in chosen:
        imports = time_imports(IMPORTS, options.repeats or (1 if options.quick else IMPORT_REPEATS))
    print(_report(measurements, tasks, imports, versions, options))
    if options.json:
        _write_json(options.json, measurements, tasks, imports, versions)
    return 0


def _names() -> list[str]:
    return [*(case.name for case in CASES), *(task.name for task in TASKS), IMPORT_CASE]


def _parser() -> argparse.ArgumentParser:
    others = [rival.NAME for rival in RIVALS if rival is not mixfit_]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--case", action="append", choices=_names(), help="only this one (may be repeated)")
    parser.add_argument("--repeats", type=int, metavar="K", help="timed fits of each (slow rivals: at most)")
    parser.add_argument("--quick", action="store_true", help="small data and few repeats: nothing is judged")
    parser.add_argument("--without", action="append", choices=others, default=[], help="leave a rival out")
    parser.add_argument(
        "--with",
        action="append",
        choices=others,
        default=[],
        dest="also",
        help="run a rival also where it takes minutes and is left out otherwise",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all single times and answers")
    return parser


def _rivals(case: Case, versions: dict[str, str | None], options: argparse.Namespace) -> list[Rival]:
    return [
        rival
        for rival in RIVALS
        if versions[rival.NAME] is not None
        and rival.NAME not in options.without
        and (rival.NAME not in case.left_out or rival.NAME in options.also)
        and rival.takes(case)
    ]


def _report(
    measurements: Sequence[Measurement],
    tasks: Sequence[TaskMeasurement],
    imports: dict[str, list[float]] | None,
    versions: dict[str, str | None],
    options: argparse.Namespace,
) -> str:
    parts = []
    if measurements:
        others = [rival.NAME for rival in RIVALS if rival is not mixfit_]
        shown = [name for name in others if versions[name] is not None and name not in options.without]
        parts.append(fit_table(measurements, shown, judged=not options.quick))
    if tasks:
        parts.append(task_table(tasks, judged=not options.quick))
    if imports:
        parts.append(import_table(imports, judged=not options.quick))
    lines = [line for result in measurements for line in agreement_lines(result)]
    lines += [line for result in tasks for line in task_lines(result)]
    if lines:
        parts.append("\n".join(lines))
    parts.append("\n".join(_circumstances(versions, options)))
    return "\n\n".join(parts)


def _circumstances(versions: dict[str, str | None], options: argparse.Namespace) -> list[str]:
    lines = [
        "- Medians of repeated fits, from a data frame and a formula to estimates with standard errors;"
        " the rivals in turn, one thread each. Peak memory is that of mixfit's process, data included.",
        f"- {machine()}",
        f"- {packages()}",
    ]
    for name, version in versions.items():
        if version is None:
            lines.append(f"- {name} is left out: it is not installed.")
        elif name in options.without:
            lines.append(f"- {name} is left out, as asked for.")
        else:
            lines.append(f"- {name} {version}")
    if options.quick:
        lines.append("- Small data: the times mean nothing.")
    return lines


def _write_json(
    path: Path,
    measurements: Sequence[Measurement],
    tasks: Sequence[TaskMeasurement],
    imports: dict[str, list[float]] | None,
    versions: dict[str, str | None],
) -> None:
    content = {
        "machine": machine(),
        "packages": packages(),
        "versions": versions,
        "cases": [asdict(result) for result in measurements],
        "tasks": [asdict(result) for result in tasks],
        "imports": imports,
    }
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
