"""Residuals from simulations, as methods of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pandas as pd

from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    import numpy as np

    from mixfit.results.generalized import GeneralizedResults
    from mixfit.results.linear import LinearResults
    from mixfit.results.re_form import ReForm
    from mixfit.results.table import Table

__all__ = ["ResidualMethods"]


class ResidualMethods(MixedResults):
    """The part of a result that compares the responses with simulated ones."""

    def quantile_residuals(
        self, n: int = 250, seed: int | np.random.Generator | None = None, re_form: ReForm = "population"
    ) -> pd.Series[float]:
        """Return scaled residuals from simulations, as DHARMa's ``simulateResiduals``.

        The share of simulated responses that lie below the observed one; where some are equal to it (counts,
        0/1 responses), a uniform draw between the shares below and not above it. Were the model true, they would
        be uniform on (0, 1), whatever its family.

        Parameters
        ----------
        n : int
            Number of simulated responses.
        seed : int, Generator or None
            As ``numpy.random.default_rng`` takes it.
        re_form : None, str, False or sequence of str
            Random terms to hold at their modes. By default all are drawn anew, as in DHARMa up to 0.4
            ("unconditional"); None holds all ("conditional", the default of DHARMa from 0.5 on).

        Returns
        -------
        Series, shape (nobs,)

        Raises
        ------
        FitError
            Where `n` is less than 2.

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.quantile_residuals(seed=1).between(0, 1).all()
        np.True_
        """
        from mixfit.inference.diagnostics.quantile import quantile_residuals

        fit = cast("LinearResults | GeneralizedResults", self)
        return pd.Series(quantile_residuals(fit, n, seed, re_form), index=self.model.design.index)

    def residual_tests(
        self, n: int = 250, seed: int | np.random.Generator | None = None, re_form: ReForm = "population"
    ) -> Table:
        """Test quantile residuals: uniformity, dispersion, outliers and, of whole responses, zeros, as DHARMa.

        Parameters
        ----------
        n, seed, re_form
            As of `quantile_residuals`.

        Returns
        -------
        Table
            Columns ``statistic`` and ``p.value``. Uniformity: Kolmogorov-Smirnov. Dispersion: variance of the
            responses about their prediction over the mean of the simulated ones'. Outliers: residuals within
            1 / (n + 1) of 0 or 1, a binomial test, approximate for whole responses. Zeros: their number over the
            mean of the simulated ones'.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> fit.residual_tests(seed=1).to_frame().round(2)
                        statistic  p.value
        uniformity           0.10     0.63
        dispersion           1.37     0.33
        outliers             1.00     0.36
        zero inflation       1.14     0.51
        """
        from mixfit.inference.diagnostics.quantile import residual_tests

        return residual_tests(cast("LinearResults | GeneralizedResults", self), n, seed, re_form)
