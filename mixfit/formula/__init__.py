"""Formulas: text to fixed terms and random-effects terms, with nothing known of data."""

from mixfit.formula.calls import variables_of
from mixfit.formula.parse import parse
from mixfit.formula.types import MixedFormula, RandomTerm, Response

__all__ = ["MixedFormula", "RandomTerm", "Response", "parse", "variables_of"]
