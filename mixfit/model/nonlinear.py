"""Nonlinear mixed models: a curve whose parameters have fixed and random effects."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.arguments import check_flag
from mixfit.curves.mean import CurveExpression, self_starting
from mixfit.errors import DataError, DesignError, FitError
from mixfit.formula import parse
from mixfit.formula.nonlinear import fixed_terms, parse_nonlinear
from mixfit.glmm.nodes import check_rule
from mixfit.gram.basis import fixed_basis
from mixfit.gram.residual import ResidualStage
from mixfit.helped import helped
from mixfit.lmm.assemble import random_rows
from mixfit.lmm.residual.forms import residual_form
from mixfit.log import finished
from mixfit.matrices.across import refuse_given, refuse_related
from mixfit.matrices.build import build
from mixfit.matrices.columns import Columns
from mixfit.matrices.rows import subset
from mixfit.model.base import MixedModel
from mixfit.model.call import remembered
from mixfit.model.curve_starts import check_finite, coefficient_start
from mixfit.model.spread import SpreadFormula, read_spread
from mixfit.model.stack import PredictorStack, check_names, check_parameters, complete_rows, weights_of_rows
from mixfit.nlmm.conditional import conditional_covariance, place_of, prediction_variance, working_model_at
from mixfit.nlmm.estimate import estimate
from mixfit.nlmm.laplace import NonlinearLaplace
from mixfit.nlmm.problem import make_problem
from mixfit.nlmm.quadrature import Quadrature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.curves.mean import BoundCurve
    from mixfit.factor.plan import SymbolicPlan
    from mixfit.lmm.surface import Surface
    from mixfit.lmm.working import WorkingModel
    from mixfit.matrices.types import Design
    from mixfit.model.spread import SpreadColumns
    from mixfit.nlmm.estimate import NonlinearEstimate
    from mixfit.results.nonlinear import NonlinearResults

    Array = NDArray[np.float64]

__all__ = ["NonlinearMixedModel", "nonlinear"]


@remembered
@helped
def nonlinear(
    formula: str,
    data: Any,
    start: Mapping[str, float] | None = None,
    *,
    fixed: str | Sequence[str] = (),
    weights: str | ArrayLike | None = None,
    dispersion: str | None = None,
    na_action: Literal["drop", "raise"] = "drop",
    context: Mapping[str, Any] | None = None,
) -> NonlinearMixedModel:
    """A nonlinear mixed model from lme4's three-part formula and a data frame.

    Parameters
    ----------
    formula : str
        ``response ~ curve ~ random``. The curve is an expression of columns and parameters: one of R's
        self-starting curves (``SSlogis(age, Asym, xmid, scal)``, ``SSasymp``, ``SSasympOff``, ``SSasympOrig``,
        ``SSbiexp``, ``SSfol``, ``SSfpl``, ``SSgompertz``, ``SSmicmen``, ``SSweibull``), arithmetic such as
        ``a * exp(-k * t)``, or a function of arrays from `context`. The random terms have parameters left of the
        bar, without an intercept: ``Asym | Tree``, ``(Asym + xmid | Tree)``, ``(0 + lKa + lCl || Subject)``. As in
        lme4 an intercept (``1``, or ``||`` without ``0``) moves all parameters alike.
    data : pandas.DataFrame, or any table that narwhals reads eagerly
    start : mapping of str to float, optional
        Of every parameter; by default self-starting curves find their own. Names what the parameters are where the
        curve is another.
    fixed : str or sequence of str
        Formulas of parameters that depend on covariates: ``"Asym ~ treatment"``, or a list of several.
    weights : str or array-like, shape (n,), optional
        The residual variance of row i is sigma**2 / w_i.
    dispersion : str, optional
        Formula of the logarithm of the residual standard deviation: ``"~ group"`` gives each group its own,
        ``"~ log(t)"`` makes it a power of a covariate and ``"~ t"`` an exponential (nlme's ``varIdent``, ``varPower``
        and ``varExp``).
    na_action : {"drop", "raise"}
    context : mapping, optional
        Names that the curve and the formulas may use besides the columns. A function of arrays whose body is made
        of arithmetic and numpy's functions is differentiated exactly, any other by central differences.

    Returns
    -------
    NonlinearMixedModel

    Raises
    ------
    FormulaError, DataError
        For anything that cannot be read; a parameter that has no start, or that the curve does not name.

    Examples
    --------
    >>> import mixfit, numpy as np, pandas as pd
    >>> rng = np.random.default_rng(1)
    >>> t, g = np.tile(np.arange(8.0), 6), np.repeat(list("abcdef"), 8)
    >>> asym = 100.0 + np.repeat(rng.normal(0.0, 10.0, 6), 8)
    >>> data = pd.DataFrame({"t": t, "g": g, "y": asym / (1.0 + np.exp(3.0 - t)) + rng.normal(size=48)})
    >>> fit = mixfit.nonlinear("y ~ SSlogis(t, Asym, xmid, scal) ~ Asym | g", data).fit()
    >>> fit.params.round(1).to_dict()
    {'Asym': 102.4, 'xmid': 3.0, 'scal': 1.0}
    """
    parsed = parse_nonlinear(formula)
    columns = Columns(data)
    known = self_starting(parsed.curve)
    parameters = tuple(start) if start is not None else known[2] if known is not None else ()
    check_parameters(parsed.curve, parsed.names, parameters, columns, known is not None)
    named = {name: value for name, value in (context or {}).items() if name not in columns}
    covariates = tuple(name for name in parsed.names if name not in parameters and name in columns)
    expression = CurveExpression(parsed.curve, covariates, parameters, named)
    check_names(expression, parsed.names, known is not None)
    own = (fixed,) if isinstance(fixed, str) else tuple(fixed)
    terms = parsed.fixed or fixed_terms(own, parameters)
    stacked = parse(f"{parsed.response} ~ 0 + {terms} + {' + '.join(parsed.random)}")
    needed = tuple(dict.fromkeys(name for name in stacked.variables if name in columns and name not in parameters))
    extra = (weights,) if isinstance(weights, str) and weights in columns else ()
    spread_formula = None if dispersion is None else SpreadFormula.read(parsed.response, dispersion)
    if spread_formula is not None:
        extra = (*extra, *(name for name in spread_formula.variables if name in columns))
    stack = PredictorStack(expression, (*needed, *(name for name in dict.fromkeys(extra) if name not in needed)))
    keep = complete_rows(columns, (*stack.needed, *covariates), na_action)
    frame = {name: column if keep is None else column[keep] for name, column in stack.columns(columns).items()}
    rows, given = pd.DataFrame(frame), weights_of_rows(weights, columns.n_rows, keep)
    # What is wrong with responses and weights is told of the rows themselves: each is in the stack several times.
    build(parse(f"{parsed.response} ~ 1", random=False), rows, given, None, "raise", named, check=False)
    prior = np.tile(given, len(parameters)) if isinstance(given, np.ndarray) else given
    design = build(stacked, stack.frame(columns, keep), prior, None, "raise", named)
    if len(design.y) != len(parameters) * (columns.n_rows if keep is None else int(keep.sum())):
        raise DataError("Rows of weight zero: leave them out of the data of a nonlinear model.")
    n_dropped = 0 if keep is None else int((~keep).sum())
    design = replace(design, n_dropped=n_dropped, frame=frame)
    spread = None if spread_formula is None else read_spread(spread_formula, rows, named)
    curve = stack.curve(columns, keep)
    model = NonlinearMixedModel(formula, design, stack, curve, spread, () if parsed.fixed else own)
    model.start = coefficient_start(model.curve, model.endog, model.exog_names, start, known)
    return model


class NonlinearMixedModel(MixedModel):
    """A mixed model whose mean is a curve.

    Parameters
    ----------
    formula : str
    design : Design
        Of the stack: a block of the rows for every parameter of the curve. Its frame is that of the rows themselves.
    stack
        How new rows become a stack.
    curve : BoundCurve
        The curve at the covariates of the rows.
    spread : SpreadColumns, optional
        What the log standard deviations of the residuals are linear in.
    fixed : sequence of str
        Formulas of the parameters that depend on covariates, beside those of `formula`.
    """

    start: Array

    def __init__(
        self,
        formula: str,
        design: Design,
        stack: PredictorStack,
        curve: BoundCurve,
        spread: SpreadColumns | None = None,
        fixed: Sequence[str] = (),
    ) -> None:
        refuse_related(design.random, "a nonlinear model")
        refuse_given(design.random, "a nonlinear model")
        basis = fixed_basis(np.ascontiguousarray(design.X.T))
        super().__init__(formula, design, basis.kept)
        self.stack, self.curve, self.spread, self.fixed = stack, curve, spread, tuple(fixed)
        size = len(stack.expression.parameters)
        n = len(design.y) // size
        rows, terms, self._bases = random_rows(design.random, ResidualStage())
        X = np.ascontiguousarray(self.exog.T).reshape(len(self.kept), size, n)
        weights = None if design.weights is None else design.weights[:n]
        columns = None if spread is None else spread.residual.spread
        self._problem = make_problem(curve, design.y[:n], weights, X, rows, terms, columns)

    @property
    def description(self) -> str:
        """The formula, and what parameters of the curve and the residual standard deviations depend on."""
        fixed = [f"fixed = {', '.join(self.fixed)}"] if self.fixed else []
        spread = [] if self.spread is None else [f"dispersion = {self.spread.text}"]
        return ", ".join([self.formula, *fixed, *spread])

    @property
    def spread_names(self) -> tuple[str, ...]:
        """Columns that the log standard deviations of the residuals are linear in."""
        return () if self.spread is None else self.spread.residual.spread_names

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the curve's parameters."""
        return self.stack.expression.parameters

    @property
    def factorization(self) -> SymbolicPlan:
        """The symbolic phase of the factor of random effects."""
        return self._problem.plan

    @property
    def endog(self) -> Array:
        """Response, shape (n,)."""
        return self._problem.y

    @property
    def observations(self) -> Design:
        """The rows of the data, without columns of X; Z is that of all parameters of the curve together."""
        design, n, size = self.design, len(self.endog), len(self.parameters)
        groupings = {id(t.grouping): replace(t.grouping, codes=t.grouping.codes[:n]) for t in design.random}
        random = tuple(
            replace(t, grouping=groupings[id(t.grouping)], Z=t.Z.reshape(size, n, -1).sum(axis=0))
            for t in design.random
        )
        return replace(
            design,
            y=self.endog,
            X=np.empty((n, 0)),
            exog_names=(),
            random=random,
            weights=None if design.weights is None else design.weights[:n],
            index=design.index[:n],
            fixed=None,
            variables=None,
        )

    def fit(
        self, *, n_agq: int = 1, method: Literal["laplace", "lb"] = "laplace", reml: bool = False
    ) -> NonlinearResults:
        """Estimate by maximum likelihood, or by Lindstrom and Bates' algorithm.

        Parameters
        ----------
        n_agq : int
            Points of adaptive Gauss-Hermite quadrature, for models of one grouping factor; 1 is the Laplace
            approximation.
        method : {"laplace", "lb"}
            ``"laplace"`` maximizes the likelihood, its integral approximated as `n_agq` says; ``"lb"`` is the
            alternating algorithm of nlme (Lindstrom & Bates 1990), whose likelihood is that of the linear model beside
            the estimates, for comparison.
        reml : bool
            Of ``"lb"`` only.

        Returns
        -------
        NonlinearResults

        Raises
        ------
        FitError
            Where the curve is not finite at the start, or cannot be fitted to the groups.
        """
        from mixfit.results.nonlinear import NonlinearResults

        check_flag("reml", reml)
        if n_agq != int(n_agq) or n_agq < 1:
            raise FitError(f"n_agq is a positive whole number of quadrature points, not {n_agq!r}.")
        if method not in ("laplace", "lb"):
            raise FitError(f"method is 'laplace' or 'lb', not {method!r}.")
        if n_agq > 1:
            if method == "lb":
                raise FitError("n_agq is for method='laplace': Lindstrom and Bates' algorithm has no integral.")
            check_rule(n_agq, self._problem.pattern.k, self._problem.terms)
        if reml and method != "lb":
            raise FitError("REML is for method='lb': the Laplace approximation is of the likelihood.")
        start = self._problem.parameters(self.start, self._problem.no_effects())
        check_finite(self.curve, start, self.design.index)
        nothing = [term.structure.starts(np.zeros(term.k))[0] for term in self._problem.terms]
        form = None if self.spread is None or method != "lb" else residual_form(self.spread.residual)
        found = estimate(
            self._problem, self._bases, self.start, nothing, method=method, reml=reml, n_agq=int(n_agq), form=form
        )
        end = found.certificate
        finished(self.formula, len(self.endog), found.criterion, end.n_evaluations, end.message)
        return NonlinearResults(self, found)

    def with_response(self, y: ArrayLike) -> NonlinearMixedModel:
        """The same model of another response, shape (n,)."""
        values = np.asarray(y, dtype=float)
        if values.shape != self.endog.shape or not np.isfinite(values).all():
            raise DataError(f"The new response is {len(self.endog)} finite numbers, one for each row used.")
        model = copy.copy(self)
        model.design = replace(self.design, y=np.tile(values, len(self.parameters)))
        model._problem = replace(self._problem, y=values)
        return model

    def with_design(self, design: Design) -> NonlinearMixedModel:
        """Not for these models: a design alone has no covariates."""
        raise DesignError("A nonlinear model is made anew from its formula and the rows wanted.")

    def of_rows(self, keep: NDArray[np.bool_]) -> NonlinearMixedModel:
        """The same model of some of its rows, `keep` of shape (n,)."""
        if keep.shape != self.endog.shape:
            raise DesignError(f"The model has {len(self.endog)} rows, and keep= tells of {len(keep)}.")
        frame = {name: column[keep] for name, column in (self.design.frame or {}).items()}
        design = replace(subset(self.design, np.tile(keep, len(self.parameters))), frame=frame)
        spread = None if self.spread is None else self.spread.of_rows(keep)
        model = NonlinearMixedModel(self.formula, design, self.stack, self.curve.of_rows(keep), spread, self.fixed)
        model.start = self.start[np.isin(self.kept, model.kept)]
        return model

    def conditional_covariance(self, estimate: NonlinearEstimate) -> tuple[Array, ...]:
        """Cov(b_j | y, beta) of every level of every term at the modes, shapes (q_t, k_t, k_t).

        Parameters
        ----------
        estimate : NonlinearEstimate

        Returns
        -------
        tuple of ndarray, shape (q_t, k_t, k_t)
            A term each, all scales included.
        """
        return conditional_covariance(self._problem, self._bases, estimate)

    def prediction_variance(
        self,
        estimate: NonlinearEstimate,
        X: Array,
        Z: Sequence[Array | None],
        codes: Sequence[NDArray[np.intp] | None],
    ) -> Array:
        """Variance of predictions, rows (m, p) and (m, k_t) being slopes of the curve times those of its parameters.

        Parameters
        ----------
        estimate : NonlinearEstimate
        X : ndarray, shape (m, p)
        Z : sequence of ndarray, shape (m, k_t), or None
        codes : sequence of ndarray of intp, shape (m,), or None

        Returns
        -------
        ndarray, shape (m,)
        """
        return prediction_variance(self._problem, self._bases, estimate, X, Z, codes)

    def working_model(self, estimate: NonlinearEstimate) -> WorkingModel:
        """The linear mixed model beside the estimates: what leverages and deletions are computed from.

        Parameters
        ----------
        estimate : NonlinearEstimate

        Returns
        -------
        WorkingModel
        """
        return working_model_at(self._problem, self._bases, estimate)

    def likelihood_surface(self, estimate: NonlinearEstimate, *, reml: bool) -> Surface:
        """-2 log-likelihood around the estimates, for profiles and curvatures.

        Parameters
        ----------
        estimate : NonlinearEstimate
        reml : bool
            There is no restricted likelihood: False.

        Returns
        -------
        Surface

        Raises
        ------
        FitError
            For the alternating algorithm, which maximizes no likelihood of the model.
        """
        from mixfit.nlmm.surface import NonlinearSurface

        if estimate.method == "lb" or reml:
            raise FitError(
                "Lindstrom and Bates' algorithm maximizes no one likelihood whose profile there would be: use "
                "fit(method='laplace')."
            )
        n_agq = estimate.n_agq
        approximation = NonlinearLaplace(self._problem) if n_agq == 1 else Quadrature(self._problem, n_agq)
        point = approximation.evaluate(place_of(self._problem, self._bases, estimate))
        errors, spread_errors = (np.sqrt(np.diagonal(c)) for c in (estimate.cov_beta, estimate.cov_gamma))
        return NonlinearSurface(approximation, self._bases, point, errors, spread_errors)
