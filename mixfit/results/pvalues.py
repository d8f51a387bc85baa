"""p-values as R prints them, and the codes of their significance."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from mixfit.results.numbers import format_common

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["LEGEND", "P_HEADER", "format_p_values", "stars"]

P_HEADER = "Pr(>|z|)"
LEGEND = "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"

# Below the spacing of floats at 1 a p-value is a statement on rounding errors.
_SMALLEST = sys.float_info.epsilon
_CODES = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


def format_p_values(values: Sequence[float], digits: int) -> list[str]:
    """Format p-values: those from 1e-4 on alike, smaller ones alike, and tiny ones by a bound.

    Parameters
    ----------
    values : sequence of float
    digits : int
        Significant digits of the neediest of either kind.

    Returns
    -------
    list of str
        Right-justified to one width.

    Examples
    --------
    >>> format_p_values([1.47e-9, 0.00106812, 0.000474321], 3)
    ['1.47e-09', '0.001068', '0.000474']
    >>> format_p_values([1e-30, 0.04], 3)
    ['<2e-16', '  0.04']
    """
    kinds = [_kind(float(value)) for value in values]
    cells = [""] * len(values)
    for kind in ("plain", "small", "undefined"):
        at = [i for i, own in enumerate(kinds) if own == kind]
        for i, cell in zip(at, format_common([values[i] for i in at], digits), strict=True):
            cells[i] = cell
    bound = f"{_SMALLEST:.0e}"
    # a space after the sign where the column is wide enough for it
    wide = max((len(cell) for cell in cells), default=0) >= len(bound) + 2
    tiny = f"< {bound}" if wide else f"<{bound}"
    cells = [tiny if kind == "tiny" else cell for cell, kind in zip(cells, kinds, strict=True)]
    width = max((len(cell) for cell in cells), default=0)
    return [cell.rjust(width) for cell in cells]


def _kind(value: float) -> str:
    if math.isnan(value):
        return "undefined"
    if value < _SMALLEST:
        return "tiny"
    return "plain" if value >= 1e-4 else "small"


def stars(values: Iterable[float]) -> list[str]:
    """Codes of significance, as `LEGEND` explains them.

    Parameters
    ----------
    values : iterable of float

    Returns
    -------
    list of str

    Examples
    --------
    >>> stars([1e-9, 0.004, 0.05, 0.07, 0.5])
    ['***', '**', '*', '.', '']
    """
    return [next((code for limit, code in _CODES if value <= limit), "") for value in values]
