"""Dispersion of generalized fits, and the residual standard deviation that some of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.results.protocol import GeneralizedModel

__all__ = ["Dispersion"]


class Dispersion(MixedResults):
    """The part of a generalized result that says how responses scatter around their means.

    Parameters
    ----------
    model : GeneralizedModel
    estimate : GeneralizedEstimate
    """

    model: GeneralizedModel
    estimate: GeneralizedEstimate

    @property
    def _n_scale(self) -> int:
        return int(self.model.family.has_dispersion)

    @property
    def _unit(self) -> float:
        return 1.0

    @property
    def _residual_sd(self) -> float | None:
        return self.sigma if self.model.family.is_scaled else None

    @property
    def dispersion(self) -> float:
        """The family's dispersion phi; 1 where it has none.

        phi is a factor of the variance for Gaussian, Gamma and inverse Gaussian responses, and a
        precision for the others: Var = mu + mu**2 / phi for nbinom2, mu (1 - mu) / (1 + phi) for beta.
        """
        return self.estimate.phi

    @property
    def dispersion_se(self) -> float:
        """Standard error of `dispersion`, by the delta method from that of its logarithm; NaN without one."""
        return self.estimate.phi * self.estimate.log_phi_error

    @property
    def sigma(self) -> float:
        """Square root of `scale`."""
        return float(np.sqrt(self.scale))

    @property
    def scale(self) -> float:
        """The factor phi of the variance (Gaussian, Gamma, inverse Gaussian); 1 for all other families."""
        return self.estimate.phi if self.model.family.is_scaled else 1.0
