"""Plots, as methods of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from mixfit.plots.accessor import Plots
    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults

__all__ = ["PlotMethods"]


class PlotMethods(MixedResults):
    """The part of a result that draws itself."""

    @property
    def plot(self) -> Plots:
        """Plots of the fit: ``fit.plot.caterpillar()`` is ``mixfit.plots.caterpillar(fit)``, and so on.

        They need matplotlib: ``pip install 'mixfit[plots]'``.
        """
        from mixfit.plots.accessor import Plots

        return Plots(cast("LinearResults | GeneralizedResults", self))
