"""Whether parameters mean the same in an extended layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DataError
from mixfit.fitted.stated import slots

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Model

    Array = NDArray[np.float64]

__all__ = ["check_encodings"]

# Of the largest entry of a column: what is computed anew from the same rows differs by its rounding.
_SAME = 1e-9


def check_encodings(before: Model, after: Model, data: pd.DataFrame) -> None:
    """Refuse columns that are computed from whole columns, and so are others in other rows.

    Parameters
    ----------
    before, after : LinearMixedModel or GeneralizedMixedModel
        The model that parameters were stated of, and the same formula of other rows.
    data : DataFrame
        These rows.

    Raises
    ------
    DataError
        Where a column of `after` is not what `before` would make of the rows, and where it has other columns.
    """
    stated, has = ([slot.name for slot in slots(model)] for model in (before, after))
    other_names = [name for name in (*stated, *has) if (name in stated) != (name in has)]
    if other_names:
        raise DataError(
            "In the extended layout the model has other parameters than those stated: "
            f"{', '.join(map(repr, other_names))}. Levels of fixed factors have parameters of their own: extend "
            "grouping factors and covariates."
        )
    for place, predictor in enumerate(after.design.predictors):
        reader = before.design.reader.of_predictor(place)
        pairs = [(predictor.exog_names, reader.read_fixed(data), predictor.X)]
        for term, (known, _) in zip(predictor.random, reader.read_random(data), strict=True):
            if term.spread is None:
                pairs.append((term.columns, known, term.Z))
        for names, known, new in pairs:
            size = np.abs(new).max(axis=0, initial=0.0)
            other = ~(np.abs(known - new).max(axis=0, initial=0.0) <= _SAME * size)
            if other.any():
                raise DataError(
                    f"{names[int(np.argmax(other))]!r} is computed from whole columns, and in the extended layout its "
                    "parameters would mean something else: make a column of it before."
                )
