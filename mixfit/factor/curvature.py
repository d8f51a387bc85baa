r"""First and second derivatives of log|A|, along directions in the relative covariances of the factors.

With Sigma_i = T_i T_i' the relative covariance of one level of factor i, log|A| = log|H| for
H = I + Z Sigma Z', and along V_x = Z_i (I kron D_x) Z_i'

    d log|A| / dx = tr(H^{-1} V_x),        d^2 log|A| / dx dy = -tr(H^{-1} V_x H^{-1} V_y),

traces that would need all of Z'H^{-1}Z. The blocked elimination gives them without: a chain factor
contributes log|I + Sigma F| and sweeps X <- X - L'KL with K = (Sigma^{-1} + F)^{-1}, and the chain rule is
carried along with it. Everything is written so that Sigma may be singular:

    dK = E dSigma E' - K dF K,     dN = E' dF E - N dSigma N,     E = I - KF,  N = F - FKF,
    d log|I + Sigma F| = tr(N dSigma) + tr(K dF).

The trailing block has log|I + Sigma_T P| to add, P moving by what the chain sweeps from it: for one scalar factor
crossed with it the only large products are on the pattern that the elimination needed, and those of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from mixfit.gram import levels as lv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.factor.factor import ChainBlock, Factor
    from mixfit.factor.trailing import TrailingDerivatives

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]
    Multiply = Callable[[Array, Array], Array]

_Key = TypeVar("_Key")

__all__ = ["CovarianceDirection", "log_determinant_derivatives"]


@dataclass(frozen=True, eq=False)
class CovarianceDirection:
    """Sigma_i -> Sigma_i + x D for the relative covariance of one factor.

    Attributes
    ----------
    factor : int
    matrix : ndarray, shape (k_i, k_i)
        D, symmetric, in the columns of the factor.
    """

    factor: int
    matrix: Array


def _pair(x: int, y: int) -> tuple[int, int]:
    """The key of a second derivative, which is symmetric."""
    return (x, y) if x <= y else (y, x)


@dataclass(eq=False)
class _Jet:
    """A value and its derivatives; those that are not there are zero.

    Attributes
    ----------
    value : ndarray
    first : dict of x to ndarray
    second : dict of (x, y), x <= y, to ndarray
    """

    value: Array
    first: dict[int, Array] = field(default_factory=dict)
    second: dict[tuple[int, int], Array] = field(default_factory=dict)

    def map(self, linear: Callable[[Array], Array]) -> _Jet:
        """The jet of a linear function."""
        return _Jet(
            linear(self.value),
            {x: linear(d) for x, d in self.first.items()},
            {xy: linear(d) for xy, d in self.second.items()},
        )

    def times(self, other: _Jet, multiply: Multiply) -> _Jet:
        """The jet of a bilinear product: (AB)_xy = A_xy B + A_x B_y + A_y B_x + A B_xy."""
        out = _Jet(multiply(self.value, other.value))
        for x, d in self.first.items():
            _accumulate(out.first, x, multiply(d, other.value))
        for x, d in other.first.items():
            _accumulate(out.first, x, multiply(self.value, d))
        for xy, d in self.second.items():
            _accumulate(out.second, xy, multiply(d, other.value))
        for xy, d in other.second.items():
            _accumulate(out.second, xy, multiply(self.value, d))
        for x, left in self.first.items():
            for y, right in other.first.items():
                product = multiply(left, right)
                _accumulate(out.second, _pair(x, y), 2.0 * product if x == y else product)
        return out

    def subtract_derivatives(self, other: _Jet) -> None:
        """Take the derivatives of `other` away, in place; the value is known already."""
        for x, d in other.first.items():
            _accumulate(self.first, x, -d)
        for xy, d in other.second.items():
            _accumulate(self.second, xy, -d)


def _accumulate(table: dict[_Key, Array], key: _Key, value: Array) -> None:
    """Add to an entry that may not be there yet."""
    table[key] = table[key] + value if key in table else value


@dataclass(eq=False)
class _Sums:
    """First and second derivatives, filled block by block."""

    first: Array
    second: Array

    def add_second(self, x: int, y: int, value: float) -> None:
        self.second[x, y] += value
        if x != y:
            self.second[y, x] += value


def log_determinant_derivatives(factor: Factor, directions: Sequence[CovarianceDirection]) -> tuple[Array, Array]:
    """Gradient (m,) and Hessian (m, m) of log|A| along `directions`, at the factor's templates."""
    m = len(directions)
    sums = _Sums(np.zeros(m), np.zeros((m, m)))
    plan, gram = factor.plan, factor.gram
    matrices = {x: d.matrix for x, d in enumerate(directions)}
    own = {i: [x for x, d in enumerate(directions) if d.factor == i] for i in range(gram.n_factors)}
    trailing = None if factor.trailing is None else factor.trailing.derivatives()
    swept = {i: _Jet(factor.chain[i].swept) for i in plan.chain}
    coupling = {(i, j): _Jet(c) for i in plan.chain for j, c in factor.chain[i].coupling.items()}
    crossing = {i: _Jet(c) for i in plan.chain if (c := factor.chain[i].coupling_crossed) is not None}
    for position, i in enumerate(plan.chain):
        after = plan.chain[position + 1 :]
        carry = bool(after) or trailing is not None
        kernel = _eliminate(factor.chain[i], swept[i], {x: matrices[x] for x in own[i]}, sums, carry=carry)
        for a, j in enumerate(after):
            parent, q = plan.parent[i, j], gram.n_levels[j]
            left = coupling[i, j].map(lv.transpose).times(kernel, lv.matmul)
            for h in after[a:]:
                update = left.times(coupling[i, h], partial(_segment_products, parent, q))
                (swept[j] if h == j else coupling[j, h]).subtract_derivatives(update)
            if i in crossing:
                update = left.times(crossing[i], partial(_gather_matmul, plan.crossed[i].level))
                size = crossing[j].value.shape[1]
                crossing[j].subtract_derivatives(
                    update.map(partial(lv.segment_sum, segment=plan.fill[i, j], size=size))
                )
        if trailing is not None:
            _sweep_trailing(factor, i, kernel, crossing[i], trailing, sums)
    if trailing is not None:
        first, second = trailing.finish({j: {x: matrices[x] for x in own[j]} for j in plan.trailing}, m)
        sums.first += first
        sums.second += second
    return sums.first, sums.second


