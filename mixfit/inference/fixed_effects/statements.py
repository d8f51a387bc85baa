"""Statements on the fixed effects as text, ``"Days = 10, Intercept > 200"``, and tests of them.

Both sides are linear in the fixed effects; formulaic's parser of constraints reads them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.arguments import pattern_of, same_name
from mixfit.errors import FitError, FormulaError
from mixfit.spellings import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Statement", "read_statements"]

_OPERATORS = re.compile(r"<=|>=|==|!=|[<>=]")
_EXPONENT = re.compile(r"(?<![\w.])(?:\d+\.?\d*|\.\d+)[eE][+-]?\d+")
# A name that formulaic would take for an expression stands in these.
_QUOTE = "`"


@dataclass(frozen=True, eq=False)
class Statement:
    """One statement: L beta is equal to, greater or less than a number.

    Attributes
    ----------
    text : str
        As it was written.
    row : ndarray, shape (p,)
        L.
    value : float
    sign : {0, 1, -1}
        Of an equality, of ``>`` and of ``<``.
    """

    text: str
    row: Array
    value: float
    sign: int


def read_statements(text: str | Sequence[str], names: Sequence[str]) -> list[Statement]:
    """Read statements, separated by commas or in a list, on the fixed effects `names`.

    Raises
    ------
    FormulaError
        For what cannot be read, and a name that is no fixed effect.
    FitError
        For a statement without an effect, or one that is no claim.

    Examples
    --------
    >>> read = read_statements("Days - 2 * x = 1, Intercept > 200", ["Intercept", "Days", "x"])
    >>> [(s.row.tolist(), s.value, s.sign) for s in read]
    [([0.0, 1.0, -2.0], 1.0, 0), ([1.0, 0.0, 0.0], 200.0, 1)]
    """
    parts = [text] if isinstance(text, str) else list(text)
    found = [one for part in parts for one in _separated(_quoted(part, names))]
    if not found:
        raise FormulaError("There is no statement to test: write one as in 'Days = 10'.")
    return [_read(one, names) for one in found]


def _quoted(text: str, names: Sequence[str]) -> str:
    """Every fixed effect in backquotes, whatever its spaces, the longest first; R's name of the intercept too."""
    ways = sorted({*names, *(["(Intercept)"] if "Intercept" in names else [])}, key=len, reverse=True)
    # No part of a longer word, and nothing that is quoted already.
    pattern = "|".join(map(pattern_of, ways))
    found = re.compile(rf"`[^`]*`|(?<![\w.])(?:{pattern})(?![\w.])") if pattern else re.compile("`[^`]*`")

    def quote(match: re.Match[str]) -> str:
        name = same_name(match[0].strip(_QUOTE), ways)
        return f"{_QUOTE}{'Intercept' if name == '(Intercept)' else name}{_QUOTE}"

    return found.sub(quote, text)


def _separated(text: str) -> list[str]:
    """At commas that stand in no parentheses and no name."""
    out, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == _QUOTE
        depth += 0 if quoted else (letter in "([") - (letter in ")]")
        if letter == "," and not depth and not quoted:
            out.append("")
        else:
            out[-1] += letter
    return [part.strip() for part in out if part.strip()]


def _read(text: str, names: Sequence[str]) -> Statement:
    shown = text.replace(_QUOTE, "")
    bare = re.sub("`[^`]*`", lambda m: "_" * len(m[0]), text)
    operators = list(_OPERATORS.finditer(bare))
    if len(operators) > 1:
        raise FormulaError(f"{shown!r} is two statements: separate them by a comma.")
    operator = operators[0][0] if operators else "="
    if operator in ("<=", ">=", "!="):
        raise FitError(
            f"{shown!r} cannot be shown by a test. Write what is claimed: 'x > 1' or 'x < 1', tested against its "
            "opposite, or 'x = 1', tested as it is."
        )
    left, right = (text[: operators[0].start()], text[operators[0].end() :]) if operators else (text, "0")
    row, value = _linear(f"({left}) - ({right})", shown, names)
    if not row.any():
        raise FitError(f"{shown!r} is about none of the fixed effects ({', '.join(names)}).")
    return Statement(shown, row, value, {"<": -1, ">": 1}.get(operator, 0))


def _linear(text: str, shown: str, names: Sequence[str]) -> tuple[Array, float]:
    """Coefficients of a linear expression, and what it has to be for the whole to be zero."""
    from formulaic.errors import FormulaSyntaxError
    from formulaic.utils.constraints import LinearConstraints

    # formulaic reads numbers without exponents.
    plain = re.sub(rf"`[^`]*`|{_EXPONENT.pattern}", lambda m: m[0] if m[0][0] == _QUOTE else f"{Decimal(m[0]):f}", text)
    try:
        read: Any = LinearConstraints.from_spec(plain, list(names))
    except KeyError as error:
        name = str(error.args[0])
        raise FormulaError(
            f"The model has no fixed effect {name!r}; it has {', '.join(names)}.{nearest(name, names)}"
        ) from None
    except (FormulaSyntaxError, RuntimeError, ValueError, ZeroDivisionError) as error:
        raise FormulaError(
            f"{shown!r} cannot be read as a statement on the fixed effects, as in 'Days - 2 * x = 10'."
        ) from error
    matrix = np.asarray(read.constraint_matrix, dtype=np.float64)
    if matrix.shape != (1, len(names)) or not np.isfinite(matrix).all():
        raise FormulaError(f"{shown!r} cannot be read as one statement, as in 'Days - 2 * x = 10'.")
    return matrix[0], float(np.asarray(read.constraint_values, dtype=np.float64)[0])
