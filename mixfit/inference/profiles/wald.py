r"""Wald intervals of standard deviations, correlations and the scale, on the scales where they are least wrong.

The covariance of the estimates is twice the inverse Hessian of the fit's own criterion (-2 log-likelihood or REML),
from central differences of its exact gradient, carried by the delta method to log sd, log sigma, log phi and
atanh rho; the limits are carried back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.profiles.chart import Chart, difference_hessian
from mixfit.inference.profiles.parameters import parameter_values, parameters
from mixfit.results.fixed import FixedEffects
from mixfit.results.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.inference.profiles.parameters import Parameter
    from mixfit.results.base import MixedResults

    Array = NDArray[np.float64]

__all__ = ["wald_intervals", "working_errors"]

# The smallest singular value of a factor that counts as variance, in its spacing.
_SINGULAR = 1e-3


def wald_intervals(fit: MixedResults, chosen: Sequence[Parameter], alpha: float) -> pd.DataFrame:
    """Wald limits of any parameters: as `FixedEffects.conf_int` for fixed effects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    chosen : sequence of Parameter
    alpha : float

    Returns
    -------
    DataFrame
        Columns 0 and 1, a row a parameter; NaN where the standard error is not known.
    """
    half = normal_quantile(alpha) * np.array([-1.0, 1.0])
    fixed = FixedEffects.conf_int(fit, alpha).to_numpy()
    random = [p for p in chosen if p.kind != "fixed"]
    values, errors = (parameter_values(fit), working_errors(fit)) if random else (fit.params, fit.bse)
    terms = fit.model.design.random
    rows = [
        fixed[p.first]
        if p.kind == "fixed"
        else _carried_back(
            terms[p.term].structure.natural[p.number] if p.number >= 0 else None,
            values[p.name],
            half * errors[p.name],
        )
        for p in chosen
    ]
    return pd.DataFrame(rows, index=[p.name for p in chosen], columns=[0, 1], dtype=float)


def _carried_back(natural: NaturalParameter | None, value: float, shift: Array) -> Array:
    """Limits of a parameter from those of its atanh or logarithm, which lie `shift` from it."""
    if np.isnan(shift).any():
        return shift
    if natural is None:
        return np.asarray(value * np.exp(shift))
    return np.array([natural.natural(natural.working(value) + s) for s in shift.tolist()])


def working_errors(fit: MixedResults) -> pd.Series[float]:
    """Standard errors of log sd, atanh rho and log sigma (or log phi), by the names of the parameters.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults

    Returns
    -------
    Series
        NaN for the parameters of a term on its boundary (those of the others are then given that term's
        estimate), and where the Hessian is not positive definite.
    """
    known = [p for p in parameters(fit.model) if p.kind != "fixed"]
    surface = fit.model.likelihood_surface(fit.estimate, reml=fit.reml)
    chart = Chart.default(surface)
    at = chart.evaluate(chart.center)
    factors, bound = chart.factors(at.x), (at.x <= chart.lower) | (at.x >= chart.upper)
    regular = [
        float(np.linalg.svd(s, compute_uv=False)[-1]) > _SINGULAR * spacing and not bound[own].any()
        for s, spacing, own in zip(factors, surface.terms.spacing, chart.slices, strict=True)
    ]
    free = np.ones(len(at.x), dtype=bool)
    for own, keep in zip(chart.slices, regular, strict=True):
        free[own] = keep
    rows = np.flatnonzero(free)
    hessian = difference_hessian(chart, at, rows.tolist(), central=True)[:, rows]
    covariance = np.full((len(at.x), len(at.x)), np.nan)
    covariance[np.ix_(rows, rows)] = _twice_inverse(0.5 * (hessian + hessian.T))
    out = {}
    for p in known:
        jacobian = np.zeros(len(at.x))
        if p.kind in ("sigma", "phi"):
            jacobian[chart.first_tail if p.kind == "sigma" else -1] = 1.0
        elif regular[p.term]:
            own = chart.slices[p.term]
            natural = surface.terms.structures[p.term].natural[p.number]
            jacobian[own] = chart.coordinates[p.term].working_slope(at.x[own], natural)
        else:
            out[p.name] = np.nan
            continue
        used = np.flatnonzero(jacobian)
        out[p.name] = float(np.sqrt(jacobian[used] @ covariance[np.ix_(used, used)] @ jacobian[used]))
    return pd.Series(out, dtype=float)


def _twice_inverse(hessian: Array) -> Array:
    try:
        low = np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        return np.full_like(hessian, np.nan)
    half = np.linalg.solve(low, np.eye(len(low)))
    out: Array = 2.0 * half.T @ half
    return out
