"""Read new data as the fit read its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.brief import brief
from mixfit.covariance.columns import Places
from mixfit.errors import DataError, FormulaError
from mixfit.formula import variables_of
from mixfit.matrices.columns import Columns
from mixfit.matrices.environment import Environment
from mixfit.matrices.new_rows import NewDesign, NewPlaces, NewPredictor
from mixfit.matrices.parts import Part, read_parts
from mixfit.matrices.prior import PriorReader
from mixfit.matrices.probe import CrossedFactors, Matrix, Offsets, Probed, spelling_hint, whole_columns
from mixfit.matrices.vectors import read_offsets

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from formulaic.parser.types import Factor
    from numpy.typing import NDArray

    from mixfit.covariance.columns import Recoding
    from mixfit.matrices.across import AcrossReader
    from mixfit.matrices.grouping import GroupingReader
    from mixfit.matrices.probe import Probe
    from mixfit.matrices.types import Predictor

    Codes = tuple[NDArray[np.intp], ...]

__all__ = ["FittedReader", "PredictorReader", "RandomReader", "probed_items"]


@dataclass(frozen=True)
class RandomReader:
    """How one random term reads new rows."""

    part: Part
    groups: tuple[Factor, ...]
    grouping: GroupingReader
    recoding: Recoding | None = None
    across: AcrossReader | None = None

    def rows(
        self, values: NDArray[np.float64], environment: Environment
    ) -> tuple[NDArray[np.float64], NDArray[np.intp], NewPlaces | None]:
        """The columns that its structure makes of those in the formula, the levels, and places without a column."""
        columns = [environment.series(factor) for factor in self.groups]
        if self.across is not None:
            return *self.across.read(columns, values), None
        z, codes = self.recoded(values, environment), self.grouping.read(columns)
        missing = np.zeros(len(z), dtype=bool)
        if (codes < 0).any():
            for column in columns:
                missing |= column.isna().to_numpy()
            z[missing] = np.nan
        return z, codes, self.places(values, ~missing)

    def levels(self, environment: Environment, n_levels: int) -> NDArray[np.intp]:
        """Levels of new rows, those that the fit never saw numbered from `n_levels` on; -1 where missing."""
        columns = [environment.series(factor) for factor in self.groups]
        if self.across is None:
            return self.grouping.read_all(columns, n_levels)
        if not self.across.spreads:
            return self.across.read(columns, np.zeros((len(columns[0]), 1)))[1]
        missing = np.logical_or.reduce([column.isna().to_numpy(dtype=bool) for column in columns])
        return np.where(missing, -1, 0).astype(np.intp)

    def places(self, values: NDArray[np.float64], among: NDArray[np.bool_]) -> NewPlaces | None:
        """Rows, of those in question, at places that have no column."""
        if not isinstance(self.recoding, Places):
            return None
        rows = np.flatnonzero(self.recoding.new(values) & among)
        return NewPlaces(rows, values[rows], np.array(self.recoding.positions)) if len(rows) else None

    def recoded(self, values: NDArray[np.float64], environment: Environment) -> NDArray[np.float64]:
        """The columns alone: of most terms these do not depend on the levels."""
        if self.across is not None:
            return self.rows(values, environment)[0]
        return values if self.recoding is None else self.recoding.apply(values)


@dataclass(frozen=True)
class PredictorReader:
    """How one predictor reads new rows.

    Attributes
    ----------
    name : str
    fixed : Part
    random : tuple of RandomReader
    offsets : tuple of str
        Expressions that are summed: those of the formula, and a column or expression given as ``offset=``.
    array_offset : bool
        Whether the fit had an array for ``offset=``, which has no values for new rows.
    """

    name: str
    fixed: Part
    random: tuple[RandomReader, ...]
    offsets: tuple[str, ...]
    array_offset: bool


@dataclass(frozen=True)
class FittedReader:
    """The fitted encodings of a design; implements `DesignReader`.

    Attributes
    ----------
    predictors : tuple of PredictorReader
        The mean's first.
    context : mapping
        The caller's names that the formula uses. Whoever pickles the reader pickles them.
    state : dict
        What the stateful transforms outside X and Z learned.
    probe : Probe, or None
        Rows of the fit that tell whether terms can be computed from few rows.
    first : int
        Place of the first of `predictors` among those of the design, by which the probe knows them.
    prior : PriorReader
        How the prior weights of new rows are read.
    """

    predictors: tuple[PredictorReader, ...]
    context: Mapping[str, Any]
    state: dict[str, Any]
    probe: Probe | None = None
    first: int = 0
    prior: PriorReader = field(default_factory=PriorReader)

    __repr__ = brief

    @property
    def fixed(self) -> Part:
        """How the fixed part of the mean is built."""
        return self.predictors[0].fixed

    @property
    def random(self) -> tuple[RandomReader, ...]:
        """How the random terms of the mean are read."""
        return self.predictors[0].random

    def of_predictor(self, place: int) -> FittedReader:
        """What reads one of the predictors alone, in the place of the mean's."""
        return replace(self, predictors=(self.predictors[place],), first=self.first + place)

    def read(
        self,
        newdata: object,
        terms: tuple[bool, ...],
        further: tuple[tuple[bool, ...], ...] = (),
        *,
        own: bool = False,
    ) -> NewDesign:
        """Build the rows of `newdata`; `terms` says which random terms are wanted of the mean.

        `further` says it for each predictor after the mean; these are left out without it. `own` says that `newdata`
        are the data of the fit, of which terms may use whole columns.

        Raises
        ------
        NewLevelError
            If a factor in X or Z has a level that the fit never saw. Unknown levels of a grouping
            factor are no error here: their code is -1, as it is for a missing one.
        DataError
            If a column that is needed is not there, or is of another kind than in the fit, or a term is computed
            from whole columns.
        """
        if further and len(further) != len(self.predictors) - 1:
            raise ValueError(f"flags for {len(further)} predictors after the mean, not {len(self.predictors) - 1}")
        environment = self._environment(newdata)
        flags = (terms, *further)
        for j, (predictor, wanted) in enumerate(zip(self.predictors, flags, strict=False)):
            if len(wanted) != len(predictor.random):
                raise ValueError(f"{len(wanted)} flags for {len(predictor.random)} random terms")
            places = [place for place, want in enumerate(wanted) if want]
            if not own:
                at = self.first + j
                self._refuse((at, "fixed"), (at, "offset"), *((at, k, t) for t in places for k in ("Z", "group")))
        try:
            mean, *others = _read_predictors(self.predictors[: len(flags)], flags, environment)
        except FormulaError as error:
            raise DataError(str(error)) from error
        index = environment.columns.index
        return NewDesign(mean.X, mean.Z, mean.codes, mean.offset, index, tuple(others), mean.places)

    def read_fixed(self, newdata: object) -> NDArray[np.float64]:
        """Build X of `newdata` alone, shape (m, p); raises as `read` does."""
        environment = self._environment(newdata)
        self._refuse((self.first, "fixed"))
        try:
            environment.require(self.fixed.variables)
            return read_parts([self.fixed], environment)[0]
        except FormulaError as error:
            raise DataError(str(error)) from error

    def read_random(self, newdata: object) -> tuple[tuple[NDArray[np.float64], NewPlaces | None], ...]:
        """Build the columns left of every bar, shape (m, k_t) a term, and find new places; raises as `read` does."""
        environment = self._environment(newdata)
        self._refuse(*((self.first, "Z", t) for t in range(len(self.random))))
        parts = [term.part for term in self.random]
        try:
            for part in parts:
                environment.require(part.variables)
            matrices = read_parts(parts, environment)
            return tuple(
                (term.recoded(z, environment), term.places(z, np.ones(len(z), dtype=bool)))
                for term, z in zip(self.random, matrices, strict=True)
            )
        except FormulaError as error:
            raise DataError(str(error)) from error

    def read_weights(self, newdata: object) -> NDArray[np.float64] | None:
        """Prior weights of `newdata`, or numbers of trials, shape (m,); None where all are 1."""
        return self.prior.read(self._environment(newdata))

    def read_levels(self, newdata: object, n_levels: tuple[tuple[int, ...], ...]) -> tuple[Codes, ...]:
        """Levels of every term of every predictor, new ones numbered from `n_levels` on, -1 where missing.

        A level of a term whose levels are its columns is 0.
        """
        environment = self._environment(newdata)
        return tuple(
            tuple(term.levels(environment, q) for term, q in zip(predictor.random, sizes, strict=True))
            for predictor, sizes in zip(self.predictors, n_levels, strict=True)
        )

    @property
    def fixed_terms(self) -> tuple[tuple[str, ...], ...]:
        """Names that each fixed term looks up, functions included; none for the constant."""
        return self.fixed.looked_up

    @property
    def random_terms(self) -> tuple[tuple[str, ...], ...]:
        """Names that what stands left of the bar looks up, functions included; a tuple for each of its terms."""
        return tuple(names for term in self.random for names in term.part.looked_up)

    @property
    def factor_names(self) -> frozenset[str]:
        """Names that the factors among the fixed terms look up: ``x`` of ``C(x)``, whatever x holds."""
        return self.fixed.factors

    def _environment(self, newdata: object) -> Environment:
        return Environment(Columns(newdata, "new data"), self.context, dict(self.state))

    @cached_property
    def _whole(self) -> dict[Hashable, Sequence[str]]:
        return {} if self.probe is None else whole_columns(self.probe, self._environment)

    def _refuse(self, *keys: Hashable) -> None:
        for key in keys:
            if self.probe is not None and key in self._whole:
                whole = dict.fromkeys(self._whole[key])
                raise DataError(
                    f"{', '.join(f'`{name}`' for name in whole)} is computed from whole columns, not row by row: in "
                    "new rows it would not be what it was in the fit. Write a transform that remembers what it "
                    f"learned, such as {spelling_hint(list(whole), self.probe.samples[0].columns)}, or make a column "
                    "of it."
                )


