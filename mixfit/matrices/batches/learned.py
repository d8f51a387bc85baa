"""Transforms that learn from all rows, such as ``scale(x)``: what they learn, from moments of the batches.

A mean and a sum of squares are updated batch by batch (Chan, Golub & LeVeque 1983, The American Statistician 37,
242-247). The three-term recurrence of orthogonal polynomials follows from modified moments, those of Chebyshev
polynomials on the range of the data, which are well conditioned (Gautschi 2004, Orthogonal Polynomials, 2.1.7).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from formulaic.transforms import TRANSFORMS
from formulaic.utils.code import format_expr
from numpy.polynomial import chebyshev

from mixfit.errors import DataError
from mixfit.matrices.environment import EXTRA_TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ColumnMoments", "Learned", "PolynomialMoments", "learned_calls", "learned_state"]

# Transforms that learn nothing but levels, which the first pass finds for all factors alike.
_LEVELS_ONLY = ("C", "factor", "hashed")
_SCALES = ("scale", "center", "standardize")
_SPLINES = ("bs", "cr", "cc", "cs")


@dataclass(frozen=True)
class Learned:
    """One call of a transform.

    Attributes
    ----------
    key : str
        The call as formulaic writes it, under which it keeps what was learned.
    name : str
        The function.
    argument : str
        What it is applied to.
    args : tuple
        Further arguments.
    kwargs : dict
    """

    key: str
    name: str
    argument: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def degree(self) -> int:
        """Of a polynomial with a basis of its own; 0 for other transforms and for raw powers."""
        if self.name != "poly":
            return 0
        degree, raw = _poly_arguments(*self.args, **self.kwargs)
        return 0 if raw else degree

    @property
    def n_knots(self) -> int | None:
        """Of a B-spline of so many degrees of freedom, on the range of the data; None for other transforms."""
        named = self.kwargs.keys() - {"df", "degree", "include_intercept"}
        if self.name != "bs" or self.args or named or not isinstance(self.kwargs.get("df"), int):
            return None
        inside = self.kwargs["df"] - self.kwargs.get("degree", 3) - bool(self.kwargs.get("include_intercept", False))
        # Too few are formulaic's to refuse.
        return inside if inside >= 0 else 0

    def spline_state(self, low: float, high: float, inside: Sequence[float]) -> dict[str, Any]:
        """What `bs` keeps: its bounds, and its knots with the bounds repeated."""
        degree = self.kwargs.get("degree", 3)
        knots = [*[low] * (degree + 1), *inside, *[high] * (degree + 1)]
        return {"lower_bound": low, "upper_bound": high, "knots": knots}


def _poly_arguments(degree: int = 1, raw: bool = False) -> tuple[int, bool]:
    return degree, raw


def learned_calls(expression: str, context: Mapping[str, Any]) -> tuple[Learned, ...]:
    """The calls in an expression that learn from all rows.

    Raises
    ------
    DataError
        Naming a call of which batches do not tell what it learns.
    """
    if "`" in expression:
        plain = not any(f"{name}(" in expression for name in (*_SCALES, *_SPLINES, "poly", "lag"))
        if plain:
            return ()
        raise DataError(f"`{expression}`: a transform of rows in batches needs columns whose names are Python's.")
    found: dict[ast.Call, Learned] = {}
    for node in ast.walk(ast.parse(expression, mode="eval")):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name = node.func.id
        function = context.get(name, EXTRA_TRANSFORMS.get(name, TRANSFORMS.get(name)))
        learns = getattr(function, "__is_stateful_transform__", False) and name not in _LEVELS_ONLY
        if not learns and function is not TRANSFORMS["lag"]:
            continue
        text = ast.unparse(node)
        if name in context or name not in (*_SCALES, *_SPLINES, "poly"):
            raise DataError(
                f"`{text}` needs all rows, or their order, and cannot be computed in batches: make a column of it."
            )
        found[node] = _read(node, name, text, context)
    if any(inner in found for outer in found for inner in ast.walk(outer) if inner is not outer):
        raise DataError(
            f"`{expression}`: one transform learns from another, which batches do not tell: make a column of the inner."
        )
    return tuple(found.values())


def _read(node: ast.Call, name: str, text: str, context: Mapping[str, Any]) -> Learned:
    names = {"np": np, **context}
    try:
        first, *rest = [ast.unparse(argument) for argument in node.args]
        args = tuple(eval(code, {}, names) for code in rest)
        kwargs = {k.arg: eval(ast.unparse(k.value), {}, names) for k in node.keywords if k.arg is not None}
    except Exception as error:
        raise DataError(f"`{text}` cannot be computed in batches: its arguments are no constants ({error}).") from error
    learned = Learned(format_expr(node), name, first, args, kwargs)
    if name in _SPLINES and (args or kwargs.get("df") is not None) and learned.n_knots is None:
        raise DataError(
            f"`{text}` places its knots at quantiles, which batches do not tell: give them, {name}({first}, "
            "knots=[...])."
        )
    if name in _SPLINES and isinstance(kwargs.get("constraints"), str):
        raise DataError(
            f"`{text}` is centred by the means of its columns, which batches do not tell: leave the constraint out."
        )
    return learned


class ColumnMoments:
    """Number, mean, sum of squares about it, and range of the values so far."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = self.squares = 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, values: Array) -> None:
        """Take in values, shape (m,); NaN are none."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        own = ColumnMoments()
        own.n, own.low, own.high = len(values), float(values.min()), float(values.max())
        # About a value of their own, so that nothing is lost of numbers far from zero.
        own.mean = float(values[0] + (values - values[0]).mean())
        own.squares = float(((values - own.mean) ** 2).sum())
        self.merge(own)

    def merge(self, other: ColumnMoments) -> None:
        """Take in the values of another."""
        if not other.n:
            return
        step, total = other.mean - self.mean, self.n + other.n
        self.squares += other.squares + step**2 * self.n * other.n / total
        self.mean += step * other.n / total
        self.n = total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


class PolynomialMoments:
    """Sums of products of Chebyshev polynomials on the range of the data, as they are and times the variable."""

    def __init__(self, moments: ColumnMoments, degree: int) -> None:
        self._centre, self._half = 0.5 * (moments.high + moments.low), 0.5 * (moments.high - moments.low) or 1.0
        self._degree = degree
        self._products = np.zeros((degree + 1, degree + 1))
        self._times = np.zeros((degree + 1, degree + 1))

    def add(self, values: Array) -> None:
        """Take in values, shape (m,); NaN are none."""
        t = (values[~np.isnan(values)] - self._centre) / self._half
        T = chebyshev.chebvander(t, self._degree)
        self._products += T.T @ T
        self._times += T.T @ (t[:, None] * T)

    def state(self) -> dict[str, Any]:
        """Alpha and squared norms of the monic orthogonal polynomials, as formulaic's `poly` keeps them."""
        alpha: dict[int, float] = {}
        norms: dict[int, float] = {}
        before, now = np.zeros(1), np.ones(1)
        for k in range(self._degree + 1):
            own = np.pad(now, (0, self._degree + 1 - len(now)))
            norms[k] = float(own @ self._products @ own)
            if k == self._degree:
                break
            alpha[k] = self._centre + self._half * float(own @ self._times @ own) / norms[k]
            # p_{k+1} = (x - alpha_k) p_k - (norm_k / norm_{k-1}) p_{k-1}
            following = chebyshev.chebadd(self._half * chebyshev.chebmulx(now), (self._centre - alpha[k]) * now)
            if k:
                following = chebyshev.chebsub(following, norms[k] / norms[k - 1] * before)
            before, now = now, following
        return {"alpha": alpha, "norms2": norms}


def learned_state(call: Learned, moments: ColumnMoments) -> dict[str, Any] | None:
    """What `scale`, `center` and `standardize` keep; None for transforms that learn otherwise."""
    if call.name not in _SCALES:
        return None
    read: Any = {"scale": _scale_state, "center": _centre_state, "standardize": _standardize_state}[call.name]
    return read(moments, *call.args, **call.kwargs)


def _centre_state(moments: ColumnMoments) -> dict[str, Any]:
    return _scale_state(moments, scale=False)


def _standardize_state(
    moments: ColumnMoments, center: Any = True, rescale: Any = True, ddof: float = 0
) -> dict[str, Any]:
    return _scale_state(moments, center, rescale, ddof)


def _scale_state(moments: ColumnMoments, center: Any = True, scale: Any = True, ddof: float = 1) -> dict[str, Any]:
    middle: Any = (moments.mean if center else None) if isinstance(center, bool) else np.array(center)
    spread: Any = None if isinstance(scale, bool) else np.array(scale)
    if scale is True:
        about = moments.mean - (0.0 if middle is None else float(middle))
        spread = np.sqrt((moments.squares + moments.n * about**2) / (moments.n - ddof))
    return {"ddof": ddof, "center": middle, "scale": spread}
