r"""Eigenvalues behind the exact distribution of the likelihood ratio for one variance.

For y ~ N(X beta, sigma^2 (I + lambda ZZ')) these are the eigenvalues mu of Z'MZ, M the projection off X, and xi of
Z'Z (Crainiceanu & Ruppert 2004). With one column left of the bar Z'Z = D is diagonal, and Z'MZ = D - BB' for
B = Z'Q of p columns, Q an orthonormal basis of X. Among the m levels that share an entry d of D, all but p
directions are orthogonal to B and have the eigenvalue d: only the others need a decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import ComparisonError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.lmm.problem import Problem

    Array = NDArray[np.float64]

__all__ = ["Spectrum", "merge", "spectrum"]

_EQUAL = 1e-10
_NOTHING = 1e-10


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Distinct eigenvalues with their multiplicities, relative to the largest xi.

    Attributes
    ----------
    mu, mu_count : ndarray, shape (K,)
        Of Z'MZ, those that are not zero.
    xi, xi_count : ndarray, shape (L,)
        Of Z'Z.
    n, p : int
        Observations and fixed effects.
    """

    mu: Array
    mu_count: NDArray[np.intp]
    xi: Array
    xi_count: NDArray[np.intp]
    n: int
    p: int

    @property
    def df_rest(self) -> int:
        """Dimensions of the residuals that the random effect does not reach."""
        return self.n - self.p - int(self.mu_count.sum())


def spectrum(problem: Problem) -> Spectrum:
    """Eigenvalues of a problem with one random term of one column.

    Raises
    ------
    ComparisonError
        Where the fixed effects determine the groups, or groups and fixed effects leave no residual.
    """
    d = problem.gram.diagonal[0][0, 0]
    B = problem.gram.border[0][0, : problem.p].T
    xi, xi_count, group = merge(d)
    crowded = xi_count > problem.p
    alone = ~crowded[group]
    # QR turns the m levels of one entry to p directions that B reaches and m - p that it does not.
    turned = [np.linalg.qr(B[group == g], mode="r") for g in np.flatnonzero(crowded)] if problem.p else []
    R = np.concatenate([B[alone], *turned])
    entries = np.concatenate([d[alone], np.repeat(xi[crowded], problem.p)])
    inner = np.linalg.eigvalsh(np.diag(entries) - R @ R.T)
    untouched = xi_count[crowded] - problem.p
    counts = np.concatenate([np.ones(len(inner), dtype=np.intp), untouched])
    mu, mu_count, _ = merge(np.concatenate([inner, xi[crowded]]), counts)
    largest = float(xi[-1])
    kept = (mu > _NOTHING * largest) & (mu_count > 0)
    if not kept.any():
        raise ComparisonError(
            "The fixed effects determine the random effect: its variance cannot be told from them. Leave out the "
            "fixed effect that the groups determine."
        )
    found = Spectrum(mu[kept] / largest, mu_count[kept], xi / largest, xi_count, problem.gram.n, problem.p)
    if found.df_rest < 1:
        raise ComparisonError("Random and fixed effects fit every observation: no residual is left to test against.")
    return found


def merge(values: Array, counts: NDArray[np.intp] | None = None) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Distinct values in increasing order, how often each occurs, and which of them each value is.

    Values closer than rounding, relative to the largest, are one.

    Examples
    --------
    >>> merge(np.array([5.0, 2.0, 5.0]))[:2]
    (array([2., 5.]), array([1, 2]))
    """
    order = np.argsort(values)
    ordered = values[order]
    weight = np.ones(len(values), dtype=np.intp) if counts is None else counts[order]
    new = np.concatenate([[True], np.diff(ordered) > _EQUAL * np.abs(ordered).max()])
    start = np.flatnonzero(new)
    member = np.empty(len(values), dtype=np.intp)
    member[order] = np.cumsum(new) - 1
    return ordered[start], np.add.reduceat(weight, start), member
