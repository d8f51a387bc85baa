"""Summaries and variance components as text, laid out as lme4 prints them."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from mixfit.tables.layout import WIDTH, abbreviate, lay_out, shown
from mixfit.tables.numbers import (
    LEGEND,
    fixed_decimals,
    format_coefficients,
    format_common,
    format_p_values,
    stars,
    zap_small,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mixfit.fitted.varcorr import Component, RandomCovariances, ResidualComponent
    from mixfit.report.facts import SummaryFacts

__all__ = [
    "DIGITS",
    "FURTHER",
    "coefficient_cells",
    "criteria_cells",
    "quantile_cells",
    "star_cells",
    "summary_text",
    "varcorr_cells",
    "varcorr_text",
]

# R's defaults: summaries show getOption("digits") - 3 digits, VarCorr one more
DIGITS = 4
QUANTILES = ("Min", "1Q", "Median", "3Q", "Max")


def varcorr_cells(
    varcorr: RandomCovariances, digits: int, *, variances: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of variance components.

    Parameters
    ----------
    varcorr : RandomCovariances
    digits : int
        Significant digits of standard deviations; correlations get two decimals fewer, at least 2.
    variances : bool
        Whether to show a column of variances before the standard deviations.

    Returns
    -------
    header : list of str
    rows : list of list of str
        One row a random column, and the residual's if there is one. Correlations with the columns of the same
        term stand to the right, under one heading.
    """
    parts = varcorr.parts
    residual = [] if varcorr.sigma is None or varcorr.residual else [varcorr.sigma]
    deviations = [sd for p in parts for sd in p.values[: p.structure.n_deviations].tolist()] + residual
    beside = [_cells_beside(part, max(2, digits - 2)) for part in parts]
    # What dispersion= adds to the logarithm of the residual's, beside blanks.
    log_sd = [(f"{shown(name)}, log sd", f"{value:.{max(2, digits - 2)}f}") for name, value in varcorr.log_sd]
    columns = [
        [g for p in parts for g in (p.group, *[""] * (p.structure.n_deviations - 1))]
        + ["Residual"] * len(residual)
        + [""] * len(log_sd),
        [shown(name) for p in parts for name in p.structure.row_names(p.columns)]
        + [""] * len(residual)
        + [name for name, _ in log_sd],
    ]
    if variances:
        columns.append(format_common([sd**2 for sd in deviations], digits) + [""] * len(log_sd))
    columns.append(format_common(deviations, digits) + [""] * len(log_sd))
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    header = ["Groups", "Name", *(["Variance"] if variances else []), "Std.Dev."]
    # Left of a structure's own parameters stand the columns so far, each with a blank.
    room = WIDTH - sum(1 + max(map(len, column)) for column in zip(header, *rows, strict=True))
    extras = [_wrapped(cells, room) if p.structure.tag else cells for p, cells in zip(parts, beside, strict=True)]
    whole: list[tuple[list[str], list[str]]] = []
    for part, cells in zip(parts, extras, strict=True):
        own, rows = rows[: part.structure.n_deviations], rows[part.structure.n_deviations :]
        own += [[""] * len(header) for _ in cells[len(own) :]]
        whole += zip(own, cells, strict=True)
    whole += zip(rows, [*([] for _ in residual), *([c] for _, c in log_sd)], strict=True)
    n_corr = max((len(cells) for _, cells in whole), default=0)
    header += ["Corr", *[""] * (n_corr - 1)] if n_corr else []
    return header, [[*own, *cells, *[""] * (n_corr - len(cells))] for own, cells in whole]


def _wrapped(rows: list[list[str]], room: int) -> list[list[str]]:
    """The cells of the first row, a structure's own parameters, in as many rows as they need."""
    lines = [""]
    for cell in rows[0]:
        longer = f"{lines[-1]} {cell}".lstrip()
        if lines[-1] and len(longer) >= room:
            lines.append(cell)
        else:
            lines[-1] = longer
    return [[line] for line in lines] + rows[len(lines) :]


def _cells_beside(part: Component | ResidualComponent, decimals: int) -> list[list[str]]:
    """What stands beside every row: correlations and the other parameters of the structure."""
    structure, values = part.structure, part.values.tolist()
    natural = structure.natural
    correlations = [a for a, p in enumerate(natural) if p.kind == "cor"]
    # the 1 of the diagonal counts for the width, as in lme4
    fixed = fixed_decimals([1.0, *(values[a] for a in correlations)], decimals)[1:]
    cells = dict(zip(correlations, fixed, strict=True))
    for a, p in enumerate(natural[structure.n_deviations :], structure.n_deviations):
        cells.setdefault(a, f"{p.kind} {values[a]:.{decimals + 1}g}")
    rows = [[cells[a] for a in row] for row in structure.row_cells]
    if structure.tag:
        rows[0].append(structure.tag)
    return rows


def varcorr_text(varcorr: RandomCovariances, digits: int = DIGITS + 1) -> str:
    """Print standard deviations and correlations as lme4's ``print(VarCorr(m))``.

    Parameters
    ----------
    varcorr : RandomCovariances
    digits : int

    Returns
    -------
    str
    """
    return lay_out(*varcorr_cells(varcorr, digits))


def criteria_cells(criteria: dict[str, float]) -> list[str]:
    """Information criteria to one decimal, the degrees of freedom as a whole number.

    Parameters
    ----------
    criteria : dict of str to float

    Returns
    -------
    list of str
    """
    rounded = {name: round(value, 1) for name, value in criteria.items() if name != "df.resid"}
    cells = dict(zip(rounded, format_common(rounded.values(), 7), strict=True))
    return [cells[name].strip() if name in cells else f"{value:.0f}" for name, value in criteria.items()]


