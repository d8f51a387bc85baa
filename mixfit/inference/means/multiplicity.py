r"""p-values and critical values of several tests of one family.

Bonferroni, Sidak and Scheffe by their formulas; Tukey's from the studentized range (Tukey 1953; Kramer 1956 for
unequal variances); the stepwise methods from statsmodels. "dunnettx" is the approximation of R's emmeans to
Dunnett's distribution for n comparisons with one control,

    P(max|t| <= x) = (1 - 1/n) Q(sqrt(2) x; m, df) + P(|t| <= x)^n / n,   m = (1 + sqrt(1 + 8n)) / 2,

Q the studentized range of m means, of which n differences can be made. "mvt" takes the joint t distribution of the
statistics (Hothorn, Bretz & Westfall 2008, Biometrical Journal 50(3), 346-363): with t = R A u, u uniform on the sphere
of r dimensions, R^2 / r ~ F(r, df) and AA' their correlation of rank r,

    P(max|t| > x) = E_u P(F(r, df) > (x / max|A u|)^2 / r),

so that only the directions u are sampled, and small probabilities keep their digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.spellings import nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ADJUSTMENTS", "JOINT", "ComparisonFamily", "adjusted_p_values", "critical_values", "resolve"]

_STEPWISE = {
    "holm": "holm",
    "hochberg": "simes-hochberg",
    "hommel": "hommel",
    "fdr": "fdr_bh",
    "BH": "fdr_bh",
    "BY": "fdr_by",
}
ADJUSTMENTS = ("none", "tukey", "sidak", "bonferroni", "scheffe", "dunnettx", "mvt", *_STEPWISE)
_TWO_SIDED = frozenset({"tukey", "scheffe", "dunnettx"})
#: Adjustments by the joint distribution of the statistics.
JOINT = frozenset({"mvt", "scheffe"})

# 16,384 directions give a p-value to about 1e-4 of itself, the same at each call.
_LOG2_DIRECTIONS = 14
# Of a correlation matrix that is known to about 1e-12.
_RANK = 1e-8


@dataclass(frozen=True, eq=False)
class ComparisonFamily:
    """Tests that are adjusted together.

    Attributes
    ----------
    size : int
        Number of tests n; those that cannot be estimated count.
    means : int
        Number of means that they compare.
    pairwise : bool
        Whether they are all pairwise differences.
    correlation : ndarray, shape (k, k)
        Of the k estimates that there are; only the adjustments in `JOINT` look at it.
    """

    size: int
    means: int
    pairwise: bool
    correlation: Array = field(default_factory=lambda: np.eye(0))


def resolve(
    adjust: str, family: ComparisonFamily, *, intervals: bool = False, sided: bool = False
) -> tuple[str, tuple[str, ...]]:
    """The adjustment that is applied for the one asked for, and notes on the difference.

    `sided` says that the tests are one-sided: the range of several means is of two-sided ones.

    Raises
    ------
    FitError
        For an unknown adjustment.
    """
    if adjust not in ADJUSTMENTS:
        known = ", ".join(map(repr, ADJUSTMENTS))
        raise FitError(f"adjust is one of {known}, not {adjust!r}.{nearest(adjust, ADJUSTMENTS)}")
    if family.size < 2:
        return "none", ()
    if sided and adjust in _TWO_SIDED:
        return "sidak", (
            f'Note: adjust = "{adjust}" was changed to "sidak"',
            f'because "{adjust}" is not appropriate for one-sided inferences',
        )
    if adjust == "tukey" and not family.pairwise:
        return "sidak", (
            'Note: adjust = "tukey" was changed to "sidak"',
            'because "tukey" is only appropriate for one set of pairwise comparisons',
        )
    # a stepwise procedure has no intervals of its own
    return ("bonferroni" if intervals and adjust in _STEPWISE else adjust), ()


def adjusted_p_values(statistics: Array, df: Array, adjust: str, family: ComparisonFamily, tail: int = 0) -> Array:
    """p-values of t statistics, adjusted.

    Parameters
    ----------
    statistics, df : ndarray, shape (n,)
        NaN where there is no test; df may be infinite.
    adjust : str
        From `resolve`.
    family : ComparisonFamily
    tail : {0, 1, -1}
        Both tails, the right or the left one.

    Returns
    -------
    ndarray, shape (n,)

    Examples
    --------
    >>> family = ComparisonFamily(3, 3, True)
    >>> adjusted_p_values(np.array([2.5]), np.array([10.0]), "tukey", family).round(4).tolist()
    [0.074]
    """
    known = ~np.isnan(statistics) & ~np.isnan(df)
    out = np.full(len(statistics), np.nan)
    if not known.any():
        return out
    x, freedom = np.abs(statistics[known]) if tail == 0 else tail * statistics[known], df[known]
    if adjust in _STEPWISE:
        alone = _two_sided(x, freedom) if tail == 0 else _right(x, freedom)
        out[known] = _stepwise(alone, _STEPWISE[adjust], family.size)
    elif tail != 0:
        out[known] = np.clip(_right_tail(x, freedom, adjust, family), 0.0, 1.0)
    else:
        out[known] = np.clip(_tail(x, freedom, adjust, family), 0.0, 1.0)
    return out


def critical_values(df: Array, adjust: str, family: ComparisonFamily, level: float) -> Array:
    """What standard errors are multiplied by, so that all intervals of the family cover with probability `level`.

    Parameters
    ----------
    df : ndarray, shape (n,)
        NaN where there is no interval.
    adjust : str
        From `resolve`, for intervals.
    family : ComparisonFamily
    level : float
        Between 0 and 1.

    Returns
    -------
    ndarray, shape (n,)

    Raises
    ------
    FitError
        For another level.

    Examples
    --------
    >>> critical_values(np.array([10.0, np.inf]), "none", ComparisonFamily(1, 2, True), 0.95).round(3).tolist()
    [2.228, 1.96]
    """
    if not 0.0 < level < 1.0:
        raise FitError(f"level is a coverage between 0 and 1, not {level!r}.")
    out = np.full(len(df), np.nan)
    # equal degrees of freedom often differ by rounding alone, and each of them takes a search
    values, place = np.unique(np.round(df[~np.isnan(df)], 9), return_inverse=True)
    out[~np.isnan(df)] = np.array([_critical(value, adjust, family, 1.0 - level) for value in values])[place]
    return out


def _critical(df: float, adjust: str, family: ComparisonFamily, alpha: float) -> float:
    from scipy.optimize import brentq

    single, n = _two_sided_quantile(alpha, df), family.size
    if adjust == "none":
        return single
    if adjust == "sidak":
        return _two_sided_quantile(float(-np.expm1(np.log1p(-alpha) / n)), df)
    bonferroni = _two_sided_quantile(alpha / n, df)
    if adjust == "bonferroni":
        return bonferroni
    if adjust == "scheffe":
        rank = _rank(family.correlation)
        return float(np.sqrt(rank * _f_quantile(alpha, rank, df)))
    freedom = np.array([df])
    return float(
        brentq(
            lambda x: float(_tail(np.array([x]), freedom, adjust, family)[0]) - alpha,
            0.9 * single,
            1.5 * bonferroni,
            xtol=1e-10,
        )
    )


def _tail(x: Array, df: Array, adjust: str, family: ComparisonFamily) -> Array:
    """Probability that the largest of the |t| of the family exceeds x, or its bound."""
    n = family.size
    if adjust == "none":
        return _two_sided(x, df)
    if adjust == "bonferroni":
        return n * _two_sided(x, df)
    if adjust == "sidak":
        return np.asarray(-np.expm1(n * np.log1p(-_two_sided(x, df))))
    if adjust == "tukey":
        return _studentized_range(x, df, family.means)
    if adjust == "dunnettx":
        means = (1.0 + np.sqrt(1.0 + 8.0 * n)) / 2.0
        range_tail = _studentized_range(x, df, means)
        return np.asarray(range_tail + (_tail(x, df, "sidak", family) - range_tail) / n)
    if adjust == "scheffe":
        rank = _rank(family.correlation)
        return _f_tail(x**2 / rank, rank, df)
    rank = _rank(family.correlation)
    largest = np.abs(_projections(family.correlation, rank)).max(axis=1)
    return np.array([_f_tail((q / largest) ** 2 / rank, rank, v).mean() for q, v in zip(x, df, strict=True)])


def _right_tail(x: Array, df: Array, adjust: str, family: ComparisonFamily) -> Array:
    """Probability that the largest t of the family exceeds x, or its bound."""
    n, alone = family.size, _right(x, df)
    if adjust == "none":
        return alone
    if adjust == "bonferroni":
        return n * alone
    if adjust == "sidak":
        return np.asarray(-np.expm1(n * np.log1p(-alone)))
    rank = _rank(family.correlation)
    largest = _projections(family.correlation, rank).max(axis=1)
    return np.array([_exceeds(q, largest, rank, v) for q, v in zip(x, df, strict=True)])


def _exceeds(x: float, largest: Array, rank: int, df: float) -> float:
    """P(R m > x) for lengths R and the largest projections m of the directions, which may be negative."""
    with np.errstate(divide="ignore"):
        beyond = _f_tail((x / largest) ** 2 / rank, rank, df)
    if x > 0.0:
        return float(np.where(largest > 0.0, beyond, 0.0).mean())
    return 1.0 - float(np.where(largest < 0.0, beyond, 0.0).mean())


def _right(x: Array, df: Array) -> Array:
    from scipy.stats import t

    return np.asarray(t.sf(x, df))


def _two_sided(x: Array, df: Array) -> Array:
    from scipy.stats import t

    return np.asarray(2.0 * t.sf(x, df))


def _two_sided_quantile(alpha: float, df: float) -> float:
    from scipy.stats import t

    return float(t.isf(alpha / 2.0, df))


def _studentized_range(x: Array, df: Array, means: float) -> Array:
    from scipy.stats import studentized_range

    return np.asarray(studentized_range.sf(np.sqrt(2.0) * x, means, df))


def _f_tail(x: Array, rank: int, df: float | Array) -> Array:
    from scipy.stats import chi2, f

    # scipy's F distribution has no infinite degrees of freedom
    finite = np.isfinite(df)
    return np.where(finite, f.sf(x, rank, np.where(finite, df, 1.0)), chi2.sf(rank * x, rank))


def _f_quantile(alpha: float, rank: int, df: float) -> float:
    from scipy.stats import chi2, f

    return float(f.isf(alpha, rank, df) if np.isfinite(df) else chi2.isf(alpha, rank) / rank)


def _stepwise(p: Array, method: str, n: int) -> Array:
    from statsmodels.stats.multitest import multipletests

    # Tests that could not be made take part as if they had shown nothing, as they do in emmeans.
    every = np.concatenate([p, np.ones(n - len(p))])
    return np.asarray(multipletests(every, method=method)[1][: len(p)])


def _rank(correlation: Array) -> int:
    values = np.linalg.eigvalsh(correlation)
    return int((values > _RANK * values[-1]).sum())


def _projections(correlation: Array, rank: int) -> Array:
    """A u for quasi-random directions u, AA' the correlation: shape (number of directions, k)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    values, vectors = np.linalg.eigh(correlation)
    A = vectors[:, -rank:] * np.sqrt(values[-rank:])
    points = qmc.Sobol(rank, scramble=False).random_base2(_LOG2_DIRECTIONS)
    # the middles of the cells, for the first point is 0
    normal = ndtri(points + 0.5 ** (_LOG2_DIRECTIONS + 1))
    u = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(u @ A.T)
