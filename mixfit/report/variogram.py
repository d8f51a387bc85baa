"""How alike the rows of a group are by the distance between them: as they are, and as the model has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.arguments import check_count
from mixfit.errors import DataError, FitError
from mixfit.fitted.protocols import is_linear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.pairs import pair_covariances, row_pairs
from mixfit.report.augment import model_frame, used_rows
from mixfit.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit, LinearFit

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["variogram"]

# Pairs beyond which more of them change a mean by less than their own dependence leaves of it: a second's work.
_MOST_PAIRS = 1_000_000
_BINS = 12
_SEED = 0


def variogram(
    fit: Fit,
    distance: str | Sequence[str],
    *,
    group: str | None = None,
    bins: int = _BINS,
    data: Any = None,
) -> Table:
    """Compare rows of one group by the distance between them with what the covariance of the model says.

    The residuals are those about the fixed effects, over their standard deviation under the model, so that half a mean
    squared difference is one less a correlation: that of data, and beside it that of the model, random effects and
    residuals together. The latter is the intraclass correlation as a function of the distance.

    Parameters
    ----------
    fit : LinearResults
    distance : str or sequence of str
        Numeric columns: times, or the coordinates of places, whose distance is Euclidean.
    group : str, optional
        The factor whose levels hold the pairs. By default the blocks of ``residual=``, or the grouping factor with the
        most levels.
    bins : int
        Classes of distances with about as many pairs each; distances that are as few are classes of their own.
    data : frame, optional
        That of the fit; without it there are the columns of the formula.

    Returns
    -------
    Table
        A row a class: the mean ``distance`` of its ``pairs``; their ``semivariance`` with that of the model,
        ``fitted``; and the ``correlation`` of the model. Of more than a million pairs there are so many, drawn at
        random from a fixed seed.

    Raises
    ------
    FitError
        For a generalized model, and for a factor that the model does not have.
    DataError
        For a column that there is not or that is not numeric, and where no group has two rows.

    References
    ----------
    Diggle, Heagerty, Liang & Zeger (2002), Analysis of Longitudinal Data, section 3.4.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)").fit()
    >>> fit.variogram("Days").frame.head(3).round(2)
       distance  pairs  semivariance  fitted  correlation
    0       1.0    162          0.20    0.20         0.80
    1       2.0    144          0.30    0.36         0.64
    2       3.0    126          0.37    0.49         0.51
    """
    if not is_linear(fit):
        raise FitError(
            "A variogram is of residuals whose covariance is the model's, those of a linear model: of others look at "
            "quantile_residuals()."
        )
    check_count("bins", bins)
    codes, name = _groups(fit, group)
    first, second = row_pairs(codes, _MOST_PAIRS, np.random.default_rng(_SEED))
    if not len(first):
        raise DataError(f"No level of {name} has two rows, between which there would be a distance.")
    places = _places(fit, [distance] if isinstance(distance, str) else list(distance), data)
    apart = np.sqrt(((places[first] - places[second]) ** 2).sum(axis=1))
    every = np.arange(fit.nobs, dtype=np.intp)
    deviation = np.sqrt(pair_covariances(fit, every, every))
    residual = np.asarray(fit.model.design.y - fit.predict(type="link", re_form="population"), dtype=float)
    scaled = residual / deviation
    implied = pair_covariances(fit, first, second) / (deviation[first] * deviation[second])
    label, count = _classes(apart, bins)
    means = [
        np.bincount(label, x, len(count)) / count for x in (apart, 0.5 * (scaled[first] - scaled[second]) ** 2, implied)
    ]
    frame = pd.DataFrame(
        {
            "distance": means[0],
            "pairs": count,
            "semivariance": means[1],
            "fitted": 1.0 - means[2],
            "correlation": means[2],
        }
    )
    return Table(frame, heading=(f"Rows of one {name}, by their distance",), show_index=False)


def _groups(fit: LinearFit, group: str | None) -> tuple[Index, str]:
    design = fit.model.design
    known = {term.grouping.name: term.grouping for term in design.random if term.spread is None}
    if is_structured(fit) and fit.model.residual.blocks is not None:
        known = {fit.model.residual.blocks.name: fit.model.residual.blocks, **known}
        usual = fit.model.residual.blocks.name
    else:
        usual = max(known, key=lambda name: known[name].n_levels, default="")
    name = usual if group is None else group
    if name not in known:
        raise FitError(f"The model has no grouping factor {name!r}; it has {', '.join(map(repr, known)) or 'none'}.")
    return known[name].codes, name


def _places(fit: LinearFit, names: list[str], data: Any) -> Array:
    """Coordinates of the rows used, (n, c)."""
    design = fit.model.design
    frame = model_frame(design) if data is None else used_rows(data, design)
    for name in names:
        if name not in frame:
            ask = " Pass the frame of the fit as data=." if data is None else ""
            raise DataError(f"There is no column {name!r} among {', '.join(map(repr, map(str, frame.columns)))}.{ask}")
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            raise DataError(f"Between values of {name!r} there is no distance: they are no numbers.")
    return np.column_stack([frame[name].to_numpy(dtype=float, na_value=np.nan) for name in names])


def _classes(apart: Array, bins: int) -> tuple[Index, NDArray[np.int64]]:
    """The class of every pair, and how many pairs each has."""
    values, at = np.unique(apart, return_inverse=True)
    if len(values) > bins:
        cuts = np.unique(np.quantile(apart, np.arange(1, bins) / bins))
        at = np.searchsorted(cuts, apart, side="left")
    label, count = np.unique(at, return_inverse=True, return_counts=True)[1:]
    return label.astype(np.intp), count
