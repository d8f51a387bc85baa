"""Covariance structures of the random effects: objects, by the names that formulas call them.

To add one, give the matrix C of its correlations as a function of parameters and its derivatives, in a subclass of
`CorrelationStructure` (or all of what a `Structure` is), and `register` it:

>>> import numpy as np
>>> import mixfit
>>> from mixfit.covariance import CorrelationStructure, NaturalParameter, register
>>> class Exchangeable(CorrelationStructure):
...     name = "exchangeable"
...
...     @property
...     def shape(self):
...         least = -1.0 / (self.k - 1)
...         return (NaturalParameter("cor", of=self.name, lower=least, upper=1.0, scale="atanh"),)
...
...     def correlation(self, rho):
...         return np.eye(self.k) + rho[0] * self.correlation_slopes(rho)[0]
...
...     def correlation_slopes(self, rho):
...         return np.ones((1, self.k, self.k)) - np.eye(self.k)
>>> register("exchangeable", Exchangeable)
>>> sleep = mixfit.datasets.load("sleepstudy")
>>> sleep["half"] = np.where(sleep["Days"] < 5, "first", "second")
>>> fit = mixfit.mixed("Reaction ~ Days + exchangeable(0 + half | Subject)", sleep).fit()
>>> fit.varcorr()
 Groups   Name                        Std.Dev. Corr
 Subject  half[first] .. half[second] 40.797   0.690 (exchangeable)
 Residual                             26.074
"""

from mixfit.covariance.correlation import CorrelationStructure
from mixfit.covariance.parameter import NaturalParameter
from mixfit.covariance.pedigree import Pedigree
from mixfit.covariance.phylogeny import Phylogeny
from mixfit.covariance.registry import register
from mixfit.covariance.relationship import Relationship
from mixfit.covariance.structure import Invariance, Structure

__all__ = [
    "CorrelationStructure",
    "Invariance",
    "NaturalParameter",
    "Pedigree",
    "Phylogeny",
    "Relationship",
    "Structure",
    "register",
]


def __dir__() -> list[str]:
    """What is public."""
    return sorted(__all__)
