"""Estimated marginal means, and contrasts of them, as objects that print as R's emmeans does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.errors import FitError
from mixfit.inference.means.linear_functions import by_groups, intervals
from mixfit.inference.means.marginal_frames import (
    as_html,
    as_text,
    contrast_rows,
    families_of,
    means_frame,
    tests_frame,
)
from mixfit.tables.table import Framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.inference.means.linear_functions import Estimates
    from mixfit.inference.means.marginal_frames import Settings

    Array = NDArray[np.float64]

__all__ = ["Contrasts", "EmMeans", "Functions"]

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

    __repr__ = Functions.__repr__

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
        settings, adjust = self.settings, adjust or self.adjust
        groups = by_groups(self.names, self.by)
        families = families_of(settings, self.L, self.estimates, groups, self.kind, adjust)
        limits = intervals(self.estimates, groups, families, adjust, settings.level if level is None else level)
        frame = self.frame.loc[:, :"df"].copy()
        for name, values in zip(LIMITS, limits[:2], strict=True):
            frame[name] = np.exp(settings.scale.log_base * values) if settings.as_ratios else values
        return frame


@dataclass(frozen=True, eq=False)
class EmMeans(Functions):
    """Estimated marginal means.

    The frame has a column for every variable they stand for, ``emmean`` (``prob``, ``rate`` or ``response`` on the
    scale of the response), ``SE``, ``df``, ``lower.CL`` and ``upper.CL``. NaN where a mean cannot be estimated.

    Examples
    --------
    >>> import mixfit
    >>> herds = mixfit.datasets.load("cbpp")
    >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
    >>> means = fit.emmeans("period")
    >>> means
     period emmean    SE  df asymp.LCL asymp.UCL
     1       -1.40 0.232 Inf     -1.85    -0.943
     2       -2.39 0.310 Inf     -3.00    -1.783
     3       -2.53 0.330 Inf     -3.17    -1.880
     4       -2.98 0.430 Inf     -3.82    -2.136
    <BLANKLINE>
    Results are given on the logit (not the response) scale.
    Confidence level used: 0.95
    """

    offset: float
    contrasts: Contrasts | None

    def conf_int(self, *, level: float | None = None, adjust: str | None = None) -> pd.DataFrame:
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

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> means = fit.emmeans("period")
        >>> means.conf_int(level=0.9)[["lower.CL", "upper.CL"]].round(2)
           lower.CL  upper.CL
        0     -1.78     -1.02
        1     -2.90     -1.88
        2     -3.07     -1.98
        3     -3.69     -2.27
        """
        level = self.settings.level if level is None else level
        frame, _ = means_frame(self.settings, self.names, self.by, self.L, self.estimates, adjust or self.adjust, level)
        return frame

    def pairs(self, *, by: str | Sequence[str] | None = None, adjust: str | None = None) -> Contrasts:
        """Compare every two means; the same as ``contrast("pairwise")``.

        Parameters
        ----------
        by, adjust
            As of `contrast`.

        Returns
        -------
        Contrasts

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> means = fit.emmeans("period")
        >>> means.pairs()["p.value"].round(4).tolist()
        [0.0066, 0.0031, 0.0012, 0.9843, 0.5947, 0.7873]
        """
        return self.contrast("pairwise", by=by, adjust=adjust)

    def contrast(
        self, method: Any = "pairwise", *, by: str | Sequence[str] | None = None, adjust: str | None = None
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

        Examples
        --------
        >>> import mixfit
        >>> herds = mixfit.datasets.load("cbpp")
        >>> formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
        >>> fit = mixfit.mixed(formula, herds, family="binomial").fit()
        >>> means = fit.emmeans("period")
        >>> frame = means.contrast("trt.vs.ctrl").to_frame()
        >>> frame[["contrast", "estimate", "p.value"]].round(4)
                    contrast  estimate  p.value
        0  period2 - period1   -0.9923   0.0035
        1  period3 - period1   -1.1287   0.0016
        2  period4 - period1   -1.5803   0.0006
        """
        within = self.by if by is None else (by,) if isinstance(by, str) else tuple(by)
        for name in within:
            if name not in self.names:
                raise FitError(
                    f"by= names {name!r}; the means stand for {', '.join(map(str, self.names)) or 'nothing'}."
                )
        settings = self.settings
        rows = contrast_rows(self.names, self.L, within, method, "/" if settings.as_ratios else "-")
        estimates = settings.evaluate(rows.L, rows.weight * self.offset)
        applied = adjust or rows.adjust
        frame, notes = tests_frame(settings, rows, within, estimates, applied)
        return Contrasts(frame, rows.L, within, notes, estimates, rows.names, settings, applied, rows.kind)

    def __str__(self) -> str:
        text = as_text(self.frame, self.by, self.notes)
        return text if self.contrasts is None else f"{text}\n\n{self.contrasts}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        html = as_html(self.frame, self.by, self.notes)
        return html if self.contrasts is None else f"{html}\n{self.contrasts._repr_html_()}"
