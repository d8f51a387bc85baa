"""Responses simulated from a fit, as a method of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.results.re_form import ReForm

    Array = NDArray[np.float64]

__all__ = ["Simulation"]


class Simulation(MixedResults):
    """The part of a result that draws new responses: new random effects here, the rest as the kind of model has it."""

    def _draw_responses(self, predictors: Array, rng: np.random.Generator) -> Array:
        """Responses of the rows of the fit given their linear predictors: both (nobs, n), a column a replicate."""
        raise NotImplementedError

    def simulate(
        self,
        n: int = 1,
        seed: int | np.random.Generator | None = None,
        re_form: ReForm = "population",
    ) -> pd.DataFrame:
        """Draw new responses from the fitted model, on the rows of the fit.

        Parameters
        ----------
        n : int
            Number of replicates.
        seed : int, Generator or None
            As ``numpy.random.default_rng`` takes it.
        re_form : None, str, False or sequence of str
            Random terms to hold at their modes; all others are drawn anew. None holds all.

        Returns
        -------
        DataFrame, shape (nobs, n)
            Columns ``sim_1``, ``sim_2``, ...; what `refit` takes, so proportions for a binomial model. Prior weights
            are those of the fit: they divide the residual variance of a linear model.

        Raises
        ------
        FitError
            Where `n` is not positive, or `re_form` holds only some columns of a term.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.simulate(2, seed=1).head(2).round(3)
           sim_1  sim_2
        0  0.071  0.143
        1  0.083  0.083
        """
        rng = np.random.default_rng(seed)
        predictors = self._draw_predictors(n, re_form, rng)
        return self._simulated_frame(self._draw_responses(predictors, rng))
