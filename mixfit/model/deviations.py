"""Standard deviations of random terms by name, and designs that know some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.covariance.held import HeldDeviation
from mixfit.errors import ArgumentError, FitError, FormulaError
from mixfit.matrices.types import MEAN
from mixfit.tables.layout import shown

if TYPE_CHECKING:
    from mixfit.matrices.types import Design, RandomDesign

__all__ = ["check_named", "deviation_places", "held_deviations", "hold_deviations", "refuse_several_held"]

_VARIANCES = ("sd(", "cor(")


def check_named(fixed: object) -> None:
    """Refuse what gives no values by name.

    Raises
    ------
    ArgumentError
        For what is no mapping.
    """
    if not isinstance(fixed, Mapping):
        raise ArgumentError(f"fixed= takes values by name, such as {{'x': 0.5}}, not {fixed!r}.")


def deviation_places(design: Design) -> dict[str, int]:
    """Places of the terms with one column among those of all predictors, by the names of their standard deviations."""
    named = [
        _name(predictor, term) for predictor, random in design.random_of.items() for term in random if term.is_first
    ]
    return {name: t for t, name in enumerate(named) if name is not None}


def _name(predictor: str, term: RandomDesign) -> str | None:
    """Of a term that one standard deviation describes; None of others."""
    if term.structure.n_parameters != 1 or len(term.columns) != 1:
        return None
    name = f"sd({shown(term.columns[0])}|{term.grouping.name})"
    return name if predictor == MEAN else f"{predictor}:{name}"


def hold_deviations(design: Design, fixed: Mapping[str, float]) -> tuple[Design, dict[str, float]]:
    """The design with those standard deviations known that `fixed` names, and what else is named.

    Raises
    ------
    FormulaError
        For a variance or a correlation that cannot be held.
    FitError
        For a value that is not positive.
    """
    check_named(fixed)
    asked = {name: value for name, value in fixed.items() if name.split(":", 1)[-1].startswith(_VARIANCES)}
    if not asked:
        return design, dict(fixed)
    places = deviation_places(design)
    for name, value in asked.items():
        if name not in places:
            can = ", ".join(places) or "none, since no term has one column"
            raise FormulaError(
                f"fixed= names {name!r}. Of covariances of random effects it holds standard deviations of terms with "
                f"one column ({can}): a term's whole covariance is given by equalto(... | ..., K)."
            )
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 < value < np.inf:
            raise FitError(
                f"fixed= gives {name} the value {value!r}, which must be a positive number; where it is zero, the term "
                "is left out of the formula."
            )
    parts = {predictor: _held(predictor, random, asked) for predictor, random in design.random_of.items()}
    further = tuple(replace(p, random=parts[p.name]) for p in design.further)
    rest = {name: value for name, value in fixed.items() if name not in asked}
    return replace(design, random=parts[MEAN], further=further), rest


def refuse_several_held(design: Design) -> None:
    """Refuse two known covariances of a linear model, whose sigma is tied to the one.

    Raises
    ------
    FormulaError
        Naming the standard deviations.
    """
    held = held_deviations(design)
    if held and sum(term.structure.is_given for term in design.random) > 1:
        raise FormulaError(
            f"fixed= holds {', '.join(held)}, and a linear model takes one known covariance of random effects: hold "
            "one of them."
        )


def _held(predictor: str, random: tuple[RandomDesign, ...], asked: Mapping[str, Any]) -> tuple[RandomDesign, ...]:
    out = []
    for term in random:
        name = _name(predictor, term)
        if name is not None and name in asked:
            out.append(replace(term, structure=HeldDeviation.of(term.columns[0], float(asked[name]))))
        else:
            out.append(term)
    return tuple(out)


def held_deviations(design: Design) -> dict[str, float]:
    """The standard deviations that a design knows, by name."""
    terms = [(_name(predictor, term), term) for predictor, random in design.random_of.items() for term in random]
    return {name: term.structure.sd for name, term in terms if name and isinstance(term.structure, HeldDeviation)}
