"""A model without the rows of a split: its refit, and the refusal of effects that its other rows do not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DesignError, FitError, MixfitError
from mixfit.gram.basis import fixed_basis
from mixfit.inference.deletion import fit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.crossvalidation.splits import Splits
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["are_known", "codes_among", "refit_without", "refuse_unknown", "rows_left"]


def rows_left(fit: Fit, splits: Splits, group: int) -> NDArray[np.bool_]:
    """Which rows are not left out with a group, (n,)."""
    keep = np.ones(fit.nobs, dtype=bool)
    keep[splits.rows[splits.codes == group]] = False
    return keep


def refit_without(fit: Fit, splits: Splits, group: int) -> Fit:
    """The fit to the other rows.

    Raises
    ------
    FitError
        Where it fails, naming the group.
    """
    try:
        return fit_rows(fit, rows_left(fit, splits, group))
    except MixfitError as error:
        raise FitError(f"Without {splits.name(group)} the model cannot be fitted: {error}") from error


def codes_among(random: Sequence[RandomDesign], keep: NDArray[np.bool_], rows: Index) -> list[Index]:
    """Places of the levels of `rows` among those that the rows of `keep` have; -1 for a level that none has."""
    codes = []
    for term in random:
        place = np.full(term.grouping.n_levels, -1, dtype=np.intp)
        present = np.unique(term.grouping.codes[keep])
        place[present] = np.arange(len(present))
        codes.append(place[term.grouping.codes[rows]])
    return codes


def are_known(other: Fit, X: Array) -> bool:
    """Whether a fit to other rows tells the fixed part of rows X (m, c)."""
    return bool(other.model.row_space.contains(X).all())


def refuse_unknown(fit: Fit, splits: Splits, unknown: NDArray[np.bool_]) -> None:
    """Raise DesignError for the first group without which fixed effects are not determined, naming these."""
    if not unknown.any():
        return
    group = int(np.flatnonzero(unknown)[0])
    keep = rows_left(fit, splits, group)
    names = fit.model.exog_names
    if keep.sum() <= len(names):
        raise DesignError(
            f"Without {splits.name(group)}, {int(keep.sum())} rows are left to fit {len(names)} fixed effects and a "
            "residual variance to: take more or smaller folds."
        )
    # A nonlinear model has a block of its rows for every parameter of the curve.
    X = fit.model.exog[np.tile(keep, len(fit.model.exog) // len(keep))]
    kept = set(fixed_basis(np.ascontiguousarray(X.T)).kept.tolist())
    lost = ", ".join(name for j, name in enumerate(names) if j not in kept)
    more = f", and {int(unknown.sum()) - 1} more of the {len(unknown)}" if unknown.sum() > 1 else ""
    raise DesignError(
        f"Without {splits.name(group)}{more}, the other rows do not determine {lost}: leave such a level of a fixed "
        "factor in every fit, or take it for a random term."
    )
