"""Coefficients that the fit of a curve starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares

from mixfit.curves.selfstart import curve_start
from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.curves.mean import BoundCurve

    Array = NDArray[np.float64]

__all__ = ["check_finite", "coefficient_start"]


def coefficient_start(
    curve: BoundCurve,
    y: Array,
    names: Sequence[str],
    start: Mapping[str, float] | None,
    known: tuple[Any, ...] | None,
) -> Array:
    """Coefficients `names` to start from: the parameters' own, everything that depends on covariates zero.

    Parameters
    ----------
    curve : BoundCurve
    y : ndarray, shape (n,)
    names : sequence of str
    start : mapping of str to float, or None
        Of every parameter.
    known : tuple, or None
        Where there is no `start`: the self-starting curve, its covariates as expressions, and its parameters.

    Raises
    ------
    FitError
        For a start that is not finite, or data in which the curve finds none.
    """
    parameters = curve.expression.parameters
    if start is None:
        assert known is not None
        values = _self_start(curve, y, *known)
    else:
        values = np.array([float(start[name]) for name in parameters])
    if not np.isfinite(values).all():
        wrong = parameters[int(np.argmin(np.isfinite(values)))]
        raise FitError(f"The start of {wrong!r} is not finite.")
    own = dict(zip(parameters, values.tolist(), strict=True))
    return np.array([own.get(name, 0.0) for name in names])


def check_finite(curve: BoundCurve, phi: Array, index: pd.Index) -> None:
    """Refuse parameters (P, n) of the rows at which the curve or its slope is not finite.

    Raises
    ------
    FitError
        Naming the first such row, what the curve has there, and the parameters that it does not stand.
    """
    mean = curve(phi)
    wrong = ~np.isfinite(mean.value) | ~np.isfinite(mean.slope).all(axis=0)
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    names = curve.expression.parameters
    lost = ~np.isfinite(mean.slope[:, row])
    guilty = [name for name, is_lost in zip(names, lost, strict=True) if is_lost] or list(names)
    there = {name: x[row] for name, x in curve.covariates.items()} | dict(zip(names, phi[:, row], strict=True))
    values = ", ".join(f"{name} = {value:.6g}" for name, value in there.items())
    raise FitError(
        f"The curve {curve.expression.text!r} or its slope in {', '.join(guilty)} is not finite at the start in "
        f"{int(wrong.sum())} of {len(wrong)} rows, first in row {index[row]}, where {values}: give start= where it is."
    )


def _self_start(bound: BoundCurve, y: Array, curve: Any, covariates: Sequence[str], _names: Sequence[str]) -> Array:
    """The pooled least-squares curve, from the best place of the curve's own grid."""
    inner = [replace(bound.expression, text=text, parameters=()) for text in covariates]
    values = [np.broadcast_to(c.evaluate(bound.covariates, ()), y.shape).astype(float) for c in inner]
    first = curve_start(curve, values, y)
    if first is None:
        raise FitError(f"{curve.name} finds no start in these data: give start=.")
    n = len(y)

    def residuals(phi: Array) -> Array:
        return bound(np.repeat(phi[:, None], n, axis=1)).value - y

    def slopes(phi: Array) -> Array:
        return bound(np.repeat(phi[:, None], n, axis=1)).slope.T

    try:
        return np.asarray(least_squares(residuals, first, slopes, x_scale="jac").x)
    except ValueError:
        # A step to where the curve is not finite: the grid's place is a start, too.
        return first
