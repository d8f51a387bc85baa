"""What a comparison must know of its fits, and whether one model contains another.

A term has the covariances {blocks Z_j S Z_j', one for each level j : S in a set}, where the set is all symmetric
matrices (unstructured) or the diagonal ones. A smaller model is nested where the covariances of each of its terms
are among those of a term of the larger one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mixfit.covariance.structure import Containment
from mixfit.covariance.unstructured import Unstructured
from mixfit.errors import ComparisonError
from mixfit.fitted.protocols import is_fit, is_generalized, is_linear, is_nonlinear
from mixfit.fitted.residual_covariance import is_structured
from mixfit.gram.basis import RANK_TOLERANCE, fixed_basis
from mixfit.matrices.batches.types import StreamedDesign

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from mixfit.fitted.protocols import Fit
    from mixfit.matrices.residual import ResidualDesign
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = [
    "Candidate",
    "candidate",
    "contains_residuals",
    "contains_term",
    "nested_structure",
    "on_boundary",
    "outside",
    "outside_columns",
    "same_levels",
    "single_terms",
]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fit that takes part in a comparison.

    Attributes
    ----------
    name, formula : str
    data_name : str or None
    y, weights, offset : ndarray, shape (n,)
    X : ndarray, shape (n, p)
        Fixed effects without aliased columns.
    index : pandas.Index, shape (n,), or None
        Labels of the rows, where they are known.
    random : tuple of RandomDesign
    family : str
        ``"linear"``, a family with its link, or the curve of a nonlinear model.
    n_agq : int
    reml : bool
    npar : int
    llf : float
    fit : MixedResults or None
        The fit itself, where it can be refitted.
    residual : ResidualDesign or None
        What its residuals may be like; None where they are independent, of one variance.
    n : int or None
        Number of observations of a model without rows: then y, weights and offset are moments of the rows' own.
    """

    name: str
    formula: str
    data_name: str | None
    y: Array
    weights: Array
    offset: Array
    X: Array
    index: pd.Index | None
    random: tuple[RandomDesign, ...]
    family: str
    n_agq: int
    reml: bool
    npar: int
    llf: float
    fit: Fit | None = field(default=None, repr=False)
    residual: ResidualDesign | None = field(default=None, repr=False)

    n: int | None = None

    @property
    def nobs(self) -> int:
        """Number of observations."""
        return len(self.y) if self.n is None else self.n


def candidate(name: str, fit: Any) -> Candidate:
    """Read a mixfit result, or a least-squares result of statsmodels, which has no random effects.

    Raises
    ------
    ComparisonError
        For anything else.
    """
    if is_fit(fit) or is_nonlinear(fit):
        return _mixed(name, fit)
    if not hasattr(fit, "model") or not hasattr(fit, "llf"):
        raise ComparisonError(f"{name} is no fit but {type(fit).__name__}: give results, such as mixed(...).fit().")
    return _least_squares(name, fit)


def _mixed(name: str, fit: Fit) -> Candidate:
    design = fit.model.design
    family, n_agq = "linear", 1
    if is_generalized(fit):
        family, n_agq = fit.model.family.kinship, fit.estimate.n_agq
    elif is_nonlinear(fit):
        return _nonlinear(name, fit)
    elif not is_linear(fit):
        raise ComparisonError(f"{name} is of a kind that cannot be compared: {type(fit).__name__}.")
    if not design.has_rows:
        return _without_rows(name, fit, family, n_agq)
    n = len(design.y)
    return Candidate(
        name=name,
        formula=fit.model.description,
        data_name=fit.model.data_name,
        y=design.y,
        weights=np.ones(n) if design.weights is None else design.weights,
        offset=np.zeros(n) if design.offset is None else design.offset,
        X=fit.model.reach[0],
        index=design.index,
        random=design.random,
        family=family,
        n_agq=n_agq,
        reml=fit.reml,
        npar=fit.npar,
        llf=fit.llf,
        fit=fit,
        residual=fit.model.residual if is_structured(fit) else None,
    )


def _nonlinear(name: str, fit: Fit) -> Candidate:
    """A fit of a curve; X and random terms are those of the stack, in which parameters have rows of their own."""
    rows, estimate = fit.model.observations, fit.estimate
    n = len(rows.y)
    by = " by Lindstrom and Bates' algorithm" if estimate.method == "lb" else ""
    return Candidate(
        name=name,
        formula=fit.model.description,
        data_name=fit.model.data_name,
        y=rows.y,
        weights=np.ones(n) if rows.weights is None else rows.weights,
        offset=np.zeros(n),
        X=fit.model.reach[0],
        index=rows.index,
        random=fit.model.design.random,
        family=f"{fit.model.curve.expression.text}{by}",
        n_agq=estimate.n_agq,
        residual=None if fit.model.spread is None else fit.model.spread.residual,
        reml=fit.reml,
        npar=fit.npar,
        llf=fit.llf,
        fit=fit,
    )


