"""The curve of a nonlinear model: an expression of covariates and parameters, evaluated with its derivatives."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.brief import brief
from mixfit.curves.hyperdual import HyperDual, variables
from mixfit.curves.selfstart import CURVES
from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import CodeType

    from numpy.typing import NDArray

    from mixfit.curves.selfstart import Curve

    Array = NDArray[np.float64]

__all__ = ["BoundCurve", "CurveExpression", "self_starting"]

_FUNCTIONS = ("exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "square", "sin", "cos", "tanh", "arctan")
# What every curve may name.
_PROVIDED: dict[str, Any] = {**CURVES, "np": np, **{name: getattr(np, name) for name in _FUNCTIONS}}
# Steps of the differences of a function that takes no hyper-dual numbers, relative to the parameter: the roots of the
# rounding that leave both derivatives the most digits.
_FIRST = float(np.finfo(float).eps) ** (1.0 / 3.0)
_SECOND = float(np.finfo(float).eps) ** (1.0 / 4.0)


@dataclass(frozen=True)
class CurveExpression:
    """An expression in the names of covariates and parameters.

    Attributes
    ----------
    text : str
    covariates, parameters : tuple of str
    context : dict of str to object
        What else it names: functions and constants of the user's.

    Examples
    --------
    >>> curve = CurveExpression("a * exp(-k * t)", ("t",), ("a", "k"), {})
    >>> bound = curve.at({"t": np.array([0.0, 1.0])})
    >>> bound(np.array([[2.0, 2.0], [0.0, 0.0]])).slope.tolist()
    [[1.0, 1.0], [0.0, -2.0]]
    """

    text: str
    covariates: tuple[str, ...]
    parameters: tuple[str, ...]
    context: Mapping[str, Any]

    def unknown(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the names in the text that nothing provides."""
        known = {*_PROVIDED, *self.context, *self.covariates, *self.parameters}
        return tuple(name for name in names if name not in known)

    def at(self, covariates: Mapping[str, Array]) -> BoundCurve:
        """The curve at the covariates of some rows, each of shape (n,)."""
        return BoundCurve(self, {name: covariates[name] for name in self.covariates})

    def evaluate(self, covariates: Mapping[str, Array], parameters: Sequence[Any]) -> Any:
        """The expression at arrays or hyper-dual numbers.

        Raises
        ------
        FormulaError
            Where it names something unknown, or fails.
        """
        names = {
            **_PROVIDED,
            **self.context,
            **covariates,
            **dict(zip(self.parameters, parameters, strict=True)),
        }
        try:
            with np.errstate(all="ignore"):
                return eval(_compiled(self.text), {"__builtins__": {}}, names)
        except NameError as error:
            raise FormulaError(f"The curve {self.text!r} names {error.name!r}, which nothing provides.") from error


@dataclass(frozen=True, eq=False, repr=False)
class BoundCurve:
    """A curve at the covariates of some rows."""

    expression: CurveExpression
    covariates: dict[str, Array]

    def __call__(self, phi: Array, order: int = 2) -> HyperDual:
        """Value and slope, and of order 2 the bend, at parameters of shape (P, n)."""
        if self.is_exact:
            found = self.expression.evaluate(self.covariates, variables(phi, order))
            shape = phi.shape[1:]
            return HyperDual(np.broadcast_to(found.value, shape), found.slope, found.bend)
        return _differences(self, phi, order)

    __repr__ = brief

    @cached_property
    def is_exact(self) -> bool:
        """Whether the curve takes hyper-dual numbers, tried at ones; its derivatives are differences otherwise."""
        row = {name: x[:1] for name, x in self.covariates.items()}
        phi = np.ones((len(self.expression.parameters), 1))
        try:
            return isinstance(self.expression.evaluate(row, variables(phi)), HyperDual)
        except TypeError:
            return False

    def of_rows(self, rows: NDArray[Any]) -> BoundCurve:
        """The curve of some of the rows, by their places or by which of them they are."""
        return BoundCurve(self.expression, {name: x[rows] for name, x in self.covariates.items()})

    def repeated(self, times: int) -> BoundCurve:
        """The curve at the rows' covariates so many times, one set of rows after another."""
        return BoundCurve(self.expression, {name: np.tile(x, times) for name, x in self.covariates.items()})

    def values(self, phi: Array) -> Array:
        """The curve at parameters (P, n), or (P, n, r) for r sets of them: without the first axis."""
        shape = phi.shape[1:]
        covariates = {name: x.reshape(-1, *(1,) * (len(shape) - 1)) for name, x in self.covariates.items()}
        found = self.expression.evaluate(covariates, list(phi))
        return np.array(np.broadcast_to(np.asarray(found, dtype=float), shape))


def self_starting(text: str) -> tuple[Curve, tuple[str, ...], tuple[str, ...]] | None:
    """The self-starting curve that an expression is, its covariates as expressions and its parameters' names.

    Examples
    --------
    >>> curve, covariates, parameters = self_starting("SSmicmen(log(x), Vm, K)")
    >>> curve.name, covariates, parameters
    ('SSmicmen', ('log(x)',), ('Vm', 'K'))
    """
    tree = ast.parse(text, mode="eval").body
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in CURVES):
        return None
    curve = CURVES[tree.func.id]
    wanted = curve.n_covariates + len(curve.parameters)
    names = tree.args[curve.n_covariates :]
    if len(tree.args) != wanted or tree.keywords or not all(isinstance(name, ast.Name) for name in names):
        raise FormulaError(
            f"{curve.name} takes {curve.n_covariates} covariate(s) and then names of parameters, "
            f"{', '.join(curve.parameters)}: {text!r} has others."
        )
    covariates = tuple(ast.unparse(tree.args[a]) for a in range(curve.n_covariates))
    return curve, covariates, tuple(name.id for name in names if isinstance(name, ast.Name))


@lru_cache(maxsize=256)
def _compiled(text: str) -> CodeType:
    return compile(text, "<curve>", "eval")


def _differences(curve: BoundCurve, phi: Array, order: int) -> HyperDual:
    """Central first and second differences."""
    size, n = phi.shape
    scale = np.maximum(np.abs(phi), np.abs(phi).mean(axis=1, keepdims=True))
    scale[scale == 0.0] = 1.0
    unit = np.eye(size)[:, :, None] * scale
    first, second = _FIRST * unit, _SECOND * unit
    slope = np.array([curve.values(phi + h) - curve.values(phi - h) for h in first]) / (2.0 * _FIRST * scale)
    bend = np.empty((size, size, n) if order > 1 else (0, 0, 0))
    for a in range(len(bend)):
        for b in range(a + 1):
            h, k = second[a], second[b]
            corners = (
                curve.values(phi + h + k)
                - curve.values(phi + h - k)
                - curve.values(phi - h + k)
                + curve.values(phi - h - k)
            )
            bend[a, b] = bend[b, a] = corners / (4.0 * _SECOND**2 * scale[a] * scale[b])
    return HyperDual(curve.values(phi), slope, bend)
