"""Which grouping factor and which of its columns a plot shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.errors import FitError
from mixfit.results.names import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.plots.figure import Fit

__all__ = ["choose_columns", "choose_factor", "choose_factors", "response_name"]


def choose_factors(fit: Fit, groups: str | Sequence[str] | None) -> list[str]:
    """Names of grouping factors; all by default, by decreasing number of levels.

    Raises
    ------
    FitError
        For one that the model does not have.
    """
    known = list(dict.fromkeys(fit.ranef()))
    if groups is None:
        return known
    chosen = [groups] if isinstance(groups, str) else list(groups)
    for name in chosen:
        if name not in known:
            raise FitError(f"The model has no grouping factor {name!r}; it has {', '.join(map(repr, known))}.")
    return chosen


def choose_factor(fit: Fit, group: str | None) -> str:
    """One grouping factor; by default the one with the most levels."""
    return choose_factors(fit, group)[0]


def choose_columns(known: Sequence[str], columns: str | Sequence[str] | None, group: str) -> list[str]:
    """Random columns of a grouping factor; all by default, each once. ``"(Intercept)"`` is ``"Intercept"``.

    Raises
    ------
    FitError
        For one that the factor does not have.

    Examples
    --------
    >>> choose_columns(["Intercept", "Days"], "(Intercept)", "Subject")
    ['Intercept']
    """
    distinct = {shown(name): name for name in known}
    if columns is None:
        return list(distinct.values())
    chosen = [shown(name) for name in ([columns] if isinstance(columns, str) else columns)]
    for name in chosen:
        if name not in distinct:
            raise FitError(f"{group} has no random column {name!r}; it has {', '.join(map(repr, distinct))}.")
    return [distinct[name] for name in chosen]


def response_name(fit: Fit) -> str:
    """Name of the response for an axis; of ``cbind(a, b)`` the proportion of the first."""
    from mixfit.formula import parse

    arguments = parse(fit.model.formula_text).response.arguments
    return fit.model.design.endog_name if arguments is None else f"proportion of {arguments[0]}"
