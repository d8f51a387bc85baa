"""What formulas may call besides formulaic's own transforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from formulaic.materializers.types import FactorValues
from formulaic.transforms import TRANSFORMS, C, stateful_transform

from mixfit.design.missing import null_rows
from mixfit.errors import FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["EXTRA_TRANSFORMS", "KNOWN_NAMES"]


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


def categorical(data: Any, contrasts: Any = None, **options: Any) -> FactorValues:
    """formulaic's ``C``, which takes patsy's ``C(x, Treatment)`` for a matrix of contrasts."""
    if contrasts is TRANSFORMS["Treatment"]:
        contrasts = contrasts()
    if isinstance(contrasts, str):
        raise FormulaError(
            f"C(x, {contrasts!r}): contrasts are not named by a string. Write C(x, contr.sum) for sum contrasts, "
            f"C(x, contr.treatment({contrasts!r})) to make {contrasts!r} the baseline."
        )
    return C(data, contrasts, **options)


#: Found after the data and the caller's context, before formulaic's own names.
EXTRA_TRANSFORMS: Mapping[str, Any] = {
    **{name: _skipping_missing(name) for name in ("scale", "center", "standardize", "bs", "cc", "cr", "cs")},
    "sqrt": np.sqrt,
    "C": categorical,
    "factor": categorical,
}

#: Names that a formula may use although no column has them.
KNOWN_NAMES = frozenset({*TRANSFORMS, *EXTRA_TRANSFORMS})
