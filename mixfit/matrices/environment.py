"""Where the names of a formula are looked up and its expressions evaluated, and what it may call."""

from __future__ import annotations

import ast
import builtins
import re
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.materializers.types import FactorValues
from formulaic.parser.types import Factor
from formulaic.transforms import TRANSFORMS, stateful_transform
from formulaic.utils.stateful_transforms import stateful_eval

from mixfit.errors import FormulaError, MixfitError
from mixfit.formula import variables_of
from mixfit.matrices.columns import Columns, normalise, null_rows
from mixfit.matrices.contrasts import categorical, contr
from mixfit.matrices.materializer import MixedMaterializer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import CodeType

    from numpy.typing import NDArray


__all__ = ["EXTRA_TRANSFORMS", "KNOWN_NAMES", "Environment", "hint_for"]

_ARITHMETIC = (ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.UnaryOp, ast.USub, ast.Load)
# Beyond it a constant may not fit the integers that it meets.
_LARGEST_CONSTANT = 2**31 - 1
_INSTEAD = {
    "FALSE": "Python writes False.",
    "TRUE": "Python writes True.",
    "c": "Python writes a list: [a, b].",
    "dummy": "The indicator of a level is np.where(x == 'level', 1, 0).",
    "ifelse": "Write np.where(condition, a, b).",
    "interaction": "Write a:b, for factors and for groups.",
    "ns": "A natural cubic spline is cr(x, df=3, constraints='center').",
    "ordered": "Write C(x, contr.poly), of a categorical column whose categories stand in order.",
    "pd": "Pass pandas by context={'pd': pandas}.",
    "relevel": "Write C(x, contr.treatment('level')), which makes 'level' the baseline.",
    "weights": "Weights are an argument: mixed(formula, data, weights='column').",
}


def hint_for(name: str, formula: str) -> str | None:
    """Say what to write for `name`, which nothing provides and `formula` asks for; None where nothing comes to mind."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    if not re.search(rf"(?<![\w.`]){re.escape(name)}\s*\(", formula):
        return None
    if callable(getattr(np, name, None)):
        return f"numpy's function is np.{name}(...)."
    return f"There is no such function either; one of your own is passed by context={{{name!r}: {name}}}."


def _skipping_missing(name: str) -> Callable[..., Any]:
    """Let a transform learn from the rows that have a value, as R's scale() does.

    formulaic's `scale` takes a plain mean: one missing value would make every row missing.
    """
    transform = TRANSFORMS[name]

    def skipping(
        data: Any,
        *args: Any,
        _state: dict[str, Any] | None = None,
        _metadata: Any = None,
        _spec: Any = None,
        **kwargs: Any,
    ) -> Any:
        values = np.asarray(data)
        extras = {"_state": {} if _state is None else _state, "_metadata": _metadata, "_spec": _spec}
        missing = null_rows(values, len(values), name)
        if missing is None:
            return transform(data, *args, **extras, **kwargs)
        return _spread(transform(values[~missing], *args, **extras, **kwargs), ~missing)

    skipping.__name__ = name
    return stateful_transform(skipping)


def _spread(values: Any, rows: Any) -> Any:
    """Put `values` back into `rows` of columns that are missing elsewhere."""
    inner = getattr(values, "__wrapped__", values)
    if isinstance(inner, dict):
        spread: Any = {key: _spread(value, rows) for key, value in inner.items()}
    else:
        inner = np.asarray(inner)
        spread = np.full((len(rows), *inner.shape[1:]), np.nan)
        spread[rows] = inner
    if isinstance(values, FactorValues):
        return FactorValues(spread, metadata=values.__formulaic_metadata__)
    return spread


#: Found after the data and the caller's context, before formulaic's own names.
EXTRA_TRANSFORMS: Mapping[str, Any] = {
    **{name: _skipping_missing(name) for name in ("scale", "center", "standardize", "bs", "cc", "cr", "cs")},
    "sqrt": np.sqrt,
    "C": categorical,
    "contr": contr,
    "factor": categorical,
}
#: Names that a formula may use although no column has them.
KNOWN_NAMES = frozenset({*TRANSFORMS, *EXTRA_TRANSFORMS})


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

        if name in self.columns.index.names:
            return FormulaError(
                f"The {self.columns.what} have no column {name!r}. It is in the index: pass data.reset_index({name!r})."
            )
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
                return self.columns.labelled(factor.expr)
            if factor.expr in self.context:
                return self.context[factor.expr]
            raise self.unknown(factor.expr)
        return self.evaluate_text(factor.expr)

    def evaluate_text(self, expression: str) -> Any:
        """Return the value of a Python expression over the columns."""
        if expression in self.columns:
            return self.columns.labelled(expression)
        arithmetic = _arithmetic(expression)
        if arithmetic is not None and all(self._is_machine_number(name) for name in arithmetic[1]):
            code, names = arithmetic
            with np.errstate(all="ignore"):
                return eval(code, {"__builtins__": {}}, {name: self.columns.numbers(name) for name in names})
        try:
            value = stateful_eval(expression, self.materializer.layered_context, {}, self.state, None)
        except MixfitError:
            raise
        except Exception as error:
            raise self.failed(expression, error) from error
        return getattr(value, "__wrapped__", value)

    def _is_machine_number(self, name: str) -> bool:
        """Whether numpy and pandas calculate alike with a column."""
        if name not in self.columns or self.columns.kind(name) != "number":
            return False
        return self.columns.numbers(name).dtype in (np.int64, np.float64)

    def without(self, expression: str) -> NDArray[np.bool_]:
        """Rows in which a column that an expression looks up is missing."""
        lookup, python = Factor.EvalMethod.LOOKUP, Factor.EvalMethod.PYTHON
        factor = Factor(expression, eval_method=lookup if expression in self.columns else python)
        missing = np.zeros(self.columns.n_rows, dtype=bool)
        for name in variables_of(factor):
            if name in self.columns:
                missing |= self.columns.labelled(name).isna().to_numpy()
        return missing

    def series(self, factor: Factor) -> pd.Series:
        """Return the value of one factor as a column."""
        value = self.evaluate(factor)
        if isinstance(value, pd.Series):
            return value if factor.expr in self.columns else normalise(value, f"`{factor.expr}`")
        if np.ndim(value) != 1 or len(value) != self.columns.n_rows:
            raise FormulaError(f"`{factor.expr}` is not a column: it needs one value for each row.")
        return normalise(pd.Series(value), f"`{factor.expr}`")

    def failed(self, expression: str, error: BaseException) -> MixfitError:
        """Make the error for an expression that could not be evaluated."""
        cause = error.__cause__ if isinstance(error, FormulaicError) and error.__cause__ else error
        if isinstance(cause, MixfitError):
            return cause
        name = getattr(cause, "name", None)
        if isinstance(cause, NameError) and name:
            return self.unknown(name)
        return FormulaError(f"`{expression}` cannot be evaluated ({type(cause).__name__}: {cause}).")


# Cached as formulas are: the expressions are theirs.
@lru_cache(maxsize=512)
def _arithmetic(expression: str) -> tuple[CodeType, tuple[str, ...]] | None:
    """Compile sums, differences and products of names and numbers, with the names; None for all else."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return None
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names[node.id] = None
        elif isinstance(node, ast.Constant):
            if not isinstance(node.value, (int, float)) or abs(node.value) > _LARGEST_CONSTANT:
                return None
        elif not isinstance(node, _ARITHMETIC):
            return None
    return (compile(tree, "<formula>", "eval"), tuple(names)) if names else None
