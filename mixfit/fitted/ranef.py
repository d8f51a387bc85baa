"""Conditional modes of the random effects as frames, and the coefficients of every level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.arguments import check_flag
from mixfit.errors import FitError
from mixfit.fitted.varcorr import term_order
from mixfit.matrices.types import MEAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import RandomDesign

__all__ = ["ByFactor", "coef", "coefficient_frames", "effect_frames", "ranef", "standard_deviations", "with_deviations"]

# Rows that a notebook shows of each table, as pandas does.
_ROWS = 60


class ByFactor(dict[str, pd.DataFrame]):
    """A table of each grouping factor, by name; prints as R prints a list of tables.

    Examples
    --------
    >>> ByFactor(g=pd.DataFrame({"Intercept": [0.5, -0.5]}, index=["a", "b"]))
    $g
       Intercept
    a        0.5
    b       -0.5
    """

    def __repr__(self) -> str:
        return "\n\n".join(f"${name}\n{frame!r}" for name, frame in self.items())

    def _repr_html_(self) -> str:
        """Tables for a notebook, the same text above each."""
        from html import escape

        return "".join(f"<p>{escape(name)}</p>{frame.to_html(max_rows=_ROWS)}" for name, frame in self.items())


def effect_frames(
    random: Sequence[RandomDesign],
    values: Sequence[NDArray[np.float64]],
    names: Sequence[tuple[str, ...]] | None = None,
) -> dict[str, pd.DataFrame]:
    """Lay out values by level: one frame a grouping factor, terms of one factor side by side.

    Parameters
    ----------
    random : sequence of RandomDesign
    values : sequence of ndarray, shape (q_t, k_t)
        Of every term: modes, or their standard deviations.
    names : sequence of tuple of str, optional
        Of the columns of `values`; by default those of the term's own predictor alone.

    Returns
    -------
    dict of str to DataFrame
        Factors by decreasing number of levels, levels in the order of their codes.
    """
    parts: dict[str, list[int]] = {}
    for t in term_order(random):
        parts.setdefault(random[t].grouping.name, []).append(t)
    frames = {}
    for name, terms in parts.items():
        # terms of equal size keep the formula's order, whatever other factors stand between
        tables = [_term_frame(random[t], values[t], None if names is None else names[t]) for t in sorted(terms)]
        if any(not table.index.equals(tables[0].index) for table in tables):
            # a known covariance may have levels that the data lack
            every = tables[0].index
            for table in tables[1:]:
                every = every.union(table.index, sort=False)
            tables = [table.reindex(every) for table in tables]
        columns = [column for table in tables for column in table.columns]
        index = tables[0].index.rename(name)
        frames[name] = pd.DataFrame(
            np.hstack([table.to_numpy() for table in tables]), index=index, columns=pd.Index(columns, dtype=object)
        )
    return frames


def _term_frame(term: RandomDesign, values: NDArray[np.float64], names: tuple[str, ...] | None = None) -> pd.DataFrame:
    if term.spread is not None:
        return pd.DataFrame(values.T, index=term.written.levels, columns=pd.Index([term.spread.column], dtype=object))
    columns = term.columns if names is None else names
    if term.shared is not None and names is None:
        own = list(term.shared.own)
        columns, values = tuple(term.shared.names[j] for j in own), values[:, own]
    frame = pd.DataFrame(values, index=term.grouping.levels, columns=pd.Index(columns, dtype=object))
    known = term.structure.relationship
    if known is None:
        return frame
    place = pd.Index(known.nodes).get_indexer(pd.Index(known.labels))
    return frame.iloc[place]


def standard_deviations(covariances: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], ...]:
    """Square roots of the diagonals.

    Parameters
    ----------
    covariances : sequence of ndarray, shape (q_t, k_t, k_t)

    Returns
    -------
    tuple of ndarray, shape (q_t, k_t)
        Rounding may leave a variance a little below zero: that gives zero.

    Examples
    --------
    >>> standard_deviations([np.array([[[4.0]], [[9.0]]])])[0].tolist()
    [[2.0], [3.0]]
    """
    return tuple(np.sqrt(np.maximum(np.diagonal(c, axis1=1, axis2=2), 0.0)) for c in covariances)


def with_deviations(
    modes: Mapping[str, pd.DataFrame], deviations: Mapping[str, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Put modes and deviations side by side under the top column levels ``mode`` and ``sd``.

    Parameters
    ----------
    modes, deviations : mapping of str to DataFrame
        Of the same factors, levels and columns.

    Returns
    -------
    dict of str to DataFrame
        ``frames["Subject"]["sd"]`` has the shape of ``frames["Subject"]["mode"]``.
    """
    return {name: pd.concat({"mode": frame, "sd": deviations[name]}, axis="columns") for name, frame in modes.items()}


