r"""The Laplace approximation of rows that are not in memory, by passes over them.

All that it asks of the rows at given beta and u are sums over them: the log-likelihood, Z'l' and X'l', and the
cross-products [Z X]'W[Z X]. A step of Newton's towards the conditional modes takes one pass; once they are found the
gradient takes another, for the leverages h_i = z_i'Q z_i and c = h dW / d eta:

    dd/dbeta = X'(-2 l' + c) - X'W_o Z Lambda v,    v = A_o^{-1} Lambda'Z'c

and what else it is made of (see :mod:`mixfit.glmm.laplace`). From one place to the next the modes go, to first order in
what changed, where the cross-products say, and one or two passes settle them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.directions import regular_columns
from mixfit.covariance.steps import relative_factors
from mixfit.errors import FitError
from mixfit.factor.factor import factorize
from mixfit.factor.plan import refill
from mixfit.factor.posterior import full_posterior, inverse_sums, row_leverages
from mixfit.glmm.laplace import absolute_slopes, term_slopes
from mixfit.glmm.objective import LikelihoodPoint, Objective
from mixfit.glmm.pirls import NEAR, is_settled, newton_step
from mixfit.glmm.problem import LikelihoodSlopes
from mixfit.glmm.working import edge_of, information_of
from mixfit.gram import levels as lv
from mixfit.gram.products import Gram, Pairs, random_predictor, random_sums, weighted_products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.factor.factor import Factor
    from mixfit.glmm.problem import GeneralizedParameters, GeneralizedProblem
    from mixfit.glmm.row_blocks import Outline, RowBlocks

    Array = NDArray[np.float64]

__all__ = [
    "PassLaplace",
    "PassObjective",
    "PassPoint",
    "RowSums",
    "block_predictor",
    "laplace_by_passes",
    "sums_of_pass",
]

# The modes have settled where a Newton step promises less than this: log|A| is known to the root of it.
_DECREMENT = 1e-16
_MAX_STEPS = 40
_MAX_HALVINGS = 20


@dataclass(frozen=True, eq=False)
class RowSums:
    """What one pass over the rows finds at a predictor.

    Attributes
    ----------
    loglik : float
    score : list of ndarray, shape (k_i, 1, q_i)
        Z'l'.
    fixed_score : ndarray, shape (p,)
        X'l'.
    observed, weight, expected : Gram
        [Z X]'W[Z X] with the observed curvature for W, with what defines the approximation, and with the expected
        curvature: the same object where these are the same.
    square, information : float
        Means over rows of eta^2 and of the expected curvature.
    """

    loglik: float
    score: list[Array]
    fixed_score: Array
    observed: Gram
    weight: Gram
    expected: Gram
    square: float
    information: float


class _GramSum:
    """Cross-products on the same pairs of levels, added up."""

    def __init__(self) -> None:
        self.total: Gram | None = None

    def add(self, gram: Gram) -> None:
        if self.total is None:
            self.total = gram
            return
        total = self.total
        for own, other in zip(total.diagonal, gram.diagonal, strict=True):
            own += other
        for own, other in zip(total.border, gram.border, strict=True):
            own += other
        pairs = {key: Pairs(p.row, p.col, p.values + gram.pairs[key].values) for key, p in total.pairs.items()}
        self.total = Gram(total.diagonal, pairs, total.border, total.corner + gram.corner, total.n + gram.n)


def sums_of_pass(rows: RowBlocks, gamma: Array, templates: Sequence[Array], u: Sequence[Array]) -> RowSums:
    """One pass at the coefficients gamma (p,) and u, with the `templates` of the factors.

    Raises
    ------
    FitError
        Where the log density of a row is not concave.
    """
    b = [lv.left_multiply(t, x) for t, x in zip(templates, u, strict=True)]
    score = [np.zeros_like(x) for x in b]
    fixed_score = np.zeros(len(gamma))
    loglik, square, information = rows.log_constant, 0.0, 0.0
    sums: dict[str, _GramSum] = {name: _GramSum() for name in ("observed", "weight", "expected")}
    same: dict[str, str] = {}
    for block in rows:
        eta = block_predictor(block, gamma, b)
        terms = block.row_terms(eta, 1.0)
        # A row that is fitted with certainty tells nothing: its curvature underflows.
        if (terms.observed < 0.0).any():
            raise FitError(
                f"The {block.family!r} log-likelihood is not concave in some rows, and the modes of random effects by "
                "passes over rows that are not in memory are found by Newton's steps alone: choose another link, or "
                "read the data into a frame."
            )
        loglik += float(block.row_loglik(eta, 1.0).sum())
        for own, part in zip(score, random_sums(block.pattern.factors, terms.score[None]), strict=True):
            own += part
        fixed_score += block.fixed @ terms.score
        square += float(eta @ eta)
        information += float(terms.expected.sum())
        done: dict[int, str] = {}
        for name, total in sums.items():
            weights = getattr(terms, name)
            same[name] = done.setdefault(id(weights), name)
            if same[name] == name:
                total.add(weighted_products(block.pattern, block.fixed, weights))
    grams = {name: sums[same[name]].total for name in sums}
    observed, weight, expected = grams["observed"], grams["weight"], grams["expected"]
    assert observed is not None
    assert weight is not None
    assert expected is not None
    n = rows.outline.n
    return RowSums(loglik, score, fixed_score, observed, weight, expected, square / n, information / n)


def block_predictor(block: GeneralizedProblem, gamma: Array, b: Sequence[Array]) -> Array:
    """The linear predictor of the rows of a block, of coefficients gamma (p,) and effects b (k_i, 1, q_i)."""
    return block.offset + gamma @ block.fixed + random_predictor(block.pattern.factors, b)[0]


@dataclass(frozen=True, eq=False)
class PassMode:
    """The conditional modes, and what the last pass found there.

    Attributes
    ----------
    u : list of ndarray, shape (k_i, 1, q_i)
    sums : RowSums
    observed : Factor
        Of A with the observed curvature; its border is X.
    objective : float
        -2 l + |u|^2.
    eta : ndarray, shape (0,)
        Of no rows.
    """

    u: list[Array]
    sums: RowSums
    observed: Factor
    objective: float

    @property
    def eta(self) -> Array:
        """Of no rows."""
        return np.empty(0)


@dataclass(frozen=True, eq=False)
class PassLaplace:
    """The Laplace approximation at one (beta, theta); attributes as of `mixfit.glmm.laplace.Laplace`."""

    problem: Outline
    gamma: Array
    templates: tuple[Array, ...]
    mode: PassMode
    factor: Factor
    value: float

    @cached_property
    def regular(self) -> tuple[NDArray[np.bool_], ...]:
        """Which columns of each template carry variance."""
        return tuple(regular_columns(t) for t in self.templates)

    @cached_property
    def expected(self) -> Factor:
        """Of A with the expected curvature."""
        sums = self.mode.sums
        if sums.expected is sums.observed:
            return self.mode.observed
        return _factor(self.problem, sums.expected, self.templates)


@dataclass(frozen=True, eq=False)
class PassPoint(LikelihoodPoint):
    """The likelihood at one point, by passes; `center` is a `PassLaplace`."""

    center: PassLaplace  # type: ignore[assignment]


def laplace_by_passes(
    rows: RowBlocks, gamma: Array, templates: Sequence[Array], near: PassLaplace | None = None
) -> PassLaplace:
    """The Laplace approximation at the relative factors `templates`, the modes' search beginning at those of `near`.

    Raises
    ------
    FitError
        Where the modes do not settle.
    """
    problem = rows.outline
    own = problem.factor_templates(templates)
    if near is None:
        u = [np.zeros((k, 1, q)) for k, q in zip(problem.k, problem.n_levels, strict=True)]
    else:
        u = _predicted(near, gamma, own)
    mode = _find_mode(rows, gamma, templates, own, u)
    factor = mode.observed
    if mode.sums.weight is not mode.sums.observed:
        factor = _factor(problem, mode.sums.weight, templates)
    return PassLaplace(problem, gamma, tuple(templates), mode, factor, mode.objective + factor.logdet)


def _factor(problem: Outline, gram: Gram, templates: Sequence[Array]) -> Factor:
    return factorize(gram, refill(problem.plan, gram), problem.factor_templates(templates))


def _predicted(near: PassLaplace, gamma: Array, templates: Sequence[Array]) -> list[Array]:
    """Where the modes go, to first order in what changed."""
    mode, gram = near.mode, near.mode.sums.observed
    b = [lv.left_multiply(t - old, x) for t, old, x in zip(templates, near.factor.templates, mode.u, strict=True)]
    shift = gram.matvec(b)
    for own, border in zip(shift, gram.border, strict=True):
        own += np.einsum("krq,r->kq", border, gamma - near.gamma)[:, None]
    score = [s - d for s, d in zip(mode.sums.score, shift, strict=True)]
    delta, promise = newton_step(mode.observed, _gradient(templates, score, mode.u))
    return [x + d for x, d in zip(mode.u, delta, strict=True)] if promise <= NEAR else mode.u


def _gradient(templates: Sequence[Array], score: Sequence[Array], u: Sequence[Array]) -> list[Array]:
    """Lambda'Z'l' - u, of every factor."""
    return [lv.left_multiply(t.T, s) - x for t, s, x in zip(templates, score, u, strict=True)]


