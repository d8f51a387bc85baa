"""The response as a transformation of what was measured: ``log(y)``, ``sqrt(y + 1)``, ``1 / y``.

It consists of steps that have an inverse: sums and products with constants, powers, logarithms and their like. Each
inverse is the monotone one on the branch of the data, and is continued beyond the range
of the step by the end of that range, so that limits of intervals stay in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.special

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Steps", "Transformation"]


@dataclass(frozen=True)
class _Kind:
    """A step x -> e with a constant c: itself, its inverse and the slope of that."""

    forward: Callable[[Array, float], Array]
    mean: Callable[[Array, float], Array]
    slope: Callable[[Array, float], Array]


def _positive(e: Array) -> Array:
    return np.maximum(e, 0.0)


def _root(e: Array, c: float) -> Array:
    # An odd power has one inverse everywhere, others have it of positive numbers.
    if c > 0.0 and c % 2.0 == 1.0:
        return np.asarray(np.sign(e) * np.abs(e) ** (1.0 / c))
    with np.errstate(divide="ignore"):
        return np.asarray(_positive(e) ** (1.0 / c))


_KINDS = {
    "log": _Kind(lambda x, c: np.log(x) / c, lambda e, c: np.exp(e * c), lambda e, c: c * np.exp(e * c)),
    "exp": _Kind(
        lambda x, c: np.exp(x * c), lambda e, c: np.log(_positive(e)) / c, lambda e, c: 1.0 / (c * _positive(e))
    ),
    "log1p": _Kind(lambda x, c: np.log1p(x), lambda e, c: np.expm1(e), lambda e, c: np.exp(e)),
    "expm1": _Kind(
        lambda x, c: np.expm1(x), lambda e, c: np.log1p(np.maximum(e, -1.0)), lambda e, c: 1.0 / _positive(1.0 + e)
    ),
    "add": _Kind(lambda x, c: x + c, lambda e, c: e - c, lambda e, c: np.ones_like(e)),
    "scale": _Kind(lambda x, c: x * c, lambda e, c: e / c, lambda e, c: np.full_like(e, 1.0 / c)),
    "power": _Kind(lambda x, c: x**c, _root, lambda e, c: np.abs(_root(e, c)) ** (1.0 - c) / c),
    "logit": _Kind(
        lambda x, c: scipy.special.logit(x),
        lambda e, c: scipy.special.expit(e),
        lambda e, c: scipy.special.expit(e) * scipy.special.expit(-e),
    ),
    "arcsinh": _Kind(lambda x, c: np.arcsinh(x), lambda e, c: np.sinh(e), lambda e, c: np.cosh(e)),
    "arcsin": _Kind(
        lambda x, c: np.arcsin(x),
        lambda e, c: np.sin(np.clip(e, -np.pi / 2, np.pi / 2)),
        lambda e, c: np.cos(np.clip(e, -np.pi / 2, np.pi / 2)),
    ),
}
Steps = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Transformation:
    """A response as the formula writes it, and the way back to what it was made of.

    Attributes
    ----------
    text : str
        As written: ``"log(y)"``.
    name : str
        Of its scale: ``"log"``, or the text where it is more than one function of a column.
    steps : tuple of (str, float), or None
        From what was measured outward; None where there is no known way back.
    """

    text: str
    name: str
    steps: Steps | None

    @property
    def log_base(self) -> float | None:
        """Logarithm of the base where differences are logarithms of ratios, None elsewhere."""
        if not self.steps or self.steps[-1][0] != "log" or any(kind != "scale" for kind, _ in self.steps[:-1]):
            return None
        return self.steps[-1][1]

    def mean(self, e: Array) -> Array:
        """What was measured, of values of the response."""
        x = np.asarray(e, dtype=np.float64)
        for kind, constant in reversed(self.require_inverse()):
            x = _KINDS[kind].mean(x, constant)
        return x

    def slope(self, e: Array) -> Array:
        """Derivative of `mean`."""
        x = np.asarray(e, dtype=np.float64)
        slope = np.ones_like(x)
        with np.errstate(divide="ignore"):
            for kind, constant in reversed(self.require_inverse()):
                slope = slope * _KINDS[kind].slope(x, constant)
                x = _KINDS[kind].mean(x, constant)
        return slope

    def forward(self, x: Array) -> Array:
        """The response of what was measured."""
        for kind, constant in self.require_inverse():
            x = _KINDS[kind].forward(x, constant)
        return x

    def require_inverse(self) -> Steps:
        """The steps.

        Raises
        ------
        FitError
            Where the way back is not known.
        """
        if self.steps is None:
            raise FitError(
                f"The response is {self.text}, and how to go back from it is not known: type='link' gives numbers on "
                "its scale."
            )
        return self.steps
