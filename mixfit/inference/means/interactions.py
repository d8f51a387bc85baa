"""Interaction contrasts: products of the contrasts of each factor.

A family of contrasts A of one factor's levels and a family B of another's give the contrasts B x A (Kronecker) of their
combinations: how the differences A differ by B (Boik 1993, Psychometrika 58, 217-235).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.inference.means.contrast_coefficients import contrast_family, mean_labels
from mixfit.inference.means.linear_functions import by_groups
from mixfit.inference.means.marginal_frames import named_in, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.means.marginal_frames import ContrastRows

    Array = NDArray[np.float64]

__all__ = ["factor_methods", "interaction_rows"]


def factor_methods(interaction: Any, method: Any, factors: Sequence[str]) -> dict[str, Any]:
    """Which contrasts each factor has: ``True`` means `method` for all, one name that, several or a mapping each's own.

    Raises
    ------
    FitError
        For methods of another number of factors, or of names that are none of them.
    """
    if not factors:
        raise FitError("Interaction contrasts need a factor outside of by=.")
    if interaction is True:
        return dict.fromkeys(factors, method)
    if isinstance(interaction, str):
        return dict.fromkeys(factors, interaction)
    if isinstance(interaction, Mapping):
        if set(interaction) != set(factors):
            raise FitError(f"interaction= needs a method for each of {', '.join(factors)}, not {list(interaction)!r}.")
        return {name: interaction[name] for name in factors}
    methods = list(interaction)
    if len(methods) != len(factors):
        raise FitError(f"interaction= has {len(methods)} methods for the factors {', '.join(factors)}: give one each.")
    return dict(zip(factors, methods, strict=True))


def interaction_rows(
    means: pd.DataFrame, L: Array, by: Sequence[str], methods: Mapping[str, Any], sign: str
) -> ContrastRows:
    """Interaction contrasts of the means (m) named in a frame, with coefficients L (m, c), within `by` groups.

    Raises
    ------
    FitError
        Where some combination of the factors has no mean.
    """
    groups = by_groups(means, by)
    named, coefficients = [], []
    for rows in groups:
        cells = means.iloc[rows].reset_index(drop=True)
        names, C = _products(cells, methods, sign)
        named.append(named_in(names, cells.loc[[0], list(by)]))
        coefficients.append(C)
    return rows_of(named, L, groups, coefficients, tuple((len(rows), False) for rows in groups), "none")


def _products(cells: pd.DataFrame, methods: Mapping[str, Any], sign: str) -> tuple[pd.DataFrame, Array]:
    """Names and coefficients (q, m) for the combinations of one group, the first factor varying fastest."""
    families, codes, columns = [], np.zeros(len(cells), dtype=np.intp), []
    size = 1
    for name, method in methods.items():
        code, levels = pd.factorize(cells[name])
        labels = mean_labels(pd.DataFrame({name: levels}))
        families.append(contrast_family(method, labels, sign))
        codes += size * code
        size *= len(levels)
        columns.append(f"{name}_{method if isinstance(method, str) else 'custom'}")
    if size != len(cells) or len(np.unique(codes)) != size:
        raise FitError(
            f"Interaction contrasts of {' and '.join(methods)} need a mean for each of their {size} combinations, and "
            f"there are {len(cells)}."
        )
    C = np.ones((1, 1))
    for family in families:
        C = np.asarray(np.kron(family.coefficients, C))
    places = np.indices([len(family.names) for family in families[::-1]]).reshape(len(families), -1)[::-1]
    texts = {
        column: np.array(family.names, dtype=object)[place]
        for column, family, place in zip(columns, families, places, strict=True)
    }
    return pd.DataFrame(texts), C[:, codes]
