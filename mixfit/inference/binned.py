"""Residuals of binary responses, averaged where the model expects about the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.arguments import check_count
from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.draws import draw_rows
from mixfit.fitted.protocols import is_generalized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "RowBins",
    "binned_frame",
    "binned_residuals",
    "default_bins",
    "is_binary",
    "row_bins",
    "simulated_parts",
]

# 160 MB an array.
_CELLS_AT_ONCE = 20_000_000
# Bins have at least so many rows, for their means to be about normal.
_ROWS_A_BIN = 5


def is_binary(fit: Fit) -> bool:
    """Whether the responses are 0 and 1, each of one trial."""
    design = fit.model.design
    if not is_generalized(fit) or fit.model.family.kind != "proportion":
        return False
    return bool(np.isin(design.y, (0.0, 1.0)).all()) and (design.weights is None or bool((design.weights == 1.0).all()))


def binned_residuals(
    fit: Fit,
    bins: int | None = None,
    *,
    level: float | None = None,
    n: int = 250,
    seed: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    """Average observed less expected probabilities over rows of about equal expected probability.

    A residual of a 0/1 response lies on one of two curves and says nothing; means of many do (Gelman & Hill 2007,
    section 5.6). Probabilities are averages over the population of groups (``predict(re_form="marginal")``): those at
    the estimated random effects have been fitted to the very responses, and their means are off zero in a model that
    is true.

    Parameters
    ----------
    bins : int, optional
        Of about equally many rows; the square root of their number by default.
    level : float, optional
        Share of the means that would lie within their bounds, were the model true.
    n : int
        Number of simulated responses, with new random effects, that the bounds come from.
    seed : int, Generator or None
        As ``numpy.random.default_rng`` takes it.

    Returns
    -------
    DataFrame, shape (bins, 6)
        ``expected`` and ``residual``, means of a bin; ``n``, its rows; ``lower`` and ``upper``, the bounds of the mean
        residual; and whether it is ``inside``.

    Raises
    ------
    FitError
        For responses that are not 0 and 1, and no positive number of bins.

    Examples
    --------
    >>> import mixfit
    >>> toenail = mixfit.datasets.load("toenail")
    >>> fit = mixfit.mixed("outcome ~ treatment * time + (1 | patientID)", toenail, family="binomial").fit()
    >>> fit.binned_residuals(4, seed=1)["n"].tolist()
    [477, 477, 477, 477]
    """
    level = coverage(level)
    if not is_binary(fit):
        raise FitError("binned_residuals() is for responses of 0 and 1; for others see quantile_residuals().")
    check_count("n", n)
    if bins is None:
        bins = default_bins(fit.nobs)
    check_count("bins", bins)
    rng = np.random.default_rng(seed)
    p = np.asarray(fit.predict(re_form="marginal"), dtype=float)
    rows = row_bins(p, min(bins, fit.nobs))
    drawn = [rows.means(part - p[:, None]) for part in simulated_parts(fit, n, rng)]
    return binned_frame(rows, p, fit.model.design.y, np.concatenate(drawn, axis=1), level)


def simulated_parts(fit: Fit, n: int, rng: np.random.Generator) -> Iterator[Array]:
    """Responses drawn with new random effects, (nobs, m) at a time, n altogether."""
    step = max(1, _CELLS_AT_ONCE // fit.nobs)
    for start in range(0, n, step):
        m = min(step, n - start)
        yield np.asarray(draw_rows(fit, m, "population", rng))


def default_bins(rows: int) -> int:
    """The square root of the number of rows, with some in each bin."""
    return max(1, min(int(np.sqrt(rows)), rows // _ROWS_A_BIN))


@dataclass(frozen=True, eq=False)
class RowBins:
    """Rows in bins, by what is expected of them.

    Attributes
    ----------
    order : ndarray of intp, shape (nobs,)
        Rows, bin by bin.
    first : ndarray of intp, shape (bins,)
        Where each begins in that order.
    count : ndarray of intp, shape (bins,)
    """

    order: Index
    first: Index
    count: Index

    def means(self, columns: Array) -> Array:
        """Of columns (nobs, m) in every bin, (bins, m)."""
        return np.asarray(np.add.reduceat(columns[self.order], self.first, axis=0) / self.count[:, None])


def row_bins(p: Array, bins: int) -> RowBins:
    """Bins of about equally many rows of about the same p."""
    first = -(-np.arange(bins) * len(p) // bins)
    return RowBins(np.argsort(p, kind="stable"), first, np.diff(np.append(first, len(p))))


def binned_frame(rows: RowBins, p: Array, y: Array, drawn: Array, level: float) -> pd.DataFrame:
    """Mean residuals of bins, with bounds from those of simulated responses, (bins, n)."""
    lower, upper = np.quantile(drawn, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=1)
    expected, residual = rows.means(np.column_stack([p, y - p])).T
    return pd.DataFrame(
        {
            "expected": expected,
            "residual": residual,
            "n": rows.count,
            "lower": lower,
            "upper": upper,
            "inside": (lower <= residual) & (residual <= upper),
        }
    )
