"""Read ``response ~ curve(covariates, parameters) ~ random terms``: lme4's formula of a nonlinear model."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NonlinearFormula", "fixed_terms", "parse_nonlinear"]

# A random term, with or without the name of a structure.
_TERM = re.compile(r"\w*\(.*\)$", re.DOTALL)
_FORM = "response ~ curve(covariates, parameters) ~ parameter | group"


@dataclass(frozen=True)
class NonlinearFormula:
    """The three parts of a formula.

    Attributes
    ----------
    text, response, curve : str
    names : tuple of str
        Names in the curve, functions left out, in the order in which they stand.
    fixed : str
        What stands outside the bars of the last part.
    random : tuple of str
        Random terms without an intercept of their own: ``(0 + Asym | Tree)``.
    """

    text: str
    response: str
    curve: str
    names: tuple[str, ...]
    fixed: str
    random: tuple[str, ...]


def parse_nonlinear(text: str) -> NonlinearFormula:
    """Read a formula's three parts.

    Raises
    ------
    FormulaError
        Where there are not three of them, the curve is no expression, or the last part has no bar.

    Examples
    --------
    >>> formula = parse_nonlinear("y ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree")
    >>> formula.names, formula.random
    (('age', 'Asym', 'xmid', 'scal'), ('(0 + Asym | Tree)',))
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula is a string such as '{_FORM}', not {type(text).__name__}.")
    parts = _split(text, "~")
    if len(parts) != 3 or not all(part.strip() for part in parts):
        raise FormulaError(f"A nonlinear formula has three parts, {_FORM!r}, not {text!r}.")
    response, curve, effects = (part.strip() for part in parts)
    if len(_split(effects, "|")) > 1:
        effects = f"({effects})"
    fixed: list[str] = []
    random: list[str] = []
    for term in (term.strip() for term in _split(effects, "+")):
        (random if _TERM.match(term) and len(_split(_inner(term), "|")) > 1 else fixed).append(term)
    if not random:
        raise FormulaError(f"The last part of {text!r} has no random term such as (Asym | Tree).")
    return NonlinearFormula(
        text, response, curve, _names(curve), " + ".join(fixed), tuple(own for term in random for own in _bars(term))
    )


def fixed_terms(formulas: Sequence[str], parameters: Sequence[str]) -> str:
    """Fixed terms of the stack: every parameter's own, those of ``"Asym ~ treatment"`` times its indicator.

    Raises
    ------
    FormulaError
        Where a formula names no parameter, or one twice.

    Examples
    --------
    >>> fixed_terms(["Asym ~ treatment"], ["Asym", "xmid"])
    'Asym + Asym:(treatment) + xmid'
    """
    own: dict[str, str] = {}
    for formula in formulas:
        left, *right = _split(formula, "~")
        names = [name.strip() for name in left.split("+")]
        if len(right) != 1 or not set(names) <= set(parameters) or set(names) & set(own):
            raise FormulaError(
                f"fixed= has formulas such as '{parameters[0]} ~ x', one a parameter among "
                f"{', '.join(parameters)}, not {formula!r}."
            )
        own.update(dict.fromkeys(names, right[0].strip()))
    terms = []
    for name in parameters:
        terms.append(name)
        if own.get(name, "1") != "1":
            terms.append(f"{name}:({own[name]})")
    return " + ".join(terms)


def _bars(term: str) -> list[str]:
    """Random terms of one pair of parentheses, as ``nlmer`` reads them.

    Left of one bar stand parameters, without an intercept unless 1 is among them; ``||`` stands for one term a column
    and one for the intercept, unless 0 is among them. An intercept moves all of the parameters alike.
    """
    structure, _, _ = term.partition("(")
    left, *right = _split(_inner(term), "|")
    group = right[-1].strip()
    columns = [column.strip() for column in _split(left, "+")]
    parameters = [column for column in columns if column not in ("0", "1")]
    if len(right) == 2 and not right[0].strip() and not structure and columns:
        shared = [] if "0" in columns else [f"(1 | {group})"]
        return shared + [f"(0 + {column} | {group})" for column in parameters]
    if len(right) != 1 or not all(columns) or columns == ["0"]:
        raise FormulaError(f"The random term {term} is not a list of parameters, a bar and a grouping factor.")
    kept = " + ".join(["1" if "1" in columns else "0", *parameters])
    return [f"{structure}({kept} | {group})"]


def _inner(term: str) -> str:
    return term[term.index("(") + 1 : -1]


def _split(text: str, mark: str) -> list[str]:
    """Parts between marks outside of parentheses and brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == mark and not depth:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _names(curve: str) -> tuple[str, ...]:
    try:
        tree = ast.parse(re.sub(r"\^", "**", curve), mode="eval")
    except SyntaxError as error:
        raise FormulaError(f"The curve {curve!r} is no expression: {error.msg}.") from error
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    attributes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions | attributes]
    return tuple(dict.fromkeys(node.id for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))))
