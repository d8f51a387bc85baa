"""Average comparisons: what predictions change by where a variable takes another value in all rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.inference.means.averages import averages, grouped_rows, stacked
from mixfit.inference.means.contrast_coefficients import level_text
from mixfit.inference.means.unit_means import fit_rows, new_rows, unit_means
from mixfit.matrices.columns import is_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.averages import Averages, Grouped
    from mixfit.inference.means.unit_means import UnitMeans

    Array = NDArray[np.float64]

__all__ = ["Change", "avg_comparisons", "changes", "compared", "predictor_names"]

# What each comparison of a high and a low value is called.
_LABELS = {
    "difference": "{} - {}",
    "ratio": "mean({}) / mean({})",
    "lnratio": "ln(mean({}) / mean({}))",
    "lnor": "ln(odds({}) / odds({}))",
    "or": "odds({}) / odds({})",
}
_PAIRS = ("reference", "pairwise", "revpairwise", "sequential")
_SPREADS = ("sd", "2sd", "iqr", "minmax")


class Change(NamedTuple):
    """Two values of a variable in every row.

    Attributes
    ----------
    low, high : object
        A value for all rows, or an array of one each.
    low_text, high_text : str
        What they are called; `low_text` is empty for a step.
    """

    low: Any
    high: Any
    low_text: str
    high_text: str

    def label(self, comparison: str) -> str:
        """What a comparison is called."""
        if not self.low_text and comparison == "difference":
            return self.high_text
        texts = (
            (self.high_text, self.low_text) if self.low_text else (f"x{self.high_text}/2", f"x-{self.high_text[1:]}/2")
        )
        return _LABELS[comparison].format(*texts)


def _between(low: Any, high: Any) -> Change:
    return Change(low, high, level_text(low), level_text(high))


def predictor_names(fit: Fit) -> list[str]:
    """Variables of the fixed effects, those of every predictor, in the order of the formula."""
    design = fit.model.design
    columns = design.variables if design.frame is None else design.frame
    readers = [design.reader.of_predictor(j) for j in range(len(design.predictors))]
    return list(dict.fromkeys(n for r in readers for term in r.fixed_terms for n in term if n in columns))


def is_number(fit: Fit, name: str, column: pd.Series[Any]) -> bool:
    """Whether a variable has slopes: it is no factor, nor 0 and 1 alone."""
    if is_factor(column) or name in fit.model.design.reader.factor_names:
        return False
    return bool(pd.api.types.is_numeric_dtype(column)) and not bool(column.isin([0, 1]).all())


def changes(fit: Fit, name: str, spec: Any, known: pd.DataFrame, rows: pd.DataFrame) -> list[Change]:
    """The comparisons that are asked for of a variable.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    name : str
    spec : object
        None for the default: from the first level to each other, or half a unit below and above a number.
    known : DataFrame
        Rows of the fit.
    rows : DataFrame
        Rows that are compared.
    """
    column = known[name]
    if is_number(fit, name, column):
        return [_of_number(name, 1.0 if spec is None else spec, column, rows)]
    values = column.astype("category").cat.remove_unused_categories().cat.categories.tolist()
    if isinstance(spec, (tuple, list)):
        unknown = [value for value in spec if value not in values]
        if len(spec) != 2 or unknown:
            raise FitError(f"{name!r} is compared at two of its values {values!r}, not {spec!r}.")
        return [_between(spec[0], spec[1])]
    kind = "reference" if spec is None else spec
    if kind not in _PAIRS:
        raise FitError(f"{name!r} is compared by one of {', '.join(map(repr, _PAIRS))}, or two values, not {spec!r}.")
    if kind == "reference":
        pairs = [(values[0], value) for value in values[1:]]
    elif kind == "sequential":
        pairs = list(pairwise(values))
    else:
        pairs = list(combinations(values, 2))
        pairs = [(b, a) for a, b in pairs] if kind == "revpairwise" else pairs
    return [_between(low, high) for low, high in pairs]


def _of_number(name: str, spec: Any, column: pd.Series[Any], rows: pd.DataFrame) -> Change:
    known, x = column.to_numpy(dtype=np.float64), rows[name].to_numpy(dtype=np.float64)
    if isinstance(spec, (tuple, list)) and len(spec) == 2:
        return _between(float(spec[0]), float(spec[1]))
    if isinstance(spec, str) and spec in _SPREADS:
        if spec == "minmax":
            return Change(known.min(), known.max(), "Min", "Max")
        if spec == "iqr":
            low, high = np.percentile(known, [25.0, 75.0])
            return Change(low, high, "Q1", "Q3")
        half = known.std(ddof=1) * (0.5 if spec == "sd" else 1.0)
        return Change(x - half, x + half, *(("(x-sd/2)", "(x+sd/2)") if spec == "sd" else ("(x-sd)", "(x+sd)")))
    if isinstance(spec, (int, float)) and not isinstance(spec, bool):
        return Change(x - 0.5 * spec, x + 0.5 * spec, "", f"+{spec:g}")
    raise FitError(f"{name!r} is compared by a number, two values, or one of {', '.join(map(repr, _SPREADS))}.")


def compared(
    of: UnitMeans, name: str, change: Change, rows: pd.DataFrame, grouped: Grouped, comparison: str
) -> tuple[pd.DataFrame, Array, Array]:
    """One comparison in every group: names, estimates and derivatives; logarithms of ratios."""
    low, low_slopes = of(rows.assign(**{name: change.low}))
    high, high_slopes = of(rows.assign(**{name: change.high}))
    names = grouped.names.copy()
    names.insert(0, "contrast", change.label(comparison))
    names.insert(0, "term", name)
    if comparison == "difference":
        return names, grouped.mean(high - low), grouped.mean(high_slopes - low_slopes)
    (a, b), (da, db) = ([grouped.mean(v) for v in pair] for pair in ((low, high), (low_slopes, high_slopes)))
    if comparison in ("ratio", "lnratio"):
        if (a * b <= 0.0).any():
            raise FitError("Ratios are of predictions of one sign, and these are not: compare by 'difference'.")
        return names, np.log(b / a), db / b[..., None] - da / a[..., None]
    if ((a <= 0.0) | (a >= 1.0) | (b <= 0.0) | (b >= 1.0)).any():
        raise FitError("Odds ratios are of probabilities between 0 and 1, and these predictions are none.")
    odds = np.log(b / (1.0 - b)) - np.log(a / (1.0 - a))
    return names, odds, db / (b * (1.0 - b))[..., None] - da / (a * (1.0 - a))[..., None]


def avg_comparisons(
    fit: Fit,
    variables: str | Sequence[str] | Mapping[str, Any] | None = None,
    *,
    by: str | Sequence[str] | None = None,
    comparison: Literal["difference", "ratio", "lnratio", "lnor", "or"] = "difference",
    newdata: object = None,
    what: str = "response",
    re_form: Literal["population", "marginal"] = "population",
    ddf: str | None = None,
    level: float | None = None,
) -> Averages:
    """Compare average predictions where a variable takes another value in all rows, as marginaleffects.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    variables : str, sequence or mapping, optional
        Variables to compare, one after the other; all by default. A mapping says how. Of a factor: ``"reference"``
        (each level with the first, the default), ``"pairwise"`` (a later less an earlier one), ``"revpairwise"``,
        ``"sequential"``, or two levels ``(low, high)``. Of a number: a step, centred (1 by default), two values,
        ``"sd"``, ``"2sd"``, ``"iqr"`` or ``"minmax"``.
    by : str or sequence of str, optional
        Columns in each of whose combinations rows are averaged.
    comparison : {"difference", "ratio", "lnratio", "lnor", "or"}
        Of the averages: their difference, ratio, log ratio, log odds ratio or odds ratio.
    newdata, what, re_form, ddf, level
        As of `avg_predictions`.

    Returns
    -------
    Averages

    Raises
    ------
    FitError
        For a variable or a comparison that there is not, and what `avg_predictions` refuses.

    See Also
    --------
    mixfit.marginaleffects_adapter : The same and more by the package marginaleffects.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> fit.avg_comparisons("period").to_frame()[["contrast", "estimate", "SE"]].round(3)
      contrast  estimate     SE
    0    2 - 1    -0.114  0.035
    1    3 - 1    -0.124  0.036
    2    4 - 1    -0.150  0.037
    """
    level = coverage(level)
    if comparison not in _LABELS:
        raise FitError(f"comparison is one of {', '.join(map(repr, _LABELS))}, not {comparison!r}.")
    of = unit_means(fit, what, re_form, ddf)
    known = fit_rows(fit)
    rows = known if newdata is None else new_rows(newdata)
    grouped = grouped_rows(rows, by)
    parts = [
        compared(of, name, change, rows, grouped, comparison)
        for name, spec in asked_for(fit, variables).items()
        for change in changes(fit, name, spec, known, rows)
    ]
    names, estimate, J = stacked(parts)
    return averages(of, names, estimate, J, level, ratio=comparison in ("ratio", "or"))


def asked_for(fit: Fit, variables: str | Sequence[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """How each variable is compared, by name.

    Raises
    ------
    FitError
        For a name that is no variable of the fixed effects, and a model without any.
    """
    every = predictor_names(fit)
    if not every:
        raise FitError("The model has no variables in its fixed effects, and nothing to compare or to differentiate.")
    if variables is None:
        return dict.fromkeys(every)
    if isinstance(variables, str):
        variables = [variables]
    specs = dict(variables) if isinstance(variables, Mapping) else dict.fromkeys(variables)
    for name in specs:
        if name not in every:
            raise FitError(f"{name!r} is no variable of the fixed effects ({', '.join(every) or 'none'}).")
    return specs
