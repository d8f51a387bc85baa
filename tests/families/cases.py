"""Every family with every link it has: responses it may have produced, and where to look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixfit.families.compois import ConwayMaxwellPoisson
from mixfit.families.continuous import Gamma, Gaussian, InverseGaussian
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.dispersed import Bell, GeneralizedPoisson, NegativeBinomial1
from mixfit.families.ordered_beta import OrderedBeta
from mixfit.families.proportions import Beta, BetaBinomial, Binomial
from mixfit.families.skewed import LogNormal
from mixfit.families.survival import AcceleratedLogNormal, Exponential, Weibull
from mixfit.families.truncated import (
    TruncatedConwayMaxwellPoisson,
    TruncatedGeneralizedPoisson,
    TruncatedNegativeBinomial,
    TruncatedNegativeBinomial1,
    TruncatedPoisson,
)
from mixfit.families.tweedie import Tweedie
from mixfit.families.unbounded import SkewNormal, StudentT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.families.base import Family

    Array = NDArray[np.float64]

CLASSES: tuple[type[Family], ...] = (
    Binomial,
    Poisson,
    Gamma,
    InverseGaussian,
    Gaussian,
    NegativeBinomial,
    Beta,
    BetaBinomial,
)
EVERY = tuple(cls(link) for cls in CLASSES for link in cls.links)
# Those that are differentiated by jets.
COMPOSED_CLASSES: tuple[type[Family], ...] = (
    NegativeBinomial1,
    GeneralizedPoisson,
    ConwayMaxwellPoisson,
    Bell,
    TruncatedPoisson,
    TruncatedNegativeBinomial,
    TruncatedNegativeBinomial1,
    TruncatedGeneralizedPoisson,
    TruncatedConwayMaxwellPoisson,
    LogNormal,
    StudentT,
    SkewNormal,
    Tweedie,
    OrderedBeta,
    Weibull,
    Exponential,
    AcceleratedLogNormal,
)
COMPOSED = tuple(cls(link) for cls in COMPOSED_CLASSES for link in cls.links)
TRIALS = ("binomial", "betabinomial")
PHI = {
    "gamma": 0.3,
    "inverse.gaussian": 0.2,
    "gaussian": 0.5,
    "nbinom2": 1.7,
    "beta": 5.0,
    "betabinomial": 3.0,
    "nbinom1": 0.8,
    "genpois": 1.7,
    "compois": 0.6,
    "truncated_nbinom2": 1.7,
    "truncated_nbinom1": 0.8,
    "truncated_genpois": 1.7,
    "truncated_compois": 0.6,
    "lognormal": 1.3,
    "t": 0.7,
    "skewnormal": 1.4,
    "tweedie": 0.8,
    "ordbeta": 5.0,
    "weibull": 0.6,
    "lognormal_aft": 0.7,
}
# A predictor in the middle of the link's range, and how far it may vary from there.
MIDDLE = {
    "logit": (-0.4, 1.5),
    "probit": (-0.3, 1.0),
    "cloglog": (-0.5, 1.0),
    "cauchit": (-0.4, 1.0),
    "log": (1.0, 0.8),
    "sqrt": (2.0, 0.6),
    "identity": (5.0, 1.5),
    "inverse": (0.8, 0.3),
    "1/mu^2": (0.8, 0.3),
}


@dataclass(frozen=True)
class Case:
    """Rows of one family: y, prior weights, predictors, dispersion."""

    family: Family
    y: Array
    prior: Array
    eta: Array
    phi: float


def middle(family: Family) -> tuple[float, float]:
    """Centre and spread of harmless predictors."""
    return (-2.5, 0.5) if repr(family) == "binomial(log)" else MIDDLE[family.link.name]


def case(family: Family, n: int = 40, seed: int = 5) -> Case:
    """Responses simulated from the family at harmless predictors."""
    rng = np.random.default_rng(seed)
    centre, spread = middle(family)
    eta = centre + spread * rng.uniform(-1.0, 1.0, n)
    prior = np.ones(n)
    if family.name in TRIALS:
        prior = rng.integers(1, 9, n).astype(float)
    elif family.has_dispersion and family.name != "nbinom2":
        prior = rng.integers(1, 4, n).astype(float)
    phi = PHI.get(family.name, 1.0)
    return Case(family, family.simulate(family.link.mean(eta), prior, phi, rng), prior, eta, phi)
