"""Formula errors that show the place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from formulaic.parser.types import Token

__all__ = ["error_at", "error_at_token", "from_formulaic"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def error_at(message: str, formula: str, start: int | None = None, end: int | None = None) -> FormulaError:
    """Make a FormulaError that shows the formula, underlined from `start` to `end` (inclusive)."""
    shown = f"{message}\n\n    {formula}"
    if start is not None:
        width = max(1, (start if end is None else end) - start + 1)
        shown += f"\n    {' ' * start}{'^' * width}"
    return FormulaError(shown)


def error_at_token(message: str, token: Token) -> FormulaError:
    """Make a FormulaError that underlines a token of the formula it came from."""
    return error_at(message, token.source or token.token, token.source_start, token.source_end)


def from_formulaic(error: Exception, formula: str) -> FormulaError:
    """Restate formulaic's syntax error, whose place is marked inside its message, with a caret."""
    message, _, context = _COLOUR.sub("", str(error)).partition("\n\n")
    message = message.replace("insuffient", "insufficient").replace("context marker", "parenthesis")
    start, end = context.find("⧛"), context.find("⧚")
    if 0 <= start < end:
        # The opening mark itself takes up one character before the end is reached.
        return error_at(message, formula, start, max(start, end - 2))
    return error_at(message, formula)
