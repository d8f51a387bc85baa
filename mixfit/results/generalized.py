"""The result of a generalized fit: it only brings arrays, names and functions together."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mixfit.results import ranef
from mixfit.results.likelihood import Likelihood
from mixfit.results.varcorr import VarCorr, build_varcorr

__all__ = ["GeneralizedResults"]


class GeneralizedResults(Likelihood):
    """Estimates of a generalized linear mixed model."""

    model: Any
    estimate: Any

    def varcorr(self) -> VarCorr:
        """Return variances, standard deviations and correlations of the random effects."""
        return build_varcorr(self.model.design.random, self.estimate.templates, 1.0)

    def ranef(self, condsd: bool = False) -> dict[str, pd.DataFrame]:
        """Return the conditional modes of the random effects."""
        random = self.model.design.random
        modes = ranef.effect_frames(random, self.estimate.modes)
        if not condsd:
            return modes
        deviations = ranef.standard_deviations(self.model.conditional_covariance(self.estimate))
        return ranef.with_deviations(modes, ranef.effect_frames(random, deviations))
