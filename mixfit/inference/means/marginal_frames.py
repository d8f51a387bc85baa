"""Frames of marginal means and of their contrasts: estimates, limits and tests under their names, with notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mixfit.inference.means.contrast_coefficients import contrast_family, mean_labels
from mixfit.inference.means.linear_functions import adjust_tests, by_groups, intervals
from mixfit.inference.means.multiplicity import JOINT, Family
from mixfit.results.prediction import response_limits
from mixfit.results.wald import correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.inference.means.linear_functions import Estimates, Groups, Scale
    from mixfit.results.base import MixedResults

    Array = NDArray[np.float64]

__all__ = ["ContrastRows", "Settings", "contrast_rows", "families_of", "means_frame", "tests_frame"]


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

    @property
    def as_ratios(self) -> bool:
        """Whether contrasts are shown as ratios."""
        return self.scale.response and self.scale.ratio is not None

    def covariance(self, L: Array) -> Array:
        """Covariance of the estimable functions L beta (q, c)."""
        from mixfit.inference.fixed_effects.denominator import denominator

        rows = L[:, self.fit.model.kept]
        return np.asarray(rows @ denominator(self.fit, self.ddf).cov @ rows.T)


def families_of(
    settings: Settings, L: Array, estimates: Estimates, groups: Groups, kind: tuple[int, bool], adjust: str
) -> list[Family]:
    """Families of tests or intervals, one a group; `kind` is the number of means, and whether these are all pairs."""
    if adjust not in JOINT:
        return [Family(len(rows), *kind) for rows in groups]
    uncertain = np.flatnonzero(estimates.se > 0.0)
    whole = correlation(settings.covariance(L[uncertain]))
    families = []
    for rows in groups:
        own = np.isin(uncertain, rows)
        families.append(Family(len(rows), *kind, whole[np.ix_(own, own)]))
    return families


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
    families = families_of(settings, L, estimates, groups, (len(groups[0]), False), adjust)
    lower, upper, adjusted = intervals(estimates, groups, families, adjust, level)
    mean, se = estimates.estimate, estimates.se
    notes = [*settings.heading_notes, *settings.df_notes, f"Confidence level used: {level:g}", *adjusted]
    if link is not None and scale.response:
        se = se * np.abs(link.slope(mean))
        lower, upper = response_limits(link, mean, np.column_stack([lower, upper])).T
        mean = link.mean(mean)
        notes.append(f"Intervals are back-transformed from the {link.name} scale")
    elif link is not None:
        notes.insert(len(settings.heading_notes), f"Results are given on the {link.name} (not the response) scale.")
    frame = names.copy() if names.shape[1] else pd.DataFrame({"1": ["overall"] * len(names)})
    frame[scale.mean if scale.transforms else "emmean"] = mean
    return frame.assign(**{"SE": se, "df": estimates.df, "lower.CL": lower, "upper.CL": upper}), tuple(notes)


class ContrastRows(NamedTuple):
    """Contrasts of every group as linear functions.

    Attributes
    ----------
    names : DataFrame
        Their names, beside the values of the `by` variables.
    L : ndarray, shape (q, c)
        NaN for a contrast of a mean that is not defined.
    weight : ndarray, shape (q,)
        Sum of the coefficients: what an offset enters by.
    kind : tuple of int and bool
        Number of means compared in a group, and whether in all pairs.
    adjust : str
        The adjustment that such contrasts have by default.
    """

    names: pd.DataFrame
    L: Array
    weight: Array
    kind: tuple[int, bool]
    adjust: str


def contrast_rows(means: pd.DataFrame, L: Array, by: Sequence[str], method: Any, sign: str) -> ContrastRows:
    """Contrasts by `method` of the means (m) named in a frame, with coefficients L (m, c), within `by` groups."""
    cells = means.drop(columns=list(by))
    groups = by_groups(means, by)
    families = [contrast_family(method, mean_labels(cells.iloc[rows]), sign) for rows in groups]
    # a mean that is not defined makes no difference to a contrast that leaves it out
    undefined: Array = np.asarray(np.isnan(L).any(axis=1), dtype=np.float64)
    defined: Array = np.nan_to_num(L)
    blocks = []
    for rows, family in zip(groups, families, strict=True):
        block = family.coefficients @ defined[rows]
        block[np.abs(family.coefficients) @ undefined[rows] > 0.0] = np.nan
        blocks.append(block)
    names = [
        _named(family.names, means[list(by)].iloc[rows[:1]]) for rows, family in zip(groups, families, strict=True)
    ]
    return ContrastRows(
        pd.concat(names, ignore_index=True),
        np.concatenate(blocks),
        np.concatenate([family.coefficients.sum(axis=1) for family in families]),
        (len(groups[0]), families[0].pairwise),
        families[0].adjust,
    )


def _named(contrasts: list[str], group: pd.DataFrame) -> pd.DataFrame:
    """Names of the contrasts of one group, beside the values that the group stands for."""
    repeated = group.iloc[np.zeros(len(contrasts), dtype=np.intp)].reset_index(drop=True)
    repeated.insert(0, "contrast", contrasts)
    return repeated


def tests_frame(
    settings: Settings, rows: ContrastRows, by: tuple[str, ...], estimates: Estimates, adjust: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Contrasts with their tests, as differences or ratios, and the notes on them."""
    scale = settings.scale
    groups = by_groups(rows.names, by)
    families = families_of(settings, rows.L, estimates, groups, rows.kind, adjust)
    statistics, p, adjusted = adjust_tests(estimates, groups, families, adjust)
    if settings.as_ratios and scale.ratio is not None:
        ratio = np.exp(estimates.estimate)
        columns: dict[str, Any] = {scale.ratio: ratio, "SE": ratio * estimates.se, "df": estimates.df, "null": 1.0}
        notes = (*settings.df_notes, *adjusted, f"Tests are performed on the {scale.contrast} scale")
    else:
        columns = {"estimate": estimates.estimate, "SE": estimates.se, "df": estimates.df}
        notes = (*_scale_note(scale), *settings.df_notes, *adjusted)
    normal = bool(np.isinf(estimates.df[~np.isnan(estimates.df)]).all())
    columns |= {"z.ratio" if normal else "t.ratio": statistics, "p.value": p}
    return rows.names.assign(**columns), (*settings.heading_notes, *notes)


def _scale_note(scale: Scale) -> tuple[str, ...]:
    if scale.link is None:
        return ()
    if scale.ratio is None:
        return (f"Note: contrasts are still on the {scale.contrast} scale",)
    return (f"Results are given on the {scale.contrast} (not the response) scale.",)
