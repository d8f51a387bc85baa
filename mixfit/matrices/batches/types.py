"""A design of which the rows are not kept: names, levels, encodings and moments, and an error where rows are asked for.

A few rows stand for all in what is the same for all: which columns determine others, which cells a term has.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from mixfit.errors import RowsError
from mixfit.matrices.types import Design, Grouping, RandomDesign

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["StreamedDesign", "StreamedGrouping", "StreamedRandomDesign"]


def _no_rows(what: str) -> Any:
    """A property that is no more."""

    def refuse(self: Any) -> Any:
        raise RowsError(
            f"This needs {what} of every row, and a model of rows in batches keeps none. Estimates, tests, means and "
            "predictions of given rows do without: fit.predict(source) gives fitted values batch by batch. Fit to a "
            "frame in memory for the rest."
        )

    return property(refuse, doc=f"None: {what} of the rows.")


class StreamedGrouping(Grouping):
    """The levels of a grouping factor, without the rows' codes."""

    def __init__(self, grouping: Grouping) -> None:
        object.__setattr__(self, "name", grouping.name)
        object.__setattr__(self, "levels", grouping.levels)

    def __repr__(self) -> str:
        return f"<StreamedGrouping: {self.name}, {self.n_levels} levels>"

    codes = _no_rows("the level")


class StreamedRandomDesign(RandomDesign):
    """A random term without its rows.

    Parameters
    ----------
    term : RandomDesign
        The term over the rows that stand for all.
    grouping : StreamedGrouping
    level_products : ndarray, shape (q, k, k)
        Z_j'Z_j of the columns in every level, weighted as the rows are.
    mean_squares : ndarray, shape (k,)
    """

    _level_products: Array
    _mean_squares: Array

    def __init__(self, term: RandomDesign, grouping: Grouping, level_products: Array, mean_squares: Array) -> None:
        own = {"grouping": grouping, "columns": term.columns, "structure": term.structure, "text": term.text}
        for name, value in own.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "spread", None)
        object.__setattr__(self, "_level_products", level_products)
        object.__setattr__(self, "_mean_squares", mean_squares)

    def __repr__(self) -> str:
        return f"<StreamedRandomDesign: {self.text}>"

    Z = _no_rows("the columns left of the bar")

    @property
    def level_products(self) -> Array:
        """Z_j'Z_j of every level, shape (q, k, k)."""
        return self._level_products

    @property
    def mean_squares(self) -> Array:
        """Of the columns over all rows, shape (k,)."""
        return self._mean_squares


class StreamedDesign(Design):
    """A design without rows.

    Parameters
    ----------
    sample : Design
        Of the rows that stand for all.
    random : tuple of StreamedRandomDesign
    n_rows : int
        Rows used.
    n_dropped : int
    means : mapping of str to float
        Of the covariates among the variables, over the rows used.
    mean_offset : float
    fingerprint : tuple of (float, float)
        Means and sums of squares of response, offset and weights over the rows used.
    triangle : ndarray, shape (p, p)
        R of the columns that are not aliased, X = Q R.
    """

    has_rows: ClassVar[bool] = False
    _fingerprint: tuple[tuple[float, float], ...]
    _n_rows: int
    _sample: Design
    _means: dict[str, float]
    _mean_offset: float
    _triangle: Array

    def __init__(
        self,
        sample: Design,
        random: tuple[RandomDesign, ...],
        *,
        n_rows: int,
        n_dropped: int,
        means: Mapping[str, float],
        mean_offset: float,
        fingerprint: tuple[tuple[float, float], ...],
        triangle: Array,
    ) -> None:
        for one in fields(Design):
            if not isinstance(getattr(type(self), one.name, None), property):
                object.__setattr__(self, one.name, getattr(sample, one.name))
        own = {"random": random, "n_dropped": n_dropped, "_n_rows": n_rows, "_sample": sample, "_means": dict(means)}
        own |= {"_mean_offset": mean_offset, "_fingerprint": fingerprint, "_triangle": triangle}
        for name, value in own.items():
            object.__setattr__(self, name, value)

    y = _no_rows("the response")
    X = _no_rows("the columns of X")
    weights = _no_rows("the weight")
    offset = _no_rows("the offset")
    index = _no_rows("the label")
    variables = _no_rows("the variables")
    frame = _no_rows("the columns of the data")
    fixed = _no_rows("the factors of the fixed effects")

    def __repr__(self) -> str:
        return f"<StreamedDesign: {self.n_rows} rows>"

    @property
    def n_rows(self) -> int:
        """Number of rows used."""
        return self._n_rows

    @property
    def fingerprint(self) -> tuple[tuple[float, float], ...]:
        """Means and sums of squares of response, offset and weights over the rows used; 0 where there is none."""
        return self._fingerprint

    @property
    def representatives(self) -> Design:
        """Rows that show every level and cell, and span what all rows span."""
        return self._sample

    def triangle(self, kept: NDArray[np.intp]) -> Array:
        """R of the columns that are not aliased, X = Q R, shape (p, p)."""
        return self._triangle

    @property
    def mean_offset(self) -> float:
        """Mean of the offset over the rows used."""
        return self._mean_offset

    def variable_mean(self, name: str) -> float:
        """Mean of a covariate over the rows used."""
        return self._means[name]
