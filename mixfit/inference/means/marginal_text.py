"""Marginal means and contrasts as text and HTML, a table for each combination of the `by` variables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.means.contrast_coefficients import level_text
from mixfit.inference.means.linear_functions import by_groups
from mixfit.results.numbers import fixed_decimals, format_common
from mixfit.results.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["as_html", "as_text"]

_DIGITS = 3
_MOST_DIGITS = 9
_LEVEL_DIGITS = 7
_STATISTICS = ("t.ratio", "z.ratio")
_ASYMPTOTIC = {"lower.CL": "asymp.LCL", "upper.CL": "asymp.UCL"}


def as_text(frame: pd.DataFrame, by: Sequence[str], notes: Sequence[str]) -> str:
    """Lay out the tables, with the notes below them."""
    tables = "\n\n".join(str(table) for table in _tables(frame, by))
    return f"{tables}\n\n" + "\n".join(notes) if notes else tables


def as_html(frame: pd.DataFrame, by: Sequence[str], notes: Sequence[str]) -> str:
    """Write the tables as HTML, with the notes below them."""
    from html import escape

    tables = [table.as_html() for table in _tables(frame, by)]
    return "\n".join([*tables, *(f"<p>{escape(note)}</p>" for note in notes)])


def _tables(frame: pd.DataFrame, by: Sequence[str]) -> list[Table]:
    shown = _cells(frame.drop(columns=list(by)))
    tables = []
    for rows in by_groups(frame, by):
        heading = ", ".join(f"{name} = {level_text(frame[name].iloc[rows[0]])}" for name in by)
        tables.append(Table(shown.iloc[rows], heading=(f"{heading}:",) if by else (), show_index=False))
    return tables


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column as text under its header: names to the left, numbers to the right."""
    headers = [str(name) for name in frame.columns]
    start = headers.index("SE") - 1
    normal = bool(np.isinf(frame["df"].dropna()).all())
    estimate = frame[headers[start]].to_numpy(dtype=np.float64)
    digits = _digits(estimate, frame["SE"].to_numpy(dtype=np.float64))
    columns: dict[str, list[str]] = {}
    for j, name in enumerate(headers):
        values = frame[name]
        if j < start:
            if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
                columns[name] = format_common(values.to_numpy(dtype=np.float64), _LEVEL_DIGITS)
            else:
                cells = [level_text(value) for value in values]
                width = max(map(len, (*cells, name)))
                columns[name.ljust(width)] = [cell.ljust(width) for cell in cells]
            continue
        cells = _numbers(
            name, values.to_numpy(dtype=np.float64), digits if j == start or name in _ASYMPTOTIC else _DIGITS
        )
        if j == start:
            cells = ["nonEst" if math.isnan(v) else cell for v, cell in zip(estimate, cells, strict=True)]
        columns[_ASYMPTOTIC.get(name, name) if normal else name] = cells
    return pd.DataFrame(columns)


def _numbers(name: str, values: Array, digits: int) -> list[str]:
    known = [float(value) for value in values if not math.isnan(value)]
    if name == "p.value":
        cells = fixed_decimals(known, 4)
        cells = ["<.0001" if value < 1e-4 else cell for value, cell in zip(known, cells, strict=True)]
    elif name in _STATISTICS:
        cells = fixed_decimals(known, 3)
    else:
        cells = format_common(known, digits)
    rest = iter(cells)
    return ["NA" if math.isnan(value) else next(rest) for value in values]


def _digits(estimates: Array, errors: Array) -> int:
    """Significant digits that show the largest estimate to the second digit of the smallest standard error."""
    errors = errors[(errors > 0.0) & np.isfinite(errors)]
    sizes = np.abs(estimates[np.isfinite(estimates) & (estimates != 0.0)])
    if not len(errors) or not len(sizes):
        return _DIGITS
    needed = math.floor(math.log10(sizes.max())) - math.floor(math.log10(2.0 * errors.min())) + 1
    return min(max(needed, _DIGITS), _MOST_DIGITS)
