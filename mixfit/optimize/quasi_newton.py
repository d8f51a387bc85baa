"""Curvature matrices that steps may rely on: quasi-Newton updates, and the positive version of an indefinite one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["bfgs", "positive", "symmetric_rank_one"]

# Eigenvalues, of unit diagonal, below which a direction is no minimum's; and what stands in for them at least.
_FLAT = 1e-8
_STAND_IN = 1e-3
# Share of the old curvature along a step that the new one keeps at least (procedure 18.2).
_DAMPING = 0.2
# Cosine of step and rest below which the rank-one update is left out (equation 6.26).
_NO_UPDATE = 1e-8


def bfgs(curvature: Array, step: Array, change: Array) -> Array:
    """Damped BFGS update (Nocedal & Wright 2006, procedure 18.2) for the change of the gradient over a step."""
    through = curvature @ step
    length = float(step @ through)
    if length <= 0.0:
        return curvature
    agreement = float(step @ change)
    if agreement < _DAMPING * length:
        weight = (1.0 - _DAMPING) * length / (length - agreement)
        change = weight * change + (1.0 - weight) * through
        agreement = float(step @ change)
    return curvature - through[:, None] * (through / length) + change[:, None] * (change / agreement)


def symmetric_rank_one(curvature: Array, step: Array, change: Array) -> Array:
    """Symmetric rank-one update (Nocedal & Wright 2006, equation 6.24), which may be indefinite as the Hessian is."""
    rest = change - curvature @ step
    along = float(rest @ step)
    if not abs(along) > _NO_UPDATE * float(np.linalg.norm(step) * np.linalg.norm(rest)):
        return curvature
    updated: Array = curvature + np.outer(rest, rest) / along
    return updated


def positive(hessian: Array) -> Array:
    """The matrix itself where it is positive definite; else its negative directions bent up."""
    scale = np.sqrt(np.maximum(np.abs(hessian.diagonal()), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(hessian / scale / scale[:, None])
    if values.min(initial=1.0) >= _FLAT:
        return hessian
    bent: Array = (vectors * np.maximum(np.abs(values), _STAND_IN)) @ vectors.T * np.outer(scale, scale)
    return bent
