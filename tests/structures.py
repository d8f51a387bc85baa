"""Structures by name, for designs that were not read from a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.covariance.columns import GivenColumns
from mixfit.covariance.registry import read_structure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.covariance.structure import Structure

__all__ = ["structure_named"]


def structure_named(name: str, columns: Sequence[str]) -> Structure:
    """The structure of a term with these columns."""
    return read_structure(name, GivenColumns(name, tuple(columns), np.empty((0, len(columns)))))[0]
