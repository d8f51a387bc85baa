"""Variances, standard deviations and correlations of the random effects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixfit.brief import brief
from mixfit.covariance.steps import split_theta
from mixfit.errors import FitError
from mixfit.fitted.further import further_of
from mixfit.fitted.protocols import is_generalized, is_nonlinear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.matrices.types import MEAN
from mixfit.wald import correlation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from mixfit.covariance.structure import Structure
    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]

__all__ = [
    "Component",
    "RandomCovariances",
    "ResidualComponent",
    "covariance_frame",
    "own_terms",
    "random_covariances",
    "residual_parts",
    "term_order",
    "unique_names",
]


class NamedCovariance:
    """What follows from a covariance matrix whose rows have names."""

    columns: Sequence[str]
    vcov: Any

    __repr__ = brief

    def matrix(self) -> pd.DataFrame:
        """The covariance matrix by the names of its rows."""
        names = list(self.columns)
        return pd.DataFrame(self.vcov.copy(), index=names, columns=names)

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviations, shape (k,)."""
        return np.sqrt(np.diagonal(self.vcov))

    @property
    def corr(self) -> NDArray[np.float64]:
        """Correlation matrix, shape (k, k); NaN where a standard deviation is zero."""
        return correlation(self.vcov)


@dataclass(frozen=True, repr=False)
class Component(NamedCovariance):
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


@dataclass(frozen=True, repr=False)
class ResidualComponent(NamedCovariance):
    """Covariance of the residuals of one part of the blocks, at all places.

    Attributes
    ----------
    group : str
        ``"Residual"``, and the part where there are several.
    columns : sequence of str, length k
        The places.
    structure : Structure
    theta : ndarray, shape (m,)
        Its parameters, relative to `sigma`.
    sigma : float
    """

    group: str
    columns: Sequence[str]
    structure: Structure
    theta: NDArray[np.float64]
    sigma: float

    @property
    def values(self) -> NDArray[np.float64]:
        """Of the natural parameters of the structure, standard deviations first, in units of the response."""
        return self.structure.natural_values(self.theta, self.sigma)

    @cached_property
    def vcov(self) -> NDArray[np.float64]:
        """Covariance matrix, (k, k): made when it is asked for, since a field may have many places."""
        factor = self.sigma * self.structure.template(self.theta)
        return factor @ factor.T


