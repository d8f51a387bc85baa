"""Linear models whose residuals are correlated within blocks, or of unequal variance."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from mixfit.errors import FitError
from mixfit.lmm.estimate import at_estimates, conditional_covariance
from mixfit.lmm.residual.estimate import assembly_at, estimate_residual, joint_problem, place_of
from mixfit.lmm.residual.forms import residual_form
from mixfit.lmm.residual.stage import BlockResidual
from mixfit.matrices.across import refuse_given, refuse_related
from mixfit.matrices.residual import residual_design
from mixfit.model.base import MixedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.factor.plan import SymbolicPlan
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.residual.criterion import ResidualProblem
    from mixfit.lmm.residual.estimate import ResidualEstimate
    from mixfit.lmm.residual.form import ResidualForm
    from mixfit.lmm.residual.moments import ResidualInformation
    from mixfit.lmm.surface import Surface
    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.residual import ResidualDesign
    from mixfit.matrices.types import Design
    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]

__all__ = ["ResidualMixedModel"]

_PLAIN = (
    "This is computed for independent residuals of one variance only; this model has residual= or dispersion=, whose "
    "parameters it would take as known. Compare fits by their log-likelihoods, or resample with bootstrap()."
)


class ResidualMixedModel(MixedModel):
    """A Gaussian model of one response, with a covariance of its residuals that has parameters.

    Parameters
    ----------
    formula : str
    design : Design

    Attributes
    ----------
    formula : str
    design : Design
        Response, fixed and random columns, groups, weights and offset of the rows used.
    residual : ResidualDesign
        Blocks, places and structure of the residuals.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> model = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)")
    >>> model.residual.columns[:2], model.residual.blocks.n_levels
    (('Days[0]', 'Days[1]'), 18)
    """

    def __init__(self, formula: str, design: Design) -> None:
        refuse_related(design.random, "a model with residual= or dispersion=")
        refuse_given(design.random, "a model with residual= or dispersion=")
        self.residual: ResidualDesign = residual_design(design)
        self._form: ResidualForm = residual_form(self.residual)
        self._problem: ResidualProblem = joint_problem(design, self._form, self.residual)
        super().__init__(formula, design, self._problem.fixed.kept)

    @property
    def description(self) -> str:
        """The formula, and what the residuals are like."""
        parts = [self.formula]
        if self.residual.blocks is not None:
            by = "" if self.residual.parts is None else f", by={self.residual.parts.name}"
            parts.append(f"residual = {self.residual.text}{by}")
        if self.residual.spread_names:
            parts.append(f"dispersion = ~ {' + '.join(self.residual.spread_names)}")
        return "; ".join(parts)

    @property
    def factorization(self) -> SymbolicPlan:
        """The symbolic phase of the factor of random effects."""
        return self._problem.plan

    @property
    def form(self) -> ResidualForm:
        """The covariances that the residuals may have."""
        return self._form

    @property
    def problem(self) -> ResidualProblem:
        """Rows in blocks, with the bases of their columns."""
        return self._problem

    @property
    def stage(self) -> BlockResidual:
        """What makes independent rows of those of the data, and back, at given parameters."""
        return BlockResidual(self._form)

    @property
    def assembly(self) -> NoReturn:
        """There are no cross-products that do not depend on the residuals' parameters."""
        raise FitError(_PLAIN)

    def assembly_at(self, estimate: ResidualEstimate) -> Assembly:
        """The cross-products at an estimate.

        Parameters
        ----------
        estimate : ResidualEstimate

        Returns
        -------
        Assembly
        """
        return estimate.assembly.get(lambda: assembly_at(self.design, self._form, estimate.psi))

    def fit(self, reml: bool | None = None) -> LinearResults:
        """Estimate by REML or maximum likelihood.

        Parameters
        ----------
        reml : bool, optional
            By default REML, and maximum likelihood where ``dispersion=`` is a predictor beside the mean's, as glmmTMB
            has it: likelihoods of models with other predictors are compared, and those of REML cannot be.

        Returns
        -------
        LinearResults

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> model = mixfit.mixed("Reaction ~ Days", sleep, residual="ar1(Days | Subject)")
        >>> round(model.fit(reml=False).llf, 3)
        -874.057
        """
        from mixfit.results.linear import LinearResults
        from mixfit.results.padded import results_of

        chosen = not self.residual.spread_names if reml is None else reml
        return results_of(LinearResults, self, estimate_residual(self.design, self._problem, reml=chosen))

    def with_response(self, y: ArrayLike) -> ResidualMixedModel:
        """The same model of another response, shape (n,).

        Parameters
        ----------
        y : array_like, shape (n,)
            In the order of the rows used.

        Returns
        -------
        ResidualMixedModel
        """
        model = copy.copy(self)
        model.design = replace(self.design, y=self._checked_response(y))
        model._problem = joint_problem(model.design, self._form, self.residual)
        return model

    def with_design(self, design: Design) -> ResidualMixedModel:
        """The same kind of model of another design."""
        return ResidualMixedModel(self.formula, design)

    def conditional_covariance(self, estimate: ResidualEstimate) -> tuple[Array, ...]:
        """Cov(b_j | y, beta) of every level of every term, shapes (q_t, k_t, k_t).

        Parameters
        ----------
        estimate : ResidualEstimate

        Returns
        -------
        tuple of ndarray, shape (q_t, k_t, k_t)
            A term each, all scales included.
        """
        if not self.design.random:
            return ()
        assembly = self.assembly_at(estimate)
        return conditional_covariance(assembly, at_estimates(assembly, estimate), estimate.sigma)

    def variance_information(self, estimate: ResidualEstimate) -> ResidualInformation:
        """Derivatives of the moments in all variance parameters, at the estimate.

        Parameters
        ----------
        estimate : ResidualEstimate

        Returns
        -------
        ResidualInformation
        """
        from mixfit.lmm.residual.moments import residual_information

        return residual_information(self._problem, place_of(self._problem, estimate), reml=estimate.reml)

    def likelihood_surface(self, estimate: ResidualEstimate, *, reml: bool) -> Surface:
        """The deviance around its minimum, in all variance parameters.

        Parameters
        ----------
        estimate : ResidualEstimate
            Where the search for the minimum begins.
        reml : bool
            Profiles are of the likelihood: False.

        Returns
        -------
        Surface
        """
        from mixfit.lmm.residual.surface import ResidualSurface

        if reml:
            raise FitError(_PLAIN)
        place = place_of(self._problem, estimate)
        return ResidualSurface.around(self._problem, place, has_structure=self.residual.blocks is not None)

    def prediction_variance(
        self,
        estimate: ResidualEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of the predictor x'beta + z'b about its true value, for new rows: shape (m,).

        Parameters
        ----------
        estimate : ResidualEstimate
        X : ndarray, shape (m, p)
            Columns of `exog`.
        Z : sequence of ndarray, shape (m, k_t), or None
            Columns left of the bar; None for a term left out.
        codes : sequence of ndarray of intp, shape (m,), or None
            Level of each row.

        Returns
        -------
        ndarray, shape (m,)
        """
        from mixfit.lmm.prediction import prediction_variance

        return prediction_variance(self.assembly_at(estimate), estimate, X, Z, codes)

    def working_model(self, estimate: ResidualEstimate) -> WorkingModel:
        """There is none whose rows are those of the data."""
        raise FitError(_PLAIN)
