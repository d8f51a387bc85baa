"""What a Gibbs sampler takes from a fit and its priors: rows, cross-products, blocks of effects with their priors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mixfit.bayes.coordinates import FreeCoordinates
from mixfit.bayes.covariances import InvWishart
from mixfit.bayes.distributions import Flat, Normal
from mixfit.bayes.positive import HalfT, SqrtInvGamma
from mixfit.bayes.term_priors import Deviations, EachColumn, WholeCovariance
from mixfit.errors import FitError, PriorError
from mixfit.families.ordinal import Cumulative
from mixfit.families.proportions import Binomial
from mixfit.fitted.protocols import is_generalized, is_linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mixfit.bayes.resolve import ResolvedPriors
    from mixfit.fitted.protocols import Fit, GeneralizedFit
    from mixfit.matrices.types import RandomDesign

    Array = NDArray[np.float64]
    Index = NDArray[np.intp]

__all__ = ["Categories", "GibbsBlock", "GibbsModel", "Trials", "gibbs_model"]

# Effects and coefficients, of whose equations each chain has a dense factor.
_MOST = 1500


@dataclass(frozen=True, eq=False)
class GibbsBlock:
    """Columns of a term whose effects have one covariance: all of them, or one of independent ones.

    Attributes
    ----------
    term : int
    columns : slice
        Among those of the term.
    place : ndarray of intp, shape (q, k)
        Where the effects stand in the location.
    df : float
    scale : ndarray, shape (k, k)
        Of the inverse Wishart prior.
    expansion : float
        Standard deviation of what the effects are multiplied by; 0 where they are not.
    """

    term: int
    columns: slice
    place: Index
    df: float
    scale: Array
    expansion: float


@dataclass(frozen=True, eq=False)
class Categories:
    """Responses that cut a latent variable.

    Attributes
    ----------
    of_row : ndarray of intp, shape (n,)
        From 0 to `count` - 1.
    count : int
    has_thresholds : bool
        Whether thresholds are parameters: a constant then stands after the coefficients, for the first of them.
    """

    of_row: Index
    count: int
    has_thresholds: bool = False


@dataclass(frozen=True, eq=False)
class Trials:
    """Responses that are numbers of successes, with logits.

    Attributes
    ----------
    row : ndarray of intp
        Of each trial.
    kappa : ndarray, shape (n,)
        Successes less half of the trials.
    squares : csr_array, shape (d d, n)
        vec(w_i w_i') of every row: times the precisions of the rows they are W'RW.
    """

    row: Index
    kappa: Array
    squares: csr_array

    def products(self, precisions: Array) -> Array:
        """W'RW (C, d, d) at precisions (C, n)."""
        d = round(self.squares.shape[0] ** 0.5)
        return np.asarray((self.squares @ precisions.T).T.reshape(-1, d, d))


@dataclass(frozen=True, eq=False)
class GibbsModel:
    """A linear model of y, or of a latent variable.

    Attributes
    ----------
    design : csr_array, shape (n, d)
        W = [Z X].
    products : ndarray, shape (d, d)
        W'RW.
    weights : ndarray, shape (n,)
        R.
    y : ndarray, shape (n,)
        Less the offset; of a latent variable minus the offset.
    precision : ndarray, shape (p, p)
        Of the prior of the coefficients, with a constant of precision 0 where there are thresholds.
    pull : ndarray, shape (d,)
        That times their prior means.
    blocks : tuple of GibbsBlock
    residual : SqrtInvGamma, or None
        Prior of sigma; None where it is 1, of a latent variable.
    categories : Categories, or None
    trials : Trials, or None
        Of which each sweep draws R anew.
    """

    design: csr_array
    products: Array
    weights: Array
    y: Array
    precision: Array
    pull: Array
    blocks: tuple[GibbsBlock, ...]
    residual: SqrtInvGamma | None
    categories: Categories | None
    trials: Trials | None = None

    @property
    def size(self) -> int:
        """d."""
        return len(self.products)

    @property
    def q(self) -> int:
        """Effects, which stand before the coefficients."""
        return self.size - len(self.precision)


def gibbs_model(fit: Fit, priors: ResolvedPriors) -> GibbsModel:
    """The model of a fit, for priors that are conjugate.

    Raises
    ------
    PriorError
        For priors that are not, naming the parameter.
    FitError
        For models that are neither linear nor logit, probit nor cumulative probit, and for too many effects.
    """
    design, X = fit.model.design, fit.model.exog
    if is_generalized(fit) and fit.model.family.kind != "ordinal" and design.further:
        raise FitError("method='gibbs' has no step for further zeros. method='hmc' draws them.")
    z, places = _columns(design.random)
    n = len(design.y)
    offset = np.zeros(n) if design.offset is None else design.offset
    weights, y, categories, repeats = np.ones(n), design.y - offset, None, None
    residual: SqrtInvGamma | None = None
    if is_linear(fit):
        residual = _residual(priors)
        weights = weights if design.weights is None else design.weights
    elif is_generalized(fit) and _is_logit(fit):
        y = -offset
    elif is_generalized(fit):
        repeats, categories = _categories(fit)
        y, weights = -offset[repeats], np.ones(len(repeats))
        X = np.concatenate([X, np.ones((n, int(categories.has_thresholds)))], axis=1)
    if z.shape[1] + X.shape[1] > _MOST:
        raise FitError(
            f"method='gibbs' solves the equations of all {z.shape[1] + X.shape[1]} effects in each step, and is for up "
            f"to {_MOST}. method='collapsed' is exact and quicker."
        )
    w = csr_array(np.concatenate([z.toarray(), X], axis=1))
    w = w if repeats is None else w[repeats]
    precision, pull = _coefficients(fit, priors, X.shape[1])
    return GibbsModel(
        design=w,
        products=np.asarray((w.T @ (w * weights[:, None])).toarray(), dtype=float),
        weights=weights,
        y=y,
        precision=precision,
        pull=np.concatenate([np.zeros(z.shape[1]), pull]),
        blocks=tuple(_blocks(fit, priors, places)),
        residual=residual,
        categories=categories,
        trials=_trials(fit, w) if is_generalized(fit) and _is_logit(fit) else None,
    )


def _is_logit(fit: GeneralizedFit) -> bool:
    return isinstance(fit.model.family, Binomial) and fit.model.family.link_name == "logit"


def _trials(fit: GeneralizedFit, w: csr_array) -> Trials:
    share, n = fit.model.design.y, len(fit.model.design.y)
    count = np.rint(np.broadcast_to(fit.prior, n)).astype(np.intp)
    return Trials(np.repeat(np.arange(n), count), np.rint(share * count) - 0.5 * count, _squares(w))


def _squares(w: csr_array) -> csr_array:
    """vec(w_i w_i') as columns (d d, n): pairs of what each row has."""
    n, d = w.shape
    own = np.diff(w.indptr)
    # Every entry beside all entries of its row.
    left = np.repeat(np.arange(w.nnz), np.repeat(own, own))
    row = np.repeat(np.arange(n), own**2)
    within = np.arange(len(row)) - np.repeat(np.cumsum(own**2) - own**2, own**2)
    right = w.indptr[row] + within % own[row]
    at = (w.indices[left].astype(np.int64) * d + w.indices[right], row)
    return csr_array((w.data[left] * w.data[right], at), shape=(d * d, n))


def _columns(random: Sequence[RandomDesign]) -> tuple[csr_array, list[Index]]:
    """Z with the columns of each level side by side, and where each term's effects (q, k) stand."""
    rows, columns, values, places, first = [], [], [], [], 0
    for r in random:
        q, k = r.grouping.n_levels, len(r.columns)
        place = first + np.arange(q * k).reshape(q, k)
        for a in range(k):
            rows.append(np.arange(len(r.Z)))
            columns.append(place[r.grouping.codes, a])
            values.append(r.Z[:, a])
        places.append(place)
        first += q * k
    at = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), at), shape=(len(random[0].Z), first)), places


