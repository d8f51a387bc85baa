"""The result of an exact test, printed as R prints one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mixfit.results.numbers import format_common

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["ExactTest"]


@dataclass(frozen=True, eq=False)
class ExactTest:
    """Result of an exact test; prints as R prints an ``htest``.

    Attributes
    ----------
    name : {"LRT", "RLRT"}
    statistic : float
    pvalue : float
        Share of the simulated statistics that are at least as large.
    n_sim : int
        Number of simulated statistics; 0 where the statistic is 0, whose p-value is 1 whatever the distribution.
    standard_error : float
        Monte-Carlo standard error of `pvalue`, sqrt(p (1 - p) / n_sim).
    data : str
        Formula of the model tested.
    notes : tuple of str
    sample : ndarray, shape (n_sim,), or None
        The simulated statistics, where they were asked for.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
    >>> test = mixfit.exact_rlrt(fit, n_sim=1000, seed=1)
    >>> round(test.statistic, 3), round(test.pvalue, 2)
    (3.47, 0.02)
    """

    name: str
    statistic: float
    pvalue: float
    n_sim: int
    standard_error: float
    data: str
    notes: tuple[str, ...] = ()
    sample: Array | None = field(default=None, repr=False)

    def __str__(self) -> str:
        statistic = format_common([self.statistic], 5)[0]
        if self.n_sim and self.pvalue < 1.0 / self.n_sim:
            shown = f"< {1.0 / self.n_sim:.4g}"
        else:
            shown = f"= {format_common([self.pvalue], 4)[0]}"
        basis = (
            f"p-value based on {self.n_sim} simulated values" if self.n_sim else "statistic of 0: nothing to simulate"
        )
        lines = [
            "",
            f"\tsimulated finite sample distribution of {self.name}.",
            "",
            f"\t({basis})",
            "",
            f"data:  {self.data}",
            f"{self.name} = {statistic}, p-value {shown}",
            *self.notes,
            "",
        ]
        return "\n".join(lines)

    __repr__ = __str__
