r"""Akaike's criterion of predictions for the same groups, with the estimation of theta in its degrees of freedom.

With rows scaled by the roots of their weights, V = I + Z Sigma Z' (relative to sigma^2) and P = V^{-1} - V^{-1}X
G_XX^{-1} X'V^{-1}, fitted values are y^ = y - Py. Their degrees of freedom are the trace of dy^/dy, in which theta^
moves with y:

    tr(dy^/dy) = tr(I - P) + sum_a (d theta_a / dy)'(d y^ / d theta_a),      d y^ / d theta_a = w_a = P V_a P y,

and since the criterion has its minimum at theta^, of exact second derivatives D along the directions a in which the
covariances are free to move, with q = y'Py and nu = n or n - p,

    d theta / dy = D^{-1} (2 nu / q) [w - (w'y / q) Py]      (V_a = Z Sigma'_a Z', w_a'y = y'P V_a P y)

(Greven & Kneib 2010, Biometrika 97, 773-789, theorem 3; Saefken, Kneib, van Waveren & Greven 2014). A variance that is
estimated as zero stays there, and moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram.products import random_predictor, random_sums
from mixfit.lmm.derivatives import differentiate
from mixfit.lmm.estimate import at_estimates
from mixfit.lmm.hessian import exact_hessian
from mixfit.lmm.working import leverages
from mixfit.matrices.across import refuse_given, refuse_related

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.fitted.protocols import LinearFit
    from mixfit.lmm.problem import Problem
    from mixfit.lmm.working import WorkingModel

    Array = NDArray[np.float64]

__all__ = ["ConditionalAIC", "caic"]


@dataclass(frozen=True, eq=False)
class ConditionalAIC:
    """The conditional Akaike criterion of a fit.

    Attributes
    ----------
    llf : float
        Log density of the response given the random effects at their modes.
    df : float
        Degrees of freedom: those of the fitted values, theta's estimation included, and one for sigma.
    hat_trace : float
        Sum of the leverages, at theta as known: the degrees of freedom of Vaida and Blanchard (2005), which favour
        the larger model where a variance is hardly there.
    """

    llf: float
    df: float
    hat_trace: float

    def __repr__(self) -> str:
        return f"<ConditionalAIC: caic {self.caic:.6g}, llf {self.llf:.6g}, df {self.df:.6g}>"

    @property
    def caic(self) -> float:
        """``-2 llf + 2 df``."""
        return -2.0 * self.llf + 2.0 * self.df


def caic(fit: LinearFit) -> ConditionalAIC:
    """Compute the conditional Akaike criterion, for predictions of the groups that the data have.

    ``fit.aic`` compares models for new groups: its random effects are noise. The conditional criterion is that of the
    density given the random effects, and counts how many parameters these are worth, as cAIC4's ``cAIC``.

    Returns
    -------
    ConditionalAIC
        ``caic``, ``llf``, ``df``.

    Raises
    ------
    FitError
        For generalized models, and those with ``residual=``, ``dispersion=`` or known covariances.

    Notes
    -----
    Degrees of freedom are the derivative that differences of refits have. Those of cAIC4 1.0 are larger by a little,
    31.30 for 31.25 below: by default it halves one part of the derivative of theta.

    References
    ----------
    Greven & Kneib (2010), Biometrika 97, 773-789. Vaida & Blanchard (2005), Biometrika 92, 351-370.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> found = fit.caic()
    >>> round(found.caic, 1), round(found.df, 2), round(found.hat_trace, 2)
    (1711.5, 31.25, 29.02)
    """
    if not is_linear(fit) or is_structured(fit):
        raise FitError("The conditional AIC is for linear models whose residuals are independent, of one variance.")
    design = fit.model.design
    refuse_related(design.random, "the conditional AIC")
    refuse_given(design.random, "the conditional AIC")
    working = fit.model.working_model(fit.estimate)
    at = at_estimates(fit.model.assembly, fit.estimate)
    derivatives = differentiate(at)
    residual, moved = _moved(working, at.problem, derivatives.directions)
    hat = float(leverages(working).sum())
    correction = 0.0
    if len(moved):
        q, nu = float(residual @ _response(working)), at.problem.degrees(reml=fit.reml)
        # y'w_b and (Py)'w_a
        slopes, along = moved @ _response(working), moved @ residual
        products = moved @ moved.T - np.outer(along, slopes) / q
        correction = 2.0 * nu / q * float(np.trace(np.linalg.solve(exact_hessian(at, derivatives), products)))
    squares = working.unit**2 * float(residual @ residual)
    n, variance = len(design.y), fit.scale
    llf = -0.5 * (n * np.log(2.0 * np.pi * variance) + squares / variance)
    if design.weights is not None:
        llf += 0.5 * float(np.log(design.weights).sum())
    return ConditionalAIC(llf=float(llf), df=hat + correction + 1.0, hat_trace=hat)


def _response(working: WorkingModel) -> Array:
    return working.columns[working.p]


def _moved(working: WorkingModel, problem: Problem, directions: Sequence[Direction]) -> tuple[Array, Array]:
    """Py (n,), and w_a = P V_a P y (m, n) for every direction."""
    p = working.p
    gamma = np.linalg.solve(working.schur[:p, :p], working.schur[:p, p])
    residual = working.whitened[p] - gamma @ working.whitened[:p]
    scores = random_sums(working.factors, residual[None])
    rows = np.empty((len(directions), len(residual)))
    for row, direction in zip(rows, directions, strict=True):
        term = problem.terms[direction.term]
        block = np.zeros(scores[term.factor].shape)
        block[term.columns] = np.tensordot(direction.change(), scores[term.factor][term.columns], 1)
        row[:] = random_predictor([working.factors[term.factor]], [block])[0]
    return residual, _projected(working, rows)


def _projected(working: WorkingModel, rows: Array) -> Array:
    """P v for every row v (m, n)."""
    if not len(rows):
        return rows
    p = working.p
    modes = working.factor.backward(*working.factor.half(random_sums(working.factors, rows)))[1]
    d = working.whitened[:p]
    return rows - random_predictor(working.factors, modes) - np.linalg.solve(working.schur[:p, :p], d @ rows.T).T @ d