def _find_mode(
    rows: RowBlocks, gamma: Array, templates: Sequence[Array], own: Sequence[Array], u: list[Array]
) -> PassMode:
    """Newton's steps from u, each halved until the objective falls."""
    step, length, last, before = [np.zeros_like(x) for x in u], 1.0, np.inf, np.inf
    for _ in range(_MAX_STEPS):
        place = [x + length * d for x, d in zip(u, step, strict=True)]
        sums = sums_of_pass(rows, gamma, own, place)
        objective = -2.0 * sums.loglik + sum(float(np.vdot(x, x)) for x in place)
        # Close to the modes the objective's own rounding is larger than what a step changes.
        if not objective <= last + 1e-13 * abs(last) and not before < NEAR:
            length *= 0.5
            if length < 0.5**_MAX_HALVINGS:
                break
            continue
        factor = _factor(rows.outline, sums.observed, templates)
        delta, decrement = newton_step(factor, _gradient(own, sums.score, place))
        if decrement >= 0.0 and is_settled(decrement, before, _DECREMENT):
            return PassMode(place, sums, factor, objective)
        u, step, length, last, before = place, delta, 1.0, objective, decrement
    raise FitError(
        "The conditional modes did not settle: the random effects run away. "
        "Look for groups whose responses are all at one end, or for a fixed effect that separates the response."
    )


