r"""Partially centred effects of a random term.

Effects of level j are written with v_j: with T = D L, D the standard deviations, T0 = D0 L0 at the fit,
and W_j = diag(w_j) the shares that the data leave of their prior standard deviations there,

    b_j = (D D0^{-1})^{W_j} D0 [I - W_j + W_j L L0^{-1}] D0^{-1} v_j.

w = 0 leaves b itself, whose posterior the data hold in place whatever T is; w = 1 leaves T0 T^{-1} b, which is a priori
independent of T (Papaspiliopoulos, Roberts & Skoeld 2007, Statistical Science 22, 59-73).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.coordinates import TermCoordinates

    Array = NDArray[np.float64]

__all__ = ["Centred", "CentredTerm", "freed", "log_density", "log_freedom", "place", "pull_back"]

_LOG_2PI = float(np.log(2.0 * np.pi))
# L, L L0^{-1} and the diagonal of a term of one column.
_ONE = np.ones((1, 1, 1))


@dataclass(frozen=True, eq=False)
class CentredTerm:
    """A term's coordinates, where its effects stand, and what is known at the fit: D0 (k,), L0^{-1} and w (q, k)."""

    coordinates: TermCoordinates
    rows: slice
    at: slice
    levels: int
    deviations: Array
    inverse: Array
    share: Array

    @property
    def is_single(self) -> bool:
        """Whether it has one column."""
        return len(self.deviations) == 1


@dataclass(frozen=True, eq=False)
class Centred:
    """A term at R places: T, T^{-1}, D, L, L L0^{-1}, D0^{-1} v, b, and e = T^{-1} b.

    `stretch` is what the centred effects are multiplied by, (D D0^{-1})^W D0, and `diagonal` the diagonal of
    I - W + W L L0^{-1}.
    """

    template: Array
    inverse: Array
    deviations: Array
    root: Array
    ratio: Array
    v: Array
    b: Array
    e: Array
    stretch: Array
    diagonal: Array


def place(term: CentredTerm, x: Array, values: Array) -> Centred:
    """A term's effects at coordinates (R, m) of all terms, from the centred ones v among values (R, q + p)."""
    t = term.coordinates.templates(x[:, term.at])
    v = values[:, term.rows].reshape(len(x), term.levels, -1) / term.deviations
    if term.is_single:
        return _of_one_column(term, t, v)
    at = _scales(term, t)
    b = at.stretch * ((1.0 - term.share) * v + term.share * (v @ at.ratio.swapaxes(1, 2)))
    return replace(at, v=v, b=b, e=b @ at.inverse.swapaxes(1, 2))


def _of_one_column(term: CentredTerm, t: Array, v: Array) -> Centred:
    """`place` without correlations: b = (D / D0)^W D0 v in a few operations, which chains repeat very often."""
    sd = t[:, :, 0]
    stretch = (t / term.deviations) ** term.share * term.deviations
    b = stretch * v
    return Centred(t, 1.0 / t, sd, _ONE, _ONE, v, b, b / t, stretch, _ONE)


def _scales(term: CentredTerm, t: Array) -> Centred:
    """What templates (R, k, k) make of a term, without any effects."""
    inverse = np.asarray(np.linalg.inv(t), dtype=float)
    sd, w, none = np.linalg.norm(t, axis=2), term.share, np.empty(0)
    root = t / sd[:, :, None]
    ratio = root @ term.inverse
    stretch = np.exp(w * np.log(sd / term.deviations)[:, None]) * term.deviations
    diagonal = (1.0 - w) + w * np.einsum("rii->ri", ratio)[:, None]
    return Centred(t, inverse, sd, root, ratio, none, none, none, stretch, diagonal)


def freed(term: CentredTerm, t: Array, e: Array) -> Centred:
    """The term at other templates (R, k, k) with the same e = T^{-1} b, (R, q, k)."""
    at, k = _scales(term, t), t.shape[1]
    b = e @ t.swapaxes(1, 2)
    centre = (1.0 - term.share)[:, :, None] * np.eye(k) + term.share[:, :, None] * at.ratio[:, None]
    v = np.asarray(np.linalg.solve(centre, (b / at.stretch)[..., None])[..., 0])
    return replace(at, v=v, b=b, e=e)


def log_freedom(at: Centred) -> Array:
    """log |dv / de| (R,), but for what the term alone says."""
    log_t = np.log(np.einsum("rii->ri", at.template)).sum(axis=1)
    return np.asarray(at.b.shape[1] * log_t - np.log(at.diagonal * at.stretch).sum(axis=(1, 2)))


def log_density(term: CentredTerm, at: Centred) -> Array:
    """log p(b | T) and the Jacobian of v, whose columns are in units of D0."""
    _, q, k = at.b.shape
    if term.is_single:
        log_sd = np.log(at.deviations)
        free = (log_sd * (term.share.sum() - q) - term.share.sum() * np.log(term.deviations))[:, 0]
        return np.asarray(free - 0.5 * (np.einsum("rqk,rqk->r", at.e, at.e) + q * _LOG_2PI))
    log_t = np.log(np.einsum("rii->ri", at.template)).sum(axis=1)
    squares = np.einsum("rqk,rqk->r", at.e, at.e)
    jacobian = np.log(at.diagonal * at.stretch / term.deviations).sum(axis=(1, 2))
    return np.asarray(-0.5 * squares - q * log_t - 0.5 * q * k * _LOG_2PI + jacobian)


def pull_back(term: CentredTerm, at: Centred, pull: Array) -> tuple[Array, Array]:
    """Slopes of the log density in T, (R, k, k), and in v, given that of the likelihood in b."""
    if term.is_single:
        in_b = pull - at.e * at.inverse
        by_log_sd = (term.share * (in_b * at.b + 1.0) + at.e**2 - 1.0).sum(axis=1, keepdims=True)
        return by_log_sd * at.inverse, in_b * at.stretch / term.deviations
    w, every = term.share, np.arange(at.template.shape[1])
    in_b = pull - at.e @ at.inverse
    in_centred = in_b * at.stretch
    weighted = w * in_centred
    by_log_sd = np.einsum("qa,rqa->ra", w, in_b * at.b + 1.0)
    by_ratio = weighted.swapaxes(1, 2) @ at.v
    by_ratio[:, every, every] += (w / at.diagonal).sum(axis=1)
    # L is T with rows of length 1: the slope in T has nothing along them but that of log sd.
    by_root = by_ratio @ term.inverse.T
    along = np.einsum("rab,rab->ra", by_root, at.root)
    out = (by_root + (by_log_sd - along)[:, :, None] * at.root) / at.deviations[:, :, None]
    out += at.inverse.swapaxes(1, 2) @ (at.e.swapaxes(1, 2) @ at.e)
    out[:, every, every] -= at.b.shape[1] / at.template[:, every, every]
    in_v = (in_centred - weighted + weighted @ at.ratio) / term.deviations
    return np.asarray(np.tril(out)), in_v
