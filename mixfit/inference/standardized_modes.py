"""Conditional modes over their standard deviations: standard normal where the model is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.fitted.ranef import effect_frames

if TYPE_CHECKING:
    import pandas as pd

    from mixfit.fitted.protocols import Fit

__all__ = ["standardized_modes"]

# Of the variance of a mode relative to that of the effect: below it rounding is all there is.
_NO_VARIANCE = 1e-10


def standardized_modes(fit: Fit) -> dict[str, pd.DataFrame]:
    """Divide each conditional mode by its standard deviation over data sets.

    Var(b_hat) = Var(b) - Var(b | y), the fixed effects and theta being those of the fit: under a linear model that
    is true the standardized modes are standard normal, however many rows a level has (Lange & Ryan 1989, Annals of
    Statistics 17). For generalized models this holds roughly.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults

    Returns
    -------
    dict of str to DataFrame
        As ``fit.ranef()``; NaN where the variance is zero.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> standardized_modes(fit)["operator"].round(2).squeeze().tolist()
    [-0.54, -1.14, 0.74, 0.94]
    """
    design, model = fit.model.design, fit.model
    standardized = []
    for template, mode, conditional in zip(
        fit.estimate.templates, fit.estimate.modes, model.conditional_covariance(fit.estimate), strict=True
    ):
        variance = fit.estimate.unit**2 * np.einsum("ij,ij->i", template, template)
        of_modes = variance - np.diagonal(conditional, axis1=1, axis2=2)
        known = of_modes > _NO_VARIANCE * variance
        standardized.append(np.where(known, mode / np.sqrt(np.where(known, of_modes, 1.0)), np.nan))
    return effect_frames(design.random, standardized)
