"""Six looks at a fit: each a number, where there is one a test, and a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.wald import t_tails

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.tables.table import Table

    Array = NDArray[np.float64]

__all__ = [
    "DOUBTFUL",
    "Check",
    "homogeneity",
    "influence",
    "linearity",
    "normal_modes",
    "normality",
    "numbers",
    "predictive",
    "predictive_statistics",
    "trend",
    "uniformity",
]

#: Where a sentence says that something is to be looked at: one true model in twenty, of each look.
DOUBTFUL = 0.05
# Shapiro and Wilk's p-value is known up to so many.
_SHAPIRO = 5000
# Fewer values have no shape to test.
_FEWEST = 8
_NAMED = 3
# Skewness by its standard error that is no chance; and the excess kurtosis that goes with it in gamma distributions,
# 1.5 times its square: values lean where theirs is at least a third of what they have.
_LEANS = 2.0
_GAMMA, _OF_GAMMA = 1.5, 1.0 / 3.0

# Statistics of columns of responses that a predictive check compares.
_LOOKS: dict[str, Callable[[Array], Array]] = {
    "mean": lambda v: np.asarray(v.mean(axis=0)),
    "standard deviation": lambda v: np.asarray(v.std(axis=0)),
    "zeros": lambda v: np.count_nonzero(v == 0.0, axis=0).astype(float),
    "smallest": lambda v: np.asarray(v.min(axis=0)),
    "largest": lambda v: np.asarray(v.max(axis=0)),
}


@dataclass(frozen=True)
class Check:
    """One look.

    Attributes
    ----------
    name : str
        Such as ``"linearity"``.
    statistic : str
        What `value` is.
    value, p_value : float
        NaN where there is none.
    doubtful : bool
        Whether there is something to look at.
    words : str
        What was found, in a sentence.
    """

    name: str
    statistic: str
    value: float
    p_value: float
    doubtful: bool
    words: str


def trend(x: Array, y: Array, degree: int) -> tuple[float, float]:
    """The t test of the highest power of x in a polynomial regression of y, and its p-value.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
    degree : int

    Returns
    -------
    tuple of float
        NaN where x has too few values.

    Examples
    --------
    >>> x = np.arange(20.0)
    >>> t, p = trend(x, (x - 9.5) ** 2 + np.cos(7.0 * x), 2)
    >>> t > 50.0, p < 1e-10
    (True, True)
    """
    if len(np.unique(x)) <= degree + 1 or len(x) <= degree + 2:
        return float("nan"), float("nan")
    spread = x.std()
    powers = np.vander((x - x.mean()) / spread, degree + 1, increasing=True)
    q, _ = np.linalg.qr(powers)
    scores = q.T @ y
    df = len(x) - degree - 1
    left = float(y @ y - scores @ scores)
    if left <= 0.0:
        return float("nan"), float("nan")
    # The sign of the last column of Q is that of the triangle's diagonal, which is free.
    sign = np.sign(float(q[:, -1] @ powers[:, -1]))
    t = float(sign * scores[-1] / np.sqrt(left / df))
    return t, float(t_tails(np.array([t]), np.array([float(df)]))[0])


def predictive_statistics(y: Array, *, whole: bool) -> dict[str, Callable[[Array], Array]]:
    """Statistics of columns of responses (nobs, m) that are compared with those of the data."""
    names = ["standard deviation", "zeros" if whole else "smallest", "largest"]
    if whole and len(np.unique(y)) == 2:
        names = ["mean"]
    return {name: _LOOKS[name] for name in names}


def predictive(y: Array, statistics: dict[str, Array]) -> Check:
    """Place of what is observed among what is simulated, (n,) of each statistic: the farthest of them."""
    rows = []
    for name, drawn in statistics.items():
        observed, n = float(_LOOKS[name](y[:, None])[0]), len(drawn)
        tail = min(np.count_nonzero(drawn <= observed), np.count_nonzero(drawn >= observed))
        # Of those beyond all simulated ones the farthest, by their spread.
        far = abs(observed - drawn.mean()) / (drawn.std() or 1.0)
        rows.append((min(1.0, 2.0 * (tail + 1) / (n + 1)), -far, name, observed, float(np.median(drawn))))
    p, _, name, observed, typical = min(rows)
    p = min(1.0, p * len(rows))
    words = "Simulated responses look like the data."
    if p < DOUBTFUL:
        more = "larger" if observed > typical else "smaller"
        what = {"zeros": "number of zeros", "smallest": "smallest response", "largest": "largest response"}
        words = f"The {what.get(name, name)}, {observed:.4g}, is {more} than simulated ones, about {typical:.4g}."
    ratio = observed / typical if typical else float("nan")
    return Check("predictive check", f"{name}, data / simulated", ratio, p, p < DOUBTFUL, words)


def linearity(fitted: Array, residuals: Array, binned: pd.DataFrame | None) -> Check:
    """Whether a curve is left in residuals against fitted values, or binned residuals lie outside their bounds."""
    if binned is not None:
        from scipy.stats import binom

        outside = int((~binned["inside"]).sum())
        p = float(binom.sf(outside - 1, len(binned), DOUBTFUL))
        share = outside / len(binned)
        words = f"{outside} of {len(binned)} binned residuals lie outside their bounds"
        words += ": the mean is of another form." if p < DOUBTFUL else ", as they may."
        return Check("linearity", "bins outside", share, p, p < DOUBTFUL, words)
    t, p = trend(fitted, residuals, 2)
    if np.isnan(t):
        return Check("linearity", "t of the curve", t, p, False, "Fitted values are too few to tell.")
    doubtful = p < DOUBTFUL
    words = "No curve is left in the residuals."
    if doubtful:
        words = f"Residuals bend {'up' if t > 0 else 'down'}wards at both ends: the mean is of another form."
    return Check("linearity", "t of the curve", t, p, doubtful, words)


def homogeneity(fitted: Array, residuals: Array, dispersion: tuple[float, float] | None, n: int) -> Check:
    """Whether residuals spread alike, or responses vary as the family says: ratio and p-value from n simulations."""
    if dispersion is not None:
        ratio, p = dispersion
        # A tail of n simulations is no smaller than that of one more.
        p = max(p, 2.0 / (n + 1))
        doubtful = p < DOUBTFUL
        words = "Responses vary as the family says."
        if doubtful:
            words = f"Responses vary {'more' if ratio > 1 else 'less'} than the family says, {ratio:.2f} times."
        return Check("dispersion", "variance, data / simulated", ratio, p, doubtful, words)
    t, p = trend(fitted, np.sqrt(np.abs(residuals)), 1)
    if np.isnan(t):
        return Check("homogeneity", "t of the trend", t, p, False, "Fitted values are too few to tell.")
    doubtful = p < DOUBTFUL
    words = "Residuals spread alike for all fitted values."
    if doubtful:
        words = f"Residuals spread {'more' if t > 0 else 'less'} where fitted values are large."
    return Check("homogeneity", "t of the trend", t, p, doubtful, words)


def influence(by: str, cooks: pd.Series[float] | None, limit: float) -> Check:
    """Which levels stand out by their Cook's distances."""
    none = float("nan")
    if cooks is None or cooks.isna().all():
        return Check("influence", "", none, none, False, "Without refits there is no telling what one group moves.")
    high = cooks[cooks > limit].sort_values(ascending=False)
    words = f"No level of {by} stands out (the largest Cook's distance is that of {cooks.idxmax()})."
    if len(high):
        named = ", ".join(map(str, high.index[:_NAMED])) + (", ..." if len(high) > _NAMED else "")
        words = f"{by} {named}: fixed effects move most without {'it' if len(high) == 1 else 'them'}."
    return Check("influence", "Cook's distance", float(cooks.max()), none, len(high) > 0, words)