def _categories(fit: GeneralizedFit) -> tuple[Index, Categories]:
    """The row of each observation of a latent variable, and its category."""
    family, y = fit.model.family, fit.model.design.y
    prior = np.broadcast_to(fit.prior, len(y))
    if isinstance(family, Binomial) and family.link_name == "probit":
        return _single_trials(y, prior)
    if (
        isinstance(family, Cumulative)
        and (family.latent_name, family.structure) == ("probit", "flexible")
        and (len(family.nominal), len(family.scale)) == (1, 0)
        and (prior == 1.0).all()
    ):
        return np.arange(len(y)), Categories(y.astype(np.intp) - 1, len(family.categories), has_thresholds=True)
    raise FitError(
        "method='gibbs' is for linear models, family='binomial', 'binomial(probit)' and 'cumulative(probit)' without "
        "nominal or scale effects or weights: their conditional distributions are known. method='hmc' draws others."
    )


def _single_trials(share: Array, trials: Array) -> tuple[Index, Categories]:
    """Trials one by one: the row of each, and whether it is a success."""
    count = np.rint(trials).astype(np.intp)
    repeats = np.repeat(np.arange(len(share)), count)
    order = np.arange(len(repeats)) - np.repeat(np.cumsum(count) - count, count)
    return repeats, Categories((order < np.rint(share * trials)[repeats]).astype(np.intp), 2)


