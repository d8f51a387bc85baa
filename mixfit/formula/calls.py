"""Look inside the Python expressions of a formula."""

from __future__ import annotations

import ast
import re

from formulaic.utils.code import sanitize_variable_names

__all__ = ["call_arguments", "called_name", "with_python_powers"]

_QUOTED_OR_POWER = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)|\^""")


def with_python_powers(code: str) -> str:
    """Write R's ``^`` as ``**``, outside quotes: Python would read it as exclusive or."""
    return _QUOTED_OR_POWER.sub(lambda match: match.group(1) or "**", code)


def called_name(code: str) -> str | None:
    """Return the name of the function if `code` is one call of a plain name, else None."""
    call, _ = _read_call(code)
    return None if call is None else call.func.id  # type: ignore[attr-defined]


def call_arguments(code: str) -> tuple[str, ...]:
    """Return the positional arguments of the call that `code` is, as expressions."""
    call, aliases = _read_call(code)
    if call is None or call.keywords:
        raise ValueError(f"`{code}` takes plain arguments only")
    return tuple(_restore(ast.unparse(argument), aliases) for argument in call.args)


def _read_call(code: str) -> tuple[ast.Call | None, dict[str, str]]:
    aliases: dict[str, str] = {}
    # formulaic's own stand-ins for backticked names, which Python cannot read.
    plain = sanitize_variable_names(code, {}, aliases, template="_mixfit_{}")
    body = ast.parse(plain, mode="eval").body
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Name):
        return body, aliases
    return None, aliases


def _restore(code: str, aliases: dict[str, str]) -> str:
    for alias, name in aliases.items():
        if alias != name:
            # Aliases are identifiers, and so is every place where one may stand.
            code = re.sub(rf"\b{alias}\b", f"`{name}`".replace("\\", r"\\"), code)
    return code
