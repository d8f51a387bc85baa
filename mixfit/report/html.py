"""Summaries and variance components as HTML tables for notebooks."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING

from mixfit.report.text import (
    DIGITS,
    FURTHER,
    QUANTILES,
    coefficient_cells,
    criteria_cells,
    quantile_cells,
    star_cells,
    varcorr_cells,
)
from mixfit.tables.layout import abbreviate, shown
from mixfit.tables.numbers import LEGEND, fixed_decimals
from mixfit.tables.table import html_table

if TYPE_CHECKING:
    from mixfit.fitted.varcorr import RandomCovariances
    from mixfit.report.facts import SummaryFacts

__all__ = ["summary_html", "varcorr_html"]


def varcorr_html(varcorr: RandomCovariances, digits: int = DIGITS + 1) -> str:
    """Write standard deviations and correlations as a table.

    Parameters
    ----------
    varcorr : RandomCovariances
    digits : int

    Returns
    -------
    str
    """
    header, rows = varcorr_cells(varcorr, digits)
    return html_table(header, rows, caption="Random effects", n_names=2)


def summary_html(summary: SummaryFacts) -> str:
    """Write a summary as HTML: the tables of the printed one.

    Parameters
    ----------
    summary : SummaryFacts

    Returns
    -------
    str
    """
    names = [shown(name) for name in summary.coefficients.index]
    coefficients = summary.coefficients
    cells, header, codes = coefficient_cells(summary), ["", *coefficients.columns], star_cells(summary)
    if codes:
        header.append("")
        cells.append(codes)
    family = f"Family: {escape(summary.family)}<br>" if summary.family else ""
    data = f"<br>Data: {escape(summary.data_name)}" if summary.data_name else ""
    missing = f" ({summary.n_dropped} deleted due to missingness)" if summary.n_dropped else ""
    levels = "; ".join(f"{name}, {count}" for name, count in summary.groups.items())
    groups = f", groups: {escape(levels)}" if levels else ""
    criteria = ["REML criterion" if name == "REML" else name for name in summary.criteria]
    variances, quantiles = varcorr_cells(summary.varcorr, DIGITS, variances=True), summary.quantiles
    parts = [
        f"<p><b>{escape(summary.title)}</b><br>{family}Formula: <code>{escape(summary.formula)}</code>{data}</p>",
        html_table(criteria, [criteria_cells(summary.criteria)]) if criteria else "",
        "" if quantiles is None else html_table(QUANTILES, [quantile_cells(quantiles)], caption="Scaled residuals"),
        html_table(*variances, caption="Random effects", n_names=2),
        f"<p>Number of obs: {summary.nobs}{missing}{groups}</p>",
        f"<p>{escape(summary.dispersion)}</p>" if summary.dispersion else "",
        html_table(
            header,
            list(zip(names, *cells, strict=True)),
            caption="Fixed effects",
            n_names=1,
        ),
        f"<p>{escape(LEGEND)}</p>" if codes else "",
    ]
    for name, table in summary.further.items():
        own = [shown(column) for column in table.index]
        columns = coefficient_cells(replace(summary, coefficients=table))
        rows = list(zip(own, *columns, strict=True))
        parts.append(html_table(["", *table.columns], rows, caption=FURTHER[name], n_names=1))
        deviations = summary.deviations.get(name)
        parts += [f"<p>{escape(deviations)}</p>"] if deviations else []
    if summary.correlation is not None:
        parts.append(_correlation_table(summary, names))
    parts += [f"<p>{escape(note)}</p>" for note in summary.notes]
    return '<div class="mixfit-summary">\n' + "\n".join(part for part in parts if part) + "\n</div>"


def _correlation_table(summary: SummaryFacts, names: list[str]) -> str:
    matrix = summary.correlation
    assert matrix is not None
    p = len(names)
    flat = fixed_decimals(matrix.ravel().tolist(), 3)
    rows = [[names[i], *(flat[i * p + j] if j < i else "" for j in range(p - 1))] for i in range(1, p)]
    header = ["", *abbreviate(names, 6)[:-1]]
    return html_table(header, rows, caption="Correlation of fixed effects", n_names=1)
