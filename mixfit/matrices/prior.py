"""How new rows say their prior weights, or numbers of trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import DataError, FormulaError
from mixfit.matrices.vectors import numbers

if TYPE_CHECKING:
    from mixfit.matrices.environment import Environment

    Vector = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["PriorReader"]


@dataclass(frozen=True)
class PriorReader:
    """Where the prior weights of a fit come from.

    Attributes
    ----------
    trials : tuple of str
        Successes and failures of a response ``cbind(successes, failures)``, which the numbers of trials are the sum
        of; empty for other responses.
    weights : str, or None
        A column or an expression given as ``weights=``.
    array : bool
        Whether ``weights=`` was an array, which has no values for new rows.
    """

    trials: tuple[str, ...] = ()
    weights: str | None = None
    array: bool = False

    def read(self, environment: Environment) -> Vector | None:
        """Weights of new rows, NaN where missing; None where all are 1.

        Raises
        ------
        DataError
            Where the new data lack what the weights are made of.
        """
        if self.array:
            raise DataError(
                "The model was given weights= as an array, which has no values for new data: pass weights= for these."
            )
        expressions = (" + ".join(f"({one})" for one in self.trials), self.weights)
        found = [self._one(text, environment) for text in expressions if text]
        return None if not found else np.asarray(np.prod(found, axis=0))

    def _one(self, expression: str, environment: Environment) -> Vector:
        try:
            values = numbers(environment.evaluate_text(expression), f"The weights {expression!r}", environment)
        except FormulaError as error:
            what = "numbers of trials" if self.trials else "weights"
            raise DataError(f"{error} The {what} are made of it: add it, or pass weights= for the new rows.") from error
        if (values < 0.0).any():
            raise DataError(f"Weights {expression!r} of new rows must not be negative; {int((values < 0).sum())} are.")
        return values
