"""Smaller models as a bootstrap test sees them: simulated, and fitted again, by maximum likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mixfit.errors import FitError
from mixfit.inference.comparisons.candidates import candidate
from mixfit.inference.comparisons.likelihood_ratio import check_comparable, check_nested
from mixfit.inference.resampling.least_squares import LeastSquares
from mixfit.inference.resampling.refit import Refitter, simulated_blocks
from mixfit.lmm.types import LinearEstimate
from mixfit.results.base import MixedResults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["NullModel", "by_ml", "null_model"]


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
    if not isinstance(fit, MixedResults):
        raise FitError(f"pb_modcomp compares fitted mixed models, not {type(fit).__name__}: give the results of fit().")
    return fit.model.fit(reml=False) if fit.reml else fit  # type: ignore[attr-defined]


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
    if isinstance(m0, MixedResults):
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
    return repr(a.model.family) == repr(b.model.family) and a.estimate.n_agq == b.estimate.n_agq


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
