"""Fit a linear mixed model with one grouping factor to many responses, in the user's columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.batch.fixed import fixed_errors
from mixfit.lmm.batch.minimize import minimize
from mixfit.lmm.batch.moments import distinct_levels, moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.batch.fixed import FixedErrors
    from mixfit.lmm.batch.minimize import Optima
    from mixfit.lmm.batch.moments import Responses, SharedMoments

    Array = NDArray[np.float64]

__all__ = ["EXACT", "Batch", "BatchEstimates"]

# The residual sum of squares is then rounding of what the fixed effects left.
EXACT = 1e-13
# Products of the design that are formed once, and numbers that the iterations hold for each replicate: beyond these
# the single fitter is as fast (10,000 distinct levels of two columns: 10 ms a fit, 26 ms here).
_LARGEST_DESIGN = 20_000_000
_LARGEST_REPLICATE = 150_000
# 32 MB an array.
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class BatchEstimates:
    """Estimates of R responses: those of `mixfit.lmm.types.LinearEstimate` with a first axis of replicates.

    Attributes
    ----------
    criterion : ndarray, shape (R,)
    thetas : tuple of ndarray, shape (R, m_t)
    templates : tuple of ndarray, shape (R, k_t, k_t)
    sigma : ndarray, shape (R,)
    beta : ndarray, shape (R, p)
    cov_beta : ndarray, shape (R, p, p)
    failures : tuple of str, length R
        Why a response has no estimates; empty where it has.
    """

    criterion: Array
    thetas: tuple[Array, ...]
    templates: tuple[Array, ...]
    sigma: Array
    beta: Array
    cov_beta: Array
    failures: tuple[str, ...]


class Batch:
    """The responses of one design, to be fitted together.

    Parameters
    ----------
    assembly : Assembly
        Of a model with one grouping factor.
    offset : ndarray, shape (n,), or None
        Known part of every response.
    levels : SharedMoments

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("bright ~ 1 + (1|operator)", mixfit.datasets.load("pulp")).fit()
    >>> batch = Batch.of(fit.model._assembly, fit.model.design.offset)
    >>> many = batch.fit(fit.simulate(100, seed=1).to_numpy(), reml=True)
    >>> many.sigma.shape, many.beta.shape
    ((100,), (100, 1))
    """

    def __init__(self, assembly: Assembly, offset: Array | None, levels: SharedMoments) -> None:
        self._assembly = assembly
        self._offset = offset
        self._levels = levels

    @staticmethod
    def of(assembly: Assembly, offset: Array | None) -> Batch | None:
        """The batch of a design; None for several factors, other structures, or where fits one by one are as fast."""
        gram, p = assembly.problem.gram, assembly.problem.p
        free = all(term.structure.free_blocks for term in assembly.problem.terms)
        free = free and not gram.relationships
        if not free or gram.n_factors > 1 or gram.n_levels[0] * (gram.k[0] * (p + 1)) ** 2 > _LARGEST_DESIGN:
            return None
        batch = Batch(assembly, offset, distinct_levels(assembly.problem))
        return batch if batch._replicate <= _LARGEST_REPLICATE else None

    @property
    def _replicate(self) -> int:
        """About how many numbers the iterations hold for one response."""
        return self._levels.k**2 * len(self._levels.count) * (self._assembly.problem.p + 10)

    @property
    def block(self) -> int:
        """How many responses keep within a modest memory."""
        return max(1, _CELLS_AT_ONCE // (self._assembly.problem.gram.n + self._replicate))

    @property
    def errors_block(self) -> int:
        """How many responses keep within it where fixed effects have their errors too."""
        k, p = self._levels.k, self._assembly.problem.p
        more = (2 * k * k + k) * p * p + k**4 * len(self._levels.count)
        return max(1, _CELLS_AT_ONCE // (self._assembly.problem.gram.n + self._replicate + more))

    def fit(self, y: Array, *, reml: bool) -> BatchEstimates:
        """Fit to responses y, (n, R)."""
        responses, optima = self._optima(y, reml=reml)
        return self._estimates(responses, optima)

    def fit_with_errors(self, y: Array, *, reml: bool) -> tuple[BatchEstimates, FixedErrors]:
        """Fit to responses y, (n, R), and say how well the fixed effects of each are known."""
        responses, optima = self._optima(y, reml=reml)
        found = self._estimates(responses, optima)
        fixed = self._assembly.fixed
        return found, fixed_errors(fixed, responses.moments, optima, found.sigma, reml=reml)

    def _optima(self, y: Array, *, reml: bool) -> tuple[Responses, Optima]:
        known = y if self._offset is None else y - self._offset[:, None]
        responses = moments(self._assembly, self._levels, known)
        return responses, minimize(responses.moments, responses.start, reml=reml)

    def _estimates(self, responses: Responses, optima: Optima) -> BatchEstimates:
        scale, at = responses.scale, optima.profiles
        fixed, terms = self._assembly.fixed, self._assembly.problem.terms
        thetas = self._thetas(optima)
        sigma = np.sqrt(at.scale) * scale
        return BatchEstimates(
            criterion=at.value,
            thetas=thetas,
            templates=tuple(t.structure.template(theta) for t, theta in zip(terms, thetas, strict=True)),
            sigma=sigma,
            beta=fixed.coefficients(responses.gamma + scale * at.beta).T,
            cov_beta=self._fixed_covariances(at.fixed_root, sigma),
            failures=tuple(self._failures(responses.perfect, optima)),
        )

    def _fixed_covariances(self, fixed_root: Array, sigma: Array) -> Array:
        """sigma^2 R^{-1} G_XX^{-1} R'^{-1} of every response."""
        p, _, r = fixed_root.shape
        # G_XX^{-1} = L'^{-1} L^{-1}: the columns of L'^{-1} of all responses side by side.
        roots = fixed_root.transpose(1, 2, 0).reshape(p, r * p)
        half = self._assembly.fixed.coefficients(roots).reshape(p, r, p)
        return np.asarray(np.einsum("arc,brc,r->rab", half, half, sigma**2))

    def _thetas(self, optima: Optima) -> tuple[Array, ...]:
        every = np.moveaxis(optima.frame.templates, 2, 0)
        return tuple(
            term.structure.theta_of(every[:, term.columns, term.columns], basis)
            for term, basis in zip(self._assembly.problem.terms, self._assembly.term_bases, strict=True)
        )

    def _failures(self, perfect: NDArray[np.bool_], optima: Optima) -> list[str]:
        reasons = np.full(len(perfect), "", dtype=object)
        reasons[~optima.converged] = "the optimality conditions do not hold where the steps ended"
        reasons[optima.profiles.residual < EXACT] = "the random effects explain the response exactly"
        reasons[perfect] = "the fixed effects explain the response perfectly"
        return [str(reason) for reason in reasons]
