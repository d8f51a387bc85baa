"""Probabilities of categories along a variable, one stacked on another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.plots.figure import one_axes, thin_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit

    Array = NDArray[np.float64]

__all__ = ["category_probabilities"]

# Places along a covariate: curves look smooth.
_PLACES = 61
# Of the width that a level has.
_BAR = 0.8
# Ends of a colour map's range: its lightest colour would vanish on white, its darkest hide the lines.
_LIGHT, _DARK = 0.15, 0.85


def category_probabilities(
    fit: Fit, variable: str, *, at: Mapping[str, Any] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the probabilities of the categories of a model, stacked, along a variable.

    At each place all rows of the fit are given that value, and what is predicted for them is averaged: over the rows,
    and over the random effects of the population (``predict(re_form="marginal")``); of unordered categories without
    random effects.

    Parameters
    ----------
    variable : str
        A column that the fixed effects look up: areas along numbers, bars for the levels of a factor.
    at : mapping of str to object, optional
        Values that other columns have in all rows.
    ax : Axes, optional
        By default a figure is made.

    Returns
    -------
    Axes
        The categories from the lowest, at the bottom, to the highest.

    Raises
    ------
    FitError
        For a model of another response.
    DataError
        For a variable that the fixed effects do not look up.
    MissingPackageError
        Where matplotlib is not installed.

    Examples
    --------
    >>> import mixfit
    >>> wine = mixfit.datasets.load("wine")
    >>> fit = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
    >>> axes = fit.plot.category_probabilities("temp")
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['cold', 'warm']
    """
    family = getattr(fit.model, "family", None)
    if family is None or family.kind not in ("ordinal", "multinomial"):
        raise FitError("category_probabilities draws ordered categories, 'cumulative', or others, 'multinomial'.")
    places, p, labels = _averages(fit, variable, dict(at or {}))
    axes = one_axes(ax)
    from matplotlib import colormaps

    colours = colormaps["cividis"](np.linspace(_DARK, _LIGHT, len(p)))
    categories = [str(c) for c in fit.model.categories]
    if labels is None:
        axes.stackplot(places, p, labels=categories, colors=colours)
        axes.set_xlim(float(places[0]), float(places[-1]))
    else:
        floor = np.cumsum(p, axis=0) - p
        for row, bottom, category, colour in zip(p, floor, categories, colours, strict=True):
            axes.bar(places, row, _BAR, bottom, label=category, color=colour)
        thin_labels(axes.xaxis, labels, size=9.0)
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel(variable)
    axes.set_ylabel(f"probability of {fit.model.design.endog_name}")
    # The legend's order is that of the stack.
    handles, names = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], names[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return axes


def _averages(fit: Fit, variable: str, at: dict[str, Any]) -> tuple[Array, Array, list[object] | None]:
    """Places, mean probabilities (K, places), and labels where the variable is a factor."""
    design = fit.model.design
    if design.variables is None or design.frame is None:
        raise FitError("The model was not read from a formula and data, so that no variable of it can be drawn.")
    for name in (variable, *at):
        if name not in design.variables:
            known = ", ".join(map(repr, design.variables))
            raise DataError(f"The fixed effects look up no column {name!r}; they have {known}.")
    groups = {part for term in design.random for part in term.grouping.name.split(":")}
    names = [name for name in design.frame if name in design.variables or name not in groups]
    rows = pd.DataFrame({name: design.frame[name] for name in names if name != design.endog_name})
    rows, counts = _distinct(rows.drop(columns=[variable]).assign(**at))
    own = design.variables[variable]
    factor = not pd.api.types.is_numeric_dtype(own) or pd.api.types.is_bool_dtype(own)
    if factor:
        labels: list[Any] | None = list(pd.Categorical(own).remove_unused_categories().categories)
        values, places = labels or [], np.arange(float(len(labels or [])))
    else:
        labels, places = None, np.linspace(float(own.min()), float(own.max()), _PLACES)
        values = list(places)
    # Several predictors have no averages over random effects.
    re_form: Literal["population", "marginal"] = "population" if fit.model.family.kind == "multinomial" else "marginal"
    each = [fit.predict(rows.assign(**{variable: value}), re_form=re_form).to_numpy() for value in values]
    return places, np.array([counts @ p for p in each]).T / counts.sum(), labels


def _distinct(rows: pd.DataFrame) -> tuple[pd.DataFrame, Array]:
    """Rows that differ, and how often each is there."""
    if not rows.shape[1]:
        return rows.iloc[:1].reset_index(drop=True), np.ones(1)
    place = rows.groupby(list(rows.columns), sort=False, observed=True).ngroup().to_numpy()
    _, first, counts = np.unique(place, return_index=True, return_counts=True)
    return rows.iloc[first].reset_index(drop=True), counts.astype(float)
