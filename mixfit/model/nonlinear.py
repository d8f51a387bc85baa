"""Nonlinear mixed models: a curve whose parameters have fixed and random effects.

The parameters' linear predictors are read from a stack of the rows, as ``nlmer`` reads them: a block for every
parameter of the curve, in which the column of its name is one and those of the others are zero.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from mixfit.arguments import check_flag
from mixfit.curves.mean import CurveExpression, self_starting
from mixfit.curves.selfstart import curve_start
from mixfit.errors import ArgumentError, DataError, DesignError, FitError, FormulaError
from mixfit.formula import parse
from mixfit.formula.nonlinear import fixed_terms, parse_nonlinear
from mixfit.gram.basis import fixed_basis
from mixfit.gram.residual import ResidualStage
from mixfit.helped import helped
from mixfit.lmm.assemble import random_rows
from mixfit.matrices.across import refuse_given, refuse_related
from mixfit.matrices.build import build
from mixfit.matrices.columns import Columns
from mixfit.model.base import MixedModel
from mixfit.model.call import remembered
from mixfit.nlmm.estimate import estimate
from mixfit.nlmm.problem import make_problem
from mixfit.progress import finished

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from mixfit.curves.mean import BoundCurve
    from mixfit.factor.plan import Plan
    from mixfit.matrices.types import Design
    from mixfit.results.nonlinear import NonlinearResults

    Array = NDArray[np.float64]

__all__ = ["NonlinearMixedModel", "nonlinear"]


@dataclass(frozen=True, eq=False)
class _Stack:
    """How rows become a stack: the columns that the predictors look up, and the curve."""

    expression: CurveExpression
    needed: tuple[str, ...]

    def frame(self, columns: Columns, keep: NDArray[np.bool_] | None = None) -> pd.DataFrame:
        """Blocks of the rows, one a parameter, with the parameters' indicators."""
        rows = pd.DataFrame({name: columns.labelled(name) for name in self.needed if name in columns})
        rows.index = columns.index
        if keep is not None:
            rows = rows[keep]
        parameters = self.expression.parameters
        blocks = [rows.assign(**{q: float(q == p) for q in parameters}) for p in parameters]
        return pd.concat(blocks)

    def curve(self, columns: Columns, keep: NDArray[np.bool_] | None = None) -> BoundCurve:
        """The curve at the rows' covariates."""
        values = {}
        for name in self.expression.covariates:
            if columns.kind(name) != "number":
                raise DataError(f"The curve's covariate {name!r} is not numeric.")
            x = columns.labelled(name).to_numpy(dtype=float, na_value=np.nan)
            values[name] = x if keep is None else x[keep]
        return self.expression.at(values)


