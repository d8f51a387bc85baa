r"""Products of covariates by products of the same covariates, centred and scaled.

With :math:`x = c + s u`, a product is :math:`\prod_{i \in S} x_i = \sum_{R \subseteq S} \prod_{S \setminus R} c_i
\prod_R s_i \prod_R u_i`: linear in the products of the centred ones of all subsets, whose sums do not cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["Monomial", "Monomials", "monomials"]

#: Names of covariates, sorted; none for the constant.
Monomial = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Monomials:
    """Products of covariates, each with those of all its parts.

    Attributes
    ----------
    products : tuple of Monomial
        The constant first.
    centres, scales : dict of str to float
    """

    products: tuple[Monomial, ...]
    centres: Mapping[str, float]
    scales: Mapping[str, float]

    def coefficients(self, product: Monomial) -> Array:
        """A product of the covariates themselves by the products of the centred ones, shape (r,)."""
        out = np.zeros(len(self.products))
        for part in _subsets(product):
            left = [self.centres[name] for name in product if name not in part]
            out[self.products.index(part)] = np.prod(left) * np.prod([self.scales[name] for name in part])
        return out


def monomials(
    products: Iterable[Iterable[str]], centres: Mapping[str, float], scales: Mapping[str, float]
) -> Monomials:
    """The products of some sets of covariates, and of their parts.

    Examples
    --------
    >>> own = monomials([["x", "t"]], {"x": 10.0, "t": 1.0}, {"x": 2.0, "t": 1.0})
    >>> own.products
    ((), ('t',), ('x',), ('t', 'x'))
    >>> own.coefficients(("t", "x")).tolist()
    [10.0, 10.0, 2.0, 2.0]
    """
    parts = {part for product in products for part in _subsets(tuple(sorted(product)))} | {()}
    return Monomials(tuple(sorted(parts, key=lambda part: (len(part), part))), centres, scales)


def _subsets(product: Monomial) -> Iterable[Monomial]:
    return chain.from_iterable(combinations(product, k) for k in range(len(product) + 1))
