r"""What every cluster adds to a robust covariance of the fixed effects, and to its degrees of freedom.

With V the model's covariance of the rows, block diagonal by clusters, M = (X'V^{-1}X)^{-1} and e = y - X beta^, the
estimators differ in the matrix A_c by which they make up for residuals being smaller than errors,

    V_R = M { sum_c F_c'e_c e_c'F_c } M,      F_c = A_c'V_c^{-1}X_c,

    CR0  A_c = I;    CR2  A_c (V_c - X_c M X_c') A_c' = V_c, A_c symmetric;    CR3  A_c = (I - X_c M X_c'V_c^{-1})^{-1}

(Bell & McCaffrey 2002, Survey Methodology 28; Pustejovsky & Tipton 2018, J. Bus. Econ. Stat. 36, whose A_c of CR2 is
clubSandwich's). Were V right, F_c'e_c and F_d'e_d would have the covariance

    delta_cd F_c'V_c F_c - (F_c'X_c) M (X_d'F_d),

from which degrees of freedom follow by F_c'V_c F_c and X_c'F_c alone: nothing grows with the square of the clusters.

CR0 and CR3 need H_c = X_c'V_c^{-1}X_c and X_c'V_c^{-1}e_c only. Those of CR2 take the covariance of a cluster's rows.
It is C_c (I + Z~Z~') C_c', C = W^{-1/2} or the factor of a structure of the residuals. Where C is the same number for
all rows of one level of everything (a *cell*), A_c is the identity off the span of [X~ Z~ e], so that a cell's rows
are first rotated to as many as these have columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mixfit.errors import FitError
from mixfit.fitted.residual_covariance import is_structured
from mixfit.inference.robust.batches import batches, combined
from mixfit.lmm.working import linear_working_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import LinearFit
    from mixfit.inference.robust.clusters import Clusters
    from mixfit.lmm.working import WorkingModel

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["EXPLAINED", "ClusterMoments", "cluster_moments"]

# Eigenvalues of a cluster's residual covariance below this share of its errors' are directions that the fixed effects
# explain wholly: rounding leaves some 1e-15 of them, and a residual of any use leaves far more.
EXPLAINED = 1e-10
# Rows of a cluster beyond which its matrices take minutes and gigabytes: 0.3 GB each and some 60 seconds at 6,000.
_LARGEST = 6000


@dataclass(frozen=True, eq=False)
class ClusterMoments:
    """Sums over the rows of each cluster, in a basis of the fixed effects.

    Attributes
    ----------
    bread : ndarray, shape (p, p)
        M.
    scores : ndarray, shape (J, p)
        F_c'e_c.
    spread : ndarray, shape (J, p, p)
        F_c'V_c F_c.
    cross : ndarray, shape (J, p, p)
        X_c'F_c.
    back : ndarray, shape (p, p)
        Leads from coefficients of the basis to those of X.
    """

    bread: Array
    scores: Array
    spread: Array
    cross: Array
    back: Array


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of the data over their residual standard deviation: independent, of variance 1, given the random effects.

    Attributes
    ----------
    values : ndarray, shape (p + 1 + sum k_i, n)
        X, e, and Z T of every grouping factor.
    codes : tuple of ndarray of intp, shape (n,)
        Their levels.
    k : tuple of int
    deviation : ndarray, shape (n,)
    cluster : ndarray of intp, shape (n,)
    """

    values: Array
    codes: tuple[Index, ...]
    k: tuple[int, ...]
    deviation: Array
    cluster: Index


