"""Columns of nominal and of scale effects of a model of ordered categories, on the rows of a fit or on new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.families.several import DISPERSION
from mixfit.gram.basis import fixed_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.ordinal import Ordinal
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["NOMINAL", "FurtherColumns", "further_columns", "on_new_rows"]

#: Name of the predictor of nominal effects.
NOMINAL = "nominal"
_CONSTANT = "Intercept"


class FurtherColumns:
    """Columns of nominal or of scale effects, without those that earlier ones determine.

    Parameters
    ----------
    X : ndarray, shape (n, c)
    names : tuple of str
    constant : bool
        Whether the constant is one of them.
    """

    def __init__(self, X: Array, names: tuple[str, ...], *, constant: bool) -> None:
        first = names.index(_CONSTANT)
        order = [first, *(j for j in range(len(names)) if j != first)]
        kept = [order[j] for j in fixed_basis(np.ascontiguousarray(X[:, order].T)).kept]
        self.kept = np.array(kept if constant else kept[1:], dtype=np.intp)
        self.X = X[:, self.kept]
        self.names = tuple(names[j] for j in self.kept)


def further_columns(design: Design, name: str) -> FurtherColumns | None:
    """Those of `NOMINAL`, the constant first, or of the scale, without it; None where the model has none."""
    found = [p for p in design.further if p.name == name]
    return FurtherColumns(found[0].X, found[0].exog_names, constant=name == NOMINAL) if found else None


def on_new_rows(family: Ordinal, design: Design, newdata: object, keep: NDArray[np.bool_] | None = None) -> Ordinal:
    """A family with the nominal and scale columns of the rows `keep` of a frame, of all by default."""
    if not design.further:
        return family
    new = design.reader.read(newdata, (False,) * len(design.random), ((),) * len(design.further))
    found = {p.name: further_columns(design, p.name) for p in design.further}
    X = {part.name: part.X[:, columns.kept] for part in new.further if (columns := found[part.name]) is not None}
    if keep is not None:
        X = {name: own[keep] for name, own in X.items()}
    return family.rows(X.get(NOMINAL), X.get(DISPERSION))
