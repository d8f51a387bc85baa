r"""Separation: a response that a combination of columns orders perfectly has no finite estimate.

With s_i = 1 where eta_i -> oo makes the response of row i certain (all successes), -1 where eta_i -> -oo does
(no success, a count of zero) and 0 elsewhere, let a direction b have s_i x_i'b >= 0 where s_i is not 0,
x_i'b = 0 where it is, and not all x_i'b zero. Every conditional density rises along b whatever the random effects
are, and the likelihood with them (Albert & Anderson 1984; for counts Correia, Guimaraes & Zylkin 2019). A linear
program finds such a direction or proves that there is none (Konis 2007). Where b and u have
s_i (x_i'b + z_i'u) > 0 in every row, the random effects' standard deviations grow without bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from mixfit.glmm.problem import GeneralizedProblem
    from mixfit.matrices.types import FixedStructure

    Array = NDArray[np.float64]

__all__ = [
    "CERTAIN",
    "PERFECT",
    "fitted_doubt",
    "refuse_random_separation",
    "refuse_separation",
    "separating_direction",
    "smallest_direction",
]

# A row below this is fitted as if its response could not be another; no separation without such rows.
CERTAIN = 1e-6
# Random effects that separate the response fit every row as closely as this.
PERFECT = 0.05
# Rows a column in doubt, looked at first: none that separate them, none that separate all.
_FEW_ROWS = 50
# The linear program's own tolerance is 1e-7.
_ROUNDING = 1e-6
# A message is not worth longer: without it the error names no column.
_SECONDS = 10.0
# Levels that an error lists before it breaks off.
_LISTED = 5


def fitted_doubt(problem: GeneralizedProblem, eta: Array, phi: float) -> Array:
    """-l of every row under fitted predictors."""
    with np.errstate(all="ignore"):
        return -problem.family.loglik(problem.y, problem.prior, eta, phi)


def separating_direction(X: Array, sides: Array, doubt: Array | None = None) -> Array | None:
    """A direction b that separates with columns none of which can be spared.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Columns of full rank.
    sides : ndarray, shape (n,)
        s of every row.
    doubt : ndarray, shape (n,), optional
        How uncertain the fitted responses are. Where nothing separates the most uncertain rows, nothing
        separates all: they are tried first.

    Returns
    -------
    ndarray, shape (p,), or None
        Coefficients of columns of unit length, those that vary centred if a column is constant; None where
        nothing separates.
    """
    n, p = X.shape
    constant = (X[:1] == X).all(axis=0)
    columns = X - X.mean(axis=0) * ~constant if constant.any() else X
    columns = columns / np.sqrt(np.einsum("np,np->p", columns, columns) / n)
    if doubt is not None and n > _FEW_ROWS * p:
        few = np.argpartition(-doubt, _FEW_ROWS * p)[: _FEW_ROWS * p]
        if np.linalg.matrix_rank(columns[few]) == p and smallest_direction(columns[few], sides[few]) is None:
            return None
    b = smallest_direction(columns, sides)
    if b is None:
        return None
    needed = constant | (np.abs(b) > _ROUNDING * np.abs(b).max())
    for j in np.flatnonzero(needed & ~constant)[np.argsort(np.abs(b[needed & ~constant]))]:
        others = needed.copy()
        others[j] = False
        without = smallest_direction(columns[:, others], sides)
        if without is not None:
            needed, b = others, np.zeros(p)
            b[others] = without
    return b


def smallest_direction(columns: Array, sides: Array) -> Array | None:
    """min |b|_1 subject to s_i x_i'b >= 0, x_i'b = 0 where s_i = 0, and a mean of s_i x_i'b of one."""
    from scipy.optimize import linprog

    p = columns.shape[1]
    free, tied = columns[sides != 0.0] * sides[sides != 0.0, None], columns[sides == 0.0]
    if not len(free) or not p:
        return None
    # x_i'b = 0 in many rows is R b = 0 with their triangular factor.
    tied = np.asarray(np.linalg.qr(tied, mode="r")) if len(tied) > p else tied
    equal = np.vstack([tied, free.mean(axis=0)])
    found = linprog(
        np.ones(2 * p),
        A_ub=np.hstack([-free, free]),
        b_ub=np.zeros(len(free)),
        A_eq=np.hstack([equal, -equal]),
        b_eq=np.append(np.zeros(len(tied)), 1.0),
        method="highs",
    )
    if found.status != 0 or found.x is None:
        return None
    b: Array = found.x[:p] - found.x[p:]
    return b if (free @ b).min() > -_ROUNDING and np.abs(tied @ b).max(initial=0.0) < _ROUNDING else None


