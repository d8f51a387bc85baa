"""Responses in categories, ordered or not: their numbers from 1 on, and what the categories are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import DataError
from mixfit.matrices.columns import is_factor, normalise, null_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.formula.terms import Response
    from mixfit.matrices.columns import MissingRows
    from mixfit.matrices.environment import Environment

    Array = NDArray[np.float64]

__all__ = ["Ordered", "category_numbers", "read_categories"]

# Levels that an error lists before it breaks off.
_LISTED = 5


@dataclass(frozen=True, eq=False)
class Ordered:
    """A response in categories.

    Attributes
    ----------
    numbers : ndarray, shape (n,)
        From 1 to K; NaN where missing.
    categories : pandas.Index, length K
    declared : bool
        Whether the data say which categories there are, besides those that some row has.
    """

    numbers: Array
    categories: pd.Index
    declared: bool

    def of(self, keep: NDArray[np.bool_] | None) -> Ordered:
        """Of some rows, without categories that are in none of them, if not declared."""
        numbers = self.numbers.copy() if keep is None else self.numbers[keep]
        if self.declared:
            return Ordered(numbers, self.categories, True)
        found, back = np.unique(numbers, return_inverse=True)
        return Ordered(np.asarray(back + 1.0, dtype=np.float64), self.categories[found.astype(np.intp) - 1], False)


def read_categories(response: Response, environment: Environment, missing: MissingRows, *, ordered: bool) -> Ordered:
    """Evaluate a response of categories.

    Ordered ones are an ordered categorical, whole numbers or booleans, others a factor without an order: a categorical,
    strings or booleans.

    Raises
    ------
    DataError
        For categories without an order where they are to have one and with one where not, and numbers that are not
        whole, or are to be no categories.
    """
    if response.arguments is not None:
        raise DataError(f"{response.text} is a response for {response.purpose}; this one is a column of categories.")
    value = environment.evaluate(response.factor)
    value = getattr(value, "__wrapped__", value)
    series = normalise(value if isinstance(value, pd.Series) else pd.Series(np.asarray(value)), "The response")
    read = _read(series, response.text) if ordered else _read_unordered(series, response.text)
    rows = null_rows(read.numbers, missing.n_rows, response.text)
    if rows is not None:
        missing.note(response.text, rows, environment.without(response.factor.expr))
    return read


def _read(series: pd.Series, name: str) -> Ordered:
    if isinstance(series.dtype, pd.CategoricalDtype):
        if not series.cat.ordered:
            raise DataError(_without_order(name, list(series.cat.categories)))
        codes = series.cat.codes.to_numpy()
        return Ordered(np.where(codes < 0, np.nan, codes + 1.0), series.cat.categories, True)
    boolean = series.dtype == np.bool_
    if is_factor(series) and not boolean:
        raise DataError(_without_order(name, list(pd.unique(series.dropna()))))
    if not boolean and series.dtype.kind not in "iuf":
        raise DataError(f"The response {name!r} of ordered categories cannot be of type {series.dtype}.")
    values = series.to_numpy(dtype=np.float64)
    present = ~np.isnan(values)
    if (values[present] != np.floor(values[present])).any():
        bad = values[present][values[present] != np.floor(values[present])]
        raise DataError(
            f"The response {name!r} of ordered categories has numbers that are not whole, such as {bad[0]:g}: number "
            "its categories, or fit a family of continuous responses."
        )
    levels, codes = np.unique(values[present], return_inverse=True)
    numbers = np.full(len(values), np.nan)
    numbers[present] = codes + 1.0
    return Ordered(numbers, pd.Index(levels.astype(bool) if boolean else levels.astype(np.int64)), False)


def _read_unordered(series: pd.Series, name: str) -> Ordered:
    boolean = series.dtype == np.bool_
    if isinstance(series.dtype, pd.CategoricalDtype):
        if series.cat.ordered:
            raise DataError(
                f"The categories of the response {name!r} have an order, which family='multinomial' does not look at: "
                "take family='cumulative', or another of ordered categories, or forget the order by "
                f"data[{name!r}] = data[{name!r}].cat.as_unordered()."
            )
        codes = series.cat.codes.to_numpy()
        return Ordered(np.where(codes < 0, np.nan, codes + 1.0), series.cat.categories, True)
    if not boolean and not is_factor(series):
        raise DataError(
            f"The response {name!r} of family='multinomial' is in categories, and its type is {series.dtype}: take a "
            f"family of numbers, or make categories of it, data[{name!r}] = data[{name!r}].astype(str)."
        )
    codes, levels = pd.factorize(series, sort=True)
    return Ordered(np.where(codes < 0, np.nan, codes + 1.0), pd.Index(levels), False)


def _without_order(name: str, levels: list[object]) -> str:
    shown = ", ".join(repr(str(level)) for level in levels[:_LISTED]) + (", ..." if len(levels) > _LISTED else "")
    return (
        f"The categories of the response {name!r} ({shown}) have no order. Give them one, from the lowest to the "
        f"highest: data[{name!r}] = pandas.Categorical(data[{name!r}], categories=[{shown}], ordered=True), with the "
        "categories in their order, or number them. For categories without one there is family='multinomial'."
    )


def category_numbers(values: ArrayLike, categories: pd.Index) -> Array:
    """Numbers from 1 on of categories, as they are.

    Raises
    ------
    DataError
        For values that are none of them.
    """
    labels = pd.Index(np.asarray(values, dtype=object))
    places = pd.Index(categories.astype(object)).get_indexer(labels)
    if (places < 0).any():
        unknown = labels[int(np.argmax(places < 0))]
        listed = ", ".join(map(str, categories))
        raise DataError(f"{unknown!r} is none of the categories of the response ({listed}).")
    return np.asarray(places + 1.0, dtype=np.float64)
