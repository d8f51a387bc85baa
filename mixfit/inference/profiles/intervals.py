"""Confidence intervals by name of method; Wald intervals on the scales where they are least wrong.

The covariance of the estimates is twice the inverse Hessian of the fit's own criterion (-2 log-likelihood or REML),
from central differences of its exact gradient, carried by the delta method to log sd, log sigma, log phi and
atanh rho; the limits are carried back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_generalized
from mixfit.fitted.residual_covariance import is_structured
from mixfit.fitted.stated import stated_values
from mixfit.inference.bootstrap import bootstrap
from mixfit.inference.fixed_effects.contrasts import contrast_tests
from mixfit.inference.fixed_effects.denominator import robust_notes
from mixfit.inference.predictors import seen_from
from mixfit.inference.profiles.chart import Chart, difference_hessian
from mixfit.inference.profiles.focal import scale_place, shape_place
from mixfit.inference.profiles.parameters import (
    every_parameter,
    parameter_values,
    select,
    variance_structures,
    without_parentheses,
)
from mixfit.inference.profiles.profile import profile_intervals
from mixfit.inference.residual_parameters import structured_errors
from mixfit.matrices.types import MEAN
from mixfit.spellings import nearest
from mixfit.wald import interval, normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.parameter import NaturalParameter
    from mixfit.fitted.protocols import Fit
    from mixfit.inference.profiles.parameters import Parameter
    from mixfit.lmm.surface import SpreadSurface

    Array = NDArray[np.float64]

__all__ = [
    "conf_int",
    "wald_intervals",
    "working_errors",
]

# The smallest singular value of a factor that counts as variance, in its spacing.
_SINGULAR = 1e-3


def _refuse_likelihood(fit: Fit, method: str, which: str | Sequence[str] | None) -> None:
    """Refuse, of a fit that is seen by clusters, intervals that are the likelihood's."""
    if method == "wald" and all(p.kind == "fixed" for p in select(every_parameter(fit.model), which, default="fixed")):
        return
    raise FitError(
        "A fit with a robust covariance has Wald intervals of its fixed effects; others are those of the likelihood: "
        "ask the fit that robust() was called on."
    )


def _of_predictor(
    fit: Fit, alpha: float, method: str, which: str | Sequence[str] | None, predictor: str, options: dict[str, Any]
) -> pd.DataFrame:
    """Limits of the fixed effects of a predictor after the mean's."""
    own = seen_from(fit, predictor)
    if method == "bootstrap" and is_generalized(fit):
        names = [f"{predictor}:{name}" for name in own.params.index]
        out = bootstrap(fit, **options).conf_int(1.0 - alpha).loc[names].set_axis(own.params.index, axis=0)
    elif method == "profile" and is_generalized(fit):
        own_fixed = [p for p in every_parameter(fit.model) if p.kind == "fixed" and p.predictor == predictor]
        out = profile_intervals(fit, [p.name for p in own_fixed], alpha).set_axis(own.params.index, axis=0)
    elif method == "wald":
        limits = interval(np.asarray(own.params, dtype=np.float64), np.asarray(own.bse, dtype=np.float64), alpha)
        out = pd.DataFrame(limits, index=own.params.index, columns=[0, 1], dtype=float)
    else:
        raise FitError(
            f"conf_int(predictor={predictor!r}) has Wald intervals, and of generalized models profile and bootstrap "
            f"ones, not method={method!r}."
        )
    if which is None or which in ("fixed", "all"):
        return out
    names = [without_parentheses(name) for name in ([which] if isinstance(which, str) else which)]
    for name in names:
        if name not in out.index:
            raise FitError(f"{name!r} is no fixed effect of {predictor} ({', '.join(out.index)}).")
    return out.loc[names]


def wald_intervals(fit: Fit, chosen: Sequence[Parameter], alpha: float, ddf: str | None = None) -> pd.DataFrame:
    """Wald limits of any parameters: those of fixed effects with the degrees of freedom of `ddf`.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    chosen : sequence of Parameter
    alpha : float
    ddf : str, optional

    Returns
    -------
    DataFrame
        Columns 0 and 1, a row a parameter; NaN where the standard error is not known.
    """
    half = normal_quantile(alpha) * np.array([-1.0, 1.0])
    fixed = _fixed_limits(fit, alpha, ddf) if any(p.kind == "fixed" for p in chosen) else np.empty((0, 2))
    random = any(p.kind != "fixed" for p in chosen)
    values, errors = (_every_value(fit), working_errors(fit)) if random else ({}, fit.bse)
    structures, rows = variance_structures(fit.model), []
    for p in chosen:
        if p.kind == "fixed":
            rows.append(fixed[p.first] if p.predictor == MEAN else _further_limits(fit, p, alpha))
            continue
        value, shift = values[p.name], half * float(errors[p.name])
        if p.kind == "log sd":
            rows.append(value + shift)
        elif p.shape is not None:
            rows.append(np.array([p.shape.value(p.shape.coordinate(value) + s) for s in shift.tolist()]))
        else:
            rows.append(_carried_back(structures[p.term].natural[p.number] if p.number >= 0 else None, value, shift))
    return pd.DataFrame(rows, index=[p.name for p in chosen], columns=[0, 1], dtype=float)


def _every_value(fit: Fit) -> dict[str, float]:
    """Estimates by the names of `every_parameter`."""
    mean = {str(name): value for name, value in parameter_values(fit).items()}
    beside = len(every_parameter(fit.model)) > len(mean)
    return {**(stated_values(fit, np.nan) if beside else {}), **mean}


def _further_limits(fit: Fit, p: Parameter, alpha: float) -> Array:
    own = seen_from(fit, p.predictor)
    place = own.params.index.get_loc(p.name.removeprefix(f"{p.predictor}:"))
    limits = interval(np.asarray(own.params, dtype=np.float64), np.asarray(own.bse, dtype=np.float64), alpha)
    return np.asarray(limits[place])


