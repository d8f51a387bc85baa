r"""Numbers with exact first and second derivatives: a function of them is differentiated by being evaluated.

A hyper-dual number is a quantity f of P parameters with (f, f', f'') at every row (Fike & Alonso 2011, AIAA
2011-886). Every operation is the chain rule of a function g of one or two arguments:

    g(f)' = g' f',        g(f)'' = g' f'' + g'' f' f'^T.

numpy's functions take these numbers where a formula for g' and g'' stands below: a user's function of arrays is then
one of them, unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Chain = Callable[[Array], tuple[Array, Array, Array]]

__all__ = ["HyperDual", "variables"]


@dataclass(frozen=True, eq=False)
class HyperDual:
    """A quantity of every row with its derivatives in the parameters.

    Attributes
    ----------
    value : ndarray, shape (n,)
    slope : ndarray, shape (P, n)
    bend : ndarray, shape (P, P, n)
        Of shape (0, 0, 0) where second derivatives are left out.
    """

    value: Array
    slope: Array
    bend: Array

    # numpy hands its functions of these numbers over, those of an array and such a number too.
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        if ufunc in _TWO:
            return _TWO[ufunc](*inputs)
        return inputs[0].through(_ONE[ufunc]) if ufunc in _ONE else NotImplemented

    def through(self, chain: Chain) -> HyperDual:
        """g of this quantity, from g, g' and g'' of its value."""
        with np.errstate(all="ignore"):
            value, slope, bend = chain(self.value)
            if not self.bend.size:
                return HyperDual(value, slope * self.slope, self.bend)
            return HyperDual(value, slope * self.slope, slope * self.bend + bend * _outer(self.slope, self.slope))

    def __add__(self, other: Any) -> HyperDual:
        return _add(self, other)

    def __radd__(self, other: Any) -> HyperDual:
        return _add(self, other)

    def __neg__(self) -> HyperDual:
        return HyperDual(-self.value, -self.slope, -self.bend)

    def __pos__(self) -> HyperDual:
        return self

    def __sub__(self, other: Any) -> HyperDual:
        return _add(self, -other)

    def __rsub__(self, other: Any) -> HyperDual:
        return _add(-self, other)

    def __mul__(self, other: Any) -> HyperDual:
        return _multiply(self, other)

    def __rmul__(self, other: Any) -> HyperDual:
        return _multiply(self, other)

    def __truediv__(self, other: Any) -> HyperDual:
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> HyperDual:
        return _divide(other, self)

    def __pow__(self, other: Any) -> HyperDual:
        return _power(self, other)

    def __rpow__(self, other: Any) -> HyperDual:
        return _power(other, self)


def variables(values: Array, order: int = 2) -> list[HyperDual]:
    """The parameters themselves, shape (P, n): each has a slope of one in itself."""
    size, n = values.shape
    unit = np.broadcast_to(np.eye(size)[:, :, None], (size, size, n))
    nothing = np.zeros((size, size, n) if order > 1 else (0, 0, 0))
    return [HyperDual(values[p], unit[p], nothing) for p in range(size)]


def _outer(a: Array, b: Array) -> Array:
    return a[:, None] * b[None, :]


def _add(a: Any, b: Any) -> HyperDual:
    if not isinstance(b, HyperDual):
        return HyperDual(a.value + b, a.slope, a.bend)
    return HyperDual(a.value + b.value, a.slope + b.slope, a.bend + b.bend)


def _multiply(a: Any, b: Any) -> HyperDual:
    if not isinstance(a, HyperDual):
        a, b = b, a
    if not isinstance(b, HyperDual):
        b = np.asarray(b, dtype=float)
        return HyperDual(a.value * b, a.slope * b, a.bend * b if a.bend.size else a.bend)
    if not a.bend.size:
        return HyperDual(a.value * b.value, a.value * b.slope + b.value * a.slope, a.bend)
    cross = _outer(a.slope, b.slope)
    bend = a.value * b.bend + b.value * a.bend + cross + cross.swapaxes(0, 1)
    return HyperDual(a.value * b.value, a.value * b.slope + b.value * a.slope, bend)


