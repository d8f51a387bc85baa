"""What a generalized fit hands to the results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from mixfit.brief import brief
from mixfit.lmm.types import Kept

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.glmm.laplace import Laplace
    from mixfit.optimize.certificate import Certificate

__all__ = ["GeneralizedEstimate"]


@dataclass(frozen=True, eq=False)
class GeneralizedEstimate:
    """The estimates of a generalized mixed model.

    Attributes
    ----------
    method : str
        ``"laplace"``, ``"joint"`` (the fast approximation, n_agq = 0), ``"quadrature"`` or ``"pql"``.
    n_agq : int
        Quadrature points a dimension; 1 is the Laplace approximation. Means nothing to PQL.
    criterion : float
        -2 log-likelihood with all its constants; NaN for PQL, which has none.
    templates : tuple of ndarray, shape (k_t, k_t)
        Lower-triangular factors on the scale of the linear predictor: Cov(b of one level) = T_t T_t'.
    theta : ndarray, shape (m,)
        Their free entries, column by column, terms in order of the formula.
    phi : float
        Dispersion; 1 for families without one.
    log_phi_error : float
        Standard error of log phi; NaN for families without one.
    shape, shape_errors : ndarray, shape (s,)
        Coordinates of the family's other parameters, those that are estimated, and their standard errors.
    beta : ndarray, shape (p,)
    cov_beta : ndarray, shape (p, p)
        From the exact Hessian of all parameters; n_agq = 0 and PQL: from the working linear model, theta known.
    cov_beta_conditional : ndarray, shape (p, p)
        The same at fixed theta and phi.
    theta_errors : ndarray, shape (m,)
        Standard errors of theta (delta method); NaN on the boundary.
    modes : tuple of ndarray, shape (q_t, k_t)
        Conditional modes b of every term, a row a level.
    eta : ndarray, shape (n,)
        Linear predictor at the modes, offset included.
    certificate : Certificate
    at : Kept of Laplace
        The Laplace approximation at the estimates, with modes and factor: what follows from the fit reuses it (see
        `mixfit.glmm.conditional.laplace_at`).
    """

    method: str
    n_agq: int
    criterion: float
    templates: tuple[NDArray[np.float64], ...]
    theta: NDArray[np.float64]
    phi: float
    log_phi_error: float
    shape: NDArray[np.float64]
    shape_errors: NDArray[np.float64]
    beta: NDArray[np.float64]
    cov_beta: NDArray[np.float64]
    cov_beta_conditional: NDArray[np.float64]
    theta_errors: NDArray[np.float64]
    modes: tuple[NDArray[np.float64], ...]
    eta: NDArray[np.float64]
    certificate: Certificate
    at: Kept[Laplace] = field(default_factory=Kept, init=False, repr=False)

    reml: ClassVar[bool] = False

    __repr__ = brief

    @property
    def unit(self) -> float:
        """What the templates are relative to: 1."""
        return 1.0