def _without_rows(name: str, fit: Fit, family: str, n_agq: int) -> Candidate:
    """A fit to rows in batches; X and random terms are those of the rows that stand for all."""
    model, design = fit.model, fit.model.design
    assert isinstance(design, StreamedDesign)
    y, offset, weights = np.array(design.fingerprint)
    sample = design.representatives
    return Candidate(
        name=name,
        formula=model.description,
        data_name=model.data_name,
        y=y,
        weights=weights,
        offset=offset,
        X=sample.X[:, model.kept],
        index=None,
        random=sample.random,
        family=family,
        n_agq=n_agq,
        reml=fit.reml,
        npar=fit.npar,
        llf=fit.llf,
        fit=fit,
        n=fit.nobs,
    )


def _least_squares(name: str, fit: Any) -> Candidate:
    from statsmodels.regression.linear_model import OLS, WLS

    model = fit.model
    if type(model) not in (OLS, WLS):
        raise ComparisonError(
            f"{name} is a fit of {type(model).__name__}: comparisons take fits of mixfit, and least-squares fits of "
            "statsmodels (OLS, WLS) as models without random effects."
        )
    y = np.asarray(model.endog, dtype=float)
    X = np.asarray(model.exog, dtype=float)
    text = getattr(model, "formula", None) or f"{model.endog_names} ~ {' + '.join(model.exog_names)}"
    return Candidate(
        name=name,
        formula=str(text),
        data_name=None,
        y=y,
        weights=np.broadcast_to(np.asarray(model.weights, dtype=float), y.shape),
        offset=np.zeros(len(y)),
        X=X,
        index=None,
        random=(),
        family="linear",
        n_agq=1,
        reml=False,
        npar=int(np.linalg.matrix_rank(X)) + 1,
        llf=float(fit.llf),
    )


@dataclass(frozen=True, eq=False)
class _Covariances:
    codes: Index
    n_levels: int
    Z: Array
    diagonal: bool


def outside_columns(X: Array, columns: Array) -> NDArray[np.bool_]:
    """Which columns, shape (n, c), are not combinations of those of X, shape (n, p)."""
    norms = np.sqrt(np.einsum("nc,nc->c", columns, columns))
    if not X.shape[1]:
        return np.asarray(norms > 0.0)
    rows = fixed_basis(np.ascontiguousarray(X.T)).rows
    rest = columns - rows.T @ (rows @ columns)
    return np.asarray(np.sqrt(np.einsum("nc,nc->c", rest, rest)) > RANK_TOLERANCE * norms)


def single_terms(random: Iterable[RandomDesign]) -> list[RandomDesign]:
    """The same terms with those of independent columns taken apart, as lme4 takes ``||`` apart."""
    out: list[RandomDesign] = []
    for term in random:
        if not term.structure.is_separable:
            out.append(term)
            continue
        for j, name in enumerate(term.columns):
            left = "1" if name == "Intercept" else f"0 + {name}"
            text = f"({left} | {term.grouping.name})"
            own = replace(term, columns=(name,), Z=term.Z[:, [j]], structure=Unstructured(1), text=text)
            out.append(replace(own, shared=None))
    return out


def same_levels(a: RandomDesign, b: RandomDesign) -> bool:
    """Whether the grouping factors of two terms divide the rows alike."""
    return _same_partition(_covariances(a), _covariances(b))


def outside(larger: Sequence[RandomDesign], smaller: Sequence[RandomDesign]) -> list[RandomDesign]:
    """Terms of the smaller model whose covariances no term of the larger one has."""
    return [inner for inner in smaller if not any(contains_term(outer, inner) for outer in larger)]


def on_boundary(larger: Sequence[RandomDesign], smaller: Sequence[RandomDesign]) -> list[RandomDesign]:
    """Terms of the smaller model that structures of the larger one have on their bounds alone."""
    out = []
    for inner in smaller:
        found = [nested_structure(outer, inner) for outer in larger if contains_term(outer, inner)]
        if found and all(how is Containment.BOUNDARY for how in found):
            out.append(inner)
    return out


def nested_structure(outer: RandomDesign, inner: RandomDesign) -> Containment | None:
    """Whether the outer term's structure has the inner term's, over the same columns and levels, and where."""
    if not same_levels(outer, inner):
        return None
    a, b = outer.structure, inner.structure
    place = {column.tobytes(): j for j, column in enumerate(np.ascontiguousarray(outer.Z.T))}
    order = [place.get(column.tobytes(), -1) for column in np.ascontiguousarray(inner.Z.T)]
    if sorted(order) == list(range(a.k)):
        in_order = order == sorted(order)
        if (in_order or a.is_exchangeable or b.is_exchangeable) and (how := a.contains(b)) is not None:
            return how
    if a.holds_common_effect and b.k == 1 and a.k > 1:
        # One effect for all columns acts through their sum.
        total = outer.Z.sum(axis=1, keepdims=True)
        return None if outside_columns(total, inner.Z).any() else Containment.BOUNDARY
    return None


