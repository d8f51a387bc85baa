r"""Families of ordered categories: thresholds tau on the scale of a latent variable, which the predictor shifts.

With standardized thresholds u_j = (tau_j - eta) / s the log probability is l(u) of :mod:`mixfit.families.cells`, whose
p, q and r give

    l' = -sum p / s,     l'' = sum q / s^2,     l''' = -sum r / s^3,
    dl / d tau_j = p_j / s,     dl' / d tau_j = -q_j / s^2,     dl'' / d tau_j = r_j / s^3,
    dl / d log s = -sum p u,    dl' / d log s = sum (p + q u) / s,    dl'' / d log s = -sum (2 q + r u) / s^2.

Thresholds tau = J alpha w and log s = z'zeta are linear in the parameters alpha and zeta; w are the nominal columns of
a row, the constant first, and z its columns of scale effects. The parameters are the family's shapes. There is no
intercept: the thresholds are in its place. The mean is that of the latent variable, so that the link is the identity.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from mixfit.errors import DataError, FitError
from mixfit.families.base import Family
from mixfit.families.cells import KINDS
from mixfit.families.declared import Coupling, DispersionTerms, Support, Terms
from mixfit.families.latent import LATENT
from mixfit.families.thresholds import STRUCTURES, Thresholds, thresholds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from mixfit.families.cells import Cells
    from mixfit.families.latent import Latent

    Array = NDArray[np.float64]

__all__ = ["Adjacent", "ContinuationRatio", "Cumulative", "Ordinal", "StoppingRatio"]

_EMPTY = thresholds_of("flexible", ("1", "2"))
# The mirror images of distributions that are not symmetric.
_MIRRORED = {"cloglog": "loglog", "loglog": "cloglog"}
# A row that says nothing of its predictor still has some curvature to step by.
_SMALLEST = 1e-10
# Standardized thresholds of a start farther out leave no digits of a probability.
_LARGEST_SHARE = 1.0 - 1e-8


class Ordinal(Family):
    """Ordered categories, numbered from 1 to K as responses.

    Parameters
    ----------
    link : str
        Of the latent distribution.
    thresholds : {"flexible", "symmetric", "symmetric2", "equidistant"}
        Any in order; as many as far apart to both sides of one or two central ones; the same about zero; equally far
        apart.

    Attributes
    ----------
    latent_name : str
        The link's name; `link` itself is the identity, of the latent variable.
    structure : str
        What `thresholds` was.
    categories : tuple of str, length K
    thresholds : Thresholds
    nominal : ndarray, shape (c, n) or (1, 1)
        w of the rows.
    scale : ndarray, shape (s, n)
        z of the rows.
    """

    kind = "ordinal"
    support = Support(lower=1.0, closed=True)
    links = ("identity",)
    density: ClassVar[str]
    mirrored: ClassVar[bool] = False

    def __init__(self, link: str | None = None, phi: float | None = None, thresholds: str = "flexible") -> None:
        super().__init__(None, phi)
        self.latent_name = "logit" if link is None else link
        if self.latent_name not in LATENT:
            raise FitError(f"{self.name} has the links {', '.join(LATENT)}, not {link!r}.")
        if thresholds not in STRUCTURES:
            raise FitError(f"thresholds is one of {', '.join(map(repr, STRUCTURES))}, not {thresholds!r}.")
        self.structure = thresholds
        self.categories: tuple[str, ...] = ()
        self.thresholds: Thresholds = _EMPTY
        self.nominal, self.scale = np.ones((1, 1)), np.empty((0, 1))
        self._place(np.zeros(1))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _restored, (type(self), self.latent_name, self.structure, vars(self))

    def __repr__(self) -> str:
        known = "" if self.structure == "flexible" else f", thresholds={self.structure!r}"
        return f"{self.name}({self.latent_name}{known})"

    def of(self, categories: Sequence[str], nominal: Array | None = None, scale: Array | None = None) -> Self:
        """The family of given categories, with nominal columns (n, c), constant first, and scale columns (n, s)."""
        out = copy.copy(self)
        out.categories = tuple(categories)
        out.thresholds = thresholds_of(self.structure, out.categories)
        columns = (1 if nominal is None else nominal.shape[1], 0 if scale is None else scale.shape[1])
        out.psi = (0.0,) * (len(out.thresholds.names) * columns[0] + columns[1])
        return out.rows(nominal, scale)

    def rows(self, nominal: Array | None, scale: Array | None) -> Self:
        """The family for other rows, at the same parameters."""
        out = copy.copy(self)
        out.nominal = np.ones((1, 1)) if nominal is None else np.ascontiguousarray(nominal.T)
        out.scale = np.empty((0, 1)) if scale is None else np.ascontiguousarray(scale.T)
        out._place(np.array(self.psi))
        return out

    def _place(self, coordinates: Array) -> None:
        self.psi = tuple(coordinates.tolist())
        self.free = tuple(range(len(self.psi)))
        alpha = coordinates[: self.n_thresholds].reshape(len(self.nominal), -1)
        self._tau = self.thresholds.J @ alpha.T @ self.nominal
        self._log_scale = coordinates[self.n_thresholds :] @ self.scale if len(self.scale) else np.zeros(1)

    def at(self, coordinates: Array) -> Self:
        """The same distribution at other parameters."""
        out = copy.copy(self)
        out._place(np.asarray(coordinates, dtype=float))
        return out

    @property
    def kinship(self) -> str:
        """Thresholds of one structure may contain those of another."""
        return f"{self.name}({self.latent_name})"

    @property
    def link_name(self) -> str:
        """The link that the latent distribution is the inverse of."""
        return self.latent_name

    @property
    def shape_values(self) -> dict[str, float]:
        """None beside the thresholds, which are reported as coefficients."""
        return {}

    def threshold_names(self, nominal: Sequence[str]) -> tuple[str, ...]:
        """Names of the parameters alpha, for nominal columns of these names beside the constant."""
        if not nominal:
            return self.thresholds.names
        return tuple(f"{alpha}.{column}" for column in ("(Intercept)", *nominal) for alpha in self.thresholds.names)

    @property
    def n_thresholds(self) -> int:
        """Parameters alpha, of all nominal columns."""
        return len(self.thresholds.names) * len(self.nominal)

    @property
    def latent(self) -> Latent:
        """Distribution that the kind of probabilities is made of."""
        name = self.latent_name
        return LATENT[_MIRRORED.get(name, name) if self.mirrored else name]

    def places(self, eta: Array) -> tuple[Array, Array]:
        """Standardized thresholds (K - 1, ..., n) of predictors (..., n), and the scales (n,)."""
        scale = np.exp(self._log_scale)
        tau = self._tau.reshape(self._tau.shape[:1] + (1,) * (eta.ndim - 1) + self._tau.shape[1:])
        return np.asarray((tau - eta) / scale), scale

    def threshold_doubt(self, eta: Array) -> tuple[Array, Array]:
        """-log F(u_j) and -log(1 - F(u_j)) of every threshold, (K - 1, ..., n): zero where u_j has run away.

        A threshold may run away in rows whose categories are all uncertain.
        """
        u = self.places(eta)[0]
        with np.errstate(all="ignore"):
            return -self.latent.log_below(u), -self.latent.log_above(u)

    def check(self, y: Array, prior: Array, name: str) -> None:
        """Refuse a response with a category that no row has."""
        counts = np.bincount(np.asarray(y, dtype=np.intp) - 1, minlength=len(self.categories))
        if len(self.categories) < 2:
            raise DataError(f"The response {name!r} has one category in all rows: there is nothing to model.")
        if (counts == 0).any():
            empty = [repr(c) for c, count in zip(self.categories, counts, strict=True) if not count]
            raise DataError(
                f"No row has the categor{'y' if len(empty) == 1 else 'ies'} {', '.join(empty)} of {name!r}, so that "
                "the thresholds on its sides cannot be told apart. Leave the category out, by "
                ".cat.remove_unused_categories(), or merge it with a neighbour."
            )

    def log_kernel(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Array:
        with np.errstate(all="ignore"):
            value = KINDS[self.density].loglik(self.latent, y, self.places(eta)[0])
        return prior * np.where(np.isnan(value), -np.inf, value)

    def kernel_mean(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> Array:
        return self.log_kernel(y, prior, mu, phi)

    def probabilities(self, eta: Array) -> Array:
        """P of every category, shape (K, ..., n)."""
        u, n = self.places(eta)[0], eta.shape[-1]
        with np.errstate(all="ignore"):
            each = [KINDS[self.density].loglik(self.latent, np.full(n, k + 1.0), u) for k in range(len(u) + 1)]
        return np.exp(np.stack(each))

    def _cells(self, y: Array, eta: Array) -> tuple[Cells, Array, Array]:
        u, scale = self.places(eta)
        with np.errstate(all="ignore"):
            return KINDS[self.density].cells(self.latent, y, u), u, scale

    def terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Terms:
        cells, _, scale = self._cells(y, eta)
        score = -prior * cells.first.sum(axis=0) / scale
        observed = -prior * cells.second.sum(axis=0) / scale**2
        slope = prior * cells.third.sum(axis=0) / scale**3
        # Where the density is not concave, the square of the score, whose mean is the information.
        expected = np.where(observed > 0.0, observed, score**2 / prior + _SMALLEST)
        return Terms(score, observed, slope, observed, expected)

    def shape_terms(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> tuple[DispersionTerms, ...]:
        cells, u, scale = self._cells(y, eta)
        loglik, score, weight = prior / scale, -prior / scale**2, -prior / scale**3
        out = []
        shifts = [_spread(j.take(cells.places), cells.first) for j in self.thresholds.J.T]
        for column in self.nominal:
            for shift in shifts:
                share = shift * column
                out.append(
                    DispersionTerms(
                        loglik * (share * cells.first).sum(axis=0),
                        score * (share * cells.second).sum(axis=0),
                        weight * (share * cells.third).sum(axis=0),
                    )
                )
        if not len(self.scale):
            return tuple(out)
        at = _gathered(u, cells)
        in_scale = (
            -prior * (cells.first * at).sum(axis=0),
            prior / scale * (cells.first + cells.second * at).sum(axis=0),
            prior / scale**2 * (2.0 * cells.second + cells.third * at).sum(axis=0),
        )
        return (*out, *(DispersionTerms(*(z * x for x in in_scale)) for z in self.scale))

    def coupling(self, y: Array, prior: Array, eta: Array, phi: Array | float) -> Coupling:
        """-d^2 l of predictor and parameters, by d'(-d^2 l / du du)d for their directions d in u."""
        cells, u, scale = self._cells(y, eta)
        kind, latent = KINDS[self.density], self.latent
        if kind.concave(latent):
            with np.errstate(all="ignore"):
                inner = kind.curvature(latent, y, u)
        else:
            inner = cells.first[:, None] * cells.first
        shifts = [j.take(cells.places) for j in self.thresholds.J.T]
        directions = [shift * w / scale for w in self.nominal for shift in shifts]
        directions += [-z * _gathered(u, cells) for z in self.scale]
        weighted = np.einsum("mkn,akn->amn", prior * inner, np.array(directions))
        weight = np.maximum((prior * inner).sum(axis=(0, 1)) / scale**2, _SMALLEST)
        tail = np.einsum("amn,bmn->ab", weighted, np.array(directions))
        return Coupling(weight, -weighted.sum(axis=1) / scale, tail)

    def mean_derivatives(self, y: Array, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array, Array]:
        terms = self.terms(y, prior, mu, phi)
        return terms.score, -terms.observed, -terms.weight_slope

    def information(self, prior: Array, mu: Array, phi: Array | float) -> tuple[Array, Array]:
        raise NotImplementedError(f"{self.name} has the curvature that is observed")

    def response(self, eta: Array, phi: Array | float) -> tuple[Array, Array]:
        """The mean of the categories' numbers, and its slope."""
        p, n = self.probabilities(eta), eta.shape[-1]
        each = [-self._cells(np.full(n, k + 1.0), eta)[0].first.sum(axis=0) for k in range(len(p))]
        numbers = np.arange(1.0, len(p) + 1.0)
        slope = np.tensordot(numbers, p * np.array(each), axes=1) / np.exp(self._log_scale)
        return np.tensordot(numbers, p, axes=1), slope

    def expectation(self, eta: Array, phi: Array | float) -> Array:
        p = self.probabilities(eta)
        return np.tensordot(np.arange(1.0, len(p) + 1.0), p, axes=1)

    def variance(self, mu: Array, phi: Array | float) -> Array:
        p = self.probabilities(mu)
        numbers = np.arange(1.0, len(p) + 1.0).reshape((len(p),) + (1,) * mu.ndim)
        return np.asarray((p * (numbers - np.tensordot(numbers.ravel(), p, axes=1)) ** 2).sum(axis=0))

    def unit_deviance(self, y: Array, mu: Array) -> Array:
        return -2.0 * self.log_kernel(y, np.ones(1), mu, 1.0)

    def simulate(self, mu: Array, prior: Array, phi: Array | float, rng: np.random.Generator) -> Array:
        below = np.cumsum(self.probabilities(mu)[:-1], axis=0)
        drawn = 1.0 + (rng.uniform(size=mu.shape) > below).sum(axis=0)
        return np.where(np.isnan(below).any(axis=0), np.nan, drawn)

    def start_mean(self, y: Array, prior: Array) -> Array:
        return np.zeros(len(y))

    def start(self, y: Array, prior: Array) -> Self:
        """The family at the thresholds of equal predictors."""
        codes = np.asarray(y, dtype=np.intp) - 1
        counts = np.bincount(codes, prior, minlength=len(self.categories)).astype(np.float64)
        psi = np.zeros(len(self.psi))
        psi[: len(self.thresholds.names)] = self.thresholds.nearest(self.marginal_places(counts))
        return self.at(psi)

    def start_shapes(self, y: Array, prior: Array, mu: Array) -> Array:
        psi = np.array(self.psi)
        # Predictors have moved away from zero, on the mean.
        psi[: len(self.thresholds.names)] += self.thresholds.nearest(np.full(len(self.thresholds.J), np.mean(mu)))
        return psi

    def marginal_places(self, counts: Array) -> Array:
        """Thresholds at which a predictor of zero has the shares of the categories, (K,), as probabilities."""
        raise NotImplementedError

    def rare_events(self, mu: Array) -> Array | None:
        return None

    def certain_sides(self, y: Array) -> Array | None:
        return None

    def quantile(self, share: Array) -> Array:
        """F^-1 of shares, which the start needs to a few digits, by halving."""
        low, high = np.full(share.shape, -60.0), np.full(share.shape, 60.0)
        wanted = np.log(np.clip(share, 1.0 - _LARGEST_SHARE, _LARGEST_SHARE))
        for _ in range(50):
            middle = 0.5 * (low + high)
            less = self.latent.log_below(middle) < wanted
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        return 0.5 * (low + high)


