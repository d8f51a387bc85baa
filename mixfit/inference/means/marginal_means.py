"""Estimated marginal means as objects that print as R's emmeans does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np

from mixfit.defaults import coverage
from mixfit.errors import FitError
from mixfit.inference.means.alternative import alternative
from mixfit.inference.means.contrasts import Contrasts, Functions, SimpleContrasts
from mixfit.inference.means.interactions import factor_methods, interaction_rows
from mixfit.inference.means.letters import LETTERS, letter_columns, letters_of
from mixfit.inference.means.linear_functions import Estimates, by_groups
from mixfit.inference.means.marginal_frames import (
    ContrastRows,
    as_html,
    as_text,
    contrast_rows,
    mean_tests_frame,
    means_frame,
)
from mixfit.inference.means.specs import as_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["EmMeans"]

_SHARED = {
    True: ("Means that share a letter were shown to be the same but for the margin.",),
    False: (
        "NOTE: Means that share a letter were not shown to differ,",
        "      but they were not shown to be the same either.",
    ),
}


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

    #: What contrasts of the means are.
    contrasts_class: ClassVar[type[Contrasts]] = Contrasts

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

    def test(
        self, *, null: float = 0.0, side: str = "two-sided", delta: float = 0.0, adjust: str = "none"
    ) -> Functions:
        """Test the means themselves.

        Parameters
        ----------
        null, side, delta
            As of `contrast`.
        adjust : str
            As of `contrast`.

        Returns
        -------
        Functions
            Its frame has the means, ``SE``, ``df``, ``null`` where it is not zero, the statistic and ``p.value``.

        Examples
        --------
        >>> import mixfit
        >>> penicillin = mixfit.datasets.load("penicillin")
        >>> fit = mixfit.mixed("yield ~ treat + (1 | blend)", penicillin).fit()
        >>> fit.emmeans("treat").test(null=82, side="right")["p.value"].round(3).tolist()
        [0.218, 0.125, 0.008, 0.067]
        """
        names = self.names if self.names.shape[1] else self.frame[["1"]]
        kinds = tuple((len(group), False) for group in by_groups(names, self.by))
        rows = ContrastRows(names, self.L, np.ones(len(self.L)), kinds, "none")
        tested = alternative(null, side, delta)
        frame, notes = mean_tests_frame(self.settings, rows, self.by, self.estimates, adjust, tested)
        return Functions(frame, self.L, self.by, notes, self.estimates, names, self.settings, adjust)

    @overload
    def pairs(self, *, simple: Literal["each"], **options: Any) -> SimpleContrasts: ...
    @overload
    def pairs(self, **options: Any) -> Contrasts: ...

    def pairs(self, **options: Any) -> Contrasts | SimpleContrasts:
        """Compare every two means; the same as ``contrast("pairwise")``.

        Parameters
        ----------
        **options
            As of `contrast`: by, adjust, simple, interaction, null, side, delta.

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
        return self.contrast("pairwise", **options)

    @overload
    def contrast(  # type: ignore[overload-overlap]
        self,
        method: Any = ...,
        *,
        simple: Literal["each"],
        adjust: str | None = ...,
        null: float = ...,
        side: str = ...,
        delta: float = ...,
    ) -> SimpleContrasts: ...
    @overload
    def contrast(
        self,
        method: Any = ...,
        *,
        by: str | Sequence[str] | None = ...,
        adjust: str | None = ...,
        simple: str | Sequence[str] | None = ...,
        interaction: Any = ...,
        null: float = ...,
        side: str = ...,
        delta: float = ...,
    ) -> Contrasts: ...

    def contrast(
        self,
        method: Any = "pairwise",
        *,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[str] | None = None,
        interaction: Any = None,
        null: float = 0.0,
        side: str = "two-sided",
        delta: float = 0.0,
    ) -> Contrasts | SimpleContrasts:
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
            for polynomials, interaction contrasts and given coefficients.
        simple : str or sequence of str, optional
            Instead of `by`, the factors that are compared: all others are what they are compared within. ``"each"``
            compares the levels of every factor by itself.
        interaction : bool, str, sequence or mapping, optional
            Contrasts of contrasts: ``True`` takes `method` for every factor that is not in `by`, a name takes that one,
            and several, in order or by the factors' names, take each its own (``["pairwise", "poly"]``).
        null : float
            The value that contrasts are compared with, on the scale of the linear predictor.
        side : str
            "two-sided", "left" or "right": where the estimate is expected; "equivalence", "noninferiority" or
            "nonsuperiority", which are the same with a margin.
        delta : float
            A margin within which differences do not matter: the test is of equivalence (two-sided), non-inferiority
            (right: the contrast is above ``null - delta``) or non-superiority (left).

        Returns
        -------
        Contrasts
            With ``simple="each"`` a `SimpleContrasts`, by the names of the factors.

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
        options: dict[str, Any] = {"adjust": adjust, "null": null, "side": side, "delta": delta}
        if simple == "each":
            if by is not None or interaction is not None:
                raise FitError('simple="each" goes with neither by= nor interaction=.')
            names = [str(name) for name in self.names]
            return SimpleContrasts({name: self.contrast(method, simple=[name], **options) for name in names})
        within = self._within(by, simple)
        settings, sign = self.settings, "/" if self.settings.as_ratios else "-"
        if interaction is None or interaction is False:
            rows = contrast_rows(self.names, self.L, within, method, sign)
        else:
            factors = [str(name) for name in self.names if name not in within]
            methods = factor_methods(interaction, method, factors)
            rows = interaction_rows(self.names, self.L, within, methods, sign)
        estimates = settings.evaluate(rows.L, rows.weight * self.offset)
        tested = alternative(null, side, delta)
        return self.contrasts_class.of(settings, rows, within, estimates, adjust or rows.adjust, tested)

    def _within(self, by: str | Sequence[str] | None, simple: str | Sequence[str] | None) -> tuple[str, ...]:
        """Variables within whose combinations means are compared."""
        if by is not None and simple is not None:
            raise FitError("simple= names what is compared, and by= what it is compared within: give one of them.")
        named = as_names(by if simple is None else simple)
        for name in named:
            if name not in self.names:
                argument = "by" if simple is None else "simple"
                raise FitError(
                    f"{argument}= names {name!r}; the means stand for {', '.join(map(str, self.names)) or 'nothing'}."
                )
        if simple is not None:
            return tuple(str(name) for name in self.names if name not in named)
        return self.by if by is None else named

    def cld(
        self,
        *,
        level: float | None = None,
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        reversed: bool = False,  # noqa: A002
        delta: float = 0.0,
        letters: str = LETTERS,
    ) -> Functions:
        """Display by letters which means differ: those that share one were not shown to.

        That is no finding that they are the same: for that, give a margin `delta`.

        Parameters
        ----------
        level : float, optional
            Two means differ where the p-value of their difference is less than 1 - `level`; that of the means by
            default.
        adjust, by
            As of `pairs`.
        reversed : bool
            Whether the largest mean stands first, with the first letter.
        delta : float
            A margin: means that share a letter are then those whose difference was shown to be less.
        letters : str

        Returns
        -------
        Functions
            The means in order of size, with a column ``.group``.

        References
        ----------
        Piepho (2004), Journal of Computational and Graphical Statistics 13(2), 456-466.

        Examples
        --------
        >>> import mixfit
        >>> cake = mixfit.datasets.load("cake")
        >>> fit = mixfit.mixed("angle ~ recipe + temperature + (1 | recipe:replicate)", cake).fit()
        >>> fit.emmeans("temperature").cld().to_frame()[["temperature", "emmean", ".group"]].round(1)
          temperature  emmean .group
        0         175    28.0      a
        1         185    30.0     ab
        2         195    31.4      b
        3         205    32.2      b
        4         225    35.4      c
        5         215    35.8      c
        """
        alpha = 1.0 - (self.settings.level if level is None else coverage(level))
        within = self._within(by, None)
        pairs = self.contrast("pairwise", by=within, adjust=adjust, delta=delta)
        p = pairs["p.value"].to_numpy(dtype=np.float64)
        # what cannot be compared was not shown to differ, nor to be the same
        apart = p >= alpha if delta > 0.0 else p < alpha
        groups, tests = by_groups(self.names, within), by_groups(pairs.names, within)
        order, shown = [], []
        for rows, own in zip(groups, tests, strict=True):
            estimate = self.frame[self.settings.scale.shown].to_numpy(dtype=np.float64)[rows]
            places = np.argsort(-estimate if reversed else estimate, kind="stable")
            differ = np.zeros((len(rows), len(rows)), dtype=bool)
            differ[np.triu_indices(len(rows), 1)] = apart[own]
            known = places[~np.isnan(estimate[places])]
            texts = letters_of(letter_columns((differ | differ.T)[np.ix_(known, known)]), letters)
            order.append(rows[places])
            shown += [*texts, *([""] * (len(places) - len(known)))]
        rows = np.concatenate(order)
        frame = self.frame.iloc[rows].reset_index(drop=True).assign(**{".group": shown})
        names, e = self.names.iloc[rows].reset_index(drop=True), self.estimates
        estimates = Estimates(e.estimate[rows], e.se[rows], e.df[rows])
        adjusted = [note for note in pairs.notes if note not in self.notes and "contrasts are" not in note]
        notes = (*self.notes, *adjusted, f"significance level used: alpha = {alpha:g}", *_SHARED[delta > 0.0])
        return Functions(frame, self.L[rows], within, notes, estimates, names, self.settings, pairs.adjust)

    def __str__(self) -> str:
        text = as_text(self.frame, self.by, self.notes)
        return text if self.contrasts is None else f"{text}\n\n{self.contrasts}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        html = as_html(self.frame, self.by, self.notes)
        return html if self.contrasts is None else f"{html}\n{self.contrasts._repr_html_()}"
