"""The priors of the coefficients, for many draws at once: normal ones as arrays, others one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.bayes.distributions import LOG_2PI, Normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors

    Array = NDArray[np.float64]

__all__ = ["ContrastPriors"]


class ContrastPriors:
    """log p(beta) of independent priors in the contrasts A beta, and its slope.

    Parameters
    ----------
    priors : ResolvedPriors
    """

    def __init__(self, priors: ResolvedPriors) -> None:
        self._contrasts = priors.contrasts
        normal = [(i, p) for i, p in enumerate(priors.fixed) if isinstance(p, Normal)]
        self._normal = np.array([i for i, _ in normal], dtype=np.intp)
        self._mean = np.array([p.mean for _, p in normal])
        self._precision = np.array([p.sd**-2.0 for _, p in normal])
        self._constant = -0.5 * len(normal) * LOG_2PI + 0.5 * float(np.log(self._precision).sum())
        self._others = [(i, p) for i, p in enumerate(priors.fixed) if not isinstance(p, Normal)]

    def evaluate(self, beta: Array) -> tuple[Array, Array]:
        """The density (R,) and its slope in beta (R, p)."""
        contrasts = beta @ self._contrasts.T
        away = contrasts[:, self._normal] - self._mean
        pull = np.zeros(contrasts.shape)
        pull[:, self._normal] = -self._precision * away
        value = 0.5 * np.einsum("rp,rp->r", away, pull[:, self._normal]) + self._constant
        for i, prior in self._others:
            value = value + prior.log_density(contrasts[:, i])
            pull[:, i] = prior.slope(contrasts[:, i])
        return value, pull @ self._contrasts
