r"""Pedigrees as covariances of additive genetic effects.

The additive relationship matrix is A = T D T': an animal's effect is the mean of its parents' plus a Mendelian sampling
term of variance d, so that its inverse is a sum over animals of (a - a_sire / 2 - a_dam / 2)^2 / d (Henderson 1976,
Biometrics 32), with d = 1/2 - (F_sire + F_dam) / 4 for inbred parents (Quaas 1976, Biometrics 32).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csc_array, csr_array, diags_array, eye_array

from mixfit.covariance.relationship import Relationship, listed
from mixfit.errors import DataError
from mixfit.helped import helped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Pedigree", "pedigree"]

# Entries that the shares of ancestors of a batch of parents may have at a time: 240 MB with their indices.
_CELLS_AT_ONCE = 20_000_000


@dataclass(frozen=True, eq=False)
class Pedigree(Relationship):
    """A pedigree as the additive relationship matrix A of its animals.

    Attributes
    ----------
    inbreeding : Series
        Coefficient F of every animal: A's diagonal is 1 + F.
    """

    inbreeding: pd.Series[float]

    @cached_property
    def variances(self) -> Array:
        """1 + F."""
        return np.asarray(1.0 + self.inbreeding.reindex(list(self.nodes)).to_numpy(), dtype=float)


@helped
def pedigree(
    frame: Any,
    *,
    id: str = "id",  # noqa: A002 - the usual name of the column
    sire: str = "sire",
    dam: str = "dam",
    hermaphrodites: bool = False,
) -> Pedigree:
    """The additive relationship matrix of a pedigree, for ``propto(1 | animal, A)``.

    Parameters
    ----------
    frame : DataFrame
        A row an animal, in any order. Parents that have no row of their own are founders.
    id, sire, dam : str
        Columns of the animal and of its parents; a parent that is missing, empty or 0 is unknown.
    hermaphrodites : bool
        Whether one may be sire here and dam there, as plants are.

    Returns
    -------
    Pedigree
        Its `precision` is the sparse inverse of A; `covariance()` is A of some animals.

    Raises
    ------
    DataError
        For an animal with several rows, one that is among its own ancestors, and a parent of both sexes.

    References
    ----------
    Henderson (1976), Biometrics 32, 69-83. Quaas (1976), Biometrics 32, 949-953.

    Examples
    --------
    A calf of full sibs is inbred by a quarter:

    >>> import pandas as pd
    >>> import mixfit
    >>> table = pd.DataFrame(
    ...     {"id": ["son", "daughter", "calf"], "sire": ["bull", "bull", "son"], "dam": ["cow", "cow", "daughter"]}
    ... )
    >>> A = mixfit.pedigree(table)
    >>> float(A.inbreeding["calf"])
    0.25
    >>> A.covariance(["bull", "son", "calf"])
          bull   son  calf
    bull   1.0  0.50  0.50
    son    0.5  1.00  0.75
    calf   0.5  0.75  1.25
    """
    animals, sires, dams = (_names(frame, column) for column in (id, sire, dam))
    if not all(animals):
        raise DataError(f"The pedigree has a row without an animal: column {id!r} is missing there.")
    twice = [name for name, count in Counter(animals).items() if count > 1]
    if twice:
        raise DataError(f"The pedigree has more than one row for {listed(twice)}.")
    both = sorted((set(sires) & set(dams)) - {""})
    if both and not hermaphrodites:
        raise DataError(
            f"{listed(both)} is a sire in one row and a dam in another. Correct the rows, or say hermaphrodites=True."
        )
    own = set(animals)
    founders = [name for name in dict.fromkeys((*sires, *dams)) if name and name not in own]
    names = (*founders, *animals)
    place = {name: i for i, name in enumerate(names)} | {"": -1}
    parents = np.full((2, len(names)), -1, dtype=np.intp)
    parents[:, len(founders) :] = [[place[name] for name in side] for side in (sires, dams)]
    generation = _generations(parents, names)
    # Parents come before their children.
    order = np.argsort(generation, kind="stable")
    back = np.empty(len(order) + 1, dtype=np.intp)
    back[order], back[-1] = np.arange(len(order)), -1
    names, parents = tuple(names[i] for i in order), back[parents[:, order]]
    f, d = _inbreeding(parents, generation[order])
    b = eye_array(len(names), format="csr") - _halves(parents)
    increments = csc_array(diags_array(1.0 / np.sqrt(d)) @ b)
    precision = csc_array(increments.T @ increments)
    labels = (*animals, *founders)
    inbreeding = pd.Series(f, index=list(names), name="F").reindex(list(labels))
    return Pedigree(names, precision, -float(np.log(d).sum()), labels, increments, inbreeding)


def _names(frame: Any, column: str) -> list[str]:
    """Labels as text, empty where unknown."""
    try:
        values = pd.Series(np.asarray(frame[column], dtype=object))
    except Exception as error:
        raise DataError(f"The pedigree has no column {column!r}: name the columns by id=, sire= and dam=.") from error
    unknown = values.isna() | values.isin(["", 0, "0"])
    return ["" if lacking else _label(value) for value, lacking in zip(values, unknown, strict=True)]


def _label(value: object) -> str:
    """Where a parent is missing whole numbers are floating ones."""
    return str(int(value) if isinstance(value, float | np.floating) and value.is_integer() else value)


def _generations(parents: Index, names: tuple[str, ...]) -> Index:
    """0 for founders, one more than the later parent for others."""
    known = parents >= 0
    generation = np.full(parents.shape[1], -1, dtype=np.intp)
    generation[~known.any(axis=0)] = 0
    while (generation < 0).any():
        own = np.where(known, generation[parents], -2)
        ready = (generation < 0) & (own != -1).all(axis=0)
        if not ready.any():
            raise DataError(f"The pedigree goes in a circle: {listed(_circle(parents, generation, names))}.")
        generation[ready] = own[:, ready].max(axis=0) + 1
    return generation


def _circle(parents: Index, generation: Index, names: tuple[str, ...]) -> list[str]:
    """From an animal whose ancestors have no end to a parent of the same kind, until one comes back."""
    path = [int(np.flatnonzero(generation < 0)[0])]
    while path[-1] not in path[:-1]:
        path.append(next(p for p in parents[:, path[-1]].tolist() if p >= 0 and generation[p] < 0))
    return [names[i] for i in path[path.index(path[-1]) + 1 :]]


def _halves(parents: Index) -> csr_array:
    """One half for each known parent of each animal."""
    n = parents.shape[1]
    side, animal = np.nonzero(parents >= 0)
    return csr_array((np.full(len(animal), 0.5), (animal, parents[side, animal])), shape=(n, n))


def _inbreeding(parents: Index, generation: Index) -> tuple[Array, Array]:
    """F of every animal and the variance d of its Mendelian sampling, generation by generation.

    F is half of A between the parents, sum_k T_sk T_dk d_k over their common ancestors.
    """
    n, known = parents.shape[1], parents >= 0
    f, d = np.zeros(n), np.empty(n)
    halves = _halves(parents)
    for g in range(int(generation.max()) + 1):
        own = np.flatnonzero(generation == g)
        pairs = own[known[:, own].all(axis=0)]
        if len(pairs):
            mates, mating = np.unique(parents[:, pairs], axis=1, return_inverse=True)
            f[pairs] = 0.5 * _between(mates, halves, d)[mating.ravel()]
        # A parent's F where it is known, -1 where it is not: 1/2 - (F_s + F_d) / 4, 3/4 - F_s / 4, 1.
        d[own] = 0.5 - 0.25 * np.where(known[:, own], f[parents[:, own]], -1.0).sum(axis=0)
    return f, d


def _between(mates: Index, halves: csr_array, d: Array) -> Array:
    """A of every pair of mates, (2, m), a batch of pairs at a time."""
    m, n = mates.shape[1], halves.shape[0]
    out = np.empty(m)
    step = max(1, _CELLS_AT_ONCE // n)
    for start in range(0, m, step):
        pairs = mates[:, start : start + step]
        parents, at = np.unique(pairs, return_inverse=True)
        shares = _shares(parents, halves)
        sire, dam = at.reshape(pairs.shape)
        out[start : start + step] = shares[sire].multiply(shares[dam]) @ d
    return out


def _shares(animals: Index, halves: csr_array) -> csr_array:
    """Rows of T: what each ancestor's own sampling contributes to an animal, itself included."""
    n = halves.shape[0]
    step = csr_array((np.ones(len(animals)), (np.arange(len(animals)), animals)), shape=(len(animals), n))
    total = step
    while True:
        step = step @ halves
        if not step.nnz:
            return total
        total = total + step
