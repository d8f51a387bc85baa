"""What predictions of left-out rows are worth: scores of each group and of all rows, and their calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.arguments import check_count
from mixfit.errors import ArgumentError, FitError
from mixfit.fitted.protocols import is_generalized, is_linear
from mixfit.wald import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]
    Score = Callable[[Any, Any], float]

__all__ = ["Scored", "Scorer", "calibration_of_intervals", "calibration_of_means", "read_scoring"]

# Of central intervals: the tenths, and what is most asked for.
_COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows whose predictions are scored.

    Attributes
    ----------
    observed, mean, log_density : ndarray, shape (N,)
    trials : ndarray, shape (N,), or None
        Numbers of trials of responses that are proportions.
    joint : ndarray, shape (q,)
        Log predictive densities of groups.
    codes : ndarray of intp, shape (N,)
    """

    observed: Array
    mean: Array
    log_density: Array
    trials: Array | None
    joint: Array
    codes: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Mean:
    """A function of the mean over rows.

    Attributes
    ----------
    values : callable
        What is averaged, (N,).
    finish : callable
        Of the average.
    by_trial : bool
        Whether each trial counts, and not each row.
    """

    values: Callable[[Scored], Array]
    finish: Callable[[Array], Array] = np.asarray
    by_trial: bool = False

    def of_groups(self, rows: Scored) -> Array:
        """The score of every group, (q,)."""
        q, weight = len(rows.joint), self._weights(rows)
        total, of_values = (np.bincount(rows.codes, w, q) for w in (weight, weight * self.values(rows)))
        return self.finish(of_values / total)

    def of_all(self, rows: Scored) -> float:
        """The score of all rows."""
        mean = np.average(self.values(rows), weights=self._weights(rows))
        return float(self.finish(np.array([mean]))[0])

    def _weights(self, rows: Scored) -> Array:
        return rows.trials if self.by_trial and rows.trials is not None else np.ones(len(rows.mean))


@dataclass(frozen=True, eq=False)
class _Joint:
    """Log densities of groups over the number of their rows."""

    def of_groups(self, rows: Scored) -> Array:
        return rows.joint / np.bincount(rows.codes, minlength=len(rows.joint))

    def of_all(self, rows: Scored) -> float:
        return float(rows.joint.sum() / len(rows.mean))


@dataclass(frozen=True, eq=False)
class _OfMeans:
    """A function of observed and predicted values, as those of ``sklearn.metrics``."""

    function: Score

    def of_groups(self, rows: Scored) -> Array:
        order = np.argsort(rows.codes, kind="stable")
        ends = np.cumsum(np.bincount(rows.codes, minlength=len(rows.joint)))[:-1]
        parts = (np.split(values[order], ends) for values in (rows.observed, rows.mean))
        return np.array([self.function(*pair) for pair in zip(*parts, strict=True)], dtype=float)

    def of_all(self, rows: Scored) -> float:
        return float(self.function(rows.observed, rows.mean))


Scorer = _Mean | _Joint | _OfMeans

_SCORES: dict[str, Scorer] = {
    "log_score": _Mean(lambda rows: rows.log_density),
    "joint_log_score": _Joint(),
    "rmse": _Mean(lambda rows: (rows.observed - rows.mean) ** 2, np.sqrt),
    "mae": _Mean(lambda rows: np.abs(rows.observed - rows.mean)),
    # Of the trials of a row a share y are events.
    "brier": _Mean(
        lambda rows: rows.observed * (1.0 - rows.mean) ** 2 + (1.0 - rows.observed) * rows.mean**2, by_trial=True
    ),
}


def read_scoring(scoring: str | Score | Sequence[str | Score] | None, fit: Fit, *, partial: bool) -> dict[str, Scorer]:
    """Read ``scoring=``; `partial` says that not all rows that are left out are predicted.

    Raises
    ------
    ArgumentError
        For no name of a score, and no function.
    FitError
        For a score that such responses do not have.
    """
    proportions = is_generalized(fit) and fit.model.family.kind == "proportion"
    if scoring is None:
        scoring = ["log_score", "brier"] if proportions else ["log_score", "rmse", "mae"]
    wanted = [scoring] if isinstance(scoring, str) or callable(scoring) else list(scoring)
    out: dict[str, Scorer] = {}
    for one in wanted:
        if callable(one):
            out[getattr(one, "__name__", repr(one))] = _OfMeans(one)
            continue
        if one not in _SCORES:
            raise ArgumentError(
                f"scoring= has {one!r}: scores are {', '.join(map(repr, _SCORES))}, or functions of observed and "
                "predicted values."
            )
        if one == "brier" and not proportions:
            raise FitError("The Brier score is of events, 0 or 1, and shares of them: use 'rmse' or 'log_score'.")
        if one == "joint_log_score" and (partial or not is_linear(fit)):
            raise FitError(
                "The joint log score is that of all rows left out together, of linear models: use 'log_score', that of "
                "each row by itself."
            )
        out[one] = _SCORES[one]
    return out


def calibration_of_intervals(pit: Array) -> pd.DataFrame:
    """How many of the central predictive intervals hold their rows, from values of the predictive distribution."""
    inside = np.abs(2.0 * pit - 1.0)
    shares = [float((inside <= coverage).mean()) for coverage in _COVERAGES]
    return pd.DataFrame({"nominal": _COVERAGES, "observed": shares, "n": len(pit)})


def calibration_of_means(observed: Array, mean: Array, trials: Array | None, bins: int, alpha: float) -> pd.DataFrame:
    """Predicted and observed means of rows of about equal predictions, with intervals of the observed ones.

    Wilson's for events, else those of a mean of independent values.
    """
    check_count("bins", bins)
    weight = np.ones(len(mean)) if trials is None else trials
    edges = np.unique(np.quantile(mean, np.linspace(0.0, 1.0, bins + 1)))
    place = np.searchsorted(edges[1:-1], mean, side="right")
    n = np.bincount(place, weight)
    used = n > 0
    n = n[used]
    predicted = np.bincount(place, weight * mean)[used] / n
    share = np.bincount(place, weight * observed)[used] / n
    z = normal_quantile(alpha)
    if trials is None:
        square = np.bincount(place, observed**2)[used] / n
        half = z * np.sqrt(np.maximum(square - share**2, 0.0) / n)
        centre = share
    else:
        centre = (share + z**2 / (2.0 * n)) / (1.0 + z**2 / n)
        half = z * np.sqrt(share * (1.0 - share) / n + z**2 / (4.0 * n**2)) / (1.0 + z**2 / n)
    return pd.DataFrame(
        {"predicted": predicted, "observed": share, "lower": centre - half, "upper": centre + half, "n": n}
    )
