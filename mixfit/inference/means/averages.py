"""Averages over rows, tested and with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.defaults import coverage
from mixfit.errors import DataError
from mixfit.inference.means.marginal_frames import as_html, as_text
from mixfit.inference.means.specs import as_names
from mixfit.tables.table import Framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.means.unit_means import UnitMeans

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Averages", "Grouped", "averages", "grouped_rows", "stacked"]


@dataclass(frozen=True, eq=False)
class Averages(Framed):
    """Averages over rows, as marginaleffects has them.

    Attributes
    ----------
    frame : DataFrame
        What each is of, ``estimate``, ``SE``, ``df``, ``t.ratio`` or ``z.ratio``, ``p.value`` (of zero, or of a ratio
        of one), ``lower.CL``, ``upper.CL``.
    cov : ndarray, shape (k, k)
        Covariance of the estimates.
    notes : tuple of str

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> fit.avg_predictions()["estimate"].round(3).tolist()
    [0.104]
    """

    frame: pd.DataFrame
    cov: Array
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return as_text(self.frame, (), self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.frame, (), self.notes)


@dataclass(frozen=True, eq=False)
class Grouped:
    """Rows and the groups that averages are taken in.

    Attributes
    ----------
    names : DataFrame, g rows
        Values of the variables of each group; one row without columns for all rows together.
    codes : ndarray of intp, shape (m,)
    """

    names: pd.DataFrame
    codes: Index

    def mean(self, values: Array) -> Array:
        """Averages (g, ...) of values (m, ...) of the rows."""
        order = np.argsort(self.codes, kind="stable")
        counts = np.bincount(self.codes, minlength=len(self.names))
        sums = np.add.reduceat(values[order], np.cumsum(counts) - counts, axis=0)
        return np.asarray(sums / counts.reshape(-1, *(1,) * (values.ndim - 1)))


def grouped_rows(rows: pd.DataFrame, by: str | Sequence[str] | None) -> Grouped:
    """Groups of rows by the values of some columns.

    Raises
    ------
    DataError
        For a column that is not there, and where there are no rows.
    """
    names = list(as_names(by))
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise DataError(f"There is no column {unknown[0]!r} to average by; there are {', '.join(map(str, rows))}.")
    if not len(rows):
        raise DataError("There are no rows to average over.")
    if not names:
        return Grouped(pd.DataFrame(index=[0]), np.zeros(len(rows), dtype=np.intp))
    grouped = rows.groupby(names, sort=True, observed=True)
    firsts = rows.loc[:, names].iloc[grouped.head(1).index]
    codes = grouped.ngroup().to_numpy().astype(np.intp)
    return Grouped(firsts.iloc[np.argsort(codes[firsts.index])].reset_index(drop=True), codes)


def averages(
    of: UnitMeans,
    names: pd.DataFrame,
    estimate: Array,
    J: Array,
    level: float | None,
    null: float = 0.0,
    ratio: bool = False,
) -> Averages:
    """Test estimates (k,) with the derivatives J (k, q) in the parameters; `ratio` has them as logarithms.

    Of several categories they are (k, K) and (k, K, q), and have a row each.
    """
    level = coverage(level)
    if of.categories:
        k, n = estimate.shape
        names = names.loc[names.index.repeat(n)].reset_index(drop=True)
        names.insert(0, "category", list(of.categories) * k)
        estimate, J = estimate.ravel(), J.reshape(k * n, -1)
    cov = J @ of.cov @ J.T
    se = np.sqrt(np.maximum(np.diagonal(cov), 0.0))
    df = of.df(J)
    statistic = wald.ratios(estimate - null, se)
    half = wald.t_quantile(0.5 * (1.0 + level), df) * se
    lower, upper = estimate - half, estimate + half
    shown: dict[str, Any] = {"estimate": estimate, "SE": se, "df": df}
    if ratio:
        grown = np.exp(estimate)
        shown = {"estimate": grown, "SE": grown * se, "df": df}
        lower, upper, cov = np.exp(lower), np.exp(upper), cov * np.outer(grown, grown)
    shown["z.ratio" if np.isinf(df).all() else "t.ratio"] = statistic
    shown |= {"p.value": wald.t_tails(statistic, df), "lower.CL": lower, "upper.CL": upper}
    design = of.fit.model.design
    response = "mean responses" if design.transformation is None else str(design.endog_name)
    what = {"response": response, "link": "the linear predictor", "zero": "probabilities of a further zero"}
    if of.fit.model.design.categories is not None:
        what |= {"response": "probabilities", "prob": "probabilities", "mean": "numbers of categories"}
        what["cumulative"] = "probabilities of a category or a lower one"
    notes = [f"Averages over rows, of {what.get(of.what, of.what)}"]
    if of.marginal:
        notes.append("Means are averaged over the random effects.")
    if of.method is not None:
        notes.append(f"Degrees of freedom by {of.method.label}")
    if ratio:
        notes.append("Tests and intervals are on the log scale")
    return Averages(names.assign(**shown), cov, (*notes, f"Confidence level used: {level:g}"))


def stacked(parts: Sequence[tuple[pd.DataFrame, Array, Array]]) -> tuple[pd.DataFrame, Array, Array]:
    """Names, estimates and derivatives of several terms, one below the other."""
    names = pd.concat([name for name, _, _ in parts], ignore_index=True)
    return names, np.concatenate([e for _, e, _ in parts]), np.concatenate([j for _, _, j in parts])
