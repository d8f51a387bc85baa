"""Formulas: text to fixed terms and random-effects terms, with nothing known of data."""

from mixfit.formula.parse import parse, parse_predictor
from mixfit.formula.terms import (
    CBIND,
    CENSORED,
    BareTerms,
    MixedFormula,
    PredictorFormula,
    RandomTerm,
    Response,
    variables_of,
)

__all__ = [
    "CBIND",
    "CENSORED",
    "BareTerms",
    "MixedFormula",
    "PredictorFormula",
    "RandomTerm",
    "Response",
    "parse",
    "parse_predictor",
    "variables_of",
]
