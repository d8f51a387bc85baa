"""Estimated marginal slopes: derivatives of the linear predictor in a covariate, averaged over the reference grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.helped import helped
from mixfit.inference.fixed_effects.denominator import parse_ddf
from mixfit.inference.means.design_slopes import design_slopes
from mixfit.inference.means.linear_functions import ResponseScale, scale_of
from mixfit.inference.means.marginal_frames import Settings, means_frame
from mixfit.inference.means.marginal_means import EmMeans
from mixfit.inference.means.reference_grid import average
from mixfit.inference.means.specs import as_names, read_request
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixfit.fitted.protocols import Fit

__all__ = ["emtrends"]


@helped
def emtrends(
    fit: Fit,
    specs: str | Sequence[str] = "~ 1",
    *,
    var: str | None = None,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    contrasts: Any = None,
    ddf: str | None = None,
    adjust: str | None = None,
    level: float | None = None,
    weights: str = "equal",
    cov_keep: int = 2,
    nuisance: str | Sequence[str] | None = None,
    nesting: Mapping[str, Sequence[str] | str] | None = None,
    predictor: str = MEAN,
) -> EmMeans:
    r"""Estimate marginal slopes in a covariate, as R's emtrends.

    The slope is the derivative d eta / d x of the linear predictor in the covariate itself, through whatever the
    formula makes of it (``poly(x, 2)``, ``np.log(x)``, ``bs(x, 4)``), at its mean unless `at` says another place, and
    averaged as `emmeans` averages. That of an offset is left out.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    specs : str or sequence of str
        Variables whose values the slopes are for, as of `emmeans`. Without `var`, the covariate: ``emtrends(fit, "x",
        by="group")`` is ``emtrends(fit, "group", var="x")``.
    var : str, optional
        The covariate.
    by : str or sequence of str, optional
        Variables in whose combinations the slopes are shown and compared apart.
    at : mapping of str to value or list of values, optional
        As of `emmeans`; it may name the covariate, which `specs` may then name too: slopes at several places.
    contrasts, ddf, adjust, level, weights, cov_keep, nuisance, nesting, predictor
        As of `emmeans`.

    Returns
    -------
    EmMeans
        Its slopes are in the column ``x.trend``, with `x` the covariate's name, on the scale of the linear predictor.

    Raises
    ------
    FitError
        For a variable whose values are no numbers, and what `emmeans` refuses.

    See Also
    --------
    emmeans : The means themselves.

    Notes
    -----
    Derivatives of the columns of X are five-point differences, good to about 1e-11 of a column's own range over that
    of the covariate, and to 1e-7 where a spline has a knot within a thousandth of the range.

    Examples
    --------
    >>> import mixfit
    >>> teeth = mixfit.datasets.load("orthodont")
    >>> fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", teeth).fit()
    >>> slopes = mixfit.emtrends(fit, "Sex", var="age")
    >>> slopes
     Sex    age.trend    SE df lower.CL upper.CL
     Male       0.784 0.086 25    0.607    0.961
     Female     0.480 0.104 25    0.266    0.693
    <BLANKLINE>
    Degrees-of-freedom method: satterthwaite
    Confidence level used: 0.95
    >>> slopes.pairs()["p.value"].round(4).tolist()
    [0.0326]
    """
    if var is None:
        names = as_names(specs)
        if len(names) != 1 or "~" in names[0]:
            raise FitError("Say by var= which covariate the slopes are in.")
        var, specs, by = names[0], as_names(by), None
    request = read_request(fit, specs, by, at, cov_keep, predictor, nuisance, nesting)
    level = coverage(level)
    fit, within = request.fit, request.by
    contrasts = request.method if contrasts is None else contrasts
    grid = request.grid(weights)
    grid = replace(grid, X=design_slopes(fit, grid.rows, var).reshape(grid.X.shape))
    L = average(grid, weights)
    written = scale_of(fit, "link")
    scale = ResponseScale(None, f"{var}.trend", False, written.written)
    averaged = tuple(name for name in grid.averaged if name != var)
    settings = Settings(fit, parse_ddf(fit, ddf), level, scale, averaged)
    estimates = settings.evaluate(L, np.zeros(len(L)))
    own = "none" if contrasts is not None or adjust is None else adjust
    frame, notes = means_frame(settings, grid.focal, within, L, estimates, own, level)
    if written.link is not None:
        notes = (*notes, f"Slopes are those of the {written.link.name} of the mean")
    notes = (*request.warnings(var), *notes)
    trends = EmMeans(frame, L, within, notes, estimates, grid.focal, settings, own, 0.0, None)
    return trends if contrasts is None else replace(trends, contrasts=trends.contrast(contrasts, adjust=adjust))
