"""The relative covariance factor and the spherical random effects of a fit."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.templates import expand
from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["Spherical"]


class Spherical(MixedResults):
    """The part of a result that holds b = Lambda u (Bates, Maechler, Bolker & Walker 2015, eq. 3)."""

    @cached_property
    def Lambda(self) -> csr_array:
        """Relative covariance factor at the estimates, shape (q, q), as lme4's ``getME(fit, "Lambda")``.

        Block diagonal; its rows and columns are the columns of the model's ``exog_re``.
        """
        return expand(self.estimate.templates, [r.grouping.n_levels for r in self._random])

    @cached_property
    def u(self) -> NDArray[np.float64]:
        """Conditional modes of the spherical random effects, shape (q,), as lme4's ``getME(fit, "u")``.

        The random effects are ``Lambda @ u``, in the order of the columns of the model's ``exog_re``; where a
        covariance is singular, u has nothing in the directions that it leaves out.
        """
        # u = Lambda'Z'(score of the predictor) is in the range of T': of all solutions of b = Tu the shortest.
        pairs = zip(self.estimate.templates, self.estimate.modes, strict=True)
        return np.concatenate([(b @ np.linalg.pinv(t).T).ravel() for t, b in pairs])
