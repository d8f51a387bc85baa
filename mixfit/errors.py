"""Typed errors and warnings: each names the term, column or level at fault and says what to do."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import ClassVar

from mixfit.spellings import of_attribute, of_module

__all__ = [
    "ArgumentError",
    "BiasWarning",
    "ComparisonError",
    "ConvergenceWarning",
    "DataError",
    "DesignError",
    "EstimabilityWarning",
    "FitError",
    "FormulaError",
    "MissingFileError",
    "MissingPackageError",
    "MixfitError",
    "MixfitWarning",
    "NewLevelError",
    "ParameterError",
    "PriorError",
    "RowsError",
    "SavedFitError",
    "SourceError",
    "UndefinedValuesWarning",
    "UnknownNameError",
]


def __dir__() -> list[str]:
    """What is public."""
    return sorted(__all__)


_PACKAGE = str(Path(__file__).parent)


class _OnPage:
    """Errors and warnings, each with a section on the documentation's page of errors."""

    page: ClassVar[str]

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        # A class of another module, one's own for instance, stands where the one does that it is a kind of.
        if cls.__module__ == __name__:
            cls.page = f"errors.html#{cls.__name__.lower()}"


class MixfitError(_OnPage, ValueError):
    """Base of every error that mixfit raises on purpose.

    Its message names the term, column or level in question and says what to do; its section on the page *Errors and
    warnings* says what causes it.

    Attributes
    ----------
    page : str
        Where that section is, from the first page of the documentation. Warnings have one as well.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> try:
    ...     mixfit.mixed("Reaction ~ Dys + (1 | Subject)", sleep)
    ... except mixfit.errors.MixfitError as error:
    ...     print(error)
    The data have no column 'Dys'. Did you mean 'Days'?
    >>> mixfit.errors.DataError.page
    'errors.html#dataerror'
    """


class FormulaError(MixfitError):
    """The formula cannot be read, or asks for something that does not exist."""


class DataError(MixfitError):
    """A column, weight, offset or response cannot be used as it stands."""


class DesignError(MixfitError):
    """Formula and data are each readable, but the model they make cannot be estimated."""


class SourceError(DataError):
    """A file, a query or a stream cannot be read, or is not the same in all its parts; the message names the place."""


class NewLevelError(DataError):
    """New data hold a level of a grouping factor or categorical that the fit never saw."""


class FitError(MixfitError):
    """The estimates asked for do not exist, or an option contradicts the fit."""


class ParameterError(FitError):
    """Parameters are stated that the model does not have or cannot have, or some are missing.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> try:
    ...     mixfit.design("~ Days + (1 | Subject)", layout, fixed={"Days": 10}, sd={"Subject": 30}, sigma=25)
    ... except mixfit.errors.ParameterError as error:
    ...     print(error)
    The model has further parameters, which no value is given for. Give 'Intercept' by fixed=.
    """


class RowsError(FitError):
    """What is asked for needs the rows of the data, which a model of rows in batches does not keep."""


class SavedFitError(MixfitError):
    """A file holds no fit, one of another version of mixfit, or a damaged one; or a fit cannot be saved."""


class MissingFileError(MixfitError, FileNotFoundError):
    """There is no such file to read, or no such folder to write to.

    Examples
    --------
    >>> import mixfit
    >>> try:
    ...     mixfit.load("nowhere.mixfit")
    ... except FileNotFoundError as error:
    ...     print(error)
    There is no file 'nowhere.mixfit': give the path that fit.save() wrote to.
    """


class PriorError(FitError):
    """A prior names what the model does not have, cannot be what it is asked to be, or leaves no posterior."""


class ArgumentError(MixfitError, TypeError):
    """An argument is of a type that the function does not take, such as a name where a number belongs.

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    >>> try:
    ...     fit.conf_int("profile")
    ... except mixfit.errors.ArgumentError as error:
    ...     print(error)
    level is a number, as in level=0.95, not 'profile'. Other arguments are given by their names.
    """


class UnknownNameError(MixfitError, AttributeError):
    """A fit, a model, `mixfit` or `mixfit.options` has no attribute of that name; the message says how it is written.

    Parameters
    ----------
    owner : type or str
        The class; or ``"mixfit"``; or all that there is to say.
    attribute : str

    Examples
    --------
    >>> import mixfit
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
    >>> fit.fe_params
    Traceback (most recent call last):
    mixfit.errors.UnknownNameError: LinearResults has no attribute 'fe_params': it is params.
    >>> hasattr(fit, "fe_params")
    False
    """

    def __init__(self, owner: type | str, attribute: str) -> None:
        super().__init__(owner, attribute)

    def __str__(self) -> str:
        # Made when it is read: code that asks whether something is there does not wait for it.
        owner, name = self.args
        if isinstance(owner, type):
            known = {*dir(owner), *getattr(owner, "__dataclass_fields__", ())}
            said = f"{owner.__name__} has no attribute {name!r}: {of_attribute(name, sorted(known))}"
        elif owner == "mixfit":
            said = f"mixfit has no {name!r}: {of_module(name, sys.modules[owner].__all__)}"
        else:
            return str(owner)
        return said if said.endswith("?") else f"{said}."


class ComparisonError(MixfitError):
    """Fits cannot be compared: their likelihoods are not, or neither model contains the other."""


class MissingPackageError(MixfitError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class MixfitWarning(_OnPage, UserWarning):
    """Base of every warning that mixfit issues; its ``page`` is that of `MixfitError`."""


class UndefinedValuesWarning(MixfitWarning):
    """An expression of the formula has no value in rows where none of its columns is missing, such as log(x) of x < 0.

    The rows are left out, as rows with missing values are.
    """


class BiasWarning(MixfitWarning):
    """The method that was asked for is known to be biased for data like these.

    Penalized quasi-likelihood issues it where at least half of the rows expect fewer than five events or, binomial,
    fewer than five non-events. Use the Laplace approximation or quadrature.
    """


class EstimabilityWarning(MixfitWarning):
    """Rows of new data ask for what the data of the fit do not tell; their predictions are NaN.

    Columns of X that others determine are left out of a fit. In a row in which they are not what those others make of
    them, such as one of a combination of levels that no row of the fit has, a prediction would depend on which columns
    were left out.
    """


class ConvergenceWarning(MixfitWarning):
    """A better optimum than the fit's own has been found.

    Profiling may find one where the likelihood has several maxima; the profile is then made around the better one.
    """


def warn(message: str, category: type[MixfitWarning]) -> None:
    """Issue a warning where the caller's own code called mixfit, however deep inside it is found.

    Parameters
    ----------
    message : str
    category : type

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("Look here.", MixfitWarning)
    >>> str(caught[0].message)
    'Look here.'
    """
    # For warnings.warn this function is level 1, the one that called it 2.
    frame, depth, level = sys._getframe().f_back, 2, 2
    while frame is not None:
        depth += 1
        if frame.f_code.co_filename.startswith(_PACKAGE):
            level = depth
        frame = frame.f_back
    warnings.warn(message, category, stacklevel=level)
