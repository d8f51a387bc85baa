"""Frames of marginal means and of their contrasts, and their text and HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mixfit.brief import brief
from mixfit.fitted.protocols import is_linear
from mixfit.inference.means.contrast_coefficients import contrast_family, level_text, mean_labels
from mixfit.inference.means.linear_functions import adjust_tests, by_groups, evaluate, intervals
from mixfit.inference.means.multiplicity import JOINT, ComparisonFamily
from mixfit.inference.prediction_results import response_limits
from mixfit.tables.numbers import fixed_decimals, format_common
from mixfit.tables.table import Table
from mixfit.wald import correlation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.inference.means.alternative import Alternative
    from mixfit.inference.means.linear_functions import Estimates, Groups, MeanParameters, ResponseScale

    Array = NDArray[np.float64]

__all__ = [
    "ContrastRows",
    "Settings",
    "as_html",
    "as_text",
    "contrast_rows",
    "families_of",
    "mean_tests_frame",
    "means_frame",
    "named_in",
    "rows_of",
    "tests_frame",
]

# As emmeans prints: three significant digits, more where the errors are small, levels with seven.
_DIGITS = 3
_MOST_DIGITS = 9
_LEVEL_DIGITS = 7
_STATISTICS = ("t.ratio", "z.ratio")
_ASYMPTOTIC = {"lower.CL": "asymp.LCL", "upper.CL": "asymp.UCL"}


def as_text(frame: pd.DataFrame, by: Sequence[str], notes: Sequence[str]) -> str:
    """Lay out the tables, with the notes below them."""
    tables = "\n\n".join(str(table) for table in _tables(frame, by))
    return f"{tables}\n\n" + "\n".join(notes) if notes else tables


def as_html(frame: pd.DataFrame, by: Sequence[str], notes: Sequence[str]) -> str:
    """Write the tables as HTML, with the notes below them."""
    from html import escape

    tables = [table.as_html() for table in _tables(frame, by)]
    return "\n".join([*tables, *(f"<p>{escape(note)}</p>" for note in notes)])


def _tables(frame: pd.DataFrame, by: Sequence[str]) -> list[Table]:
    shown = _cells(frame.drop(columns=list(by)))
    tables = []
    for rows in by_groups(frame, by):
        heading = ", ".join(f"{name} = {level_text(frame[name].iloc[rows[0]])}" for name in by)
        tables.append(Table(shown.iloc[rows], heading=(f"{heading}:",) if by else (), show_index=False))
    return tables


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Every column as text under its header: names to the left, numbers to the right."""
    headers = [str(name) for name in frame.columns]
    start = headers.index("SE") - 1
    normal = bool(np.isinf(frame["df"].dropna()).all())
    estimate = frame[headers[start]].to_numpy(dtype=np.float64)
    digits = _digits(estimate, frame["SE"].to_numpy(dtype=np.float64))
    columns: dict[str, list[str]] = {}
    for j, name in enumerate(headers):
        values = frame[name]
        if j < start or name == ".group":
            if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
                columns[name] = format_common(values.to_numpy(dtype=np.float64), _LEVEL_DIGITS)
            else:
                cells = [level_text(value) for value in values]
                width = max(map(len, (*cells, name)))
                columns[name.ljust(width)] = [cell.ljust(width) for cell in cells]
            continue
        cells = _numbers(
            name, values.to_numpy(dtype=np.float64), digits if j == start or name in _ASYMPTOTIC else _DIGITS
        )
        if j == start:
            cells = ["nonEst" if math.isnan(v) else cell for v, cell in zip(estimate, cells, strict=True)]
        columns[_ASYMPTOTIC.get(name, name) if normal else name] = cells
    return pd.DataFrame(columns)


def _numbers(name: str, values: Array, digits: int) -> list[str]:
    known = [float(value) for value in values if not math.isnan(value)]
    if name == "p.value":
        cells = fixed_decimals(known, 4)
        cells = ["<.0001" if value < 1e-4 else cell for value, cell in zip(known, cells, strict=True)]
    elif name in _STATISTICS:
        cells = fixed_decimals(known, 3)
    else:
        cells = format_common(known, digits)
    rest = iter(cells)
    return ["NA" if math.isnan(value) else next(rest) for value in values]


