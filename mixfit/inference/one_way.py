"""The ANOVA estimator of the balanced one-way layout: mean squares and their expectations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from mixfit.errors import DesignError, FormulaError
from mixfit.formula import parse
from mixfit.helped import helped
from mixfit.matrices.build import build
from mixfit.tables.numbers import format_common
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from mixfit.formula.terms import MixedFormula
    from mixfit.matrices.types import Design, Grouping

    Array = NDArray[np.float64]

__all__ = ["AnovaEstimate", "SumsOfSquares", "anova_estimator", "sums_of_squares"]

_FORM = "The ANOVA estimator is for one-way layouts, response ~ 1 + (1 | group)"
_ELSE = "fit other models by mixfit.mixed(formula, data).fit()"
# Groups that an error names: enough to see which are of another size.
_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class AnovaEstimate:
    """Variance components of a balanced one-way layout by the ANOVA estimator; see `mixfit.anova_estimator`.

    Attributes
    ----------
    formula : str
    group : str
        The grouping factor.
    n_groups : int
    n_per_group : int
        Observations in every group.
    mean : float
        Estimate of the mean, which is that of all observations.
    mean_se : float
        Its standard error, sqrt(mean square between groups / nobs), with n_groups - 1 degrees of freedom.
    sigma2_alpha : float
        Variance of the effects of groups. It may be negative, and then it is left so.
    sigma2 : float
        Residual variance: the mean square within groups.
    table : Table
        Analysis of variance: a row for the groups and one for the residual, with the columns ``Df``, ``Sum Sq``,
        ``Mean Sq``, ``F value`` and ``Pr(>F)``. The F test that groups do not differ is exact.
    n_dropped : int
        Rows left out because something was missing.
    """

    formula: str
    group: str
    n_groups: int
    n_per_group: int
    mean: float
    mean_se: float
    sigma2_alpha: float
    sigma2: float
    table: Table
    n_dropped: int

    @property
    def nobs(self) -> int:
        """Number of observations used."""
        return self.n_groups * self.n_per_group

    @property
    def icc(self) -> float:
        """Intraclass correlation, sigma2_alpha / (sigma2_alpha + sigma2); negative where sigma2_alpha is."""
        return self.sigma2_alpha / (self.sigma2_alpha + self.sigma2)

    @property
    def is_negative(self) -> bool:
        """Whether the variance of the groups is estimated below zero."""
        return self.sigma2_alpha < 0.0

    def summary(self) -> Table:
        """Return the analysis of variance with the variances that it estimates.

        Returns
        -------
        Table
            The columns of `table`, then ``Variance`` and ``Std.Dev.``, which is blank for a negative variance. A note
            says so where the variance of the groups is negative.
        """
        variances = np.array([self.sigma2_alpha, self.sigma2])
        deviations = np.sqrt(np.where(variances < 0.0, np.nan, variances))
        frame = self.table.frame.assign(**{"Variance": variances, "Std.Dev.": deviations})
        missing = f" ({self.n_dropped} deleted due to missingness)" if self.n_dropped else ""
        heading = (
            "Balanced one-way layout, variances by the ANOVA estimator",
            f"Formula: {self.formula}",
            f"Number of obs: {self.nobs}{missing}, groups: {self.group}, {self.n_groups} of {self.n_per_group} each",
            "",
        )
        mean, error, icc = (format_common([value], 5)[0] for value in (self.mean, self.mean_se, self.icc))
        notes = [f"Mean: {mean}, standard error {error}", f"Intraclass correlation: {icc}"]
        if self.is_negative:
            notes += [
                f"The variance of {self.group} is estimated as negative:",
                "its means scatter less than residuals alone would make them.",
                "It is not truncated; the REML estimate would be 0.",
            ]
        return Table(frame, heading=heading, notes=tuple(notes), p_column="Pr(>F)", significance=False)

    def __str__(self) -> str:
        return self.summary().as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.summary().as_html()


class SumsOfSquares(NamedTuple):
    """Decomposition of a one-way layout.

    Attributes
    ----------
    mean : float
        Of all observations.
    between : float
        Sum over the observations of (group mean - mean)**2.
    within : float
        Sum of (observation - group mean)**2.
    """

    mean: float
    between: float
    within: float


@helped
def anova_estimator(
    formula: str,
    data: Any,
    *,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: Literal["drop", "raise"] = "drop",
    context: Mapping[str, Any] | None = None,
) -> AnovaEstimate:
    r"""Estimate the variances of a balanced one-way layout from its mean squares.

    In the model :math:`y_{ij} = \mu + \alpha_i + \varepsilon_{ij}` with a groups of n observations, the mean square
    between groups has the expectation :math:`n \sigma^2_\alpha + \sigma^2` and the one within groups
    :math:`\sigma^2`. Set equal to what was observed, they give

    .. math:: \hat\sigma^2 = MS_E, \qquad \hat\sigma^2_\alpha = (MS_A - MS_E) / n.

    The estimator is unbiased without any assumption of normality, and for that it must sometimes be negative: it is
    reported as it is. Where it is not negative it is the REML estimate.

    Parameters
    ----------
    formula : str
        ``response ~ 1 + (1 | group)``, as `mixfit.mixed` reads it.
    data : pandas.DataFrame, or any table that narwhals reads eagerly (polars, pyarrow)
        Never changed.
    weights, offset : None
        Arguments of `mixfit.mixed` that this layout does not have: anything else is refused.
    na_action : {"drop", "raise"}
        What to do with rows in which response or group is missing.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.

    Returns
    -------
    AnovaEstimate

    Raises
    ------
    FormulaError
        For a formula that cannot be read, or is that of another model.
    DataError
        For a column that cannot be used.
    DesignError
        For groups of unequal sizes, one group, one observation in every group, a constant response, or weights.

    Notes
    -----
    Searle, Casella & McCulloch (1992), Variance Components, chapter 3; Faraway (2016), Extending the Linear Model
    with R, section 10.1.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> estimate = mixfit.anova_estimator("bright ~ 1 + (1|operator)", pulp)
    >>> round(estimate.sigma2_alpha, 5), round(estimate.sigma2, 5)
    (0.06808, 0.10625)
    >>> estimate
    Balanced one-way layout, variances by the ANOVA estimator
    Formula: bright ~ 1 + (1|operator)
    Number of obs: 20, groups: operator, 4 of 5 each
    <BLANKLINE>
              Df Sum Sq Mean Sq F value  Pr(>F) Variance Std.Dev.
    operator   3   1.34 0.44667  4.2039 0.02261 0.068083  0.26093
    Residuals 16   1.70 0.10625                 0.106250  0.32596
    Mean: 60.4, standard error 0.14944
    Intraclass correlation: 0.39054
    """
    parsed = parse(formula)
    _check_form(parsed, offset)
    if weights is not None:
        raise DesignError(f"{_FORM}, of rows that count alike, without weights; {_ELSE}, which takes weights.")
    design = build(parsed, data, None, None, na_action, context)
    grouping = design.random[0].grouping
    n = _common_size(grouping, design.n_dropped)
    if np.ptp(design.y) == 0.0:
        raise DesignError(f"The response {design.endog_name!r} is constant: there is no variance to estimate.")
    return _estimate(formula, design, grouping, n)


def sums_of_squares(y: Array, codes: NDArray[np.intp], n_groups: int) -> SumsOfSquares:
    """Split the sum of squares about the mean between and within groups.

    Parameters
    ----------
    y : ndarray, shape (n,)
    codes : ndarray of intp, shape (n,)
        Group of every observation.
    n_groups : int

    Returns
    -------
    SumsOfSquares

    Examples
    --------
    >>> sums_of_squares(np.array([1.0, 3.0, 5.0, 7.0]), np.array([0, 0, 1, 1]), 2)
    SumsOfSquares(mean=4.0, between=16.0, within=4.0)
    """
    mean = float(y.mean())
    deviations = y - mean
    size = np.bincount(codes, minlength=n_groups)
    effects = np.bincount(codes, deviations, minlength=n_groups) / size
    residuals = deviations - effects[codes]
    return SumsOfSquares(mean, float(size @ effects**2), float(residuals @ residuals))


def _estimate(formula: str, design: Design, grouping: Grouping, n: int) -> AnovaEstimate:
    a = grouping.n_levels
    sums = sums_of_squares(design.y, grouping.codes, a)
    df = np.array([a - 1, a * (n - 1)])
    squares = np.array([sums.between, sums.within])
    means = squares / df
    # Without any scatter within groups F is infinite, as it should be.
    with np.errstate(divide="ignore"):
        ratio = means[0] / means[1]
    frame = pd.DataFrame(
        {
            "Df": df,
            "Sum Sq": squares,
            "Mean Sq": means,
            "F value": [ratio, np.nan],
            "Pr(>F)": [float(fdtrc(df[0], df[1], ratio)), np.nan],
        },
        index=[grouping.name, "Residuals"],
    )
    return AnovaEstimate(
        formula=formula,
        group=grouping.name,
        n_groups=a,
        n_per_group=n,
        mean=sums.mean,
        mean_se=float(np.sqrt(means[0] / (a * n))),
        sigma2_alpha=float(means[0] - means[1]) / n,
        sigma2=float(means[1]),
        table=Table(frame, heading=("Analysis of Variance Table", ""), p_column="Pr(>F)"),
        n_dropped=design.n_dropped,
    )


def _check_form(parsed: MixedFormula, offset: object) -> None:
    fixed = [str(term) for term in parsed.fixed]
    if parsed.uses_dot:
        raise FormulaError(f"{_FORM}: `.` stands for other columns. Leave it out, or {_ELSE}.")
    if fixed != ["1"]:
        others = [name for name in fixed if name != "1"]
        wrong = f"it has no fixed effects like {', '.join(others)}" if others else "it has an intercept"
        raise FormulaError(f"{_FORM}: {wrong}. Write it so, or {_ELSE}.")
    if parsed.offsets or offset is not None:
        raise FormulaError(f"{_FORM}, without an offset. Subtract it from the response, or {_ELSE}, which takes one.")
    wrong_terms = [term.text for term in parsed.random if [str(column) for column in term.terms] != ["1"]]
    if len(parsed.random) != 1 or wrong_terms:
        found = ", ".join(term.text for term in parsed.random)
        raise FormulaError(f"{_FORM}: one random term, an intercept, and not {found}. Write it so, or {_ELSE}.")


def _common_size(grouping: Grouping, n_dropped: int) -> int:
    """Return the number of observations that every group has."""
    sizes = np.bincount(grouping.codes, minlength=grouping.n_levels)
    if (sizes == sizes[0]).all():
        return int(sizes[0])
    shown = [f"{level} ({size})" for level, size in zip(grouping.levels[:_SHOWN], sizes[:_SHOWN], strict=True)]
    more = "" if grouping.n_levels <= _SHOWN else f", and {grouping.n_levels - _SHOWN} more of {sizes.min()} to "
    more += f"{sizes.max()}" if more else ""
    missing = f" after {n_dropped} row(s) with missing values were left out" if n_dropped else ""
    raise DesignError(
        f"The groups of {grouping.name!r} are of unequal sizes{missing}: {', '.join(shown)}{more}. The ANOVA estimator "
        "is for balanced layouts; mixfit.mixed(formula, data).fit() estimates the variances by REML."
    )
