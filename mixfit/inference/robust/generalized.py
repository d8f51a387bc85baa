"""Robust covariances of the estimates of generalized models, by the scores of clusters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from mixfit.errors import FitError
from mixfit.fitted.further import limit_notes
from mixfit.fitted.ordinal import is_ordinal
from mixfit.glmm.sandwich import sandwich
from mixfit.inference.robust.clusters import clusters_of
from mixfit.inference.robust.covariance import parse_kind

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.glmm.types import GeneralizedEstimate

__all__ = ["robust_estimate"]


def robust_estimate(fit: Fit, kind: str = "CR1", cluster: str | ArrayLike | None = None) -> GeneralizedEstimate:
    """The estimate with a covariance by clusters, of all parameters together, in the place of the model's own.

    Parameters
    ----------
    fit : GeneralizedResults
    kind : {"CR0", "CR1"}
    cluster : str, array_like of shape (nobs,), or None

    Returns
    -------
    GeneralizedEstimate

    Raises
    ------
    FitError
        For another kind, clusters that split a level, and estimates that maximize no likelihood or lie at infinity.
    """
    name = parse_kind(kind)
    if name not in ("CR0", "CR1"):
        raise FitError(
            f"kind={kind!r} makes up for what least squares take from residuals. A generalized model has 'CR0', by the "
            "scores of clusters, and 'CR1', times J / (J - 1) for J clusters; where those are few use bootstrap()."
        )
    estimate: GeneralizedEstimate = fit.estimate
    if estimate.method not in ("laplace", "quadrature"):
        raise FitError(
            "Robust covariances are by the scores of a likelihood, which these estimates (n_agq=0 or method='pql') do "
            "not maximize: fit with n_agq=1."
        )
    if fit.model.known_effects:
        raise FitError("Robust covariances are of estimates of every fixed effect, and fixed= holds some of these.")
    if fit.model.prior_table:
        raise FitError("Robust covariances are by the scores of a likelihood, and these estimates are under priors.")
    for note in limit_notes(cast("GeneralizedFit", fit)):
        raise FitError(f"{note}. The scores of clusters vanish there and tell no errors: fit the smaller model.")
    clusters = clusters_of(fit, cluster)
    count = len(clusters.labels)
    factor = count / (count - 1.0) if name == "CR1" else 1.0
    note = f"Robust standard errors, {name}, by the {count} clusters of {clusters.name}."
    by_clusters = partial(sandwich, fit.model.assembly, cluster=clusters.codes, n_clusters=count, factor=factor)
    if not is_ordinal(fit):
        return replace(by_clusters(estimate=estimate), robust=note)
    centred, kept = fit.model.centred, fit.model.kept
    return replace(centred.outward(by_clusters(estimate=centred.inward(estimate, kept)), kept), robust=note)
