"""A random term's place among the columns of its grouping factor, and the structure of its covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure

    Array = NDArray[np.float64]

__all__ = ["Term", "factor_templates"]


@dataclass(frozen=True, eq=False)
class Term:
    """A random term's place among the columns of its grouping factor.

    Attributes
    ----------
    factor : int
    first, k : int
        Its columns are ``first : first + k`` of the factor's.
    structure : Structure
    """

    factor: int
    first: int
    k: int
    structure: Structure

    @property
    def columns(self) -> slice:
        """Its columns among its factor's."""
        return slice(self.first, self.first + self.k)


def factor_templates(terms: Sequence[Term], k: Sequence[int], templates: Sequence[Array]) -> tuple[Array, ...]:
    """Block-diagonal templates of the grouping factors, of k_i columns each, from those of the terms."""
    if len(terms) == len(k) == 1:
        return tuple(templates)
    if len(terms) == len(k):
        # A term for each factor: its template is the factor's.
        own = {term.factor: t for term, t in zip(terms, templates, strict=True)}
        return tuple([own[i] for i in range(len(k))])
    out = [np.zeros((size, size)) for size in k]
    for term, t in zip(terms, templates, strict=True):
        out[term.factor][term.columns, term.columns] = t
    return tuple(out)
