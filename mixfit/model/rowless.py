"""The design of a model whose rows are elsewhere, and what is refused of it before they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixfit.matrices.batches.read import refuse_structures
from mixfit.matrices.batches.types import StreamedDesign, StreamedGrouping, StreamedRandomDesign
from mixfit.matrices.grouping import check_random
from mixfit.matrices.parts import check_names

if TYPE_CHECKING:
    from mixfit.lmm.batches import AssembledBatches
    from mixfit.matrices.batches.cells import CellStream
    from mixfit.matrices.batches.read import Stream

__all__ = ["check_stream", "streamed_design"]


def streamed_design(assembled: AssembledBatches) -> StreamedDesign:
    """The design without rows."""
    sample, totals = assembled.stream.sample, assembled.totals
    groupings = {id(term.grouping): StreamedGrouping(term.grouping) for term in sample.random}
    random = tuple(
        StreamedRandomDesign(term, groupings[id(term.grouping)], products, squares)
        for term, products, squares in zip(sample.random, assembled.level_products, assembled.mean_squares, strict=True)
    )
    return StreamedDesign(
        sample,
        random,
        n_rows=totals.n,
        n_dropped=assembled.stream.n_dropped,
        means={name: moments.mean for name, moments in totals.variables.items()},
        mean_offset=totals.offset.mean,
        fingerprint=totals.fingerprint,
        triangle=assembled.triangle,
    )


def check_stream(stream: Stream | CellStream) -> None:
    """Refuse what the rows that stand for all tell to be refused."""
    sample = stream.sample
    refuse_structures(sample)
    check_names(sample.exog_names, "the fixed effects")
    for term in sample.random:
        check_names(term.columns, term.text)
    # Of two factors that divide alike the rows that stand for all, those spread over the source among them, the data
    # cannot tell.
    check_random(sample.random, stream.n_used)
