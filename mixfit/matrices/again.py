"""What a design was built with beside formula and data, to build one of other data in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mixfit.errors import DataError
from mixfit.matrices.reader import FittedReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mixfit.matrices.types import Design

__all__ = ["Arguments", "arguments_of"]


class Arguments(NamedTuple):
    """Expressions of prior weights and offset, and names that expressions may use."""

    weights: str | None
    offset: str | None
    context: Mapping[str, Any]


def arguments_of(design: Design, n_offsets: int) -> Arguments:
    """Read from a design what `build` was given; the formula itself has `n_offsets` offsets.

    Raises
    ------
    DataError
        Where weights or offset were arrays, which say nothing of other data.
    """
    reader = design.reader
    if not isinstance(reader, FittedReader):
        raise DataError("This design was not read from a formula, and cannot be read again for other data.")
    mean = reader.predictors[0]
    for name, array in (("weights", reader.prior.array), ("offset", mean.array_offset)):
        if array:
            raise DataError(
                f"The model was given {name}= as an array, which has no values for other data: give a column's name."
            )
    offset = mean.offsets[n_offsets:]
    return Arguments(reader.prior.weights, offset[0] if offset else None, reader.context)
