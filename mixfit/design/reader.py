"""Read new data as the fit read its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mixfit.design.columns import Columns
from mixfit.design.environment import Environment
from mixfit.design.parts import Part, read_parts
from mixfit.design.types import NewDesign
from mixfit.design.vectors import read_offsets
from mixfit.errors import DataError, FormulaError
from mixfit.formula import variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from formulaic.parser.types import Factor
    from numpy.typing import NDArray

    from mixfit.design.grouping import GroupingReader

__all__ = ["FittedReader", "RandomReader"]


@dataclass(frozen=True)
class RandomReader:
    """How one random term reads new rows."""

    part: Part
    groups: tuple[Factor, ...]
    grouping: GroupingReader


@dataclass(frozen=True)
class FittedReader:
    """The fitted encodings of a design; implements `DesignReader`.

    Attributes
    ----------
    fixed : Part
    random : tuple of RandomReader
    offsets : tuple of str
        Expressions that are summed: those of the formula, and a column or expression given as ``offset=``.
    array_offset : bool
        Whether the fit had an array for ``offset=``, which has no values for new rows.
    context : mapping
        The caller's names that the formula uses. Whoever pickles the reader pickles them.
    state : dict
        What the stateful transforms outside X and Z learned.
    """

    fixed: Part
    random: tuple[RandomReader, ...]
    offsets: tuple[str, ...]
    array_offset: bool
    context: Mapping[str, Any]
    state: dict[str, Any]

    def read(self, newdata: object, terms: tuple[bool, ...]) -> NewDesign:
        """Build the rows of `newdata`; `terms` says which random terms are wanted.

        Raises
        ------
        NewLevelError
            If a factor in X or Z has a level that the fit never saw. Unknown levels of a grouping
            factor are no error here: their code is -1, as it is for a missing one.
        DataError
            If a column that is needed is not there, or is of another kind than in the fit.
        """
        if len(terms) != len(self.random):
            raise ValueError(f"{len(terms)} flags for {len(self.random)} random terms")
        columns = Columns(newdata, "new data")
        environment = Environment(columns, self.context, dict(self.state))
        wanted = [term for term, want in zip(self.random, terms, strict=True) if want]
        try:
            self._require(environment, wanted)
            X, *matrices = read_parts([self.fixed, *(term.part for term in wanted)], environment)
            codes = [term.grouping.read([environment.series(factor) for factor in term.groups]) for term in wanted]
            offset = self._offset(environment)
        except FormulaError as error:
            raise DataError(str(error)) from error
        Z, found = iter(matrices), iter(codes)
        return NewDesign(
            X=X,
            Z=tuple(next(Z) if want else None for want in terms),
            codes=tuple(next(found) if want else None for want in terms),
            offset=offset,
            index=columns.index,
        )

    def read_fixed(self, newdata: object) -> NDArray[np.float64]:
        """Build X of `newdata` alone, shape (m, p); raises as `read` does."""
        environment = Environment(Columns(newdata, "new data"), self.context, dict(self.state))
        try:
            self._require(environment, [])
            return read_parts([self.fixed], environment)[0]
        except FormulaError as error:
            raise DataError(str(error)) from error

    def read_random(self, newdata: object) -> tuple[NDArray[np.float64], ...]:
        """Build the columns left of every bar, shape (m, k_t) a term; raises as `read` does."""
        environment = Environment(Columns(newdata, "new data"), self.context, dict(self.state))
        parts = [term.part for term in self.random]
        try:
            self._require_columns(environment, parts)
            return tuple(read_parts(parts, environment))
        except FormulaError as error:
            raise DataError(str(error)) from error

    @property
    def fixed_terms(self) -> tuple[tuple[str, ...], ...]:
        """Names that each fixed term looks up, functions included; none for the constant."""
        return self.fixed.looked_up

    @property
    def factor_names(self) -> frozenset[str]:
        """Names that the factors among the fixed terms look up: ``x`` of ``C(x)``, whatever x holds."""
        return self.fixed.factors

    def _require(self, environment: Environment, wanted: list[RandomReader]) -> None:
        self._require_columns(environment, [self.fixed, *(term.part for term in wanted)])
        for term in wanted:
            environment.require(name for factor in term.groups for name in variables_of(factor))

    def _require_columns(self, environment: Environment, parts: list[Part]) -> None:
        for part in parts:
            environment.require(part.variables)

    def _offset(self, environment: Environment) -> NDArray[np.float64]:
        if self.array_offset:
            raise DataError(
                "The model was given offset= as an array, which has no values for new data: "
                "fit it with a column name or an expression as the offset."
            )
        return read_offsets(self.offsets, environment)
