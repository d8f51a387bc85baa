"""Estimated marginal means and their contrasts, as objects that print as R's emmeans does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.errors import FitError
from mixfit.inference.contrast_coefficients import contrast_family, mean_labels
from mixfit.inference.linear_functions import adjust_tests, by_groups, evaluate, intervals
from mixfit.inference.marginal_text import as_html, as_text
from mixfit.inference.multiplicity import Family
from mixfit.results.wald import correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.linear_functions import Estimates, Groups, Scale
    from mixfit.results.base import MixedResults

    Array = NDArray[np.float64]

__all__ = ["Contrasts", "EmMeans", "Settings"]

LIMITS = ("lower.CL", "upper.CL")


@dataclass(frozen=True, eq=False)
class Settings:
    """What means and their contrasts have in common.

    Attributes
    ----------
    fit : LinearResults or GeneralizedResults
    ddf : str
        Method of the degrees of freedom.
    level : float
        Coverage of intervals.
    scale : Scale
    averaged : tuple of str
        Variables whose levels were averaged over.
    """

    fit: MixedResults
    ddf: str
    level: float
    scale: Scale
    averaged: tuple[str, ...]

    @property
    def heading_notes(self) -> tuple[str, ...]:
        """What was averaged over."""
        return (f"Results are averaged over the levels of: {', '.join(self.averaged)}",) if self.averaged else ()

    @property
    def df_notes(self) -> tuple[str, ...]:
        """Where the degrees of freedom come from; generalized models have none."""
        from mixfit.results.linear import LinearResults

        method = "asymptotic" if self.ddf == "none" else self.ddf
        return (f"Degrees-of-freedom method: {method}",) if isinstance(self.fit, LinearResults) else ()

    def covariance(self, L: Array) -> Array:
        """Covariance of the estimable functions L beta (q, c)."""
        from mixfit.inference.denominator import denominator

        rows = L[:, self.fit.model.kept]
        return np.asarray(rows @ denominator(self.fit, self.ddf).cov @ rows.T)


@dataclass(frozen=True, eq=False)
class Functions:
    """Linear functions of the fixed effects, with names and estimates.

    Attributes
    ----------
    frame : DataFrame
        Names, estimates, standard errors, degrees of freedom, and limits or tests, in full precision.
    L : ndarray, shape (q, c)
        Coefficients of all columns of the design (``fit.model.design.exog_names``), aliased ones included.
    by : tuple of str
        Columns whose combinations are shown and adjusted apart.
    notes : tuple of str
        What a reader must know of the numbers.
    estimates : Estimates
        On the scale of the linear predictor.
    names : DataFrame
        Columns that say what each row is.
    settings : Settings
    adjust : str
    """

    frame: pd.DataFrame
    L: Array
    by: tuple[str, ...]
    notes: tuple[str, ...]
    estimates: Estimates
    names: pd.DataFrame
    settings: Settings
    adjust: str

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers as a frame of one's own."""
        return self.frame.copy()

    def __getitem__(self, column: str) -> pd.Series:
        return self.frame[column]

    def __len__(self) -> int:
        return len(self.frame)

    def __str__(self) -> str:
        return as_text(self.frame, self.by, self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.frame, self.by, self.notes)


def _families(settings: Settings, L: Array, estimates: Estimates, groups: Groups, means: int, pairwise: bool) -> list[Family]:
    uncertain = estimates.se > 0.0
    families = []
    for rows in groups:
        there = rows[uncertain[rows]]
        families.append(Family(len(rows), means, pairwise, correlation(settings.covariance(L[there]))))
    return families


