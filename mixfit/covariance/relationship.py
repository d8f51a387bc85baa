r"""Covariances known beforehand between the levels of a factor: K, or its sparse inverse.

What a formula's context may hold for ``propto`` and ``equalto`` is read here into one form: labels, and the matrix of
the levels asked for, checked.

A sparse inverse is Q = W'W with a sparse triangular W, the *increments*: W b are independent with variance one, so that
b = W^{-1} u of independent u, and neither K nor its root is ever written down.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, diags_array, issparse
from scipy.sparse.linalg import splu

from mixfit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray
    from scipy.sparse.linalg import SuperLU

    Array = NDArray[np.float64]

__all__ = ["KnownMatrix", "Relationship", "check_known", "known_matrix", "labels_of", "listed"]

# Two triangles of a matrix that was computed twice, or printed with eight digits, differ by less, relative to it.
_SYMMETRIC = 1e-6
# A matrix whose smallest eigenvalue is below this share of its largest has lost all digits of its inverse.
_DEFINITE = 1e-12
_SHOWN = 5
# SuperLU then keeps to the diagonal.
_KEPT_TO_DIAGONAL = {"SymmetricMode": True}
# Of the columns of a root that its rows' lengths are taken from at a time: 80 MB.
_CELLS_AT_ONCE = 10_000_000


@dataclass(frozen=True, eq=False)
class Relationship:
    """Covariance K = Q^{-1} between labelled levels, given by its sparse inverse over all nodes.

    Attributes
    ----------
    nodes : tuple of str
        Labels of the rows of Q.
    precision : csc_array
        Q: symmetric, positive definite.
    log_determinant : float
        log|Q|.
    labels : tuple of str
        The nodes that are levels: all animals of a pedigree, the tips of a tree.
    increments : csc_array
        W, triangular, with Q = W'W.

    Examples
    --------
    A sparse precision of one's own:

    >>> import mixfit
    >>> from scipy.sparse import csc_array
    >>> q = csc_array([[2.0, -1.0], [-1.0, 2.0]])
    >>> mixfit.covariance.Relationship.of(q, ["a", "b"]).covariance().round(3)
           a      b
    a  0.667  0.333
    b  0.333  0.667
    """

    nodes: tuple[str, ...]
    precision: csc_array
    log_determinant: float
    labels: tuple[str, ...]
    increments: csc_array

    @classmethod
    def of(cls, precision: Any, labels: Sequence[object]) -> Relationship:
        """The relationship with a precision of one's own.

        Parameters
        ----------
        precision : sparse array, shape (q, q)
        labels : sequence, length q
            Of its rows, in order.

        Returns
        -------
        Relationship

        Raises
        ------
        DataError
            Where it is not square, symmetric and positive definite, or the labels do not fit.
        """
        q = csc_array(precision, dtype=float)
        names = tuple(map(str, labels))
        _check_square(q.shape, "The precision")
        if len(names) != q.shape[0]:
            raise DataError(f"A precision of {q.shape[0]} rows has {len(names)} labels: give one a row, in order.")
        _check_unique(names, "The precision")
        largest = abs(q).max()
        if abs(q - q.T).max() > _SYMMETRIC * largest:
            raise DataError("The precision is not symmetric.")
        found = _factor(q)
        pivots = found.U.diagonal()
        if not (pivots > _DEFINITE * largest).all():
            raise DataError("The precision is not positive definite: it is no inverse of a covariance matrix.")
        order = np.argsort(found.perm_c)
        nodes = tuple(names[i] for i in order)
        increments = csc_array(diags_array(1.0 / np.sqrt(pivots)) @ found.U)
        return cls(nodes, q[order][:, order], float(np.log(pivots).sum()), names, increments)

    @cached_property
    def _solver(self) -> SuperLU:
        return _factor(self.precision)

    @cached_property
    def _triangle(self) -> SuperLU:
        return splu(self.increments, permc_spec="NATURAL", diag_pivot_thresh=0.0, options=_KEPT_TO_DIAGONAL)

    def __getstate__(self) -> dict[str, Any]:
        """Without the factors of SuperLU, which cannot be pickled."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_solver", "_triangle")}

    def effects(self, increments: Array) -> Array:
        """W^{-1} u, of increments u (..., q): effects of the nodes, with covariance K where u are independent."""
        return _by_columns(self._triangle.solve, increments)

    def pulled(self, sums: Array) -> Array:
        """W'^{-1} s of sums s (..., q): Z'c of the effects as those of the increments."""
        return _by_columns(lambda columns: self._triangle.solve(columns, "T"), sums)  # type: ignore[call-overload]

    def increments_of(self, effects: Array) -> Array:
        """W b, of effects (..., q)."""
        return _by_columns(lambda columns: np.asarray(self.increments @ columns), effects)

    @cached_property
    def variances(self) -> Array:
        """K's diagonal, node by node: (q,)."""
        q, out = len(self.nodes), np.empty(len(self.nodes))
        width = max(1, _CELLS_AT_ONCE // q)
        for start in range(0, q, width):
            rows = np.arange(start, min(start + width, q))
            unit = np.zeros((len(rows), q))
            unit[np.arange(len(rows)), rows] = 1.0
            # K_jj = |W'^{-1} e_j|^2
            root = self.pulled(unit)
            out[rows] = np.einsum("rq,rq->r", root, root)
        return out

    def covariance(self, levels: Sequence[object] | None = None) -> pd.DataFrame:
        """K of some levels.

        Parameters
        ----------
        levels : sequence, optional
            Labels, in the order wanted; by default `labels`.

        Returns
        -------
        DataFrame, shape (q, q)

        Raises
        ------
        DataError
            For a label that is no node.
        """
        names = self.labels if levels is None else tuple(map(str, levels))
        place = {name: i for i, name in enumerate(self.nodes)}
        check_known(names, place, "The relationship")
        at = np.array([place[name] for name in names], dtype=np.intp)
        asked = np.zeros((len(self.nodes), len(at)))
        asked[at, np.arange(len(at))] = 1.0
        k = self._solver.solve(asked)[at]
        return pd.DataFrame(0.5 * (k + k.T), index=list(names), columns=list(names))


@dataclass(frozen=True, eq=False)
class KnownMatrix:
    """A symmetric positive definite matrix of some levels, equal to another with the same numbers and labels.

    Attributes
    ----------
    labels : tuple of str, length k
    values : ndarray, shape (k, k)
    """

    labels: tuple[str, ...]
    values: Array

    @cached_property
    def root(self) -> Array:
        """Its lower Cholesky factor."""
        return np.asarray(np.linalg.cholesky(self.values), dtype=float)

    @cached_property
    def _key(self) -> tuple[tuple[str, ...], bytes]:
        return self.labels, self.values.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownMatrix) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def labels_of(given: object) -> tuple[str, ...] | None:
    """The levels that a known covariance is labelled with; None of one without labels."""
    if isinstance(given, Relationship):
        return given.labels
    return tuple(map(str, given.index)) if isinstance(given, pd.DataFrame) else None