def _residual(priors: ResolvedPriors) -> SqrtInvGamma:
    if not isinstance(priors.sigma, SqrtInvGamma):
        raise PriorError(
            f"sigma: the conjugate prior of method='gibbs' is SqrtInvGamma, not {priors.sigma!r}. "
            "priors='MCMCglmm' has it; method='collapsed' takes any."
        )
    return priors.sigma


def _coefficients(fit: Fit, priors: ResolvedPriors, columns: int) -> tuple[Array, Array]:
    """A'D A and A'D m of contrasts A beta ~ N(m, D^{-1}), and zeros for what stands after the coefficients."""
    precision, mean = np.zeros(len(priors.fixed)), np.zeros(len(priors.fixed))
    for i, (name, prior) in enumerate(zip(fit.model.exog_names, priors.fixed, strict=True)):
        if isinstance(prior, Normal):
            precision[i], mean[i] = prior.sd**-2.0, prior.mean
        elif not isinstance(prior, Flat):
            raise PriorError(f"{name}: the conjugate prior of method='gibbs' is Normal, or Flat, not {prior!r}.")
    weighted, p = priors.contrasts.T * precision, len(precision)
    out, pull = np.zeros((columns, columns)), np.zeros(columns)
    out[:p, :p], pull[:p] = weighted @ priors.contrasts, weighted @ mean
    return out, pull


def _blocks(fit: Fit, priors: ResolvedPriors, places: Sequence[Index]) -> list[GibbsBlock]:
    out = []
    for t, (own, prior, group) in enumerate(zip(priors.coordinates, priors.terms, priors.groups, strict=True)):
        if isinstance(prior, WholeCovariance) and isinstance(prior.prior, InvWishart) and not prior.prior.relative:
            out.append(GibbsBlock(t, slice(None), places[t], prior.df, prior.matrix, 0.0))
            continue
        if isinstance(prior, EachColumn) and isinstance(prior.own.prior, InvWishart) and not prior.own.prior.relative:
            out += [_of_column(t, places[t], a, prior.own.df, prior.own.matrix) for a in range(places[t].shape[1])]
            continue
        if not isinstance(own, FreeCoordinates) or not isinstance(prior, Deviations) or own.size > own.k:
            raise _unknown(group)
        for a, sd in enumerate(prior.sd):
            if isinstance(sd, SqrtInvGamma):
                out.append(_of_column(t, places[t], a, 2.0 * sd.shape, np.array([[2.0 * sd.scale]])))
            elif isinstance(sd, HalfT):
                # |a| sqrt(v), a ~ N(0, scale^2) and v ~ InvGamma(df / 2, df / 2), is half t.
                out.append(_of_column(t, places[t], a, sd.df, np.array([[sd.df]]), sd.scale))
            else:
                raise _unknown(group)
    return out


def _of_column(term: int, place: Index, a: int, df: float, scale: Array, expansion: float = 0.0) -> GibbsBlock:
    """The block of one of a term's columns."""
    return GibbsBlock(term, slice(a, a + 1), place[:, a : a + 1], df, scale, expansion)


def _unknown(group: str) -> PriorError:
    return PriorError(
        f"{group}: priors of method='gibbs' are InvWishart of a covariance, and SqrtInvGamma or HalfT (by parameter "
        "expansion) of the standard deviation of one column, or of independent ones. priors='MCMCglmm' has such."
    )
