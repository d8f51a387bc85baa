r"""Traces of R^{-1} and of log R by random vectors, the same ones at every theta.

With V a few orthonormal columns near the leading eigenvectors of E = I - R, z of independent signs and W the columns of
V and of (I - VV')z / sqrt(s), E(WW') = I: for any matrix function f, f(R) is estimated without bias by the symmetric
part of W (f(R)W)', exactly on the range of V (Hutchinson 1990; Meyer, Musco, Musco & Woodruff 2021, "Hutch++"). What is
known of f(R) beforehand, I + E of its inverse, is taken out of the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.conjugate_gradients import conjugate_gradients

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.scaled_operator import ScaledOperator

    Array = NDArray[np.float64]

__all__ = ["Probes", "mean_error", "probes"]

# Any number: the same random vectors each time, so that the criterion is a smooth function.
_SEED = 20_260_101
# Columns of V: crossings at random have one large eigenvalue for every constant that two factors share.
_LEADING = 8
# Multiplications by E that turn them: what V misses only adds to the errors, which are counted.
_TURNS = 3
# Beside the sampling error, a thousandth of what is estimated, nothing.
_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Probes:
    """W and what R^{-1} makes of it.

    Attributes
    ----------
    w : ndarray, shape (m, r + s)
    first, second : ndarray, shape (m, r + s)
        (R^{-1} - I) W and (R^{-1} - I - E) W.
    log_forms : ndarray, shape (r + s,)
        w'(log R + E)w.
    leading : int
        r, the columns of V, which come first.
    """

    w: Array
    first: Array
    second: Array
    log_forms: Array
    leading: int

    def samples(self, values: Array) -> Array:
        """Of values (r + s, ...), one a column of W, those of each z for itself, all with the mean of their sum."""
        s = len(values) - self.leading
        return np.asarray(values[: self.leading].sum(axis=0) + s * values[self.leading :])


def mean_error(samples: Array) -> float:
    """Standard error of the mean of samples (s,)."""
    return float(samples.std(ddof=1) / np.sqrt(len(samples)))


def probes(operator: ScaledOperator, n: int) -> Probes:
    """Draw `n` vectors of signs, the same at every theta, and solve for them."""
    rng = np.random.default_rng(_SEED)
    m = operator.columns.m
    leading = min(_LEADING, m)
    v = rng.standard_normal((m, leading))
    for _ in range(_TURNS):
        v = np.ascontiguousarray(np.linalg.qr(v - operator.apply(v))[0])
    z = rng.integers(0, 2, (m, n)) * 2.0 - 1.0
    z -= v @ (v.T @ z)
    w = np.concatenate([v, z / np.sqrt(n)], axis=1)
    found = conjugate_gradients(operator.apply, w, _TOLERANCE)
    e_w = w - found.applied
    first = found.solution - w
    log_forms = found.log_forms + np.einsum("mc,mc->c", w, e_w)
    return Probes(w, first, first - e_w, log_forms, leading)
