r"""A nonlinear mixed model as the fitter sees it.

    y_i = f_i(phi_i) + e_i,    phi_ip = x_ip'beta + z_ip'b,    b = Lambda u,    u ~ N(0, sigma^2 I),

one linear predictor phi_p for every parameter p of the curve f. With the slopes J_ip = df_i / dphi_ip the rows of the
linear model next to a point are x_i = sum_p J_ip x_ip and z_i = sum_p J_ip z_ip.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mixfit.covariance.term import factor_templates
from mixfit.factor.factor import factorize
from mixfit.factor.plan import make_plan, refill
from mixfit.gram.levels import segment_sum
from mixfit.gram.pattern import FactorRows, RowPattern, row_pattern
from mixfit.gram.products import weighted_products

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.term import Term
    from mixfit.curves.hyperdual import HyperDual
    from mixfit.factor.factor import Factor
    from mixfit.factor.plan import SymbolicPlan

    Array = NDArray[np.float64]

__all__ = ["MeanFunction", "NonlinearParameters", "NonlinearProblem", "make_problem"]


class MeanFunction(Protocol):
    """The curve of every row."""

    def __call__(self, phi: Array, /, order: int = 2) -> HyperDual:
        """The curve with its derivatives, up to `order`, in the parameters phi, shape (P, n)."""

    def values(self, phi: Array, /) -> Array:
        """The curve alone."""

    def repeated(self, times: int, /) -> MeanFunction:
        """That of the rows so many times, one set of them after another."""


@dataclass(frozen=True, eq=False)
class NonlinearParameters:
    """A point.

    Attributes
    ----------
    points : tuple of ndarray
        Of the terms' structures; see :mod:`mixfit.covariance.structure`.
    beta : ndarray, shape (p,)
    gamma : ndarray, shape (g,)
        Of the log standard deviations of the residuals over log sigma.
    """

    points: tuple[Array, ...]
    beta: Array
    gamma: Array = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class NonlinearProblem:
    """What is fixed while beta and theta vary.

    Attributes
    ----------
    mean : MeanFunction
    y, root : ndarray, shape (n,)
        Response, and square roots of the prior weights.
    X : ndarray, shape (p, P, n)
    loads : tuple of ndarray, shape (k_i, P, n)
        z_ip of every grouping factor.
    pattern : RowPattern
        Its columns are those of another point.
    plan : SymbolicPlan
    terms : tuple of Term
    log_deviations : ndarray, shape (n, g)
        Columns that the log standard deviations of the residuals are linear in.
    """

    mean: MeanFunction
    y: Array
    root: Array
    X: Array
    loads: tuple[Array, ...]
    pattern: RowPattern
    plan: SymbolicPlan
    terms: tuple[Term, ...]
    log_deviations: Array

    def at(self, gamma: Array) -> NonlinearProblem:
        """The same with the weights that standard deviations sigma exp(log_deviations gamma) of residuals come to."""
        return replace(self, root=self.root * np.exp(-self.log_deviations @ gamma)) if len(gamma) else self

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def p(self) -> int:
        """Number of fixed effects."""
        return len(self.X)

    @cached_property
    def log_weights(self) -> float:
        """sum log w_i."""
        return 2.0 * float(np.log(self.root).sum())

    @cached_property
    def seen(self) -> tuple[NDArray[np.bool_], ...]:
        """Which columns of each term are not zero everywhere."""
        return tuple(np.asarray(self.loads[t.factor][t.columns].any(axis=(1, 2))) for t in self.terms)

    @cached_property
    def loaded(self) -> tuple[int, ...]:
        """Parameters of the curve that a random effect moves."""
        return tuple(p for p in range(self.X.shape[1]) if any(load[:, p].any() for load in self.loads))

    def no_effects(self) -> list[Array]:
        """u = 0, in blocks (k_i, 1, q_i)."""
        return [np.zeros((k, 1, q)) for k, q in zip(self.pattern.k, self.pattern.n_levels, strict=True)]

    def parameters(self, beta: Array, b: Sequence[Array]) -> Array:
        """phi of every row, shape (P, n)."""
        return np.einsum("p,pan->an", beta, self.X) + self.spread(b)

    def spread(self, b: Sequence[Array]) -> Array:
        """z_ip'b, shape (P, n)."""
        out = np.zeros(self.X.shape[1:])
        for load, factor, block in zip(self.loads, self.pattern.factors, b, strict=True):
            out += np.einsum("kan,kn->an", load, block[:, 0].take(factor.codes, axis=1))
        return out

    def gathered(self, w: Array) -> list[Array]:
        """sum_ip z_ip w_ip of every level, for w of shape (P, n): blocks (k_i, 1, q_i)."""
        out = []
        for load, factor in zip(self.loads, self.pattern.factors, strict=True):
            rows = np.einsum("kan,an->kn", load, w)
            out.append(segment_sum(rows, factor.codes, factor.n_levels)[:, None])
        return out

    def rows_at(self, slope: Array) -> RowPattern:
        """The pattern with the rows z_i = sum_p J_ip z_ip, for slopes J of shape (P, n)."""
        factors = tuple(
            FactorRows(f.codes, f.n_levels, np.einsum("kan,an->kn", load, slope))
            for f, load in zip(self.pattern.factors, self.loads, strict=True)
        )
        return replace(self.pattern, factors=factors)

    def factorize(self, slope: Array, templates: Sequence[Array], border: Array) -> Factor:
        """Factor Lambda'Z'Z Lambda + I of the linear model beside a point, `border` (r, n) beside Z."""
        gram = weighted_products(self.rows_at(slope), border, None)
        return factorize(gram, refill(self.plan, gram), self.factor_templates(templates))

    def factor_templates(self, templates: Sequence[Array]) -> tuple[Array, ...]:
        """Block-diagonal templates of the grouping factors from those of the terms."""
        return factor_templates(self.terms, self.pattern.k, templates)


def make_problem(
    mean: MeanFunction,
    y: Array,
    weights: Array | None,
    X: Array,
    rows: Sequence[FactorRows],
    terms: tuple[Term, ...],
    log_deviations: Array | None = None,
) -> NonlinearProblem:
    """A problem from the stack's rows: those of every factor are (k_i, P n), a block of n a parameter."""
    size, n = X.shape[1:]
    loads, factors = [], []
    for f in rows:
        columns = np.ones((1, size * n)) if f.columns is None else f.columns
        loads.append(np.ascontiguousarray(columns.reshape(len(columns), size, n)))
        factors.append(FactorRows(f.codes[:n], f.n_levels, loads[-1].sum(axis=1)))
    pattern = row_pattern(factors)
    plan = make_plan(weighted_products(pattern, np.empty((0, n)), None))
    root = np.ones(n) if weights is None else np.sqrt(weights)
    log_deviations = np.empty((n, 0)) if log_deviations is None else log_deviations
    return NonlinearProblem(mean, y, root, X, tuple(loads), pattern, plan, terms, log_deviations)
