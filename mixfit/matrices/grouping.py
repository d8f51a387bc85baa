"""Grouping factors: from columns to codes and levels, and back for new data; what the rows can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.covariance.structure import Invariance
from mixfit.errors import DesignError
from mixfit.matrices.labels import match
from mixfit.matrices.types import Grouping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.matrices.columns import Coded
    from mixfit.matrices.types import RandomDesign

__all__ = ["GroupingReader", "as_text", "check_random", "cross"]

# A table of flags over all combinations is faster than sorting as long as it is no larger than a few columns.
_TABLE_ROWS = 4
# Columns of unit length are dependent below it, as lme4's rank of X takes them.
_DEPENDENT = 1e-7


@dataclass(frozen=True)
class GroupingReader:
    """Gives new rows the codes of a fitted grouping factor.

    Attributes
    ----------
    names : tuple of str
        The columns that make up the factor, mostly one.
    levels : tuple of pandas.Index
        The levels of each of them.
    keys : tuple of ndarray of int
        For every column after the first, the observed pairs ``code so far * n_levels + code``, sorted.
    """

    names: tuple[str, ...]
    levels: tuple[pd.Index, ...]
    keys: tuple[NDArray[np.intp], ...]

    def read(self, columns: list[pd.Series]) -> NDArray[np.intp]:
        """Return the codes of the rows of `columns`, -1 for a missing level or one (or a pair) that the fit never saw.

        Raises
        ------
        DataError
            For labels of another type that cannot be those of the fit.
        """
        coded = [match(*pair) for pair in zip(columns, self.levels, self.names, strict=True)]
        codes = coded[0]
        for more, levels, keys in zip(coded[1:], self.levels[1:], self.keys, strict=True):
            pair = codes * len(levels) + more
            place = np.minimum(np.searchsorted(keys, pair), len(keys) - 1)
            known = (codes >= 0) & (more >= 0) & (keys[place] == pair)
            codes = np.where(known, place, -1)
        return codes

    def read_all(self, columns: list[pd.Series], n_levels: int) -> NDArray[np.intp]:
        """Return codes in which levels that the fit never saw follow its own `n_levels`, by their first row.

        -1 for a missing level. Raises as `read` does.
        """
        codes = self.read(columns)
        new = codes < 0
        for column in columns:
            new &= ~column.isna().to_numpy(dtype=bool)
        if new.any():
            labels = pd.DataFrame({place: column.to_numpy()[new] for place, column in enumerate(columns)})
            codes = codes.copy()
            codes[new] = n_levels + labels.groupby(list(labels), sort=False, observed=True).ngroup().to_numpy()
        return codes


def cross(
    names: tuple[str, ...],
    coded: Mapping[str, Coded],
    keep: NDArray[np.bool_] | None,
    known: dict[tuple[str, ...], tuple[Grouping, GroupingReader]],
) -> tuple[Grouping, GroupingReader]:
    """Cross the columns `names` over the rows that are kept.

    `known` remembers every grouping made so far, so that ``a:b:c`` starts from ``a:b``.
    """
    if names not in known:
        if len(names) == 1:
            codes, levels = _compact(coded[names[0]], keep)
            known[names] = Grouping(names[0], codes, levels), GroupingReader(names, (levels,), ())
        else:
            known[names] = _cross_two(cross(names[:-1], coded, keep, known), cross(names[-1:], coded, keep, known))
    return known[names]


def _cross_two(
    first: tuple[Grouping, GroupingReader], second: tuple[Grouping, GroupingReader]
) -> tuple[Grouping, GroupingReader]:
    (a, read_a), (b, read_b) = first, second
    codes, pairs = _observed_pairs(a.codes, b.codes, a.n_levels, b.n_levels)
    in_a, in_b = np.divmod(pairs, b.n_levels)
    levels = as_text(a.levels).take(in_a) + ":" + as_text(b.levels).take(in_b)
    reader = GroupingReader(read_a.names + read_b.names, read_a.levels + read_b.levels, (*read_a.keys, pairs))
    return Grouping(f"{a.name}:{b.name}", codes, levels), reader


def _observed_pairs(
    a: NDArray[np.intp], b: NDArray[np.intp], n_a: int, n_b: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give every observed pair a number; return each row's number and the sorted keys ``a * n_b + b``."""
    if n_a * n_b <= _TABLE_ROWS * len(a) + 1024:
        return _observed(a * n_b + b, n_a * n_b)
    parent = np.zeros(n_b, dtype=np.intp)
    parent[b] = a
    if np.array_equal(parent[b], a):
        # Every level of b lies in one level of a: only the levels need sorting, not the rows.
        keys = parent * n_b + np.arange(n_b, dtype=np.intp)
        order = np.argsort(keys)
        rank = np.empty(n_b, dtype=np.intp)
        rank[order] = np.arange(n_b, dtype=np.intp)
        return rank[b], keys[order]
    codes, found = pd.factorize(a * n_b + b, sort=True)
    return np.asarray(codes, dtype=np.intp), np.asarray(found, dtype=np.intp)


def _compact(part: Coded, keep: NDArray[np.bool_] | None) -> tuple[NDArray[np.intp], pd.Index]:
    """Leave out the rows not kept, and then the levels that no row has."""
    if keep is None and part.complete:
        return part.codes, part.levels
    codes, used = _observed(part.codes if keep is None else part.codes[keep], len(part.levels))
    return codes, part.levels if len(used) == len(part.levels) else part.levels.take(used)