def _digits(estimates: Array, errors: Array) -> int:
    """Significant digits that show the largest estimate to the second digit of the smallest standard error."""
    errors = errors[(errors > 0.0) & np.isfinite(errors)]
    sizes = np.abs(estimates[np.isfinite(estimates) & (estimates != 0.0)])
    if not len(errors) or not len(sizes):
        return _DIGITS
    needed = math.floor(math.log10(sizes.max())) - math.floor(math.log10(2.0 * errors.min())) + 1
    return min(max(needed, _DIGITS), _MOST_DIGITS)


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
    scale : ResponseScale
    averaged : tuple of str
        Variables whose levels were averaged over.
    means : MeanParameters, or None
        Means that functions are of, where these are not linear in the coefficients.
    """

    fit: Fit
    ddf: str
    level: float
    scale: ResponseScale
    averaged: tuple[str, ...]
    means: MeanParameters | None = None

    __repr__ = brief

    @property
    def heading_notes(self) -> tuple[str, ...]:
        """What was averaged over."""
        notes = (f"Results are averaged over the levels of: {', '.join(self.averaged)}",) if self.averaged else ()
        return notes if self.means is None else (*notes, self.means.note)

    @property
    def df_notes(self) -> tuple[str, ...]:
        """Where the degrees of freedom come from; generalized models have none."""
        from mixfit.inference.fixed_effects.denominator import robust_notes

        if not is_linear(self.fit):
            return robust_notes(self.fit)
        method = "asymptotic" if self.ddf == "z" else self.ddf
        return (f"Degrees-of-freedom method: {method}",)

    @property
    def as_ratios(self) -> bool:
        """Whether contrasts are shown as ratios."""
        return self.scale.response and self.scale.ratio is not None

    def evaluate(self, L: Array, offset: Array) -> Estimates:
        """Estimate L beta + offset (q,), or functions of `means`, whose offsets are in them."""
        return evaluate(self.fit, L, offset, self.ddf) if self.means is None else self.means.evaluate(L)

    def covariance(self, L: Array) -> Array:
        """Covariance of the estimable functions L beta (q, c), or of those of `means`."""
        if self.means is not None:
            return np.asarray(L @ self.means.cov @ L.T)
        from mixfit.inference.fixed_effects.denominator import denominator

        rows = L[:, self.fit.model.kept]
        return np.asarray(rows @ denominator(self.fit, self.ddf).cov @ rows.T)


def families_of(
    settings: Settings, L: Array, estimates: Estimates, groups: Groups, kinds: Sequence[tuple[int, bool]], adjust: str
) -> list[ComparisonFamily]:
    """Families of tests or intervals, one a group; kinds are numbers of means, and whether these are all pairs."""
    if adjust not in JOINT:
        return [ComparisonFamily(len(rows), *kind) for rows, kind in zip(groups, kinds, strict=True)]
    uncertain = np.flatnonzero(estimates.se > 0.0)
    whole = correlation(settings.covariance(L[uncertain]))
    families = []
    for rows, kind in zip(groups, kinds, strict=True):
        own = np.isin(uncertain, rows)
        families.append(ComparisonFamily(len(rows), *kind, whole[np.ix_(own, own)]))
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
    families = families_of(settings, L, estimates, groups, [(len(rows), False) for rows in groups], adjust)
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
    if scale.written is not None:
        notes.append(f"The response is {scale.written}")
    frame = names.copy() if names.shape[1] else pd.DataFrame({"1": ["overall"] * len(names)})
    frame[scale.shown] = mean
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
    kinds : tuple of (int, bool)
        Number of means compared in every group, and whether in all pairs.
    adjust : str
        The adjustment that such contrasts have by default.
    """

    names: pd.DataFrame
    L: Array
    weight: Array
    kinds: tuple[tuple[int, bool], ...]
    adjust: str


def contrast_rows(means: pd.DataFrame, L: Array, by: Sequence[str], method: Any, sign: str) -> ContrastRows:
    """Contrasts by `method` of the means (m) named in a frame, with coefficients L (m, c), within `by` groups."""
    cells = means.drop(columns=list(by))
    groups = by_groups(means, by)
    families = [contrast_family(method, mean_labels(cells.iloc[rows]), sign) for rows in groups]
    named = [
        named_in(pd.DataFrame({"contrast": family.names}), means[list(by)].iloc[rows[:1]])
        for rows, family in zip(groups, families, strict=True)
    ]
    return rows_of(
        named,
        L,
        groups,
        [family.coefficients for family in families],
        tuple((len(rows), family.pairwise) for rows, family in zip(groups, families, strict=True)),
        families[0].adjust,
    )


