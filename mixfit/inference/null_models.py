"""Null models of the bootstrap: what simulates the responses, and how it is fitted to them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.draws import add_noise
from mixfit.fitted.protocols import is_fit
from mixfit.gram.basis import fixed_basis
from mixfit.inference.comparisons.candidates import candidate
from mixfit.inference.comparisons.likelihood_ratio import check_comparable, check_nested
from mixfit.inference.predictors import refuse_unordered
from mixfit.inference.refit import Refitter, simulated_blocks
from mixfit.lmm.types import LinearEstimate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["LeastSquares", "NullModel", "by_ml", "null_model"]


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """y = X beta + offset + e, e ~ N(0, sigma^2 / w), by maximum likelihood.

    Attributes
    ----------
    X : ndarray, shape (n, p)
    y : ndarray, shape (n,)
    weights, offset : ndarray, shape (n,), or None

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 4.0])
    >>> null = LeastSquares(np.ones((3, 1)), y, None, None)
    >>> null.criteria(y[:, None]).round(4).tolist(), null.simulate(5, np.random.default_rng(1)).shape
    ([9.8391], (3, 5))
    """

    X: Array
    y: Array
    weights: Array | None
    offset: Array | None

    @property
    def n_parameters(self) -> int:
        """Independent columns of X, and sigma."""
        return len(fixed_basis(self._rows(self.X)).rows) + 1

    def criteria(self, y: Array) -> Array:
        """Deviance n [1 + log(2 pi RSS / n)] - sum log w of responses (n, R): (R,)."""
        log_weights = 0.0 if self.weights is None else float(np.log(self.weights).sum())
        rest = self._residuals(y)
        n = len(y)
        value: Array = n * (1.0 + np.log(2.0 * np.pi * np.einsum("rn,rn->r", rest, rest) / n)) - log_weights
        return value

    def simulate(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n responses, (nobs, n), with the estimates of y."""
        rest = self._residuals(self.y[:, None])[0]
        root = np.ones(len(rest)) if self.weights is None else np.sqrt(self.weights)
        mean = np.repeat((self.y - rest / root)[:, None], n, axis=1)
        return add_noise(mean, float(np.linalg.norm(rest)) / np.sqrt(len(rest)), self.weights, rng)

    def _rows(self, columns: Array) -> Array:
        return np.ascontiguousarray(columns.T) if self.weights is None else columns.T * np.sqrt(self.weights)

    def _residuals(self, y: Array) -> Array:
        """Weighted residuals as rows, (R, n)."""
        basis = fixed_basis(self._rows(self.X)).rows
        rest = self._rows(y if self.offset is None else y - self.offset[:, None])
        for _ in range(2):
            rest = rest - (rest @ basis.T) @ basis
        return rest


class NullModel(Protocol):
    """What the test asks of the smaller model."""

    text: str
    criterion: float
    n_parameters: int

    def blocks(self, n: int, rng: np.random.Generator, block: int) -> Iterator[Array]:
        """Draw n responses, up to `block` at a time."""

    def refit(self, y: Array) -> tuple[Array, tuple[str, ...]]:
        """-2 log-likelihoods of responses (nobs, R), and why some have none."""


class _MixedNull:
    """A smaller mixed model."""

    def __init__(self, fit: Any, n_jobs: int | None) -> None:
        self._fit = fit
        self._refitter = Refitter(fit, None, n_jobs)
        self.text: str = fit.model.formula_text
        self.criterion: float = fit.estimate.criterion
        self.n_parameters: int = fit.npar

    def blocks(self, n: int, rng: np.random.Generator, block: int) -> Iterator[Array]:
        return simulated_blocks(self._fit, n, rng, "population", min(block, self._refitter.block))

    def refit(self, y: Array) -> tuple[Array, tuple[str, ...]]:
        found = self._refitter(y, lambda _: None)
        return found.criterion, found.failures


class _LinearNull:
    """A linear model without random effects."""

    def __init__(self, model: LeastSquares, text: str) -> None:
        self._model = model
        self.text = text
        self.criterion = float(model.criteria(model.y[:, None])[0])
        self.n_parameters = model.n_parameters

    def blocks(self, n: int, rng: np.random.Generator, block: int) -> Iterator[Array]:
        return (self._model.simulate(min(block, n - first), rng) for first in range(0, n, block))

    def refit(self, y: Array) -> tuple[Array, tuple[str, ...]]:
        return self._model.criteria(y), ("",) * y.shape[1]


def by_ml(fit: Any) -> Any:
    """A fit by maximum likelihood of the model of a fit: itself where it is one already."""
    if not is_fit(fit):
        raise FitError(f"pb_modcomp compares fitted mixed models, not {type(fit).__name__}: give the results of fit().")
    refuse_unordered(fit, "Bootstrap tests")
    return fit.model.fit(reml=False) if fit.reml else fit


def null_model(large: Any, m0: Any, n_jobs: int | None) -> NullModel:
    """The smaller model `m0` of a test, checked to be a special case of the fit `large`.

    Raises
    ------
    ComparisonError
        Where it is not nested, or of other data: see `mixfit.anova`.
    FitError
        Where the models are of different kinds.
    """
    design = large.model.design
    linear = isinstance(large.estimate, LinearEstimate)
    if is_fit(m0):
        small: Any = by_ml(m0)
        if not _same_kind(large, small):
            raise FitError(
                "pb_modcomp compares models of one family and link, fitted with the same number of quadrature points."
            )
        _check_smaller(large, small)
        return _MixedNull(small, n_jobs)
    if not linear:
        raise FitError("pb_modcomp tests generalized models against mixed models only: m0 must have a random term.")
    if m0 is None:
        null = LeastSquares(large.model.exog, design.y, design.weights, design.offset)
        return _LinearNull(null, "the same fixed effects, no random effects")
    return _least_squares_results(large, m0)


def _check_smaller(large: Any, small: Any) -> None:
    m1, m0 = candidate("m1", large), candidate("m0", small)
    check_comparable(m1, m0)
    check_nested(m0, m1)


def _same_kind(a: Any, b: Any) -> bool:
    if isinstance(a.estimate, LinearEstimate) or isinstance(b.estimate, LinearEstimate):
        return isinstance(a.estimate, LinearEstimate) and isinstance(b.estimate, LinearEstimate)
    return a.model.family.kinship == b.model.family.kinship and a.estimate.n_agq == b.estimate.n_agq


def _least_squares_results(large: Any, m0: Any) -> NullModel:
    from statsmodels.regression.linear_model import OLS, WLS

    model = getattr(m0, "model", None)
    if not isinstance(model, OLS | WLS):
        raise FitError(
            f"m0 must be a fitted mixed model, statsmodels OLS or WLS results, or None, not {type(m0).__name__}."
        )
    weights = np.asarray(model.weights, dtype=float) if isinstance(model, WLS) and not isinstance(model, OLS) else None
    exog, y = np.asarray(model.exog, dtype=float), np.asarray(model.endog, dtype=float)
    _check_smaller(large, m0)
    return _LinearNull(LeastSquares(exog, y, weights, None), str(getattr(model, "formula", "statsmodels results")))
