r"""Variance of predictions from the cross-products.

The error of the predictor x'beta + z'b is z'(b~ - b) + (x - H'z)'(beta^ - beta) with b~ the modes at the true
beta and H = Q Z'WX: two independent parts (Henderson 1975, Biometrics 31), so that

    Var = sigma^2 z'Qz + d' Cov(beta^) d,   d = x - H'z,   Q = Lambda A^{-1} Lambda'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.lmm.estimate import at_estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.factor.factor import Factor
    from mixfit.gram.basis import FixedBasis
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.types import LinearEstimate

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Basis", "Spread", "joint_variance", "prediction_variance"]

# 160 MB an array.
_CELLS_AT_ONCE = 20_000_000


def prediction_variance(
    assembly: Assembly,
    estimate: LinearEstimate,
    X: Array,
    Z: Sequence[Array | None],
    codes: Sequence[Index | None],
) -> Array:
    """Variance of x'beta + z'b about its true value, rows of X (m, p), Z (m, k_t) and codes (m,)."""
    profile = at_estimates(assembly, estimate)
    basis = Basis(assembly.problem.terms, assembly.term_bases, assembly.fixed)
    spread = Spread(estimate.cov_beta, estimate.sigma**2)
    return joint_variance(profile.factor, profile.forward, basis, spread, X, Z, codes)


@dataclass(frozen=True, eq=False)
class Basis:
    """Terms and the bases in which a factor holds them.

    Attributes
    ----------
    terms : tuple of Term
    term_bases : tuple of ndarray, shape (k_t, k_t)
        R_t with Z = Z_basis R_t.
    fixed : FixedBasis
    """

    terms: Sequence[Term]
    term_bases: Sequence[Array]
    fixed: FixedBasis


@dataclass(frozen=True, eq=False)
class Spread:
    """Cov(beta^), shape (p, p), and the variance sigma^2 that Q is relative to."""

    cov_beta: Array
    scale: float


def joint_variance(
    factor: Factor,
    forward: tuple[dict[int, Array], Array],
    bases: Basis,
    spread: Spread,
    X: Array,
    Z: Sequence[Array | None],
    codes: Sequence[Index | None],
) -> Array:
    """The same from a factor of A and `forward`, L^{-1} Lambda'Z'W applied to the orthonormal fixed columns."""
    p = len(bases.fixed.triangle)
    own, trailing = forward
    h = factor.gram.effects(factor.backward({i: y[:, :p] for i, y in own.items()}, trailing[:, :p])[1])
    through = np.zeros((len(X), p))
    basis_rows: list[Array | None] = []
    for term, basis, z, code in zip(bases.terms, bases.term_bases, Z, codes, strict=True):
        if z is None or code is None:
            basis_rows.append(None)
            continue
        rows: Array = np.asarray(np.linalg.solve(basis.T, z.T), dtype=float)
        basis_rows.append(rows)
        through += np.einsum("km,kpm->mp", rows, h[term.factor][term.columns][:, :, code])
    d = X - through @ bases.fixed.triangle
    fixed: Array = np.einsum("mp,pr,mr->m", d, spread.cov_beta, d)
    return fixed + spread.scale * _mode_variance(factor, bases.terms, basis_rows, codes, len(X))


def _mode_variance(
    factor: Factor,
    terms: Sequence[Term],
    rows: Sequence[Array | None],
    codes: Sequence[Index | None],
    m: int,
) -> Array:
    """z'Qz = |L^{-1} Lambda'z|^2 of every row, a slice of rows at a time."""
    gram = factor.gram
    out = np.empty(m)
    width = sum(k * q for k, q in zip(gram.k, gram.n_levels, strict=True))
    step = max(1, _CELLS_AT_ONCE // width)
    for start in range(0, m, step):
        part = slice(start, min(start + step, m))
        r = part.stop - part.start
        blocks = [np.zeros((k, r, q)) for k, q in zip(gram.k, gram.n_levels, strict=True)]
        for term, z, code in zip(terms, rows, codes, strict=True):
            if z is not None and code is not None:
                blocks[term.factor][term.columns, np.arange(r), code[part]] = z[:, part]
        out[part] = factor.squares(factor.half(gram.pulled(blocks)))
    return out
