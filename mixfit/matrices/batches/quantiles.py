"""Exact quantiles of values that come in batches: the intervals that hold them are narrowed pass by pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["quantiles"]

# Parts that an interval is divided into by a pass: a billion values come down to what is collected in three passes.
_BINS = 4096
# Values of one interval that are collected and sorted: a megabyte.
_COLLECTED = 131_072


@dataclass(frozen=True)
class _Bracket:
    """low <= value of the rank < high; `below` values are less than low, `inside` are in between."""

    rank: int
    low: float
    high: float
    below: int
    inside: int

    @property
    def is_one_value(self) -> bool:
        return bool(np.nextafter(self.low, np.inf) >= self.high)

    @property
    def edges(self) -> Array:
        return np.unique(np.linspace(self.low, self.high, _BINS + 1))


def quantiles(
    values: Callable[[], Iterable[Array]], n: int, low: float, high: float, probabilities: Sequence[float]
) -> Array:
    """Quantiles of n values between `low` and `high`, as ``numpy.quantile`` interpolates them.

    Parameters
    ----------
    values : callable
        Gives all values in batches, the same each time; NaN are none.
    n : int
    low, high : float
    probabilities : sequence of float

    Returns
    -------
    ndarray

    Examples
    --------
    >>> x = np.arange(11.0)
    >>> quantiles(lambda: [x[:5], x[5:]], 11, 0.0, 10.0, [0.25, 0.5]).tolist()
    [2.5, 5.0]
    """
    places = (n - 1) * np.asarray(probabilities, dtype=float)
    lower = np.floor(places).astype(int)
    ranks = np.unique(np.concatenate([lower, np.minimum(lower + 1, n - 1)]))
    found = dict(zip(ranks.tolist(), _of_ranks(values, n, low, high, ranks.tolist()), strict=True))
    ends = np.array([[found[k], found[min(k + 1, n - 1)]] for k in lower.tolist()]).reshape(-1, 2)
    share = places - lower
    return np.asarray(ends[:, 0] + share * (ends[:, 1] - ends[:, 0]))


def _of_ranks(
    values: Callable[[], Iterable[Array]], n: int, low: float, high: float, ranks: Sequence[int]
) -> list[float]:
    """Order statistics."""
    brackets = [_Bracket(rank, low, float(np.nextafter(high, np.inf)), 0, n) for rank in ranks]
    while any(_is_wide(b) for b in brackets):
        counts = [np.zeros(len(b.edges) + 1, dtype=np.int64) for b in brackets]
        for batch in values():
            for own, bracket in zip(counts, brackets, strict=True):
                if _is_wide(bracket):
                    at = np.searchsorted(bracket.edges, batch[~np.isnan(batch)], side="right")
                    own += np.bincount(at, minlength=len(own))
        brackets = [_narrowed(b, own) if _is_wide(b) else b for b, own in zip(brackets, counts, strict=True)]
    inside: list[list[Array]] = [[] for _ in brackets]
    for batch in values():
        for parts, bracket in zip(inside, brackets, strict=True):
            if not bracket.is_one_value:
                parts.append(batch[(batch >= bracket.low) & (batch < bracket.high)])
    return [
        b.low if b.is_one_value else float(np.sort(np.concatenate(parts))[b.rank - b.below])
        for b, parts in zip(brackets, inside, strict=True)
    ]


def _is_wide(bracket: _Bracket) -> bool:
    return bracket.inside > _COLLECTED and not bracket.is_one_value


def _narrowed(bracket: _Bracket, counts: NDArray[np.int64]) -> _Bracket:
    """The part of an interval that holds the rank; `counts` are of values below its edges, between them, and above."""
    edges, total = bracket.edges, np.cumsum(counts)
    part = int(np.searchsorted(total, bracket.rank, side="right"))
    return replace(
        bracket,
        low=float(edges[part - 1]),
        high=float(edges[part]),
        below=int(total[part - 1]),
        inside=int(counts[part]),
    )
