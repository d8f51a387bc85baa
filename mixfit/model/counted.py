"""Generalized mixed models of a source: of its distinct rows, and how often each occurs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.matrices.batches.counted import Counted, counted_design
from mixfit.matrices.batches.learned import ColumnMoments
from mixfit.matrices.batches.types import StreamedDesign, StreamedGrouping, StreamedRandomDesign
from mixfit.matrices.types import MEAN, Design
from mixfit.model.generalized import GeneralizedMixedModel

if TYPE_CHECKING:
    from mixfit.arguments import Solver
    from mixfit.families.base import Family
    from mixfit.matrices.batches.asked import Asked

__all__ = ["COUNTED_FAMILIES", "CountedMixedModel", "counted"]

#: Of which prior weights multiply the log density, constants included, and no parameter but the mean's is free.
COUNTED_FAMILIES = ("binomial", "poisson")


class CountedMixedModel(GeneralizedMixedModel):
    """A binomial or Poisson model of a source.

    Parameters
    ----------
    formula : str
    rows : Counted
    family : Family

    Examples
    --------
    >>> import mixfit, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = f"{folder.name}/contraception.csv"
    >>> mixfit.datasets.load("contraception").to_csv(path, index=False)
    >>> model = mixfit.mixed("use ~ urban + (1 | district)", path, family="binomial")
    >>> model
    <CountedMixedModel: use ~ urban + (1 | district), 1934 observations, groups district 60>
    >>> model.fit().params.round(2).tolist()
    [-0.7, 0.65]
    >>> folder.cleanup()
    """

    engine = "counts"

    def __init__(self, formula: str, rows: Counted, family: Family) -> None:
        super().__init__(formula, rows.design, family)
        self.design: Design = _design(rows)


def _design(rows: Counted) -> StreamedDesign:
    """The design without rows."""
    sample, counts = rows.design, rows.counts
    groupings = {id(term.grouping): StreamedGrouping(term.grouping) for term in sample.random}
    weighted = [replace(term, Z=term.Z * np.sqrt(counts)[:, None]) for term in sample.random]
    random = tuple(
        StreamedRandomDesign(
            term, groupings[id(term.grouping)], term.level_products, term.mean_squares * len(counts) / rows.n_used
        )
        for term in weighted
    )
    variables = sample.variables or {}
    numbers = {name: series for name, series in variables.items() if series.dtype.kind in "iuf"}
    response, offset = _weighted(sample.y, counts), ColumnMoments()
    if sample.offset is not None:
        offset = _weighted(sample.offset, counts)
    return StreamedDesign(
        sample,
        random,
        n_rows=rows.n_used,
        n_dropped=rows.n_rows - rows.n_used,
        means={name: float(np.average(series, weights=counts)) for name, series in numbers.items()},
        mean_offset=offset.mean,
        fingerprint=tuple((m.mean, m.squares) for m in (response, offset, ColumnMoments())),
        triangle=np.linalg.qr(np.sqrt(counts)[:, None] * sample.X)[1],
    )


def _weighted(values: Any, counts: Any) -> ColumnMoments:
    out = ColumnMoments()
    out.n, out.mean = round(float(counts.sum())), float(np.average(values, weights=counts))
    out.squares = float(counts @ (values - out.mean) ** 2)
    return out


def counted(formula: str, asked: Asked, family: Family, na_action: str, solver: Solver) -> CountedMixedModel | None:
    """A generalized mixed model of the distinct rows of a source; None where they are too many."""
    rows = counted_design(asked, na_action, {MEAN: family.link}, binomial=family.kind == "proportion")
    if rows is None:
        return None
    return CountedMixedModel(formula, replace(rows, design=replace(rows.design, solver=solver)), family)
