"""What a linear fit hands to the results: estimates as arrays, by random term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.optimize.certificate import Certificate

__all__ = ["LinearEstimate"]


@dataclass(frozen=True, eq=False)
class LinearEstimate:
    """The estimates of a Gaussian mixed model.

    Attributes
    ----------
    reml : bool
    criterion : float
        The minimum of the profiled deviance, or of the REML criterion: -2 log-likelihood with
        all its constants (Bates et al. 2015, eqs. 34, 42).
    templates : tuple of ndarray, shape (k_t, k_t)
        Lower-triangular relative factors: Cov(b of one level of term t) = sigma**2 T_t T_t'.
    theta : ndarray, shape (m,)
        Their free entries, column by column, terms in order of the formula.
    sigma : float
        Residual standard deviation (of an observation of weight 1).
    beta : ndarray, shape (p,)
        Fixed effects of the columns that are not aliased.
    cov_beta : ndarray, shape (p, p)
        Covariance of beta, sigma**2 (X'V^-1X)^-1.
    modes : tuple of ndarray, shape (q_t, k_t)
        Conditional modes b of every term, a row a level.
    certificate : Certificate
    """

    reml: bool
    criterion: float
    templates: tuple[NDArray[np.float64], ...]
    theta: NDArray[np.float64]
    sigma: float
    beta: NDArray[np.float64]
    cov_beta: NDArray[np.float64]
    modes: tuple[NDArray[np.float64], ...]
    certificate: Certificate

    @property
    def unit(self) -> float:
        """What the templates are relative to: sigma."""
        return self.sigma
