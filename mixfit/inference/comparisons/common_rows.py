"""Columns of several models of rows in batches on the same few rows, which tell whether one contains another.

Which columns are combinations of others is the same on all rows and on those that stand for all: these show every
level and cell of their model, and span what all of its rows span.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import ComparisonError, DataError
from mixfit.matrices.types import Grouping, RandomDesign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.inference.comparisons.candidates import Candidate

__all__ = ["on_common_rows"]


def on_common_rows(models: Sequence[Candidate]) -> list[Candidate]:
    """Comparable models, those without rows on the rows that stand for all of the one with the most columns.

    Raises
    ------
    ComparisonError
        Where a model looks up columns that the one with the most does not.
    """
    if models[0].n is None:
        return list(models)
    frames = [_frame(m) for m in models]
    most = max(range(len(models)), key=lambda i: (frames[i].shape[1], models[i].npar))
    return [_on_rows(m, frames[most], models[most].name) for m in models]


def _frame(model: Candidate) -> pd.DataFrame:
    assert model.fit is not None
    return pd.DataFrame(dict(model.fit.model.design.representatives.frame or {}))


def _on_rows(model: Candidate, frame: pd.DataFrame, name: str) -> Candidate:
    assert model.fit is not None
    own = model.fit.model
    try:
        rows = own.design.reader.read(frame, (True,) * len(model.random), own=True)
    except DataError as error:
        raise ComparisonError(
            f"{model.name} looks up columns that {name}, which has more, does not, so that neither is known to contain "
            f"the other ({error}) Compare their AIC instead."
        ) from error
    random = []
    for term, Z, codes in zip(own.design.random, rows.Z, rows.codes, strict=True):
        assert Z is not None
        assert codes is not None
        grouping = Grouping(term.grouping.name, codes, term.grouping.levels)
        random.append(RandomDesign(grouping, term.columns, Z, term.structure, term.text))
    return replace(model, X=np.ascontiguousarray(rows.X[:, own.kept]), random=tuple(random))
