r"""Unordered categories: a linear predictor for each of them but one, the baseline, whose predictor is zero.

With eta_0 = 0 and p_a = exp(eta_a) / sum_b exp(eta_b) the log density of category y is l = log p_y, and

    l_a = [y = a] - p_a,      l_ab = -k_ab,      l_abc = -k_abc

with the cumulants of the indicators of the categories: their covariances and third central moments,

    k_aa = p_a (1 - p_a),      k_ab = -p_a p_b,
    k_aaa = p_a (1 - p_a) (1 - 2 p_a),      k_aab = -p_a p_b (1 - 2 p_a),      k_abc = 2 p_a p_b p_c,

for different a, b, c. Prior weights say how many observations of its category a row stands for.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from mixfit.errors import DataError, FitError
from mixfit.families.base import Family
from mixfit.families.declared import Support
from mixfit.families.several import DISPERSION, ZERO, InParameter, RowDerivatives

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["CategoryPredictors", "Multinomial"]

# Names of predictors that mean another thing.
_TAKEN = ("mean", ZERO, DISPERSION)


class Multinomial(Family):
    """Unordered categories, numbered from 1 to K as responses, the baseline being 1.

    Parameters
    ----------
    link : {"logit"}
    baseline : str, optional
        The category that the others are compared with; by default the first.

    Attributes
    ----------
    categories : tuple of str, length K
        The baseline first.
    """

    name = "multinomial"
    kind = "multinomial"
    support = Support(lower=1.0, closed=True)
    links = ("identity",)

    def __init__(self, link: str | None = None, phi: float | None = None, baseline: str | None = None) -> None:
        if link not in (None, "logit"):
            raise FitError(f"multinomial has the link logit, not {link!r}.")
        super().__init__(None, phi)
        self.baseline = baseline
        self.categories: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _restored, (type(self), dict(vars(self)))

    def __repr__(self) -> str:
        return "multinomial(logit)" if self.baseline is None else f"multinomial(logit, baseline={self.baseline!r})"

    @property
    def link_name(self) -> str:
        """The link of each category against the baseline."""
        return "logit"

    def of(self, categories: Sequence[str]) -> Self:
        """The family of given categories, the baseline first."""
        out = copy.copy(self)
        out.categories = tuple(categories)
        return out

    def check(self, y: Array, prior: Array, name: str) -> None:
        """Refuse a response with one category, or with one that no row has."""
        if len(self.categories) < 2:
            raise DataError(f"The response {name!r} has one category in all rows: there is nothing to model.")
        counts = np.bincount(np.asarray(y, dtype=np.intp) - 1, minlength=len(self.categories))
        empty = [repr(c) for c, count in zip(self.categories, counts, strict=True) if not count]
        if empty:
            raise DataError(
                f"No row has the categor{'y' if len(empty) == 1 else 'ies'} {', '.join(empty)} of {name!r}, whose "
                "probability is then estimated as zero. Leave it out, by .cat.remove_unused_categories()."
            )
        if taken := [c for c in self.categories if c in _TAKEN]:
            raise DataError(
                f"A category of {name!r} is called {taken[0]!r}, which is the name of a predictor: rename it."
            )

    def log_probabilities(self, eta: Array) -> Array:
        """log P of every category, (K, ..., n), at the predictors (K - 1, ..., n)."""
        every = np.concatenate([np.zeros((1, *eta.shape[1:])), eta])
        every = every - every.max(axis=0)
        return np.asarray(every - np.log(np.exp(every).sum(axis=0)))

    def probabilities(self, eta: Array) -> Array:
        """P of every category."""
        return np.exp(self.log_probabilities(eta))

    def draw(self, eta: Array, rng: np.random.Generator) -> Array:
        """Numbers of categories drawn at predictors (K - 1, ..., n); NaN where these are."""
        below = np.cumsum(self.probabilities(eta)[:-1], axis=0)
        drawn = 1.0 + (rng.uniform(size=eta.shape[1:]) > below).sum(axis=0)
        return np.where(np.isnan(below).any(axis=0), np.nan, drawn)

    def row_loglik(self, y: Array, prior: Array, eta: Array) -> Array:
        """Log density of every row, (..., n)."""
        return np.asarray(prior * self._of_response(y, self.log_probabilities(eta)))

    def pair_doubt(self, y: Array, eta: Array) -> Array:
        """-log P(y) of every row between its category y and each other one alone, log(1 + e^(eta_k - eta_y)): (K, n).

        A category may be impossible in rows whose others are all uncertain.
        """
        every = np.concatenate([np.zeros((1, *eta.shape[1:])), eta])
        return np.logaddexp(0.0, every - self._of_response(y, every))

    def _of_response(self, y: Array, values: Array) -> Array:
        """Of values (K, ..., n) those of the category that each row has."""
        at = np.broadcast_to(np.asarray(y, dtype=np.intp) - 1, values.shape[1:])
        return np.take_along_axis(values, at[None], axis=0)[0]

    def start_mean(self, y: Array, prior: Array) -> Array:
        return np.zeros(len(y))

    def _no_mean(self) -> NoReturn:
        raise NotImplementedError("unordered categories have no mean")

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        self._no_mean()

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        self._no_mean()

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        self._no_mean()

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        self._no_mean()

    def variance(self, mu: Array, phi: Array | float) -> Array:
        self._no_mean()

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        self._no_mean()


def _restored(cls: type[Multinomial], state: dict[str, Any]) -> Multinomial:
    family = cls()
    vars(family).update(state)
    return family


@dataclass(frozen=True)
class CategoryPredictors:
    """The predictors of all categories but the baseline, as rows have them: see `SeveralPredictors`.

    Attributes
    ----------
    names : tuple of str, length K - 1
    """

    names: tuple[str, ...]

    @property
    def zero(self) -> None:
        """There is no predictor of further zeros."""
        return

    @property
    def dispersion(self) -> None:
        """Nor of a dispersion."""
        return

    def loglik(self, family: Multinomial, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        """Log density of every row, with all constants, at predictors (K - 1, ..., n)."""
        return family.row_loglik(y, prior, eta)

    def derivatives(
        self, family: Multinomial, y: Array, prior: Array, eta: Array, phi: Array | float
    ) -> RowDerivatives:
        """Derivatives in the predictors."""
        every = family.probabilities(eta)
        p, size = every[1:], len(eta)
        # Sums of the other probabilities, which keep their digits where one is nearly 1.
        rest = np.tensordot(1.0 - np.eye(size + 1)[1:], every, axes=1)
        is_own = [y == a + 2.0 for a in range(size)]
        first = np.stack([np.where(own, other, -q) for own, other, q in zip(is_own, rest, p, strict=True)])
        second = {(a, a): -prior * p[a] * rest[a] for a in range(size)}
        third = {(a, a, a): -prior * p[a] * rest[a] * (rest[a] - p[a]) for a in range(size)}
        for a, b in combinations(range(size), 2):
            both = prior * p[a] * p[b]
            second[a, b] = both
            third[a, a, b] = third[a, b, a] = both * (rest[a] - p[a])
            third[b, b, a] = third[a, b, b] = both * (rest[b] - p[b])
        for a, b, c in combinations(range(size), 3):
            third[a, b, c] = third[a, c, b] = third[b, c, a] = -2.0 * prior * p[a] * p[b] * p[c]
        return RowDerivatives(prior * first, second, third, prior * p * rest)

    def in_tail(
        self, family: Multinomial, y: Array, prior: Array, eta: Array, phi: Array | float
    ) -> tuple[InParameter, ...]:
        """There are no parameters that are numbers for all rows."""
        return ()

    def constants(self, family: Multinomial, y: Array, prior: Array) -> Array:
        """Predictors at the shares of the categories."""
        counts = np.bincount(np.asarray(y, dtype=np.intp) - 1, prior, minlength=len(self.names) + 1)
        return np.asarray(np.log(counts[1:] / counts[0]))
