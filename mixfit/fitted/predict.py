"""Predictions of the rows of a fit, or of new ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from mixfit.arguments import check_flag
from mixfit.errors import EstimabilityWarning, NewLevelError, warn
from mixfit.fitted.kriging import kriged
from mixfit.fitted.linear_predictor import complete_variance, kept_columns, linear_predictor
from mixfit.fitted.re_form import select
from mixfit.matrices.new_rows import NewDesign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.families.links import Link
    from mixfit.fitted.protocols import Fit, Model
    from mixfit.fitted.re_form import ReForm, Selection
    from mixfit.matrices.transformation import Transformation
    from mixfit.matrices.types import Grouping, RandomDesign

    Array = NDArray[np.float64]

__all__ = [
    "RowPredictors",
    "check_levels",
    "estimable_rows",
    "predicted",
    "predictors_of",
    "row_predictors",
    "rows_to_predict",
]

# Unknown levels that an error names: enough to see what is wrong with them.
_SHOWN = 5


class RowPredictors(NamedTuple):
    """Linear predictors of some rows.

    Attributes
    ----------
    eta : ndarray, shape (m,)
    variance : ndarray, shape (m,), or None
        Of eta's error; None where it was not asked for.
    labels : pandas.Index, shape (m,)
    """

    eta: Array
    variance: Array | None
    labels: pd.Index


def rows_to_predict(fit: Fit, newdata: object, selection: Selection, allow_new_levels: bool) -> NewDesign:
    """Rows to predict, X with the columns of `exog`; of new rows only the terms that `selection` keeps."""
    design = fit.model.design
    if newdata is None:
        offset = np.zeros(len(design.y)) if design.offset is None else design.offset
        Z, codes = tuple(term.Z for term in design.random), tuple(term.grouping.codes for term in design.random)
        return NewDesign(X=fit.model.exog, Z=Z, codes=codes, offset=offset, index=design.index)
    read = design.reader.read(newdata, tuple(bool(keep.any()) for keep in selection))
    Z, own = kriged(fit, read.Z, read.places)
    new = replace(read, Z=Z, own_variance=own)
    if not allow_new_levels:
        check_levels(new, design.random, newdata)
    return replace(new, X=estimable_rows(fit.model, new.X))


def estimable_rows(model: Model, X: Array) -> Array:
    """New rows of X (m, c) with the columns of `exog`; NaN, and a warning, where the data of the fit tell no x'beta."""
    unknown = ~model.row_space.contains(X) & ~np.isnan(X).any(axis=1)
    if not unknown.any():
        return X[:, model.kept]
    more = ", ..." if len(model.aliased) > _SHOWN else ""
    warn(
        f"The data of the fit do not tell {int(unknown.sum())} of {len(X)} predictions, which are NaN: columns that "
        f"were left out of the fit ({', '.join(model.aliased[:_SHOWN])}{more}) are not what the others make of them.",
        EstimabilityWarning,
    )
    return np.where(unknown[:, None], np.nan, X[:, model.kept])


def row_predictors(fit: Fit, newdata: object, re_form: ReForm, allow_new_levels: bool, variance: bool) -> RowPredictors:
    """Linear predictors of new rows, or of those of the fit, and the variances of their errors."""
    check_flag("allow_new_levels", allow_new_levels)
    check_flag("se", variance)
    selection = select(re_form, fit.model.design.random)
    return predictors_of(fit, rows_to_predict(fit, newdata, selection, allow_new_levels), selection, variance)


def predictors_of(fit: Fit, rows: NewDesign, selection: Selection, variance: bool) -> RowPredictors:
    """Linear predictors of rows that are read, and the variances of their errors."""
    estimate, Z = fit.estimate, kept_columns(rows.Z, selection)
    eta = linear_predictor(rows.X, estimate.beta, rows.offset, Z, rows.codes, estimate.modes)
    spread = complete_variance(fit.model, estimate, rows.X, Z, rows.codes) if variance else None
    if spread is not None:
        for own, code, z in zip(rows.own_variance, rows.codes, Z, strict=False):
            if own is not None and code is not None and z is not None:
                spread += np.where(code >= 0, own, 0.0)
    return RowPredictors(eta, spread, rows.index)


def predicted(
    eta: NDArray[np.float64],
    variance: NDArray[np.float64] | None,
    index: pd.Index,
    link: Link | Transformation | None = None,
    scale: str | None = None,
) -> pd.Series[float] | pd.DataFrame:
    """Predictions under the names of their rows, with standard errors where there is a variance.

    Parameters
    ----------
    eta : ndarray, shape (m,)
        Linear predictors.
    variance : ndarray, shape (m,), or None
        Of eta's error.
    index : pandas.Index, shape (m,)
    link : Link or Transformation, optional
        Predict the mean, its standard error by the delta method; eta itself by default.
    scale : str, optional
        Names the scale of the predictions: the name of the series, and of the columns of the frame.

    Returns
    -------
    Series, shape (m,), or DataFrame
        With a variance, the columns ``mean`` and ``mean_se``.

    Examples
    --------
    >>> predicted(np.array([1.0]), np.array([4.0]), pd.RangeIndex(1))
       mean  mean_se
    0   1.0      2.0
    """
    mean = eta if link is None else link.mean(eta)
    if variance is None:
        return pd.Series(mean, index=index, name=scale)
    error = np.sqrt(variance) if link is None else np.sqrt(variance) * np.abs(link.slope(eta))
    return pd.DataFrame({"mean": mean, "mean_se": error}, index=index).rename_axis(columns=scale)


def check_levels(new: NewDesign, random: Sequence[RandomDesign], newdata: object) -> None:
    """Refuse rows of a level that the fit never saw.

    Parameters
    ----------
    new : NewDesign
    random : sequence of RandomDesign
        Terms of the model.
    newdata : frame
        Where the labels of the offending levels are looked up.

    Raises
    ------
    NewLevelError
        Naming the grouping factor and the levels. Rows with missing values are no new levels.
    """
    for term, z, codes in zip(random, new.Z, new.codes, strict=True):
        if z is None or codes is None:
            continue
        unseen = (codes < 0) & ~np.isnan(z).any(axis=1)
        if unseen.any():
            labels = _labels(newdata, term.grouping, np.flatnonzero(unseen), new)
            more = "" if len(labels) <= _SHOWN else f" and {len(labels) - _SHOWN} more"
            msg = (
                f"grouping factor {term.grouping.name!r} has levels that the fit never saw: "
                f"{', '.join(labels[:_SHOWN])}{more}; allow_new_levels=True predicts them with "
                "random effects of zero"
            )
            raise NewLevelError(msg)


def _labels(newdata: object, grouping: Grouping, rows: NDArray[np.intp], new: NewDesign) -> list[str]:
    """Distinct labels of `rows`, or the rows' own names where the factor is no plain column."""
    names = getattr(newdata, "column_names", None) or getattr(newdata, "columns", None)
    known = set(map(str, names)) if names is not None else set()
    parts = grouping.name.replace("`", "").split(":")
    if grouping.name in known:
        parts = [grouping.name]
    if not known.issuperset(parts):
        return [f"row {label}" for label in new.index[rows]]
    columns = [np.asarray(newdata[part])[rows] for part in parts]  # type: ignore[index]
    return list(dict.fromkeys(":".join(map(str, cells)) for cells in zip(*columns, strict=True)))
