"""A model with stated parameters and no response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FormulaError, ParameterError
from mixfit.families.resolve import resolve_family
from mixfit.fitted.stated import slots
from mixfit.helped import helped
from mixfit.matrices.columns import Columns
from mixfit.model.mixed import mixed
from mixfit.planning.parameters import read_parameters
from mixfit.results.planned import planned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mixfit.families.base import Family
    from mixfit.results.planned import Plan

    Array = NDArray[np.float64]

__all__ = ["design"]

# Of a formula without a left side.
_RESPONSE = "response"
# Any numbers will do that no fixed effects explain.
_PLACEHOLDER_SEED = 0


@helped
def design(
    formula: str,
    data: Any,
    *,
    fixed: Mapping[str, float] | None = None,
    sd: Mapping[str, Any] | None = None,
    cor: Mapping[str, Any] | None = None,
    sigma: float | None = None,
    family: Any = None,
    dispersion: float | str | Mapping[str, float] | None = None,
    zi: str | None = None,
    weights: str | None = None,
    offset: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Plan:
    """A model with stated parameters of rows that have no response yet.

    Parameters
    ----------
    formula : str
        As in `mixfit.mixed`, with or without a left side. The left side only names the response; no column of it is
        read.
    data : frame
        The rows: a layout from `mixfit.grid`, or any frame with the columns of the formula.
    fixed : mapping of str to float
        Fixed effects, by the names of ``params``, such as ``"condition[T.b]"``; ``"(Intercept)"`` is ``"Intercept"``
        too, and those of other predictors have its name before them, ``"zi:Intercept"``.
    sd : mapping
        Standard deviations of the random effects, by group: a number, ``{"Subject": 30}``, or one for each column as
        ``varcorr()`` shows it, ``{"Subject": {"(Intercept)": 25, "Days": 6}}``. Or by the names of all parameters,
        ``{"sd(Days|Subject)": 6}``. In units of the response, of a generalized model of its predictor.
    cor : mapping
        Correlations of the random effects, and other parameters of named covariance structures, likewise: by group a
        number where there is one, or by pairs of columns, ``{"Subject": {("(Intercept)", "Days"): 0.1}}``.
    sigma : float
        Standard deviation of the residuals of a linear model.
    family : str or family instance, optional
        As in `mixfit.mixed`.
    dispersion : float, mapping of str to float, or str
        The dispersion phi of the family; or that and its other parameters by name, ``{"phi": 2, "df": 4}``; or, as in
        `mixfit.mixed`, a formula of the dispersion, whose coefficients are then among `fixed`.
    zi : str, optional
        A formula of the log odds of a further zero, as in `mixfit.mixed`.
    weights, offset : str, optional
        A column or an expression: prior weights, or numbers of trials of a proportion; a known part of the predictor.
    context : mapping, optional
        Names that the formula's expressions may use besides the columns.

    Returns
    -------
    Plan
        To simulate from, and for power.

    Raises
    ------
    ParameterError
        Where parameters are missing, for names that the model does not have, and for values that cannot be, such as
        correlations that no covariance matrix has.
    FormulaError, DataError, DesignError
        As `mixfit.mixed` raises them.

    See Also
    --------
    mixfit.grid : Balanced layouts.

    Examples
    --------
    >>> import mixfit
    >>> layout = mixfit.grid(Subject=20, Days=range(10))
    >>> plan = mixfit.design(
    ...     "~ Days + (Days | Subject)", layout, fixed={"(Intercept)": 250, "Days": 5},
    ...     sd={"Subject": {"(Intercept)": 25, "Days": 6}}, cor={"Subject": 0.1}, sigma=25,
    ... )
    >>> plan.bse.round(2).to_dict()
    {'Intercept': 6.48, 'Days': 1.48}
    >>> plan.simulate(2, seed=1).shape
    (200, 2)
    """
    spread = dispersion if isinstance(dispersion, str) else None
    rows = pd.DataFrame(dict(Columns(data)))
    name, text = _named(formula)
    resolved = None if family is None else resolve_family(family)
    if resolved is not None and resolved.is_linear:
        resolved = None
    if resolved is not None and resolved.kind in ("ordinal", "multinomial"):
        raise ParameterError(
            "Parameters cannot be stated of ordered or unordered categories, only estimated from data."
        )
    rows[name] = _placeholder(resolved, len(rows), zeros=zi is not None)
    model = mixed(
        text,
        rows,
        resolved,
        weights=weights,
        offset=offset,
        dispersion=spread,
        zi=zi,
        context=context,
    )
    amount = None if isinstance(dispersion, str) else dispersion
    # Rows in which something is missing are none.
    rows = rows.loc[model.design.index].reset_index(drop=True)
    return planned(model, rows, read_parameters(slots(model), fixed, sd, cor, sigma, amount))


def _named(formula: str) -> tuple[str, str]:
    """The name of the response, and the formula with it on the left.

    Raises
    ------
    FormulaError
        For a left side that is no name.
    """
    if not isinstance(formula, str) or "~" not in formula:
        raise FormulaError(f"A formula is a string such as '~ x + (1 | g)', not {formula!r}.")
    left, _, right = formula.partition("~")
    name = left.strip() or _RESPONSE
    if not name.isidentifier():
        raise FormulaError(
            f"The left side of a planned model names its response, and {name!r} is no name. State the parameters on "
            "the scale that is modelled; numbers of trials are weights=."
        )
    return name, f"{name} ~{right}"


def _placeholder(family: Family | None, n: int, *, zeros: bool) -> Array:
    """Responses that the family admits, in the place of those that are not there yet."""
    if family is None:
        return np.random.default_rng(_PLACEHOLDER_SEED).standard_normal(n)
    support = family.support
    if family.kind == "proportion" or support.upper <= 1.0:
        cycle = [0.0, 1.0] if support.closed else [0.25, 0.75]
    else:
        cycle = [1.0, 2.0] if support.whole else [0.5, 1.5]
    return np.resize([0.0, *cycle] if zeros else cycle, n)
