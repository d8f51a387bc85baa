"""The posterior of a mixed model: priors, exact conditional distributions, draws, and what is asked of them."""

from mixfit.bayes.covariances import LKJ, Decov, InvWishart, Wishart
from mixfit.bayes.distributions import Cauchy, Flat, Normal, StudentT, Uniform
from mixfit.bayes.positive import Exponential, Gamma, HalfCauchy, HalfNormal, HalfT, InvGamma, SqrtInvGamma
from mixfit.bayes.priors import Priors

__all__ = [
    "LKJ",
    "Cauchy",
    "Decov",
    "Exponential",
    "Flat",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "InvGamma",
    "InvWishart",
    "Normal",
    "Priors",
    "SqrtInvGamma",
    "StudentT",
    "Uniform",
    "Wishart",
]
