"""Random designs of every shape: how levels nest and cross, vector terms, weights, offsets.

Everything follows from a seed, so that a failing example is a line to paste.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mixfit.gram.pattern import FactorRows
from mixfit.matrices.types import Design, Grouping, RandomDesign
from tests.structures import structure_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Codes = NDArray[np.intp]

__all__ = [
    "PATTERNS",
    "Sketch",
    "dense_blocks",
    "draw_templates",
    "factor_rows",
    "make_codes",
    "make_design",
    "sketches",
]


def compact(codes: NDArray[np.integer]) -> Codes:
    """The same partition, numbered without gaps."""
    return np.unique(codes, return_inverse=True)[1].reshape(-1).astype(np.intp)


def _spread(rng: np.random.Generator, n: int, q: int) -> Codes:
    """`q` levels of about equal size, in random order of the rows."""
    return rng.permutation(np.arange(n) % q).astype(np.intp)


def _uneven(rng: np.random.Generator, n: int, q: int) -> Codes:
    """Levels of very different sizes, many of a single row."""
    weights = rng.pareto(0.8, q) + 0.05
    codes = rng.choice(q, size=n, p=weights / weights.sum())
    codes[:2] = 0, 1
    return compact(codes)


def _nudged(rng: np.random.Generator, codes: Codes, share: float) -> Codes:
    """The same factor with a share of the rows moved to another level."""
    moved = np.where(rng.random(len(codes)) < share, rng.integers(0, codes.max() + 1, len(codes)), codes)
    return compact(moved)


def _nested(rng: np.random.Generator, n: int) -> list[Codes]:
    a = _spread(rng, n, max(2, n // 3))
    return [a, compact(a // 4)]


def _nested_three(rng: np.random.Generator, n: int) -> list[Codes]:
    a = _spread(rng, n, max(4, n // 3))
    return [a, compact(a // 2), compact(a // 5)]


def _crossed(rng: np.random.Generator, n: int) -> list[Codes]:
    return [_spread(rng, n, max(3, n // 4)), _spread(rng, n, max(2, n // 8))]


def _partially_crossed(rng: np.random.Generator, n: int) -> list[Codes]:
    a = _spread(rng, n, max(3, n // 4))
    return [a, _nudged(rng, compact(a // 3), 0.15)]


def _crossed_three(rng: np.random.Generator, n: int) -> list[Codes]:
    return [*_crossed(rng, n), _uneven(rng, n, max(3, n // 10))]


def _nested_inside_crossed(rng: np.random.Generator, n: int) -> list[Codes]:
    a = _spread(rng, n, max(4, n // 3))
    return [a, _spread(rng, n, max(3, n // 7)), compact(a // 3)]


def _two_chains_crossed(rng: np.random.Generator, n: int) -> list[Codes]:
    a, c = _spread(rng, n, max(6, n // 3)), _spread(rng, n, max(4, n // 6))
    return [a, c, compact(a // 2), compact(c // 2), compact(a // 5)]


PATTERNS: dict[str, Callable[[np.random.Generator, int], list[Codes]]] = {
    "single": lambda rng, n: [_spread(rng, n, max(2, n // 4))],
    "uneven": lambda rng, n: [_uneven(rng, n, max(3, n // 3))],
    "nested": _nested,
    "nested three deep": _nested_three,
    "crossed": _crossed,
    "partially crossed": _partially_crossed,
    "three crossed": _crossed_three,
    "uneven crossed": lambda rng, n: [_uneven(rng, n, max(3, n // 3)), _uneven(rng, n, max(3, n // 4))],
    "nested inside crossed": _nested_inside_crossed,
    "two chains crossed": _two_chains_crossed,
}


def make_codes(pattern: str, n: int, rng: np.random.Generator) -> list[Codes]:
    """Grouping factors of a named pattern, by decreasing number of levels, each of at least two."""
    return sorted(PATTERNS[pattern](rng, n), key=lambda c: -int(c.max()))


def factor_rows(pattern: str, n: int, widths: Sequence[int], rng: np.random.Generator) -> list[FactorRows]:
    """Rows of the pattern's factors, of cyclically repeated widths; width 1 is a column of ones."""
    return [
        FactorRows(
            codes,
            int(codes.max()) + 1,
            None if (k := widths[i % len(widths)]) == 1 else rng.normal(size=(k, n)),
        )
        for i, codes in enumerate(make_codes(pattern, n, rng))
    ]


