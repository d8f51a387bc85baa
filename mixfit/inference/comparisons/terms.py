"""Terms of a formula and their columns: which may be left out, and what is then left.

A term may be left out where no other term contains all of its factors (marginality). What is left is the column
space of the formula without it. That is mostly its columns taken away, but not where the term's factors are coded
in full so that another term's need not be: of ``0 + a + b`` without ``a`` remains ``0 + b``, with a column for
every level of b. The sum of a's columns, which is constant, then stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import ComparisonError
from mixfit.matrices.reader import FittedReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.parts import Part
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = [
    "CodedTerm",
    "Coding",
    "coded_terms",
    "deletable",
    "fixed_terms",
    "random_terms",
    "remaining_columns",
]


@dataclass(frozen=True)
class Coding:
    """One block of a term's columns: a product of coded factors, the first varying fastest.

    Attributes
    ----------
    factors : tuple of str
    categorical : frozenset of str
    full : frozenset of str
        Categorical factors with a column for every level; the other categorical ones have one less.
    sizes : tuple of int
        Columns of each factor.
    first : int
        Place of the first column among the term's part.
    """

    factors: tuple[str, ...]
    categorical: frozenset[str]
    full: frozenset[str]
    sizes: tuple[int, ...]
    first: int

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(np.prod(self.sizes))


@dataclass(frozen=True)
class CodedTerm:
    """A term with its columns.

    Attributes
    ----------
    name : str
        As R names it: ``"recipe:temperature"``; ``"1"`` for the intercept.
    factors, categorical : frozenset of str
    columns : tuple of int
        Its columns among the part's.
    codings : tuple of Coding
    """

    name: str
    factors: frozenset[str]
    categorical: frozenset[str]
    columns: tuple[int, ...]
    codings: tuple[Coding, ...]


def coded_terms(part: Part) -> tuple[CodedTerm, ...]:
    """Terms of a fixed part, or of one left of a bar, in order; the intercept has no factors."""
    levels, out, at = part.n_levels, [], 0
    for term in part.codings:
        categorical = frozenset(term.factors) & levels.keys()
        coded = {name: levels[name] for name in categorical}
        codings = _codings(term.name, term.blocks, coded, term.n_columns, at)
        columns = tuple(range(at, at + term.n_columns))
        out.append(CodedTerm(term.name, frozenset(term.factors), categorical, columns, codings))
        at += term.n_columns
    return tuple(out)


def _codings(
    name: str, scoped: Sequence[Sequence[tuple[str, bool]]], levels: dict[str, int], n_columns: int, first: int
) -> tuple[Coding, ...]:
    """Blocks of a term; its numeric factors have the same number of columns in each of them."""
    coded = [[levels[f] - reduced for f, reduced in block if f in levels] for block in scoped]
    numeric = sorted({f for block in scoped for f, _ in block if f not in levels})
    wide, rest = divmod(n_columns, sum(int(np.prod(sizes)) for sizes in coded))
    if rest or (len(numeric) > 1 and wide > 1 and levels):
        raise ComparisonError(
            f"The columns of the term {name!r} cannot be told apart by factor: several of its numeric factors have "
            "more than one column. Write its columns as terms of their own."
        )
    width = dict.fromkeys(numeric, 1) | ({numeric[0]: wide} if numeric else {})
    out, at = [], first
    for block in scoped:
        sizes = tuple(levels[f] - reduced if f in levels else width[f] for f, reduced in block)
        full = frozenset(f for f, reduced in block if f in levels and not reduced)
        out.append(Coding(tuple(f for f, _ in block), frozenset(levels), full, sizes, at))
        at += out[-1].n_columns
    return tuple(out)


def deletable(terms: Sequence[CodedTerm]) -> tuple[CodedTerm, ...]:
    """Terms that no other contains, the intercept aside: R's ``drop.scope``."""
    return tuple(t for t in terms if t.factors and not any(t.factors < other.factors for other in terms))


def remaining_columns(terms: Sequence[CodedTerm], dropped: Sequence[CodedTerm]) -> Array:
    """Coefficients A (P, P') such that X A spans the columns of the formula without some terms.

    Parameters
    ----------
    terms : sequence of CodedTerm
    dropped : sequence of CodedTerm
        Some of them, each with all that contain it.

    Returns
    -------
    ndarray, shape (P, P')
        Columns of the other terms as they are, then what of the dropped ones' span belongs to them as well.
    """
    size = sum(len(t.columns) for t in terms)
    others = [t for t in terms if t not in dropped]
    blocks = [np.eye(size)[:, [j for t in others for j in t.columns]]]
    for coding in (coding for t in dropped for coding in t.codings):
        shared = {frozenset(coding.categorical & t.categorical) for t in others if _lends(coding, t)}
        blocks += [_summed(coding, keep, size) for keep in shared if not any(keep < other for other in shared)]
    return np.concatenate(blocks, axis=1)


def _lends(coding: Coding, term: CodedTerm) -> bool:
    """Whether the term's full coding has a part of the block's span: the same numbers, and its reduced factors."""
    numeric = set(coding.factors) - coding.categorical
    reduced = (set(coding.factors) & coding.categorical) - coding.full
    return numeric == term.factors - term.categorical and reduced <= term.categorical


def _summed(coding: Coding, keep: frozenset[str], size: int) -> Array:
    """Sums of a block's columns over the levels of the full factors that are not kept."""
    out: Array = np.ones((1, 1))
    for factor, width in zip(coding.factors, coding.sizes, strict=True):
        summed = factor in coding.full and factor not in keep
        out = np.asarray(np.kron(np.ones((width, 1)) if summed else np.eye(width), out), dtype=float)
    placed = np.zeros((size, out.shape[1]))
    placed[coding.first : coding.first + len(out)] = out
    return placed


def fixed_terms(design: Design) -> tuple[CodedTerm, ...]:
    """Terms of the fixed effects.

    Raises
    ------
    ComparisonError
        For a design that was not read from a formula.
    """
    return coded_terms(_reader(design).fixed)


def random_terms(design: Design) -> tuple[tuple[CodedTerm, ...], ...]:
    """Terms left of each bar, in the order of the random terms; raises as `fixed_terms`."""
    return tuple(coded_terms(random.part) for random in _reader(design).random)


def _reader(design: Design) -> FittedReader:
    if not isinstance(design.reader, FittedReader):
        raise ComparisonError("The design was not read from a formula: which columns make up a term is not known.")
    return design.reader
