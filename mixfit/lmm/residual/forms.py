"""Which form the covariances that a design asks for take: patterns of blocks, or series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.markov import Markov
from mixfit.gram.blocks import block_layout
from mixfit.gram.series import series_of
from mixfit.lmm.residual.covariance import PatternForm
from mixfit.lmm.residual.series import SeriesForm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.matrices.residual import ResidualDesign

    Array = NDArray[np.float64]

__all__ = ["residual_form"]

# What a step of all series costs beside work on their rows, in cubes of the rows of a block: 0.1 ms by 10 ns, measured.
_STEP = 10_000


def residual_form(design: ResidualDesign) -> ResidualForm:
    """The covariances that a design asks for.

    Where correlations are products of those of neighbours, both forms say the same: series take less where blocks are
    long and times irregular, patterns where many blocks have the same times, whose products are then formed once.
    """
    structure = design.structures[0]
    times = structure.times() if isinstance(structure, Markov) and not design.spread.shape[1] else None
    if times is not None and _are_irregular(design):
        return SeriesForm(design.structures, series_of(design.block, times[design.place], design.part))
    layout = block_layout(design.block, design.place, design.part, design.spread)
    return PatternForm(design.structures, layout)


def _are_irregular(design: ResidualDesign) -> bool:
    """Whether matrices of all patterns hold more than the rows, and take more work than a pass through the series."""
    sizes = np.bincount(design.block)
    sizes = sizes[sizes > 0]
    key = np.random.default_rng(0).integers(2**63, size=(len(design.structures), len(design.columns)), dtype=np.uint64)
    order = np.argsort(design.block, kind="stable")
    # A sum of random numbers, one a place, modulo 2^64, tells patterns apart.
    own = key[design.part, design.place][order]
    start = np.cumsum(sizes) - sizes
    of_block = np.add.reduceat(own, start)
    m = sizes[np.unique(of_block, return_index=True)[1]].astype(float)
    return bool((m**2).sum() > len(order) and (m**3).sum() > _STEP * sizes.max())