def known_matrix(given: object, levels: Sequence[str], what: str) -> KnownMatrix:
    """The matrix of some levels.

    Parameters
    ----------
    given : Relationship, DataFrame, array or sparse array
        A frame is labelled in rows and columns, in any order, and may have more levels. An array has the levels in
        their order; a sparse one is the *inverse* of the covariance.
    levels : sequence of str
    what : str
        What messages call it.

    Returns
    -------
    KnownMatrix

    Raises
    ------
    DataError
        For a level that is not among the labels, and for a matrix that is not square, finite, symmetric or positive
        definite.
    """
    names = tuple(levels)
    if issparse(given):
        _check_size(given.shape, names, what)  # type: ignore[attr-defined]
        given = Relationship.of(given, names)
    if isinstance(given, Relationship):
        check_known(names, given.nodes, what)
        values = given.covariance(names).to_numpy()
    elif isinstance(given, pd.DataFrame):
        values = _of_frame(given, names, what)
    else:
        values = _numbers(given, what)
        _check_size(values.shape, names, what)
    return KnownMatrix(names, _checked(values, names, what))


def _of_frame(frame: pd.DataFrame, names: tuple[str, ...], what: str) -> Array:
    _check_square(frame.shape, what)
    rows, columns = tuple(map(str, frame.index)), tuple(map(str, frame.columns))
    _check_unique(rows, what)
    if set(rows) != set(columns):
        odd = sorted(set(rows) ^ set(columns))
        raise DataError(
            f"{what}: rows and columns are labelled differently: {listed(odd)} stands on one side only. Label both "
            "with the levels."
        )
    check_known(names, rows, what)
    row, column = ({name: i for i, name in enumerate(side)} for side in (rows, columns))
    at = np.ix_([row[name] for name in names], [column[name] for name in names])
    return _numbers(frame, what)[at]


