"""Summaries and variance components as HTML tables for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mixfit.results.names import abbreviate, shown
from mixfit.results.numbers import fixed_decimals
from mixfit.results.pvalues import LEGEND
from mixfit.results.text import (
    DIGITS,
    QUANTILES,
    coefficient_cells,
    criteria_cells,
    quantile_cells,
    star_cells,
    varcorr_cells,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixfit.results.summary import Summary
    from mixfit.results.varcorr import VarCorr

__all__ = ["html_table", "summary_html", "varcorr_html"]


def html_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    n_names: int = 0,
) -> str:
    """Write a table; every cell is escaped.

    Parameters
    ----------
    header : sequence of str, length c
    rows : sequence of sequence of str, shape (r, c)
    caption : str
        Its lines stay lines.
    n_names : int
        Leading columns that are names: row headings, set to the left.

    Returns
    -------
    str

    Examples
    --------
    >>> html_table(["x"], [["a < b"]], n_names=1).count("a &lt; b")
    1
    """
    left, right = ' style="text-align:left"', ' style="text-align:right"'

    def row_of(cells: Sequence[str], name_tag: str, tag: str) -> str:
        written = (
            f"<{name_tag}{left}>{escape(cell.strip())}</{name_tag}>"
            if j < n_names
            else f"<{tag}{right}>{escape(cell.strip())}</{tag}>"
            for j, cell in enumerate(cells)
        )
        return f"<tr>{''.join(written)}</tr>"

    lines = "<br>".join(escape(line) for line in caption.splitlines())
    title = f'<caption style="text-align:left">{lines}</caption>\n' if lines else ""
    body = "\n".join(row_of(row, "th", "td") for row in rows)
    head = row_of(header, "th", "th")
    return f'<table class="mixfit">\n{title}<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>'


def varcorr_html(varcorr: VarCorr, digits: int = DIGITS + 1) -> str:
    """Write standard deviations and correlations as a table.

    Parameters
    ----------
    varcorr : VarCorr
    digits : int

    Returns
    -------
    str
    """
    header, rows = varcorr_cells(varcorr, digits)
    return html_table(header, rows, caption="Random effects", n_names=2)


def summary_html(summary: Summary) -> str:
    """Write a summary as HTML: the tables of the printed one.

    Parameters
    ----------
    summary : Summary

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
    groups = "; ".join(f"{name}, {count}" for name, count in summary.groups.items())
    criteria = ["REML criterion" if name == "REML" else name for name in summary.criteria]
    variances = varcorr_cells(summary.varcorr, DIGITS, variances=True)
    parts = [
        f"<p><b>{escape(summary.title)}</b><br>{family}Formula: <code>{escape(summary.formula)}</code>{data}</p>",
        html_table(criteria, [criteria_cells(summary.criteria)]) if criteria else "",
        html_table(QUANTILES, [quantile_cells(summary)], caption="Scaled residuals"),
        html_table(*variances, caption="Random effects", n_names=2),
        f"<p>Number of obs: {summary.nobs}{missing}, groups: {escape(groups)}</p>",
        f"<p>{escape(summary.dispersion)}</p>" if summary.dispersion else "",
        html_table(
            header,
            list(zip(names, *cells, strict=True)),
            caption="Fixed effects",
            n_names=1,
        ),
        f"<p>{escape(LEGEND)}</p>" if codes else "",
    ]
    if summary.correlation is not None:
        parts.append(_correlation_table(summary, names))
    parts += [f"<p>{escape(note)}</p>" for note in summary.notes]
    return '<div class="mixfit-summary">\n' + "\n".join(part for part in parts if part) + "\n</div>"


def _correlation_table(summary: Summary, names: list[str]) -> str:
    matrix = summary.correlation
    assert matrix is not None
    p = len(names)
    flat = fixed_decimals(matrix.ravel().tolist(), 3)
    rows = [[names[i], *(flat[i * p + j] if j < i else "" for j in range(p - 1))] for i in range(1, p)]
    header = ["", *abbreviate(names, 6)[:-1]]
    return html_table(header, rows, caption="Correlation of fixed effects", n_names=1)
