r"""Standardized coefficients: what they would be in units of standard deviations.

"refit" gives each covariate and the response a mean of 0 and a standard deviation of 1 and fits again. "basic"
multiplies each coefficient by sd(its column of X) / sd(y). "pseudo" (Hoffman 2015, Longitudinal Analysis, p. 342) takes
both at the level that the column varies at: of a column that varies within groups its standard deviation over the rows
and the residual one of y, of others that of the groups' means and that of the random intercepts of y, both in a model
without covariates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.covariance.unstructured import Unstructured
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.matrices.columns import is_factor
from mixfit.matrices.types import RandomDesign
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["standardize"]

_METHODS = ("refit", "basic", "pseudo")
# Of a column, the share of its variance within groups below which it does not vary there but for rounding.
_CONSTANT = 1e-12


def standardize(
    fit: Fit,
    method: Literal["refit", "basic", "pseudo"] = "refit",
    *,
    two_sd: bool = False,
    ddf: str | None = None,
    level: float | None = None,
) -> Table:
    """Return standardized fixed effects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    method : {"refit", "basic", "pseudo"}
        By fitting the model again to standardized covariates, and response where that is a measurement: right for
        interactions too. By standard deviations of the columns of X and of the response. By those of the level that a
        column varies at, within groups or between them, of a model with one grouping factor.
    two_sd : bool
        Whether covariates are divided by two standard deviations, so that they compare with factors of two levels
        (Gelman 2008, Statistics in Medicine 27, 2865-2873).
    ddf, level
        As of ``fit.conf_int``.

    Returns
    -------
    Table
        ``Std. Estimate``, ``Std. Error``, ``Lower``, ``Upper``; a row a coefficient.

    Raises
    ------
    FitError
        For an unknown method, and for ``"refit"`` with covariates that the formula transforms.

    Notes
    -----
    Responses of generalized models stay as they are. Factors are not standardized by "refit", their columns are by the
    other methods. Standard errors take the standard deviations as known. These are the numbers of R's
    ``standardize_parameters``.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", teeth).fit()
    >>> fit.standardize()
    Standardized coefficients (refit), with 95 % intervals
    <BLANKLINE>
                      Std. Estimate Std. Error  Lower  Upper
    Intercept                 0.323      0.166 -0.019  0.665
    age                       0.602      0.059  0.483  0.720
    Sex[T.Female]            -0.793      0.260 -1.328 -0.257
    age:Sex[T.Female]        -0.234      0.093 -0.419 -0.048
    """
    if method not in _METHODS:
        raise FitError(f"method is one of {', '.join(map(repr, _METHODS))}, not {method!r}.")
    level, times = coverage(level), 2.0 if two_sd else 1.0
    shown = _refitted(fit, times) if method == "refit" else fit
    scale = np.ones(len(fit.fixef)) if method == "refit" else _scales(fit, method == "pseudo", times)
    tests = contrast_tests(shown, np.eye(len(fit.fixef)), ddf)
    estimate, se = scale * tests.estimate, scale * tests.se
    half = wald.t_quantile(0.5 * (1.0 + level), tests.df) * se
    columns = {"Std. Estimate": estimate, "Std. Error": se, "Lower": estimate - half, "Upper": estimate + half}
    heading = (f"Standardized coefficients ({method}), with {100.0 * level:g} % intervals", "")
    frame = pd.DataFrame(columns, index=fit.fixef.index)
    return Table(frame, heading=heading, decimals=dict.fromkeys(columns, 3))


def _scales(fit: Fit, pseudo: bool, times: float) -> Array:
    """What each coefficient is multiplied by; 0 for the constant, which has no standard deviation."""
    X, y = fit.model.exog, fit.model.design.y
    if not pseudo:
        response = float(np.std(y, ddof=1)) if is_linear(fit) else 1.0
        return times * np.std(X, axis=0, ddof=1) / response
    groupings = {term.grouping.name: term.grouping for term in fit.model.design.random}
    if len(groupings) != 1:
        raise FitError(f"method='pseudo' is for one grouping factor, and there are {', '.join(groupings) or 'none'}.")
    (grouping,) = groupings.values()
    counts = np.bincount(grouping.codes)
    means = np.add.reduceat(X[np.argsort(grouping.codes, kind="stable")], np.cumsum(counts) - counts) / counts[:, None]
    inside = np.square(X - means[grouping.codes]).sum(axis=0)
    within = inside > _CONSTANT * np.square(X).sum(axis=0)
    own = np.where(within, np.std(X, axis=0, ddof=1), np.std(means, axis=0, ddof=1))
    if not is_linear(fit):
        return np.asarray(times * own)
    between, residual = _without_covariates(fit, next(iter(fit.model.design.random)))
    if between == 0.0 and not within.all() and (own[~within] > 0.0).any():
        raise FitError("method='pseudo' divides by the deviation of the groups, which is zero: use 'basic'.")
    return np.asarray(times * own / np.where(within, residual, between if between > 0.0 else np.inf))


def _without_covariates(fit: Fit, term: RandomDesign) -> tuple[float, float]:
    """Standard deviations of the random intercepts and of the residual of y ~ 1 + (1 | g)."""
    if is_structured(fit):
        raise FitError("method='pseudo' is for one residual variance: use 'basic'.")
    design: Design = fit.model.design
    ones = np.ones((len(design.y), 1))
    alone = RandomDesign(term.grouping, ("Intercept",), ones, Unstructured(1), f"(1 | {term.grouping.name})")
    null = replace(design, X=ones, exog_names=("Intercept",), random=(alone,), fixed=None)
    found = fit.model.with_design(null).fit(reml=True)
    return float(found.sigma * abs(found.estimate.templates[0][0, 0])), float(found.sigma)


def _refitted(fit: Fit, times: float) -> Any:
    """The model of standardized covariates and, where it is a linear one, response."""
    design: Design = fit.model.design
    if design.frame is None or is_structured(fit) or getattr(fit.estimate, "further", None):
        raise FitError(
            "method='refit' is for models of the mean that were read from a formula and data: standardize the columns "
            "of the data, or use method='basic'."
        )
    if fit.model.known_effects:
        raise FitError("method='refit' changes what a known coefficient is one of: use method='basic'.")
    if any(term.spread is not None for term in design.random):
        raise FitError("method='refit' is not for levels with a known covariance: use method='basic'.")
    frame = pd.DataFrame({name: column.reset_index(drop=True) for name, column in design.frame.items()})
    terms = (*design.reader.fixed_terms, *design.reader.random_terms)
    looked_up = {name for term in terms for name in term}
    functions = looked_up - set(frame) - {"C"}
    if functions:
        raise FitError(
            f"method='refit' is for covariates as they are, and the formula has {', '.join(sorted(functions))}: "
            "standardize the columns of the data, or use method='basic'."
        )
    known = looked_up & set(frame) - design.reader.factor_names
    for name in sorted(name for name in known if not is_factor(frame[name])):
        column = frame[name].astype(np.float64)
        frame[name] = (column - column.mean()) / (times * (column.std() or 1.0))
    read = design.reader.read(frame, (True,) * len(design.random), own=True)
    random = tuple(replace(term, Z=Z) for term, Z in zip(design.random, read.Z, strict=True) if Z is not None)
    changed = replace(design, X=read.X, random=random)
    if is_linear(fit):
        sd = float(np.std(design.y, ddof=1))
        offset = None if design.offset is None else design.offset / sd
        changed = replace(changed, y=(design.y - design.y.mean()) / sd, offset=offset)
        return fit.model.with_design(changed).fit(reml=fit.reml)
    return fit.model.with_design(changed).fit(n_agq=fit.estimate.n_agq)