def contains_term(outer: RandomDesign, inner: RandomDesign) -> bool:
    """Whether every covariance of the inner term is known to be one of the outer term."""
    if inner.shared is not None and not (outer.shared is None and inner.structure.is_separable):
        # Columns of several predictors that are correlated are those of one term on the rows of all.
        names = () if outer.shared is None else (*outer.shared.predictors, *inner.shared.predictors)
        return bool(names) and contains_term(outer.on_rows_of(names), inner.on_rows_of(names))
    if nested_structure(outer, inner) is not None:
        return True
    if not outer.structure.free_blocks:
        return False
    # Independent columns are terms of their own; the outer term may have them all where each is contained.
    return all(_contains(_covariances(outer), _covariances(part)) for part in single_terms([inner]))


def contains_residuals(outer: ResidualDesign | None, inner: ResidualDesign | None) -> bool:
    """Whether every covariance of the inner model's residuals is known to be one of the outer model's."""
    if inner is None:
        return outer is None or _may_vanish(outer)
    if outer is None:
        return False
    if outside_columns(_log_deviations(outer), _log_deviations(inner)).any():
        return False
    if inner.blocks is None:
        return _may_vanish(outer)
    rows = ((outer.place, inner.place), (outer.block, inner.block))
    if outer.blocks is None or not all(np.array_equal(a, b) for a, b in rows):
        return False
    # The parameters of an inner part must be free in every part of the outer one that has rows of it.
    if inner.parts is not None and not np.array_equal(outer.part, inner.part):
        return False
    free = outer.structures[0].free_blocks == (slice(0, len(outer.columns)),)
    return free or outer.structures[0].contains(inner.structures[0]) is not None


def _may_vanish(residual: ResidualDesign) -> bool:
    """Whether the correlations of the residuals have parameters, and none is among what these may make of them."""
    structure = residual.structures[0]
    return residual.blocks is None or bool(structure.free_blocks) or structure.n_parameters > structure.n_deviations


def _log_deviations(residual: ResidualDesign) -> Array:
    """What the log standard deviations of residuals may be linear in, (n, c)."""
    k = len(residual.columns)
    own = residual.part * k + residual.place if residual.structures[0].n_deviations == k else residual.part
    return np.column_stack([own[:, None] == np.unique(own), residual.spread]).astype(float)


def _covariances(term: RandomDesign) -> _Covariances:
    return _Covariances(term.grouping.codes, term.grouping.n_levels, term.Z, term.structure.is_separable)


def _contains(outer: _Covariances, inner: _Covariances) -> bool:
    if _same_partition(outer, inner):
        return _contains_columns(outer, inner.Z)
    return _contains_finer(outer, inner)


def _contains_columns(outer: _Covariances, columns: Array) -> bool:
    if not outer.diagonal:
        return not outside_columns(outer.Z, columns).any()
    # A single column has a diagonal covariance only along one of the outer columns.
    return columns.shape[1] == 1 and any(
        not outside_columns(outer.Z[:, [j]], columns).any() for j in range(outer.Z.shape[1])
    )


def _same_partition(a: _Covariances, b: _Covariances) -> bool:
    return a.n_levels == b.n_levels and _parents(a, b) is not None


def _parents(fine: _Covariances, coarse: _Covariances) -> Index | None:
    """The coarse level of each fine one; None where a fine level lies in several."""
    parent = np.zeros(fine.n_levels, dtype=np.intp)
    parent[fine.codes] = coarse.codes
    return parent if np.array_equal(parent[fine.codes], coarse.codes) else None


def _contains_finer(outer: _Covariances, inner: _Covariances) -> bool:
    """Whether ``(z | g:f)`` is within ``(f:z | g)``: its levels within g are told apart by the outer columns.

    The rows of equal outer columns are the classes of f, and the inner term gives the products of its columns with
    the indicators of the classes one covariance, and none to pairs of classes.
    """
    k = outer.Z.shape[1]
    if k == 1 or _parents(inner, outer) is None:
        return False
    values, classes = np.unique(outer.Z, axis=0, return_inverse=True)
    if len(values) > k:
        return False
    classes = classes.reshape(-1)
    cells, crossed = np.unique(outer.codes * len(values) + classes, return_inverse=True)
    if not _same_partition(replace(outer, codes=crossed.reshape(-1), n_levels=len(cells)), inner):
        return False
    indicators = classes[:, None] == np.arange(len(values))
    products = (inner.Z[:, :, None] * indicators[:, None, :]).reshape(len(classes), -1)
    if outer.diagonal:
        each = range(products.shape[1])
        return inner.Z.shape[1] == 1 and all(_contains_columns(outer, products[:, [c]]) for c in each)
    return _contains_columns(outer, products)