@dataclass(frozen=True, eq=False)
class Contrasts(Functions):
    """Contrasts of marginal means.

    The frame has the columns ``contrast``, those of `by`, the estimate (``estimate``, ``odds.ratio`` or
    ``ratio``), ``SE``, ``df``, ``null`` for ratios, ``t.ratio`` or ``z.ratio``, and ``p.value``. NaN where a
    contrast cannot be estimated.
    """

    families: tuple[Family, ...]

    def conf_int(self, level: float | None = None, adjust: str | None = None) -> pd.DataFrame:
        """Compute confidence intervals.

        Parameters
        ----------
        level : float, optional
            Coverage, for all intervals of a family at once where they are adjusted; that of the means by default.
        adjust : str, optional
            As in `EmMeans.contrast`; by default the adjustment of the tests, or Bonferroni's for those that
            have no intervals (the stepwise ones: Holm, fdr, ...).

        Returns
        -------
        DataFrame
            Names, estimates, ``SE``, ``df``, ``lower.CL``, ``upper.CL``.
        """
        settings = self.settings
        groups = by_groups(self.names, self.by)
        limits = intervals(
            self.estimates, groups, self.families, adjust or self.adjust, settings.level if level is None else level
        )
        frame = self.frame.loc[:, :"df"].copy()  # type: ignore[misc]
        for name, values in zip(LIMITS, limits[:2], strict=True):
            frame[name] = np.exp(values) if _as_ratios(settings.scale) else values
        return frame


@dataclass(frozen=True, eq=False)
class EmMeans(Functions):
    """Estimated marginal means.

    The frame has a column for every variable they stand for, ``emmean`` (``prob``, ``rate`` or ``response`` on the
    scale of the response), ``SE``, ``df``, ``lower.CL`` and ``upper.CL``. NaN where a mean cannot be estimated.
    """

    offset: float
    contrasts: Contrasts | None

    def conf_int(self, level: float | None = None, adjust: str | None = None) -> pd.DataFrame:
        """Compute confidence intervals.

        Parameters
        ----------
        level : float, optional
            Coverage; that asked for in `emmeans` by default.
        adjust : str, optional
            As in `emmeans`.

        Returns
        -------
        DataFrame
            As the frame, with these limits.
        """
        level = self.settings.level if level is None else level
        frame, _ = means_frame(self.settings, self.names, self.by, self.L, self.estimates, adjust or self.adjust, level)
        return frame

    def pairs(self, by: str | Sequence[str] | None = None, adjust: str | None = None) -> Contrasts:
        """Compare every two means; the same as ``contrast("pairwise")``."""
        return self.contrast("pairwise", by, adjust)

    def contrast(
        self, method: Any = "pairwise", by: str | Sequence[str] | None = None, adjust: str | None = None
    ) -> Contrasts:
        """Test contrasts of the means.

        Parameters
        ----------
        method : str, mapping of str to sequence of float, DataFrame or array_like
            "pairwise", "revpairwise", "trt.vs.ctrl" (each with the first), "trt.vs.ctrlk" (with the last), "consec"
            (each with the one before), "eff" (each less their mean), "del.eff" (less the mean of the others) or
            "poly" (polynomials on equally spaced points); or coefficients of the means of one `by` group, by
            name or in rows.
        by : str or sequence of str, optional
            Variables within whose combinations the means are compared; by default those of the means themselves,
            and ``()`` for none.
        adjust : str, optional
            "tukey", "sidak", "bonferroni", "scheffe", "dunnettx", "mvt", "holm", "hochberg", "hommel", "fdr", "BY"
            or "none", over the contrasts of one `by` group. By default, as in emmeans, Tukey's for pairs,
            "dunnettx" for comparisons with a control, "fdr" for effects, "mvt" for consecutive ones, and none
            for polynomials and given coefficients.

        Returns
        -------
        Contrasts

        Raises
        ------
        FitError
            For an unknown method, adjustment or variable, or coefficients of another number of means.
        """
        within = self.by if by is None else (by,) if isinstance(by, str) else tuple(by)
        for name in within:
            if name not in self.names:
                raise FitError(f"by= names {name!r}; the means stand for {', '.join(self.names) or 'nothing'}.")
        return _contrasts(self, method, within, adjust)

    def __str__(self) -> str:
        text = as_text(self.frame, self.by, self.notes)
        return text if self.contrasts is None else f"{text}\n\n{self.contrasts}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        html = as_html(self.frame, self.by, self.notes)
        return html if self.contrasts is None else f"{html}\n{self.contrasts._repr_html_()}"


def _as_ratios(scale: Scale) -> bool:
    return scale.response and scale.ratio is not None