def coefficient_frames(params: pd.Series[float], modes: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Add the fixed effects to the random effects of every level, as lme4's ``coef``.

    Parameters
    ----------
    params : Series, shape (p,)
        Fixed effects.
    modes : mapping of str to DataFrame
        Random effects by grouping factor.

    Returns
    -------
    dict of str to DataFrame
        One row a level. Random columns (of any factor) that have no fixed effect come first,
        their fixed part zero; then every fixed effect.

    Examples
    --------
    >>> b = pd.DataFrame({"Intercept": [0.5, -0.5]}, index=["a", "b"])
    >>> coefficient_frames(pd.Series({"Intercept": 1.0, "x": 2.0}), {"g": b})["g"].loc["a"].tolist()
    [1.5, 2.0]
    """
    random_only = dict.fromkeys(c for frame in modes.values() for c in frame.columns if c not in params.index)
    names = [*random_only, *params.index]
    fixed = np.concatenate([np.zeros(len(random_only)), params.to_numpy(dtype=np.float64)])
    position = {name: i for i, name in enumerate(names)}
    frames = {}
    for group, frame in modes.items():
        table = np.tile(fixed, (len(frame), 1))
        # several terms of one factor may share a column: their effects add up
        for i, column in enumerate(frame.columns):
            table[:, position[column]] += frame.iloc[:, i].to_numpy(dtype=np.float64)
        frames[group] = pd.DataFrame(table, index=frame.index, columns=pd.Index(names, dtype=object))
    return frames


def ranef(fit: Fit, *, condsd: bool = False, predictor: str = MEAN) -> ByFactor:
    """Return the conditional modes of the random effects.

    Parameters
    ----------
    condsd : bool
        Whether to add the conditional standard deviations of the modes, given the data and
        beta. The columns then have a top level: ``fit.ranef(condsd=True)["g"]["mode"]``
        and ``...["g"]["sd"]`` are frames of one shape.
    predictor : {"mean", "zi", "dispersion"}
        Whose random effects.

    Returns
    -------
    ByFactor
        A dict by grouping factor, whose values are frames: a row a level, a column a random column; the terms of one
        factor side by side.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.ranef()["Subject"].loc["308"].round(2).to_dict()
    {'Intercept': 2.26, 'Days': 9.2}
    >>> fit.ranef(condsd=True)["Subject"]["sd"].loc["308"].round(2).to_dict()
    {'Intercept': 12.07, 'Days': 2.3}
    """
    check_flag("condsd", condsd)
    random, values = fit.model.design.random, fit.estimate.modes
    if predictor != MEAN:
        further = getattr(fit.estimate, "further", {})
        if predictor not in further:
            raise FitError(f"The model has random effects of {', '.join([MEAN, *further])}, and none of {predictor!r}.")
        random = next(p.random for p in fit.model.design.further if p.name == predictor)
        values = further[predictor].modes
    modes = effect_frames(random, values)
    if not condsd:
        return ByFactor(modes)
    covariances = fit.model.conditional_covariance(fit.estimate, **({} if predictor == MEAN else {"of": predictor}))
    return ByFactor(with_deviations(modes, effect_frames(random, standard_deviations(covariances))))


def coef(fit: Fit) -> ByFactor:
    """Return fixed plus random effects of every level, as lme4's ``coef``.

    Returns
    -------
    ByFactor
        A dict of frames by grouping factor. Random columns without a fixed effect come first.

    Examples
    --------
    >>> import mixfit
    >>> sleep = mixfit.datasets.load("sleepstudy")
    >>> fit = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    >>> fit.coef()["Subject"].loc["308"].round(2).to_dict()
    {'Intercept': 253.66, 'Days': 19.67}
    """
    return ByFactor(coefficient_frames(fit.fixef, ranef(fit)))
