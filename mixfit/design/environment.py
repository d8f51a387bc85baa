"""Where the names of a formula are looked up, and its expressions evaluated."""

from __future__ import annotations

import builtins
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.parser.types import Factor
from formulaic.utils.stateful_transforms import stateful_eval

from mixfit.design.columns import Columns, normalise
from mixfit.design.hints import hint_for
from mixfit.design.materializer import MixedMaterializer
from mixfit.design.transforms import EXTRA_TRANSFORMS, KNOWN_NAMES
from mixfit.errors import FormulaError, MixfitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Environment"]


class Environment:
    """The data, then the caller's context, then the transforms.

    Parameters
    ----------
    columns : Columns
    context : mapping of str to object
        The caller's own names.
    state : dict
        What stateful transforms (scale, poly, ...) learned; filled when it is empty.
    """

    def __init__(self, columns: Columns, context: Mapping[str, Any], state: dict[str, Any]):
        self.columns = columns
        self.context = context
        self.state = state

    @cached_property
    def materializer(self) -> MixedMaterializer:
        """The formulaic machinery over these names."""
        return MixedMaterializer(self.columns, context={**EXTRA_TRANSFORMS, **self.context})

    def require(self, names: Iterable[str], formula: str = "") -> None:
        """Raise a FormulaError for the first name of the formula that nothing provides."""
        for name in names:
            if not (name in self.columns or name in self.context or name in KNOWN_NAMES or hasattr(builtins, name)):
                raise self.unknown(name, formula)

    def unknown(self, name: str, formula: str = "") -> FormulaError:
        """Make the error for a name that nothing provides, with what may have been meant."""
        import difflib

        if hint := hint_for(name, formula):
            return FormulaError(f"The {self.columns.what} have no column {name!r}. {hint}")
        dotted = [str(column) for column in self.columns if str(column).startswith(f"{name}.")]
        if dotted:
            quoted = " or ".join(f"`{column}`" for column in dotted)
            return FormulaError(f"The {self.columns.what} have no column {name!r}. Inside a function write {quoted}.")
        spelled = {str(column).lower(): str(column) for column in self.columns}
        close = [spelled[key] for key in difflib.get_close_matches(name.lower(), spelled, n=3)]
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        return FormulaError(f"The {self.columns.what} have no column {name!r}.{hint}")

    def evaluate(self, factor: Factor) -> Any:
        """Return the value of one factor of the formula."""
        if factor.eval_method is Factor.EvalMethod.LOOKUP:
            if factor.expr in self.columns:
                return self.columns[factor.expr]
            if factor.expr in self.context:
                return self.context[factor.expr]
            raise self.unknown(factor.expr)
        return self.evaluate_text(factor.expr)

    def evaluate_text(self, expression: str) -> Any:
        """Return the value of a Python expression over the columns."""
        if expression in self.columns:
            return self.columns[expression]
        try:
            value = stateful_eval(expression, self.materializer.layered_context, {}, self.state, None)
        except MixfitError:
            raise
        except Exception as error:
            raise self.failed(expression, error) from error
        return getattr(value, "__wrapped__", value)

    def series(self, factor: Factor) -> pd.Series:
        """Return the value of one factor as a column."""
        value = self.evaluate(factor)
        if isinstance(value, pd.Series):
            return value if factor.expr in self.columns else normalise(value, f"`{factor.expr}`")
        if np.ndim(value) != 1 or len(value) != self.columns.n_rows:
            raise FormulaError(f"`{factor.expr}` is not a column: it needs one value for each row.")
        return normalise(pd.Series(value), f"`{factor.expr}`")

    def failed(self, expression: str, error: BaseException) -> FormulaError:
        """Make the error for an expression that could not be evaluated."""
        cause = error.__cause__ if isinstance(error, FormulaicError) and error.__cause__ else error
        if isinstance(cause, FormulaError):
            return cause
        name = getattr(cause, "name", None)
        if isinstance(cause, NameError) and name:
            return self.unknown(name)
        return FormulaError(f"`{expression}` cannot be evaluated ({type(cause).__name__}: {cause}).")
