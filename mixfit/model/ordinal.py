"""Mixed models of ordered categories: thresholds, nominal effects and scale effects beside a predictor of location."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import numpy as np
from scipy.linalg import block_diag

from mixfit.errors import FitError, FormulaError, PriorError
from mixfit.families.cells import KINDS
from mixfit.families.links import LINKS
from mixfit.families.ordinal import Ordinal
from mixfit.families.resolve import resolve_family
from mixfit.families.several import DISPERSION
from mixfit.fitted.ordinal_columns import NOMINAL, further_columns
from mixfit.formula import parse_predictor
from mixfit.glmm.centred import centred
from mixfit.glmm.problem import assemble_generalized
from mixfit.glmm.separation import CERTAIN, refuse_separation
from mixfit.glmm.surface import surface_around
from mixfit.gram.row_space import row_space
from mixfit.matrices.build import build
from mixfit.matrices.types import MEAN
from mixfit.model.base import MixedModel, known_among, refuse_held
from mixfit.model.deviations import hold_deviations
from mixfit.model.further import check_response
from mixfit.model.generalized import GeneralizedMixedModel
from mixfit.model.named import mean_places, read_held
from mixfit.model.nominal import refuse_absent, refuse_twice
from mixfit.results.ordinal import OrdinalResults
from mixfit.results.padded import results_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.arguments import Solver
    from mixfit.bayes.priors import Priors
    from mixfit.formula import MixedFormula, PredictorFormula
    from mixfit.glmm.types import GeneralizedEstimate
    from mixfit.gram.row_space import RowSpace
    from mixfit.lmm.surface import Surface
    from mixfit.matrices.types import Design

    Array = NDArray[np.float64]

__all__ = ["OrdinalMixedModel", "ordinal"]

_CONSTANT = "Intercept"


def ordinal(
    formula: str,
    parsed: MixedFormula,
    data: Any,
    family: Ordinal,
    weights: str | ArrayLike | None,
    offset: str | ArrayLike | None,
    na_action: Literal["drop", "raise", "exclude"],
    context: Mapping[str, Any] | None,
    beside: Mapping[str, str | None],
    fixed: Mapping[str, float] | None = None,
    solver: Solver = "auto",
) -> OrdinalMixedModel:
    """A mixed model of ordered categories from a parsed formula and a data frame; see `mixfit.mixed`.

    `beside` are the formulas of nominal and of scale effects, by name.
    """
    further: dict[str, PredictorFormula] = {}
    for name, text in ((name, text) for name, text in beside.items() if text is not None):
        further[name] = parse_predictor(text)
        if further[name].random or further[name].offsets:
            raise FormulaError(f"{name}={text!r}: the formula of an ordinal model takes fixed terms only.")
    asked = (weights, offset, na_action, context)
    links = {MEAN: family.link, NOMINAL: family.link, DISPERSION: LINKS["log"]}
    design = build(parsed, data, *asked, categories="ordered", residual=False, links=links, further=further)
    for predictor in design.predictors:
        what = "the formula" if predictor.name == MEAN else f"{predictor.name}="
        if _CONSTANT not in predictor.exog_names:
            raise FormulaError(
                f"The thresholds of an ordinal model are in the place of the intercept, and {what} without one would "
                "code factors for a constant that is there already: leave out 0 or -1."
            )
        if predictor.name != MEAN and predictor.X.shape[1] == 1:
            raise FormulaError(f"{what} names no variable: the constant is among the thresholds already.")
    design, known = hold_deviations(design, fixed or {})
    return OrdinalMixedModel(formula, replace(design, solver=solver), family, known)


class OrdinalMixedModel(GeneralizedMixedModel):
    """A mixed model of a response in ordered categories.

    Parameters
    ----------
    formula : str
    design : Design
        y are the categories' numbers, from 1 on. Its constant column is zero: the thresholds are in its place.
    family : Ordinal
    fixed : mapping of str to float, optional
        Coefficients of location that are known, by name.

    Examples
    --------
    >>> import mixfit
    >>> wine = mixfit.datasets.load("wine")
    >>> model = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family="cumulative")
    >>> model.categories, model.exog_names
    (('1', '2', '3', '4', '5'), ('temp[T.warm]', 'contact[T.yes]'))
    >>> round(model.fit().llf, 3)
    -81.565
    """

    family: Ordinal

    def __init__(self, formula: str, design: Design, family: Ordinal, fixed: Mapping[str, float] | None = None) -> None:
        design = _without_constant(design)
        assert design.categories is not None
        prior = np.ones(len(design.y)) if design.weights is None else design.weights
        self._nominal, self._scale = further_columns(design, NOMINAL), further_columns(design, DISPERSION)
        parts = (None if columns is None else columns.X for columns in (self._nominal, self._scale))
        own = family.of([str(c) for c in design.categories], *parts)
        check_response(design, own)
        self.family, self.centred = own, centred(own, design.X)
        inner = replace(design, X=design.X - self.centred.means, further=())
        self._assembly = assemble_generalized(inner, self.centred.family.start(design.y, prior))
        MixedModel.__init__(self, formula, design, self._assembly.fixed.kept)
        self._held, self.known_effects = read_held(mean_places(self.exog_names), fixed or {}), dict(fixed or {})
        if self._nominal is not None:
            refuse_twice(design, self._nominal.X, self.kept)
            refuse_absent(design, own)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, from the lowest to the highest."""
        return self.family.categories

    @property
    def description(self) -> str:
        """The formula, and those of nominal and scale effects."""
        asked = [("nominal", self.nominal_names), ("scale", self.scale_names)]
        further = [f"{what}: {' + '.join(names)}" for what, names in asked if names]
        return "; ".join([self.formula, *further, *self._known_text])

    @property
    def aliased(self) -> tuple[str, ...]:
        """Fixed-effects columns left out because earlier ones determine them; the constant is none of them."""
        return tuple(name for name in super().aliased if name != _CONSTANT)

    @cached_property
    def row_space(self) -> RowSpace:
        """Which linear functions of the columns of ``design.X`` the data tell, the constant being the thresholds'."""
        X = self.design.X.copy()
        X[:, self.constant] = 1.0
        return row_space(X, np.sort(np.append(self.kept, self.constant)))

    @property
    def constant(self) -> int:
        """Column of ``design.X`` for the constant, which is zero."""
        return self.design.exog_names.index(_CONSTANT)

    @property
    def reach(self) -> tuple[Array, tuple[str, ...]]:
        """What thresholds, location and scale effects add to the thresholds of all rows, and then to log s."""
        J, n, names = self.family.thresholds.J, len(self.design.y), (*self.threshold_names, *self.exog_names)
        nominal = np.broadcast_to(self.family.nominal, (len(self.family.nominal), n))
        both = [np.kron(J, w[:, None]) for w in nominal] + [np.tile(self.exog, (len(J), 1))]
        scale = np.empty((n, 0)) if self._scale is None else self._scale.X
        return np.asarray(block_diag(np.column_stack(both), scale)), (*names, *self.scale_names)

    def fit(
        self,
        *,
        n_agq: int = 1,
        method: Literal["ml", "pql"] = "ml",
        start: Sequence[ArrayLike] | ArrayLike | Mapping[str, float] | None = None,
        start_fixed: ArrayLike | None = None,
        priors: Priors | str | None = None,
    ) -> OrdinalResults:
        """Estimate by maximum likelihood.

        Parameters
        ----------
        n_agq : int
            Quadrature points a random column: 1 is the Laplace approximation, more is adaptive Gauss-Hermite
            quadrature, for models with one grouping factor and up to 3 random columns.
        method : {"ml"}
        start, start_fixed
            As of other generalized models: theta, and the coefficients of location, to start from.

        Returns
        -------
        OrdinalResults

        Raises
        ------
        FitError
            As of other generalized models; and for `n_agq` = 0 and penalized quasi-likelihood.

        Examples
        --------
        >>> import mixfit
        >>> wine = mixfit.datasets.load("wine")
        >>> model = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family="cumulative(probit)")
        >>> model.fit(n_agq=9).params.round(2).tolist()
        [-0.93, 0.89, 2.47, 3.54, 1.8, 1.05]
        """
        if method == "pql" or n_agq == 0:
            raise FitError(
                "Penalized quasi-likelihood, and the fast approximation n_agq=0, are for models of a mean, which "
                "ordered categories have none of. Use n_agq=1, the Laplace approximation, or more nodes."
            )
        if priors is not None:
            raise PriorError("Thresholds have no priors yet: leave priors= out.")
        fit = super().fit(n_agq=n_agq, method=method, start=start, start_fixed=start_fixed)
        return cast("OrdinalResults", fit)

    def _results(self, estimate: GeneralizedEstimate) -> OrdinalResults:
        return results_of(OrdinalResults, self, self.centred.outward(estimate, self.kept))

    def conditional_covariance(self, estimate: GeneralizedEstimate, *, of: str = MEAN) -> tuple[Array, ...]:
        """Cov(b_j | y) of every level of every term at the mode, shapes (q_t, k_t, k_t).

        Parameters
        ----------
        estimate : GeneralizedEstimate
        of : {"mean"}

        Returns
        -------
        tuple of ndarray, shape (q_t, k_t, k_t)
        """
        return super().conditional_covariance(self.centred.inward(estimate, self.kept), of=of)

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
        X, Z, codes
            As of other generalized models.

        Returns
        -------
        ndarray, shape (m,)
        """
        return super().prediction_variance(self.centred.inward(estimate, self.kept), X, Z, codes)

    def _refuse_separation(self, estimate: GeneralizedEstimate | None) -> None:
        """Raise FitError where thresholds and location run away together, all responses more probable on the way.

        Each is where some u_j = tau_j - eta rise and some fall: where rows (J_j w, -x) and (-J_j w, x) do.
        """
        problem, family = self._assembly.problem, self.family
        J, n = family.thresholds.J, len(self.design.y)
        (up, rising), (down, falling) = map(np.nonzero, KINDS[family.density].moves(self.design.y, len(J)))
        doubts = None
        if estimate is not None and estimate.certificate.converged:
            fitted = cast("Ordinal", problem.at(estimate.shape).family)
            below, above = fitted.threshold_doubt(estimate.eta)
            doubts = np.concatenate([below[up, rising], above[down, falling]])
            if doubts.min() >= CERTAIN:
                return
        nominal = np.broadcast_to(family.nominal, (len(family.nominal), n))
        thresholds = np.einsum("cn,ja->njca", nominal, J).reshape(n, len(J), -1)
        X, names = self.free_exog
        rows = np.vstack(
            [
                np.column_stack([thresholds[rising, up], -X[rising]]),
                np.column_stack([-thresholds[falling, down], X[falling]]),
            ]
        )
        refuse_separation(rows, (*self.threshold_names, *names), self.design.endog_name, np.ones(len(rows)), doubts)

    def working_model(self, estimate: GeneralizedEstimate) -> NoReturn:
        """There is none: the linear model of a scoring step has no thresholds.

        Parameters
        ----------
        estimate : GeneralizedEstimate

        Raises
        ------
        FitError
            Always.
        """
        raise FitError(
            "Leverages and deletions are of a linear model at the modes, and ordered categories have thresholds beside "
            "it: use influence(refit=True)."
        )

    def likelihood_surface(self, estimate: GeneralizedEstimate, *, reml: bool) -> Surface:
        """-2 log-likelihood around an estimate, thresholds and scale effects included.

        Parameters
        ----------
        estimate : GeneralizedEstimate
        reml : bool

        Returns
        -------
        Surface
        """
        refuse_held(self)
        return surface_around(self._assembly, self.centred.inward(estimate, self.kept))

    @property
    def nominal_names(self) -> tuple[str, ...]:
        """Names of the columns that thresholds depend on, beside the constant."""
        return () if self._nominal is None else self._nominal.names[1:]

    @property
    def threshold_names(self) -> tuple[str, ...]:
        """Names of the thresholds' parameters, nominal effects among them."""
        return self.family.threshold_names(self.nominal_names)

    @property
    def scale_names(self) -> tuple[str, ...]:
        """Names of the columns that the scale depends on."""
        return () if self._scale is None else self._scale.names

    def with_response(self, y: ArrayLike) -> OrdinalMixedModel:
        """The same model of another response, shape (n,): the numbers of its categories, from 1 on.

        Parameters
        ----------
        y : array_like, shape (n,)
            In the order of the rows used.

        Returns
        -------
        OrdinalMixedModel
        """
        model = copy.copy(self)
        numbers = self._checked_response(y)
        if not np.isin(numbers, np.arange(1.0, len(self.categories) + 1.0)).all():
            raise FitError(f"The response is a number from 1 to {len(self.categories)} in every row.")
        model.design = replace(self.design, y=numbers)
        check_response(model.design, self.family)
        inner = self.centred.family.start(numbers, self._assembly.problem.prior)
        problem = replace(self._assembly.problem, y=numbers, family=inner)
        model._assembly = replace(self._assembly, problem=problem)
        return model

    def with_family(self, family: Any) -> OrdinalMixedModel:
        """The same predictors of the same response under another distribution of ordered categories.

        Parameters
        ----------
        family : str or Ordinal

        Returns
        -------
        OrdinalMixedModel

        Raises
        ------
        FitError
            For a family of other responses.
        """
        other = resolve_family(family)
        if not isinstance(other, Ordinal):
            raise FitError(f"{other!r} is no family of ordered categories, such as 'cumulative' or 'sratio'.")
        return OrdinalMixedModel(self.formula, self.design, other, self.known_effects)

    def with_data(self, data: Any) -> OrdinalMixedModel:
        """None: the categories are those of the response, which has to be read with them."""
        return MixedModel.with_data(self, data)

    def with_design(self, design: Design) -> OrdinalMixedModel:
        """The same kind of model, with the same family, of another design; coefficients that it lacks are not held."""
        return OrdinalMixedModel(self.formula, design, self.family, known_among(self.known_effects, design))


def _without_constant(design: Design) -> Design:
    """The design with zeros in the place of the constant, which the thresholds are."""
    return replace(design, X=design.X * [name != _CONSTANT for name in design.exog_names])
