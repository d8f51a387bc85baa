"""A frame that prints as R prints a table of tests, and shows as HTML in a notebook."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from mixfit.helped import Helped
from mixfit.tables.layout import lay_out
from mixfit.tables.numbers import LEGEND, fixed_decimals, format_common, format_p_values, stars, zap_small

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Framed", "Table", "html_table"]

# R's getOption("digits") - 2, which its print method for tests uses.
_DIGITS = 5


class Framed(Helped):
    """The part of an object that gives the numbers it shows."""

    frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return the numbers as a frame of one's own.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import mixfit
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp")).fit()
        >>> fit.ttest().to_frame().shape
        (1, 5)
        """
        return self.frame.copy()

    def __getitem__(self, column: str) -> pd.Series:
        return self.frame[column]

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, eq=False)
class Table(Framed):
    """A table of tests or estimates.

    Attributes
    ----------
    frame : DataFrame
        The numbers in full precision, under the names that R prints. NaN prints as a blank.
    heading : tuple of str
        Lines above the table.
    notes : tuple of str
        Lines below it: what a reader must know before trusting the numbers.
    p_column : str or None
        The column of p-values, printed as such.
    more_p_columns : tuple of str
        Further columns of p-values, without codes.
    significance : bool
        Whether codes of significance follow the p-values, with their legend.
    decimals : mapping of str to int
        Columns shown with fixed decimals; the others show up to 5 significant digits.
    show_index : bool
        Whether the row names are printed.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> table = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().anova()
    >>> table
    Type III Analysis of Variance Table with Satterthwaite's method
         Sum Sq Mean Sq NumDF DenDF F value    Pr(>F)
    Days  30031   30031     1    17  45.853 3.264e-06 ***
    ---
    Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
    >>> table["F value"].round(2).tolist()
    [45.85]
    """

    frame: pd.DataFrame
    heading: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    p_column: str | None = None
    significance: bool = True
    decimals: Mapping[str, int] = field(default_factory=dict)
    show_index: bool = True
    more_p_columns: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return the table as R lays it out.

        Returns
        -------
        str

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> print(fit.ttest(ddf="z").as_text())
                  Estimate Std. Error z value Pr(>|z|)
        Intercept     60.4    0.14944  404.17   <2e-16 ***
        ---
        Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1
        """
        header, rows, names = self._cells()
        body = lay_out(header, rows, names if self.show_index else None, right=True)
        legend = ["---", LEGEND] if self._codes() is not None else []
        return "\n".join([*self.heading, body, *legend, *self.notes])

    def as_html(self) -> str:
        """Return the table as HTML.

        Returns
        -------
        str

        Examples
        --------
        >>> import mixfit
        >>> pulp = mixfit.datasets.load("pulp")
        >>> fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp).fit()
        >>> fit.ttest().as_html().count("<tr")
        2
        """
        header, rows, names = self._cells()
        if self.show_index:
            header, rows = ["", *header], [[name, *row] for name, row in zip(names, rows, strict=True)]
        legend = [LEGEND] if self._codes() is not None else []
        table = html_table(header, rows, caption="\n".join(self.heading), n_names=int(self.show_index))
        return "\n".join([table, *(f"<p>{escape(note)}</p>" for note in (*legend, *self.notes))])

    def __str__(self) -> str:
        return self.as_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.as_html()

    def _codes(self) -> list[str] | None:
        if self.p_column is None or not self.significance:
            return None
        codes = stars(self.frame[self.p_column].astype(float))
        return codes if any(codes) else None

    def _cells(self) -> tuple[list[str], list[list[str]], list[str]]:
        columns = [self._column(str(name)) for name in self.frame.columns]
        header = [str(name) for name in self.frame.columns]
        codes = self._codes()
        if codes is not None:
            header.append("")
            columns.append([code.ljust(3) for code in codes])
        rows = [list(row) for row in zip(*columns, strict=True)]
        return header, rows, [str(name) for name in self.frame.index]

    def _column(self, name: str) -> list[str]:
        values = self.frame[name]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            return [str(value) for value in values]
        numbers = [float(value) for value in values.astype(float)]
        known = [value for value in numbers if not math.isnan(value)]
        cells = iter(self._format(name, known))
        return ["" if math.isnan(value) else next(cells) for value in numbers]

    def _format(self, name: str, known: Sequence[float]) -> list[str]:
        if name == self.p_column or name in self.more_p_columns:
            return format_p_values(known, _DIGITS - 1)
        if name in self.decimals:
            return fixed_decimals(known, self.decimals[name])
        # As R's print method for tests: what is nothing beside the largest of its column shows as zero.
        return format_common(zap_small(known, _DIGITS), _DIGITS)


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
