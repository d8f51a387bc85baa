"""Generalized linear mixed models: a design and a family."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixfit.base_model import MixedModel
from mixfit.covariance import change_basis
from mixfit.design.build import build
from mixfit.errors import DataError, FitError
from mixfit.families.resolve import resolve_family
from mixfit.glmm.assemble import assemble_generalized
from mixfit.glmm.estimate import conditional_covariance, estimate_generalized
from mixfit.glmm.prediction import predictor_variance
from mixfit.results.generalized import GeneralizedResults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.design.types import Design
    from mixfit.families.base import Family
    from mixfit.formula import MixedFormula
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.inference.surface import Surface

    Array = NDArray[np.float64]

__all__ = ["GeneralizedMixedModel", "generalized"]

_PROPORTIONS = ("binomial", "betabinomial")


def generalized(
    formula: str,
    parsed: MixedFormula,
    data: Any,
    family: Any,
    weights: str | ArrayLike | None,
    offset: str | ArrayLike | None,
    na_action: Literal["drop", "raise"],
    context: Mapping[str, Any] | None,
) -> GeneralizedMixedModel:
    """A generalized mixed model from a parsed formula and a data frame; see `mixfit.mixed`."""
    resolved = resolve_family(family)
    proportions = resolved.name in _PROPORTIONS
    design = build(parsed, data, weights, offset, na_action, context, binomial=proportions, residual=False)
    return GeneralizedMixedModel(formula, design, resolved)


class GeneralizedMixedModel(MixedModel):
    """A mixed model of one response with a conditional distribution and a link.

    Parameters
    ----------
    formula : str
    design : Design
        For a binomial model, y is a proportion and the weights are numbers of trials.
    family : Family
    """

    def __init__(self, formula: str, design: Design, family: Family) -> None:
        _check_response(design, family)
        self.family = family
        self._assembly = assemble_generalized(design, family)
        super().__init__(formula, design, self._assembly.fixed.kept)

    def fit(self, n_agq: int = 1) -> GeneralizedResults:
        """Estimate by maximum likelihood.

        Parameters
        ----------
        n_agq : int
            Quadrature points a random column: 1 is the Laplace approximation, more is adaptive
            Gauss-Hermite quadrature, for models with one grouping factor and up to 3 random columns.

        Returns
        -------
        GeneralizedResults

        Raises
        ------
        FitError
            Where `n_agq` does not suit the model, or no finite likelihood can be found.
        """
        if n_agq != int(n_agq) or n_agq < 1:
            raise FitError(f"n_agq is a positive whole number of quadrature points, not {n_agq!r}.")
        return GeneralizedResults(self, estimate_generalized(self._assembly, int(n_agq)))

    def with_response(self, y: ArrayLike) -> GeneralizedMixedModel:
        """The same model of another response, shape (n,) (binomial: proportions)."""
        model = copy.copy(self)
        model.design = replace(self.design, y=self._checked_response(y))
        _check_response(model.design, self.family)
        problem = replace(self._assembly.problem, y=model.design.y)
        model._assembly = replace(self._assembly, problem=problem)
        return model

    def conditional_covariance(self, estimate: GeneralizedEstimate) -> tuple[Array, ...]:
        """Cov(b_j | y) of every level of every term at the mode, shapes (q_t, k_t, k_t)."""
        return conditional_covariance(self._assembly, estimate)

    def likelihood_surface(self, estimate: GeneralizedEstimate, *, reml: bool) -> Surface:
        """-2 log-likelihood around an estimate, for profiles and curvatures; there is no REML for these models."""
        from mixfit.glmm.point import Parameters
        from mixfit.inference.generalized_surface import GeneralizedSurface

        pairs = zip(estimate.templates, self._assembly.term_bases, strict=True)
        templates = tuple(change_basis(t, np.asarray(np.linalg.inv(basis), dtype=float)) for t, basis in pairs)
        at = Parameters(templates, self._assembly.fixed.triangle @ estimate.beta, estimate.phi)
        errors = np.sqrt(np.diagonal(estimate.cov_beta))
        return GeneralizedSurface(self._assembly, at, errors, estimate.n_agq)

    def prediction_variance(
        self,
        estimate: GeneralizedEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of the linear predictor x'beta + z'b about its true value, for new rows: shape (m,)."""
        return predictor_variance(self._assembly, estimate, X, Z, codes)


def _check_response(design: Design, family: Family) -> None:
    prior = np.ones(len(design.y)) if design.weights is None else design.weights
    family.check(design.y, prior, design.endog_name)
    if (design.y == design.y[0]).all():
        raise DataError(f"The response {design.endog_name!r} is the same in every row: there is nothing to model.")
