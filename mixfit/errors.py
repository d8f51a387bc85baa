"""Typed errors and warnings: each names the term, column or level at fault and says what to do."""

from __future__ import annotations

__all__ = [
    "BiasWarning",
    "ComparisonError",
    "ConvergenceWarning",
    "DataError",
    "DesignError",
    "FitError",
    "FormulaError",
    "MissingPackageError",
    "MixfitError",
    "MixfitWarning",
    "NewLevelError",
    "PriorError",
]


class MixfitError(ValueError):
    """Base of every error that mixfit raises on purpose.

    Its message names the term, column or level in question and says what to do.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> try:
    ...     mixfit.mixed("Reaction ~ Dys + (1 | Subject)", sleep)
    ... except mixfit.errors.MixfitError as error:
    ...     print(error)
    The data have no column 'Dys'. Did you mean 'Days'?
    """


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


class PriorError(FitError):
    """A prior names what the model does not have, cannot be what it is asked to be, or leaves no posterior."""


class ComparisonError(MixfitError):
    """Fits cannot be compared: their likelihoods are not, or neither model contains the other."""


class MissingPackageError(MixfitError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class MixfitWarning(UserWarning):
    """Base of every warning that mixfit issues."""


class BiasWarning(MixfitWarning):
    """The method that was asked for is known to be biased for data like these.

    Penalized quasi-likelihood issues it where at least half of the rows expect fewer than five events or, binomial,
    fewer than five non-events. Use the Laplace approximation or quadrature.
    """


class ConvergenceWarning(MixfitWarning):
    """A better optimum than the fit's own has been found.

    Profiling may find one where the likelihood has several maxima; the profile is then made around the better one.
    """