def normality(name: str, what: str, values: Array) -> Check:
    """Whether values are normal."""
    statistic, p = _normal_test(values)
    label = "W" if len(values) <= _SHAPIRO else "K2"
    doubtful = p < DOUBTFUL
    return Check(name, label, statistic, p, doubtful, _shape(what, values) if doubtful else f"{what} look normal.")


def _normal_test(values: Array) -> tuple[float, float]:
    if len(values) < _FEWEST or np.ptp(values) == 0.0:
        return float("nan"), float("nan")
    from scipy.stats import normaltest, shapiro

    found = shapiro(values) if len(values) <= _SHAPIRO else normaltest(values)
    return float(found.statistic), float(found.pvalue)


def _shape(what: str, values: Array) -> str:
    """How values differ from a normal distribution: leaning, or in their tails alone."""
    from scipy.stats import kurtosis, skew

    lean, tails = float(skew(values)), float(kurtosis(values))
    if abs(lean) > _LEANS * np.sqrt(6.0 / len(values)) and _GAMMA * lean**2 > _OF_GAMMA * tails:
        return f"{what} are skewed to the {'right' if lean > 0 else 'left'}."
    return f"{what} have {'heavier' if tails > 0 else 'lighter'} tails than a normal distribution."


def numbers(tests: Table, name: str) -> tuple[float, float]:
    """Statistic and p-value of a row."""
    row = dict(
        zip(tests.frame.index, tests.frame[["statistic", "p.value"]].to_numpy(dtype=float).tolist(), strict=True)
    )
    statistic, p = row[name]
    return statistic, p


def uniformity(tests: Table) -> Check:
    """Whether quantile residuals are uniform."""
    d, p = numbers(tests, "uniformity")
    words = "Quantile residuals are uniform."
    if p < DOUBTFUL:
        words = "Quantile residuals are not uniform: responses have another distribution."
    return Check("quantile residuals", "Kolmogorov-Smirnov D", d, p, p < DOUBTFUL, words)


def normal_modes(modes: dict[str, Array]) -> Check:
    """Whether the standardized modes of each random column are normal."""
    none = float("nan")
    tested = {name: _normal_test(values) for name, values in modes.items()}
    tested = {name: found for name, found in tested.items() if not np.isnan(found[1])}
    if not tested:
        words = "There are too few levels with variance to tell." if modes else "No random effect has variance."
        return Check("normality of random effects", "W", none, none, False, words)
    worst = min(tested, key=lambda name: tested[name][1])
    p = min(1.0, tested[worst][1] * len(tested))
    words = "Random effects look normal."
    if p < DOUBTFUL:
        words = _shape(f"Effects {worst}", modes[worst])
    label = "W" if len(modes[worst]) <= _SHAPIRO else "K2"
    return Check("normality of random effects", label, tested[worst][0], p, p < DOUBTFUL, words)
