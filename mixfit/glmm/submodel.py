"""A generalized problem with fewer fixed effects, on the same rows, patterns and plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.gram.basis import FixedBasis, fixed_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.glmm.assemble import GeneralizedAssembly

    Array = NDArray[np.float64]

__all__ = ["with_fixed"]


def with_fixed(assembly: GeneralizedAssembly, columns: Array) -> GeneralizedAssembly:
    """The model whose fixed effects have the coordinates `columns`, shape (p, c), in the orthonormal basis."""
    basis = fixed_basis(np.ascontiguousarray(columns.T))
    rows = basis.rows @ assembly.fixed.rows
    fixed = FixedBasis(rows, basis.triangle, basis.kept)
    return replace(assembly, fixed=fixed, problem=replace(assembly.problem, fixed=rows))
