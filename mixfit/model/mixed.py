"""A mixed model from a formula and a data frame, linear or generalized as the family says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from mixfit.arguments import check_solver
from mixfit.errors import FormulaError
from mixfit.formula import parse, parse_predictor
from mixfit.helped import helped
from mixfit.matrices.build import build
from mixfit.matrices.some_rows import some_rows
from mixfit.model.call import remembered
from mixfit.model.deviations import hold_deviations, refuse_several_held
from mixfit.model.linear import LinearMixedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from mixfit.arguments import Solver
    from mixfit.families.base import Family
    from mixfit.formula import MixedFormula
    from mixfit.model.generalized import GeneralizedMixedModel
    from mixfit.model.residual import ResidualMixedModel

__all__ = ["mixed"]


@remembered
@helped
def mixed(
    formula: str,
    data: Any,
    family: Any = None,
    *,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    residual: str | None = None,
    dispersion: str | None = None,
    zi: str | None = None,
    nominal: str | None = None,
    sigma: float | str | ArrayLike | None = None,
    fixed: Mapping[str, float] | None = None,
    subset: str | ArrayLike | None = None,
    na_action: Literal["drop", "raise", "exclude"] = "drop",
    context: Mapping[str, Any] | None = None,
    chunk_rows: int | None = None,
    progress: bool = True,
    solver: Solver = "auto",
) -> LinearMixedModel | ResidualMixedModel | GeneralizedMixedModel:
    """A mixed-effects model from a formula and a data frame, or from rows in batches.

    Parameters
    ----------
    formula : str
        ``response ~ fixed + (random | group)`` in lme4's language; everything outside the bars is
        formulaic's. Named covariance structures stand around a bar: ``us``, ``diag``, ``homdiag``, ``cs``,
        ``homcs`` (one correlation), ``ar1``, ``hetar1`` (autoregressive), ``toep``, ``homtoep`` (one correlation a
        lag) of levels or equally spaced times, ``ou(0 + t | g)`` of any times, ``exp``, ``gau``, ``mat`` of places
        ``(0 + x + y | g)``, ``propto(1 | species, K)`` of a known matrix.
    data : pandas.DataFrame, or any table that narwhals reads eagerly (polars, pyarrow)
        String, categorical and boolean columns are factors. Never changed.

        Or a source of rows that need not fit in memory, for linear, binomial and Poisson models: a path, a glob or a
        list of paths of Parquet, CSV or Arrow IPC files; a ``pyarrow.dataset``, an open ``ParquetFile``, a
        ``RecordBatchReader``; a Polars ``LazyFrame``; a DuckDB relation; an Ibis table of any backend; a Dask or Spark
        data frame. Estimates are those of the same rows in memory; what needs rows, such as residuals, raises
        `RowsError`.
    family : str or family instance, optional
        ``"binomial"``, ``"binomial(probit)"``, ``"poisson"``, ``"gamma(log)"``, ``"nbinom2"``, ``"cumulative"`` of
        ordered categories, ``"multinomial(baseline='b')"`` of others, ..., or a statsmodels family. None and the
        Gaussian family with its identity link give a linear mixed model.
    weights : str or array-like, shape (n,), optional
        Prior weights w_i > 0: the residual variance of row i is sigma**2 / w_i. For a binomial response that
        is a proportion, the number of trials. A column, an expression, or one value a row.
    offset : str or array-like, shape (n,), optional
        A known part of the linear predictor.
    residual : str, optional
        How the residuals of a linear model are correlated: ``"us(visit | subject)"``, ``"ar1(time | subject)"``,
        ``"exp(x + y | field)"``, ..., a structure of places within blocks of rows; followed by ``", by=arm"`` for
        parameters of each arm. ``"none"`` leaves all variance to the structured term of the formula. The formula may
        then be without random terms.
    dispersion : str, optional
        A formula of the log standard deviation of residuals, ``"~ sex"``; alone or beside `residual`. Of a
        generalized model: of the logarithm of its dispersion, as glmmTMB has it (gamma: of its shape). With random
        terms, ``"~ x + (1 | g)"``, a Gaussian model is a generalized one, by maximum likelihood.
    zi : str, optional
        A formula of the log odds of a further zero, ``"~ x + (1 | g)"``, beside those of the family. With a family
        that has none (``truncated_poisson``, ``gamma``, ``lognormal``, ``beta``) it is the hurdle: all zeros.
    nominal : str, optional
        Of a model of ordered categories (``cumulative``, ``sratio``, ``cratio``, ``adjacent``): a formula of effects
        that move each threshold by itself, ``"~ x"``, as in ordinal. `dispersion` is then ordinal's ``scale=``, a
        formula of the log scale of the latent variable.
    sigma : float, str or array-like, shape (n,), optional
        A known standard deviation of Gaussian residuals: a number, or one for each row (a column, an expression), as
        the standard errors of studies in a meta-analysis. Fitted by maximum likelihood.
    fixed : mapping of str to float, optional
        Parameters that are known: fixed effects, ``{"x": 1.0, "zi:Intercept": -2.0}`` (not thresholds), standard
        deviations of random terms with one column, ``{"sd((Intercept)|g)": 0.5}`` (one of a linear model), and of a
        generalized model ``phi`` and other parameters of the family. A known fixed effect has a standard error of
        zero and does not count as a parameter: the fit is that of ``offset(1.0 * x)`` without the column, by REML too.
    subset : str or array-like of bool, shape (n,), optional
        Rows that the model is made of: an expression over the columns, ``"age > 20"``, or a truth value a row. Arrays
        of weights and offsets have a value for every row of the data. Rows of a source are filtered there.
    na_action : {"drop", "raise", "exclude"}
        What to do with rows in which something that the model uses is missing. ``"exclude"`` drops them, and gives
        fitted values, residuals, leverages and predictions of the rows of the data with NaN for them.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.
    chunk_rows : int, optional
        Of a source: the most rows that are in memory at a time, 131,072 by default. A frame in memory stays as it is.
    progress : bool
        Of a source: show a bar of rows and bytes for every pass that takes more than two seconds.
    solver : {"auto", "dense", "sparse", "iterative"}
        How the factor of crossed effects is held: as one dense matrix, or as a sparse one, which knows parts that do
        not meet (teachers and pupils of separate schools) and levels that meet few others; by default as costs less,
        which the model's ``plan`` tells. Estimates are the same. ``"iterative"`` is for linear models of more levels
        than fit either way (100,000 users and as many items): log-determinants and traces are estimates by random
        vectors, whose errors ``fit.certificate`` has.

    Returns
    -------
    LinearMixedModel, ResidualMixedModel, GeneralizedMixedModel or OrdinalMixedModel

    Raises
    ------
    FormulaError, DataError, DesignError
        For anything that cannot be read or estimated, before any optimization.

    Examples
    --------
    >>> import mixfit
    >>> pulp = mixfit.datasets.load("pulp")
    >>> fit = mixfit.mixed("bright ~ 1 + (1|operator)", pulp).fit()
    >>> round(fit.sigma, 4)
    0.326

    A known slope, against one that is estimated:

    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> known = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep, fixed={"Days": 8}).fit(reml=False)
    >>> known.params.round(1).tolist(), known.bse.round(1).tolist(), known.npar
    ([252.9, 8.0], [6.6, 0.0], 5)
    >>> free = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit(reml=False)
    >>> print(round(mixfit.anova(known, free)["Chisq"].iloc[1], 2))
    2.51
    """
    check_solver(solver)
    from mixfit.sources.opening import open_source

    source = open_source(data)
    if source is not None:
        from mixfit.model.streamed import streamed

        others: dict[str, Any] = {
            "subset": subset,
            "residual": residual,
            "dispersion": dispersion,
            "zi": zi,
            "nominal": nominal,
            "sigma": sigma,
            "fixed": fixed,
        }
        return streamed(
            formula,
            source,
            weights,
            offset,
            na_action,
            context,
            chunk_rows,
            others,
            solver,
            family,
            progress=progress,
        )
    data, (weights, offset, sigma) = some_rows(subset, data, context, (weights, offset, sigma))
    if sigma is not None:
        family, weights = _known_residuals(sigma, family, weights, residual, dispersion, zi)
    structured = residual is not None or dispersion is not None
    elsewhere = _random_elsewhere(zi, dispersion)
    parsed = parse(formula, random=None if structured or elsewhere else True)
    if elsewhere or (family is not None and family != "gaussian"):
        # Families bring scipy.special along: who fits linear models need not wait for it.
        from mixfit.families.multinomial import Multinomial
        from mixfit.families.ordinal import Ordinal
        from mixfit.families.resolve import resolve_family
        from mixfit.model.generalized import generalized

        resolved = resolve_family("gaussian" if family is None else family)
        # Cross-products know fixed effects of the log standard deviation only.
        if not resolved.is_linear or (elsewhere and zi is None and residual is None):
            if residual is not None:
                raise FormulaError(
                    f"residual= describes the residuals of linear models, and the {resolved.name} family has none: "
                    "describe correlation by a structured random effect, ar1(0 + time | subject)."
                )
            parsed = parse(formula, random=None if elsewhere else True)
            if isinstance(resolved, Ordinal):
                from mixfit.model.ordinal import ordinal

                if zi is not None:
                    raise FormulaError(f"zi= models zeros, and a {resolved.name} response is in categories.")
                beside = {"nominal": nominal, "dispersion": dispersion}
                asked = (weights, offset, na_action, context)
                return ordinal(formula, parsed, data, resolved, *asked, beside, fixed, solver)
            if isinstance(resolved, Multinomial):
                from mixfit.model.multinomial import multinomial

                taken = {"zi": zi, "dispersion": dispersion, "nominal": nominal, "fixed": fixed}
                return multinomial(formula, parsed, data, resolved, weights, offset, na_action, context, taken, solver)
            if nominal is not None:
                raise FormulaError(f"nominal= is of thresholds, and the {resolved.name} family has none.")
            return generalized(
                formula, parsed, data, resolved, weights, offset, na_action, context, zi, dispersion, fixed, solver
            )
    if nominal is not None:
        raise FormulaError("nominal= is of thresholds: give a family that has them, such as 'cumulative'.")
    if zi is not None:
        raise FormulaError("zi= models zeros, which Gaussian responses have none of: give a family with them.")
    if structured:
        if fixed:
            raise FormulaError(
                "fixed= cannot stand beside residual= or dispersion= of linear models: what is known is an offset=."
            )
        return _with_residuals(formula, parsed, data, weights, offset, residual, dispersion, na_action, context, solver)
    design, known = hold_deviations(build(parsed, data, weights, offset, na_action, context), fixed or {})
    refuse_several_held(design)
    return LinearMixedModel(formula, replace(design, solver=solver), known)


def _known_residuals(
    sigma: float | str | ArrayLike,
    family: Any,
    weights: str | ArrayLike | None,
    residual: str | None,
    dispersion: str | None,
    zi: str | None,
) -> tuple[Family, str | ArrayLike | None]:
    """The Gaussian family of known variance, and the weights that stand for one of each row.

    Raises
    ------
    FormulaError
        Beside arguments that say something of the residuals too.
    """
    from mixfit.families.continuous import Gaussian

    others = {"residual": residual, "dispersion": dispersion, "zi": zi}
    beside = [name for name, value in others.items() if value is not None]
    if family not in (None, "gaussian"):
        beside.append("family")
    alone = isinstance(sigma, int | float)
    if weights is not None and not alone:
        beside.append("weights")
    if beside:
        raise FormulaError(f"sigma= says what Gaussian residuals are like, and cannot stand beside {beside[0]}=.")
    if isinstance(sigma, int | float):
        if not 0.0 < sigma < float("inf"):
            raise FormulaError(f"sigma= is a positive number, not {sigma!r}.")
        return Gaussian(phi=float(sigma) ** 2), weights
    if isinstance(sigma, str):
        return Gaussian(phi=1.0), f"1 / ({sigma}) ** 2"
    import numpy as np

    return Gaussian(phi=1.0), 1.0 / np.asarray(sigma, dtype=float) ** 2


def _random_elsewhere(zi: str | None, dispersion: str | None) -> bool:
    """Whether a predictor after the mean's has random terms, so that the mean's need not have any."""
    return any(text is not None and bool(parse_predictor(text).random) for text in (zi, dispersion))


def _with_residuals(
    formula: str,
    parsed: MixedFormula,
    data: Any,
    weights: str | ArrayLike | None,
    offset: str | ArrayLike | None,
    residual: str | None,
    dispersion: str | None,
    na_action: Literal["drop", "raise", "exclude"],
    context: Mapping[str, Any] | None,
    solver: Solver,
) -> ResidualMixedModel:
    from mixfit.matrices.residual import residual_formulas
    from mixfit.model.residual import ResidualMixedModel

    mean, further = residual_formulas(parsed, residual, dispersion)
    design = build(mean, data, weights, offset, na_action, context, further=further)
    return ResidualMixedModel(formula, replace(design, solver=solver))
