r"""The weighted linear mixed model that a fit comes down to at its estimates.

For a Gaussian model it is the model itself, rows scaled by the square roots of the prior weights. For a
generalized one it is the linear model of the last scoring step at the conditional modes: response
eta - offset + l'/W and weights W = E[-l''] (the expected curvature, so that no weight is negative), sigma = 1.
With A = Lambda'Z'WZ Lambda + I and Q = Lambda A^{-1} Lambda',

    V^{-1} = I - Z Q Z'   (relative to sigma^2, rows scaled),   d = V^{-1}[X y],   G = [X y]'V^{-1}[X y],

from which leverages and the deletion of rows follow at fixed theta.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.factor.posterior import full_posterior, row_leverages
from mixfit.gram.pattern import FactorRows, row_pattern
from mixfit.gram.products import random_predictor
from mixfit.lmm.border import inner_products
from mixfit.lmm.estimate import at_estimates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.gram.basis import FixedBasis
    from mixfit.gram.pattern import RowPattern
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.types import LinearEstimate

    Array = NDArray[np.float64]

__all__ = ["WorkingModel", "leverages", "linear_working_model"]


@dataclass(frozen=True, eq=False)
class WorkingModel:
    """Scaled rows and the factor of A at the estimates.

    Attributes
    ----------
    factors : tuple of FactorRows
        Rows of every grouping factor, times the square roots of the weights.
    columns : ndarray, shape (p + 1, n)
        [X y] likewise, X in the basis of `fixed`.
    factor : Factor
    fixed : FixedBasis
        Its triangle leads from `columns` back to the user's X.
    unit : float
        What y is in units of.
    sigma : float or None
        Estimated residual standard deviation of a scaled row, in the units of the response; None where the
        weights say all, and it is 1.
    reml : bool
    """

    factors: tuple[FactorRows, ...]
    columns: Array
    factor: Factor
    fixed: FixedBasis
    unit: float
    sigma: float | None
    reml: bool

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.columns) - 1

    @cached_property
    def pattern(self) -> RowPattern:
        """Which levels occur together."""
        return row_pattern(self.factors)

    @cached_property
    def forward(self) -> tuple[dict[int, Array], Array]:
        """L^{-1} Lambda'Z'[X y]."""
        return self.factor.half(self.factor.gram.border)

    @cached_property
    def _modes(self) -> tuple[list[Array], list[Array]]:
        """u = A^{-1} Lambda'Z'[X y], and Lambda u."""
        return self.factor.backward(*self.forward)

    @cached_property
    def schur(self) -> Array:
        """G = d'd + u'u, shape (p + 1, p + 1)."""
        return np.asarray(self.whitened @ self.whitened.T) + inner_products(self._modes[0])

    @cached_property
    def whitened(self) -> Array:
        """V^{-1}[X y], shape (p + 1, n)."""
        if not self.factors:
            return self.columns
        return self.columns - random_predictor(self.factors, self._modes[1])


def linear_working_model(assembly: Assembly, estimate: LinearEstimate) -> WorkingModel:
    """The linear model itself."""
    profile = at_estimates(assembly, estimate)
    columns = np.concatenate([assembly.fixed.rows, assembly.response.row[None]])
    return WorkingModel(
        assembly.rows, columns, profile.factor, assembly.fixed, assembly.response.scale, estimate.sigma, estimate.reml
    )


def leverages(working: WorkingModel) -> Array:
    """Diagonal of the hat matrix of the fitted values, random effects included, at fixed theta.

    h_i = z_i'Q z_i + d_i'G_XX^{-1} d_i, d = V^{-1}X: the two parts of lme4's ``hatvalues``, from Q on the pattern
    of Z'Z alone.

    Parameters
    ----------
    working : WorkingModel

    Returns
    -------
    ndarray, shape (n,)
    """
    factor, p = working.factor, working.p
    h = row_leverages(factor, full_posterior(factor), working.pattern)
    if p:
        root = np.linalg.cholesky(working.schur[:p, :p])
        half = np.linalg.solve(root, working.whitened[:p])
        h += np.einsum("pn,pn->n", half, half)
    return h
