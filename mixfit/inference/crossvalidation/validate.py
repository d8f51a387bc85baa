"""Cross-validation: every group of rows predicted from the others, and what the predictions are worth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import ArgumentError
from mixfit.fitted.protocols import is_fit, is_generalized, is_linear, is_nonlinear
from mixfit.helped import Helped
from mixfit.inference.crossvalidation.predictions import predict_left_out
from mixfit.inference.crossvalidation.scores import (
    Scored,
    calibration_of_intervals,
    calibration_of_means,
    read_scoring,
)
from mixfit.inference.crossvalidation.splits import read_splits
from mixfit.matrices.censored import refuse_censored
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from mixfit.fitted.protocols import Fit

    Score = Callable[[Any, Any], float]

__all__ = ["Validation", "validate"]

# What a screen holds.
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Validation(Helped):
    """Predictions of rows from others, and their scores.

    Attributes
    ----------
    by : str
        What was left out together.
    refit : bool
        Whether all parameters were estimated anew without each group; theta was held otherwise.
    predictions : DataFrame, shape (N, 4) or (N, 6)
        A row a predicted row, in the order of the splits: `by`, ``observed``, ``mean``, ``log_density``; of linear
        and nonlinear models also ``sd``, that of a new observation about its prediction, and ``pit``, the value of
        the predictive distribution at the observation, uniform where the model is right.
    scores : DataFrame, shape (q, c)
        Scores of the rows of each group.
    score : Series, shape (c,)
        The same of all rows.
    converged : Series of bool, shape (q,), or None
        Whether each refit has its optimality certificate; None where there were none.
    """

    by: str
    refit: bool
    predictions: pd.DataFrame
    scores: pd.DataFrame
    score: pd.Series[float]
    converged: pd.Series[bool] | None
    trials: pd.Series[float] | None = field(default=None, repr=False)

    def table(self) -> Table:
        """Return the scores of all rows, and of every group.

        Returns
        -------
        Table
            Row ``all``, then the groups; the number of rows, and a column a score.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> mixfit.cross_validate(fit, by="Subject").table().to_frame().head(2).round(2)
             rows  log_score  rmse    mae
        all   180      -5.27  49.6  37.85
        308    10      -5.70  71.7  57.42
        """
        counts = self.predictions[self.by].value_counts().reindex(self.scores.index, fill_value=0)
        frame = pd.concat([self.score.to_frame("all").T, self.scores])
        frame.insert(0, "rows", [len(self.predictions), *counts])
        how = "all parameters estimated without it" if self.refit else "theta held"
        notes: tuple[str, ...] = ()
        if self.converged is not None and not self.converged.all():
            notes = (f"Did not converge without: {', '.join(map(str, self.converged.index[~self.converged]))}",)
        return Table(frame, heading=(f"Each {self.by} predicted from the others ({how})",), notes=notes)

    def calibration(self, *, bins: int = 10, level: float | None = None) -> pd.DataFrame:
        """Compare what was predicted with what was observed.

        Parameters
        ----------
        bins : int
            Of generalized models: bins of about equally many rows, by their predictions.
        level : float, optional
            Of these: coverage of the intervals of the observed means, Wilson's for events. By default
            ``mixfit.options.level``, 0.95 at first.

        Returns
        -------
        DataFrame
            Of linear and nonlinear models: the probability of central predictive intervals, ``nominal``, and the
            share of rows that they hold, ``observed``. Of generalized ones: mean ``predicted`` and mean ``observed``
            responses of every bin, ``lower``, ``upper``, and ``n``, rows or trials.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> mixfit.cross_validate(fit, by="Subject").calibration().iloc[[4, 9]].round(2)
           nominal  observed    n
        4     0.50      0.55  180
        9     0.95      0.96  180
        """
        if "pit" in self.predictions:
            return calibration_of_intervals(self.predictions["pit"].to_numpy())
        observed, mean = (self.predictions[name].to_numpy() for name in ("observed", "mean"))
        trials = None if self.trials is None else np.asarray(self.trials, dtype=np.float64)
        return calibration_of_means(observed, mean, trials, bins, 1.0 - coverage(level))

    def _top(self) -> Table:
        table = self.table()
        if len(table) <= _SHOWN:
            return table
        note = f"... and {len(table) - _SHOWN} more: all of them are in .table()"
        return replace(table, frame=table.frame.head(_SHOWN), notes=(note, *table.notes))

    def __str__(self) -> str:
        return str(self._top())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._top().as_html()


def validate(
    model: Any,
    by: Any,
    *,
    scoring: str | Score | Sequence[str | Score] | None,
    groups: str | ArrayLike | None,
    refit: Literal["theta"] | None,
    seed: int | None,
) -> Validation:
    """See `mixfit.cross_validate`."""
    if refit not in (None, "theta"):
        raise ArgumentError(f"refit= is None, which holds theta, or 'theta', not {refit!r}.")
    fit: Fit = model if is_fit(model) or is_nonlinear(model) else model.fit()
    design = fit.model.observations
    refuse_censored(design, "errors of prediction")
    splits = read_splits(by, design, groups, seed)
    scores = read_scoring(scoring, fit, partial=not splits.scored.all())
    found = predict_left_out(fit, splits, refit=refit is not None)
    scored = slice(None) if splits.scored.all() else splits.scored
    rows, codes = splits.rows[scored], splits.codes[scored]
    trials = fit.prior[rows] if is_generalized(fit) and fit.model.family.kind == "proportion" else None
    own = Scored(design.y[rows], found.mean[scored], found.log_density[scored], trials, found.joint, codes)
    labels = splits.labels.rename(splits.by)
    frame = pd.DataFrame(
        {
            splits.by: labels[codes],
            "observed": own.observed,
            "mean": own.mean,
            "log_density": own.log_density,
        },
        index=design.index[rows],
    )
    if is_linear(fit) or is_nonlinear(fit):
        from scipy.special import ndtr

        frame["sd"] = found.sd[scored]
        frame["pit"] = ndtr((own.observed - own.mean) / found.sd[scored])
    return Validation(
        by=splits.by,
        refit=found.converged is not None,
        predictions=frame,
        scores=pd.DataFrame({name: score.of_groups(own) for name, score in scores.items()}, index=labels),
        score=pd.Series({name: score.of_all(own) for name, score in scores.items()}, dtype=float),
        converged=None if found.converged is None else pd.Series(found.converged, index=labels),
        trials=None if trials is None else pd.Series(trials, index=frame.index),
    )
