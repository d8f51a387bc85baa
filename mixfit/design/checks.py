"""Models that cannot be estimated: the checks of lme4's lmerControl, before any fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.structure import Invariance
from mixfit.errors import DataError, DesignError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.design.types import RandomDesign

__all__ = ["check_finite", "check_random"]


def check_random(random: Sequence[RandomDesign], n_rows: int, *, residual: bool = True) -> None:
    """Refuse grouping factors and terms that the rows cannot tell apart from the residual.

    Without a residual variance an effect for each observation is fine (overdispersion), but no more.
    """
    for term in random:
        n_levels, k = term.grouping.n_levels, len(term.columns)
        if n_levels < 2:
            raise DesignError(
                f"{term.text}: grouping factor {term.grouping.name!r} has one level "
                f"({term.grouping.levels[0]!s}) in the rows used; it needs at least two."
            )
        if not residual:
            continue
        if n_levels >= n_rows:
            raise DesignError(
                f"{term.text}: grouping factor {term.grouping.name!r} has {n_levels} levels for {n_rows} "
                "observations; an effect for each observation cannot be told from the residual."
            )
        # Columns that are scaled one by one tell a covariance even of as many effects as rows.
        if term.structure.invariance is Invariance.ANY_BASIS and n_levels * k >= n_rows:
            raise DesignError(
                f"{term.text}: {n_levels * k} random effects for {n_rows} observations "
                f"({n_levels} levels of {term.grouping.name!r} times {k} columns); "
                "they cannot be told from the residual."
            )


def check_finite(matrix: NDArray[np.float64], names: Sequence[str], where: str) -> None:
    """Refuse infinite values in a design matrix."""
    if np.isfinite(matrix).all():
        return
    bad = ~np.isfinite(matrix)
    j = int(np.argmax(bad.any(axis=0)))
    raise DataError(f"Column {names[j]!r} of {where} is infinite in {int(bad[:, j].sum())} row(s).")
