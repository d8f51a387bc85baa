"""formulaic's pandas materializer, reading our columns and coding factors as R does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from formulaic.materializers import PandasMaterializer
from formulaic.materializers.types import FactorValues, NAAction
from formulaic.parser.types import Factor
from interface_meta import override

from mixfit.errors import DataError, FormulaError
from mixfit.matrices.columns import Columns, is_factor, null_rows
from mixfit.matrices.plain import refuse_new_levels, require_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from formulaic.materializers.base import EvaluatedFactor

__all__ = ["MixedMaterializer"]


class MixedMaterializer(PandasMaterializer):  # type: ignore[misc]
    """Builds model matrices from `Columns`.

    It differs from its parent in four ways: booleans are factors; unused levels are dropped; levels
    that the fit never saw are an error; and the rows in which each factor is missing are kept in `nulls`.
    """

    REGISTER_NAME = None  # formulaic must not choose this class for anyone else's data
    data: Columns

    @override
    def _init(self) -> None:
        self.nulls: dict[str, np.ndarray[Any, np.dtype[np.bool_]]] = {}
        self.prepared: dict[str, EvaluatedFactor] = {}

    @override  # type: ignore[prop-decorator]
    @property
    def nrows(self) -> int:
        """Number of rows, before any is dropped."""
        return self.data.n_rows

    @override
    def _is_categorical(self, values: Any) -> bool:
        inner = getattr(values, "__wrapped__", values)
        if isinstance(inner, pd.Series):
            return is_factor(inner)
        if isinstance(inner, np.ndarray) and inner.ndim == 1 and inner.dtype.kind in "bOU":
            return True
        return bool(super()._is_categorical(values))

    @override
    def _check_for_nulls(self, name: str, values: Any, na_action: NAAction, drop_rows: set[int]) -> None:
        if callable(getattr(values, "__wrapped__", values)):
            raise FormulaError(f"The {self.data.what} have no column {name!r}; it is a function's name.")
        rows = null_rows(values, self.nrows, name)
        if rows is None:
            return
        self.nulls[name] = rows
        if na_action is NAAction.DROP:
            drop_rows.update(np.flatnonzero(rows).tolist())

    @override
    def _encode_evaled_factor(
        self, factor: EvaluatedFactor, spec: Any, drop_rows: Sequence[int], reduced_rank: bool = False
    ) -> dict[str, Any]:
        kind, state = spec.encoder_state.get(factor.expr, (None, {}))
        if kind not in (None, factor.metadata.kind):
            raise DataError(
                f"`{factor.expr}` is {factor.metadata.kind.value} here, but it was {kind.value} in the fit."
            )
        if factor.metadata.kind is Factor.Kind.CATEGORICAL:
            if factor.expr not in self.prepared:
                known = state.get("categories")
                self.prepared[factor.expr] = _prepare_levels(factor, known, drop_rows)
            factor = self.prepared[factor.expr]
        encoded: dict[str, Any] = super()._encode_evaled_factor(factor, spec, drop_rows, reduced_rank)
        return encoded

    def levels_and_codes(self, name: str) -> tuple[tuple[object, ...], np.ndarray[Any, Any]]:
        """Levels of a factor that was encoded, and the code of every row of the data."""
        values = self.prepared[name].values
        series = getattr(values, "__wrapped__", values)
        return tuple(series.cat.categories), series.cat.codes.to_numpy()

    def encoded_columns(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Columns of a covariate that was encoded, on the rows that were not dropped."""
        encoded = self.encoded_cache[name] if name in self.encoded_cache else self.encoded_cache[name, False]
        columns = self._flatten_encoded_evaled_factor(name, encoded)
        arrays = [np.asarray(getattr(c, "__wrapped__", c), dtype=np.float64) for c in columns.values()]
        return np.column_stack(arrays)

    @override
    def _encode_numerical(
        self, values: Any, metadata: Any, encoder_state: dict[str, Any], spec: Any, drop_rows: Sequence[int]
    ) -> Any:
        inner = getattr(values, "__wrapped__", values)
        if np.asarray(inner).dtype.kind not in "biuf":
            name = getattr(inner, "name", None)
            what = f"Column {name!r}" if name is not None else "A term of the formula"
            if isinstance(inner, pd.Series) and pd.api.types.is_datetime64_any_dtype(inner.dtype):
                raise DataError(
                    f"{what} is not numeric but holds dates: write C({name}) for a factor, or make a column of numbers "
                    "of it, such as the days since the first."
                )
            raise DataError(f"{what} is not numeric ({np.asarray(inner).dtype}): convert it to numbers.")
        return super()._encode_numerical(values, metadata, encoder_state, spec, drop_rows)

    @override
    def _combine_columns(self, cols: Sequence[tuple[str, Any]], spec: Any, drop_rows: Sequence[int]) -> Any:
        if not cols:
            return np.empty((self.nrows - len(drop_rows), 0))
        return super()._combine_columns(cols, spec, drop_rows)


def _prepare_levels(factor: EvaluatedFactor, known: Sequence[Any] | None, drop_rows: Sequence[int]) -> EvaluatedFactor:
    """Make the factor categorical, without levels that no row has; refuse levels other than `known`."""
    values = pd.Series(getattr(factor.values, "__wrapped__", factor.values)).astype("category")
    codes = values.cat.codes.to_numpy()
    if drop_rows:
        codes = np.delete(codes, drop_rows)
    levels = values.cat.categories
    used = np.bincount(codes[codes >= 0], minlength=len(levels)) > 0
    if known is not None:
        refuse_new_levels(levels[used], known, factor.expr)
    else:
        require_levels(int(used.sum()), factor.expr)
    if not used.all():
        values = values.cat.set_categories(levels[used])
    return factor.replace(values=FactorValues(values, metadata=factor.metadata))
