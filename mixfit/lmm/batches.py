"""From rows in batches to a problem: the cross-products add up, and their bases follow from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.linalg import block_diag, solve_triangular

from mixfit.brief import brief
from mixfit.covariance.term import Term
from mixfit.factor.plan import make_plan
from mixfit.gram.basis import fixed_basis
from mixfit.gram.products import transformed
from mixfit.gram.provisional import exact_columns, exact_term, provisional
from mixfit.gram.residual import ResidualStage
from mixfit.gram.row_space import row_space
from mixfit.gram.sums import GramSums
from mixfit.lmm.assemble import Assembly, check_degrees, explained
from mixfit.lmm.batch_terms import BatchTerms
from mixfit.lmm.problem import Problem
from mixfit.matrices.batches.cells import CellStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from mixfit.gram.pattern import FactorRows
    from mixfit.gram.products import Gram
    from mixfit.gram.provisional import ExactColumns, Provisional
    from mixfit.matrices.batches.read import RowBatch, Stream, Totals

    Array = NDArray[np.float64]

__all__ = ["AssembledBatches", "Keeper", "assemble_batches", "spans"]

# Passes over the rows until the provisional basis is safe: one, unless the rows that stand for all are unlike the
# others; each takes half of the digits that are at risk.
_MOST_PASSES = 4


@dataclass(frozen=True, eq=False)
class AssembledBatches:
    """A problem, and what else the passes found.

    Attributes
    ----------
    assembly : Assembly
        Without rows.
    stream : Stream
        With rows that span what all rows span.
    totals : Totals
    triangle : ndarray, shape (p, p)
        R of X = Q R without weights.
    level_products : tuple of ndarray, shape (q_t, k_t, k_t)
        Z_j'W_jZ_j of every term's columns.
    mean_squares : tuple of ndarray, shape (k_t,)
        Of every term's columns, without weights.
    columns : ndarray, shape (c, p)
        M with Q = X~ M, of the columns in the last provisional basis.
    maps : tuple of ndarray, shape (k_i, k_i)
        C with Z_basis = Z~ C of every factor.
    """

    assembly: Assembly
    stream: Stream | CellStream
    totals: Totals
    triangle: Array
    level_products: tuple[Array, ...]
    mean_squares: tuple[Array, ...]
    columns: Array
    maps: tuple[Array, ...]

    __repr__ = brief


class Keeper(Protocol):
    """Who wants the rows of a pass in the provisional bases."""

    def begin(self, terms: BatchTerms, n_columns: int) -> None:
        """A pass begins: what was kept of the one before is void."""

    def add(self, batch: RowBatch, columns: Array, factors: Sequence[FactorRows]) -> None:
        """A batch, its columns X~ (c, m) and its rows of every factor."""


def assemble_batches(stream: Stream | CellStream, keeper: Keeper | None = None) -> AssembledBatches:
    """Form the cross-products of a stream, in one pass over its rows, which a `keeper` is shown.

    Raises
    ------
    DesignError
        Where the fixed effects explain the response perfectly, and where there are as many as rows.
    """
    sample = stream.sample
    terms = BatchTerms(sample)
    response = (sample.y if sample.offset is None else sample.y - sample.offset) - stream.shift[0]
    basis = provisional(sample.X, response)
    for _ in range(_MOST_PASSES):
        if keeper is None:
            found = stream.reduced(partial(_pass, basis, terms), _summed)
        else:
            keeper.begin(terms, len(basis.P))
            found = _pass(basis, terms, stream, keeper)
        exact = exact_columns(found.gram.corner, basis, found.square, found.squares)
        if exact.response is None or exact.is_safe:
            break
        basis = exact.better(basis)
    check_degrees(found.gram.n, len(exact.fixed.kept))
    if exact.response is None:
        raise explained(sample.endog_name)
    return _assembled(stream, terms, found, basis, exact)


def spans(assembled: AssembledBatches) -> bool:
    """Whether the rows that stand for all have the columns of X depend on one another as all rows have them."""
    kept = fixed_basis(np.ascontiguousarray(assembled.stream.sample.X.T)).kept
    return np.array_equal(kept, assembled.assembly.fixed.kept)


@dataclass(frozen=True, eq=False)
class _Pass:
    """Sums of one pass: attributes are as of what they are made into."""

    gram: Gram
    totals: Totals
    square: float
    squares: Array
    log_weights: float
    plain: Array
    term_squares: tuple[Array, ...]
    outside: tuple[pa.Table, ...]


def _pass(basis: Provisional, terms: BatchTerms, stream: Stream | CellStream, keeper: Keeper | None = None) -> _Pass:
    sums = GramSums(terms.k, terms.n_levels, len(basis.P) + 1)
    totals, span = stream.totals(), _Span(stream.sample.X)
    square = log_weights = 0.0
    plain = np.zeros((len(basis.P), len(basis.P)))
    of_terms = [np.zeros(len(r.columns)) for r in terms.random]
    squares = np.zeros(len(basis.P))
    for batch in stream.batches(totals):
        root = None
        rows = basis.rows(batch.X, batch.y)
        weighted = batch.y
        if batch.weights is not None:
            plain += rows[:-1] @ rows[:-1].T
            root = np.sqrt(batch.weights)
            rows *= root
            weighted = batch.y * root
            log_weights += float(np.log(batch.weights).sum())
        square += float(weighted @ weighted)
        factors = terms.rows(batch, root)
        sums.add(factors, rows)
        if keeper is not None:
            keeper.add(batch, rows[:-1], factors)
        span.add(batch)
        if batch.squares is not None:
            squares += batch.squares
        for own, z in zip(of_terms, batch.Z, strict=True):
            own += np.einsum("nk,nk->k", z, z)
    gram = replace(sums.gram(), n=totals.n)
    if not log_weights and not plain.any():
        plain = gram.corner[:-1, :-1]
    return _Pass(gram, totals, square, squares, log_weights, plain, tuple(of_terms), tuple(span.tables))


def _summed(parts: list[_Pass]) -> _Pass:
    """The sums over the rows of several parts."""
    first, *others = parts
    for other in others:
        first.totals.merge(other.totals)
        first = _Pass(
            first.gram + other.gram,
            first.totals,
            first.square + other.square,
            first.squares + other.squares,
            first.log_weights + other.log_weights,
            first.plain + other.plain,
            tuple(a + b for a, b in zip(first.term_squares, other.term_squares, strict=True)),
            first.outside + other.outside,
        )
    return first


class _Span:
    """Rows outside of what the rows that stand for all span: at most one for each column that they alias."""

    def __init__(self, X: Array) -> None:
        self.tables: list[pa.Table] = []
        self._find(X)

    def _find(self, X: Array) -> None:
        self._X = X
        kept = fixed_basis(np.ascontiguousarray(X.T)).kept
        self._space = row_space(X, kept) if len(kept) < X.shape[1] else None

    def add(self, batch: RowBatch) -> None:
        """Take in a batch."""
        while self._space is not None and batch.table is not None:
            outside = np.flatnonzero(~self._space.contains(batch.X))
            if not len(outside):
                return
            self.tables.append(batch.table.slice(int(outside[0]), 1))
            self._find(np.concatenate([self._X, batch.X[outside[:1]]]))


def _assembled(
    stream: Stream | CellStream, terms: BatchTerms, found: _Pass, basis: Provisional, exact: ExactColumns
) -> AssembledBatches:
    assert exact.response is not None
    places = terms.places
    products = [found.gram.diagonal[i][at, at] for i, at in zip(terms.factor, places, strict=True)]
    maps, bases = [], []
    for r, P, own in zip(terms.random, terms.P, products, strict=True):
        C, R = exact_term(own.sum(axis=2), P, found.gram.n, r.structure.invariance)
        maps.append(C)
        bases.append(R)
    by_factor = [block_diag(*(maps[t] for t in own)) for own in terms.of_factor]
    gram = transformed(found.gram, by_factor, exact.border)
    problem = Problem(
        gram=gram,
        plan=make_plan(gram, solver=stream.sample.solver),
        terms=tuple(
            Term(i, at.start, len(r.columns), r.structure)
            for i, at, r in zip(terms.factor, places, terms.random, strict=True)
        ),
        p=len(exact.fixed.kept),
        log_weights=found.log_weights,
        log_x=exact.fixed.log_determinant,
        log_scale=float(np.log(exact.response.scale)),
        lengths=tuple(float(R[0, 0]) for R in bases),
    )
    stage, response = ResidualStage(), exact.response
    shift, constant = stream.shift
    if constant is not None:
        response = replace(response, gamma=response.gamma + shift * exact.all_columns[:, constant])
    assembly = Assembly(problem, exact.fixed, response, tuple(bases), (), stream.sample.endog_name, stage)
    return AssembledBatches(
        assembly=assembly,
        stream=stream if isinstance(stream, CellStream) or not found.outside else stream.with_rows(found.outside),
        totals=found.totals,
        triangle=exact_columns(_without_response(found.plain), basis, 0.0).fixed.triangle,
        level_products=tuple(_in_columns(own, P) for own, P in zip(products, terms.P, strict=True)),
        mean_squares=tuple(own / found.gram.n for own in found.term_squares),
        columns=exact.border[:-1, :-1],
        maps=tuple(by_factor),
    )


def _in_columns(products: Array, P: Array) -> Array:
    """Z_j'Z_j of the user's columns, (q, k, k), from those of Z P, (k, k, q)."""
    back = solve_triangular(P, np.eye(len(P)))
    return np.ascontiguousarray(np.einsum("ac,abq,bd->qcd", back, products, back, optimize=True))


def _without_response(corner: Array) -> Array:
    out = np.zeros((len(corner) + 1, len(corner) + 1))
    out[:-1, :-1] = corner
    return out
