"""Numbers as R prints them: common decimals for a whole column, by significant digits; p-values and their codes."""

from __future__ import annotations

import math
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


__all__ = [
    "LEGEND",
    "MINUS",
    "P_HEADER",
    "fixed_decimals",
    "format_coefficients",
    "format_common",
    "format_p_values",
    "stars",
    "zap_small",
]

P_HEADER = "Pr(>|z|)"
LEGEND = "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"
#: A minus sign that stands before a number, not a hyphen within a word or a date.
MINUS = re.compile(r"(?<![\w.])-(?=\d)")
# Below the spacing of floats at 1 a p-value is a statement on rounding errors.
_SMALLEST = sys.float_info.epsilon
_CODES = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


def _digits_needed(value: float, digits: int) -> tuple[int, int]:
    """Significant digits that `value` needs, at most `digits`, and its decimal exponent."""
    mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
    return max(1, len(mantissa.replace(".", "").rstrip("0"))), int(exponent)


def _pad(cells: Sequence[str]) -> list[str]:
    width = max((len(cell) for cell in cells), default=0)
    return [cell.rjust(width) for cell in cells]


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")


def format_common(values: Iterable[float], digits: int) -> list[str]:
    """Format numbers alike, with the decimals that the neediest of them calls for.

    Every number shows at least the decimals that `digits` significant digits of each number
    need (trailing zeros not counted); scientific notation is used where it is shorter. These are
    the rules that R documents for ``format(x, digits=)``.

    Parameters
    ----------
    values : iterable of float
    digits : int
        Significant digits, at least 1.

    Returns
    -------
    list of str
        Right-justified to one width.

    Examples
    --------
    >>> format_common([0.06808333, 0.10625], 4)
    ['0.06808', '0.10625']
    >>> format_common([612.1, 35.0717], 4)
    ['612.10', ' 35.07']
    >>> format_common([1e-10], 4)
    ['1e-10']
    """
    numbers = [float(v) for v in values]
    finite = [v for v in numbers if math.isfinite(v)]
    needs = [_digits_needed(v, digits) for v in finite]
    if not needs:
        return _pad([_special(v) for v in numbers])
    decimals = max(max(0, significant - 1 - exponent) for significant, exponent in needs)
    left = max((v < 0) + max(exponent, 0) + 1 for v, (_, exponent) in zip(finite, needs, strict=True))
    fixed_width = left + bool(decimals) + decimals
    mantissa = max(significant for significant, _ in needs) - 1
    exponent_width = 3 if any(abs(exponent) >= 100 for _, exponent in needs) else 2
    scientific_width = (min(finite) < 0) + 1 + bool(mantissa) + mantissa + 2 + exponent_width
    form = f".{decimals}f" if fixed_width <= scientific_width else f".{mantissa}e"
    return _pad([format(v, form) if math.isfinite(v) else _special(v) for v in numbers])


def fixed_decimals(values: Iterable[float], decimals: int) -> list[str]:
    """Format numbers with a given number of decimals.

    Parameters
    ----------
    values : iterable of float
    decimals : int

    Returns
    -------
    list of str
        Right-justified to one width; a result that rounds to zero has no sign.

    Examples
    --------
    >>> fixed_decimals([1, -0.1384, -0.0001], 3)
    [' 1.000', '-0.138', ' 0.000']
    """
    return _pad([f"{round(v, decimals) + 0.0:.{decimals}f}" if math.isfinite(v) else _special(v) for v in values])


def zap_small(values: Iterable[float], digits: int) -> list[float]:
    """Round to `digits` digits of the largest absolute value, as R's ``zapsmall``.

    Parameters
    ----------
    values : iterable of float
    digits : int

    Returns
    -------
    list of float

    Examples
    --------
    >>> zap_small([1234.5678, 1e-9], 5)
    [1234.57, 0.0]
    """
    numbers = [float(v) for v in values]
    largest = max((abs(v) for v in numbers if math.isfinite(v)), default=0.0)
    places = max(0, math.floor(digits - math.log10(largest) + 0.5)) if largest > 0 else digits
    return [round(v, places) if math.isfinite(v) else v for v in numbers]


def format_coefficients(
    estimates: Sequence[float],
    errors: Sequence[float],
    statistics: Sequence[float],
    digits: int,
    df: Sequence[float] = (),
) -> list[list[str]]:
    """Format the columns of a coefficient table in the manner of R's ``printCoefmat``.

    Estimates and errors share their decimals, chosen so that the smallest of them shows `digits`
    significant digits; statistics have at most ``digits - 1`` decimals.

    Parameters
    ----------
    estimates, errors, statistics : sequence of float, length p
    digits : int
    df : sequence of float, length p, optional
        Degrees of freedom, which share the decimals of the estimates as in lmerTest and stand before the
        statistics.

    Returns
    -------
    list of list of str
        A list a column.

    Examples
    --------
    >>> format_coefficients([60.4], [0.14944], [404.164], 4)
    [['60.4000'], [' 0.1494'], ['404.2']]
    """
    pooled = [*map(float, estimates), *map(float, errors), *map(float, df)]
    sizes = [abs(v) for v in pooled if math.isfinite(v) and v != 0]
    places = max(1, digits - 1 - math.floor(math.log10(min(sizes)))) if sizes else max(1, digits)
    rounded = [round(v, places) if math.isfinite(v) else v for v in pooled]
    cells = format_common(rounded, digits)
    # a value that is not zero must not read as zero beside much larger ones
    for i, value in enumerate(pooled):
        if value != 0 and math.isfinite(value) and float(cells[i]) == 0:
            cells[i] = format_common([value], max(1, digits - 1))[0]
    tests = [round(v, max(1, min(5, digits - 1))) if math.isfinite(v) else v for v in map(float, statistics)]
    p = len(estimates)
    columns = [cells[start : start + p] for start in range(0, len(cells), p)] if p else [[], []]
    return [*columns, format_common(tests, digits)]


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
