"""The table, in Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.benchmarks.agreement import compare
from tests.benchmarks.cases import IMPORT_DEMAND, IMPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.measure import Measurement
    from tests.benchmarks.run_tasks import TaskMeasurement

__all__ = ["agreement_lines", "fit_table", "import_table", "task_lines", "task_table", "verdicts"]

# Processor seconds per second above which a rival has not kept to one thread; clocks are coarse.
ONE_THREAD, LONG_ENOUGH = 1.2, 0.05


def fit_table(measurements: Sequence[Measurement], rivals: Sequence[str], *, judged: bool) -> str:
    """Return a row a case; without verdicts where the data were not those of the demands."""
    header = ["case", "rows", "mixfit s", *(f"{rival} s" for rival in rivals)]
    header += [*(f"mixfit / {rival}" for rival in rivals), "demand", "holds", "peak MB", "evaluations"]
    rows = []
    for result in measurements:
        case = result.case
        answer = result.answers.get("mixfit")
        demands = [f"≤ {limit:g} × {rival}" for rival, limit in case.demands.items()]
        if case.peak_mb is not None:
            demands.append(f"≤ {case.peak_mb:,.0f} MB")
        rows.append(
            [
                case.title,
                f"{result.rows:,}",
                *(_seconds(result.median(rival)) for rival in ("mixfit", *rivals)),
                *(_ratio(result.ratio(rival)) for rival in rivals),
                ", ".join(demands),
                ", ".join(verdicts(result)) if judged else "–",
                f"{answer['peak_mb']:,.0f}" if answer else "–",
                str(answer["evaluations"]) if answer else "–",
            ]
        )
    return _markdown(header, rows, right={1, *range(2, 3 + 2 * len(rivals))})


def verdicts(result: Measurement) -> list[str]:
    """Return what became of each demand: yes, no, or not measured."""
    said = []
    for rival, limit in result.case.demands.items():
        ratio = result.ratio(rival)
        said.append("not measured" if ratio is None else _yes(ratio <= limit))
    if result.case.peak_mb is not None and "mixfit" in result.answers:
        said.append(_yes(result.answers["mixfit"]["peak_mb"] <= result.case.peak_mb))
    return said


def task_table(measurements: Sequence[TaskMeasurement], *, judged: bool) -> str:
    """Return a row a task."""
    rows = []
    for result in measurements:
        task, ratio = result.task, result.ratio
        theirs = _seconds(median(result.theirs)) if result.theirs else "–"
        holds = "–" if not judged else "not measured" if ratio is None else _yes(ratio <= task.demand)
        demand = f"≤ {task.demand:g} × {task.rival}"
        rows.append([task.title, task.rival, _seconds(median(result.ours)), theirs, _ratio(ratio), demand, holds])
    return _markdown(["task", "rival", "mixfit s", "rival s", "ratio", "demand", "holds"], rows, right={2, 3, 4})


def task_lines(result: TaskMeasurement) -> list[str]:
    """Return whether both found the same."""
    task = result.task
    if result.failure is not None:
        return [f"- {task.name}: {task.rival} FAILED: {result.failure}"]
    if result.difference is None:
        return []
    verdict = "agrees" if result.agrees else "**DIFFERS**"
    return [f"- {task.name}: {task.rival} {verdict} ({task.compared} within {result.difference:.1e})"]


def import_table(times: Mapping[str, Sequence[float]], *, judged: bool) -> str:
    """Return the times of the two imports and their ratio."""
    ours, theirs = (median(times[statement]) for statement in IMPORTS)
    header = [f"`import {statement}` s" for statement in IMPORTS]
    row = [_seconds(ours), _seconds(theirs), _ratio(ours / theirs), f"< {IMPORT_DEMAND:g}"]
    row.append(_yes(ours / theirs < IMPORT_DEMAND) if judged else "–")
    return _markdown([*header, "ratio", "demand", "holds"], [row], right={0, 1, 2})


def agreement_lines(result: Measurement) -> list[str]:
    """Return whether all found the same, and whatever else should not be overlooked."""
    name = result.case.name
    lines = [f"- {name}: {rival} FAILED: {words}" for rival, words in result.failures.items()]
    if "mixfit" in result.answers and len(result.answers) > 1:
        lines.append(f"- {name}: {'; '.join(map(str, compare(result.answers, result.case.estimates)))}")
    if result.first:
        firsts = (f"{rival} {_seconds(seconds)} s" for rival, seconds in result.first.items())
        lines.append(f"- {name}: the first fit of the process took {', '.join(firsts)}")
    for rival, answer in result.answers.items():
        if not answer["converged"]:
            lines.append(f"- {name}: **{rival} says that it has not converged**")
        if sum(result.times[rival]) > LONG_ENOUGH and result.threads(rival) > ONE_THREAD:
            lines.append(f"- {name}: **{rival} used {result.threads(rival):.1f} threads**")
    return lines


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> str:
    # A bar ends a cell, also inside of backticks.
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    rule = ["--:" if column in right else "---" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:#.2g}" if value < 0.1 else f"{value:#.3g}"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:#.2g}" if value < 1 else f"{value:.2f}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "**no**"
