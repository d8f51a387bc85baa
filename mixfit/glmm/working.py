r"""The working linear model at a Laplace approximation: a cheap curvature to step by.

2 X'V^{-1}X for beta, the average information w_a'P w_b for theta (w_a = Z Sigma'_a Z'l'), and nothing between them.
Parameters psi of a family that act on predictors as fixed effects do (thresholds) join beta: with their conditional
curvatures C_eta,psi and C_psi,psi they are columns W^{-1} C_eta,psi of X, but for the corner that C_psi,psi replaces.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dpotrf

from mixfit.gram.levels import column_products
from mixfit.gram.products import random_sums, weighted_border
from mixfit.lmm.criterion import whiten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.directions import Direction
    from mixfit.covariance.term import Term
    from mixfit.factor.factor import Factor
    from mixfit.glmm.laplace import Laplace

    Array = NDArray[np.float64]

__all__ = [
    "UNDETERMINED",
    "edge_curvature",
    "edge_of",
    "expected_factor",
    "information_of",
    "spectral_inverse",
    "working_covariance",
    "working_information",
]

# A likelihood that rises for ever with phi is followed in steps of this many log units.
_LONGEST_LOG_PHI = 3.0
# Share of the largest curvature below which a combination of coefficients is not determined.
UNDETERMINED = 1e-14


def working_information(at: Laplace, directions: Sequence[Direction]) -> Array:
    """Block-diagonal curvature of (directions, gamma, tail) in the working linear model."""
    problem = at.problem
    coupling = problem.coupling(at.mode.eta, at.phi)
    weights, columns = at.mode.terms.expected, problem.fixed
    if coupling is not None:
        weights, columns = coupling.weight, np.concatenate([columns, coupling.cross / coupling.weight])
    factor = _weighted_factor(at, weights)
    border, corner = weighted_border(problem.pattern, columns, weights)
    factor = replace(factor, gram=replace(factor.gram, border=border))
    if coupling is not None:
        corner[problem.p :, problem.p :] = coupling.tail
    scores = random_sums(problem.pattern.factors, at.mode.terms.score[None]) if directions else []
    m, p = len(directions), len(columns)
    out = np.zeros((m + problem.p + problem.family.n_tail,) * 2)
    out[: m + p, : m + p] = information_of(factor, corner, scores, problem.terms, directions)
    if coupling is None:
        out[m + p :, m + p :] = _tail_information(at)
    return out


def _weighted_factor(at: Laplace, weights: Array) -> Factor:
    """Factor of A with these weights: that of the approximation itself where they are its own."""
    return at.factor if weights is at.mode.terms.weight else at.problem.factorize(weights, at.templates)


def expected_factor(at: Laplace) -> Factor:
    """Factor of A with the expected curvature as weights."""
    return _weighted_factor(at, at.mode.terms.expected)


def information_of(
    factor: Factor, corner: Array, scores: Sequence[Array], terms: Sequence[Term], directions: Sequence[Direction]
) -> Array:
    """The same of (directions, border), from the factor with expected weights and its border, and Z'l' (k_i, 1, q_i).

    `corner` is that of the border's own cross-products.
    """
    gram = factor.gram
    border = factor.half(gram.border)
    fixed = corner - factor.inner(border, border)
    m, p = len(directions), len(corner)
    out = np.zeros((m + p, m + p))
    out[m:, m:] = 2.0 * fixed
    if not m:
        return out
    loadings = [np.zeros((k, m, q)) for k, q in zip(gram.k, gram.n_levels, strict=True)]
    for a, d in enumerate(directions):
        term = terms[d.term]
        s = scores[term.factor][term.columns, 0]
        loadings[term.factor][term.columns, a] = d.change() @ s
    images = gram.matvec(loadings)
    forward = factor.half(images)
    direct = sum(column_products(c, f) for c, f in zip(loadings, images, strict=True))
    schur = direct - factor.inner(forward, forward)
    if p:
        across = sum(column_products(c, b) for c, b in zip(loadings, gram.border, strict=True))
        root, info = dpotrf(fixed, lower=1, clean=1)
        if info == 0:
            to_x = whiten(root, across - factor.inner(forward, border))
            schur = schur - to_x @ to_x.T
    out[:m, :m] = 0.5 * (schur + schur.T)
    return out


def _tail_information(at: Laplace) -> Array:
    """Information of log phi and the shapes: n / 2 for a factor of the variance, else products of their scores.

    Where the likelihood rises for ever like -1 / phi, its slope is its curvature too, and bounds the step.
    """
    problem = at.problem
    if problem.family.is_scaled and problem.family.n_tail == 1:
        return np.full((1, 1), len(problem.y) / 2.0)
    terms = problem.tail_terms(at.mode.eta, at.phi)
    scores = np.array([d.loglik for d in terms]).reshape(len(terms), len(problem.y))
    out = 2.0 * scores @ scores.T
    slopes = 2.0 * np.abs(scores.sum(axis=1)) / _LONGEST_LOG_PHI
    out[np.diag_indices(len(out))] = np.maximum(out.diagonal(), slopes)
    return out


def working_covariance(at: Laplace) -> Array:
    """(Q'V^{-1}Q)^{-1} of the working linear model with expected weights: Cov(gamma~) at known theta and phi."""
    p = at.problem.p
    information = working_information(at, [])[:p, :p]
    return 2.0 * spectral_inverse(information, UNDETERMINED)


def spectral_inverse(matrix: Array, share: float) -> Array:
    """Inverse of a symmetric matrix; zero along eigenvectors whose eigenvalue is below that share of the largest."""
    values, vectors = np.linalg.eigh(matrix)
    sizes = np.abs(values)
    known = sizes > share * sizes.max(initial=0.0)
    return np.asarray((vectors * np.divide(1.0, values, out=np.zeros_like(values), where=known)) @ vectors.T)


def edge_curvature(at: Laplace, index: int, change: Array) -> tuple[float, float]:
    """w'V^{-1}w along a change of a term's covariance on its boundary, and the quadratic part of the slope."""
    problem = at.problem
    scores = random_sums(problem.pattern.factors, at.mode.terms.score[None])
    return edge_of(expected_factor(at), scores, problem.terms[index], change)


def edge_of(factor: Factor, scores: Sequence[Array], term: Term, change: Array) -> tuple[float, float]:
    """The same from the factor with expected weights, and Z'l' (k_i, 1, q_i)."""
    s = scores[term.factor][term.columns, 0]
    gram = factor.gram
    loadings = [np.zeros((k, 1, q)) for k, q in zip(gram.k, gram.n_levels, strict=True)]
    loadings[term.factor][term.columns, 0] = change @ s
    images = gram.matvec(loadings)
    forward = factor.half(images)
    direct = sum(float(np.vdot(c, f)) for c, f in zip(loadings, images, strict=True))
    return direct - float(factor.inner(forward, forward)[0, 0]), float(np.vdot(change @ s, s))
