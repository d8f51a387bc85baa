r"""Means averaged over the random effects of a population, E[g^-1(x'beta + z'b)], b ~ N(0, Sigma).

What a group drawn at random has in expectation, where ``"population"`` is the mean of a group whose effects are zero:
under a logit the average is nearer to a half (Zeger, Liang & Albert 1988, Biometrics 44, 1049-1060). With
s^2 = z'Sigma z the average depends on beta by eta = x'beta + offset and on theta by s:

    d mu = E[mu'] x'd beta + E[zeta mu'] d s,      zeta ~ N(0, 1),

and so, by the delta method, on the covariance of (theta, beta) that the Hessian of all parameters gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.arguments import check_flag
from mixfit.covariance.steps import split_theta
from mixfit.errors import FitError
from mixfit.families.integrated import IntegratedMean
from mixfit.fitted.kriging import kriged
from mixfit.fitted.predict import predictors_of, rows_to_predict
from mixfit.fitted.re_form import select
from mixfit.matrices.across import refuse_related

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import GeneralizedFit

    Array = NDArray[np.float64]

__all__ = ["integrated", "joint_covariance", "marginal_means", "predictor_spread"]

# Of theta, for differences of z'Sigma z: a quadratic in the entries of a template, where central differences are exact
# and a cube root of the rounding unit leaves the most digits, and smooth in other parameters.
_STEP = float(np.cbrt(np.finfo(float).eps))


def predictor_spread(fit: GeneralizedFit, newdata: object = None) -> tuple[Array, Array]:
    """Standard deviations s of the predictors of rows over a population of groups, and their derivatives in theta.

    Parameters
    ----------
    fit : GeneralizedResults
    newdata : frame, optional
        Rows to predict, the rows of the fit by default. Grouping factors are not looked up.

    Returns
    -------
    spread : ndarray, shape (m,)
    slopes : ndarray, shape (m, n_theta)
        Zero where s is, and for theta on a bound, whose error is not known.
    """
    design, estimate = fit.model.design, fit.estimate
    refuse_related(design.random, "an average over random effects")
    Z: list[Array] = [term.Z for term in design.random]
    own: Sequence[Array | None] = ()
    if newdata is not None:
        columns, places = zip(*design.reader.read_random(newdata), strict=True)
        filled, own = kriged(fit, columns, places)
        Z = [z for z in filled if z is not None]
    structures = [term.structure for term in design.random]

    def variance(theta: Array) -> Array:
        parts = split_theta(structures, theta)
        halves = [z @ s.template(part) for z, s, part in zip(Z, structures, parts, strict=True)]
        return np.asarray(sum(np.einsum("ij,ij->i", half, half) for half in halves))

    theta = estimate.theta
    known = np.zeros(len(Z[0]))
    for one in own:
        known += 0.0 if one is None else one / estimate.unit**2
    spread = np.sqrt(variance(theta) + known)
    slopes = np.zeros((len(spread), len(theta)))
    for a in np.flatnonzero(estimate.cov_theta.diagonal() > 0.0):
        step = _STEP * max(abs(theta[a]), float(np.abs(theta).max()), _STEP)
        moved = np.zeros(len(theta))
        moved[a] = step
        change = (variance(theta + moved) - variance(theta - moved)) / (2.0 * step)
        slopes[:, a] = np.divide(change, 2.0 * spread, out=np.zeros_like(change), where=spread > 0.0)
    return estimate.unit * spread, estimate.unit * slopes


def integrated(fit: GeneralizedFit, X: Array, eta: Array, newdata: object) -> tuple[Array, Array]:
    """Averages (m,) of the means of rows, and their derivatives (m, n_theta + p) in theta and beta.

    Parameters
    ----------
    fit : GeneralizedResults
    X : ndarray, shape (m, p)
        Columns of ``model.exog``.
    eta : ndarray, shape (m,)
        Their fixed part, offset included.
    newdata : frame, or None
        Of these rows, for the columns of the random terms.

    Raises
    ------
    FitError
        For a model with several predictors, and under an inverse link, where there is no average.
    """
    if fit.estimate.further:
        raise FitError(
            "re_form='marginal' is for models of the mean alone, and this one has zi= or dispersion=: average what "
            "fit.simulate(n) draws over the replicates."
        )
    spread, slopes = predictor_spread(fit, newdata)
    average = IntegratedMean(fit.response_link, spread)
    by_theta = average.spread_slope(eta)[:, None] * slopes
    return average.mean(eta), np.concatenate([by_theta, average.slope(eta)[:, None] * X], axis=1)


def joint_covariance(fit: GeneralizedFit) -> Array:
    """Covariance of theta and beta, (n_theta + p, n_theta + p)."""
    estimate = fit.estimate
    return np.block([[estimate.cov_theta, estimate.cov_theta_beta], [estimate.cov_theta_beta.T, estimate.cov_beta]])


def marginal_means(fit: GeneralizedFit, newdata: object, se: bool) -> pd.Series[float] | pd.DataFrame:
    """Averages of the mean responses of rows: `predict` with ``re_form="marginal"``."""
    check_flag("se", se)
    selection = select("population", fit.model.design.random)
    rows = rows_to_predict(fit, newdata, selection, True)
    eta, _, labels = predictors_of(fit, rows, selection, False)
    mean, slopes = integrated(fit, rows.X, eta, newdata)
    if not se:
        return pd.Series(mean, index=labels)
    variance = np.einsum("ij,ij->i", slopes @ joint_covariance(fit), slopes)
    return pd.DataFrame({"mean": mean, "mean_se": np.sqrt(np.maximum(variance, 0.0))}, index=labels)
