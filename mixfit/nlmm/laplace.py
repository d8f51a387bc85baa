r"""The Laplace approximation of a nonlinear mixed model and its exact gradient.

    d(beta, theta) = log|A| + n [1 + log(2 pi r^2 / n)] - sum log w_i,    A = Lambda'Z'Z Lambda + I,

at the mode u~ of r^2, with sigma^2 = r^2 / n profiled out: lme4's criterion for ``nlmer``. At a given sigma^2 the
middle term is n log(2 pi sigma^2) + r^2 / sigma^2, and n / r^2 below is 1 / sigma^2. r^2 is stationary in u~; log|A|
moves with the slopes J of the curve, and so with the mode. With H_i the second derivatives of the curve,
M_i = [z_ip'Q z_i]_p (Q = Lambda A^{-1} Lambda'), c_i = H_i M_i and the exact curvature of r^2 / 2 in u,

    K = A - Lambda' [sum_i e_i Z_i'H_i Z_i] Lambda,    K v = Lambda'Z'c,
    w_i = c_i + (e_i H_i - J_i J_i')(Z Lambda v)_i,

the implicit-function theorem gives

    dd/dbeta = -(2 n / r^2) X'e + 2 sum_ip w_ip x_ip
    T'N_t T  = sum_j [I - (A^{-1})_jj] - (n / r^2) sum_j u_j u_j' + sum_j (u_j v_j' + v_j u_j')

in the coordinates of :mod:`mixfit.lmm.derivatives`: half of dd/dT in T E_ij is (T'N T)_ij.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.factor.posterior import full_posterior, inverse_sums, projected_sums, row_leverages
from mixfit.gram import levels as lv
from mixfit.lmm.derivatives import share_of
from mixfit.nlmm.mode import find_mode, pulled, solve_exact
from mixfit.optimize.certificate import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.posterior import FactorPosterior
    from mixfit.nlmm.mode import NonlinearMode
    from mixfit.nlmm.problem import NonlinearParameters, NonlinearProblem

    Array = NDArray[np.float64]

__all__ = ["Approximation", "NonlinearLaplace", "NonlinearPoint", "NonlinearSlopes", "laplace", "laplace_slopes"]

# Of the value: what the mode leaves of it, and rounding.
_RELATIVE_NOISE = 1e-11
# Share of the tolerance that counts as no difference between two values.
_NO_DIFFERENCE = 0.1


@dataclass(frozen=True, eq=False)
class NonlinearPoint:
    """The approximation at one point.

    Attributes
    ----------
    problem : NonlinearProblem
        With the weights there.
    at : NonlinearParameters
    mode : NonlinearMode
    value : float
        -2 log-likelihood.
    scale : float
        sigma^2.
    """

    problem: NonlinearProblem
    at: NonlinearParameters
    mode: NonlinearMode
    value: float
    scale: float

    @property
    def tolerance(self) -> float:
        """A promised decrease below this is none."""
        return max(TOLERANCE, _RELATIVE_NOISE * abs(self.value))

    @property
    def resolution(self) -> float:
        """Differences of the value smaller than this are rounding."""
        return _NO_DIFFERENCE * self.tolerance


@dataclass(frozen=True, eq=False)
class NonlinearSlopes:
    """Exact first derivatives.

    Attributes
    ----------
    relative : tuple of ndarray, shape (k_t, k_t)
        T'N_t T of every term.
    absolute : dict of int to ndarray, shape (k_t, k_t)
        N_t of the terms with a singular template.
    beta : ndarray, shape (p,)
    log_sigma : float
        Zero where sigma is profiled out.
    gamma : ndarray, shape (g,)
    quadratic_share, inverse_share : tuple of ndarray, shape (k_t,)
        As in :class:`mixfit.lmm.derivatives.Derivatives`.
    """

    relative: tuple[Array, ...]
    absolute: dict[int, Array]
    beta: Array
    log_sigma: float
    gamma: Array
    quadratic_share: tuple[Array, ...]
    inverse_share: tuple[Array, ...]


class Approximation(Protocol):
    """How the integral over the random effects is approximated: -2 log-likelihood with its exact gradient."""

    @property
    def problem(self) -> NonlinearProblem:
        """The model."""

    def evaluate(
        self, at: NonlinearParameters, start: Sequence[Array] | None = None, scale: float | None = None
    ) -> NonlinearPoint:
        """The value at a point, the mode looked for from `start`; sigma^2 is profiled out or `scale`."""

    def slopes(self, point: NonlinearPoint, /) -> NonlinearSlopes:
        """Exact gradient."""

    def boundary_slopes(self, point: NonlinearPoint, slopes: NonlinearSlopes, /) -> dict[int, Array]:
        """N_t of the singular terms on their null spaces, by which variances leave zero."""


@dataclass(frozen=True, eq=False)
class NonlinearLaplace:
    """The Laplace approximation of a problem."""

    problem: NonlinearProblem

    def evaluate(
        self, at: NonlinearParameters, start: Sequence[Array] | None = None, scale: float | None = None
    ) -> NonlinearPoint:
        """See `laplace`."""
        return laplace(self.problem, at, start, scale)

    def slopes(self, point: NonlinearPoint) -> NonlinearSlopes:
        """See `laplace_slopes`."""
        return laplace_slopes(point)

    def boundary_slopes(self, point: NonlinearPoint, slopes: NonlinearSlopes) -> dict[int, Array]:
        """Those that the gradient has."""
        return slopes.absolute


def laplace(
    problem: NonlinearProblem,
    at: NonlinearParameters,
    start: Sequence[Array] | None = None,
    scale: float | None = None,
) -> NonlinearPoint:
    """-2 log-likelihood at a point, the mode looked for from `start`; sigma^2 is profiled out or `scale`."""
    problem = problem.at(at.gamma)
    mode = find_mode(problem, at.beta, at.points, start)
    n = problem.n
    scale = mode.squares / n if scale is None else scale
    quadratic = n * np.log(2.0 * np.pi * scale) + mode.squares / scale
    return NonlinearPoint(problem, at, mode, float(mode.factor.logdet + quadratic - problem.log_weights), scale)


def laplace_slopes(point: NonlinearPoint) -> NonlinearSlopes:
    """Exact gradient at a point."""
    problem, mode = point.problem, point.mode
    slope, bend, e = mode.mean.slope, mode.mean.bend, mode.residual
    post = full_posterior(mode.factor)
    c = np.einsum("abn,bn->an", bend, _between(point, post))
    v = solve_exact(problem, mode, pulled(problem, mode, c))
    moved = problem.spread([lv.left_multiply(t, x) for t, x in zip(mode.factor.templates, v, strict=True)])
    w = c + np.einsum("abn,bn->an", bend, moved) * e - slope * np.einsum("an,an->n", slope, moved)
    inverse = inverse_sums(mode.factor, post)
    relative, quadratic_share, inverse_share = [], [], []
    for term, t in zip(problem.terms, mode.templates, strict=True):
        own, i = term.columns, term.factor
        u, x = mode.u[i][own, 0], v[i][own, 0]
        known = problem.pattern.n_levels[i] * np.eye(term.k) - inverse[i][own, own]
        cross = u @ x.T
        quadratic = u @ u.T / point.scale - (cross + cross.T)
        regular = regular_columns(t)
        relative.append((known - quadratic) * (regular[:, None] & regular))
        quadratic_share.append(share_of(quadratic.diagonal(), known.diagonal()))
        inverse_share.append(inverse[i][own, own].diagonal() / problem.pattern.n_levels[i])
    row = 2.0 * w - 2.0 * slope * e / point.scale
    return NonlinearSlopes(
        relative=tuple(relative),
        absolute=_singular_terms(point, post, w),
        beta=np.einsum("pan,an->p", problem.X, row),
        log_sigma=2.0 * (problem.n - mode.squares / point.scale),
        gamma=_spread_slopes(point, post, moved),
        quadratic_share=tuple(quadratic_share),
        inverse_share=tuple(inverse_share),
    )


def _spread_slopes(point: NonlinearPoint, post: FactorPosterior, moved: Array) -> Array:
    """dd/dlog w_i = e_i^2 / sigma^2 - 1 + z_i'Q z_i + 2 e_i J_i'(Z Lambda v)_i, and log w = -2 log_deviations gamma."""
    problem, mode = point.problem, point.mode
    if not problem.log_deviations.shape[1]:
        return np.empty(0)
    slope, e = mode.mean.slope, mode.residual
    leverage = row_leverages(mode.factor, post, problem.rows_at(slope))
    rows = e**2 / point.scale - 1.0 + leverage + 2.0 * e * np.einsum("an,an->n", slope, moved)
    return np.asarray(-2.0 * problem.log_deviations.T @ rows)


def _between(point: NonlinearPoint, post: FactorPosterior) -> Array:
    """z_ip'Q z_i of every parameter, shape (P, n): [|z_ip + z_i|^2 - |z_ip - z_i|^2] / 4 in the metric of Q."""
    problem, mode = point.problem, point.mode
    out = np.zeros(mode.mean.slope.shape)
    for p in problem.loaded:
        plus, minus = mode.mean.slope.copy(), mode.mean.slope.copy()
        plus[p] += 1.0
        minus[p] -= 1.0
        sums = [row_leverages(mode.factor, post, problem.rows_at(s)) for s in (plus, minus)]
        out[p] = 0.25 * (sums[0] - sums[1])
    return out


def _singular_terms(point: NonlinearPoint, post: FactorPosterior, w: Array) -> dict[int, Array]:
    """N_t of every term whose template is singular: s = Z'e and g = Z'w for u = T's and v = T'g."""
    problem, mode = point.problem, point.mode
    singular = [x for x, t in enumerate(mode.templates) if not regular_columns(t).all()]
    if not singular:
        return {}
    s, g = problem.gathered(mode.mean.slope * mode.residual), problem.gathered(w)
    out = {}
    for index in singular:
        term = problem.terms[index]
        own = term.columns
        a, b = s[term.factor][own, 0], g[term.factor][own, 0]
        cross = a @ b.T
        out[index] = projected_sums(mode.factor, post, term.factor)[own, own] - a @ a.T / point.scale + cross + cross.T
    return out
