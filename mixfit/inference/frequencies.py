"""How often each count is observed, and how often the fitted model expects it (Kleiber & Zeileis 2016).

The expected number of rows with count j is sum_i P(y_i = j), given the modes of the random effects: a count model that
misses the zeros, or the tail, shows it there, whatever its mean is like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.families.several import SeveralPredictors
from mixfit.fitted.protocols import is_generalized
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, GeneralizedFit

    Array = NDArray[np.float64]

__all__ = ["frequencies"]

# Counts by themselves where there are no more of them: a larger table is of classes.
_MOST = 1000


def frequencies(fit: Fit, largest: int | None = None) -> Table:
    """Compare the observed number of each count with what the model expects, as a rootogram draws it.

    Parameters
    ----------
    largest : int, optional
        The largest count with a row of its own, those above it being taken together; the largest observed one by
        default.

    Returns
    -------
    Table
        Rows ``0``, ``1``, ..., and those above; columns ``observed``, ``expected``, given the random effects at their
        modes and with further zeros, and ``ratio``.

    Raises
    ------
    FitError
        For responses that are no counts, and a `largest` of more than 1,000 rows.

    References
    ----------
    Kleiber & Zeileis (2016), The American Statistician 70, 296-303.

    Examples
    --------
    >>> import mixfit
    >>> ticks = mixfit.datasets.load("grouseticks")
    >>> fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="nbinom2").fit()
    >>> fit.frequencies(2).frame.round(1)
        observed  expected  ratio
    0        126     118.7    1.1
    1         62      72.0    0.9
    2         42      42.7    1.0
    >2       173     169.6    1.0
    """
    if not is_generalized(fit) or fit.model.family.kind != "count":
        raise FitError("frequencies() compares counts, and the response is none: see quantile_residuals().")
    y = fit.model.design.y
    top = int(y.max()) if largest is None else largest
    if not 0 <= top <= _MOST:
        raise FitError(f"largest is a count up to {_MOST}, not {top}: counts above it are taken together.")
    expected = np.array([_probabilities(fit, float(j)).sum() for j in range(top + 1)])
    observed = np.bincount(y.astype(np.intp), minlength=top + 1)
    counts = np.append(observed[: top + 1], observed[top + 1 :].sum())
    whole = np.append(expected, len(y) - expected.sum())
    names = [*map(str, range(top + 1)), f">{top}"]
    with np.errstate(divide="ignore", invalid="ignore"):
        frame = pd.DataFrame({"observed": counts, "expected": whole, "ratio": counts / whole}, index=names)
    return Table(frame, heading=("Observed and expected frequencies",))


def _probabilities(fit: GeneralizedFit, count: float) -> Array:
    """P(y_i = count) of every row at the modes, (nobs,)."""
    estimate, n = fit.estimate, fit.nobs
    eta = np.stack([estimate.eta, *(f.eta for f in estimate.further.values())])
    several = SeveralPredictors(("mean", *estimate.further))
    with np.errstate(all="ignore"):
        loglik = several.loglik(fit.family, np.full(n, count), np.ones(n), eta, estimate.phi)
    # A count below the support, of a distribution without zeros, has no probability.
    known = several.zero is not None or count >= fit.family.support.lower
    return np.exp(loglik) if known else np.zeros(n)