@dataclass(frozen=True)
class RandomCovariances:
    """The random-effects covariances of a fit, as numbers.

    Attributes
    ----------
    components : tuple of Component
        Terms by decreasing number of levels, ties in the order of the formula.
    sigma : float or None
        Residual standard deviation; None where the model has none.
    residual : tuple of ResidualComponent
        Of residuals that are correlated, or have standard deviations of their own: one a part.
    log_sd : tuple of (str, float)
        What columns of ``dispersion=`` add to the logarithm of the residual standard deviation.
    """

    components: tuple[Component, ...]
    sigma: float | None
    residual: tuple[ResidualComponent, ...] = ()
    log_sd: tuple[tuple[str, float], ...] = ()

    __repr__ = brief

    @property
    def parts(self) -> tuple[Component | ResidualComponent, ...]:
        """Of the random terms, then of the residuals."""
        return *self.components, *self.residual

    def to_frame(self) -> pd.DataFrame:
        """Return one row a variance or covariance, as R's ``as.data.frame(VarCorr(m))``.

        Returns
        -------
        DataFrame
            Columns ``grp``, ``var1``, ``var2`` (None for a variance), ``vcov`` (variance or
            covariance) and ``sdcor`` (standard deviation or correlation). A structure's own parameter has the
            structure in ``var1``, its kind in ``var2`` and its value in ``sdcor``. Within a group the
            variances come first, then the covariances column by column; the residual, if there is one, is last, with
            a row for each parameter of it.

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
        return covariance_frame(self)

    def __getitem__(self, group: str) -> pd.DataFrame:
        for component in self.parts:
            if component.group == group:
                return component.matrix()
        raise KeyError(group)


def term_order(random: Sequence[RandomDesign]) -> list[int]:
    """Positions of the terms by decreasing number of levels, ties as in the formula.

    Parameters
    ----------
    random : sequence of RandomDesign

    Returns
    -------
    list of int
    """
    return sorted(range(len(random)), key=lambda t: -random[t].written.n_levels)


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


def own_terms(fit: Fit, predictor: str) -> list[int]:
    """Places of a further predictor's random terms that are not among those of a predictor before it.

    Parameters
    ----------
    fit : Fit
    predictor : str

    Returns
    -------
    list of int
    """
    random = fit.model.design.random_of.get(predictor, ())
    return [t for t, term in enumerate(random) if term.is_first]


def random_covariances(fit: Fit, predictor: str = MEAN) -> RandomCovariances:
    """Covariances ``unit**2 T T'`` of the random terms (Bates, Maechler, Bolker & Walker 2015, eq. 4).

    Parameters
    ----------
    fit : Fit
    predictor : str
        Whose terms they are.

    Returns
    -------
    RandomCovariances
    """
    if predictor != MEAN:
        if not is_generalized(fit):
            raise FitError(f"The random effects of this model are the mean's: it has none of {predictor!r}.")
        own = further_of(fit, predictor)
        random = fit.model.design.random_of[predictor]
        # Terms that are correlated with those of the mean are among these.
        alone = own_terms(fit, predictor)
        if random and not alone:
            raise FitError(
                f"The random effects of {predictor} are correlated with those of the mean, by (... | name | group): "
                "varcorr() has the standard deviations and correlations of both."
            )
        templates = [own.templates[t] for t in alone]
        return RandomCovariances(_components([random[t] for t in alone], templates, own.theta, 1.0), None)
    random, estimate = fit.model.design.random, fit.estimate
    parts = _components(random, estimate.templates, estimate.theta, estimate.unit)
    return RandomCovariances(parts, fit.residual_sd, *residual_parts(fit))


def _components(
    random: Sequence[RandomDesign], templates: Sequence[Array], theta: Array, unit: float
) -> tuple[Component, ...]:
    thetas = split_theta([term.structure for term in random], theta)
    order = term_order(random)
    names = unique_names(random[t].grouping.name for t in order)
    parts = []
    for name, t in zip(names, order, strict=True):
        factor, values = unit * templates[t], random[t].structure.natural_values(thetas[t], unit)
        parts.append(Component(name, random[t].columns, factor @ factor.T, random[t].structure, values))
    return tuple(parts)


def residual_parts(fit: Fit) -> tuple[tuple[ResidualComponent, ...], tuple[tuple[str, float], ...]]:
    """Covariances of residuals at their places, in squared units of the response, and log standard deviations.

    Both are empty for independent residuals of one variance.

    Parameters
    ----------
    fit : Fit

    Returns
    -------
    components : tuple of ResidualComponent
    log_sd : tuple of (str, float)
    """
    if is_nonlinear(fit):
        return (), tuple(zip(fit.model.spread_names, fit.estimate.gamma.tolist(), strict=True))
    if not is_structured(fit):
        return (), ()
    residual, psi, sigma = fit.model.residual, fit.estimate.psi, fit.estimate.sigma
    own = psi[: len(psi) - len(residual.spread_names)]
    log_sd = tuple(zip(residual.spread_names, psi[len(own) :].tolist(), strict=True))
    if residual.blocks is None:
        return (), log_sd
    thetas = split_theta(residual.structures, own)
    parts = [
        ResidualComponent(name, residual.columns, structure, theta, sigma)
        for name, structure, theta in zip(residual.part_names, residual.structures, thetas, strict=True)
    ]
    return tuple(parts), log_sd


def covariance_frame(varcorr: RandomCovariances) -> pd.DataFrame:
    """Lay out a VarCorr as a frame: see `RandomCovariances.to_frame`.

    Parameters
    ----------
    varcorr : RandomCovariances

    Returns
    -------
    DataFrame
    """
    rows: list[tuple[str, str | None, str | None, float, float]] = []
    for part in varcorr.parts:
        names, values, structure = part.columns, part.values.tolist(), part.structure
        n = structure.n_deviations
        rows += [(part.group, a, None, s**2, s) for a, s in zip(structure.row_names(names), values[:n], strict=True)]
        for p, value in zip(structure.natural[n:], values[n:], strict=True):
            if p.first >= 0:
                covariance = float(part.vcov[p.first, p.second])
                rows.append((part.group, names[p.first], names[p.second], covariance, value))
            else:
                rows.append((part.group, p.of, p.kind, float("nan"), value))
    if varcorr.sigma is not None and not varcorr.residual:
        rows.append(("Residual", None, None, varcorr.sigma**2, varcorr.sigma))
    rows += [("Residual", name, "log sd", float("nan"), value) for name, value in varcorr.log_sd]
    grp, var1, var2, vcov, sdcor = zip(*rows, strict=True) if rows else ((),) * 5
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
