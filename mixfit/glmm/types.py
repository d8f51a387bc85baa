"""What a generalized fit hands to the results."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from mixfit.brief import brief
from mixfit.lmm.types import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.optimize.certificate import Certificate

__all__ = ["Center", "FurtherEstimate", "GeneralizedEstimate"]


class CenterMode(Protocol):
    """Conditional modes; see `mixfit.glmm.pirls.Mode`."""

    @property
    def u(self) -> list[NDArray[np.float64]]:
        """Of every factor, (k_i, 1, q_i)."""

    @property
    def eta(self) -> NDArray[np.float64]:
        """Linear predictor of the rows that are at hand."""


class Center(Protocol):
    """The Laplace approximation at one point; see `mixfit.glmm.laplace.Laplace`."""

    @property
    def gamma(self) -> NDArray[np.float64]:
        """Coefficients of the orthonormal fixed columns, (p,)."""

    @property
    def factor(self) -> Factor:
        """Factor of A."""

    @property
    def mode(self) -> CenterMode:
        """The conditional modes."""


@dataclass(frozen=True, eq=False)
class FurtherEstimate:
    """The estimates of a linear predictor after the mean's; attributes as of `GeneralizedEstimate`.

    Attributes
    ----------
    names : tuple of str, length p
    kept : ndarray of intp, shape (p,)
        Columns of its X that are not aliased.
    first : tuple of bool
        Which of its random terms it does not share with an earlier predictor: theta is of these.
    """

    names: tuple[str, ...]
    kept: NDArray[np.intp]
    beta: NDArray[np.float64]
    cov_beta: NDArray[np.float64]
    templates: tuple[NDArray[np.float64], ...]
    theta: NDArray[np.float64]
    modes: tuple[NDArray[np.float64], ...]
    eta: NDArray[np.float64]
    first: tuple[bool, ...]


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
    cov_shape : ndarray, shape (s, s)
        Of the coordinates of the family's other parameters.
    cov_beta_shape : ndarray, shape (p, s)
        Of beta with them; empty of n_agq = 0 and PQL.
    cov_theta : ndarray, shape (m, m)
        Covariance of theta (delta method); zero on the boundary, where it is not known.
    cov_theta_beta : ndarray, shape (m, p)
        Covariances of theta with beta; zero on the boundary, and where `cov_beta` takes theta for known.
    theta_errors : ndarray, shape (m,)
        Standard errors of theta; NaN on the boundary.
    modes : tuple of ndarray, shape (q_t, k_t)
        Conditional modes b of every term, a row a level.
    eta : ndarray, shape (n,)
        Linear predictor at the modes, offset included.
    certificate : Certificate
    further : mapping of str to FurtherEstimate
        Of the predictors after the mean's, whose estimates the other attributes are.
    cov_every_beta : ndarray
        Covariance of the fixed effects of all predictors, where there are several.
    robust : str
        What tables say of a covariance by clusters; empty where it is the model's own.
    at : Kept of Center
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
    cov_theta: NDArray[np.float64]
    cov_theta_beta: NDArray[np.float64]
    theta_errors: NDArray[np.float64]
    modes: tuple[NDArray[np.float64], ...]
    eta: NDArray[np.float64]
    certificate: Certificate
    further: Mapping[str, FurtherEstimate] = field(default_factory=dict)
    cov_shape: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    cov_beta_shape: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    cov_every_beta: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    robust: str = ""
    at: Kept[Center] = field(default_factory=Kept, init=False, repr=False)

    reml: ClassVar[bool] = False

    __repr__ = brief

    @property
    def every_beta(self) -> NDArray[np.float64]:
        """Fixed effects of all predictors."""
        return np.concatenate([self.beta, *(f.beta for f in self.further.values())])

    @property
    def every_template(self) -> tuple[NDArray[np.float64], ...]:
        """Templates of the terms of all predictors, those that several share once."""
        return self.templates + tuple(t for f in self.further.values() for t in compress(f.templates, f.first))

    @property
    def every_mode(self) -> tuple[NDArray[np.float64], ...]:
        """Conditional modes of the terms of all predictors, those that several share once."""
        return self.modes + tuple(b for f in self.further.values() for b in compress(f.modes, f.first))

    @property
    def every_theta(self) -> NDArray[np.float64]:
        """Theta of the terms of all predictors."""
        return np.concatenate([self.theta, *(f.theta for f in self.further.values())])

    @property
    def unit(self) -> float:
        """What the templates are relative to: 1."""
        return 1.0