def quantile_cells(quantiles: NDArray[np.float64]) -> list[str]:
    """Five quantiles of the scaled residuals, formatted alike.

    Parameters
    ----------
    quantiles : ndarray, shape (5,)

    Returns
    -------
    list of str
    """
    return format_common(zap_small(quantiles, DIGITS + 1), DIGITS)


def coefficient_cells(summary: SummaryFacts) -> list[list[str]]:
    """Estimates, standard errors, degrees of freedom, t or z values and p-values, formatted a column.

    Parameters
    ----------
    summary : SummaryFacts

    Returns
    -------
    list of list of str
    """
    table = summary.coefficients
    df = table["df"].tolist() if "df" in table else []
    shown_columns = [column for column in table.columns if column != "df"]
    estimates, errors, statistics, *p_values = (table[column].tolist() for column in shown_columns)
    cells = format_coefficients(estimates, errors, statistics, DIGITS, df)
    return cells + [format_p_values(values, DIGITS - 1) for values in p_values]


def star_cells(summary: SummaryFacts) -> list[str]:
    """Significance codes of the fixed effects; empty where no p-value is shown or none is below 0.1.

    Parameters
    ----------
    summary : SummaryFacts

    Returns
    -------
    list of str
    """
    table = summary.coefficients
    p_column = str(table.columns[-1])
    codes = stars(table[p_column].tolist()) if p_column.startswith("Pr(") else []
    return codes if any(codes) else []


def _criteria_text(summary: SummaryFacts) -> str:
    cells = criteria_cells(summary.criteria)
    if "REML" in summary.criteria:
        return f"REML criterion at convergence: {cells[0]}"
    return _named(list(summary.criteria), cells)


def _named(names: list[str], cells: list[str]) -> str:
    width = max(len(cell) for cell in [*names, *cells])
    return "\n".join(" ".join(cell.rjust(width) for cell in line) for line in (names, cells))


def _correlation_text(summary: SummaryFacts) -> str:
    matrix = summary.correlation
    if matrix is None:
        return ""
    names = [shown(name) for name in summary.coefficients.index]
    p = len(names)
    flat = fixed_decimals(matrix.ravel().tolist(), 3)
    rows = [[flat[i * p + j] if j < i else "" for j in range(p - 1)] for i in range(1, p)]
    table = lay_out(abbreviate(names, 6)[:-1], rows, abbreviate(names, 11)[1:])
    return f"\nCorrelation of Fixed Effects:\n{table}\n"


#: What the tables of the predictors after the mean's are called.
FURTHER = {
    "zi": "Zero-inflation model",
    "dispersion": "Dispersion model",
    "thresholds": "Threshold coefficients",
    "scale": "Log-scale coefficients",
}


def _further_text(summary: SummaryFacts) -> str:
    out = []
    for name, table in summary.further.items():
        cells = coefficient_cells(replace(summary, coefficients=table))
        rows = [shown(column) for column in table.index]
        printed = lay_out([str(c) for c in table.columns], list(zip(*cells, strict=True)), rows, right=True)
        out.append(f"\n{FURTHER[name]}:\n{printed}\n")
        deviations = summary.deviations.get(name)
        out += [f"{deviations}\n"] if deviations else []
    return "".join(out)


def _residual_text(summary: SummaryFacts) -> str:
    if summary.quantiles is None:
        return ""
    return f"Scaled residuals:\n{_named(list(QUANTILES), quantile_cells(summary.quantiles))}\n\n"


def summary_text(summary: SummaryFacts) -> str:
    """Print a summary as lme4's ``print(summary(m))``.

    Parameters
    ----------
    summary : SummaryFacts

    Returns
    -------
    str
    """
    names = [shown(name) for name in summary.coefficients.index]
    coefficients = summary.coefficients
    cells = coefficient_cells(summary)
    levels = "; ".join(f"{name}, {count}" for name, count in summary.groups.items())
    groups = f", groups:  {levels}" if levels else ""
    missing = ""
    if summary.n_dropped:
        plural = "s" if summary.n_dropped > 1 else ""
        missing = f"  ({summary.n_dropped} observation{plural} deleted due to missingness)\n"
    data = f"   Data: {summary.data_name}\n" if summary.data_name else ""
    header, codes = list(coefficients.columns), star_cells(summary)
    if codes:
        header.append("")
        # codes stand to the left of their column, numbers to the right
        cells.append([code.ljust(3) for code in codes])
    fixed = lay_out(header, list(zip(*cells, strict=True)), names, right=True)
    legend = f"---\n{LEGEND}\n" if codes else ""
    family = f" Family: {summary.family}\n" if summary.family else ""
    dispersion = f"\n{summary.dispersion}\n" if summary.dispersion else ""
    title = textwrap.fill(summary.title, WIDTH, subsequent_indent="  ")
    criteria = f"{_criteria_text(summary)}\n\n" if summary.criteria else ""
    notes = "\n" + "\n".join(summary.notes) + "\n" if summary.notes else ""
    return (
        f"{title}\n{family}Formula: {summary.formula}\n{data}\n{criteria}"
        f"{_residual_text(summary)}"
        f"Random effects:\n{lay_out(*varcorr_cells(summary.varcorr, DIGITS, variances=True))}\n"
        f"Number of obs: {summary.nobs}{groups}\n{missing}{dispersion}\n"
        f"Fixed effects:\n{fixed}\n{legend}{_correlation_text(summary)}{_further_text(summary)}{notes}"
    ).rstrip("\n")
