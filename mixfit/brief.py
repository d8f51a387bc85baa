"""What a prompt shows of objects that hold arrays: their parts by name, with shapes in the place of numbers."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from typing import Any

__all__ = ["brief"]

# A line of a terminal, and digits that tell two fits apart.
_WIDTH = 100
_DIGITS = 6
# Parts of a tuple that are listed; of longer ones there is the number.
_LISTED = 6
# Characters of a part that is shown as it is.
_LONGEST = 60


def brief(obj: Any) -> str:
    """Describe a dataclass in a few lines.

    Parameters
    ----------
    obj : dataclass

    Returns
    -------
    str
        Its name and its parts: numbers and short texts as they are, arrays and tables by their shapes, others by
        their types. Parts that are None are left out.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass
    ... class Fitted:
    ...     X: np.ndarray
    ...     names: tuple
    ...     sigma: float
    >>> print(brief(Fitted(np.ones((180, 2)), ("Intercept", "Days"), 25.5918)))
    <Fitted: X (180, 2), names ('Intercept', 'Days'), sigma 25.5918>
    """
    parts = [f"{field.name} {shown}" for field in fields(obj) if (shown := _part(getattr(obj, field.name)))]
    text = f"<{type(obj).__name__}: {', '.join(parts)}>"
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _part(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return str(shape) if shape else f"{value}"
    if isinstance(value, (tuple, list)):
        return _sequence(value)
    if isinstance(value, dict):
        return _sequence(tuple(value))
    if isinstance(value, (str, bytes, int, complex)):
        return _short(value)
    return type(value).__name__ if not callable(value) else getattr(value, "__name__", type(value).__name__)


def _sequence(values: tuple[Any, ...] | list[Any]) -> str:
    kinds = {type(value) for value in values}
    if not values:
        return "none"
    if kinds <= {str, int, float, bool} and len(values) <= _LISTED:
        return _short(values)
    if len(kinds) == 1 and isinstance(getattr(values[0], "shape", None), tuple) and len(values) <= _LISTED:
        return "(" + ", ".join(_part(value) for value in values) + ")"
    name = f" {kinds.pop().__name__}" if len(kinds) == 1 else ""
    return f"{len(values)}{name}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
