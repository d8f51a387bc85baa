r"""The conditional mode of the spherical random effects: penalized nonlinear least squares.

u~ minimizes r^2(u) = sum_i w_i [y_i - f_i(phi_i)]^2 + |u|^2 at given beta and theta. Each step is that of Gauss and
Newton, A du = Lambda'Z'e - u with A = Lambda'Z'Z Lambda + I of the linear model beside the point (Bates & Watts
1988, Nonlinear Regression Analysis, section 2.2), halved until r^2 falls; near the mode it is Newton's, K du with

    K = A - Lambda' [sum_i e_i Z_i'H_i Z_i] Lambda,

H_i the second derivatives of the curve. With beta free too, its columns X = df/dbeta stand beside Z without a penalty.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.covariance.steps import relative_factors
from mixfit.curves.hyperdual import HyperDual
from mixfit.errors import FitError
from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import Factor
    from mixfit.nlmm.problem import NonlinearProblem

    Array = NDArray[np.float64]

__all__ = ["NonlinearMode", "find_mode", "joint_mode", "pulled", "solve_exact"]

# The mode has settled where a step promises this share of r^2: log|A| is not stationary in it, and then known to 1e-10.
_SETTLED = 1e-20
# The joint mode enters by the mode itself: it is known to 1e-8 of its distance from the data where it ends here.
_SETTLED_JOINT = 1e-16
# Share of r^2 below which a promise is of its quadratic part, where Newton's steps square what is left.
_NEAR = 1e-3
# Below this share a promise that no longer falls is rounding.
_LAST_DIGITS = 1e-11
# Gauss-Newton converges linearly where residuals are large: a factor of a half a step ends within this.
_MAX_STEPS = 100
# 2^-30 of a step is 1e-9 of it: a direction that is still not lower is none.
_MAX_HALVINGS = 30
# Conjugate gradients end where the residual of K v is this share of its right-hand side.
_SOLVED = 1e-12
# They need as many steps as K has eigenvalues apart from A's; more do not end at all.
_MAX_SOLVES = 200


@dataclass(frozen=True, eq=False)
class NonlinearMode:
    """A mode and the linear model beside it; rows are times the square roots of their weights.

    Attributes
    ----------
    beta : ndarray, shape (p,)
    templates : tuple of ndarray, shape (k_t, k_t)
    u, b : list of ndarray, shape (k_i, 1, q_i)
        Lambda u = b.
    mean : HyperDual
        Without second derivatives at a joint mode.
    residual : ndarray, shape (n,)
    factor : Factor
        Of A; the border of its cross-products are the columns X.
    squares : float
        r^2.
    n_steps : int
    """

    beta: Array
    templates: tuple[Array, ...]
    u: list[Array]
    b: list[Array]
    mean: HyperDual
    residual: Array
    factor: Factor
    squares: float
    n_steps: int


class _Beside(Protocol):
    """A point with the linear model beside it."""

    @property
    def mean(self) -> HyperDual: ...

    @property
    def residual(self) -> Array: ...

    @property
    def factor(self) -> Factor: ...


@dataclass(frozen=True, eq=False)
class _State:
    beta: Array
    u: list[Array]
    b: list[Array]
    phi: Array
    mean: HyperDual
    residual: Array
    squares: float


def find_mode(
    problem: NonlinearProblem, beta: Array, points: Sequence[Array], start: Sequence[Array] | None = None
) -> NonlinearMode:
    """The mode of u at fixed effects `beta`, from the better of `start` and zero.

    Raises
    ------
    FitError
        Where the curve is not finite there, or the modes do not settle.
    """
    return _search(problem, beta, points, start, joint=False)


def joint_mode(
    problem: NonlinearProblem, beta: Array, points: Sequence[Array], start: Sequence[Array] | None = None
) -> NonlinearMode:
    """The mode of beta and u together."""
    return _search(problem, beta, points, start, joint=True)


def _search(
    problem: NonlinearProblem, beta: Array, points: Sequence[Array], start: Sequence[Array] | None, *, joint: bool
) -> NonlinearMode:
    templates = relative_factors(problem.terms, points)
    blocks = problem.factor_templates(templates)
    state = _first(problem, blocks, beta, start)
    if not np.isfinite(state.squares):
        raise FitError(
            "The curve or its slope is not finite at fixed effects from which conditional modes were looked for: give "
            "start= nearer to the data."
        )
    promise = np.inf
    settled = _SETTLED_JOINT if joint else _SETTLED
    for step in range(_MAX_STEPS):
        is_near = not joint and promise <= _NEAR * state.squares
        if is_near:
            state = _bent(problem, state)
        border = np.einsum("pan,an->pn", problem.X, state.mean.slope)
        factor = problem.factorize(state.mean.slope, templates, border)
        mode = NonlinearMode(
            state.beta, templates, state.u, state.b, state.mean, state.residual, factor, state.squares, step
        )
        gradient = [
            z - u for z, u in zip(pulled(problem, mode, state.mean.slope * state.residual), state.u, strict=True)
        ]
        along = border @ state.residual if joint else np.zeros(problem.p)
        last = promise
        if joint:
            d_beta, d_u = _joint_step(factor, along, gradient)
        else:
            d_beta, d_u = along, _step(problem, mode, gradient, near=is_near)
        promise = sum(float(np.vdot(g, d)) for g, d in zip(gradient, d_u, strict=True)) + float(along @ d_beta)
        if promise <= settled * state.squares or 0.5 * last < promise <= _LAST_DIGITS * state.squares:
            return mode if joint else replace(mode, mean=_bent(problem, state).mean)
        found = _lower(problem, blocks, state, d_beta, d_u, promise)
        if found is None:
            break
        state = found
    raise FitError(
        "The conditional modes of the random effects did not settle: the curve cannot be fitted to every group at "
        "these parameters. Give start= nearer to the data, or fewer random effects."
    )


def pulled(problem: NonlinearProblem, at: _Beside, w: Array) -> list[Array]:
    """Lambda' sum_ip z_ip w_ip, for w of shape (P, n)."""
    return [lv.left_multiply(t.T, z) for t, z in zip(at.factor.templates, problem.gathered(w), strict=True)]


