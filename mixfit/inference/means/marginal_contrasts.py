"""Linear functions of the fixed effects and contrasts of means, as objects that print as R's emmeans does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.inference.means.linear_functions import by_groups, intervals
from mixfit.inference.means.marginal_frames import families_of
from mixfit.inference.means.marginal_text import as_html, as_text
from mixfit.results.table import Framed

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.inference.means.linear_functions import Estimates
    from mixfit.inference.means.marginal_frames import Settings

    Array = NDArray[np.float64]

__all__ = ["Contrasts", "Functions"]

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

    def __str__(self) -> str:
        return as_text(self.frame, self.by, self.notes)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self.frame, self.by, self.notes)


@dataclass(frozen=True, eq=False)
class Contrasts(Functions):
    """Contrasts of marginal means.

    The frame has the columns ``contrast``, those of `by`, the estimate (``estimate``, ``odds.ratio`` or
    ``ratio``), ``SE``, ``df``, ``null`` for ratios, ``t.ratio`` or ``z.ratio``, and ``p.value``. NaN where a
    contrast cannot be estimated.

    Attributes
    ----------
    kind : tuple of int and bool
        How many means are compared within each group, and whether in all pairs.

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

    kind: tuple[int, bool]

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
        settings, adjust = self.settings, adjust or self.adjust
        groups = by_groups(self.names, self.by)
        families = families_of(settings, self.L, self.estimates, groups, self.kind, adjust)
        limits = intervals(self.estimates, groups, families, adjust, settings.level if level is None else level)
        frame = self.frame.loc[:, :"df"].copy()
        for name, values in zip(LIMITS, limits[:2], strict=True):
            frame[name] = np.exp(values) if settings.as_ratios else values
        return frame