def cluster_moments(fit: LinearFit, clusters: Clusters, kind: str) -> ClusterMoments:
    """What the clusters of a linear fit add to its covariance of a kind: CR0, CR2 or CR3.

    Raises
    ------
    FitError
        CR3 where a cluster alone determines a coefficient.
    """
    working = _working(fit)
    p, codes, n_clusters = working.p, clusters.codes, len(clusters.labels)
    bread = np.asarray(np.linalg.inv(working.schur[:p, :p]), dtype=np.float64)
    # y - X gamma, and V^{-1} of it
    contrast = working.unit * np.append(-bread @ working.schur[:p, p], 1.0)
    X, whitened = working.columns[:p], working.whitened[:p]
    back = working.fixed.coefficients(np.eye(p))
    if kind == "CR2":
        scores, spread, cross = _target_adjusted(_rows(fit, working, contrast, codes), fit, bread, n_clusters)
        return ClusterMoments(bread, scores, spread, cross, back)
    own = _cluster_products(X, whitened, codes, n_clusters)
    residual = contrast @ working.whitened
    scores = np.stack([np.bincount(codes, x * residual, n_clusters) for x in X], axis=1)
    if kind == "CR0":
        return ClusterMoments(bread, scores, own, own, back)
    # F_c' = (I - H_c M)^{-1} X_c'V_c^{-1}, by moving X_c through the inverse
    left = np.eye(p) - own @ bread
    alone = np.linalg.svd(left, compute_uv=False)[:, -1] <= EXPLAINED
    if alone.any():
        raise FitError(
            f"Without {clusters.name} {clusters.labels[int(np.argmax(alone))]} the other clusters do not determine the "
            "fixed effects, which CR3 leaves each cluster out for: use CR2."
        )
    moved = np.linalg.inv(left)
    return ClusterMoments(
        bread,
        np.einsum("cab,cb->ca", moved, scores),
        moved @ own @ moved.swapaxes(1, 2),
        own @ moved.swapaxes(1, 2),
        back,
    )


def _working(fit: LinearFit) -> WorkingModel:
    """Rows and factor at the estimates; rows that are whitened by the covariance of the residuals where it has one."""
    if fit.model.known_effects:
        raise FitError("Robust covariances are of estimates of every fixed effect, and fixed= holds some of these.")
    if is_structured(fit):
        return linear_working_model(fit.model.assembly_at(fit.estimate), fit.estimate)
    return fit.model.working_model(fit.estimate)


def _cluster_products(a: Array, b: Array, codes: Index, n: int) -> Array:
    """sum_i a_i b_i' over the rows of every cluster, (n, p, p): symmetric here."""
    p = len(a)
    out = np.empty((n, p, p))
    for i in range(p):
        for j in range(i + 1):
            out[:, i, j] = out[:, j, i] = np.bincount(codes, a[i] * b[j], n)
    return out


def _rows(fit: LinearFit, working: WorkingModel, contrast: Array, cluster: Index) -> _Rows:
    """Rows of the working model, with what leads back to those of the data."""
    random = [
        t.T @ (np.ones((1, len(cluster))) if f.columns is None else f.columns)
        for f, t in zip(working.factors, working.factor.templates, strict=True)
    ]
    weights = fit.model.design.weights
    rows = _Rows(
        np.concatenate([working.columns[: working.p], (contrast @ working.columns)[None], *random]),
        tuple(f.codes for f in working.factors),
        tuple(len(z) for z in random),
        np.ones(len(cluster)) if weights is None else 1.0 / np.sqrt(weights),
        cluster,
    )
    return rows if is_structured(fit) else _rotated(rows)


def _rotated(rows: _Rows) -> _Rows:
    """The rows of every cell rotated to no more than there are columns."""
    width = len(rows.values)
    _, level = np.unique(rows.deviation, return_inverse=True)
    cell = combined([rows.cluster, *rows.codes, level])
    large = np.bincount(cell)[cell] > width
    if not large.any():
        return rows
    values, kept = [rows.values[:, ~large]], [np.flatnonzero(~large)]
    for at in batches(cell, np.bincount(cell) > width, width):
        columns = np.where(at >= 0, rows.values[:, at], 0.0)
        triangles = np.asarray(np.linalg.qr(np.moveaxis(columns, 0, -1), mode="r"))
        values.append(triangles.reshape(-1, width).T)
        kept.append(np.repeat(at[:, 0], width))
    index = np.concatenate(kept)
    return replace(
        rows,
        values=np.concatenate(values, axis=1),
        codes=tuple(code[index] for code in rows.codes),
        deviation=rows.deviation[index],
        cluster=rows.cluster[index],
    )


