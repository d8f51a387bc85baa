"""Linear mixed models of rows in batches: the cross-products are kept, the rows are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from mixfit.errors import ArgumentError, FormulaError, RowsError
from mixfit.formula import parse
from mixfit.lmm.batches import assemble_batches, spans
from mixfit.matrices.batches.cells import CellStream, grouped_stream
from mixfit.matrices.batches.read import ask, open_stream
from mixfit.matrices.types import MEAN
from mixfit.model.base import MixedModel
from mixfit.model.linear import LinearMixedModel
from mixfit.model.rowless import check_stream, streamed_design
from mixfit.sources.source import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.arguments import Solver
    from mixfit.families.base import Family
    from mixfit.lmm.batches import AssembledBatches
    from mixfit.matrices.batches.asked import Asked
    from mixfit.matrices.types import Design
    from mixfit.model.counted import CountedMixedModel
    from mixfit.model.passes import PassMixedModel
    from mixfit.sources.source import Source

    Array = NDArray[np.float64]

__all__ = ["StreamedLinearModel", "streamed"]


class StreamedLinearModel(LinearMixedModel):
    """A Gaussian mixed model of rows in batches.

    Parameters
    ----------
    formula : str
    assembled : AssembledBatches

    Attributes
    ----------
    engine : {"batches", "grouped sums"}
        How the cross-products were formed: from the rows, batch by batch; or from sums of products that a database or a
        lazy frame grouped by the levels of all factors, which is possible where the columns of the model are products
        of plain columns, without weights, and there are many rows for each combination of levels.

    Examples
    --------
    >>> import mixfit, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = f"{folder.name}/sleepstudy.csv"
    >>> mixfit.datasets.load("sleepstudy").to_csv(path, index=False)
    >>> model = mixfit.mixed("Reaction ~ Days + (Days | Subject)", path)
    >>> model
    <StreamedLinearModel: Reaction ~ Days + (Days | Subject), 180 observations, groups Subject 18>
    >>> model.fit().params.round(2).tolist()
    [251.41, 10.47]
    >>> folder.cleanup()
    """

    def __init__(self, formula: str, assembled: AssembledBatches) -> None:
        self._assembly = assembled.assembly
        self.engine = "grouped sums" if isinstance(assembled.stream, CellStream) else "batches"
        MixedModel.__init__(self, formula, streamed_design(assembled), assembled.assembly.fixed.kept)

    def with_response(self, y: ArrayLike) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("Another response"))

    def with_design(self, design: Design) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("Another design"))

    def of_rows(self, keep: NDArray[np.bool_]) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("A fit to some of the rows"))

    def with_family(self, family: Any) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("Another family"))

    def working_model(self, estimate: Any) -> NoReturn:
        """Not without rows."""
        raise RowsError(_needs("What a row does to the fit"))


def _needs(what: str) -> str:
    return (
        f"{what} needs the rows of the data, and a model of rows in batches keeps none: fit to a frame in memory, or "
        "read the source anew by mixfit.mixed(formula, source)."
    )


def streamed(
    formula: str,
    source: Source,
    weights: object,
    offset: object,
    na_action: str,
    context: Mapping[str, Any] | None,
    chunk_rows: int | None,
    beside: Mapping[str, Any],
    solver: Solver = "auto",
    family: Any = None,
    *,
    progress: bool,
) -> StreamedLinearModel | CountedMixedModel | PassMixedModel:
    """A mixed model of a source; `beside` are arguments of `mixed` that models of sources do not have.

    Raises
    ------
    FormulaError
        For an argument that asks for another model.
    """
    if beside["subset"] is not None:
        raise FormulaError(
            "subset= is for data in memory: filter the rows in the source, as a lazy frame or a query does, or read "
            "those that the model needs into a frame."
        )
    for name, value in beside.items():
        if value is not None:
            raise FormulaError(
                f"{name}= is for data in memory: of a source linear, binomial and Poisson models are estimated, with "
                "independent residuals. Read what the model needs into a frame."
            )
    chunk = CHUNK_ROWS if chunk_rows is None else chunk_rows
    if not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1:
        raise ArgumentError(f"chunk_rows is a number of rows, 1 or more, not {chunk_rows!r}.")
    if na_action not in ("drop", "raise"):
        raise ArgumentError(f"na_action is 'drop' or 'raise', not {na_action!r}.")
    asked = ask(parse(formula, random=True), source, weights, offset, context, chunk, progress=progress)
    if family is not None and family != "gaussian":
        from mixfit.families.resolve import resolve_family

        resolved = resolve_family(family)
        if not resolved.is_linear:
            return _generalized(formula, asked, resolved, na_action, solver)
    cells = grouped_stream(asked, na_action)
    if cells is not None:
        check_stream(cells)
        assembled = assemble_batches(cells.with_solver(solver))
        if spans(assembled):
            return StreamedLinearModel(formula, assembled)
    stream = open_stream(asked, na_action)
    check_stream(stream)
    return StreamedLinearModel(formula, assemble_batches(stream.with_solver(solver)))


def _generalized(
    formula: str, asked: Asked, family: Family, na_action: str, solver: Solver
) -> CountedMixedModel | PassMixedModel:
    """A generalized model of a source: of its distinct rows where these are few, else by passes over rows on disk.

    Raises
    ------
    FormulaError
        For families other than the binomial and Poisson's, and for weights.
    """
    from mixfit.model.counted import COUNTED_FAMILIES, counted
    from mixfit.model.passes import PassMixedModel

    if family.name not in COUNTED_FAMILIES:
        raise FormulaError(
            f"The {family.name} family is for data in memory: of a source linear, binomial and Poisson models are "
            "estimated. Read what the model needs into a frame."
        )
    if asked.weights is not None:
        raise FormulaError("weights= are for data in memory, or linear models: equal rows of a source are counted.")
    found = counted(formula, asked, family, na_action, solver)
    if found is not None:
        return found
    binomial = family.kind == "proportion"
    stream = open_stream(replace(asked, links={MEAN: family.link}, binomial=binomial), na_action)
    check_stream(stream)
    return PassMixedModel(formula, stream.with_solver(solver), family)
