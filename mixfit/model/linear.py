"""Linear mixed models: a design whose fits share the cross-products."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixfit.arguments import check_flag
from mixfit.errors import FitError
from mixfit.formula import parse
from mixfit.lmm.assemble import assemble, with_response
from mixfit.lmm.estimate import at_estimates, conditional_covariance, criterion, estimate, points_of
from mixfit.lmm.known import among_all, determined_columns, free_design, information_of_all, of_free
from mixfit.matrices.across import refuse_given
from mixfit.matrices.again import arguments_of
from mixfit.matrices.build import build
from mixfit.model.base import MixedModel, known_among, refuse_held, refuse_penalized
from mixfit.model.deviations import held_deviations, hold_deviations
from mixfit.model.starts import read_start

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.bayes.priors import Priors
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.lmm.assemble import Assembly
    from mixfit.lmm.information import VarianceInformation
    from mixfit.lmm.known import KnownEffects
    from mixfit.lmm.surface import Surface
    from mixfit.lmm.types import LinearEstimate
    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.types import Design
    from mixfit.results.linear import LinearResults

    Array = NDArray[np.float64]

__all__ = ["LinearMixedModel"]


class LinearMixedModel(MixedModel):
    """A Gaussian mixed model of one response.

    Parameters
    ----------
    formula : str
    design : Design
    fixed : mapping of str to float, optional
        Fixed effects that are known, by name.

    Attributes
    ----------
    formula : str
    design : Design
        Response, fixed and random columns, groups, weights and offset of the rows used.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> model = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep)
    >>> model
    <LinearMixedModel: Reaction ~ Days + (Days | Subject), 180 observations, groups Subject 18>
    >>> model.exog_names, model.exog.shape, model.exog_re.shape
    (('Intercept', 'Days'), (180, 2), (180, 36))
    """

    _held: KnownEffects | None = None

    def __init__(self, formula: str, design: Design, fixed: Mapping[str, float] | None = None) -> None:
        if not fixed:
            self._assembly: Assembly = assemble(design)
            super().__init__(formula, design, self._assembly.fixed.kept)
            return
        from mixfit.model.named import mean_places, read_held

        super().__init__(formula, design, determined_columns(design))
        self._held = read_held(mean_places(self.exog_names), fixed)
        self.known_effects = dict(fixed)
        self._assembly = assemble(self._free_design)

    @property
    def _free_design(self) -> Design:
        """What is estimated: the design, but for fixed effects that are known."""
        return self.design if self._held is None else free_design(self.design, self.kept, self._held)

    @property
    def assembly(self) -> Assembly:
        """Cross-products of the design and their bases, of fixed effects that are not known."""
        return self._assembly

    @property
    def factorization(self) -> SymbolicPlan:
        """The symbolic phase of the factor of random effects."""
        return self._assembly.problem.plan

    def fit(
        self,
        *,
        reml: bool = True,
        start: Sequence[ArrayLike] | ArrayLike | None = None,
        priors: Priors | str | None = None,
    ) -> LinearResults:
        """Estimate by REML or maximum likelihood, penalized by priors where some are given.

        Parameters
        ----------
        reml : bool
        start : sequence of array-like, or array-like of shape (m,), optional
            Where to start from: for each random term its relative factor, shape (k_t, k_t), or its parameters, shape
            (m_t,); or all of theta. Moment estimates otherwise, and where they turn out to be the better start.
        priors : Priors or str, optional
            `mixfit.bayes.Priors`, or ``"blme"``: the mode of likelihood (or REML criterion) times their density, as
            R's blme has it. The model of the fit keeps them: refits and simulations are penalized too.

        Returns
        -------
        LinearResults

        Raises
        ------
        FitError
            Where `start` has another shape, or the response leaves no residual variance to estimate.
        PriorError
            For priors that name what the model does not have.

        References
        ----------
        Chung, Rabe-Hesketh, Dorie, Gelman & Liu (2013), Psychometrika 78, 685-709.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> model = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep)
        >>> round(model.fit().deviance, 3), round(model.fit(reml=False).deviance, 3)
        (1743.628, 1751.939)

        A variance of zero is where blme's prior has no density:

        >>> model = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff2"))
        >>> float(model.fit().theta[0]), round(float(model.fit(priors="blme").theta[0]), 2)
        (0.0, 0.41)
        """
        # Tables, predictions and summaries are not needed to read a model: `import mixfit` stays quick.
        from mixfit.results.linear import LinearResults
        from mixfit.results.padded import results_of

        check_flag("reml", reml)
        given = None if start is None else read_start(self.design.random, start, self.in_formula_order)
        found = estimate(self._assembly, reml=reml, start=given)
        if self._held is not None:
            found = among_all(found, self._assembly, self._held)
        fit = results_of(LinearResults, self, found)
        priors = self.priors if priors is None else priors
        return fit if priors is None else self._penalized(fit, priors)

    def _penalized(self, fit: LinearResults, priors: Priors | str) -> LinearResults:
        """The mode under priors, of a model that has them."""
        from mixfit.bayes.penalized import penalized_estimate

        if self._held is not None:
            raise FitError("Fits under priors estimate every fixed effect: leave fixed= out.")
        model = copy.copy(self)
        model.priors = priors
        return type(fit)(model, penalized_estimate(fit, priors))

    def with_family(self, family: Any) -> MixedModel:
        """The same model of the mean under another distribution.

        Parameters
        ----------
        family : str or family instance

        Returns
        -------
        GeneralizedMixedModel, or the model itself for the Gaussian family with its identity link

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> mixfit.mixed("Reaction ~ Days + (1 | Subject)", sleep).with_family("t").family
        t(identity)
        """
        from mixfit.families.resolve import resolve_family
        from mixfit.model.generalized import other_family

        resolved = resolve_family(family)
        return self if resolved.is_linear else other_family(self, resolved)

    def criterion(self, theta: ArrayLike, *, reml: bool = True) -> float:
        """What `fit` minimizes: -2 log-likelihood at its best beta and sigma for one theta, with all constants.

        Parameters
        ----------
        theta : array-like, shape (m,)
            In the order of the results' ``theta``.
        reml : bool
            Whether it is the REML criterion; the profiled deviance otherwise.

        Returns
        -------
        float

        Raises
        ------
        FitError
            Where `theta` has not one finite value for each parameter.

        References
        ----------
        Bates, Maechler, Bolker & Walker (2015), JSS 67(1), eqs. 34 and 42.

        Examples
        --------
        >>> import mixfit
        >>> model = mixfit.mixed("bright ~ 1 + (1|operator)", mixfit.datasets.load("pulp"))
        >>> fit = model.fit(reml=False)
        >>> round(model.criterion(fit.theta, reml=False) - fit.deviance, 6)
        0.0
        >>> model.criterion([0.5], reml=False) > fit.deviance
        True
        """
        return criterion(self._assembly, self._templates(theta), reml=reml)

    @property
    def elimination_order(self) -> NDArray[np.intp]:
        """The fill-reducing permutation: columns of `exog_re` in the order in which they are eliminated.

        Grouping factors by decreasing number of levels; those that cross the ones before them stand last: their part
        of the Cholesky factor is dense, or, where `plan` says so, sparse in an order of its own.
        """
        from mixfit.lmm.order import elimination_order

        return elimination_order(self._assembly.problem)

    def with_response(self, y: ArrayLike) -> LinearMixedModel:
        """The same model of another response, shape (n,); shares all cross-products but one column.

        Parameters
        ----------
        y : array_like, shape (n,)
            In the order of the rows used.

        Returns
        -------
        LinearMixedModel

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> brighter = fit.model.with_response(fit.model.endog + 1).fit()
        >>> round(float((brighter.params - fit.params).iloc[0]), 6)
        1.0
        """
        model = copy.copy(self)
        model.design = replace(self.design, y=self._checked_response(y))
        model._assembly = with_response(self._assembly, model._free_design)
        return model

    def with_data(self, data: Any) -> LinearMixedModel:
        """The same formula and options for other data, read anew: see `MixedModel.with_data`."""
        parsed = parse(self.formula, random=None)
        given = arguments_of(self.design, len(parsed.offsets))
        design = build(parsed, data, given.weights, given.offset, context=given.context)
        return LinearMixedModel(
            self.formula, hold_deviations(design, held_deviations(self.design))[0], self.known_effects
        )

    def with_design(self, design: Design) -> LinearMixedModel:
        """The same kind of model of another design; coefficients that it lacks are not held."""
        model = LinearMixedModel(self.formula, design, known_among(self.known_effects, design))
        model.priors = self.priors
        return model

    def conditional_covariance(self, estimate: LinearEstimate) -> tuple[Array, ...]:
        """Cov(b_j | y, beta) of every level of every term, shapes (q_t, k_t, k_t).

        Parameters
        ----------
        estimate : LinearEstimate

        Returns
        -------
        tuple of ndarray, shape (q_t, k_t, k_t)
            A term each, all scales included.
        """
        return conditional_covariance(self._assembly, at_estimates(self._assembly, estimate), estimate.sigma)

    def variance_information(self, estimate: LinearEstimate) -> VarianceInformation:
        """Derivatives of the moments in the covariance entries and the residual variance, at the estimate.

        Parameters
        ----------
        estimate : LinearEstimate

        Returns
        -------
        VarianceInformation
        """
        from mixfit.lmm.information import variance_information

        refuse_given(self.design.random, "the information of variances, which degrees of freedom are made of,")
        if self._held is None:
            return variance_information(self._assembly, estimate)
        own = of_free(estimate, self._assembly, self._held)
        return information_of_all(variance_information(self._assembly, own), self._held)

    def likelihood_surface(self, estimate: LinearEstimate, *, reml: bool) -> Surface:
        """The deviance (or the REML criterion) around the minimum next to an estimate, for profiles and curvatures.

        Parameters
        ----------
        estimate : LinearEstimate
        reml : bool

        Returns
        -------
        Surface
        """
        from mixfit.lmm.surface import LinearSurface

        refuse_held(self)
        refuse_penalized(self)
        if reml == estimate.reml:
            return LinearSurface(self._assembly, at_estimates(self._assembly, estimate))
        return LinearSurface.around(self._assembly, points_of(self._assembly, estimate.theta), reml=reml)

    def prediction_variance(
        self,
        estimate: LinearEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of the predictor x'beta + z'b about its true value, for new rows: shape (m,).

        Parameters
        ----------
        estimate : LinearEstimate
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

        if self._held is not None:
            estimate, X = of_free(estimate, self._assembly, self._held), X[:, self._held.free(X.shape[1])]
        return prediction_variance(self._assembly, estimate, X, Z, codes)

    def working_model(self, estimate: LinearEstimate) -> WorkingModel:
        """Scaled rows and the factor at the estimates: what leverages and deletions are computed from.

        Parameters
        ----------
        estimate : LinearEstimate

        Returns
        -------
        WorkingModel
        """
        from mixfit.lmm.working import linear_working_model

        return linear_working_model(self._assembly, estimate)
