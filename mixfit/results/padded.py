"""Results under the labels of all rows of the data, NaN where a row was left out: ``na_action="exclude"``.

Everything is computed from the rows used, by a result of these; what has a value for each row is padded when it is
handed over, and nothing that is computed from such values meets the padding.
"""

from __future__ import annotations

from functools import cached_property, wraps
from inspect import getattr_static, isfunction
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from mixfit.inference.prediction_results import PredictionResults, PredictionResultsMean
from mixfit.log import finished

if TYPE_CHECKING:
    from mixfit.fitted.core import Fitted

    R = TypeVar("R", bound=Fitted)

__all__ = ["padded", "results_of"]

# What has a value for each row.
_BY_ROW = (
    "cooks_distance",
    "fittedvalues",
    "get_prediction",
    "hatvalues",
    "linear_predictor",
    "predict",
    "quantile_residuals",
    "resid",
    "residuals",
    "simulate",
)

# What is of the padded result itself, and not of the one that it asks.
_OF_ITSELF = ("save",)

# By what they are made of, each made when it is first asked for.
_CLASSES: dict[type[Any], type[Any]] = {}


def padded(results: type[R]) -> type[R]:
    """The class of results that pads what `results` has by row."""
    if results not in _CLASSES:
        _CLASSES[results] = _made(results)
    return _CLASSES[results]


def _made(results: type[R]) -> type[R]:
    used = cached_property(lambda self: results(self.model, self.estimate))
    used.__set_name__(results, "_used")
    members: dict[str, Any] = {"_used": used, "__doc__": results.__doc__, "__module__": __name__}
    # A class that is made when it is first asked for has no name that a pickle could find it by.
    members["__reduce__"] = lambda self: (_rebuilt, (results, self.model, self.estimate))
    for name in dir(results):
        member = getattr_static(results, name)
        if (
            name.startswith("_")
            or name in _OF_ITSELF
            or not (isfunction(member) or isinstance(member, (property, cached_property)))
        ):
            continue
        members[name] = _method(name, member) if isfunction(member) else _property(name, member)
    return type(f"Padded{results.__name__}", (results,), members)


def _rebuilt(results: type[R], model: Any, estimate: Any) -> R:
    return padded(results)(model, estimate)


def _method(name: str, function: Any) -> Any:
    @wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return _pad(self, name, getattr(self._used, name)(*args, **kwargs))

    return method


def _property(name: str, member: Any) -> property:
    return property(lambda self: _pad(self, name, getattr(self._used, name)), doc=member.__doc__)


def _pad(fit: Any, name: str, value: Any) -> Any:
    """A value with rows for those left out, where it has one for each row used."""
    if name not in _BY_ROW:
        return value
    if isinstance(value, dict):
        return {key: _pad(fit, name, part) for key, part in value.items()}
    design = fit.model.design
    if isinstance(value, (PredictionResults, PredictionResultsMean)):
        return value.padded(design.excluded) if value.row_labels.is_(design.index) else value
    # Of new data, and of groups, nothing was left out.
    is_by_row = isinstance(value, (pd.Series, pd.DataFrame)) and value.index.is_(design.index)
    return design.excluded.pad(value) if is_by_row else value


def results_of(results: type[R], model: Any, estimate: Any) -> R:
    """What a user holds of a fit, of which the log has a line: padded where the model was told to.

    Parameters
    ----------
    results : type
    model : MixedModel
    estimate : Estimate

    Returns
    -------
    LinearResults or GeneralizedResults
    """
    end = estimate.certificate
    finished(model.description, model.design.n_rows, estimate.criterion, end.n_evaluations, end.message)
    if model.design.excluded is None:
        return results(model, estimate)
    return padded(results)(model, estimate)
