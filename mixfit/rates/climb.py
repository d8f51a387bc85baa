"""Newton's method uphill in coefficients and log precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.optimize.certificate import TOLERANCE
from mixfit.optimize.steps import newton_step
from mixfit.rates.likelihood import Point, evaluate, rounding

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.rates.likelihood import UnitTerms

    Array = NDArray[np.float64]

__all__ = ["Maximum", "UnboundedError", "climb"]

_MAX_STEPS = 200
_MAX_HALVINGS = 40
# Longest step of log s and of any unit's linear predictor.
_LONGEST = 2.0
# Well below TOLERANCE: one more step costs little where Newton converges quadratically.
_FINISHED = 1e-13


class UnboundedError(FitError):
    """The precision has gone to infinity."""


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where a likelihood has its maximum.

    Attributes
    ----------
    coefficients : ndarray, shape (p,)
    s : float
    point : Point
        Value and derivatives there.
    decrease : float
        What a further Newton step promises to take from -2 log L.
    """

    coefficients: Array
    s: float
    point: Point
    decrease: float


def climb(
    terms: Callable[[Array, Array, Array, float, Array], UnitTerms],
    y: Array,
    n: Array,
    X: Array,
    offset: Array,
    link: Link,
    coefficients: Array,
    s: float,
    *,
    known_precision: bool = False,
    limit: float = np.inf,
    times: Array | float = 1.0,
) -> Maximum:
    """Maximize a likelihood by damped Newton steps in (coefficients, log s).

    Parameters
    ----------
    terms : callable
        `marginal_terms` or `joint_terms`.
    y, n, X, offset, link
        As in `evaluate`.
    coefficients : ndarray, shape (p,)
    s : float
        Where to start.
    known_precision : bool
        Whether s is held.
    limit : float
        Precision that counts as infinite.
    times : ndarray, shape (N,), or float
        How often each unit counts.

    Returns
    -------
    Maximum

    Raises
    ------
    FitError
        Where the likelihood is not finite at the start, or no step raises it although one should.
    UnboundedError
        Where `s` passes `limit`.
    """
    free = X.shape[1] + (not known_precision)
    noise = rounding(n, times)
    here, last = evaluate(terms, y, n, X, offset, link, coefficients, s, times), np.inf
    if not np.isfinite(here.value):
        raise FitError(f"The likelihood is not finite at a precision of {s:.3g}, where its maximum is looked for.")
    for _ in range(_MAX_STEPS):
        step = np.zeros(len(here.gradient))
        step[:free], promised = newton_step(-here.hessian[:free, :free], -here.gradient[:free])
        decrease = 2.0 * promised
        arrived = decrease < max(TOLERANCE, noise)
        if decrease < _FINISHED or (arrived and decrease > 0.5 * last):
            return Maximum(coefficients, s, here, decrease)
        step *= min(1.0, _LONGEST / max(np.abs(X @ step[:-1]).max(initial=0.0), abs(step[-1])))
        for _ in range(_MAX_HALVINGS):
            new = coefficients + step[:-1], s * float(np.exp(step[-1]))
            there = evaluate(terms, y, n, X, offset, link, *new, times)
            if there.value > here.value - noise:
                break
            step *= 0.5
        else:
            break
        (coefficients, s), here, last = new, there, decrease
        if s > limit:
            raise UnboundedError(f"The likelihood still grows at a precision of {s:.3g}.")
    raise FitError(f"No maximum of the likelihood was found; the search ended at a precision of {s:.3g}.")
