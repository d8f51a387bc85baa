"""Whether a smaller model is a special case of a larger one, fitted to the same responses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DataError, DesignError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign
    from mixfit.results.protocol import FittedModel

    Array = NDArray[np.float64]

__all__ = ["check_columns", "check_nested", "check_rows", "covers"]

# What the larger model's columns may leave of the smaller one's, relative to their length: rounding.
_ROUNDING = 1e-7


def check_nested(large: FittedModel, small: FittedModel) -> None:
    """Refuse a smaller model of other data, or one that is no special case of the larger.

    Parameters
    ----------
    large, small : LinearMixedModel or GeneralizedMixedModel

    Raises
    ------
    DataError
        Where response, weights or offset are not the same, row by row.
    DesignError
        Where a fixed effect or a random term of the smaller model is not in the larger one.
    """
    a, b = large.design, small.design
    check_rows(large, b.y, b.weights, b.offset)
    check_columns(large, small.exog, small.exog_names)
    for term in b.random:
        if not any(covers(other, term) for other in a.random):
            raise DesignError(
                f"The models are not nested: no random term of the larger model, {large.formula_text}, contains "
                f"{term.text} of the smaller one. Give the larger model first, with every term of the smaller."
            )


def check_rows(large: FittedModel, y: Array, weights: Array | None, offset: Array | None) -> None:
    """Refuse another response, other weights or another offset than those of a model."""
    design = large.design
    if len(y) != len(design.y):
        raise DataError(
            f"The models use different rows: {len(design.y)} and {len(y)} of them. Rows with missing values are left "
            "out model by model: drop them from the data first."
        )
    if not np.array_equal(y, design.y):
        raise DataError("The models have different responses, or the same in a different order of rows.")
    if not np.array_equal(_given(weights, y, 1.0), _given(design.weights, y, 1.0)):
        raise DataError("The models have different weights.")
    if not np.array_equal(_given(offset, y, 0.0), _given(design.offset, y, 0.0)):
        raise DataError("The models have different offsets.")


def check_columns(large: FittedModel, exog: Array, names: tuple[str, ...]) -> None:
    """Refuse fixed-effects columns (n, p) that those of a model do not span."""
    for column, name in zip(exog.T, names, strict=True):
        if not _spans(large.exog, column[:, None]):
            raise DesignError(
                f"The models are not nested: the fixed effects of the larger model, {large.formula_text}, do not "
                f"contain {name!r} of the smaller one. Give the larger model first, with every effect of the smaller."
            )


def covers(large: RandomDesign, small: RandomDesign) -> bool:
    """Say whether every covariance of a random term is one of another term.

    Parameters
    ----------
    large, small : RandomDesign

    Returns
    -------
    bool
        True where both have the same levels, the columns of `small` are combinations of those of `large`, and
        `large` has the correlations that these need.
    """
    if not _same_levels(large, small):
        return False
    if large.structure == "us":
        return _spans(large.Z, small.Z)
    if small.structure == "us" and small.Z.shape[1] > 1:
        return False
    return all(any(_spans(own[:, None], column[:, None]) for own in large.Z.T) for column in small.Z.T)


def _same_levels(a: RandomDesign, b: RandomDesign) -> bool:
    p, q = a.grouping, b.grouping
    if p.n_levels != q.n_levels:
        return False
    name = np.empty(p.n_levels, dtype=np.intp)
    name[p.codes] = q.codes
    return np.array_equal(name[p.codes], q.codes)


def _spans(columns: Array, others: Array) -> bool:
    if not columns.shape[1]:
        return not others.any()
    rest = others - columns @ np.linalg.lstsq(columns, others, rcond=None)[0]
    return bool((np.linalg.norm(rest, axis=0) <= _ROUNDING * np.linalg.norm(others, axis=0)).all())


def _given(values: Array | None, y: Array, default: float) -> Array:
    return np.full(len(y), default) if values is None else values
