"""A linear mixed model as the criterion sees it: cross-products, a plan, and where each term sits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief
from mixfit.covariance.term import factor_templates
from mixfit.lmm.explained import is_explained, rounding
from mixfit.lmm.one_factor import one_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.gram.products import Gram
    from mixfit.lmm.one_factor import OneFactor

    Array = NDArray[np.float64]

__all__ = ["Problem"]


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fixed while theta varies.

    Attributes
    ----------
    gram : Gram
        In the bases of :mod:`mixfit.gram.basis`; the last border column is y's unit residual.
    plan : SymbolicPlan
    terms : tuple of Term
    p : int
        Fixed effects.
    log_weights : float
        sum log w_i, less log|R| of a residual structure.
    log_x : float
        log|X'WX|, which the REML criterion of the orthonormalized X lacks.
    log_scale : float
        log of the length of y's least-squares residual, which the criteria of the unit residual lack.
    lengths : tuple of float
        R[0, 0] of each term, Z = Z_basis R.
    length : float
        Of y, in units of that of its least-squares residual.
    """

    gram: Gram
    plan: SymbolicPlan
    terms: tuple[Term, ...]
    p: int
    log_weights: float
    log_x: float
    log_scale: float
    lengths: tuple[float, ...] = ()
    length: float = 1.0

    __repr__ = brief

    @cached_property
    def rounding(self) -> float:
        """r^2 below which it is rounding of the response."""
        return rounding(self.length) ** 2 * float(self.gram.corner[-1, -1])

    @cached_property
    def is_explained(self) -> bool:
        """Whether random and fixed effects explain the response exactly: known of rows that are at hand."""
        return self.gram.rows is not None and is_explained(self.gram.rows, self.length)

    @cached_property
    def seen(self) -> tuple[NDArray[np.bool_], ...]:
        """Which columns of each term are not zero in every row: dependent columns span fewer than they are."""
        rows = [np.asarray(d.any(axis=(1, 2))) for d in self.gram.diagonal]
        return tuple(rows[t.factor][t.columns] for t in self.terms)

    @cached_property
    def has_given(self) -> bool:
        """Whether a term's covariance is known itself, and sigma with its theta."""
        return any(t.structure.is_given for t in self.terms)

    @cached_property
    def squares(self) -> tuple[Array, ...]:
        """Mean z'z of a level, by column of each term."""
        means = [np.einsum("aaq->a", d) / d.shape[2] for d in self.gram.diagonal]
        return tuple(means[t.factor][t.columns] for t in self.terms)

    @cached_property
    def one_factor(self) -> OneFactor | None:
        """The sums that the criterion is made of, where there is one grouping factor and little of it."""
        return one_factor(self.gram, self.plan, self.terms)

    def degrees(self, *, reml: bool) -> int:
        """n for maximum likelihood, n - p for REML."""
        return self.gram.n - self.p if reml else self.gram.n

    def factor_templates(self, templates: Sequence[Array]) -> tuple[Array, ...]:
        """Block-diagonal templates of the grouping factors from those of the terms."""
        return factor_templates(self.terms, self.gram.k, templates)
