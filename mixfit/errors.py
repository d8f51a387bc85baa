"""Typed errors and warnings: each names the term, column or level at fault and says what to do."""

from __future__ import annotations

__all__ = [
    "BiasWarning",
    "DataError",
    "DesignError",
    "FitError",
    "FormulaError",
    "MissingLibraryError",
    "MixfitError",
    "MixfitWarning",
    "NewLevelError",
    "RankWarning",
]


class MixfitError(ValueError):
    """Base of every error that mixfit raises on purpose."""


class FormulaError(MixfitError):
    """The formula cannot be read, or asks for something that does not exist."""


class DataError(MixfitError):
    """A column, weight, offset or response cannot be used as it stands."""


class DesignError(MixfitError):
    """Formula and data are each readable, but the model they make cannot be estimated."""


class NewLevelError(DataError):
    """New data hold a level of a grouping factor or categorical that the fit never saw."""


class FitError(MixfitError):
    """The estimates asked for do not exist, or an option contradicts the fit."""


class MissingLibraryError(MixfitError, ImportError):
    """An optional library is not installed; the message names the extra that brings it."""


class MixfitWarning(UserWarning):
    """Base of every warning that mixfit issues."""


class RankWarning(MixfitWarning):
    """Columns of the fixed-effects matrix were dropped because others determine them."""


class BiasWarning(MixfitWarning):
    """The method that was asked for is known to be biased for data like these."""