def dense_blocks(rows: FactorRows) -> Array:
    """Dense Z of one factor, shape (n, k, q)."""
    n = len(rows.codes)
    Z = np.zeros((n, rows.k, rows.n_levels))
    columns = np.ones((1, n)) if rows.columns is None else rows.columns
    for a, column in enumerate(columns):
        Z[np.arange(n), a, rows.codes] = column
    return Z


@dataclass(frozen=True)
class Sketch:
    """A recipe for a design.

    Attributes
    ----------
    terms : tuple of (int, str)
        Width and structure of the terms, dealt to the pattern's factors in turn; more terms than factors
        put several on one factor.
    signal : float
        Standard deviation of the true random effects relative to the residual's; 0 makes singular fits.
    """

    seed: int
    pattern: str = "crossed"
    n: int = 40
    terms: tuple[tuple[int, str], ...] = ((1, "us"),)
    p: int = 2
    weights: bool = False
    offset: bool = False
    signal: float = 1.0

    def design(self) -> Design:
        """Build it."""
        return make_design(self)


def make_design(sketch: Sketch) -> Design:
    """The design of a sketch: an intercept and standard normal columns, effects of the given signal."""
    rng = np.random.default_rng(sketch.seed)
    n = sketch.n
    codes = make_codes(sketch.pattern, n, rng)
    groupings = [Grouping(f"g{i}", c, pd.Index([f"l{j}" for j in range(c.max() + 1)])) for i, c in enumerate(codes)]
    # In the formula's order the widest factor need not come first.
    order = rng.permutation(len(groupings))
    random = []
    y = rng.normal(size=n)
    count = max(len(sketch.terms), len(groupings))
    for t in range(count):
        k, structure = sketch.terms[t % len(sketch.terms)]
        grouping = groupings[order[t % len(groupings)]]
        # A second term of one factor has no second intercept.
        ones = [np.ones(n)] if t < len(groupings) else []
        Z = np.column_stack([*ones, *rng.normal(size=(3, n))])[:, :k]
        Z = np.ascontiguousarray(Z * rng.choice([1.0, 1.0, 20.0], size=k))
        effects = sketch.signal * rng.normal(size=(grouping.n_levels, k)) / np.sqrt((Z**2).mean(axis=0))
        y += np.einsum("nk,nk->n", Z, effects[grouping.codes])
        columns = tuple(f"z{c}" for c in range(k))
        random.append(RandomDesign(grouping, columns, Z, structure_named(structure, columns), f"term {t}"))
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 3))])[:, : sketch.p]
    weights = rng.gamma(2.0, size=n) + 0.1 if sketch.weights else None
    offset = 5.0 * rng.normal(size=n) if sketch.offset else None
    y += 3.0 * X.sum(axis=1) + (0.0 if offset is None else offset)
    return Design(
        y=y,
        X=np.ascontiguousarray(X),
        exog_names=tuple(f"x{j}" for j in range(sketch.p)),
        endog_name="y",
        random=tuple(random),
        weights=weights,
        offset=offset,
        index=pd.RangeIndex(n),
        n_dropped=0,
        reader=None,  # type: ignore[arg-type]
    )


def draw_templates(design: Design, rng: np.random.Generator, zero: float = 0.0) -> list[Array]:
    """Lower-triangular templates in the scale of the columns; each column is zero with probability `zero`."""
    out = []
    for term in design.random:
        k = len(term.columns)
        t = np.tril(rng.normal(size=(k, k)))
        t[np.diag_indices(k)] = np.abs(t.diagonal()) + 0.1
        if term.structure.is_separable:
            t = np.diag(t.diagonal())
        t = t / np.sqrt((term.Z**2).mean(axis=0))[:, None]
        t[:, rng.random(k) < zero] = 0.0
        out.append(t)
    return out


WIDTHS: tuple[tuple[tuple[int, str], ...], ...] = (
    ((1, "us"),),
    ((2, "us"),),
    ((2, "diag"),),
    ((3, "us"), (1, "us")),
    ((2, "us"), (1, "us"), (2, "diag")),
    ((1, "us"), (1, "us"), (2, "us"), (1, "us")),
)


def sketches(n: tuple[int, int] = (24, 60)) -> st.SearchStrategy[Sketch]:
    """Sketches of any pattern, with terms of any kind."""
    return st.builds(
        Sketch,
        seed=st.integers(0, 2**20),
        pattern=st.sampled_from(list(PATTERNS)),
        n=st.integers(*n),
        terms=st.sampled_from(WIDTHS),
        p=st.integers(0, 4),
        weights=st.booleans(),
        offset=st.booleans(),
        signal=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    )
