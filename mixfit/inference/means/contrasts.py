"""Contrasts of marginal means, as objects that print as R's emmeans does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.inference.means.alternative import Alternative, alternative
from mixfit.inference.means.linear_functions import by_groups, intervals
from mixfit.inference.means.marginal_frames import (
    as_html,
    as_text,
    families_of,
    tests_frame,
)
from mixfit.tables.table import Framed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from mixfit.inference.means.linear_functions import Estimates
    from mixfit.inference.means.marginal_frames import ContrastRows, Settings

    Array = NDArray[np.float64]

__all__ = ["Contrasts", "Functions", "SimpleContrasts"]

LIMITS = ("lower.CL", "upper.CL")


@dataclass(frozen=True, eq=False)
class Functions(Framed):
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

    as_frame = Framed.to_frame

    def __str__(self) -> str:
        return as_text(self.frame, self.by, self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.frame, self.by, self.notes)


@dataclass(frozen=True, eq=False)
class Contrasts(Functions):
    """Contrasts of marginal means.

    The frame has the columns ``contrast`` (one a factor for interaction contrasts), those of `by`, the estimate
    (``estimate``, ``odds.ratio`` or ``ratio``), ``SE``, ``df``, ``null`` for ratios and where it is not zero,
    ``t.ratio`` or ``z.ratio``, and ``p.value``. NaN where a contrast cannot be estimated.

    Attributes
    ----------
    rows : ContrastRows
        What the contrasts are of the means.
    alternative : Alternative
        What is tested.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> means = fit.emmeans("period")
    >>> means.contrast("trt.vs.ctrl")["contrast"].tolist()
    ['period2 - period1', 'period3 - period1', 'period4 - period1']
    """

    rows: ContrastRows
    alternative: Alternative

    __repr__ = Functions.__repr__

    @classmethod
    def of(
        cls,
        settings: Settings,
        rows: ContrastRows,
        by: tuple[str, ...],
        estimates: Estimates,
        adjust: str,
        tested: Alternative,
    ) -> Contrasts:
        """Test contrasts that are estimated.

        Parameters
        ----------
        settings : Settings
        rows : ContrastRows
        by : tuple of str
        estimates : Estimates
        adjust : str
        tested : Alternative

        Returns
        -------
        Contrasts
        """
        frame, notes = tests_frame(settings, rows, by, estimates, adjust, tested)
        return cls(frame, rows.L, by, notes, estimates, rows.names, settings, adjust, rows, tested)

    def test(
        self, *, null: float = 0.0, side: str = "two-sided", delta: float = 0.0, adjust: str | None = None
    ) -> Contrasts:
        """Test another hypothesis of the same contrasts.

        Parameters
        ----------
        null, side, delta
            As of `EmMeans.contrast`.
        adjust : str, optional
            The adjustment that the contrasts have by default.

        Returns
        -------
        Contrasts

        Examples
        --------
        Which treatments yield the same, but for ten units at most?

        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> pairs = fit.emmeans("treat").pairs()
        >>> pairs.test(side="equivalence", delta=10, adjust="none")["p.value"].round(3).tolist()
        [0.003, 0.047, 0.006, 0.025, 0.003, 0.013]
        """
        tested = alternative(null, side, delta)
        return self.of(self.settings, self.rows, self.by, self.estimates, adjust or self.adjust, tested)

    def conf_int(self, *, level: float | None = None, adjust: str | None = None) -> pd.DataFrame:
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

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> means = fit.emmeans("period")
        >>> means.pairs().conf_int().loc[:1, ["contrast", "lower.CL", "upper.CL"]].round(3)
                    contrast  lower.CL  upper.CL
        0  period1 - period2     0.205     1.780
        1  period1 - period3     0.290     1.968
        """
        scale, lower, upper = self.settings.scale, *self._limits(level, adjust)
        frame = self.frame.loc[:, :"df"].copy()
        for name, values in zip(LIMITS, (lower, upper), strict=True):
            frame[name] = np.exp(scale.log_base * values) if self.settings.as_ratios else values
        return frame

    def half_widths(self, *, level: float | None = None, adjust: str | None = None) -> Array:
        """By how much means have to differ: half the widths of the intervals, on the scale of the linear predictor.

        Parameters
        ----------
        level, adjust
            As of `conf_int`.

        Returns
        -------
        ndarray, shape (q,)

        Examples
        --------
        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> fit.emmeans("treat").pairs().half_widths().round(2).tolist()
        [8.15, 8.15, 8.15, 8.15, 8.15, 8.15]
        """
        lower, upper = self._limits(level, adjust)
        return 0.5 * (upper - lower)

    def _limits(self, level: float | None, adjust: str | None) -> tuple[Array, Array]:
        settings, adjust = self.settings, adjust or self.adjust
        groups = by_groups(self.names, self.by)
        families = families_of(settings, self.L, self.estimates, groups, self.rows.kinds, adjust)
        return intervals(self.estimates, groups, families, adjust, settings.level if level is None else level)[:2]


@dataclass(frozen=True, eq=False)
class SimpleContrasts:
    """Contrasts of each factor at all combinations of the others, by the factor's name.

    Examples
    --------
    >>> import mixfit
    >>> cake = mixfit.datasets.load("cake")
    >>> fit = mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", cake).fit()
    >>> found = fit.emmeans(["recipe", "temperature"]).contrast("consec", simple="each")
    >>> list(found), len(found["recipe"]), len(found["temperature"])
    (['recipe', 'temperature'], 12, 15)
    """

    tables: dict[str, Contrasts]

    def __getitem__(self, factor: str) -> Contrasts:
        return self.tables[factor]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def to_frame(self) -> pd.DataFrame:
        """Return all contrasts as one frame, with a column that says whose they are.

        Returns
        -------
        DataFrame

        Examples
        --------
        >>> import mixfit
        >>> cake = mixfit.datasets.load("cake")
        >>> fit = mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", cake).fit()
        >>> fit.emmeans(["recipe", "temperature"]).contrast("consec", simple="each").to_frame().shape
        (27, 9)
        """
        tables = [table.frame.assign(factor=name) for name, table in self.tables.items()]
        whole = pd.concat(tables, ignore_index=True)
        return whole[["factor", *whole.columns.drop("factor")]]

    def __str__(self) -> str:
        return "\n\n".join(f"Simple contrasts for {name}:\n\n{table}" for name, table in self.tables.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "\n".join(
            f"<p>Simple contrasts for {name}:</p>\n{table._repr_html_()}" for name, table in self.tables.items()
        )