def _fixed_limits(fit: Fit, alpha: float, ddf: str | None) -> Array:
    tests = contrast_tests(fit, np.eye(len(fit.fixef)), ddf)
    half = t_quantile(1.0 - 0.5 * alpha, tests.df) * tests.se
    # What is held has an error of zero, and no degrees of freedom.
    half[tests.se == 0.0] = 0.0
    return np.column_stack([tests.estimate - half, tests.estimate + half])


def _carried_back(natural: NaturalParameter | None, value: float, shift: Array) -> Array:
    """Limits of a parameter from those of its atanh or logarithm, which lie `shift` from it."""
    if np.isnan(shift).any():
        return shift
    if natural is None:
        return np.asarray(value * np.exp(shift))
    return np.array([natural.natural(natural.working(value) + s) for s in shift.tolist()])


def working_errors(fit: Fit) -> pd.Series[float]:
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
    if is_structured(fit):
        return structured_errors(fit)
    every = every_parameter(fit.model)
    known = [p for p in every if p.kind != "fixed"]
    surface = fit.model.likelihood_surface(fit.estimate, reml=fit.reml)
    chart = Chart.default(surface)
    at = chart.evaluate(chart.center)
    factors, bound = chart.factors(at.x), (at.x <= chart.lower) | (at.x >= chart.upper)
    regular = [
        float(np.linalg.svd(s, compute_uv=False)[structure.rank - 1]) > _SINGULAR * spacing and not bound[own].any()
        for s, spacing, structure, own in zip(
            factors, surface.terms.spacing, surface.terms.structures, chart.slices, strict=True
        )
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
        if p.kind == "log sd":
            place, _, error = cast("SpreadSurface", surface).log_deviation(p.number)
            jacobian[chart.first_tail + place] = error
        elif p.kind in ("sigma", "phi"):
            jacobian[scale_place(chart, every)] = 1.0
        elif p.shape is not None:
            jacobian[shape_place(chart, every, p)] = 1.0
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


def conf_int(
    fit: Fit,
    level: float | None = None,
    *,
    method: Literal["wald", "profile", "bootstrap"] = "wald",
    which: str | Sequence[str] | None = None,
    predictor: str = MEAN,
    ddf: str | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Compute confidence intervals.

    Parameters
    ----------
    level : float, optional
        Coverage; by default ``mixfit.options.level``, 0.95 at first.
    method : {"wald", "profile", "bootstrap"}
        Wald intervals of fixed effects are those that belong to the tests of ``summary()``: estimate and standard
        error, with the quantile of t or of the normal distribution that `ddf` says. Others are normal: of
        standard deviations, sigma and phi on the log scale and of correlations on that of atanh, with standard
        errors from the observed Hessian of the fit's own criterion (lme4 gives NA for these). They are rough
        where groups are few or a variance is near zero, and NaN for a term on its boundary. Profile
        intervals invert the likelihood-ratio test, and are those of the maximum-likelihood fit
        also where this fit is by REML, as lme4's. Bootstrap intervals come from `bootstrap`.
    which : str or sequence of str, optional
        ``"fixed"``, ``"random"`` or ``"theta"`` (standard deviations, correlations, sigma or phi), ``"all"``, a
        name such as ``"sd((Intercept)|Subject)"``, or of another predictor ``"zi:sd((Intercept)|site)"`` and
        ``"zi:mined"``, or several names. By default the fixed effects for
        Wald intervals, and all parameters for the other methods.
    predictor : {"mean", "zi", "dispersion"}
        Whose fixed effects; of others than the mean's there are Wald and, of generalized models, profile and bootstrap
        intervals.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        Degrees of freedom of Wald intervals of fixed effects, as in `contest`.
    **options
        Arguments of `bootstrap`, for that method.

    Returns
    -------
    DataFrame
        Columns 0 and 1 are the lower and upper limits, as in statsmodels; a row a parameter. A profile
        interval ends at 0, or at -1 or 1, where the likelihood does not exclude the bound, and is infinite where it
        excludes nothing on that side.

    Raises
    ------
    FitError
        For an unknown method or parameter.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).fit()
    >>> fit.conf_int().round(2).to_numpy().tolist()
    [[231.23, 271.58], [8.88, 12.06]]
    >>> fit.conf_int(ddf="z").round(2).to_numpy().tolist()
    [[232.3, 270.51], [8.89, 12.04]]
    >>> fit.conf_int(method="profile", which="random").round(2).to_numpy().tolist()
    [[26.01, 52.94], [27.81, 34.59]]
    """
    alpha = 1.0 - coverage(level)
    if options and method != "bootstrap":
        raise FitError(f"conf_int(method={method!r}) has no option {next(iter(options))!r}.")
    if ddf is not None and method != "wald":
        raise FitError(f"ddf is for Wald intervals: conf_int(method={method!r}) has no degrees of freedom.")
    if predictor != MEAN:
        return _of_predictor(fit, alpha, method, which, predictor, options)
    if robust_notes(fit):
        _refuse_likelihood(fit, method, which)
    if method == "wald":
        return wald_intervals(fit, select(every_parameter(fit.model), which, default="fixed"), alpha, ddf)
    if method == "profile":
        return profile_intervals(fit, which, alpha)
    if method == "bootstrap":
        names = [p.name for p in select(every_parameter(fit.model), which)]
        return bootstrap(fit, **options).conf_int(level).loc[names]
    near = nearest(method, ("wald", "profile", "bootstrap"))
    raise FitError(f"conf_int has the methods 'wald', 'profile' and 'bootstrap', not {method!r}.{near}")
