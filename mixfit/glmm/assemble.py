"""From a design and a family to a generalized problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.plan import make_plan
from mixfit.glmm.problem import GeneralizedProblem
from mixfit.gram.basis import fixed_basis
from mixfit.gram.pattern import row_pattern
from mixfit.gram.products import weighted_products
from mixfit.gram.residual import ResidualStage
from mixfit.lmm.assemble import random_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.design.types import Design
    from mixfit.families.base import Family
    from mixfit.gram.basis import FixedBasis

    Array = NDArray[np.float64]

__all__ = ["GeneralizedAssembly", "assemble_generalized"]


@dataclass(frozen=True, eq=False)
class GeneralizedAssembly:
    """A problem with the bases that lead back to the user's columns.

    Attributes
    ----------
    problem : GeneralizedProblem
    fixed : FixedBasis
    term_bases : tuple of ndarray, shape (k_t, k_t)
        R_t with Z = Z_basis R_t.
    """

    problem: GeneralizedProblem
    fixed: FixedBasis
    term_bases: tuple[Array, ...]


def assemble_generalized(design: Design, family: Family) -> GeneralizedAssembly:
    """Bases, patterns and plan of a design; `design.weights` are the prior weights (binomial: trials)."""
    n = len(design.y)
    prior = np.ones(n) if design.weights is None else design.weights
    offset = np.zeros(n) if design.offset is None else design.offset
    fixed = fixed_basis(np.ascontiguousarray(design.X.T))
    rows, terms, bases = random_rows(design.random, ResidualStage())
    pattern = row_pattern(rows)
    plan = make_plan(weighted_products(pattern, np.empty((0, n)), np.ones(n)))
    problem = GeneralizedProblem(family, design.y, prior, offset, fixed.rows, pattern, plan, terms)
    return GeneralizedAssembly(problem, fixed, bases)