def solve_exact(problem: NonlinearProblem, at: _Beside, right: Sequence[Array]) -> list[Array]:
    """K^{-1} of a right-hand side by conjugate gradients, A the preconditioner.

    They end early, with what they have, in a direction in which K is not positive definite: none is near a mode.
    """
    factor, weight = at.factor, at.mean.bend * at.residual
    rest = list(right)
    v = [np.zeros_like(x) for x in rest]
    z = factor.solve(rest)
    d, rho = z, _dot(rest, z)
    first = rho
    # A d is kept beside d, since A itself is known only by its factor.
    product = rest
    for _ in range(_MAX_SOLVES):
        if not rho > _SOLVED**2 * first:
            break
        moved = problem.spread([lv.left_multiply(t, x) for t, x in zip(factor.templates, d, strict=True)])
        bent = pulled(problem, at, np.einsum("abn,bn->an", weight, moved))
        q = [x - y for x, y in zip(product, bent, strict=True)]
        curvature = _dot(d, q)
        if not curvature > 0.0:
            break
        length = rho / curvature
        v = [x + length * y for x, y in zip(v, d, strict=True)]
        rest = [x - length * y for x, y in zip(rest, q, strict=True)]
        z = factor.solve(rest)
        last, rho = rho, _dot(rest, z)
        d = [x + rho / last * y for x, y in zip(z, d, strict=True)]
        product = [x + rho / last * y for x, y in zip(rest, product, strict=True)]
    return v


def _dot(a: Sequence[Array], b: Sequence[Array]) -> float:
    return sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True))


def _step(problem: NonlinearProblem, at: _Beside, gradient: Sequence[Array], *, near: bool) -> list[Array]:
    """Gauss and Newton's step, or Newton's own where that leads down."""
    if near:
        exact = solve_exact(problem, at, gradient)
        if _dot(exact, gradient) > 0.0:
            return exact
    return at.factor.solve(gradient)


def _joint_step(factor: Factor, along: Array, gradient: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Gauss and Newton's step in beta and u."""
    if not len(along):
        return along, factor.solve(gradient)
    p = len(along)
    border = [lv.left_multiply(t.T, x) for t, x in zip(factor.templates, factor.gram.border, strict=True)]
    both = factor.solve([np.concatenate(pair, axis=1) for pair in zip(border, gradient, strict=True)])
    products = np.sum([lv.column_products(x, u) for x, u in zip(border, both, strict=True)], axis=0)
    schur = factor.gram.corner - products[:, :p]
    d_beta = np.linalg.lstsq(schur, along - products[:, p], rcond=None)[0]
    return d_beta, [u[:, p:] - np.einsum("kpq,p->kq", u[:, :p], d_beta)[:, None] for u in both]


def _at(problem: NonlinearProblem, blocks: Sequence[Array], beta: Array, u: list[Array]) -> _State:
    b = [lv.left_multiply(t, x) for t, x in zip(blocks, u, strict=True)]
    phi = problem.parameters(beta, b)
    with np.errstate(all="ignore"):
        raw = problem.mean(phi, 1)
        root = problem.root
        mean = HyperDual(raw.value * root, raw.slope * root, raw.bend)
        residual = problem.y * root - mean.value
        squares = float(residual @ residual) + sum(float(np.vdot(x, x)) for x in u)
    finite = np.isfinite(squares) and np.isfinite(mean.slope).all()
    return _State(beta, u, b, phi, mean, residual, squares if finite else np.inf)


def _bent(problem: NonlinearProblem, state: _State) -> _State:
    """The state with the second derivatives of the curve."""
    if state.mean.bend.size:
        return state
    with np.errstate(all="ignore"):
        raw = problem.mean(state.phi)
    root = problem.root
    return replace(state, mean=HyperDual(raw.value * root, raw.slope * root, raw.bend * root))


def _first(problem: NonlinearProblem, blocks: Sequence[Array], beta: Array, start: Sequence[Array] | None) -> _State:
    """The better of a start and no effects."""
    nothing = problem.no_effects()
    if start is None:
        return _at(problem, blocks, beta, nothing)
    given = _at(problem, blocks, beta, list(start))
    with np.errstate(all="ignore"):
        e = problem.root * (problem.y - problem.mean.values(np.einsum("p,pan->an", beta, problem.X)))
        squares = float(e @ e)
    return _at(problem, blocks, beta, nothing) if squares < given.squares else given


def _lower(
    problem: NonlinearProblem,
    blocks: Sequence[Array],
    state: _State,
    d_beta: Array,
    d_u: Sequence[Array],
    promise: float,
) -> _State | None:
    """The first halving of a step that does not raise r^2, but for its rounding."""
    bound = state.squares * (1.0 + _LAST_DIGITS) if promise <= _LAST_DIGITS * state.squares else state.squares
    length = 1.0
    for _ in range(_MAX_HALVINGS):
        u = [x + length * d for x, d in zip(state.u, d_u, strict=True)]
        trial = _at(problem, blocks, state.beta + length * d_beta, u)
        if trial.squares <= bound:
            return trial
        length *= 0.5
    return None
