"""Random linear models as users write them: a formula and a frame from a seed, of every kind that misleads optimizers.

Groups crossed, nested and tiny, terms of up to four columns, uncorrelated and correlated, fixed effects left out,
covariates far from zero, weights over orders of magnitude, offsets, units from 1e-8 to 1e8, variances of zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["RandomModel", "random_model"]

# Left of the bar, with the grouping factor in the place of {}.
TERMS = (
    "(1 | {})",
    "(x | {})",
    "(x || {})",
    "(0 + x | {})",
    "(x + z | {})",
    "(x + z || {})",
    "(x + z + w | {})",
    "(0 + x + z | {})",
    "(x | {}) + (0 + z | {})",
    "(1 | {}) + (0 + x + z | {})",
)
FIXED = ("1", "1", "x", "x", "x + z", "x * z", "0 + x", "x + f")
LARGEST = 72


@dataclass(frozen=True)
class RandomModel:
    """What `mixfit.mixed` and `fit` are called with.

    Attributes
    ----------
    seed : int
    formula : str
    data : pandas.DataFrame
    options : dict
        Weights and offset, by name.
    reml : bool
    """

    seed: int
    formula: str
    data: pd.DataFrame
    options: dict[str, Any]
    reml: bool

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"random_model({self.seed}): {self.formula!r}, {len(self.data)} rows{given}, reml={self.reml}"


def random_model(seed: int) -> RandomModel:
    """The model of a seed."""
    rng = np.random.default_rng([seed, 20])
    n = int(rng.integers(18, LARGEST))
    g, h, k = _groups(rng, n)
    columns = {name: _covariate(rng, n, g) for name in "xzw"}
    data = pd.DataFrame({"g": _named("g", g), "h": _named("h", h), "k": _named("k", k), "f": _named("f", g % 3)})
    random = _random_part(rng)
    data["y"] = _response(rng, columns, g, h, k)
    scales = np.exp(np.log(10.0) * rng.choice([0.0, 0.0, 0.0, -8.0, 8.0], size=3))
    for (name, column), scale in zip(columns.items(), scales, strict=True):
        data[name] = column * scale
    options: dict[str, Any] = {}
    kind = rng.choice(["none", "none", "none", "mild", "wild"])
    if kind != "none":
        spread = rng.normal(size=n) * (0.7 if kind == "mild" else 5.0)
        data["weight"] = np.exp(np.clip(spread, -9.0, 9.0))
        data["y"] += rng.normal(size=n) / np.sqrt(data["weight"]) - rng.normal(size=n)
        options["weights"] = "weight"
    if rng.random() < 0.15:
        data["known"] = 3.0 * rng.normal(size=n)
        data["y"] += data["known"]
        options["offset"] = "known"
    unit = float(10.0 ** rng.choice([0, 0, 0, -8, 8]))
    data["y"] *= unit
    if options.get("offset"):
        data["known"] *= unit
    formula = f"y ~ {rng.choice(FIXED)} + {random}"
    return RandomModel(seed, formula, data, options, bool(rng.random() < 0.5))


def _random_part(rng: np.random.Generator) -> str:
    first = str(rng.choice(TERMS)).replace("{}", "g")
    shape = rng.choice(["one", "one", "crossed", "crossed", "nested"])
    if shape == "one":
        return first
    if shape == "nested":
        return str(rng.choice(["(1 | g/k)", "(x | g/k)", "(1 | g) + (x | g:k)"]))
    return f"{first} + {str(rng.choice(TERMS[:4])).replace('{}', 'h')}"


def _groups(rng: np.random.Generator, n: int) -> tuple[Array, Array, Array]:
    """A factor, one that crosses it evenly, unevenly or nearly nests it, and one within it."""
    q = int(rng.integers(3, max(5, n // 4)))
    even = rng.permutation(np.arange(n) % q)
    g = even if rng.random() < 0.6 else np.minimum((rng.pareto(0.8, n) * 2).astype(int), q)
    g = np.unique(g, return_inverse=True)[1]
    h: Any = rng.integers(0, int(rng.integers(3, 9)), n)
    if rng.random() < 0.2:
        h = np.where(rng.random(n) < 0.15, h, g // 2)
    return g, np.unique(h, return_inverse=True)[1], rng.integers(0, 2, n)


def _covariate(rng: np.random.Generator, n: int, g: Array) -> Array:
    makers: tuple[Callable[[], Array], ...] = (
        lambda: rng.normal(size=n),
        lambda: rng.normal(size=n),
        lambda: rng.choice([5.0, 20.0, 100.0]) + rng.normal(size=n),
        lambda: rng.normal(size=int(g.max()) + 1)[g] + 0.2 * rng.normal(size=n),
        lambda: rng.integers(0, 4, n).astype(float),
        lambda: rng.integers(0, 2, n).astype(float),
        lambda: np.exp(2.0 * rng.normal(size=n)),
    )
    return makers[rng.integers(len(makers))]()


def _response(rng: np.random.Generator, columns: dict[str, Array], g: Array, h: Array, k: Array) -> Array:
    """Effects of each kind, none, small, moderate or large beside the residual."""
    centred = [np.ones(len(g)), *((c - c.mean()) / max(float(c.std()), 1e-12) for c in columns.values())]
    y = rng.normal(size=len(g)) + float(rng.choice([0.0, 1.0, 30.0]))
    for codes in (g, h, 2 * g + k):
        sizes = rng.choice([0.0, 0.0, 0.3, 1.0, 5.0, 50.0], size=4) * (rng.random(4) < 0.6)
        effects = rng.normal(size=(int(codes.max()) + 1, 4)) @ (np.eye(4) + 0.5 * rng.normal(size=(4, 4))) * sizes
        y = y + np.einsum("nc,nc->n", effects[codes], np.column_stack(centred))
    return y + columns["x"] * float(rng.choice([0.0, 1.0]))


def _named(letter: str, codes: Array) -> list[str]:
    return [f"{letter}{code}" for code in codes]
