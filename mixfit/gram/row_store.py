"""Rows on disk, read block by block: for passes over more of them than memory holds.

Numbers and codes of a block stand one block after the other in two files of a temporary folder, which goes with the
object. A third file has the pair of levels that every row has of any two grouping factors, once the pairs are known.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["RowStore", "StoredRows"]

# Half of what the processor indexes by: no grouping factor, and no table of pairs, has 2^31 entries.
_CODE = np.int32


@dataclass(frozen=True, eq=False)
class StoredRows:
    """The rows of a block.

    Attributes
    ----------
    columns : ndarray, shape (c, m)
    codes : ndarray of intp, shape (f, m)
        Level of each grouping factor.
    entries : ndarray of intp, shape (pairs, m)
        Number of the pair of levels, of any two factors.
    """

    columns: Array
    codes: Index
    entries: Index


class RowStore:
    """Rows of some columns and grouping factors on disk.

    Parameters
    ----------
    n_columns, n_factors : int

    Examples
    --------
    >>> store = RowStore(2, 1)
    >>> store.add(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0, 1]]))
    >>> [block.columns.tolist() for block in store.blocks()], store.n
    ([[[1.0, 2.0], [3.0, 4.0]]], 2)
    """

    def __init__(self, n_columns: int, n_factors: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mixfit-"))
        # With the object, and at the end of the process at the latest.
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._shape = n_columns, n_factors
        self._sizes: list[int] = []
        self._n_pairs = 0

    @property
    def n(self) -> int:
        """Number of rows."""
        return sum(self._sizes)

    def add(self, columns: Array, codes: NDArray[Any]) -> None:
        """Write a block: columns (c, m) and codes (f, m).

        Raises
        ------
        SourceError
            Where the disk is full.
        """
        self._write("columns", np.ascontiguousarray(columns, dtype=np.float64))
        self._write("codes", np.ascontiguousarray(codes, dtype=_CODE))
        self._sizes.append(columns.shape[1])

    def number_pairs(self, pairs: Mapping[tuple[int, int], tuple[Index, Index]], n_levels: tuple[int, ...]) -> None:
        """Write the number that the pair of levels of every row has among `pairs`, (row, col) sorted by row, then col.

        Raises
        ------
        SourceError
            Where the disk is full.
        """
        keys = {(i, j): row * n_levels[j] + col for (i, j), (row, col) in pairs.items()}
        blocks = self.blocks() if pairs else iter(())
        for block in blocks:
            found = [
                np.searchsorted(own, block.codes[i] * n_levels[j] + block.codes[j]) for (i, j), own in keys.items()
            ]
            self._write("entries", np.stack(found).astype(_CODE))
        self._n_pairs = len(pairs)

    def blocks(self) -> Iterator[StoredRows]:
        """The blocks, in the order in which they were added."""
        c, f = self._shape
        names = ["columns", "codes", *(["entries"] if self._n_pairs else [])]
        with ExitStack() as stack:
            files = [stack.enter_context((self._folder / name).open("rb")) for name in names if self._sizes]
            for m in self._sizes:
                columns = np.fromfile(files[0], np.float64, c * m).reshape(c, m)
                codes = np.fromfile(files[1], _CODE, f * m).reshape(f, m)
                entries = np.empty((0, m), dtype=_CODE)
                if self._n_pairs:
                    entries = np.fromfile(files[2], _CODE, self._n_pairs * m).reshape(-1, m)
                yield StoredRows(columns, codes.astype(np.intp), entries.astype(np.intp))

    def _write(self, name: str, values: NDArray[Any]) -> None:
        try:
            with (self._folder / name).open("ab") as file:
                values.tofile(file)
        except OSError as error:
            raise SourceError(
                f"The rows of the model do not go into the folder of temporary files, {self._folder}: {error}. "
                "Passes over them need some ten bytes a row and column there; set TMPDIR to a folder with room."
            ) from error
