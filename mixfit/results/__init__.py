"""What a user holds after a fit: estimates, random effects, predictions, simulations, summaries."""

from mixfit.report.summary import Summary
from mixfit.report.varcorr import VarCorr
from mixfit.results.generalized import GeneralizedResults
from mixfit.results.linear import LinearResults

__all__ = ["GeneralizedResults", "LinearResults", "Summary", "VarCorr"]
