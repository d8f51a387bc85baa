"""The data of the cases of families that glmmTMB and ordinal fit: bundled, or drawn from fixed seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mixfit import datasets

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["FAMILY_SOURCES", "labels"]

# Rows a group where data are cut down for a trial.
_QUICK_ROWS = 10


def labels(prefix: str, codes: NDArray[np.int64]) -> NDArray[np.object_]:
    """Strings, as they come from a file: no rival is handed ready-made codes."""
    return np.array([f"{prefix}{i}" for i in range(int(codes.max()) + 1)], dtype=object)[codes]


def salamanders(quick: bool) -> pd.DataFrame:
    """Bundled; small as it is."""
    return datasets.load("salamanders")


def _frame(random: np.random.Generator, n: int, n_groups: int) -> tuple[pd.DataFrame, Array]:
    """Covariate and groups, and the predictor 0.5 + 0.4 x + b_g, b_g ~ N(0, 0.25)."""
    g, x = np.arange(n) % n_groups, random.normal(size=n)
    eta = 0.5 + 0.4 * x + 0.5 * random.normal(size=n_groups)[g]
    return pd.DataFrame({"x": x, "g": labels("g", g)}), eta


def _size(quick: bool, n: int, n_groups: int) -> tuple[int, int]:
    return (n, n_groups) if not quick else (min(n, 30 * _QUICK_ROWS), min(n_groups, 30))


def _share(eta: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-eta))


def _gamma_counts(random: np.random.Generator, mean: Array, theta: float) -> Array:
    """Counts of variance mean + mean^2 / theta."""
    return random.poisson(mean * random.gamma(theta, 1.0 / theta, len(mean))).astype(float)


def few_counts(quick: bool) -> pd.DataFrame:
    """Draw counts that vary less than Poisson's."""
    random = np.random.default_rng(11)
    frame, eta = _frame(random, *_size(quick, 360, 30))
    return frame.assign(y=random.binomial(8, np.minimum(np.exp(eta) / 8.0, 0.9)).astype(float))


def linear_variance(quick: bool) -> pd.DataFrame:
    """Draw counts of variance 2.5 times their mean."""
    random = np.random.default_rng(12)
    frame, eta = _frame(random, *_size(quick, 2_000, 100))
    return frame.assign(y=random.negative_binomial(np.exp(eta) / 1.5, 1.0 / 2.5).astype(float))


def biomass(quick: bool) -> pd.DataFrame:
    """Draw sums of a Poisson number of gamma amounts, many of them zero: Tweedie's of power 1.5."""
    random = np.random.default_rng(13)
    frame, eta = _frame(random, *_size(quick, 2_000, 100))
    number = random.poisson(2.0 * np.exp(0.5 * eta))
    return frame.assign(y=random.gamma(np.maximum(number, 1), 0.5 * np.exp(0.5 * eta)) * (number > 0))


def proportions(quick: bool) -> pd.DataFrame:
    """Draw proportions between 0 and 1 whose precision rises with x."""
    random = np.random.default_rng(14)
    frame, eta = _frame(random, *_size(quick, 1_000, 50))
    mean, precision = _share(eta), 6.0 * np.exp(0.3 * frame["x"].to_numpy())
    y = random.beta(mean * precision, (1.0 - mean) * precision)
    return frame.assign(y=np.clip(y, 1e-6, 1.0 - 1e-6))


def sliders(quick: bool) -> pd.DataFrame:
    """Draw answers on a slider, some at its ends."""
    random = np.random.default_rng(15)
    frame, eta = _frame(random, *_size(quick, 2_000, 100))
    inside = random.beta(5.0 * _share(eta), 5.0 * (1.0 - _share(eta)))
    at = eta + random.logistic(size=len(eta))
    return frame.assign(y=np.where(at < -2.0, 0.0, np.where(at > 2.5, 1.0, np.clip(inside, 1e-6, 1.0 - 1e-6))))


def heavy_tails(quick: bool) -> pd.DataFrame:
    """Draw responses with errors of a t distribution with 4 degrees of freedom."""
    random = np.random.default_rng(16)
    frame, eta = _frame(random, *_size(quick, 5_000, 250))
    return frame.assign(y=eta + 0.8 * random.standard_t(4.0, len(eta)))


def many_counts(quick: bool) -> pd.DataFrame:
    """Draw overdispersed counts in 500 groups."""
    random = np.random.default_rng(17)
    frame, eta = _frame(random, *_size(quick, 20_000, 500))
    return frame.assign(y=_gamma_counts(random, np.exp(eta), 1.5))


def ordered(quick: bool) -> pd.DataFrame:
    """Draw five ordered categories in 500 groups."""
    random = np.random.default_rng(18)
    frame, eta = _frame(random, *_size(quick, 20_000, 500))
    cut = np.searchsorted([-1.0, 0.0, 1.0, 2.2], eta + random.logistic(size=len(eta)))
    return frame.assign(y=pd.Categorical.from_codes(cut, categories=list("abcde"), ordered=True))


def crossed_zeros(quick: bool) -> pd.DataFrame:
    """Draw overdispersed counts of two crossed factors, a quarter of them zero for a reason of their own."""
    random = np.random.default_rng(19)
    n, n_a, n_b = (2_000, 60, 30) if quick else (100_000, 1_000, 200)
    a, b, x = random.integers(0, n_a, n), random.integers(0, n_b, n), random.normal(size=n)
    eta = 0.8 + 0.3 * x + 0.5 * random.normal(size=n_a)[a] + 0.3 * random.normal(size=n_b)[b]
    y = _gamma_counts(random, np.exp(eta), 2.0) * (random.random(n) > _share(-1.1 + 0.4 * x))
    return pd.DataFrame({"y": y, "x": x, "a": labels("a", a), "b": labels("b", b)})


FAMILY_SOURCES: dict[str, Callable[[bool], pd.DataFrame]] = {
    "zi_nbinom2": salamanders,
    "hurdle": salamanders,
    "genpois": salamanders,
    "compois": few_counts,
    "nbinom1": linear_variance,
    "tweedie": biomass,
    "beta": proportions,
    "ordbeta": sliders,
    "t": heavy_tails,
    "nbinom2": many_counts,
    "cumulative": ordered,
    "zi_crossed": crossed_zeros,
}
