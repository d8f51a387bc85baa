"""Generalized linear mixed models: a design and a family."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from mixfit.errors import DataError, FitError, FormulaError
from mixfit.families.links import LINKS
from mixfit.families.several import DISPERSION, ZERO
from mixfit.formula import CENSORED, parse
from mixfit.glmm.conditional import conditional_covariance, predictor_variance
from mixfit.glmm.estimate import estimate_generalized
from mixfit.glmm.pql import warn_of_bias
from mixfit.glmm.problem import assemble_generalized
from mixfit.matrices.again import arguments_of
from mixfit.matrices.build import build
from mixfit.matrices.types import MEAN
from mixfit.model.base import MixedModel, known_among, refuse_held, refuse_penalized
from mixfit.model.deviations import held_deviations, hold_deviations
from mixfit.model.further import check_response, further_formulas, no_survival, refuse_several, under_family
from mixfit.model.named import BESIDE, given_start, hold_in_family, places_of, read_held
from mixfit.model.separated import refuse_separated
from mixfit.model.under_priors import start_under_priors
from mixfit.results.generalized import GeneralizedResults
from mixfit.results.padded import results_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from mixfit.arguments import Solver
    from mixfit.bayes.priors import Priors
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.families.base import Family
    from mixfit.formula import MixedFormula
    from mixfit.glmm.given import GivenStart
    from mixfit.glmm.problem import GeneralizedAssembly
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.lmm.surface import Surface
    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["GeneralizedMixedModel", "generalized"]


def generalized(
    formula: str,
    parsed: MixedFormula,
    data: Any,
    family: Family,
    weights: str | ArrayLike | None,
    offset: str | ArrayLike | None,
    na_action: Literal["drop", "raise", "exclude"],
    context: Mapping[str, Any] | None,
    zi: str | None = None,
    dispersion: str | None = None,
    fixed: Mapping[str, float] | None = None,
    solver: Solver = "auto",
) -> GeneralizedMixedModel:
    """A generalized mixed model from a parsed formula and a data frame; see `mixfit.mixed`."""
    family, fixed = hold_in_family(family, fixed or {})
    proportions = family.kind == "proportion"
    if parsed.response.function == CENSORED and not family.censors:
        raise DataError(no_survival(parsed.response.text, family))
    links = {MEAN: family.link, ZERO: LINKS["logit"], DISPERSION: LINKS["log"]}
    further = further_formulas(family, zi, dispersion)
    asked = (weights, offset, na_action, context)
    design = build(
        parsed, data, *asked, binomial=proportions, censors=family.censors, residual=False, links=links, further=further
    )
    for predictor in design.further:
        if not predictor.X.shape[1] and not predictor.random and predictor.offset is None:
            raise FormulaError(f"{predictor.name}= has no terms, which would hold its predictor at zero: leave it out.")
    design, known = hold_deviations(design, fixed)
    return GeneralizedMixedModel(formula, replace(design, solver=solver), family, known)


class GeneralizedMixedModel(MixedModel):
    """A mixed model of one response with a conditional distribution and a link.

    Parameters
    ----------
    formula : str
    design : Design
        For a binomial model, y is a proportion and the weights are numbers of trials.
    family : Family
    fixed : mapping of str to float, optional
        Fixed effects that are known, by name.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> model = mixfit.mixed(formula, herds, family="binomial")
    >>> model.family, model.exog_names
    (binomial(logit), ('Intercept', 'period[T.2]', 'period[T.3]', 'period[T.4]'))
    >>> round(model.fit(n_agq=9).llf, 3)
    -91.983
    """

    def __init__(self, formula: str, design: Design, family: Family, fixed: Mapping[str, float] | None = None) -> None:
        check_response(design, family)
        self.family = family
        self._assembly = assemble_generalized(design, family)
        self.known_effects = dict(fixed or {})
        self._held = read_held(places_of(self._assembly, design), self.known_effects, BESIDE)
        super().__init__(formula, design, self._assembly.fixed.kept)

    @property
    def factorization(self) -> SymbolicPlan:
        """The symbolic phase of the factor of random effects."""
        return self._assembly.problem.plan

    @property
    def description(self) -> str:
        """The formula, and those of the other predictors."""
        further = [f"{p.name} = {p.text.strip()}" for p in self.design.further]
        return "; ".join([self.formula, *further, *self._known_text])

    @property
    def free_exog(self) -> tuple[Array, tuple[str, ...]]:
        """Columns of `exog` whose coefficients are not known, of the rows that are at hand, and their names."""
        X, names = self.design.representatives.X[:, self.kept], self.exog_names
        free = range(len(names)) if self._held is None else self._held.free(len(names))
        return X[:, list(free)], tuple(names[j] for j in free)

    @property
    def assembly(self) -> GeneralizedAssembly:
        """Rows, patterns and bases of the design."""
        return self._assembly

    def fit(
        self,
        *,
        n_agq: int = 1,
        method: Literal["ml", "pql"] = "ml",
        start: Sequence[ArrayLike] | ArrayLike | Mapping[str, float] | None = None,
        start_fixed: ArrayLike | None = None,
        priors: Priors | str | None = None,
    ) -> GeneralizedResults:
        """Estimate by maximum likelihood, or by penalized quasi-likelihood.

        Parameters
        ----------
        n_agq : int
            Quadrature points a random column: 1 is the Laplace approximation, more is adaptive
            Gauss-Hermite quadrature, for models with one grouping factor and up to 3 random columns, those of
            ``zi=`` and ``dispersion=`` included.
            0 is lme4's fast approximation: only theta (and a dispersion) maximize the Laplace
            approximation, and beta is where it and the random effects have their joint mode. Its
            standard errors take theta as known, as lme4's.
        method : {"ml", "pql"}
            ``"pql"`` is penalized quasi-likelihood (Breslow & Clayton 1993), for teaching and for
            comparison with older work: linear mixed models of a working response by maximum
            likelihood, iterated, as ``MASS::glmmPQL``. The dispersion is 1 for binomial and Poisson
            families, where glmmPQL estimates one, and is estimated for Gaussian, Gamma and inverse
            Gaussian ones. Standard errors are those of the last working model. A quasi-likelihood
            is no likelihood: such a fit has no ``llf``, ``aic`` or ``bic``.
        start : sequence of array-like, or array-like of shape (m,), optional
            Where to start from: for each random term its relative factor, shape (k_t, k_t), or its parameters, shape
            (m_t,); or all of theta. Or some parameters by name: fixed effects (``"x"``, ``"zi:x"``), standard
            deviations of terms with one column (``"sd((Intercept)|g)"``, ``"zi:sd((Intercept)|g)"``), ``"phi"``.
            Otherwise, and where they turn out to be the better start, moment estimates of
            the working linear model.
        start_fixed : array-like, shape (p,), optional
            Fixed effects to start from, in the order of ``params``; otherwise those of the generalized linear model
            without random effects.
        priors : Priors or str, optional
            `mixfit.bayes.Priors`, or ``"blme"``: the mode of the Laplace approximation times their density, as R's blme
            has it, of binomial, Poisson and other families without parameters of their own. A normal prior of the
            coefficients keeps them finite where they separate the response. The model of the fit keeps the priors.

        Returns
        -------
        GeneralizedResults

        Raises
        ------
        FitError
            Where `n_agq` or `method` does not suit the model, a start has another shape, no finite likelihood can be
            found, or fixed or random effects separate the response, so that no finite estimate exists.

        Warns
        -----
        BiasWarning
            Of a PQL fit to binomial or Poisson data in which at least half of the rows expect fewer
            than 5 events (binomial: or fewer than 5 non-events), as all 0/1 data do.

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> model = mixfit.mixed(formula, herds, family="binomial")
        >>> [round(float(model.fit(n_agq=k).theta[0]), 3) for k in (0, 1, 9)]
        [0.642, 0.642, 0.648]
        """
        if method not in ("ml", "pql"):
            raise FitError(f"method is 'ml' or 'pql', not {method!r}.")
        if n_agq != int(n_agq) or n_agq < 0:
            raise FitError(f"n_agq is 0 or a positive whole number of quadrature points, not {n_agq!r}.")
        if method == "pql" and n_agq != 1:
            raise FitError("n_agq is for method='ml': penalized quasi-likelihood has no integral to approximate.")
        given = given_start(self._assembly, self.design, self.in_formula_order, start, start_fixed)
        priors = self.priors if priors is None else priors
        if priors is not None:
            return self._penalized(priors, int(n_agq), method, given)
        try:
            estimate = estimate_generalized(self._assembly, int(n_agq), method, given, self._held)
        except FitError:
            self._refuse_separation(None)
            raise
        self._refuse_separation(estimate)
        if method == "pql":
            warn_of_bias(self._assembly.problem.prior, self.family, estimate.eta)
        return self._results(estimate)

    def _penalized(
        self, priors: Priors | str, n_agq: int, method: Literal["ml", "pql"], given: GivenStart | None
    ) -> GeneralizedResults:
        """The mode under priors, of a model that has them."""
        from mixfit.bayes.penalized import penalized_generalized

        if n_agq != 1 or method != "ml" or self._held is not None:
            raise FitError("Fits under priors are by the Laplace approximation: leave n_agq=, method= and fixed= out.")
        fit = self._results(start_under_priors(self._assembly, given, self._refuse_separation))
        model = copy.copy(self)
        model.priors = priors
        return model._results(penalized_generalized(fit, priors))

    def _results(self, estimate: GeneralizedEstimate) -> GeneralizedResults:
        return results_of(GeneralizedResults, self, estimate)

    def _refuse_separation(self, estimate: GeneralizedEstimate | None) -> None:
        """Raise FitError where `estimate` (None: there is none) ran away with effects that separate the response."""
        refuse_separated(self, self.free_exog, self._assembly.problem, estimate)

    def with_response(self, y: ArrayLike) -> GeneralizedMixedModel:
        """The same model of another response, shape (n,) (binomial: proportions).

        Parameters
        ----------
        y : array_like, shape (n,)
            In the order of the rows used; proportions for a binomial model, and of ``censored(time, event)`` times,
            negative where a row is censored.

        Returns
        -------
        GeneralizedMixedModel

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> again = fit.model.with_response(fit.model.endog).fit()
        >>> round(again.llf - fit.llf, 6)
        0.0
        """
        model = copy.copy(self)
        model.design = replace(self.design, y=self._checked_response(y))
        check_response(model.design, self.family)
        problem = replace(self._assembly.problem, y=model.design.y)
        model._assembly = replace(self._assembly, problem=problem)
        return model

    def with_data(self, data: Any) -> GeneralizedMixedModel:
        """The same formulas and options for other data, read anew: see `MixedModel.with_data`."""
        parsed = parse(self.formula, random=None)
        given = arguments_of(self.design, len(parsed.offsets))
        zi, spread = ({p.name: p.text for p in self.design.further}.get(name) for name in (ZERO, DISPERSION))
        made = partial(generalized, self.formula, parsed, data, self.family, given.weights, given.offset, "drop")
        return made(given.context, zi, spread, {**self.known_effects, **held_deviations(self.design)})

    def with_design(self, design: Design) -> GeneralizedMixedModel:
        """The same kind of model, with the same family, of another design; coefficients that it lacks are not held."""
        held = known_among(self.known_effects, design)
        model = GeneralizedMixedModel(self.formula, design, self.family, held)
        model.priors = self.priors
        return model

    def with_family(self, family: Any) -> GeneralizedMixedModel:
        """The same predictors of the same response under another distribution.

        Parameters
        ----------
        family : str or family instance

        Returns
        -------
        GeneralizedMixedModel

        Raises
        ------
        FormulaError
            Where the family has no zeros or no dispersion that the model's predictors could be of.
        DataError
            For responses outside its support.
        FitError
            For a family of proportions where the responses are none, or the other way round.

        Examples
        --------
        >>> import mixfit
        >>> ticks = mixfit.datasets.load("grouseticks")
        >>> model = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD)", ticks, family="poisson")
        >>> model.with_family("nbinom2").family
        nbinom2(log)
        """
        return other_family(self, family)

    def conditional_covariance(self, estimate: GeneralizedEstimate, *, of: str = MEAN) -> tuple[Array, ...]:
        """Cov(b_j | y) of every level of every term at the mode, shapes (q_t, k_t, k_t).

        Parameters
        ----------
        estimate : GeneralizedEstimate
        of : str
            The predictor whose terms they are.

        Returns
        -------
        tuple of ndarray, shape (q_t, k_t, k_t)
            A term each, all scales included.
        """
        return conditional_covariance(self._assembly, estimate, of)

    def likelihood_surface(self, estimate: GeneralizedEstimate, *, reml: bool) -> Surface:
        """-2 log-likelihood around an estimate, for profiles and curvatures; there is no REML for these models.

        Parameters
        ----------
        estimate : GeneralizedEstimate
        reml : bool

        Returns
        -------
        Surface
        """
        refuse_held(self)
        refuse_penalized(self)
        from mixfit.glmm.surface import surface_around

        return surface_around(self._assembly, estimate)

    def prediction_variance(
        self,
        estimate: GeneralizedEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of the linear predictor x'beta + z'b about its true value, for new rows: shape (m,).

        Parameters
        ----------
        estimate : GeneralizedEstimate
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
        return predictor_variance(self._assembly, estimate, X, Z, codes)

    def working_model(self, estimate: GeneralizedEstimate) -> WorkingModel:
        """The linear model of the scoring step at the modes: what leverages and deletions are computed from.

        Parameters
        ----------
        estimate : GeneralizedEstimate

        Returns
        -------
        WorkingModel
        """
        refuse_several(self.design, "Leverages and deletions")
        from mixfit.glmm.conditional import generalized_working_model

        return generalized_working_model(self._assembly, estimate, self._held)


def other_family(model: MixedModel, family: Any) -> GeneralizedMixedModel:
    """A model's design under another distribution."""
    design, resolved = under_family(model.design, getattr(model, "family", None), family)
    return GeneralizedMixedModel(model.formula_text, design, resolved, getattr(model, "known_effects", None))