def rows_of(
    named: Sequence[pd.DataFrame],
    L: Array,
    groups: Groups,
    coefficients: Sequence[Array],
    kinds: tuple[tuple[int, bool], ...],
    adjust: str,
) -> ContrastRows:
    """Contrasts of every group by their coefficients of its means, whose own coefficients are L (m, c)."""
    # a mean that is not defined makes no difference to a contrast that leaves it out
    undefined: Array = np.asarray(np.isnan(L).any(axis=1), dtype=np.float64)
    defined: Array = np.nan_to_num(L)
    blocks = []
    for rows, C in zip(groups, coefficients, strict=True):
        block = C @ defined[rows]
        block[np.abs(C) @ undefined[rows] > 0.0] = np.nan
        blocks.append(block)
    weight = np.concatenate([C.sum(axis=1) for C in coefficients])
    return ContrastRows(pd.concat(named, ignore_index=True), np.concatenate(blocks), weight, kinds, adjust)


def named_in(contrasts: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Names of the contrasts of one group, beside the values that the group stands for."""
    repeated = group.iloc[np.zeros(len(contrasts), dtype=np.intp)].reset_index(drop=True)
    return pd.concat([contrasts, repeated], axis=1)


def tests_frame(
    settings: Settings, rows: ContrastRows, by: tuple[str, ...], estimates: Estimates, adjust: str, of: Alternative
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Contrasts with their tests, as differences or ratios, and the notes on them."""
    scale = settings.scale
    if settings.as_ratios and scale.ratio is not None:
        ratio = np.exp(scale.log_base * estimates.estimate)
        error = ratio * scale.log_base * estimates.se
        columns: dict[str, Any] = {scale.ratio: ratio, "SE": error, "df": estimates.df}
        columns["null"] = np.exp(scale.log_base * of.null)
        notes: tuple[str, ...] = (f"Tests are performed on the {scale.contrast} scale",)
        before: tuple[str, ...] = ()
    else:
        columns = {"estimate": estimates.estimate, "SE": estimates.se, "df": estimates.df}
        columns |= {"null": of.null} if of.null != 0.0 else {}
        notes, before = (), _scale_note(scale)
    tests, adjusted = _tests(settings, rows, by, estimates, adjust, of)
    notes = (*settings.heading_notes, *before, *settings.df_notes, *adjusted, *notes, *of.notes)
    return rows.names.assign(**columns, **tests), notes


def mean_tests_frame(
    settings: Settings, rows: ContrastRows, by: tuple[str, ...], estimates: Estimates, adjust: str, of: Alternative
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Means with their tests, on the scale asked for, and the notes on them."""
    scale, link = settings.scale, settings.scale.link
    mean, se, null, notes = estimates.estimate, estimates.se, of.null, of.notes
    if link is not None and scale.response:
        mean, se, null = link.mean(mean), se * np.abs(link.slope(mean)), float(link.mean(np.array(of.null)))
        notes = (f"Tests are performed on the {link.name} scale", *notes)
    tests, adjusted = _tests(settings, rows, by, estimates, adjust, of)
    columns: dict[str, Any] = {scale.shown: mean, "SE": se, "df": estimates.df}
    columns |= {"null": null} if null != 0.0 else {}
    return rows.names.assign(**columns, **tests), (*settings.heading_notes, *settings.df_notes, *adjusted, *notes)


def _tests(
    settings: Settings, rows: ContrastRows, by: tuple[str, ...], estimates: Estimates, adjust: str, of: Alternative
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Columns of the statistics and their p-values, and how these were adjusted."""
    groups = by_groups(rows.names, by)
    families = families_of(settings, rows.L, estimates, groups, rows.kinds, adjust)
    statistics, p, adjusted = adjust_tests(estimates, groups, families, adjust, of)
    normal = bool(np.isinf(estimates.df[~np.isnan(estimates.df)]).all())
    return {"z.ratio" if normal else "t.ratio": statistics, "p.value": p}, adjusted


def _scale_note(scale: ResponseScale) -> tuple[str, ...]:
    if scale.link is None:
        return ()
    if scale.ratio is None:
        return (f"Note: contrasts are still on the {scale.contrast} scale",)
    return (f"Results are given on the {scale.contrast} (not the response) scale.",)