def _restored(cls: type[Ordinal], link: str, structure: str, state: dict[str, Any]) -> Ordinal:
    family = cls(link, thresholds=structure)
    vars(family).update(state)
    return family


def _spread(values: Any, like: Array) -> Any:
    """Values (m, n) beside arrays (m, ..., n)."""
    return values.reshape(values.shape[:1] + (1,) * (like.ndim - 2) + values.shape[1:])


def _gathered(u: Array, cells: Cells) -> Array:
    """u at the places of the cells."""
    return np.take_along_axis(u, _spread(cells.places, u), axis=0)


class Cumulative(Ordinal):
    """P(y <= j) = F((tau_j - eta) / s): a latent variable of distribution F in units s about eta, cut at tau."""

    name = "cumulative"
    density = "cumulative"

    def marginal_places(self, counts: Array) -> Array:
        return self.quantile(np.cumsum(counts)[:-1] / counts.sum())

    def latent_variance(self, phi: float, null_mean: Callable[[], float], trials: float) -> float | None:
        return self.latent.variance if not len(self.scale) and len(self.nominal) == 1 else None


class StoppingRatio(Ordinal):
    """P(y = j | y >= j) = F((tau_j - eta) / s)."""

    name = "sratio"
    density = "sequential"

    def marginal_places(self, counts: Array) -> Array:
        return self.quantile(counts[:-1] / np.cumsum(counts[::-1])[::-1][:-1])


class ContinuationRatio(StoppingRatio):
    """P(y > j | y >= j) = F((eta - tau_j) / s)."""

    name = "cratio"
    mirrored = True


class Adjacent(Ordinal):
    """P(y = j + 1 | j or j + 1) = F((eta - tau_j) / s)."""

    name = "adjacent"
    density = "adjacent"
    mirrored = True

    def marginal_places(self, counts: Array) -> Array:
        return self.quantile(counts[:-1] / (counts[:-1] + counts[1:]))
