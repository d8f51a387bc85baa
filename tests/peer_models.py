"""Random models as applied work has them, for comparisons with other programs: a formula, a frame and a family a seed.

Studies with repeated measures, crossed and nested groups, a treatment between groups or within, covariates in units of
their own (years, milligrams, days since a visit), responses that are sums, counts, shares and times; zeros in excess.
`tests.random_models` and `tests.random_generalized` are made to mislead optimizers; these are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["FAMILIES", "PeerModel", "peer_model"]

# Twice as many linear models as of any family, as people fit them.
FAMILIES = (
    *("gaussian",) * 9,
    *("binomial",) * 3,
    *("poisson",) * 2,
    *("nbinom2",) * 2,
    "nbinom1",
    "genpois",
    "gamma(log)",
    "beta",
)
COUNTS = ("poisson", "nbinom2", "nbinom1", "genpois")
FIXED = ("arm * day", "arm + day", "day", "arm + age", "age + day", "1", "arm + poly")
RANDOM = (
    *("(1 | subject)",) * 3,
    "(day | subject)",
    "(day || subject)",
    "(1 | site/subject)",
    "(1 | subject) + (1 | item)",
    "(day | subject) + (1 | item)",
    "(1 | subject) + (arm | item)",
    "(1 | site) + (day | subject)",
)
# Share of counts whose zeros are in excess.
SHARE_INFLATED = 0.3


@dataclass(frozen=True)
class PeerModel:
    """What `mixfit.mixed` and `fit` are called with.

    Attributes
    ----------
    seed : int
    formula : str
    data : pandas.DataFrame
    family : str
    zi : str
        Formula of the zeros in excess; empty for none.
    reml : bool
        Of linear models.
    """

    seed: int
    formula: str
    data: pd.DataFrame
    family: str
    zi: str
    reml: bool

    def __repr__(self) -> str:
        zi = f", zi={self.zi!r}" if self.zi else ""
        return f"peer_model({self.seed}): {self.formula!r}, {self.family!r}{zi}, {len(self.data)} rows, {self.reml=}"


def peer_model(seed: int) -> PeerModel:
    """The model of a seed."""
    rng = np.random.default_rng([seed, 22])
    data = _study(rng)
    family, random = str(rng.choice(FAMILIES)), str(rng.choice(RANDOM))
    fixed = str(rng.choice(FIXED)).replace("poly", "day + I(day**2)")
    eta = _predictor(rng, data, random)
    zi = "~ 1" if family in COUNTS and rng.random() < SHARE_INFLATED else ""
    data["y"] = _response(rng, family, eta)
    if zi:
        data.loc[rng.random(len(data)) < float(rng.choice([0.0, 0.1, 0.4])), "y"] = 0.0
    if family == "gaussian":
        data["y"] *= float(rng.choice([1.0, 1.0, 1e-3, 250.0]))
    return PeerModel(seed, f"y ~ {fixed} + {random}", data, family, zi, bool(rng.random() < 0.5))


def _study(rng: np.random.Generator) -> pd.DataFrame:
    """Subjects of some sites, on some days, with some items; visits are missed."""
    n_subjects, n_days = int(rng.integers(6, 40)), int(rng.integers(3, 10))
    subject = np.repeat(np.arange(n_subjects), n_days)
    day = np.tile(np.arange(n_days), n_subjects).astype(float)
    if rng.random() < 0.3:
        day = np.round(day * 7.0 + rng.normal(size=len(day)), 1)
    n_sites = int(rng.integers(3, max(4, n_subjects // 3) + 1))
    within = rng.random() < 0.4
    arm = rng.integers(0, 2, len(day)) if within else (subject + rng.integers(0, 2, n_subjects)[subject]) % 2
    data = pd.DataFrame(
        {
            "subject": [f"s{i}" for i in subject],
            "site": [f"c{i}" for i in subject % n_sites],
            "item": [f"i{i}" for i in rng.integers(0, int(rng.integers(4, 13)), len(day))],
            "day": day,
            "age": np.round(rng.normal(48.0, 12.0, n_subjects)[subject], 1),
            "arm": np.where(arm == 1, "drug", "none"),
        }
    )
    kept = rng.random(len(data)) > float(rng.choice([0.0, 0.1, 0.3]))
    return data[kept].reset_index(drop=True)


def _predictor(rng: np.random.Generator, data: pd.DataFrame, random: str) -> Array:
    """A linear predictor of order one."""
    day = (data["day"] - data["day"].mean()) / max(float(data["day"].std()), 1e-12)
    drug = (data["arm"] == "drug").to_numpy(dtype=float)
    eta = float(rng.choice([-0.5, 0.3, 1.0])) + 0.3 * day.to_numpy() + drug * float(rng.choice([0.0, 0.4]))
    for group in ("subject", "site", "item"):
        if group not in random and rng.random() < 0.8:
            continue
        codes = pd.factorize(data[group])[0]
        sizes = rng.choice([0.0, 0.2, 0.5, 0.8], size=2)
        effects = rng.normal(size=(codes.max() + 1, 2)) * sizes
        eta = eta + effects[codes, 0] + effects[codes, 1] * day.to_numpy()
    return np.asarray(np.clip(eta, -4.0, 4.0), dtype=float)


def _response(rng: np.random.Generator, family: str, eta: Array) -> Array:
    mean, share = np.exp(eta), 1.0 / (1.0 + np.exp(-eta))
    shape = float(rng.choice([0.8, 3.0, 20.0]))
    if family == "gaussian":
        return eta + float(rng.choice([0.3, 1.0])) * rng.normal(size=len(eta))
    if family == "binomial":
        return (rng.random(len(eta)) < share).astype(float)
    if family == "gamma(log)":
        return np.maximum(mean * rng.gamma(shape, 1.0 / shape, len(eta)), 1e-6)
    if family == "beta":
        return np.clip(rng.beta(5.0 * share, 5.0 * (1.0 - share)), 1e-4, 1.0 - 1e-4)
    spread = {"poisson": 1.0, "nbinom1": rng.gamma(mean * shape, 1.0 / (mean * shape))}
    return rng.poisson(mean * spread.get(family, rng.gamma(shape, 1.0 / shape, len(eta)))).astype(float)
