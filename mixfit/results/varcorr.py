"""Variances, standard deviations and correlations of the random effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.results.wald import correlation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.design.types import RandomDesign

__all__ = ["Component", "VarCorr", "build_varcorr", "term_order", "unique_names"]


@dataclass(frozen=True)
class Component:
    """Covariance of one random-effects term.

    Attributes
    ----------
    group : str
        Name of the grouping factor, ``.1``, ``.2``, ... added when earlier terms share it.
    columns : tuple of str, length k
    vcov : ndarray, shape (k, k)
        Covariance matrix of the effects of one level, in squared units of the response.
    structure : Structure
    values : ndarray, shape (m,)
        Of the natural parameters of the structure, standard deviations first, in units of the response.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> (component,) = fit.varcorr().components
    >>> component.sd.round(2).tolist()
    [24.74, 5.92]
    """

    group: str
    columns: tuple[str, ...]
    vcov: NDArray[np.float64]
    structure: Structure
    values: NDArray[np.float64]

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviations, shape (k,)."""
        return np.sqrt(np.diagonal(self.vcov))

    @property
    def corr(self) -> NDArray[np.float64]:
        """Correlation matrix, shape (k, k); NaN where a standard deviation is zero."""
        return correlation(self.vcov)


@dataclass(frozen=True)
class VarCorr:
    """The random-effects covariances of a fit; prints as lme4's ``VarCorr`` does.

    ``varcorr["Subject"]`` is the covariance matrix of a term as a DataFrame.

    Attributes
    ----------
    components : tuple of Component
        Terms by decreasing number of levels.
    sigma : float or None
        Residual standard deviation; None where the model has none, and then no row for it.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> v = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().varcorr()
    >>> v
     Groups   Name        Std.Dev. Corr
     Subject  (Intercept) 24.7405
              Days         5.9221  0.066
     Residual             25.5918
    >>> v["Subject"].round(2)
               Intercept   Days
    Intercept     612.09   9.60
    Days            9.60  35.07
    """

    components: tuple[Component, ...]
    sigma: float | None

    def to_frame(self) -> pd.DataFrame:
        """Return one row a variance or covariance, as R's ``as.data.frame(VarCorr(m))``.

        Returns
        -------
        DataFrame
            Columns ``grp``, ``var1``, ``var2`` (None for a variance), ``vcov`` (variance or
            covariance) and ``sdcor`` (standard deviation or correlation). A structure's own parameter has the
            structure in ``var1``, its kind in ``var2`` and its value in ``sdcor``. Within a group the
            variances come first, then the covariances column by column; the residual, if there is one, is last.

        Examples
        --------
        >>> import mixfit
        >>> sleep = mixfit.datasets.load("sleepstudy")
        >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
        >>> fit.varcorr().to_frame().round(2)
                grp       var1  var2    vcov  sdcor
        0   Subject  Intercept  None  612.09  24.74
        1   Subject       Days  None   35.07   5.92
        2   Subject  Intercept  Days    9.60   0.07
        3  Residual       None  None  654.94  25.59
        """
        return varcorr_frame(self)

    def __getitem__(self, group: str) -> pd.DataFrame:
        for component in self.components:
            if component.group == group:
                names = list(component.columns)
                return pd.DataFrame(component.vcov.copy(), index=names, columns=names)
        raise KeyError(group)

    def __str__(self) -> str:
        from mixfit.results.text import varcorr_text

        return varcorr_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from mixfit.results.html import varcorr_html

        return varcorr_html(self)


def term_order(random: Sequence[RandomDesign]) -> list[int]:
    """Positions of the terms by decreasing number of levels, ties as in the formula.

    Parameters
    ----------
    random : sequence of RandomDesign

    Returns
    -------
    list of int
    """
    return sorted(range(len(random)), key=lambda t: -random[t].grouping.n_levels)


def unique_names(names: Iterable[str]) -> list[str]:
    """Add ``.1``, ``.2``, ... to repeated names.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    list of str

    Examples
    --------
    >>> unique_names(["g", "h", "g", "g"])
    ['g', 'h', 'g.1', 'g.2']
    """
    seen: dict[str, int] = {}
    result = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        result.append(f"{name}.{count}" if count else name)
    return result


def build_varcorr(
    random: Sequence[RandomDesign],
    thetas: Sequence[NDArray[np.float64]],
    unit: float,
    sigma: float | None,
) -> VarCorr:
    """Turn factors into covariances ``unit**2 T T'`` (Bates et al. 2015, eq. 4).

    Parameters
    ----------
    random : sequence of RandomDesign
        In the order of the formula.
    thetas : sequence of ndarray, shape (m_t,)
        Parameters of the same terms.
    unit : float
        What they are relative to: the residual standard deviation of a Gaussian fit, 1 of others.
    sigma : float or None
        Residual standard deviation to show.

    Returns
    -------
    VarCorr
    """
    order = term_order(random)
    names = unique_names(random[t].grouping.name for t in order)
    parts = []
    for name, t in zip(names, order, strict=True):
        structure, theta = random[t].structure, thetas[t]
        factor = unit * structure.template(theta)
        values = structure.natural_values(theta, unit)
        parts.append(Component(name, random[t].columns, factor @ factor.T, structure, values))
    return VarCorr(tuple(parts), sigma)


def varcorr_frame(varcorr: VarCorr) -> pd.DataFrame:
    """Lay out a VarCorr as a frame: see `VarCorr.to_frame`.

    Parameters
    ----------
    varcorr : VarCorr

    Returns
    -------
    DataFrame
    """
    rows: list[tuple[str, str | None, str | None, float, float]] = []
    for part in varcorr.components:
        names, values, structure = part.columns, part.values.tolist(), part.structure
        n = structure.n_deviations
        rows += [(part.group, a, None, s**2, s) for a, s in zip(structure.row_names(names), values[:n], strict=True)]
        for p, value in zip(structure.natural[n:], values[n:], strict=True):
            if p.first >= 0:
                covariance = float(part.vcov[p.first, p.second])
                rows.append((part.group, names[p.first], names[p.second], covariance, value))
            else:
                rows.append((part.group, p.of, p.kind, float("nan"), value))
    if varcorr.sigma is not None:
        rows.append(("Residual", None, None, varcorr.sigma**2, varcorr.sigma))
    grp, var1, var2, vcov, sdcor = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "grp": grp,
            # object columns, so that a missing name stays None whatever pandas makes of strings
            "var1": pd.Series(var1, dtype=object),
            "var2": pd.Series(var2, dtype=object),
            "vcov": vcov,
            "sdcor": sdcor,
        }
    )
