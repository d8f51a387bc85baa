"""A mixed model from a formula and a data frame, linear or generalized as the family says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from mixfit.design.build import build
from mixfit.formula import parse
from mixfit.model.linear import LinearMixedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from mixfit.model.generalized import GeneralizedMixedModel

__all__ = ["mixed"]


def mixed(
    formula: str,
    data: Any,
    family: Any = None,
    *,
    weights: str | ArrayLike | None = None,
    offset: str | ArrayLike | None = None,
    na_action: Literal["drop", "raise"] = "drop",
    context: Mapping[str, Any] | None = None,
) -> LinearMixedModel | GeneralizedMixedModel:
    """A mixed-effects model from a formula and a data frame.

    Parameters
    ----------
    formula : str
        ``response ~ fixed + (random | group)`` in lme4's language; everything outside the bars is
        formulaic's.
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
    na_action : {"drop", "raise"}
        What to do with rows in which something that the model uses is missing.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.

    Returns
    -------
    LinearMixedModel or GeneralizedMixedModel

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
    parsed = parse(formula)
    if family is not None and family != "gaussian":
        # Families bring scipy.special along: who fits linear models need not wait for it.
        from mixfit.families.resolve import resolve_family
        from mixfit.model.generalized import generalized

        resolved = resolve_family(family)
        if (resolved.name, resolved.link.name) != ("gaussian", "identity"):
            return generalized(formula, parsed, data, resolved, weights, offset, na_action, context)
    return LinearMixedModel(formula, build(parsed, data, weights, offset, na_action, context))
