"""Random terms as the rows show them: grouping factors, columns, and what terms of several predictors share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.brief import brief

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure

__all__ = ["Grouping", "RandomDesign", "SharedColumns", "SpreadLevels"]


@dataclass(frozen=True, eq=False)
class Grouping:
    """A grouping factor as the rows show it.

    Attributes
    ----------
    name : str
        ``"Subject"`` or, for an interaction, ``"batch:cask"``.
    codes : ndarray of intp, shape (n,)
        The level of each row, ``0 <= codes < n_levels``; every level occurs.
    levels : pandas.Index, shape (n_levels,)
        Labels in the order of the codes: category order for categoricals, sorted otherwise;
        an interaction's labels are joined by ``":"``, its last part varying fastest.

    Examples
    --------
    >>> import mixfit
    >>> model = mixfit.mixed("strength ~ 1 + (1 | batch/cask)", mixfit.datasets.load("pastes"))
    >>> casks = model.groups["batch:cask"]
    >>> casks.n_levels, casks.levels[:2].tolist(), casks.codes[:3].tolist()
    (30, ['A:a', 'A:b'], [0, 0, 1])
    """

    name: str
    codes: NDArray[np.intp]
    levels: pd.Index

    __repr__ = brief

    @property
    def n_levels(self) -> int:
        """Number of observed levels."""
        return len(self.levels)


@dataclass(frozen=True, eq=False)
class SpreadLevels:
    """The levels that the columns of a term stand for, where their covariance is known.

    Attributes
    ----------
    grouping : Grouping
        With all levels of the known covariance, those that no row has included.
    column : str
        What is written left of the bar: ``"Intercept"``.
    """

    grouping: Grouping
    column: str


@dataclass(frozen=True, eq=False)
class SharedColumns:
    """What a term is of one covariance with terms of other predictors, whose columns are zero in its rows.

    Attributes
    ----------
    name : str
        ``"a"`` of ``(1 | a | g)``.
    place : int
        Which of the predictors that share the term this one is, the first being 0.
    of : tuple of int, length k
        Which of them every column belongs to.
    predictors : tuple of str
        Their names.
    names : tuple of str, length k
        Of the columns, as in the formulas of their predictors.
    whole : ndarray, shape (n, k)
        The columns of all predictors, each in the rows of its own.
    """

    name: str
    place: int
    of: tuple[int, ...]
    predictors: tuple[str, ...]
    names: tuple[str, ...]
    whole: NDArray[np.float64]

    @property
    def own(self) -> tuple[int, ...]:
        """Places of the predictor's columns among all."""
        return tuple(j for j, place in enumerate(self.of) if place == self.place)

    __repr__ = brief


@dataclass(frozen=True, eq=False)
class RandomDesign:
    """One random-effects term ``(columns | grouping)``.

    Attributes
    ----------
    grouping : Grouping
        Terms of one grouping factor share the same object.
    columns : tuple of str, length k
        Names of the columns left of the bar, as formulaic names them.
    Z : ndarray of float, shape (n, k)
        The dense columns left of the bar; row i of the sparse Z holds ``Z[i]`` in the block of
        level ``codes[i]``.
    structure : Structure
        Of the covariance of the columns' effects: unstructured (``|``), independent (``||``), or as named.
    text : str
        The term as it was written, for messages and printing.
    spread : SpreadLevels, or None
        Where the grouping factor's levels are the columns, of one level that all rows are in.
    shared : SharedColumns, or None
        Where the term has one covariance with terms of other predictors.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> (term,) = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).design.random
    >>> term.text, term.columns, term.structure, term.Z.shape
    ('(Days | Subject)', ('Intercept', 'Days'), Unstructured(k=2), (180, 2))
    """

    grouping: Grouping
    columns: tuple[str, ...]
    Z: NDArray[np.float64]
    structure: Structure
    text: str
    spread: SpreadLevels | None = None
    shared: SharedColumns | None = None

    @property
    def is_first(self) -> bool:
        """Whether its covariance is among the parameters of its own predictor, and not of an earlier one's."""
        return self.shared is None or self.shared.place == 0

    @property
    def shared_key(self) -> tuple[str, str] | None:
        """What terms of one covariance have in common; None for a term of its own."""
        return None if self.shared is None else (self.shared.name, self.grouping.name)

    def on_rows_of(self, predictors: Iterable[str]) -> RandomDesign:
        """A shared term as a plain one, on a block of rows for each of some predictors, by name."""
        shared, names = self.shared, dict.fromkeys(predictors)
        if shared is None:
            return self
        blocks = [np.where([shared.predictors[a] == name for a in shared.of], shared.whole, 0.0) for name in names]
        grouping = replace(self.grouping, codes=np.tile(self.grouping.codes, len(names)))
        return replace(self, grouping=grouping, Z=np.vstack(blocks), shared=None)

    @property
    def written(self) -> Grouping:
        """The grouping factor right of the bar, whose levels may be the columns."""
        return self.grouping if self.spread is None else self.spread.grouping

    @property
    def n_groups(self) -> int:
        """Levels that are effects of interest: not the inner nodes of a tree."""
        known = self.structure.relationship
        return self.written.n_levels if known is None else len(known.labels)

    @property
    def mean_squares(self) -> NDArray[np.float64]:
        """Of the columns over all rows, shape (k,)."""
        Z = self._whole
        return np.asarray(np.einsum("nk,nk->k", Z, Z) / len(Z))

    @property
    def level_products(self) -> NDArray[np.float64]:
        """Z_j'Z_j of every level, shape (q, k, k)."""
        Z, codes, q = self._whole, self.grouping.codes, self.grouping.n_levels
        k = Z.shape[1]
        out = np.zeros((q, k, k))
        for i in range(k):
            for j in range(i + 1):
                # Columns of different predictors are never in one row.
                if self.shared is None or self.shared.of[i] == self.shared.of[j]:
                    out[:, i, j] = out[:, j, i] = np.bincount(codes, Z[:, i] * Z[:, j], q)
        return out

    @property
    def _whole(self) -> NDArray[np.float64]:
        return self.Z if self.shared is None else self.shared.whole

    __repr__ = brief
