"""Reads how a response is made of what was measured from the expression that the formula has for it."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.special
from formulaic.transforms import TRANSFORMS

from mixfit.errors import MixfitError
from mixfit.formula import variables_of
from mixfit.matrices.transformation import Transformation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.formula import Response
    from mixfit.matrices.environment import Environment

    Array = NDArray[np.float64]

__all__ = ["transformation_of"]

# Steps of a few operations reproduce a response to some 1e-14; a misread expression is off in the first digits.
_SAME = 1e-9
# What formulas may call, by what the name stands for there: the step and its constant.
_CALLED: dict[Any, tuple[str, float]] = {
    np.log: ("log", 1.0),
    np.log2: ("log", float(np.log(2.0))),
    np.log10: ("log", float(np.log(10.0))),
    np.log1p: ("log1p", 1.0),
    np.exp: ("exp", 1.0),
    np.exp2: ("exp", float(np.log(2.0))),
    np.expm1: ("expm1", 1.0),
    np.sqrt: ("power", 0.5),
    np.cbrt: ("power", 1.0 / 3.0),
    np.square: ("power", 2.0),
    np.reciprocal: ("power", -1.0),
    np.negative: ("scale", -1.0),
    np.arcsinh: ("arcsinh", 1.0),
    np.arcsin: ("arcsin", 1.0),
    scipy.special.logit: ("logit", 1.0),
}


def transformation_of(response: Response, environment: Environment, y: Array) -> Transformation | None:
    """How a response is made of what was measured, verified by its values y (n,); None for a plain column."""
    if response.arguments is not None or response.text in environment.columns:
        return None
    names: dict[str, str] = {}
    text = re.sub(r"`([^`]*)`", lambda found: names.setdefault(found[1], f"_column{len(names)}_"), response.text)
    columns = {placeholder: name for name, placeholder in names.items()}
    columns |= {name: name for name in variables_of(response.factor) if name in environment.columns}
    try:
        reader = _Reader(environment, columns)
        steps, leaf = reader.read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, _UnknownError):
        return Transformation(response.text, response.text, None)
    if not steps:
        return None
    if not _verified(steps, leaf, y):
        return Transformation(response.text, response.text, None)
    called = re.fullmatch(r"(?:\w+\.)*(\w+)\(.*\)", response.text) if len(steps) == 1 else None
    name = response.text if called is None or called[1] == "I" else called[1]
    return Transformation(response.text, name, tuple(steps))


def _verified(steps: list[tuple[str, float]], leaf: Array, y: Array) -> bool:
    """Whether the steps lead to the response, and back on the branch that the data are on."""
    known = np.isfinite(leaf) & np.isfinite(y)
    way = Transformation("", "", tuple(steps))
    with np.errstate(all="ignore"):
        return _alike(way.forward(leaf[known]), y[known]) and _alike(way.mean(y[known]), leaf[known])


def _alike(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=_SAME, atol=_SAME * np.abs(other).max(initial=0.0)))


class _UnknownError(Exception):
    """An expression that is not taken apart."""


@dataclass(frozen=True)
class _Reader:
    """Takes an expression apart; `columns` are the names in it that stand for columns."""

    environment: Environment
    columns: dict[str, str]

    def read(self, node: ast.expr) -> tuple[list[tuple[str, float]], Array]:
        """The steps from the measured quantity to an expression, and that quantity's values."""
        if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            return self._call(self._object(node.func), node.args[0])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            steps, leaf = self.read(node.operand)
            return [*steps, ("scale", -1.0)], leaf
        if isinstance(node, ast.BinOp):
            left, right = self._number(node.left), self._number(node.right)
            if (left is None) != (right is None):
                steps, leaf = self.read(node.left if left is None else node.right)
                constant = left if right is None else right
                assert constant is not None
                return steps + _arithmetic(node.op, constant, first=right is None), leaf
        if isinstance(node, ast.Name) and node.id in self.columns:
            return [], self._values(self.columns[node.id])
        if len({part.id for part in ast.walk(node) if isinstance(part, ast.Name)} & set(self.columns)) > 1:
            # What is made of several columns is a quantity of its own.
            return [], self._values(ast.unparse(node))
        raise _UnknownError

    def _call(self, function: Any, argument: ast.expr) -> tuple[list[tuple[str, float]], Array]:
        steps, leaf = self.read(argument)
        if function is TRANSFORMS["I"]:
            return steps, leaf
        if function in (TRANSFORMS["scale"], TRANSFORMS["center"]):
            values = Transformation("", "", tuple(steps)).forward(leaf)
            deviation = 1.0 if function is TRANSFORMS["center"] else float(np.nanstd(values, ddof=1))
            return [*steps, ("add", -float(np.nanmean(values))), ("scale", 1.0 / deviation)], leaf
        try:
            return [*steps, _CALLED[function]], leaf
        except (KeyError, TypeError):
            raise _UnknownError from None

    def _object(self, node: ast.expr) -> Any:
        """What a function's name stands for."""
        if isinstance(node, ast.Attribute):
            return getattr(self._object(node.value), node.attr, None)
        if not isinstance(node, ast.Name) or node.id in self.columns:
            raise _UnknownError
        if node.id in self.environment.context:
            return self.environment.context[node.id]
        return np.sqrt if node.id == "sqrt" else TRANSFORMS.get(node.id)

    def _number(self, node: ast.expr) -> float | None:
        """A constant, written or of the caller's context."""
        if isinstance(node, ast.Name) and node.id not in self.columns:
            value = self.environment.context.get(node.id)
        else:
            try:
                value = ast.literal_eval(node)
            except ValueError:
                return None
        return float(value) if isinstance(value, (int, float, np.number)) else None

    def _values(self, expression: str) -> Array:
        try:
            return np.asarray(self.environment.evaluate_text(expression), dtype=np.float64)
        except (MixfitError, TypeError, ValueError):
            raise _UnknownError from None


def _arithmetic(operator: ast.operator, constant: float, *, first: bool) -> list[tuple[str, float]]:
    """An operation with a constant, which may stand first."""
    if isinstance(operator, ast.Add):
        return [("add", constant)]
    if isinstance(operator, ast.Sub):
        return [("scale", -1.0), ("add", constant)] if first else [("add", -constant)]
    if isinstance(operator, ast.Mult) and constant:
        return [("scale", constant)]
    if isinstance(operator, ast.Div) and constant:
        return [("power", -1.0), ("scale", constant)] if first else [("scale", 1.0 / constant)]
    if isinstance(operator, ast.Pow) and not first and constant:
        return [("power", constant)]
    if isinstance(operator, ast.Pow) and first and constant > 0.0 and constant != 1.0:
        return [("exp", float(np.log(constant)))]
    raise _UnknownError
