r"""How much the fixed effects' variances are raised by what they have in common: variance inflation factors.

With R the correlation matrix of the estimated coefficients (the constant's left out), a term of columns s has

    GVIF = det R_ss det R_{-s,-s} / det R,

the squared volume ratio of confidence ellipsoids with and without the others (Fox & Monette 1992, JASA 87, 178-183);
for one column that is VIF = 1 / (1 - R^2) of it on the others. Intervals are those of a squared multiple correlation
on the logit scale (Marcoulides & Raykov 2019, Educ. Psychol. Meas. 79, 874-882), as performance has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from mixfit import wald
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.inference.predictors import seen_from
from mixfit.matrices.types import MEAN
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import FixedTerm

    Array = NDArray[np.float64]

__all__ = ["collinearity", "inflation", "inflation_limits"]

# What textbooks call high: nine tenths of a term's variation is that of others.
_HIGH = 10.0
# On the logit scale of R^2: its standard error by the delta method, where R^2 is next to zero, is of no use, and limits
# from a larger one are a factor of 50 apart in R^2 / (1 - R^2).
_WIDEST = 1.0


def inflation(correlation: Array, own: NDArray[np.bool_]) -> float:
    """The generalized variance inflation factor of some of the coefficients.

    Parameters
    ----------
    correlation : ndarray, shape (p, p)
    own : ndarray of bool, shape (p,)

    Returns
    -------
    float

    Examples
    --------
    >>> round(inflation(np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([True, False])), 4)
    1.5625
    """
    logs = [np.linalg.slogdet(correlation[np.ix_(s, s)])[1] for s in (own, ~own, own | True)]
    return float(np.exp(logs[0] + logs[1] - logs[2]))


def inflation_limits(factors: Array, nobs: int, p: int, level: float) -> Array:
    """Limits of variance inflation factors.

    Parameters
    ----------
    factors : ndarray, shape (t,)
    nobs : int
    p : int
        Fixed effects, the constant included.
    level : float

    Returns
    -------
    ndarray, shape (t, 2)
        NaN for a factor next to 1, at which the normal approximation on the logit scale breaks down.
    """
    r = 1.0 - 1.0 / factors
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = (1.0 - r**2) * (nobs - p - 1.0) / np.sqrt((nobs**2 - 1.0) * (nobs + 3.0)) / (r * (1.0 - r))
        half = wald.normal_quantile(1.0 - level) * np.where(error <= _WIDEST, error, np.nan)
        return np.asarray(1.0 / (1.0 - expit(np.column_stack([logit(r) - half, logit(r) + half]))))


def collinearity(fit: Fit, *, level: float | None = None, predictor: str = MEAN) -> Table:
    """Tell how much the terms of the fixed part have in common, as ``performance::check_collinearity``.

    Parameters
    ----------
    level : float, optional
        Coverage of the intervals; by default ``mixfit.options.level``, 0.95 at first.
    predictor : {"mean", "zi", "dispersion"}
        Whose terms.

    Returns
    -------
    Table
        A row a term. ``VIF``, by how much the variance of its estimate is larger than it would be were the term
        orthogonal to the others (of a term of several columns the generalized one, of their ellipsoid's squared
        volume); ``lower`` and ``upper``; ``Df``, its columns; ``SE factor``, by how much a standard error is larger,
        ``VIF**(1 / (2 Df))``; ``tolerance``, ``1 / VIF``. Intervals hold for one column; for a factor they are rough,
        and next to a factor of 1, where performance's end at some 1e9, there are none.

    Raises
    ------
    FitError
        For a model of fewer than two terms beside the constant.

    References
    ----------
    Fox & Monette (1992), JASA 87, 178-183.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age + Sex + (1 | Subject)", teeth).fit()
    >>> fit.collinearity()["VIF"].round(3).tolist()
    [1.0, 1.0]
    >>> mixfit.mixed("distance ~ age * Sex + (1 | Subject)", teeth).fit().collinearity()["VIF"].round(2).tolist()
    [1.69, 4.08, 4.76]
    """
    share = coverage(level)
    own = seen_from(fit, predictor)
    structure = own.model.design.fixed
    if structure is None:
        raise FitError("The design does not say which term each fixed effect belongs to.")
    covariance, place = own.estimate.cov_beta, {int(j): i for i, j in enumerate(own.model.kept)}
    free = wald.are_free(covariance)
    columns = {t.name: _of_term(t, place, free) for t in structure.terms if t.factors}
    columns = {name: own_columns for name, own_columns in columns.items() if own_columns}
    if len(columns) < 2:
        raise FitError(f"What terms have in common takes two beside the constant; the fixed part has {len(columns)}.")
    used = np.concatenate([np.array(c) for c in columns.values()])
    correlation = wald.correlation(covariance[np.ix_(used, used)])
    factors = np.array([inflation(correlation, np.isin(used, c)) for c in columns.values()])
    df = np.array([len(c) for c in columns.values()])
    limits = inflation_limits(factors, len(own.model.design.y), int(free.sum()), share)
    frame = pd.DataFrame(
        {
            "VIF": factors,
            "lower": limits[:, 0],
            "upper": limits[:, 1],
            "Df": df,
            "SE factor": factors ** (0.5 / df),
            "tolerance": 1.0 / factors,
        },
        index=list(columns),
    )
    constant = any(not t.factors for t in structure.terms) or getattr(own.model, "constant", None) is not None
    return Table(frame, notes=_notes(frame, constant=constant))


def _of_term(term: FixedTerm, place: dict[int, int], free: NDArray[np.bool_]) -> list[int]:
    return [place[j] for j in term.columns if j in place and free[place[j]]]


def _notes(frame: pd.DataFrame, *, constant: bool) -> tuple[str, ...]:
    notes = []
    if not constant:
        notes.append("The model has no intercept: factors are then of correlations about zero.")
    high = [str(name) for name in frame.index[frame["VIF"] >= _HIGH]]
    if high:
        notes.append(f"High: {', '.join(high)} (VIF >= {_HIGH:.0f}).")
        if any(":" in str(name) for name in frame.index):
            notes.append("A main effect is collinear with its interaction unless its variable is centred.")
    return tuple(notes)