def probed_items(predictors: Sequence[Predictor], readers: Sequence[PredictorReader]) -> Iterator[Probed]:
    """What the readers read, with what it is in the fit."""
    for j, (predictor, reader) in enumerate(zip(predictors, readers, strict=True)):
        yield Probed((j, "fixed"), Matrix(reader.fixed), predictor.X)
        if reader.offsets and not reader.array_offset and predictor.offset is not None:
            yield Probed((j, "offset"), Offsets(reader.offsets), predictor.offset)
        for t, (term, random) in enumerate(zip(predictor.random, reader.random, strict=True)):
            if random.across is not None:
                codes = random.across.codes(term.written.codes)
                yield Probed((j, "group", t), CrossedFactors(random.groups, random.across.grouping), codes)
                continue
            yield Probed((j, "Z", t), Matrix(random.part, random.recoding), term.Z)
            yield Probed((j, "group", t), CrossedFactors(random.groups, random.grouping), term.grouping.codes)


def _read_predictors(
    readers: Sequence[PredictorReader], flags: Sequence[tuple[bool, ...]], environment: Environment
) -> list[NewPredictor]:
    """Build the rows of several predictors, each with the random terms that its flags say."""
    wanted = [
        [term for term, want in zip(reader.random, terms, strict=True) if want]
        for reader, terms in zip(readers, flags, strict=True)
    ]
    for reader, terms in zip(readers, wanted, strict=True):
        for part in _parts(reader, terms):
            environment.require(part.variables)
        environment.require(name for term in terms for factor in term.groups for name in variables_of(factor))
    if not environment.columns.n_rows:
        return [_no_rows(reader, flag) for reader, flag in zip(readers, flags, strict=True)]
    parts = [part for reader, terms in zip(readers, wanted, strict=True) for part in _parts(reader, terms)]
    matrices = iter(read_parts(parts, environment))
    out = []
    for reader, terms, flag in zip(readers, wanted, flags, strict=True):
        X = next(matrices)
        rows = [term.rows(next(matrices), environment) for term in terms]
        columns_left, levels = iter([z for z, _, _ in rows]), iter([codes for _, codes, _ in rows])
        places = iter([new for _, _, new in rows])
        out.append(
            NewPredictor(
                name=reader.name,
                X=X,
                Z=tuple(next(columns_left) if want else None for want in flag),
                codes=tuple(next(levels) if want else None for want in flag),
                offset=_offset(reader, environment),
                places=tuple(next(places) if want else None for want in flag),
            )
        )
    return out


def _no_rows(reader: PredictorReader, flag: tuple[bool, ...]) -> NewPredictor:
    """New data without rows, of whose columns not even the types are to be known."""
    empty = np.zeros(0, dtype=np.intp)
    return NewPredictor(
        name=reader.name,
        X=np.zeros((0, len(reader.fixed.names))),
        Z=tuple(
            np.zeros((0, len((t.recoding or t.part).names))) if want else None
            for t, want in zip(reader.random, flag, strict=True)
        ),
        codes=tuple(empty if want else None for want in flag),
        offset=np.zeros(0),
    )


def _parts(reader: PredictorReader, terms: Sequence[RandomReader]) -> list[Part]:
    return [reader.fixed, *(term.part for term in terms)]


def _offset(reader: PredictorReader, environment: Environment) -> NDArray[np.float64]:
    if reader.array_offset:
        raise DataError(
            "The model was given offset= as an array, which has no values for new data: "
            "fit it with a column name or an expression as the offset."
        )
    return read_offsets(reader.offsets, environment)
