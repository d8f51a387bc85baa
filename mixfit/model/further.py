"""The predictors after the mean's that a generalized model is given, and the responses that it admits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import DataError, FitError, FormulaError
from mixfit.families.resolve import FAMILIES, resolve_family
from mixfit.families.several import DISPERSION, ZERO
from mixfit.formula import parse_predictor

if TYPE_CHECKING:
    from mixfit.families.base import Family
    from mixfit.formula import PredictorFormula
    from mixfit.matrices.types import Design

__all__ = ["check_response", "further_formulas", "no_survival", "refuse_several", "under_family"]


def further_formulas(family: Family, zi: str | None, dispersion: str | None) -> dict[str, PredictorFormula]:
    """Read ``zi=`` and ``dispersion=``.

    Raises
    ------
    FormulaError
        For formulas that cannot be read, or are not for this family.
    """
    out: dict[str, PredictorFormula] = {}
    if zi is not None:
        if family.support.lower not in (0.0, 1.0) or family.support.lower == -np.inf:
            raise FormulaError(
                f"zi= models zeros, and a {family.name} response is any number, of which zero is one like others. "
                "Families with zeros are those of counts and proportions, gamma, lognormal, tweedie and others of "
                "positive responses."
            )
        out[ZERO] = parse_predictor(zi)
    if dispersion is not None:
        if not family.has_dispersion:
            known = "none" if family.dispersion == "none" else f"a known one, {family.known_phi:g}"
            raise FormulaError(f"dispersion= is a formula of a dispersion, and the {family!r} family has {known}.")
        out[DISPERSION] = parse_predictor(dispersion)
    return out


def check_response(design: Design, family: Family) -> None:
    """Refuse responses outside the support, and those that leave nothing to model."""
    y = design.y
    if design.censored and not family.censors:
        raise DataError(no_survival(design.endog_name, family))
    if family.censors and not design.censored and (y < 0.0).any():
        raise DataError(
            f"{design.endog_name!r} is a time, and negative in {int((y < 0.0).sum())} row(s): write censored(time, "
            "event) where some are censored."
        )
    if design.censored and not (y > 0.0).any():
        raise DataError(f"{design.endog_name}: all {len(y)} rows are censored, and no event is seen.")
    prior = np.ones(len(y)) if design.weights is None else design.weights
    if any(p.name == ZERO for p in design.further):
        zero = y == 0.0
        if not zero.any():
            raise DataError(f"zi= models the zeros of {design.endog_name!r}, which has none.")
        if zero.all():
            raise DataError(f"The response {design.endog_name!r} is zero in every row: there is nothing to model.")
        if not family.has_zero:
            y = np.where(zero, 1.0 if family.support.whole else 0.5, y)
    family.check(y, prior, design.endog_name)
    if (design.y == design.y[0]).all():
        raise DataError(f"The response {design.endog_name!r} is the same in every row: there is nothing to model.")


def no_survival(response: str, family: Family) -> str:
    """Say which families `response`, of times that may be censored, is for."""
    names = ", ".join(own.name for own in FAMILIES.values() if own.censors)
    return f"{response} is a response for families of times to an event ({names}), and {family!r} is none of them."


def refuse_several(design: Design, what: str) -> None:
    """Refuse what is computed for models of the mean alone.

    Raises
    ------
    FitError
        Where the design has further predictors.
    """
    if design.further:
        names = " and ".join(f"{p.name}=" for p in design.further)
        raise FitError(
            f"{what} are for models of the mean alone, and this one has {names}: use Wald tests, likelihood ratios of "
            "two fits, or a bootstrap."
        )


def under_family(design: Design, own: Family | None, family: Any) -> tuple[Design, Family]:
    """A design, whose family is `own` (None: that of a linear model), under another distribution, and that one.

    Raises
    ------
    FitError
        For a family of proportions where the responses are none, or the other way round.
    FormulaError
        Where the family has no zeros or no dispersion that the design's predictors could be of.
    """
    resolved = resolve_family(family)
    trials = own is not None and own.kind == "proportion"
    if trials != (resolved.kind == "proportion"):
        kinds = "proportions of trials" if trials else "no proportions of trials"
        raise FitError(f"The responses are {kinds}, which the {resolved!r} family does not model.")
    texts = {p.name: p.text for p in design.further}
    further_formulas(resolved, texts.get(ZERO), texts.get(DISPERSION))
    return replace(design, link=resolved.link, transformation=None), resolved