def _observed(codes: NDArray[np.intp], n_codes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Renumber `codes` (all < `n_codes`) without gaps; return the new codes and the sorted old ones."""
    seen = np.zeros(n_codes, dtype=bool)
    seen[codes] = True
    if seen.all():
        return codes, np.arange(n_codes, dtype=np.intp)
    return (np.cumsum(seen, dtype=np.intp) - 1)[codes], np.flatnonzero(seen).astype(np.intp, copy=False)


def as_text(levels: pd.Index) -> pd.Index:
    """Level names as R prints them: a whole number without its ``.0``."""
    if levels.dtype.kind == "f" and np.all(levels.to_numpy() == np.trunc(levels.to_numpy())):
        levels = levels.astype(np.int64)
    return levels.astype(str)


def check_random(random: Sequence[RandomDesign], n_rows: int, *, residual: bool = True) -> None:
    """Refuse grouping factors and terms that the rows cannot tell apart from the residual.

    Without a residual variance an effect for each observation is fine (overdispersion), but no more.
    """
    _check_repeated(random)
    for term in random:
        n_levels, k = term.grouping.n_levels, len(term.columns)
        if n_levels < 2 and term.structure.needs_levels:
            raise DesignError(
                f"{term.text}: grouping factor {term.grouping.name!r} has one level "
                f"({term.grouping.levels[0]!s}) in the rows used; it needs at least two."
            )
        if term.spread is not None and len(np.unique(term.written.codes)) < 2:
            raise DesignError(
                f"{term.text}: the rows used have one level of {term.written.name!r}; the term needs at least two."
            )
        # Levels that are related differ in more than what a row adds.
        if not residual or (term.structure.relationship is not None and not term.structure.absorbs_residual):
            continue
        if n_levels > 1 and n_levels >= n_rows:
            raise DesignError(
                f"{term.text}: grouping factor {term.grouping.name!r} has {n_levels} levels for {n_rows} "
                "observations; an effect for each observation cannot be told from the residual."
            )
        # Columns that are scaled one by one tell a covariance even of as many effects as rows.
        k = min(k, term.structure.rank)
        if term.structure.invariance is Invariance.ANY_BASIS and n_levels * k >= n_rows:
            raise DesignError(
                f"{term.text}: {n_levels * k} random effects for {n_rows} observations "
                f"({n_levels} levels of {term.grouping.name!r} times {k} columns); "
                f"they cannot be told from the residual.{_as_residuals(term)}"
            )
        if term.structure.absorbs_residual and _has_single_rows(term):
            raise DesignError(
                f"{term.text}: no column has two rows in one level of {term.grouping.name!r}, so that the term's own "
                "variance cannot be told from the residual variance. Leave the term out, or take a structure whose "
                f"correlations fall with the lag, such as ar1 or ou.{_as_residuals(term)}"
            )


def _check_repeated(random: Sequence[RandomDesign]) -> None:
    """Refuse two terms of the same groups of rows between which the data cannot divide a covariance."""
    for i, term in enumerate(random):
        for other in random[:i]:
            if not _same_groups(term.grouping, other.grouping) or not _undivided(other, term):
                continue
            if term.grouping.name == other.grouping.name:
                raise DesignError(f"{other.text} and {term.text} are one term: leave one of them out.")
            raise DesignError(
                f"{other.text} and {term.text}: the grouping factors {other.grouping.name!r} and "
                f"{term.grouping.name!r} are one factor under two names, with the same groups of rows; the data cannot "
                "tell the variance of one from that of the other. Leave one of the terms out."
            )


def _same_groups(one: Grouping, other: Grouping) -> bool:
    """Whether two factors divide the rows alike."""
    if one is other:
        return True
    if one.n_levels != other.n_levels:
        return False
    partner = np.empty(one.n_levels, dtype=np.intp)
    partner[one.codes] = other.codes
    return bool((partner[one.codes] == other.codes).all())


def _undivided(one: RandomDesign, other: RandomDesign) -> bool:
    """Whether the covariances of two terms of the same groups have a part that either of them could have.

    Terms of one factor are taken for that only where they are the same: (1 | g) beside (x | g) is lme4's to allow. A
    structure with parameters of its own says what others do not.
    """
    structures = (one.structure, other.structure)
    if not all(s.invariance is Invariance.ANY_BASIS or s.is_separable for s in structures):
        return False
    mine, theirs, both = _rank(one.Z), _rank(other.Z), _rank(np.hstack([one.Z, other.Z]))
    if one.grouping.name != other.grouping.name:
        return both < mine + theirs
    return mine == theirs == both and (type(one.structure) is type(other.structure) or mine == 1)


def _rank(columns: NDArray[np.float64]) -> int:
    lengths = np.linalg.norm(columns, axis=0)
    lengths[lengths == 0.0] = 1.0
    return int(np.linalg.matrix_rank(np.linalg.qr(columns / lengths, mode="r"), tol=_DEPENDENT))


def _as_residuals(term: RandomDesign) -> str:
    """What to write where the columns are places that no two rows of a level share."""
    if len(term.columns) < 2 or not _has_single_rows(term):
        return ""
    place = term.columns[0].partition("[")[0]
    return (
        " A covariance of the residuals themselves is written "
        f"residual='{term.structure.name}({place} | {term.grouping.name})'."
    )


def _has_single_rows(term: RandomDesign) -> bool:
    """Whether the columns are indicators that no two rows of a level share."""
    if not ((term.Z == 0.0) | (term.Z == 1.0)).all() or (term.Z.sum(axis=1) != 1.0).any():
        return False
    cells = term.grouping.codes * term.Z.shape[1] + term.Z.argmax(axis=1)
    return len(np.unique(cells)) == len(cells)
