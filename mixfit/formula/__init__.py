"""Formulas: text to fixed terms and random-effects terms, with nothing known of data."""

from mixfit.formula.parse import parse
from mixfit.formula.terms import BareTerms, MixedFormula, RandomTerm, Response, variables_of

__all__ = ["BareTerms", "MixedFormula", "RandomTerm", "Response", "parse", "variables_of"]