@remembered
@helped
def nonlinear(
    formula: str,
    data: Any,
    start: Mapping[str, float] | None = None,
    *,
    fixed: Sequence[str] = (),
    weights: str | ArrayLike | None = None,
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
    fixed : sequence of str
        Formulas of parameters that depend on covariates: ``["Asym ~ treatment"]``.
    weights : str or array-like, shape (n,), optional
        The residual variance of row i is sigma**2 / w_i.
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
    _check_parameters(parsed.curve, parsed.names, parameters, columns, known is not None)
    named = {name: value for name, value in (context or {}).items() if name not in columns}
    covariates = tuple(name for name in parsed.names if name not in parameters and name in columns)
    expression = CurveExpression(parsed.curve, covariates, parameters, named)
    terms = parsed.fixed or fixed_terms(fixed, parameters)
    stacked = parse(f"{parsed.response} ~ 0 + {terms} + {' + '.join(parsed.random)}")
    needed = tuple(dict.fromkeys(name for name in stacked.variables if name in columns and name not in parameters))
    extra = (weights,) if isinstance(weights, str) and weights in columns else ()
    stack = _Stack(expression, (*needed, *(name for name in extra if name not in needed)))
    keep = _complete(columns, (*stack.needed, *covariates), na_action)
    rows = None if weights is None or isinstance(weights, str) else np.asarray(weights, dtype=float)
    prior = weights if rows is None else np.tile(rows if keep is None else rows[keep], len(parameters))
    design = build(stacked, stack.frame(columns, keep), prior, None, "raise", named)
    if len(design.y) != len(parameters) * (columns.n_rows if keep is None else int(keep.sum())):
        raise DataError("Rows of weight zero: leave them out of the data of a nonlinear model.")
    n_dropped = 0 if keep is None else int((~keep).sum())
    model = NonlinearMixedModel(formula, replace(design, n_dropped=n_dropped), stack, stack.curve(columns, keep))
    model.start = _start_values(model, start, known)
    return model


class NonlinearMixedModel(MixedModel):
    """A mixed model whose mean is a curve.

    Parameters
    ----------
    formula : str
    design : Design
        Of the stack: a block of the rows for every parameter of the curve.
    stack
        How new rows become a stack.
    curve : BoundCurve
        The curve at the covariates of the rows.
    """

    start: Array

    def __init__(self, formula: str, design: Design, stack: _Stack, curve: BoundCurve) -> None:
        refuse_related(design.random, "a nonlinear model")
        refuse_given(design.random, "a nonlinear model")
        basis = fixed_basis(np.ascontiguousarray(design.X.T))
        super().__init__(formula, design, basis.kept)
        self.stack, self.curve = stack, curve
        size = len(stack.expression.parameters)
        n = len(design.y) // size
        rows, terms, self._bases = random_rows(design.random, ResidualStage())
        X = np.ascontiguousarray(self.exog.T).reshape(len(self.kept), size, n)
        weights = None if design.weights is None else design.weights[:n]
        self._problem = make_problem(curve, design.y[:n], weights, X, rows, terms)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the curve's parameters."""
        return self.stack.expression.parameters

    @property
    def factorization(self) -> Plan:
        """The symbolic phase of the factor of random effects."""
        return self._problem.plan

    @property
    def endog(self) -> Array:
        """Response, shape (n,)."""
        return self._problem.y

    def fit(
        self, *, n_agq: int = 1, method: Literal["laplace", "lb"] = "laplace", reml: bool = False
    ) -> NonlinearResults:
        """Estimate by maximum likelihood in the Laplace approximation, or by Lindstrom and Bates' algorithm.

        Parameters
        ----------
        n_agq : int
            1, the Laplace approximation.
        method : {"laplace", "lb"}
            ``"lb"`` is the alternating algorithm of nlme (Lindstrom & Bates 1990): the likelihood of the linear
            model beside the estimates, for comparison.
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
        if n_agq != 1:
            raise FitError(f"A nonlinear model is fitted by the Laplace approximation, n_agq=1, not {n_agq!r}.")
        if method not in ("laplace", "lb"):
            raise FitError(f"method is 'laplace' or 'lb', not {method!r}.")
        if reml and method != "lb":
            raise FitError("REML is for method='lb': the Laplace approximation is of the likelihood.")
        nothing = [term.structure.starts(np.zeros(term.k))[0] for term in self._problem.terms]
        found = estimate(self._problem, self._bases, self.start, nothing, method=method, reml=reml)
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


def _check_parameters(
    curve: str, names: Sequence[str], parameters: Sequence[str], columns: Columns, self_starts: bool
) -> None:
    if not parameters:
        raise FormulaError(
            f"The curve {curve!r} is no self-starting one: start= gives a value for every parameter, by name."
        )
    for name in parameters:
        if name in columns:
            raise FormulaError(f"The parameter {name!r} is a column of the data too: rename one of them.")
        if name not in names:
            raise FormulaError(f"start= names the parameter {name!r}, which the curve {curve!r} does not.")
    if self_starts:
        own = self_starting(curve)
        missing = [] if own is None else [name for name in own[2] if name not in parameters]
        if missing:
            raise FormulaError(
                f"start= has no value for {', '.join(missing)}: it names every parameter, or is left out."
            )


def _complete(columns: Columns, names: Sequence[str], na_action: str) -> NDArray[np.bool_] | None:
    """Rows in which nothing that the model uses is missing; None for all."""
    if na_action not in ("drop", "raise"):
        raise ArgumentError(f"na_action is 'drop' or 'raise', not {na_action!r}.")
    missing = {name: columns.labelled(name).isna().to_numpy() for name in dict.fromkeys(names)}
    gone = np.any(list(missing.values()), axis=0)
    if not gone.any():
        return None
    counts = ", ".join(f"{name} ({int(rows.sum())})" for name, rows in missing.items() if rows.any())
    if na_action == "raise":
        raise DataError(f"Missing values: {counts}. na_action='drop' leaves these rows out.")
    if gone.all():
        raise DataError(f"No row is left: every row has a missing value: {counts}.")
    return np.asarray(~gone)


def _start_values(
    model: NonlinearMixedModel, start: Mapping[str, float] | None, known: tuple[Any, ...] | None
) -> Array:
    """Coefficients to start from: the parameters' own, everything that depends on covariates zero."""
    if start is None:
        assert known is not None
        values = _self_start(model, *known)
    else:
        values = np.array([float(start[name]) for name in model.parameters])
    if not np.isfinite(values).all():
        wrong = model.parameters[int(np.argmin(np.isfinite(values)))]
        raise FitError(f"The start of {wrong!r} is not finite.")
    own = dict(zip(model.parameters, values.tolist(), strict=True))
    return np.array([own.get(name, 0.0) for name in model.exog_names])


def _self_start(model: NonlinearMixedModel, curve: Any, covariates: Sequence[str], _names: Sequence[str]) -> Array:
    """The pooled least-squares curve, from the best place of the curve's own grid."""
    expression, y = model.stack.expression, model.endog
    inner = [replace(expression, text=text, parameters=()) for text in covariates]
    values = [np.broadcast_to(c.evaluate(model.curve.covariates, ()), y.shape).astype(float) for c in inner]
    first = curve_start(curve, values, y)
    if first is None:
        raise FitError(f"{curve.name} finds no start in these data: give start=.")
    n = len(y)

    def residuals(phi: Array) -> Array:
        return model.curve(np.repeat(phi[:, None], n, axis=1)).value - y

    def slopes(phi: Array) -> Array:
        return model.curve(np.repeat(phi[:, None], n, axis=1)).slope.T

    try:
        return np.asarray(least_squares(residuals, first, slopes, x_scale="jac").x)
    except ValueError:
        # A step to where the curve is not finite: the grid's place is a start, too.
        return first
