"""Counts for which penalized quasi-likelihood is biased."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from mixfit.errors import BiasWarning
from mixfit.glmm.pql import few_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

__all__ = ["warn_of_bias"]


def warn_of_bias(prior: Array, family: Family, eta: Array) -> None:
    """Warn, in the name of the `fit` that calls, where half of the rows expect fewer than five events."""
    if few_counts(family, prior, family.link.mean(eta)):
        warnings.warn(
            f"Penalized quasi-likelihood is biased for {family.name} data as sparse as these: at least half of the "
            "rows expect fewer than 5 events or non-events. Variances of random effects tend to come out too small, "
            "fixed effects too close to zero. Use method='ml', with n_agq > 1 where there is one grouping factor.",
            BiasWarning,
            stacklevel=3,
        )
