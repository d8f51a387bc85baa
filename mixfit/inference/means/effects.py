"""Effects: means along a variable, averaged over the others, with the data behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.helped import helped
from mixfit.inference.means.emmeans import emmeans
from mixfit.inference.means.grid_variables import grid_variables
from mixfit.inference.means.linear_functions import by_groups
from mixfit.inference.means.marginal_frames import as_html, as_text
from mixfit.inference.means.specs import as_names, response_label
from mixfit.inference.predictors import refuse_unordered, seen_from
from mixfit.matrices.censored import n_censored
from mixfit.matrices.transformation import Transformation
from mixfit.matrices.types import MEAN
from mixfit.tables.table import Framed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.marginal_means import EmMeans

__all__ = ["EffectCurves", "effects"]

# A curve of 60 pieces looks smooth.
_POINTS = 61
# Rows of a curve that are printed: the first, the last, and some between.
_PRINTED = 7


@dataclass(frozen=True, eq=False)
class EffectCurves(Framed):
    """Means along a variable.

    Attributes
    ----------
    frame : DataFrame
        The variable, those of `by`, the mean (``emmean``, ``prob``, ``rate`` or ``response``), ``SE``, ``df``,
        ``lower.CL`` and ``upper.CL``.
    x : str
    by : tuple of str
    data : DataFrame, shape (n, ...)
        The rows of the fit: the variable, those of `by`, and the response on the scale of the means as ``response``;
        without rows where that scale is another's.
    response : str
        What the means are of.
    means : EmMeans
        The same with all that marginal means have: contrasts, other intervals.
    """

    frame: pd.DataFrame
    x: str
    by: tuple[str, ...]
    data: pd.DataFrame
    response: str
    means: EmMeans

    @property
    def mean_name(self) -> str:
        """Name of the column of means."""
        return self.means.settings.scale.shown

    @property
    def is_curve(self) -> bool:
        """Whether the variable is a number."""
        column = self.frame[self.x]
        return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))

    def _printed(self) -> pd.DataFrame:
        if not self.is_curve:
            return self.frame
        groups = by_groups(self.frame, self.by)
        places = [g[np.unique(np.linspace(0, len(g) - 1, _PRINTED).round().astype(np.intp))] for g in groups]
        return self.frame.iloc[np.concatenate(places)].reset_index(drop=True)

    def __str__(self) -> str:
        return as_text(self._printed(), self.by, self.means.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._printed(), self.by, self.means.notes)


@helped
def effects(
    fit: Fit,
    x: str,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    ddf: str | None = None,
    level: float | None = None,
    weights: str = "equal",
    type: Literal["link", "response"] = "response",  # noqa: A002
    offset: float | None = None,
    cov_keep: int = 2,
    nuisance: str | Sequence[str] | None = None,
    nesting: Mapping[str, Sequence[str] | str] | None = None,
    predictor: str = MEAN,
    re_form: Literal["population", "marginal"] = "population",
) -> EffectCurves:
    """Predict along a variable, averaged over the others, with intervals: marginal means on a grid, to be drawn.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    x : str
        A variable of the fixed effects: a covariate, from its least to its largest value, or a factor.
    by : str or sequence of str, optional
        Variables that the curves are for; a covariate with its mean, and one standard deviation below and above.
    at : mapping of str to value or list of values, optional
        Values instead of these, and of the other covariates instead of their means.
    ddf, level, weights, offset, cov_keep, nuisance, nesting, predictor, re_form
        As of `emmeans`.
    type : {"response", "link"}
        Scale of the means.

    Returns
    -------
    EffectCurves
        ``.frame``, ``.data`` (the rows of the fit, to be drawn behind), ``.plot()``, ``.means``.

    Raises
    ------
    FitError
        For a name that is no variable of the fixed effects, and what `emmeans` refuses.

    See Also
    --------
    emmeans : The same without a grid, and what its arguments mean.

    Notes
    -----
    Of a generalized model the means are those at random effects of zero, which is not the average over groups: that is
    ``re_form="marginal"``.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", teeth).fit()
    >>> curves = fit.effects("age", by="Sex", at={"age": [8, 11, 14]})
    >>> curves
    Sex = Male:
     age emmean    SE df lower.CL upper.CL
       8   22.6 0.527 25     21.5     23.7
      11   25.0 0.486 25     24.0     26.0
      14   27.3 0.573 25     26.1     28.5
    <BLANKLINE>
    Sex = Female:
     age emmean    SE df lower.CL upper.CL
       8   21.2 0.635 25     19.9     22.5
      11   22.6 0.586 25     21.4     23.9
      14   24.1 0.691 25     22.7     25.5
    <BLANKLINE>
    Degrees-of-freedom method: satterthwaite
    Confidence level used: 0.95
    """
    level = coverage(level)
    refuse_unordered(fit, "Effects")
    own = seen_from(fit, predictor)
    names = as_names(by)
    variables = grid_variables(own, at, cov_keep)
    for name in (x, *names):
        if name not in variables:
            raise FitError(f"{name!r} is no variable of the fixed effects ({', '.join(variables) or 'none'}).")
    if x in names:
        raise FitError(f"{x!r} is what the means are along, and cannot be in by= too.")
    known = own.model.design.variables
    places = dict(at or {})
    if variables[x].codes is None and x not in places:
        places[x] = np.linspace(known[x].min(), known[x].max(), _POINTS).tolist()
    for name in names:
        if variables[name].codes is None and name not in places:
            mean, sd = float(known[name].mean()), float(known[name].std())
            places[name] = [mean - sd, mean, mean + sd]
    means = emmeans(
        fit,
        [x],
        by=names,
        at=places,
        ddf=ddf,
        level=level,
        weights=weights,
        type=type,
        offset=offset,
        cov_keep=cov_keep,
        nuisance=nuisance,
        nesting=nesting,
        predictor=predictor,
        re_form=re_form,
    )
    data, response = _data_behind(fit, (x, *names), means, predictor)
    return EffectCurves(means.frame, x, means.by, data, response, means)


def _data_behind(fit: Fit, names: Sequence[str], means: EmMeans, predictor: str) -> tuple[pd.DataFrame, str]:
    """Variables and response of the rows of the fit, on the scale of the means, and what that is called."""
    design, scale = fit.model.design, means.settings.scale
    frame = pd.DataFrame({name: design.variables[name].reset_index(drop=True) for name in names})
    written = response_label(design)
    nothing = frame.iloc[:0].assign(response=[])
    if predictor != MEAN:
        link = "" if scale.link is None or scale.response else f" ({scale.link.name} scale)"
        return nothing, f"{predictor}{link}"
    if design.categories is not None:
        return nothing, f"location of {written}"
    if isinstance(scale.link, Transformation):
        y = scale.link.mean(design.y) if scale.response else design.y
        return frame.assign(response=y), f"response (fitted as {written})" if scale.response else written
    if scale.link is not None and not scale.response:
        return nothing, f"{scale.link.name} of the mean"
    if n_censored(design):
        return nothing, f"mean of {written}"
    return frame.assign(response=design.y), written
