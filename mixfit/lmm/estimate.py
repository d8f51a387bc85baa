"""Fit a linear mixed model's problem and carry the estimates back to the user's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.steps import split_theta
from mixfit.covariance.templates import change_basis
from mixfit.factor.posterior import conditional_covariances, posterior
from mixfit.lmm.criterion import evaluate
from mixfit.lmm.derivatives import modes
from mixfit.lmm.explained import ExplainedError, explained
from mixfit.lmm.second_look import search
from mixfit.lmm.types import LinearEstimate
from mixfit.lmm.undetermined import determined_problem, determined_theta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.criterion import Evaluation
    from mixfit.optimize.certificate import Certificate

    Array = NDArray[np.float64]

__all__ = [
    "at_estimates",
    "conditional_covariance",
    "criterion",
    "estimate",
    "fixed_covariance",
    "packed",
    "points_of",
    "to_basis",
]


def estimate(assembly: Assembly, *, reml: bool, start: Sequence[Array] | Array | None = None) -> LinearEstimate:
    """Minimize the criterion, from the moment estimates or a `start`; see `points_of`.

    Raises
    ------
    FitError
        As `packed`, and where the criterion has no value.
    """
    try:
        return _estimate(assembly, reml=reml, start=start)
    except ExplainedError:
        raise explained(assembly.endog_name) from None


def _estimate(assembly: Assembly, *, reml: bool, start: Sequence[Array] | Array | None) -> LinearEstimate:
    problem = assembly.problem
    given = None if start is None else points_of(assembly, start)
    determined = determined_problem(problem, reml=reml)
    if determined is None:
        optimum = search(problem, reml=reml, start=given)
        return packed(assembly, optimum.profile, optimum.certificate)
    optimum = search(determined.problem, reml=reml, start=None if given is None else determined.inside(given))
    profile = evaluate(problem, determined.back(optimum.profile.points), reml=reml)
    return packed(assembly, profile, optimum.certificate)


def packed(assembly: Assembly, profile: Evaluation, certificate: Certificate) -> LinearEstimate:
    """The estimates at the minimum of the criterion, in the user's columns.

    Raises
    ------
    FitError
        Where the random effects explain the response exactly.
    """
    problem = assembly.problem
    if profile.residual < problem.rounding:
        raise explained(assembly.endog_name)
    thetas = thetas_of(assembly, profile.points)
    if profile.reml:
        profile, thetas = _determined(assembly, profile, thetas)
    scale = assembly.response.scale
    sigma = float(np.sqrt(profile.scale)) * scale
    found = LinearEstimate(
        reml=profile.reml,
        criterion=profile.value,
        templates=tuple(t.structure.template(own) for t, own in zip(problem.terms, thetas, strict=True)),
        theta=np.concatenate([np.empty(0), *thetas]),
        sigma=sigma,
        beta=assembly.fixed.coefficients(assembly.response.gamma + scale * profile.beta),
        cov_beta=_fixed_covariance(assembly, profile, sigma),
        modes=_modes(assembly, profile),
        certificate=certificate,
    )
    found.at.keep(profile)
    return found


def _determined(assembly: Assembly, profile: Evaluation, thetas: list[Array]) -> tuple[Evaluation, list[Array]]:
    """The REML criterion at the same optimum without the variances that it does not depend on."""
    problem = assembly.problem
    found = [
        determined_theta(problem.gram, term, basis, theta)
        for term, basis, theta in zip(problem.terms, assembly.term_bases, thetas, strict=True)
    ]
    if all(theta is None for theta in found):
        return profile, thetas
    points, out = list(profile.points), list(thetas)
    for i, (term, basis, theta) in enumerate(zip(problem.terms, assembly.term_bases, found, strict=True)):
        if theta is not None:
            own = np.eye(term.structure.k)
            points[i], out[i] = term.structure.point_of(term.structure.point_of(theta, own), basis), theta
    return evaluate(problem, points, reml=True), out


def at_estimates(assembly: Assembly, estimate: LinearEstimate) -> Evaluation:
    """The criterion at the estimates of a fit: as the fit left it, evaluated anew after a pickle."""
    return estimate.at.get(
        lambda: evaluate(assembly.problem, to_basis(assembly, estimate.templates), reml=estimate.reml)
    )


def fixed_covariance(assembly: Assembly, templates: Sequence[Array], sigma: float) -> Array:
    """Cov(beta), (p, p), where relative factors of the user's columns and sigma are known."""
    return _fixed_covariance(assembly, evaluate(assembly.problem, to_basis(assembly, templates), reml=True), sigma)


def _fixed_covariance(assembly: Assembly, profile: Evaluation, sigma: float) -> Array:
    """sigma^2 (X'V^{-1}X)^{-1} = sigma^2 R^{-1} G_XX^{-1} R'^{-1}."""
    p = len(profile.fixed_root)
    if not p:
        return np.empty((0, 0))
    half = assembly.fixed.coefficients(profile.fixed_inverse.T)
    return sigma**2 * (half @ half.T)


def _modes(assembly: Assembly, profile: Evaluation) -> tuple[Array, ...]:
    if not assembly.problem.terms:
        return ()
    b = assembly.problem.gram.effects(modes(profile))
    out = []
    for term, basis in zip(assembly.problem.terms, assembly.term_bases, strict=True):
        own = assembly.response.scale * b[term.factor][term.columns, 0]
        out.append(np.ascontiguousarray(np.linalg.solve(basis, own).T))
    return tuple(out)


def thetas_of(assembly: Assembly, points: Sequence[Array]) -> list[Array]:
    """Theta of every term, from points in the problem's bases."""
    return [
        term.structure.theta_of(point, basis)
        for term, point, basis in zip(assembly.problem.terms, points, assembly.term_bases, strict=True)
    ]


def points_of(assembly: Assembly, start: Sequence[Array] | Array) -> list[Array]:
    """Points in the problem's bases, from theta as a whole, or from a theta or template for every term."""
    terms = assembly.problem.terms
    if isinstance(start, np.ndarray) and start.ndim == 1 and start.dtype != object:
        start = split_theta([t.structure for t in terms], start)
    return [
        term.structure.point_of(np.asarray(own, dtype=float), basis)
        for term, own, basis in zip(terms, start, assembly.term_bases, strict=True)
    ]


def to_basis(assembly: Assembly, templates: Sequence[Array]) -> list[Array]:
    """Templates of the user's columns in the problem's bases: R T T' R'."""
    return [
        change_basis(t, np.asarray(np.linalg.inv(basis), dtype=float))
        for t, basis in zip(templates, assembly.term_bases, strict=True)
    ]


def criterion(assembly: Assembly, templates: Sequence[Array], *, reml: bool) -> float:
    """Profiled deviance, or REML criterion, at relative factors of the user's columns."""
    return evaluate(assembly.problem, to_basis(assembly, templates), reml=reml).value


def conditional_covariance(assembly: Assembly, at: Evaluation, sigma: float) -> tuple[Array, ...]:
    """Cov(b_j | y, beta) = sigma^2 Lambda A^{-1} Lambda' of each level of every term: (q_t, k_t, k_t)."""
    blocks = conditional_covariances(at.factor, posterior(at.factor))
    out = []
    for term, basis in zip(assembly.problem.terms, assembly.term_bases, strict=True):
        own = np.moveaxis(blocks[term.factor][term.columns, term.columns], 2, 0)
        back = np.linalg.inv(basis)
        out.append(sigma**2 * (back @ own @ back.T))
    return tuple(out)