class PassObjective(Objective[PassPoint]):
    """The Laplace approximation of rows that are not in memory.

    Parameters
    ----------
    rows : RowBlocks
    """

    def __init__(self, rows: RowBlocks) -> None:
        super().__init__(rows.outline)
        self._rows = rows
        self._last: PassLaplace | None = None

    def evaluate(self, at: GeneralizedParameters) -> PassPoint:
        """-2 log-likelihood by the Laplace approximation."""
        templates = relative_factors(self.problem.terms, at.points)
        center = laplace_by_passes(self._rows, at.gamma, templates, self._last)
        self._last = self._last or center
        return PassPoint(at, center, center.value)

    def settle(self, point: PassPoint) -> None:
        """Let the modes of the points to come be looked for from this one's."""
        self._last = point.center

    def slopes(self, point: PassPoint) -> LikelihoodSlopes:
        """Exact gradient, in one more pass."""
        center, problem = point.center, self.problem
        mode, sums, factor = center.mode, center.mode.sums, center.factor
        post = full_posterior(factor)
        b = [lv.left_multiply(t, x) for t, x in zip(factor.templates, mode.u, strict=True)]
        bent = [np.zeros_like(x) for x in b]
        fixed = np.zeros(problem.p)
        for block in self._rows:
            terms = block.row_terms(block_predictor(block, center.gamma, b), 1.0)
            c = terms.slopes(row_leverages(factor, post, block.pattern))
            for own, part in zip(bent, random_sums(block.pattern.factors, c[None]), strict=True):
                own += part
            fixed += block.fixed @ c
        v = mode.observed.solve([lv.left_multiply(t.T, x) for t, x in zip(factor.templates, bent, strict=True)])
        moved = [lv.left_multiply(t, x) for t, x in zip(factor.templates, v, strict=True)]
        for border, own in zip(sums.observed.border, moved, strict=True):
            fixed -= np.einsum("krq,kq->r", border, own[:, 0])
        bent = [x - d for x, d in zip(bent, sums.observed.matvec(moved), strict=True)]
        relative, quadratic_share, inverse_share = term_slopes(
            problem, inverse_sums(factor, post), center.regular, mode.u, v
        )
        singular = [t for t, regular in enumerate(center.regular) if not regular.all()]
        return LikelihoodSlopes(
            relative=relative,
            absolute=absolute_slopes(
                problem, factor, post, singular, [s[:, 0] for s in sums.score], [x[:, 0] for x in bent]
            ),
            gamma=fixed - 2.0 * sums.fixed_score,
            tail=np.empty(0),
            quadratic_share=quadratic_share,
            inverse_share=inverse_share,
        )

    def information(self, point: PassPoint, directions: Sequence[Direction]) -> Array:
        """Cheap curvature of (directions, gamma): that of the working linear model."""
        factor = point.center.expected
        corner = factor.gram.corner
        return information_of(factor, corner, point.center.mode.sums.score, self.problem.terms, directions)

    def edge_curvature(self, point: PassPoint, term: int, change: Array) -> tuple[float, float]:
        """Curvature along a change of a term's covariance on its boundary: see `mixfit.glmm.working`."""
        center = point.center
        return edge_of(center.expected, center.mode.sums.score, self.problem.terms[term], change)

    def predictor_square(self, point: PassPoint) -> float:
        """Mean square of the working response."""
        sums = point.center.mode.sums
        return sums.square + 1.0 / max(sums.information, np.finfo(float).tiny)
