"""What the log standard deviations of a nonlinear model's residuals are linear in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.families.several import DISPERSION
from mixfit.formula import parse
from mixfit.matrices.build import build
from mixfit.matrices.residual import residual_design, residual_formulas

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.formula.terms import MixedFormula, PredictorFormula
    from mixfit.matrices.new_rows import DesignReader
    from mixfit.matrices.residual import ResidualDesign

    Array = NDArray[np.float64]

__all__ = ["SpreadColumns", "SpreadFormula", "read_spread"]


@dataclass(frozen=True)
class SpreadFormula:
    """A formula of log standard deviations as it was written, and the formulas that it is read by."""

    text: str
    mean: MixedFormula
    further: Mapping[str, PredictorFormula]

    @classmethod
    def read(cls, response: str, text: str) -> SpreadFormula:
        """Read ``~ x``.

        Raises
        ------
        FormulaError
            Where it cannot be read, or has random terms or offsets.
        """
        return cls(text, *residual_formulas(parse(f"{response} ~ 1", random=False), None, text))

    @property
    def variables(self) -> tuple[str, ...]:
        """Names that it looks up."""
        return self.further[DISPERSION].variables


@dataclass(frozen=True, eq=False)
class SpreadColumns:
    """Columns of the log standard deviations over log sigma.

    Attributes
    ----------
    text : str
    residual : ResidualDesign
        With the columns of the rows used, (n, g), and their names.
    reader : DesignReader
    exog_names : tuple of str
        All columns of the formula, that of sigma among them.
    """

    text: str
    residual: ResidualDesign
    reader: DesignReader
    exog_names: tuple[str, ...]

    def of_rows(self, keep: NDArray[np.bool_]) -> SpreadColumns:
        """Of some of the rows used."""
        own = self.residual
        parts = {name: getattr(own, name)[keep] for name in ("spread", "place", "block", "part")}
        return replace(self, residual=replace(own, **parts))

    def rows(self, newdata: Any) -> Array:
        """Columns of new rows, (m, g)."""
        X = self.reader.read(newdata, (), ((),)).further[0].X
        return np.asarray(X[:, [self.exog_names.index(name) for name in self.residual.spread_names]])


def read_spread(formula: SpreadFormula, rows: pd.DataFrame, context: Mapping[str, Any]) -> SpreadColumns:
    """The columns of some rows.

    Raises
    ------
    DataError, DesignError, FormulaError
        For a column that is not there, that adds nothing, or where there is none.
    """
    design = build(formula.mean, rows, None, None, "raise", context, further=formula.further)
    (predictor,) = design.further
    return SpreadColumns(formula.text, residual_design(design), design.reader, predictor.exog_names)