def _target_adjusted(rows: _Rows, fit: LinearFit, bread: Array, n_clusters: int) -> tuple[Array, Array, Array]:
    """Scores, spread and cross of CR2, clusters of about one size at a time."""
    p = len(bread)
    count = np.bincount(rows.cluster, minlength=n_clusters)
    if count.max() > _LARGEST:
        raise FitError(
            f"CR2 takes a matrix of {count.max():,} by {count.max():,} for the rows of one cluster, since weights or "
            "correlated residuals tell all of them apart: use CR1 or CR3, which take none."
        )
    scores, spread, cross = np.zeros((n_clusters, p)), np.zeros((n_clusters, p, p)), np.zeros((n_clusters, p, p))
    for at in batches(rows.cluster, np.ones(n_clusters, dtype=bool), p):
        groups, present = rows.cluster[at[:, 0]], at >= 0
        values = np.moveaxis(np.where(present, rows.values[:, at], 0.0), 0, -1)
        colour = _colour(rows, fit, at)
        X, e = colour @ values[..., :p], (colour @ values[..., p, None])[..., 0]
        variance = colour @ _given_random(rows, values[..., p + 1 :], at) @ colour.swapaxes(1, 2)
        low = np.linalg.cholesky(variance)
        left = low.swapaxes(1, 2) @ (variance - X @ bread @ X.swapaxes(1, 2)) @ low
        root, vectors = np.linalg.eigh(left)
        # Of L'V L alone, which is where nothing is explained: a cluster may be explained wholly.
        unexplained = np.where(present, (low.swapaxes(1, 2) @ low) ** 2 @ np.ones(at.shape[1]), 0.0).max(axis=1)
        explained = root <= EXPLAINED * unexplained[:, None]
        inverse = np.where(explained, 0.0, 1.0 / np.sqrt(np.where(explained, 1.0, root)))
        half = low @ vectors
        # A = L (L'(V - X M X')L)^{-1/2} L', F = A V^{-1} X
        F = (half * inverse[:, None, :]) @ (half.swapaxes(1, 2) @ np.linalg.solve(variance, X))
        scores[groups] = np.einsum("gsp,gs->gp", F, e)
        spread[groups] = F.swapaxes(1, 2) @ variance @ F
        cross[groups] = X.swapaxes(1, 2) @ F
    return scores, spread, cross


def _given_random(rows: _Rows, random: Array, at: Index) -> Array:
    """I + Z~Z~' between the rows of every cluster, (g, s, s)."""
    out = np.broadcast_to(np.eye(at.shape[1]), (*at.shape, at.shape[1])).copy()
    start = 0
    for codes, k in zip(rows.codes, rows.k, strict=True):
        z, level = random[..., start : start + k], codes[at]
        out += np.where(level[:, :, None] == level[:, None, :], z @ z.swapaxes(1, 2), 0.0)
        start += k
    return out


def _colour(rows: _Rows, fit: LinearFit, at: Index) -> Array:
    """C of the rows of every cluster, (g, s, s); the identity where there is no row."""
    size, present = at.shape[1], at >= 0
    deviation = np.where(present, rows.deviation[at], 1.0)
    if not is_structured(fit):
        return np.asarray(deviation[:, :, None] * np.eye(size))
    # Column a: what colours an indicator of the a-th row of each cluster.
    indicators = np.zeros((size, len(rows.cluster)))
    place = np.broadcast_to(np.arange(size), at.shape)
    indicators[place[present], at[present]] = 1.0
    coloured = fit.model.stage.coloured(indicators, fit.estimate.psi)[:, at]
    return np.asarray(
        np.where(present, deviation * coloured, 0.0).transpose(1, 2, 0) + np.eye(size) * ~present[:, :, None]
    )
