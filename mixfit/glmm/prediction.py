r"""Variance of linear predictors at the conditional modes.

The mode moves with beta by db~/dbeta = -Q Z'WX (implicit function theorem, Q = Lambda A^{-1} Lambda' with the
observed curvature W), and Cov(b | y, beta) is Q in the Gaussian approximation at the mode. So the formula of
the linear model holds, with the working weights for weights and sigma = 1; the uncertainty of theta enters
through Cov(beta^) alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.glmm.estimate import laplace_at
from mixfit.lmm.prediction import Basis, Spread, joint_variance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mixfit.glmm.assemble import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate

    Array = NDArray[np.float64]

__all__ = ["predictor_variance"]


def predictor_variance(
    assembly: GeneralizedAssembly,
    estimate: GeneralizedEstimate,
    X: Array,
    Z: Sequence[Array | None],
    codes: Sequence[NDArray[np.intp] | None],
) -> Array:
    """Variance of x'beta + z'b about its true value, rows of X (m, p), Z (m, k_t) and codes (m,)."""
    problem = assembly.problem
    center = laplace_at(assembly, estimate)
    factor = problem.factorize(center.mode.terms.observed, center.templates, problem.fixed)
    forward = factor.half(factor.gram.border)
    basis = Basis(problem.terms, assembly.term_bases, assembly.fixed)
    return joint_variance(factor, forward, basis, Spread(estimate.cov_beta, 1.0), X, Z, codes)
