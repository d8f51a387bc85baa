"""A generalized mixed model as the fitter sees it: rows, patterns and a plan, fixed while parameters vary."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.term import factor_templates
from mixfit.factor.factor import factorize
from mixfit.factor.plan import refill
from mixfit.gram.products import weighted_products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.factor.factor import Factor
    from mixfit.factor.plan import Plan
    from mixfit.families.base import Family
    from mixfit.gram.pattern import RowPattern

    Array = NDArray[np.float64]

__all__ = ["GeneralizedProblem"]


@dataclass(frozen=True, eq=False)
class GeneralizedProblem:
    """What is fixed while beta, theta and the dispersion vary.

    Attributes
    ----------
    family : Family
    y, prior, offset : ndarray, shape (n,)
    fixed : ndarray, shape (p, n)
        Orthonormal columns of X as rows.
    pattern : RowPattern
    plan : Plan
    terms : tuple of Term
    n_levels, k : tuple of int
        Of each grouping factor.
    """

    family: Family
    y: Array
    prior: Array
    offset: Array
    fixed: Array
    pattern: RowPattern
    plan: Plan
    terms: tuple[Term, ...]

    @cached_property
    def log_constant(self) -> float:
        """What of the log-likelihood depends on no parameter."""
        constant = self.family.log_constant(self.y, self.prior)
        return float(np.broadcast_to(constant, self.y.shape).sum())

    def loglik(self, eta: Array, phi: float) -> float:
        """Conditional log-likelihood of linear predictors (n,), with all constants."""
        return float(self.family.log_kernel(self.y, self.prior, eta, phi).sum()) + self.log_constant

    @cached_property
    def seen(self) -> tuple[NDArray[np.bool_], ...]:
        """Which columns of each term are not zero in every row: dependent columns span fewer than they are."""
        return tuple(
            np.ones(t.k, dtype=bool)
            if (f := self.pattern.factors[t.factor]).columns is None
            else np.asarray(f.columns[t.columns].any(axis=1))
            for t in self.terms
        )

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.fixed)

    @property
    def n_levels(self) -> tuple[int, ...]:
        """Levels of each grouping factor."""
        return self.pattern.n_levels

    @property
    def k(self) -> tuple[int, ...]:
        """Columns of each grouping factor."""
        return self.pattern.k

    def factor_templates(self, templates: Sequence[Array]) -> tuple[Array, ...]:
        """Block-diagonal templates of the grouping factors from those of the terms."""
        return factor_templates(self.terms, self.k, templates)

    def factorize(self, weights: Array, templates: Sequence[Array], columns: Array | None = None) -> Factor:
        """Factor Lambda'Z'WZ Lambda + I; `columns` (r, n) become the border of its cross-products."""
        empty = np.empty((0, len(self.y))) if columns is None else columns
        gram = weighted_products(self.pattern, empty, weights)
        return factorize(gram, refill(self.plan, gram), self.factor_templates(templates))
