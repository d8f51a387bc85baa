"""What a user holds after a fit: estimates, random effects, predictions, simulations, summaries."""

from __future__ import annotations

from mixfit.results.generalized import GeneralizedResults
from mixfit.results.linear import LinearResults
from mixfit.results.summary import Summary
from mixfit.results.varcorr import VarCorr

__all__ = ["GeneralizedResults", "LinearResults", "Summary", "VarCorr"]