def refuse_separation(
    X: Array,
    names: Sequence[str],
    response: str,
    sides: Array,
    doubt: Array | None = None,
    fixed: FixedStructure | None = None,
) -> None:
    """Raise FitError naming the columns of X (n, p) that separate the response, if any do.

    With the structure of the fixed effects it names the levels that have one outcome only.
    """
    b = separating_direction(X, sides, doubt)
    if b is None:
        return
    varying = ~(X[:1] == X).all(axis=0)
    active = b != 0.0
    if (active & varying).any():
        active &= varying
    columns = [name for name, on in zip(names, active, strict=True) if on]
    what = f"The fixed effect {columns[0]!r}"
    if len(columns) > 1:
        what = f"A combination of the fixed effects {_listed(columns)}"
    raise FitError(
        f"{what} separates the response {response!r}: where it differs from zero (or from a threshold) the response "
        "is always at one end of its range, so that the likelihood grows with the coefficient for ever and no finite "
        "estimate exists. Leave the column out, merge the level with another, or add rows that overlap."
        f"{'' if fixed is None else _one_sided(fixed, columns, names, sides)}"
    )


def _one_sided(fixed: FixedStructure, columns: Sequence[str], names: Sequence[str], sides: Array) -> str:
    """Levels, or else cells, with one outcome only of the factors whose columns separate, and what they compare with.

    Cells of factors are looked at where no level of one of them has one outcome only.
    """
    said: list[str] = []
    crossed = [[name for name in term.factors if fixed.factors[name].levels is not None] for term in fixed.terms]
    for factors in sorted(map(tuple, crossed), key=len):
        if not factors or not any(all(f"{name}[" in column for name in factors) for column in columns):
            continue
        if said and len(factors) > 1:
            break
        levels = [fixed.factors[name].levels or () for name in factors]
        sizes = tuple(map(len, levels))
        cells = np.ravel_multi_index([fixed.factors[name].values.astype(np.intp) for name in factors], sizes)
        counts = np.bincount(cells)
        ends = [np.bincount(cells, weights=sides == side) for side in (-1.0, 1.0)]
        alone = np.flatnonzero((counts > 0) & ((counts == ends[0]) | (counts == ends[1])))
        if not len(alone):
            continue
        labels = [
            ":".join(repr(of[k]) for of, k in zip(levels, place, strict=True))
            for place in zip(*np.unravel_index(alone[:_LISTED], sizes), strict=True)
        ]
        what = ("level" if len(factors) == 1 else "cell") + ("s" if len(alone) > 1 else "")
        listed = ", ".join(labels) + (", ..." if len(alone) > _LISTED else "")
        said.append(f"{what} {listed} of {':'.join(factors)!r}{_baselines(factors, levels, names)}")
    return f" One outcome only: {'; '.join(dict.fromkeys(said))}." if said else ""


def _baselines(factors: Sequence[str], levels: Sequence[Sequence[object]], names: Sequence[str]) -> str:
    """Say which levels treatment contrasts compare with; nothing where a factor is coded otherwise."""
    found = []
    for name, own in zip(factors, levels, strict=True):
        base = [level for level in own if not any(f"{name}[T.{level}]" in column for column in names)]
        if len(base) != 1:
            return ""
        found.append(repr(base[0]))
    return f" (the baseline is {':'.join(found)})"


def refuse_random_separation(X: Array, Z: csr_array, groups: Sequence[str], response: str, sides: Array) -> None:
    """Raise FitError where the random effects order the response, Z (n, q) with the grouping factor of each column."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, hstack

    if not sides.all():
        return
    margins = csr_array(hstack([csr_array(X), Z]).multiply(sides[:, None]))
    size = margins.shape[1]
    found = linprog(
        np.ones(2 * size),
        A_ub=hstack([-margins, margins]),  # type: ignore[call-overload]
        b_ub=-np.ones(len(sides)),
        method="highs",
        options={"time_limit": _SECONDS},
    )
    if found.status != 0 or found.x is None:
        return
    u = (found.x[:size] - found.x[size:])[X.shape[1] :]
    names = list(dict.fromkeys(name for name, value in zip(groups, u, strict=True) if value != 0.0))
    if not names:
        return
    plural = "" if len(names) == 1 else "s"
    raise FitError(
        f"The grouping factor{plural} {_listed(names)} separates the response {response!r}: within every level, "
        "given the fixed effects, it is at one end of its range, and the standard deviation of the random effects runs "
        "away without a finite estimate. Leave the term out, or use a grouping factor whose levels have both outcomes."
    )


def _listed(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
