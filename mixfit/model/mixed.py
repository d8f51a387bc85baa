"""A mixed model from a formula and a data frame, linear or generalized as the family says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.design.build import build
from mixfit.errors import FormulaError
from mixfit.formula import parse
from mixfit.model.linear import LinearMixedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from mixfit.formula import MixedFormula
    from mixfit.model.generalized import GeneralizedMixedModel
    from mixfit.model.residual import ResidualMixedModel

__all__ = ["mixed"]


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
    na_action: Literal["drop", "raise"] = "drop",
    context: Mapping[str, Any] | None = None,
) -> LinearMixedModel | ResidualMixedModel | GeneralizedMixedModel:
    """A mixed-effects model from a formula and a data frame.

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
    family : str or family instance, optional
        ``"binomial"``, ``"binomial(probit)"``, ``"poisson"``, ``"gamma(log)"``, ``"nbinom2"``, ..., or a
        statsmodels family. None and the Gaussian family with its identity link give a linear mixed model.
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
        generalized model: of the logarithm of its dispersion, as glmmTMB has it (gamma: of its shape).
    zi : str, optional
        A formula of the log odds of a further zero, ``"~ x + (1 | g)"``, beside those of the family. With a family
        that has none (``truncated_poisson``, ``gamma``, ``lognormal``, ``beta``) it is the hurdle: all zeros.
    nominal : str, optional
        Of a model of ordered categories (``cumulative``, ``sratio``, ``cratio``, ``adjacent``): a formula of effects
        that move each threshold by itself, ``"~ x"``, as in ordinal. `dispersion` is then ordinal's ``scale=``, a
        formula of the log scale of the latent variable.
    na_action : {"drop", "raise"}
        What to do with rows in which something that the model uses is missing.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.

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
    """
    structured = residual is not None or dispersion is not None
    parsed = parse(formula, random=None if structured else True)
    if family is not None and family != "gaussian":
        # Families bring scipy.special along: who fits linear models need not wait for it.
        from mixfit.families.ordinal import Ordinal
        from mixfit.families.resolve import resolve_family
        from mixfit.model.generalized import generalized

        resolved = resolve_family(family)
        if not resolved.is_linear:
            if residual is not None:
                raise FormulaError(
                    f"residual= describes the residuals of linear models, and the {resolved.name} family has none: "
                    "describe correlation by a structured random effect, ar1(0 + time | subject)."
                )
            parsed = parse(formula)
            if isinstance(resolved, Ordinal):
                from mixfit.model.ordinal import ordinal

                if zi is not None:
                    raise FormulaError(f"zi= models zeros, and a {resolved.name} response is in categories.")
                beside = {"nominal": nominal, "dispersion": dispersion}
                return ordinal(formula, parsed, data, resolved, weights, offset, na_action, context, beside)
            if nominal is not None:
                raise FormulaError(f"nominal= is of thresholds, and the {resolved.name} family has none.")
            return generalized(formula, parsed, data, resolved, weights, offset, na_action, context, zi, dispersion)
    if nominal is not None:
        raise FormulaError("nominal= is of thresholds: give a family that has them, such as 'cumulative'.")
    if zi is not None:
        raise FormulaError("zi= models zeros, which Gaussian responses have none of: give a family with them.")
    if structured:
        return _with_residuals(formula, parsed, data, weights, offset, residual, dispersion, na_action, context)
    return LinearMixedModel(formula, build(parsed, data, weights, offset, na_action, context))


def _with_residuals(
    formula: str,
    parsed: MixedFormula,
    data: Any,
    weights: str | ArrayLike | None,
    offset: str | ArrayLike | None,
    residual: str | None,
    dispersion: str | None,
    na_action: Literal["drop", "raise"],
    context: Mapping[str, Any] | None,
) -> ResidualMixedModel:
    from mixfit.design.residual import residual_formulas
    from mixfit.model.residual import ResidualMixedModel

    mean, further = residual_formulas(parsed, residual, dispersion)
    return ResidualMixedModel(formula, build(mean, data, weights, offset, na_action, context, further=further))
