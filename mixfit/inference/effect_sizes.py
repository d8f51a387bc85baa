r"""Effect sizes of the fixed effects: shares of variance by F ratios, and standardized differences of means.

Of an effect with the ratio F on df1 and df2 degrees of freedom, as R's effectsize has them for models without a total
sum of squares,

    eta^2     = F df1 / (F df1 + df2),
    epsilon^2 = (F - 1) df1 / (F df1 + df2),
    omega^2   = (F - 1) df1 / (F df1 + df2 + 1),

all partial. Intervals are lambda / (lambda + df2) at the limits of the noncentrality lambda (Steiger 2004,
Psychological Methods 9, 164-182) of the F ratio whose eta^2 the share is: for eta^2 F itself, for the others a smaller
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import betainc, gammaln, xlogy

from mixfit import wald
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.fixed_effects.tables import anova
from mixfit.inference.means.contrasts import SimpleContrasts
from mixfit.inference.means.emmeans import emmeans
from mixfit.inference.variance_moments import variance_moments
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, LinearFit

    Array = NDArray[np.float64]

__all__ = [
    "cohens_d",
    "epsilon_squared",
    "eta_squared",
    "noncentrality_limits",
    "omega_squared",
    "partial_share",
    "share_limits",
]

# Standard deviations of a Poisson variable, beyond which it has a probability below 1e-20.
_FAR = 12.0
_NAMES = {"eta": "Eta2 (partial)", "epsilon": "Epsilon2 (partial)", "omega": "Omega2 (partial)"}


def smaller_ratios(F: float, df1: float, df2: float, size: float) -> float:
    """Probability of an F ratio no larger than `F` at a noncentrality: beta probabilities with Poisson weights.

    Examples
    --------
    >>> round(smaller_ratios(2.0, 3, 20.0, 4.0), 6)
    0.47907
    """
    mean = 0.5 * size
    j = np.arange(max(0.0, np.floor(mean - _FAR * np.sqrt(mean + 1.0))), mean + _FAR * np.sqrt(mean + 1.0) + _FAR)
    weights = np.exp(xlogy(j, mean) - mean - gammaln(j + 1.0))
    return float(weights @ betainc(0.5 * df1 + j, 0.5 * df2, df1 * F / (df1 * F + df2)))


def noncentrality_limits(F: float, df1: float, df2: float, level: float) -> tuple[float, float]:
    """Limits of the noncentrality of an F ratio; 0 where the ratio is no larger than it would be without an effect.

    Examples
    --------
    >>> [round(value, 1) for value in noncentrality_limits(20.52, 5, 210, 0.95)]
    [59.3, 147.1]
    """
    from scipy.optimize import brentq

    def limit(p: float) -> float:
        """The noncentrality at which smaller ratios have the probability p, which falls with it."""
        if not smaller_ratios(F, df1, df2, 0.0) > p:
            return 0.0
        end = 1.0
        while smaller_ratios(F, df1, df2, end) > p:
            end *= 2.0
        return float(brentq(lambda size: smaller_ratios(F, df1, df2, size) - p, 0.0, end, xtol=1e-10))

    tail = 0.5 * (1.0 - level)
    return limit(1.0 - tail), limit(tail)


def eta_squared(
    fit: Fit,
    *,
    partial: bool = True,
    type: int | str = 3,  # noqa: A002
    ddf: str | None = None,
    level: float | None = None,
) -> Table:
    """Return partial eta squared of every term, with intervals.

    Parameters
    ----------
    fit : LinearResults
    partial : bool
        Whether of an effect and its error alone, the only ones that mixed models have: variance lies at several levels,
        and there is no total that all effects share.
    type, ddf
        As of ``fit.anova``.
    level : float, optional
        Coverage of two-sided intervals; by default ``mixfit.options.level``, 0.95 at first.

    Returns
    -------
    Table
        A row a term: ``F value``, ``NumDF``, ``DenDF``, the share, ``Lower``, ``Upper``.

    Raises
    ------
    FitError
        For a generalized model, which has no F ratios, and for ``partial=False``.

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", cake).fit()
    >>> fit.eta_squared()
    Effect sizes, with 95 % intervals
    <BLANKLINE>
                       F value NumDF DenDF Eta2 (partial) Lower Upper
    recipe              0.2488     2    42          0.012 0.000 0.105
    temperature        20.5199     5   210          0.328 0.220 0.412
    recipe:temperature  1.0062    10   210          0.046 0.000 0.066
    """
    return _shares(fit, "eta", partial, type, ddf, level)


def epsilon_squared(
    fit: Fit,
    *,
    partial: bool = True,
    type: int | str = 3,  # noqa: A002
    ddf: str | None = None,
    level: float | None = None,
) -> Table:
    """Return partial epsilon squared of every term, with intervals: eta squared less its bias.

    Parameters
    ----------
    fit : LinearResults
    partial, type, ddf, level
        As of `eta_squared`.

    Returns
    -------
    Table

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.epsilon_squared()["Epsilon2 (partial)"].round(3).tolist()
    [0.714]
    """
    return _shares(fit, "epsilon", partial, type, ddf, level)


def omega_squared(
    fit: Fit,
    *,
    partial: bool = True,
    type: int | str = 3,  # noqa: A002
    ddf: str | None = None,
    level: float | None = None,
) -> Table:
    """Return partial omega squared of every term, with intervals: eta squared less its bias.

    Parameters
    ----------
    fit : LinearResults
    partial, type, ddf, level
        As of `eta_squared`.

    Returns
    -------
    Table

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.omega_squared()["Omega2 (partial)"].round(3).tolist()
    [0.702]
    """
    return _shares(fit, "omega", partial, type, ddf, level)


def _shares(fit: Fit, kind: str, partial: bool, number: int | str, ddf: str | None, level: float | None) -> Table:
    if not partial:
        raise FitError(
            "Effects of a mixed model have no total sum of squares in common: their shares are partial=True, and that "
            "of all fixed effects together is fit.r2()."
        )
    if not is_linear(fit):
        raise FitError("Shares of variance are by F ratios, which linear models have: of others, see fit.r2().")
    level = coverage(level)
    table = anova(fit, number, ddf=ddf).frame
    if "F value" not in table:
        raise FitError("Shares of variance are by F ratios with degrees of freedom: ddf='z' has none.")
    F, df1, df2 = (table[name].to_numpy(dtype=np.float64) for name in ("F value", "NumDF", "DenDF"))
    share = partial_share(kind, F, df1, df2)
    limits = [share_limits(*row, level) for row in zip(share, df1, df2, strict=True)]
    columns: dict[str, Any] = {"F value": F, "NumDF": df1, "DenDF": df2, _NAMES[kind]: share}
    columns |= dict(zip(("Lower", "Upper"), np.array(limits).reshape(-1, 2).T, strict=True))
    heading = (f"Effect sizes, with {100.0 * level:g} % intervals", "")
    decimals = dict.fromkeys((_NAMES[kind], "Lower", "Upper"), 3)
    return Table(pd.DataFrame(columns, index=table.index), heading=heading, decimals=decimals)


def partial_share(kind: str, F: Array, df1: Array, df2: Array) -> Array:
    """Partial eta, epsilon or omega squared of F ratios (k,), no less than zero."""
    if kind == "eta":
        return F * df1 / (F * df1 + df2)
    rest = 1.0 if kind == "omega" else 0.0
    return np.maximum((F - 1.0) * df1, 0.0) / (F * df1 + df2 + rest)


def share_limits(share: float, df1: float, df2: float, level: float) -> tuple[float, float]:
    """Limits of a share, which is the eta squared of some F ratio."""
    low, high = noncentrality_limits(share / (1.0 - share) * df2 / df1, df1, df2, level)
    return low / (low + df2), high / (high + df2)


def cohens_d(
    fit: Fit,
    specs: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    method: Any = "pairwise",
    sd: str | float = "total",
    edf: float = np.inf,
    ddf: str | None = None,
    level: float | None = None,
    **options: Any,
) -> Table:
    """Return standardized differences of marginal means.

    Parameters
    ----------
    fit : LinearResults
    specs, by, ddf, **options
        As of `emmeans`.
    method : str or coefficients
        As of `EmMeans.contrast`.
    sd : {"total", "residual"} or float
        What differences are over: the root of all variances together, residual and random (of random slopes their mean
        over the rows); that of the residual alone; or a number, such as a standard deviation known from elsewhere.
    edf : float
        Degrees of freedom that a number for `sd` is known with.
    level : float, optional
        Coverage of the intervals; by default ``mixfit.options.level``, 0.95 at first.

    Returns
    -------
    Table
        The contrasts, ``d``, ``SE``, ``df``, ``Lower``, ``Upper``; a note says what the standard deviation is made of.

    Raises
    ------
    FitError
        For a generalized model, and for residuals of several variances.

    Notes
    -----
    As in emmeans' ``eff_size`` the standard error counts that of the standard deviation s, Var(d) = Var(diff) / s^2 +
    d^2 / (2 edf). Those of the model's are known with edf = 2 s^4 / Var(s^2), by the observed information.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age + Sex + (1 | Subject)", teeth).fit()
    >>> fit.cohens_d("Sex")
    Standardized differences (Cohen's d), with 95 % intervals
    <BLANKLINE>
          contrast     d    SE df Lower Upper
     Male - Female 1.007 0.346 25 0.294 1.720
    Differences are over the total standard deviation 2.306: residual 1.432, (1 | Subject) 1.807
    """
    if not is_linear(fit):
        raise FitError("Standardized differences are of linear models: of others compare by odds ratios or ratios.")
    level = coverage(level)
    divisor, freedom, note = _spread(fit, sd, edf)
    pairs = emmeans(fit, specs, by=by, ddf=ddf, **options).contrast(method, adjust="none")
    if isinstance(pairs, SimpleContrasts):
        raise FitError("Standardized differences are of one set of contrasts.")
    d = pairs.estimates.estimate / divisor
    se = np.sqrt((pairs.estimates.se / divisor) ** 2 + d**2 / (2.0 * freedom))
    half = wald.t_quantile(0.5 * (1.0 + level), pairs.estimates.df) * se
    frame = pairs.names.assign(d=d, SE=se, df=pairs.estimates.df, Lower=d - half, Upper=d + half)
    heading = (f"Standardized differences (Cohen's d), with {100.0 * level:g} % intervals", "")
    decimals = dict.fromkeys(("d", "SE", "Lower", "Upper"), 3)
    return Table(frame, heading=heading, notes=(note,), decimals=decimals, show_index=False)


def _spread(fit: LinearFit, sd: str | float, edf: float) -> tuple[float, float, str]:
    """The standard deviation that differences are over, the degrees of freedom that it is known with, and its parts."""
    if not isinstance(sd, str):
        if not float(sd) > 0.0:
            raise FitError(f"sd is a positive number, 'total' or 'residual', not {sd!r}.")
        return float(sd), edf, f"Differences are over the given standard deviation {sd:g}"
    if sd not in ("total", "residual"):
        raise FitError(f"sd is 'total', 'residual' or a number, not {sd!r}.")
    if is_structured(fit):
        raise FitError("residual= or dispersion= gives the rows several variances: say by sd= which one d is over.")
    known = variance_moments(fit)
    rate = np.ones(len(known.values)) if sd == "total" else np.eye(len(known.values))[-1]
    variance, error = float(rate @ known.values), known.variance_of(rate)
    root = np.sqrt(known.values)
    if sd == "total":
        names = [term.text for term in fit.model.design.random]
        parts = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, root, strict=False))
        whole = f"{np.sqrt(variance):.4g}: residual {root[-1]:.4g}, {parts}"
        note = f"Differences are over the total standard deviation {whole}"
    else:
        note = f"Differences are over the residual standard deviation {root[-1]:.4g}, random effects left out"
    return float(np.sqrt(variance)), 2.0 * variance**2 / error if error > 0.0 else np.inf, note
