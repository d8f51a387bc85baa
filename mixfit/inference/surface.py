r"""-2 log-likelihood as a function of standardized covariances and a tail of other parameters.

A term's factor S is that of its columns brought to unit root mean square, in units of the residual standard
deviation at the optimum (of the linear predictor for generalized models): Cov(b) = unit^2 D^{-1} S S' D^{-1}, D
the columns' root mean squares. The tail holds, for linear models, log(sigma / sigma^) and, where a fixed effect is
held, its distance from the estimate in standard errors (the others are profiled out, exactly); for generalized
models the same distance of every fixed effect, and log(phi / phi^). Everything is free of units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import Structure
    from mixfit.lmm.problem import Term

    Array = NDArray[np.float64]

__all__ = ["FARTHEST_LOG", "Frames", "Slope", "Surface", "Terms", "standardized_terms"]

# A variance ratio that changes log|A| by less than this is no variance: see `_regular`.
_NOTHING = 1e-9
# log sigma and log phi this far from the optimum are out of what double precision can tell.
FARTHEST_LOG = 30.0


@dataclass(frozen=True, eq=False)
class Slope:
    """Value and exact gradient at a point.

    Attributes
    ----------
    value : float
        Infinite where the likelihood cannot be evaluated.
    covariances : tuple of ndarray, shape (k_t, k_t)
        N_t = dd/d(S_t S_t').
    tail : ndarray
    beta : ndarray, shape (p,)
        Fixed effects there, in the user's columns and units.
    """

    value: float
    covariances: tuple[Array, ...]
    tail: Array
    beta: Array


@dataclass(frozen=True, eq=False)
class Terms:
    """The random terms of a surface.

    Attributes
    ----------
    structures : tuple of {"us", "diag"}
    bases : tuple of ndarray, shape (k_t, k_t)
        The factor in the problem's basis is ``base @ S``.
    deviations : tuple of ndarray, shape (k_t,)
        Standard deviation of a column's effect in the user's units where its row of S has length 1.
    spacing : tuple of float
        Of each term, a small share of what S can be known to: 1 / sqrt(rows a level) where S is near zero.
    levels : tuple of int
    """

    structures: tuple[Structure, ...]
    bases: tuple[Array, ...]
    deviations: tuple[Array, ...]
    spacing: tuple[float, ...]
    levels: tuple[int, ...]


def standardized_terms(
    terms: Sequence[Term], term_bases: Sequence[Array], n_levels: Sequence[int], n: int, unit: float
) -> Terms:
    """The terms of a problem with `n` rows, S in units of `unit`."""
    lengths = [np.linalg.norm(basis, axis=0) for basis in term_bases]
    levels = tuple(n_levels[t.factor] for t in terms)
    return Terms(
        structures=tuple(t.structure for t in terms),
        bases=tuple(basis / size for basis, size in zip(term_bases, lengths, strict=True)),
        deviations=tuple(unit / size for size in lengths),
        spacing=tuple(float(np.sqrt(q / n)) for q in levels),
        levels=levels,
    )


class Surface(Protocol):
    """-2 log-likelihood with its gradient. The center is its minimum, where the tail is zero."""

    @property
    def terms(self) -> Terms:
        """The random terms."""

    @property
    def center(self) -> tuple[Array, ...]:
        """S S' of every term at the minimum."""

    @property
    def tail_errors(self) -> Array:
        """Rough standard errors of the tail: its natural unit."""

    @property
    def tail_unit(self) -> float:
        """sigma, or phi, at the minimum."""

    @property
    def beta(self) -> Array:
        """Fixed effects at the minimum, in the user's columns and units."""

    @property
    def errors(self) -> Array:
        """Their standard errors, the unit of their tail."""

    def evaluate(self, factors: Sequence[Array], tail: Array) -> Slope:
        """Evaluate at S of every term and a tail."""

    def holding(self, effect: int) -> tuple[Surface, int]:
        """The surface with a fixed effect in its tail, and its position there."""

    def restarted(self, factors: Sequence[Array], tail: Array) -> Surface:
        """The surface around the minimum that is reached from a point."""


def _regular(moved: Array, n: int) -> tuple[Array, Array | None]:
    """The factor in the problem's basis and its inverse, or one with columns of zeros and None.

    A factor whose smallest singular value t has t^2 n below 1e-9 changes log|A| by less than that without it.
    """
    least = _NOTHING / n
    if len(moved) == 1:
        singular = moved[0, 0] ** 2 < least
        return (np.zeros((1, 1)), None) if singular else (moved, 1.0 / moved)
    u, s, vt = np.linalg.svd(moved)
    if s[-1] ** 2 >= least:
        return moved, (vt.T / s) @ u.T
    s[s**2 < least] = 0.0
    return u * s, None


def _regular_diagonal(moved: Array, n: int) -> tuple[Array, Array | None]:
    entries = moved.diagonal()
    regular = entries**2 >= _NOTHING / n
    if regular.all():
        return moved, np.diag(1.0 / entries)
    return np.diag(np.where(regular, entries, 0.0)), None


class Frames:
    """Factors in the problem's bases, and the way back for the slopes."""

    def __init__(self, terms: Terms, factors: Sequence[Array], ratio: float, n: int) -> None:
        self._terms, self._ratio = terms, ratio
        pairs = [
            _regular_diagonal(base @ s / ratio, n) if structure == "diag" else _regular(base @ s / ratio, n)
            for base, s, structure in zip(terms.bases, factors, terms.structures, strict=True)
        ]
        self.templates = tuple(t for t, _ in pairs)
        self._inverses = [inverse for _, inverse in pairs]

    def slopes(self, relative: Sequence[Array], absolute: dict[int, Array]) -> tuple[Array, ...]:
        """N of S S' from T'N T, or N, of the templates."""
        out = []
        for x, (base, inverse) in enumerate(zip(self._terms.bases, self._inverses, strict=True)):
            own = absolute[x] if inverse is None else inverse.T @ relative[x] @ inverse
            out.append(base.T @ own @ base / self._ratio**2)
        return tuple(out)
