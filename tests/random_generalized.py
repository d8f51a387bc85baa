"""Random generalized models as users write them: a formula, a frame and a family from a seed.

Single trials and few trials, counts, positive responses; groups few, tiny, crossed and nested; slopes, correlated and
not; covariates far from zero; variances of zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["RandomGeneralized", "random_generalized"]

FAMILIES = (
    "binomial",
    "binomial",
    "binomial",
    "binomial(probit)",
    "binomial(cloglog)",
    "poisson",
    "poisson",
    "nbinom2",
    "gamma(log)",
    "inverse.gaussian(log)",
    "gaussian(log)",
)
# The grouping factor in the place of {}.
TERMS = ("(1 | {})", "(1 | {})", "(x | {})", "(x || {})", "(0 + x | {})", "(x + z | {})")
NESTED = ("(1 | g/k)", "(1 | g/k)", "(x | g) + (1 | g:k)", "(1 | g) + (x | g:k)")
FIXED = ("1", "x", "x", "x + z", "x + f", "0 + x")
LEAST, LARGEST = 24, 160


@dataclass(frozen=True)
class RandomGeneralized:
    """What `mixfit.mixed` and `fit` are called with.

    Attributes
    ----------
    seed : int
    formula : str
    data : pandas.DataFrame
    family : str
    n_agq : int
    """

    seed: int
    formula: str
    data: pd.DataFrame
    family: str
    n_agq: int

    def __repr__(self) -> str:
        rows = f"{len(self.data)} rows, {self.data['g'].nunique()} groups"
        return f"random_generalized({self.seed}): {self.formula!r}, {self.family!r}, {rows}, n_agq={self.n_agq}"


def random_generalized(seed: int) -> RandomGeneralized:
    """The model of a seed."""
    rng = np.random.default_rng([seed, 21])
    n = int(rng.integers(LEAST, LARGEST))
    family = str(rng.choice(FAMILIES))
    g, h, k = _groups(rng, n)
    x, z = _covariate(rng, n, g), _covariate(rng, n, g)
    data = pd.DataFrame({"g": _named("g", g), "h": _named("h", h), "k": _named("k", k), "f": _named("f", g % 3)})
    data["x"], data["z"] = x, z
    response = _respond(rng, data, family, _predictor(rng, x, z, (g, h, 2 * g + k)))
    random = _random_part(rng)
    alone = "h" not in random and "/" not in random and ":" not in random
    quadrature = alone and "z" not in random and family != "gaussian(log)" and rng.random() < 0.3
    formula = f"{response} ~ {rng.choice(FIXED)} + {random}"
    return RandomGeneralized(seed, formula, data, family, 7 if quadrature else 1)


def _random_part(rng: np.random.Generator) -> str:
    first = str(rng.choice(TERMS)).replace("{}", "g")
    shape = rng.choice(["one", "one", "crossed", "nested"])
    if shape == "crossed":
        return f"{first} + {str(rng.choice(TERMS[:4])).replace('{}', 'h')}"
    return first if shape == "one" else str(rng.choice(NESTED))


def _groups(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    """A factor of few levels or many, one that crosses it or nearly nests it, and one within it."""
    q = int(rng.integers(3, 9)) if rng.random() < 0.4 else int(rng.integers(4, max(6, n // 3)))
    g = rng.permutation(np.arange(n) % q) if rng.random() < 0.6 else np.minimum((rng.pareto(0.8, n) * 2).astype(int), q)
    g = np.unique(g, return_inverse=True)[1]
    h = rng.integers(0, int(rng.integers(3, 9)), n)
    if rng.random() < 0.2:
        h = np.where(rng.random(n) < 0.15, h, g // 2)
    return g, np.unique(h, return_inverse=True)[1], rng.integers(0, int(rng.integers(2, 4)), n)


def _covariate(rng: np.random.Generator, n: int, g: Array) -> Array:
    kind = rng.integers(6)
    if kind == 0:
        return rng.choice([5.0, 20.0, 100.0]) + rng.normal(size=n)
    if kind == 1:
        return rng.normal(size=int(g.max()) + 1)[g] + 0.2 * rng.normal(size=n)
    if kind == 2:
        return rng.integers(0, 4, n).astype(float)
    if kind == 3:
        return rng.integers(0, 2, n).astype(float)
    return rng.normal(size=n)


def _predictor(rng: np.random.Generator, x: Array, z: Array, factors: tuple[Array, ...]) -> Array:
    """A linear predictor with effects of each kind: none, small, moderate, large."""
    n = len(x)
    columns = np.column_stack([np.ones(n), *((c - c.mean()) / max(float(c.std()), 1e-12) for c in (x, z))])
    eta = float(rng.choice([-1.0, 0.0, 0.5, 1.5])) + columns[:, 1] * float(rng.choice([0.0, 0.5, 1.0]))
    for codes in factors:
        sizes = rng.choice([0.0, 0.3, 0.7, 1.2], size=3) * (rng.random(3) < 0.7)
        mixed = np.eye(3) + rng.choice([0.0, 0.5]) * rng.normal(size=(3, 3))
        effects = rng.normal(size=(int(codes.max()) + 1, 3)) @ mixed * sizes
        eta = eta + np.einsum("nc,nc->n", effects[codes], columns)
    return np.clip(eta, -5.0, 5.0)


def _respond(rng: np.random.Generator, data: pd.DataFrame, family: str, eta: Array) -> str:
    """Draw the response into the frame; how the formula names it."""
    n, mean = len(eta), np.exp(eta)
    if family.startswith("binomial"):
        trials = np.ones(n, dtype=int) if rng.random() < 0.5 else rng.integers(1, int(rng.integers(3, 9)), n)
        data["y"] = rng.binomial(trials, 1.0 / (1.0 + np.exp(-eta)))
        data["m"] = trials - data["y"]
        return "y" if trials.max() == 1 else "cbind(y, m)"
    shape = float(rng.choice([0.7, 2.0, 10.0]))
    if family == "poisson":
        data["y"] = rng.poisson(mean)
    elif family == "nbinom2":
        data["y"] = rng.poisson(mean * rng.gamma(shape, 1.0 / shape, n))
    elif family == "gamma(log)":
        data["y"] = np.maximum(mean * rng.gamma(shape, 1.0 / shape, n), 1e-6)
    elif family == "inverse.gaussian(log)":
        data["y"] = rng.wald(mean, shape * mean)
    else:
        data["y"] = mean + float(rng.choice([0.2, 1.0, 3.0])) * rng.normal(size=n)
    return "y"


def _named(letter: str, codes: Array) -> list[str]:
    return [f"{letter}{code}" for code in codes]