def means_frame(
    settings: Settings,
    names: pd.DataFrame,
    by: tuple[str, ...],
    L: Array,
    estimates: Estimates,
    adjust: str,
    level: float,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Means with their limits, on the scale asked for, and the notes on them."""
    scale, link = settings.scale, settings.scale.link
    groups = by_groups(names, by)
    families = _families(settings, L, estimates, groups, len(groups[0]), False)
    lower, upper, adjusted = intervals(estimates, groups, families, adjust, level)
    mean, se = estimates.estimate, estimates.se
    notes = [*settings.heading_notes, *settings.df_notes, f"Confidence level used: {level:g}", *adjusted]
    if link is not None and scale.response:
        se = se * np.abs(link.slope(mean))
        mean = link.mean(mean)
        # an inverse link may turn the limits around
        lower, upper = np.sort([link.mean(lower), link.mean(upper)], axis=0)
        notes.append(f"Intervals are back-transformed from the {link.name} scale")
    elif link is not None:
        notes.insert(len(settings.heading_notes), f"Results are given on the {link.name} (not the response) scale.")
    frame = names.copy() if names.shape[1] else pd.DataFrame({"1": ["overall"] * len(names)})
    frame[scale.mean if scale.transforms else "emmean"] = mean
    return frame.assign(**{"SE": se, "df": estimates.df, "lower.CL": lower, "upper.CL": upper}), tuple(notes)


def _contrasts(means: EmMeans, method: Any, by: tuple[str, ...], adjust: str | None) -> Contrasts:
    settings, scale = means.settings, means.settings.scale
    cells = means.names.drop(columns=list(by))
    sign = "/" if _as_ratios(scale) else "-"
    kinds = [(rows, contrast_family(method, mean_labels(cells.iloc[rows]), sign)) for rows in by_groups(means.names, by)]
    # a mean that is not defined makes no difference to a contrast that leaves it out
    defined = np.nan_to_num(means.L)
    undefined = np.isnan(means.L).any(axis=1)
    rows_of_L, offsets = [], []
    for rows, kind in kinds:
        block = kind.coefficients @ defined[rows]
        block[(kind.coefficients[:, undefined[rows]] != 0.0).any(axis=1)] = np.nan
        rows_of_L.append(block)
        offsets.append(kind.coefficients.sum(axis=1) * means.offset)
    L = np.concatenate(rows_of_L)
    names = pd.concat(
        [
            pd.DataFrame({"contrast": kind.names, **{name: [means.names[name].iloc[rows[0]]] * len(kind.names) for name in by}})
            for rows, kind in kinds
        ],
        ignore_index=True,
    )
    estimates = evaluate(settings.fit, L, np.concatenate(offsets), settings.ddf)
    groups = by_groups(names, by)
    first_rows, first = kinds[0]
    families = _families(settings, L, estimates, groups, len(first_rows), first.pairwise)
    applied = adjust or first.adjust
    statistics, p, adjusted = adjust_tests(estimates, groups, families, applied)
    frame = names.copy()
    if _as_ratios(scale):
        ratio = np.exp(estimates.estimate)
        frame[scale.ratio] = ratio
        frame = frame.assign(SE=ratio * estimates.se, df=estimates.df, null=1.0)
        notes = (*settings.df_notes, *adjusted, f"Tests are performed on the {scale.contrast} scale")
    else:
        frame = frame.assign(estimate=estimates.estimate, SE=estimates.se, df=estimates.df)
        notes = (*_scale_note(scale), *settings.df_notes, *adjusted)
    normal = bool(np.isinf(estimates.df[~np.isnan(estimates.df)]).all())
    frame["z.ratio" if normal else "t.ratio"] = statistics
    frame["p.value"] = p
    notes = (*settings.heading_notes, *notes)
    return Contrasts(frame, L, by, notes, estimates, names, settings, applied, tuple(families))


def _scale_note(scale: Scale) -> tuple[str, ...]:
    if scale.link is None:
        return ()
    if scale.ratio is None:
        return (f"Note: contrasts are still on the {scale.contrast} scale",)
    return (f"Results are given on the {scale.contrast} (not the response) scale.",)
