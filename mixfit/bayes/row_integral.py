r"""A random effect for each row, integrated out of the row's own density.

    L(eta, s) = log int p(y | eta + s u) phi(u) du

by adaptive Gauss-Hermite quadrature about the maximum of h(u) = log p(y | eta + s u) - u^2 / 2, one dimension a row.
Its slopes are averages over the nodes' shares of the integral (Fisher's identity):

    dL / d eta = E[l'],    dL / d log s = E[l' s u].

Such an effect is known by one observation: with hundreds of them among the coordinates, their common variance and the
variances of coarser groups make funnels that trajectories hardly leave; without them few coordinates are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.enough_nodes import fewest_nodes
from mixfit.glmm.nodes import product_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.glmm.nodes import Rule
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = ["RowIntegral", "row_term"]

# Nodes: the first serve deviations up to 1 or 2.
_RUNGS = (11, 18, 30, 50, 82, 135)
# Newton steps toward the maximum, and the step in u after which the nodes' place is good: it need not be exact.
_MOST_STEPS, _NEAR = 20, 0.1
# The longest step of the predictor: a count's mean moves by a factor of e^2.
_LONGEST = 2.0
# Degrees of freedom of the proposal of effects, and steps of the chain: fewer than one in three is refused.
_DF, _CHAIN = 5.0, 8


def row_term(random: Sequence[RandomDesign]) -> int | None:
    """The first term of one column that has a level for each row; none where that is the only term."""
    if len(random) < 2:
        return None
    for t, r in enumerate(random):
        free = r.spread is None and bool(r.structure.free_blocks)
        if r.grouping.n_levels == len(r.Z) and len(r.columns) == 1 and free:
            return t
    return None


class RowIntegral:
    """The density of rows with their effects integrated out.

    Parameters
    ----------
    family : Family
    y, prior : ndarray, shape (n,)
    phi : float or ndarray
    eta : ndarray, shape (n,)
        The predictor at the fit, the row's effect included: near it maxima are known.
    rule : Rule, optional
        Nodes for the standard normal: slopes are those of the value to 1e-4 by the one that is left out, where
        effects have no large deviations, and trajectories do not feel that.
    """

    def __init__(
        self, family: Family, y: Array, prior: Array, phi: float, eta: Array, rule: Rule | None = None
    ) -> None:
        self._family, self._y, self._prior, self._phi, self._eta = family, y, prior, phi, eta
        found = family.terms(y, prior, eta, phi)
        self._score = found.score
        self.weights = np.where(found.observed > 0.0, found.observed, found.expected)
        rule = rule or product_rule(_RUNGS[0], 1)
        self._nodes, self._log_weights = rule.nodes[0][:, None, None], rule.log_weights[:, None, None]

    def with_enough_nodes(self, eta: Array, s: Array) -> RowIntegral | None:
        """The same by the fewest nodes that give the sums over rows at predictors and deviations (R, n); or None."""

        def by(rule: Rule) -> RowIntegral:
            return RowIntegral(self._family, self._y, self._prior, self._phi, self._eta, rule)

        rule = fewest_nodes(_RUNGS, 1, lambda r: by(r).evaluate(eta, s)[0].sum(axis=1))
        return None if rule is None else by(rule)

    def weights_at(self, s: Array) -> Array:
        """Curvature in the rest of the predictor where effects have standard deviations s (n,): w / (1 + s^2 w)."""
        return np.asarray(self.weights / (1.0 + s**2 * self.weights))

    def _height(self, eta: Array, s: Array, u: Array) -> Array:
        value = self._family.log_kernel(self._y, self._prior, eta + s * u, self._phi) - 0.5 * u**2
        return np.where(np.isnan(value), -np.inf, value)

    def _maximum(self, eta: Array, s: Array) -> tuple[Array, Array]:
        """u~ and the root of minus the second derivative of h there, (R, n) each."""
        # That of the quadratic at the fit, to begin with.
        u = s * (self._score - self.weights * (eta - self._eta)) / (1.0 + s**2 * self.weights)
        reach = _LONGEST / s
        bend = np.ones(u.shape)
        for _ in range(_MOST_STEPS):
            found = self._family.terms(self._y, self._prior, eta + s * u, self._phi)
            bend = 1.0 + s**2 * np.where(found.observed > 0.0, found.observed, found.expected)
            step = np.clip((s * found.score - u) / bend, -reach, reach)
            u = u + step
            if not np.abs(step).max(initial=0.0) > _NEAR:
                break
        return u, np.sqrt(bend)

    def evaluate(self, eta: Array, s: Array, *, slopes: bool = False) -> tuple[Array, Array, Array]:
        """L, dL / d eta and dL / d log s, (R, n) each, at predictors (R, n) and standard deviations (R, n)."""
        centre, root = self._maximum(eta, s)
        u = centre + self._nodes / root
        share = self._height(eta, s, u) + self._log_weights
        top = share.max(axis=0)
        weight = np.exp(share - top)
        total = weight.sum(axis=0)
        value = top + np.log(total) - np.log(root)
        if not slopes:
            return value, np.empty((0, 0)), np.empty((0, 0))
        pull = self._family.terms(self._y, self._prior, eta + s * u, self._phi).score * weight / total
        return value, pull.sum(axis=0), s * (pull * u).sum(axis=0)

    def draw(self, eta: Array, s: Array, rng: np.random.Generator) -> Array:
        """Effects s u (R, n) given everything else, by steps of an independence chain from a t proposal."""
        centre, root = self._maximum(eta, s)

        def propose() -> tuple[Array, Array]:
            """Effects, and log h less the log density of the proposal."""
            zeta = rng.standard_t(_DF, eta.shape)
            u = centre + zeta / root
            return u, self._height(eta, s, u) + 0.5 * (_DF + 1.0) * np.log1p(zeta**2 / _DF)

        u, ratio = propose()
        for _ in range(_CHAIN):
            other, other_ratio = propose()
            with np.errstate(invalid="ignore"):
                moved = np.log(rng.random(eta.shape)) < other_ratio - ratio
            u, ratio = np.where(moved, other, u), np.where(moved, other_ratio, ratio)
        return np.asarray(s * u)
