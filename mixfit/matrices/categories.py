"""The design of a response in unordered categories: a predictor with the same terms for each but the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from mixfit.errors import DataError
from mixfit.matrices.shared import shared_designs
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mixfit.formula import RandomTerm
    from mixfit.matrices.reader import FittedReader
    from mixfit.matrices.types import Design

__all__ = ["across_categories"]


def across_categories(
    design: Design, terms: Sequence[RandomTerm], baseline: str | None, lookup: Callable[[str], object]
) -> Design:
    """A design of one predictor as that of all categories, the baseline being number 1.

    Every random term has one covariance of its columns in all predictors, with the structure that it is written with.
    The first predictor keeps the name of the mean's, the others have those of their categories.

    Parameters
    ----------
    design : Design
        `y` the numbers of `categories`.
    terms : sequence of RandomTerm
        The random terms of the formula.
    baseline : str, optional
        The category without a predictor; by default the first.
    lookup : callable
        The value of a name of the formula's context.

    Raises
    ------
    DataError
        Where no category is called `baseline`.
    FormulaError
        For random terms whose structure arranges the columns of one term.
    """
    assert design.categories is not None
    labels = [str(c) for c in design.categories]
    if baseline is not None and baseline not in labels:
        raise DataError(
            f"The response {design.endog_name!r} has no category {baseline!r} that could be the baseline; it has "
            f"{', '.join(map(repr, labels))}."
        )
    first = 0 if baseline is None else labels.index(baseline)
    order = np.array([first, *(k for k in range(len(labels)) if k != first)])
    numbers = np.empty(len(order))
    numbers[order] = np.arange(1.0, len(order) + 1.0)
    design = replace(
        design, y=numbers[design.y.astype(np.intp) - 1], categories=pd.Index(design.categories.take(order.tolist()))
    )
    others = [labels[k] for k in order[1:]]
    if not others:
        return design
    shared = [
        shared_designs(
            term.text,
            [own] * len(others),
            [term] * len(others),
            [tuple(f"{label}:{column}" for column in own.columns) for label in others],
            others,
            lookup,
        )
        for own, term in zip(design.random, terms, strict=True)
    ]
    reader = cast("FittedReader", design.reader)
    own = reader.predictors[0]
    readers = [
        replace(
            own,
            name=label,
            random=tuple(replace(r, recoding=made[a][1]) for r, made in zip(own.random, shared, strict=True)),
        )
        for a, label in enumerate([MEAN, *others[1:]])
    ]
    random = [tuple(made[a][0] for made in shared) for a in range(len(others))]
    further = [replace(design.mean, name=label, random=r) for label, r in zip(others[1:], random[1:], strict=True)]
    reader = replace(reader, predictors=tuple(readers))
    return replace(design, random=random[0], further=tuple(further), reader=reader)