def _eliminate(block: ChainBlock, swept: _Jet, own: dict[int, Array], sums: _Sums, *, carry: bool) -> _Jet:
    """Add what log|I + Sigma F| of one chain factor contributes; return the jet of K, if it is carried on."""
    f = swept.value
    k = lv.matmul(lv.transpose(block.root), block.root)
    e = lv.add_identity(-lv.matmul(k, f))
    e_t = lv.transpose(e)
    n = lv.matmul(f, e)
    kernel = _Jet(k)
    slopes_n: dict[int, Array] = {}
    slopes_e: dict[int, Array] = {}
    for x, d in own.items():
        kernel.first[x] = lv.matmul(lv.matmul(e, _constant(d)), e_t)
        slopes_n[x] = -lv.matmul(lv.matmul(n, _constant(d)), n)
        sums.first[x] += float(np.vdot(n.sum(axis=2), d))
    for x, d in swept.first.items():
        _accumulate(kernel.first, x, -lv.matmul(lv.matmul(k, d), k))
        _accumulate(slopes_n, x, lv.matmul(lv.matmul(e_t, d), e))
        sums.first[x] += float(np.vdot(k, d))
    for x, slope in kernel.first.items():
        slopes_e[x] = -lv.matmul(slope, f)
        if x in swept.first:
            slopes_e[x] -= lv.matmul(k, swept.first[x])
    moving = sorted(kernel.first)
    for a, x in enumerate(moving):
        for y in moving[a:]:
            value = 0.0
            if x in own:
                value += float(np.vdot(slopes_n[y].sum(axis=2), own[x]))
            if x in swept.first:
                value += float(np.vdot(kernel.first[y], swept.first[x]))
            if (x, y) in swept.second:
                value += float(np.vdot(k, swept.second[x, y]))
            sums.add_second(x, y, value)
            if not carry:
                continue
            half = np.zeros_like(k)
            if x in own:
                half += lv.matmul(lv.matmul(slopes_e[y], _constant(own[x])), e_t)
            if x in swept.first:
                half -= lv.matmul(lv.matmul(kernel.first[y], swept.first[x]), k)
            kernel.second[x, y] = half + lv.transpose(half)
            if (x, y) in swept.second:
                kernel.second[x, y] -= lv.matmul(lv.matmul(k, swept.second[x, y]), k)
    return kernel


def _gather_matmul(at: Index, a: Array, entries: Array) -> Array:
    return lv.gather_matmul(a, at, entries)


def _segment_products(segment: Index, size: int, a: Array, b: Array) -> Array:
    return lv.segment_products(lv.transpose(a), b, segment, size)


def _constant(d: Array) -> Array:
    """One matrix for all levels."""
    return d[:, :, None]


def _sweep_trailing(
    factor: Factor, i: int, kernel: _Jet, crossing: _Jet, trailing: TrailingDerivatives, sums: _Sums
) -> None:
    """Carry P <- P - C'KC on: the first derivatives of P, and <Q, second derivatives> into the sums.

    Of C'KC only C' (K_xy C + 2 K_x C_y + 2 K_y C_x + 2 K C_xy) + 2 C_x'K C_y matters in <Q, .>, Q symmetric.
    """
    pattern = factor.plan.crossed[i]
    c = crossing.value

    def times(k: Array, entries: Array) -> Array:
        return lv.gather_matmul(k, pattern.level, entries)

    first: dict[int, Array] = {x: times(slope, c) for x, slope in kernel.first.items()}
    for x, slope in crossing.first.items():
        _accumulate(first, x, 2.0 * times(kernel.value, slope))
    for x, y_x in first.items():
        trailing.move(x, i, c, y_x)
    second: dict[tuple[int, int], Array] = {xy: times(slope, c) for xy, slope in kernel.second.items()}
    for xy, slope in crossing.second.items():
        _accumulate(second, xy, 2.0 * times(kernel.value, slope))
    for x, slope in kernel.first.items():
        for y, other in crossing.first.items():
            _accumulate(second, _pair(x, y), (4.0 if x == y else 2.0) * times(slope, other))
    for (x, y), y_xy in second.items():
        sums.add_second(x, y, -trailing.inner(i, c, y_xy))
    moving = sorted(crossing.first)
    for a, x in enumerate(moving):
        for y in moving[a:]:
            sums.add_second(x, y, -2.0 * trailing.inner(i, crossing.first[x], times(kernel.value, crossing.first[y])))
