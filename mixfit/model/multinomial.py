"""Mixed models of unordered categories: log odds of each category against a baseline."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import numpy as np

from mixfit.errors import FitError, FormulaError, PriorError
from mixfit.glmm.problem import assemble_generalized
from mixfit.glmm.separation import CERTAIN, refuse_separation
from mixfit.matrices.build import build
from mixfit.matrices.categories import across_categories
from mixfit.matrices.types import MEAN
from mixfit.model.base import MixedModel
from mixfit.model.further import check_response
from mixfit.model.generalized import GeneralizedMixedModel
from mixfit.results.multinomial import MultinomialResults
from mixfit.results.padded import results_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.arguments import Solver
    from mixfit.bayes.priors import Priors
    from mixfit.families.multinomial import Multinomial
    from mixfit.formula import MixedFormula
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["MultinomialMixedModel", "multinomial"]


def multinomial(
    formula: str,
    parsed: MixedFormula,
    data: Any,
    family: Multinomial,
    weights: str | ArrayLike | None,
    offset: str | ArrayLike | None,
    na_action: Literal["drop", "raise", "exclude"],
    context: Mapping[str, Any] | None,
    beside: Mapping[str, object],
    solver: Solver = "auto",
) -> MultinomialMixedModel:
    """A mixed model of unordered categories from a parsed formula and a data frame; see `mixfit.mixed`.

    `beside` are arguments of `mixfit.mixed` that such a model does not take, by name.
    """
    for name, value in beside.items():
        if value:
            raise FormulaError(
                f"{name}= is not for family='multinomial', whose categories all have the formula {formula!r}."
            )
    links = {MEAN: family.link}
    asked = (weights, offset, na_action, context)
    design = build(parsed, data, *asked, categories="unordered", residual=False, links=links)
    # A dot stands for columns that only the data name.
    terms = parsed.random
    design = across_categories(design, terms, family.baseline, dict(context or {}).__getitem__)
    return MultinomialMixedModel(formula, replace(design, solver=solver), family)


class MultinomialMixedModel(GeneralizedMixedModel):
    """A mixed model of a response in unordered categories.

    Parameters
    ----------
    formula : str
    design : Design
        y are the categories' numbers, the baseline's being 1. It has a predictor for each other category.
    family : Multinomial

    Examples
    --------
    >>> import mixfit
    >>> wine = mixfit.datasets.load("wine")
    >>> words = {"1": "poor", "2": "poor", "3": "fair", "4": "good", "5": "good"}
    >>> wine["taste"] = wine.rating.astype(str).map(words)
    >>> model = mixfit.mixed("taste ~ temp + (1 | judge)", wine, family="multinomial(baseline='poor')")
    >>> model.categories
    ('poor', 'fair', 'good')
    >>> model.exog_names
    ('fair:Intercept', 'fair:temp[T.warm]', 'good:Intercept', 'good:temp[T.warm]')
    """

    family: Multinomial

    def __init__(self, formula: str, design: Design, family: Multinomial) -> None:
        assert design.categories is not None
        own = family.of([str(c) for c in design.categories])
        check_response(design, own)
        self.family = own
        self._assembly = assemble_generalized(design, own)
        self.known_effects, self._held = {}, None
        MixedModel.__init__(self, formula, design, self._assembly.fixed.kept)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, the baseline first."""
        return self.family.categories

    @property
    def description(self) -> str:
        """The formula, and the baseline."""
        return f"{self.formula}; baseline = {self.categories[0]}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of `exog`, which every category has coefficients of."""
        return tuple(self.design.exog_names[j] for j in self.kept)

    @property
    def exog_names(self) -> tuple[str, ...]:
        """Names of the coefficients: of a category and a column of `exog`."""
        return tuple(f"{category}:{column}" for category in self.categories[1:] for column in self.column_names)

    def fit(  # type: ignore[override]
        self,
        *,
        n_agq: int = 1,
        method: Literal["ml", "pql"] = "ml",
        start: Sequence[ArrayLike] | ArrayLike | Mapping[str, float] | None = None,
        start_fixed: ArrayLike | None = None,
        priors: Priors | str | None = None,
    ) -> MultinomialResults:
        """Estimate by maximum likelihood.

        Parameters
        ----------
        n_agq : int
            Quadrature points a random column: 1 is the Laplace approximation, more is adaptive Gauss-Hermite
            quadrature, for models with one grouping factor and up to 3 random columns, those of all categories
            counted.
        method : {"ml"}
        start : optional
            Theta to start from, as of other generalized models.

        Returns
        -------
        MultinomialResults

        Raises
        ------
        FitError
            As of other generalized models; and for `n_agq` = 0, penalized quasi-likelihood, and coefficients to start
            from.
        """
        if method == "pql" or n_agq == 0:
            raise FitError(
                "Penalized quasi-likelihood, and the fast approximation n_agq=0, are for models of a mean, which "
                "unordered categories have none of. Use n_agq=1, the Laplace approximation, or more nodes."
            )
        if priors is not None:
            raise PriorError("Coefficients of categories have no priors yet: leave priors= out.")
        if start_fixed is not None or isinstance(start, dict):
            raise FitError("start= of unordered categories takes theta, and no coefficients: leave the others out.")
        return cast("MultinomialResults", super().fit(n_agq=n_agq, start=start))

    def _results(self, estimate: GeneralizedEstimate) -> MultinomialResults:  # type: ignore[override]
        return results_of(MultinomialResults, self, estimate)

    def _refuse_separation(self, estimate: GeneralizedEstimate | None) -> None:
        """Raise FitError where coefficients run away together, all responses more probable on the way.

        Each is where eta_y - eta_k rises for every other category k: where rows x (e_y - e_k) do.
        """
        y, others = self.design.y.astype(np.intp) - 1, len(self.categories) - 1
        other = np.arange(others + 1) != y[:, None]
        doubts = None
        if estimate is not None and estimate.certificate.converged:
            eta = estimate.eta[: others * len(y)].reshape(others, -1)
            doubts = self.family.pair_doubt(self.design.y, eta).T[other]
            if doubts.min() >= CERTAIN:
                return
        contrasts = np.eye(others + 1)[y][:, None] - np.eye(others + 1)
        rows = np.einsum("nka,np->nkap", contrasts[:, :, 1:], self.exog).reshape(len(y), others + 1, -1)
        names, n = self.exog_names, len(y) * others
        refuse_separation(rows[other], names, self.design.endog_name, np.ones(n), doubts)

    def working_model(self, estimate: GeneralizedEstimate) -> NoReturn:
        """There is none: leverages are of one predictor.

        Parameters
        ----------
        estimate : GeneralizedEstimate

        Raises
        ------
        FitError
            Always.
        """
        raise FitError("Leverages and deletions are for models of one predictor, and unordered categories have more.")

    def with_response(self, y: ArrayLike) -> MultinomialMixedModel:
        """The same model of another response, shape (n,): the numbers of its categories, the baseline's being 1.

        Parameters
        ----------
        y : array_like, shape (n,)
            In the order of the rows used.

        Returns
        -------
        MultinomialMixedModel
        """
        model, numbers = copy.copy(self), self._checked_response(y)
        if not np.isin(numbers, np.arange(1.0, len(self.categories) + 1.0)).all():
            raise FitError(f"The response is a number from 1 to {len(self.categories)} in every row.")
        model.design = replace(self.design, y=numbers)
        check_response(model.design, self.family)
        model._assembly = replace(self._assembly, problem=replace(self._assembly.problem, y=numbers))
        return model

    def with_family(self, family: Any) -> NoReturn:
        """There is no other distribution of unordered categories.

        Parameters
        ----------
        family : str or family instance

        Raises
        ------
        FitError
            Always.
        """
        raise FitError(f"{self.family!r} is the one family of unordered categories, and {family!r} is none.")

    def with_data(self, data: Any) -> MultinomialMixedModel:
        """None: the categories are those of the response, which has to be read with them."""
        return MixedModel.with_data(self, data)

    def with_design(self, design: Design) -> MultinomialMixedModel:
        """The same kind of model, with the same family, of another design."""
        return MultinomialMixedModel(self.formula, design, self.family)
