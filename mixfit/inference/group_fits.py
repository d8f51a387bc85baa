"""Linear models fitted to each group by itself, as lme4's ``lmList``: what they say together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mixfit import wald
from mixfit.arguments import check_flag
from mixfit.defaults import coverage
from mixfit.helped import Helped
from mixfit.tables.layout import shown
from mixfit.tables.table import Table

__all__ = ["FitsByGroup"]

# What a screen holds.
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class FitsByGroup(Helped):
    """Least squares within each level of a factor.

    Attributes
    ----------
    formula : str
    group : str
        The grouping factor.
    coefficients : DataFrame, shape (q, p)
        A row a level. NaN where the rows of a level do not determine a coefficient.
    unscaled : DataFrame, shape (q, p)
        Standard errors over the residual standard deviation.
    sigmas : Series, shape (q,)
        Residual standard deviation of each level; NaN where no row is left for it.
    df : Series of int, shape (q,)
        Rows of each level less its coefficients.
    resid, fittedvalues : Series, shape (n,)
        On the rows used.
    """

    formula: str
    group: str
    coefficients: pd.DataFrame
    unscaled: pd.DataFrame
    sigmas: pd.Series[float]
    df: pd.Series[int]
    resid: pd.Series[float]
    fittedvalues: pd.Series[float]

    @property
    def df_resid(self) -> int:
        """Residual degrees of freedom of all levels together."""
        return int(self.df.sum())

    @property
    def sigma(self) -> float:
        """Residual standard deviation pooled over the levels, as lme4's ``sigma``."""
        squares = self.sigmas**2 * self.df
        return float(np.sqrt(squares[self.df > 0].sum() / self.df_resid)) if self.df_resid else float("nan")

    def coef(self) -> pd.DataFrame:
        """Return the coefficients of every level.

        Returns
        -------
        DataFrame, shape (q, p)

        Examples
        --------
        >>> import mixfit
        >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
        >>> fits.coef().loc["308"].round(2).to_dict()
        {'Intercept': 244.19, 'Days': 21.76}
        """
        return self.coefficients

    def bse(self, *, pool: bool = True) -> pd.DataFrame:
        """Return the standard errors of the coefficients.

        Parameters
        ----------
        pool : bool
            Whether with the pooled residual standard deviation, or that of each level.

        Returns
        -------
        DataFrame, shape (q, p)

        Examples
        --------
        >>> import mixfit
        >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
        >>> fits.bse().iloc[0].round(2).to_dict()
        {'Intercept': 15.04, 'Days': 2.82}
        """
        check_flag("pool", pool)
        return self.unscaled * self.sigma if pool else self.unscaled.mul(self.sigmas, axis=0)

    def conf_int(self, level: float | None = None, *, pool: bool = True) -> pd.DataFrame:
        """Compute t intervals of all coefficients.

        Parameters
        ----------
        level : float, optional
            Coverage; that of `mixfit.options` by default.
        pool : bool
            Whether with the pooled residual standard deviation and its degrees of freedom, or those of each level.

        Returns
        -------
        DataFrame, shape (q p, 2)
            By level and coefficient; columns 0 and 1, as those of fits.

        Examples
        --------
        >>> import mixfit
        >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
        >>> fits.conf_int().loc["308"].round(1)
                       0      1
        Intercept  214.5  273.9
        Days        16.2   27.3
        """
        alpha = 1.0 - coverage(level)
        errors = self.bse(pool=pool)
        df = np.full(len(self.df), float(self.df_resid)) if pool else self.df.to_numpy(dtype=np.float64)
        quantiles = wald.t_quantile(1.0 - alpha / 2.0, np.where(df > 0.0, df, np.nan))
        half = errors.to_numpy() * quantiles[:, None]
        middle = self.coefficients.to_numpy()
        levels, columns = self.coefficients.axes
        rows = pd.MultiIndex.from_product([levels, columns], names=[self.group, None])
        return pd.DataFrame({0: (middle - half).ravel(), 1: (middle + half).ravel()}, index=rows)

    def table(self) -> Table:
        """Return coefficients, residual standard deviations and degrees of freedom of the levels.

        Returns
        -------
        Table

        Examples
        --------
        >>> import mixfit
        >>> fits = mixfit.lm_list("Reaction ~ Days | Subject", mixfit.datasets.load("sleepstudy"))
        >>> fits.table().to_frame().columns.tolist()
        ['(Intercept)', 'Days', 'sigma', 'df']
        """
        frame = self.coefficients.rename(columns=lambda name: shown(str(name)))
        frame["sigma"], frame["df"] = self.sigmas, self.df
        pooled = f"Pooled residual standard deviation {self.sigma:.4g} on {self.df_resid} degrees of freedom"
        return Table(frame, heading=(f"Least squares within each {self.group}", self.formula, ""), notes=(pooled,))

    def _top(self) -> Table:
        table = self.table()
        if len(table) <= _SHOWN:
            return table
        note = f"... and {len(table) - _SHOWN} more: all of them are in .table()"
        return replace(table, frame=table.frame.head(_SHOWN), notes=(note, *table.notes))

    def __str__(self) -> str:
        return str(self._top())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._top().as_html()
