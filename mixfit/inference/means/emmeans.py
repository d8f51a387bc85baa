"""Estimated marginal means of a fit: predictions on a reference grid, averaged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.fitted.multinomial import is_multinomial
from mixfit.fitted.ordinal import is_ordinal
from mixfit.fitted.protocols import is_generalized
from mixfit.helped import helped
from mixfit.inference.fixed_effects.denominator import parse_ddf
from mixfit.inference.means.averaged import averaged_means
from mixfit.inference.means.linear_functions import ResponseScale, scale_of
from mixfit.inference.means.marginal_frames import Settings, means_frame
from mixfit.inference.means.marginal_means import EmMeans
from mixfit.inference.means.ordered import MODES, ordered_means
from mixfit.inference.means.reference_grid import average
from mixfit.inference.means.specs import read_request
from mixfit.inference.means.unordered import unordered_means
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mixfit.fitted.multinomial import FittedMultinomial
    from mixfit.fitted.ordinal import FittedOrdinal
    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.ordered import Mode

__all__ = ["emmeans"]


@helped
def emmeans(
    fit: Fit,
    specs: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    contrasts: Any = None,
    ddf: str | None = None,
    adjust: str | None = None,
    level: float | None = None,
    weights: str = "equal",
    type: Literal["link", "response"] = "link",  # noqa: A002
    offset: float | None = None,
    cov_keep: int = 2,
    nuisance: str | Sequence[str] | None = None,
    nesting: Mapping[str, Sequence[str] | str] | None = None,
    predictor: str = MEAN,
    re_form: Literal["population", "marginal"] = "population",
    mode: Mode | None = None,
) -> EmMeans:
    """Estimate marginal means, as R's emmeans.

    The fixed-effects prediction is taken at all combinations of the levels of the factors, covariates being at
    their means, and averaged over the levels of the factors that `specs` and `by` do not name. Random effects are
    zero, and an offset is at its mean.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    specs : str or sequence of str
        Variables of the fixed effects whose values the means are for, or a formula: ``"~ a * b"``, ``"~ a | b"``
        (`b` as in `by`), ``"pairwise ~ a"`` (with contrasts), ``"~ 1"`` for the overall mean.
    by : str or sequence of str, optional
        Variables that the means are for too, in whose combinations they are shown and compared apart.
    at : mapping of str to value or list of values, optional
        Values of covariates instead of their means, or some of the levels of factors.
    contrasts : optional
        Contrasts to test as well, as `EmMeans.contrast` takes them: ``"pairwise"``, ``"trt.vs.ctrl"``, ``"eff"``,
        ``"poly"``, ..., or coefficients.
    ddf : {"auto", "satterthwaite", "kenward-roger", "residual", "z"}, optional
        Degrees of freedom, as in ``fit.contest``, with Kenward and Roger's standard errors for theirs, which R's
        emmeans always takes of a REML fit. Generalized models have none.
    adjust : str, optional
        For several tests, as `EmMeans.contrast` takes it; for the intervals of the means where no contrasts are
        asked for (none by default).
    level : float, optional
        Coverage of intervals; by default ``mixfit.options.level``, 0.95 at first.
    weights : {"equal", "proportional", "outer", "cells", "flat"}
        How levels are averaged over: alike; by the frequencies of their combinations in the data; by the products
        of each factor's own; by the frequencies within each mean's own cell; alike, but for cells without data.
    type : {"link", "response"}
        Scale of a generalized model's means, or of those of a transformed response (``log(y)``, ``sqrt(y + 1)``,
        ``I(1 / y)``, ...). On the response they are the inverse of the averages (standard errors by the delta
        method, limits transformed), and contrasts under a logit or log are odds ratios or ratios. On the other
        scale the notes name it.
    offset : float, optional
        Offset of all means; the mean of the model's by default.
    cov_keep : int
        A covariate with at most so many distinct values keeps them and is averaged over as a factor; 1 puts every
        covariate at its mean.
    nuisance : str or sequence of str, optional
        Factors that interact with no other and are averaged over, without a place in the reference grid: for models
        with so many factors that it would be too large.
    nesting : mapping of str to str or sequence of str, optional
        Which factors are nested in which. By default those whose levels each occur with one level of another, and what
        the formula has within another alone, as ``a / b`` has b; ``{}`` for none. The levels of a nested factor are
        shown with those of what it is nested in, and averaged over within them.
    predictor : {"mean", "zi", "dispersion"}
        Which predictor the means are of: log odds of a further zero (probabilities by ``type="response"``), or
        logarithms of the dispersion as glmmTMB has it.
    re_form : {"population", "marginal"}
        Means of a generalized model at random effects of zero, or those that ``predict(re_form="marginal")`` gives,
        averages over the population of groups: these are averaged over other factors on the scale of the response,
        their standard errors count the uncertainty of theta, and contrasts of their logits are the logarithms of
        population-averaged odds ratios.
    mode : {"latent", "prob", "mean.class"}
        Of ordered categories: means of the latent variable, from the mean of the thresholds (the default);
        probabilities of each category, which ``type="response"`` asks for too; or means of the categories' numbers,
        from 1 on. Of unordered categories: probabilities of each (the default), or its predictor, of which those of
        all categories sum to zero (``"latent"``).

    Returns
    -------
    EmMeans
        Prints as in R; ``.frame``, ``.contrast()``, ``.pairs()``, ``.conf_int()``, ``.L``. Means that the data
        cannot tell, for lack of cells, are NaN.

    Raises
    ------
    FitError
        For a name that is no variable of the fixed effects, an unknown option, a grid of more than 10,000 rows, or
        ``type="response"`` where the inverse of the response's transformation is not known.

    References
    ----------
    Searle, Speed & Milliken (1980), The American Statistician 34(4), 216-221.

    Examples
    --------
    >>> import mixfit
    >>> penicillin = mixfit.datasets.load("penicillin")
    >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
    >>> mixfit.emmeans(fit, "treat")
     treat emmean   SE   df lower.CL upper.CL
     A         84 2.47 11.1     78.6     89.4
     B         85 2.47 11.1     79.6     90.4
     C         89 2.47 11.1     83.6     94.4
     D         86 2.47 11.1     80.6     91.4
    <BLANKLINE>
    Degrees-of-freedom method: kenward-roger
    Confidence level used: 0.95
    >>> mixfit.emmeans(fit, "treat").pairs()["p.value"].round(4).tolist()
    [0.9827, 0.3105, 0.8838, 0.4905, 0.9827, 0.7002]
    """
    request = read_request(fit, specs, by, at, cov_keep, predictor, nuisance, nesting, unordered=True)
    level = coverage(level)
    fit, within = request.fit, request.by
    contrasts = request.method if contrasts is None else contrasts
    grid = request.grid(weights)
    L = average(grid, weights)
    fixed_offset = _offset(fit) if offset is None else float(offset)
    settings = Settings(fit, parse_ddf(fit, ddf), level, scale_of(fit, type), grid.averaged)
    if re_form not in ("population", "marginal"):
        raise FitError(f"re_form is 'population' or 'marginal', not {re_form!r}.")
    names = grid.focal
    if is_multinomial(fit):
        if re_form == "marginal" or request.nuisance or predictor != MEAN:
            raise FitError(
                "Marginal means of unordered categories are of all of them, at random effects of zero, without "
                "nuisance factors: leave re_form=, nuisance= and predictor= out."
            )
        averages = unordered_means(fit, grid, weights, fixed_offset, mode or "prob")
        names, within = _by_category(fit, names), (*within, fit.model.design.endog_name)
        scale = ResponseScale(None, "emmean" if mode == "latent" else "prob", response=False)
        L, settings = np.eye(len(averages.estimate)), replace(settings, means=averages, scale=scale)
    elif mode is not None and (not is_ordinal(fit) or mode not in MODES):
        raise FitError(f"mode is {', '.join(map(repr, MODES))}, of models of ordered categories, not {mode!r}.")
    elif is_ordinal(fit):
        if re_form == "marginal":
            raise FitError("Marginal means of ordered categories are at random effects of zero: leave re_form= out.")
        asked: Mode = mode or ("prob" if type == "response" else "latent")
        if request.nuisance and asked != "latent":
            raise FitError("Probabilities are averaged over all factors, of which none is a nuisance: use at=.")
        averages = ordered_means(fit, grid, weights, fixed_offset, asked)
        L = np.eye(len(averages.estimate))
        scale = ResponseScale(None, "emmean" if asked == "latent" else asked, response=False)
        settings = replace(settings, means=averages, scale=scale)
        if asked == "prob":
            names, within = _by_category(fit, names), (*within, fit.model.design.endog_name)
    elif re_form == "marginal" and is_generalized(fit):
        if predictor != MEAN:
            raise FitError("re_form='marginal' is for means of the response, and those of another predictor are not.")
        if request.nuisance:
            raise FitError("re_form='marginal' averages responses, for which no factor is a nuisance: use at=.")
        averages = averaged_means(fit, grid, weights, fixed_offset)
        L, settings = np.eye(len(L)), replace(settings, means=averages)
    estimates = settings.evaluate(L, np.full(len(L), fixed_offset))
    own = "none" if contrasts is not None or adjust is None else adjust
    frame, notes = means_frame(settings, names, within, L, estimates, own, level)
    notes = (*request.warnings(), *notes)
    means = EmMeans(frame, L, within, notes, estimates, names, settings, own, fixed_offset, None)
    if contrasts is None:
        return means
    return replace(means, contrasts=means.contrast(contrasts, adjust=adjust))


def _by_category(fit: FittedOrdinal | FittedMultinomial, names: pd.DataFrame) -> pd.DataFrame:
    """Focal combinations for each category after another."""
    response = fit.model.design.endog_name
    return pd.concat([names.assign(**{response: c}) for c in fit.model.categories], ignore_index=True)


def _offset(fit: Fit) -> float:
    return fit.model.design.mean_offset
