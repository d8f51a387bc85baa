"""From rows in batches to a generalized problem whose rows are on disk, and where its search begins."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import DataError, DesignError, FitError
from mixfit.factor.plan import make_plan
from mixfit.glmm.minimize import minimize
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.problem import GeneralizedAssembly, GeneralizedParameters, GeneralizedProblem
from mixfit.glmm.row_blocks import Outline, RowBlocks, outline_pattern
from mixfit.glmm.start import linear_start, theta_start
from mixfit.gram.basis import FixedBasis, fixed_basis
from mixfit.gram.pattern import FactorRows, row_pattern
from mixfit.gram.products import weighted_products
from mixfit.gram.row_store import RowStore
from mixfit.lmm.batches import AssembledBatches, assemble_batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.lmm.batch_terms import BatchTerms
    from mixfit.matrices.batches.read import RowBatch, Stream

    Array = NDArray[np.float64]

__all__ = ["KeptRows", "keep_rows", "start_of_some"]

# Rows of the start: enough for its error to be a few standard errors of all rows, and fitted in seconds.
_SOME = 50_000
# Groups that variances are first estimated of, at least.
_SOME_GROUPS = 200


@dataclass(frozen=True, eq=False)
class KeptRows:
    """A problem whose rows are on disk.

    Attributes
    ----------
    assembly : GeneralizedAssembly
        Its problem is an outline.
    rows : RowBlocks
    batches : AssembledBatches
        What the pass found that wrote them; its own problem is the linear one of the response.
    """

    assembly: GeneralizedAssembly
    rows: RowBlocks
    batches: AssembledBatches


class _Writer:
    """Writes the rows of a pass."""

    def __init__(self, family: Family, name: str, *, has_offset: bool) -> None:
        self._family, self._name, self._has_offset = family, name, has_offset
        # Of which factors no column is written: it is one of ones.
        self.ones: tuple[bool, ...] = ()
        self.log_constant = 0.0
        self.store = RowStore(1, 0)
        self._range = np.inf, -np.inf

    def begin(self, terms: BatchTerms, n_columns: int) -> None:
        """Forget what a pass before has written."""
        self.ones = terms.ones
        own = [0 if one else k for k, one in zip(terms.k, self.ones, strict=True)]
        self.store = RowStore(1 + self._has_offset + n_columns + sum(own), len(terms.k))
        self.log_constant = 0.0

    @property
    def is_constant(self) -> bool:
        """Whether the response is the same in all rows so far."""
        return self._range[0] == self._range[1]

    def add(self, batch: RowBatch, columns: Array, factors: Sequence[FactorRows]) -> None:
        """Write a batch."""
        y, prior = batch.y, np.ones(len(batch.y))
        self._family.check(y, prior, self._name)
        self._range = min(self._range[0], float(y.min())), max(self._range[1], float(y.max()))
        constant = self._family.log_constant(y, prior)
        self.log_constant += float(np.broadcast_to(constant, y.shape).sum())
        parts = [y[None], columns]
        if self._has_offset:
            parts.insert(1, np.zeros((1, len(y))) if batch.offset is None else batch.offset[None])
        for f, one in zip(factors, self.ones, strict=True):
            if not one:
                parts.append(np.ones((1, len(y))) if f.columns is None else f.columns)
        self.store.add(np.concatenate(parts), np.stack([f.codes for f in factors]))


def keep_rows(stream: Stream, family: Family) -> KeptRows:
    """Write the rows of a stream to disk, in bases of all rows.

    Raises
    ------
    DataError
        For responses outside the support, and where all are the same.
    SourceError
        Where the disk is full.
    """
    sample = stream.sample
    writer = _Writer(family, sample.endog_name, has_offset=sample.offset is not None)
    try:
        batches = assemble_batches(stream, writer)
    except DesignError:
        if writer.is_constant:
            raise DataError(
                f"The response {sample.endog_name!r} is the same in every row: there is nothing to model."
            ) from None
        raise
    linear = batches.assembly.problem
    gram, store = linear.gram, writer.store
    pairs = {key: (own.row, own.col) for key, own in gram.pairs.items()}
    store.number_pairs(pairs, gram.n_levels)
    outline = Outline(
        family=family,
        y=np.empty(0),
        prior=np.empty(0),
        offset=np.empty(0),
        fixed=np.empty((linear.p, 0)),
        pattern=outline_pattern(gram, writer.ones),
        plan=linear.plan,
        terms=linear.terms,
        n_rows=store.n,
        total=tuple(d.sum(axis=2) for d in gram.diagonal),
    )
    maps = tuple(None if one else c for c, one in zip(batches.maps, writer.ones, strict=True))
    rows = RowBlocks(outline, store, batches.columns, maps, sample.offset is not None, writer.log_constant)
    assembly = GeneralizedAssembly(outline, batches.assembly.fixed, batches.assembly.term_bases)
    return KeptRows(assembly, rows, batches)


def start_of_some(kept: KeptRows) -> GeneralizedParameters:
    """The estimates of some of the rows: those of some levels of the widest factor, or some of these.

    Levels are whole where they can be, as variances are told by rows that share one.
    """
    problem, basis = _some_rows(kept)
    gamma, phi = linear_start(problem)
    start = GeneralizedParameters(tuple(theta_start(problem, gamma, phi)), gamma, phi)
    # Some of the rows may be separated where all are not.
    with suppress(FitError):
        start = minimize(LaplaceObjective(problem), start, twice=True).point.at
    whole = np.zeros(kept.rows.outline.p)
    whole[basis.kept] = basis.coefficients(start.gamma)
    return GeneralizedParameters(start.points, whole, 1.0)


def _some_rows(kept: KeptRows) -> tuple[GeneralizedProblem, FixedBasis]:
    """The problem of some rows, and what brings its coefficients back to those of all."""
    rows, outline = kept.rows, kept.rows.outline
    share = max(1.0, outline.n / _SOME)
    apart = int(min(share, max(1, outline.n_levels[0] // _SOME_GROUPS)))
    within = max(1, round(share / apart))
    y, offset, fixed = [], [], []
    codes: list[list[NDArray[np.intp]]] = [[] for _ in outline.k]
    columns: list[list[Array]] = [[] for _ in outline.k]
    for block in rows:
        own = np.flatnonzero(block.pattern.factors[0].codes % apart == 0)[::within]
        y.append(block.y[own])
        offset.append(block.offset[own])
        fixed.append(block.fixed[:, own])
        for i, f in enumerate(block.pattern.factors):
            codes[i].append(f.codes[own])
            columns[i].append(np.empty((0, len(own))) if f.columns is None else f.columns[:, own])
    factors = []
    for i in range(len(outline.k)):
        levels, code = np.unique(np.concatenate(codes[i]), return_inverse=True)
        own_columns = np.concatenate(columns[i], axis=1)
        factors.append(FactorRows(code, len(levels), own_columns if len(own_columns) else None))
    basis = fixed_basis(np.concatenate(fixed, axis=1))
    response = np.concatenate(y)
    pattern = row_pattern(factors)
    plan = make_plan(weighted_products(pattern, np.empty((0, len(response))), np.ones(len(response))))
    problem = GeneralizedProblem(
        family=outline.family,
        y=response,
        prior=np.ones(len(response)),
        offset=np.concatenate(offset),
        fixed=basis.rows,
        pattern=pattern,
        plan=plan,
        terms=outline.terms,
    )
    return problem, basis
