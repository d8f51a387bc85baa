"""Which rows belong together: clusters between which a model has no covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit.errors import DataError, FitError
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.left_out import partition
from mixfit.matrices.across import refuse_given, refuse_related

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.types import Grouping

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Clusters", "clusters_of"]


@dataclass(frozen=True, eq=False)
class Clusters:
    """A partition of the rows.

    Attributes
    ----------
    name : str
    codes : ndarray of intp, shape (n,)
    labels : pandas.Index, shape (J,)
    """

    name: str
    codes: Index
    labels: pd.Index


def clusters_of(fit: Fit, cluster: str | ArrayLike | None) -> Clusters:
    """Find the clusters, which hold every level of the random effects, and every block of residuals, whole.

    Parameters
    ----------
    fit : LinearResults or GeneralizedResults
    cluster : str, array_like of shape (nobs,), or None
        A grouping factor, a column that the formula looks up, or a label for every row used; a Series is read by its
        index where that has the labels of these rows. By default the coarsest grouping factor.

    Returns
    -------
    Clusters

    Raises
    ------
    DataError
        For a name or labels that there are not.
    FitError
        Where rows of different clusters are correlated in the model, or there is one cluster only.
    """
    design = fit.model.design
    for refuse in (refuse_related, refuse_given):
        refuse(design.every_random, "a covariance by clusters")
    groupings = _groupings(fit)
    if cluster is None:
        if not groupings:
            raise FitError("The model has no grouping factor: name the clusters of the rows by cluster=.")
        coarsest = min(groupings.values(), key=lambda g: g.n_levels)
        cluster = (
            coarsest.name
            if coarsest.name in _names(fit)
            else pd.Series(coarsest.codes, design.index, name=coarsest.name)
        )
    found = Clusters(*partition(_labels(fit, cluster), design))
    if len(found.labels) < 2:
        raise FitError(f"The rows are of one cluster of {found.name}: a covariance by clusters needs several.")
    for text, grouping in groupings.items():
        _require_whole(found, text, grouping)
    return found


def _names(fit: Fit) -> set[str]:
    return {term.grouping.name for term in fit.model.design.every_random if term.spread is None}


def _groupings(fit: Fit) -> dict[str, Grouping]:
    """What makes rows of the model correlated, by how it was written."""
    found = {term.text: term.grouping for term in fit.model.design.every_random}
    if is_structured(fit) and fit.model.residual.blocks is not None:
        found[f"residual={fit.model.residual.text!r}"] = fit.model.residual.blocks
    return found


def _labels(fit: Fit, cluster: str | ArrayLike) -> str | ArrayLike:
    """A name of a column as the column, on the rows used."""
    design = fit.model.design
    if isinstance(cluster, pd.Series) and len(cluster) != len(design.y):
        if not cluster.index.is_unique or not design.index.isin(cluster.index).all():
            raise DataError("cluster= has neither a label for each row that the model uses, nor their index.")
        return cluster
    if not isinstance(cluster, str) or cluster in _names(fit):
        return cluster
    if design.frame is not None and cluster in design.frame:
        return pd.Series(np.asarray(design.frame[cluster]), design.index, name=cluster)
    if cluster == "observation" or ":" in cluster:
        return cluster
    known = sorted({*_names(fit), *(design.frame or ())})
    raise DataError(
        f"cluster={cluster!r} is no column that the model looks up ({', '.join(known)}): hand over its values, "
        f"cluster=data[{cluster!r}]."
    )


def _require_whole(clusters: Clusters, text: str, grouping: Grouping) -> None:
    parent = np.zeros(grouping.n_levels, dtype=np.intp)
    parent[grouping.codes] = clusters.codes
    apart = np.flatnonzero(parent[grouping.codes] != clusters.codes)
    if len(apart):
        level = grouping.levels[grouping.codes[apart[0]]]
        raise FitError(
            f"{text}: {grouping.name} {level} has rows of several clusters of {clusters.name}, which are then not "
            "independent. Name clusters that hold the levels of every random effect; crossed factors have none."
        )
