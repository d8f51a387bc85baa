"""How many nodes the integrals over random effects need, by the data at hand.

Adaptive quadrature converges slowly where an integrand is skewed, as that of a level whose responses are all alike
under a large variance. The log-likelihood of the toenail trial is 0.17 too small by ``n_agq=9``, and 0.02 by 25, and
posterior means by 9 nodes were a quarter of a standard deviation off (Lesaffre & Spiessens 2001, Applied Statistics 50,
325-335, tell of the likelihood).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mixfit.glmm.nodes import product_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.glmm.nodes import Rule

    Array = NDArray[np.float64]

__all__ = ["fewest_nodes"]

# Of log p at every place: a third of the error that 4,000 draws leave in a mean of standard deviation 1.
_CLOSE = 5e-3


def fewest_nodes(rungs: Sequence[int], k: int, log_density: Callable[[Rule], Array]) -> Rule | None:
    """The rule of fewest nodes whose densities those of the next confirm, or None where none is.

    Parameters
    ----------
    rungs : sequence of int
        Nodes a column, from few to many.
    k : int
        Columns of the effects.
    log_density : callable
        log p at some places by a rule.
    """
    rules = (product_rule(n, k) for n in rungs)
    for (rule, coarse), (_, fine) in pairwise((rule, log_density(rule)) for rule in rules):
        # Where there is no density, no rule gives one.
        if np.abs(fine - coarse).max(initial=0.0, where=np.isfinite(fine)) < _CLOSE:
            return rule
    return None