def _numbers(given: object, what: str) -> Array:
    try:
        return np.array(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{what} must be a labelled DataFrame, an array of numbers, a sparse precision, or what mixfit.pedigree or "
            f"mixfit.phylogeny gives, not {type(given).__name__}."
        ) from error


def _checked(values: Array, names: tuple[str, ...], what: str) -> Array:
    """The symmetric part, if it is all but the whole, and is positive definite."""
    if not np.isfinite(values).all():
        a, b = np.argwhere(~np.isfinite(values))[0]
        raise DataError(f"{what}: the entry of {names[a]!r} and {names[b]!r} is {values[a, b]}.")
    apart = np.abs(values - values.T)
    if apart.size and apart.max() > _SYMMETRIC * np.abs(values).max():
        a, b = np.unravel_index(int(apart.argmax()), apart.shape)
        raise DataError(
            f"{what} is not symmetric: {values[a, b]:.6g} for {names[a]!r} and {names[b]!r}, {values[b, a]:.6g} the "
            "other way round."
        )
    values = 0.5 * (values + values.T)
    eigenvalues, vectors = np.linalg.eigh(values)
    if not eigenvalues[0] > _DEFINITE * eigenvalues[-1]:
        heavy = np.argsort(-np.abs(vectors[:, 0]), kind="stable")
        involved = [names[a] for a in heavy if np.abs(vectors[a, 0]) > 0.5 * np.abs(vectors[:, 0]).max()]
        raise DataError(
            f"{what} is not positive definite: its smallest eigenvalue is {eigenvalues[0]:.3g} (the largest "
            f"{eigenvalues[-1]:.3g}), of a combination of {listed(involved)}. Levels that are copies of one another "
            "have to be one level; otherwise look for an entry that is wrong."
        )
    return values


def _check_square(shape: tuple[int, ...], what: str) -> None:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise DataError(f"{what} must be square, not of shape {tuple(shape)}.")


def _check_size(shape: tuple[int, ...], names: tuple[str, ...], what: str) -> None:
    _check_square(shape, what)
    if shape[0] != len(names):
        raise DataError(
            f"{what} has {shape[0]} rows for {len(names)} levels ({listed(names)}), and no labels to tell which they "
            "are: give a DataFrame with the levels as its index and columns."
        )


def _check_unique(names: Sequence[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{what}: {listed(twice)} stands among the labels more than once.")


def check_known(names: Sequence[str], known: Iterable[str], what: str) -> None:
    """Refuse levels without a row."""
    have = set(known)
    lacking = [name for name in names if name not in have]
    if lacking:
        raise DataError(
            f"{what} has no row for {listed(lacking)}. Give it one for every level of the data, or leave out the rows "
            "of the data with these."
        )


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


def _by_columns(solve: Callable[[Array], Array], rows: Array) -> Array:
    """A function of columns (q, c) applied to rows (..., q)."""
    columns = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]).T)
    return np.ascontiguousarray(np.asarray(solve(columns)).T).reshape(rows.shape)


def _factor(q: csc_array) -> SuperLU:
    """LU without pivoting of a symmetric positive definite matrix: U's diagonal are the squared Cholesky pivots."""
    return splu(q, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=_KEPT_TO_DIAGONAL)