def _divide(a: Any, b: Any) -> HyperDual:
    if isinstance(b, HyperDual):
        return _multiply(b.through(_reciprocal), a)
    with np.errstate(all="ignore"):
        return _multiply(a, 1.0 / np.asarray(b, dtype=float))


def _power(a: Any, b: Any) -> HyperDual:
    if not isinstance(b, HyperDual):
        return _to_the(a, np.asarray(b, dtype=float))
    return (
        _multiply(b, a.through(_log)).through(_exp)
        if isinstance(a, HyperDual)
        else _raised(np.asarray(a, dtype=float), b)
    )


def _raised(a: Array, b: HyperDual) -> HyperDual:
    """a^b, which is 0 with all its derivatives where a is 0 and b positive."""
    with np.errstate(all="ignore"):
        logarithm = np.where(a == 0.0, 0.0, np.log(a))
    return b.through(lambda x: ((power := a**x), power * logarithm, power * logarithm**2))


def _to_the(a: HyperDual, b: Array) -> HyperDual:
    return a.through(lambda x: (x**b, b * x ** (b - 1.0), b * (b - 1.0) * x ** (b - 2.0)))


def _exp(x: Array) -> tuple[Array, Array, Array]:
    e = np.exp(x)
    return e, e, e


def _log(x: Array) -> tuple[Array, Array, Array]:
    return np.log(x), 1.0 / x, -1.0 / x**2


def _reciprocal(x: Array) -> tuple[Array, Array, Array]:
    return 1.0 / x, -1.0 / x**2, 2.0 / x**3


def _sqrt(x: Array) -> tuple[Array, Array, Array]:
    root = np.sqrt(x)
    return root, 0.5 / root, -0.25 / (x * root)


def _tanh(x: Array) -> tuple[Array, Array, Array]:
    t = np.tanh(x)
    return t, 1.0 - t * t, -2.0 * t * (1.0 - t * t)


def _arctan(x: Array) -> tuple[Array, Array, Array]:
    slope = 1.0 / (1.0 + x * x)
    return np.arctan(x), slope, -2.0 * x * slope**2


_ONE: dict[np.ufunc, Chain] = {
    np.exp: _exp,
    np.expm1: lambda x: (np.expm1(x), np.exp(x), np.exp(x)),
    np.exp2: lambda x: (np.exp2(x), np.log(2.0) * np.exp2(x), np.log(2.0) ** 2 * np.exp2(x)),
    np.log: _log,
    np.log1p: lambda x: (np.log1p(x), 1.0 / (1.0 + x), -1.0 / (1.0 + x) ** 2),
    np.log2: lambda x: (np.log2(x), 1.0 / (np.log(2.0) * x), -1.0 / (np.log(2.0) * x**2)),
    np.log10: lambda x: (np.log10(x), 1.0 / (np.log(10.0) * x), -1.0 / (np.log(10.0) * x**2)),
    np.sqrt: _sqrt,
    np.square: lambda x: (x * x, 2.0 * x, np.full_like(x, 2.0)),
    np.reciprocal: _reciprocal,
    np.sin: lambda x: (np.sin(x), np.cos(x), -np.sin(x)),
    np.cos: lambda x: (np.cos(x), -np.sin(x), -np.cos(x)),
    np.tanh: _tanh,
    np.arctan: _arctan,
    np.negative: lambda x: (-x, np.full_like(x, -1.0), np.zeros_like(x)),
    np.positive: lambda x: (x, np.ones_like(x), np.zeros_like(x)),
}
_TWO: dict[np.ufunc, Callable[..., HyperDual]] = {
    np.add: lambda a, b: a + b if isinstance(a, HyperDual) else b + a,
    np.subtract: lambda a, b: a - b if isinstance(a, HyperDual) else -(b - a),
    np.multiply: _multiply,
    np.true_divide: _divide,
    np.power: _power,
    np.float_power: _power,
}
