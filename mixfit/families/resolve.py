"""Families by name, or from a statsmodels family instance."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np

from mixfit.errors import FitError
from mixfit.families.base import Family
from mixfit.families.compois import ConwayMaxwellPoisson
from mixfit.families.continuous import Gamma, Gaussian, InverseGaussian, ZeroInflatedGamma
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.dispersed import Bell, GeneralizedPoisson, NegativeBinomial1
from mixfit.families.multinomial import Multinomial
from mixfit.families.ordered_beta import OrderedBeta
from mixfit.families.ordinal import Adjacent, ContinuationRatio, Cumulative, StoppingRatio
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

__all__ = ["FAMILIES", "resolve_family"]

FAMILIES: dict[str, type[Family]] = {
    "gaussian": Gaussian,
    "binomial": Binomial,
    "poisson": Poisson,
    "gamma": Gamma,
    "zigamma": ZeroInflatedGamma,
    "inverse.gaussian": InverseGaussian,
    "inversegaussian": InverseGaussian,
    "inverse_gaussian": InverseGaussian,
    "nbinom2": NegativeBinomial,
    "negativebinomial": NegativeBinomial,
    "negative.binomial": NegativeBinomial,
    "beta": Beta,
    "betabinomial": BetaBinomial,
    "nbinom1": NegativeBinomial1,
    "genpois": GeneralizedPoisson,
    "compois": ConwayMaxwellPoisson,
    "bell": Bell,
    "lognormal": LogNormal,
    "weibull": Weibull,
    "exponential": Exponential,
    "lognormal_aft": AcceleratedLogNormal,
    "t": StudentT,
    "skewnormal": SkewNormal,
    "tweedie": Tweedie,
    "ordbeta": OrderedBeta,
    "multinomial": Multinomial,
    "cumulative": Cumulative,
    "sratio": StoppingRatio,
    "cratio": ContinuationRatio,
    "adjacent": Adjacent,
    "acat": Adjacent,
    "truncated_poisson": TruncatedPoisson,
    "truncated_nbinom1": TruncatedNegativeBinomial1,
    "truncated_nbinom2": TruncatedNegativeBinomial,
    "truncated_genpois": TruncatedGeneralizedPoisson,
    "truncated_compois": TruncatedConwayMaxwellPoisson,
}
# What a parameter is called, in a call that gives its value, besides `phi`.
_DISPERSION_NAMES = frozenset({"phi", "theta"})

# Classes of statsmodels, in small letters.
_STATSMODELS = frozenset({"gaussian", "binomial", "poisson", "gamma", "inversegaussian", "negativebinomial"})
# Attributes of a statsmodels family that are read, or say how it is checked and used elsewhere.
_READ = frozenset({"alpha", "link", "_link", "_check_link", "n"})

_THEIR_MODULES = "statsmodels."

_LINK_NAMES = {
    "Logit": "logit",
    "Probit": "probit",
    "CLogLog": "cloglog",
    "Cauchy": "cauchit",
    "Log": "log",
    "Sqrt": "sqrt",
    "Identity": "identity",
    "InversePower": "inverse",
    "InverseSquared": "1/mu^2",
}


def resolve_family(family: Any) -> Family:
    """The family called `family`.

    Parameters
    ----------
    family : str, Family or statsmodels.genmod.families.Family
        ``"binomial"``, ``"binomial(probit)"``, ``"Gamma(log)"``, ``"nbinom2(theta=2)"`` with a known
        parameter, or an instance.

    Returns
    -------
    Family

    Raises
    ------
    FitError
        For a family or link that mixfit does not have, naming those that it has.

    Examples
    --------
    >>> resolve_family("binomial(probit)")
    binomial(probit)
    """
    if isinstance(family, Family):
        return family
    if isinstance(family, type) and issubclass(family, Family):
        return family()
    if isinstance(family, str):
        match = re.fullmatch(r"\s*([\w.]+)\s*(?:\(([^()]*)\))?\s*", family)
        if match is None or match[1].lower() not in FAMILIES:
            raise FitError(f"There is no family {family!r}; mixfit has {', '.join(sorted(set(_own_names())))}.")
        return _called(match[1].lower(), match[2] or "")
    return _from_statsmodels(family)


def _called(name: str, arguments: str) -> Family:
    """A family by its arguments as they are written: a link, and known parameters as `name=value`."""
    link: str | None = None
    known: dict[str, Any] = {}
    for part in filter(None, (a.strip() for a in arguments.split(","))):
        key, equals, value = (x.strip() for x in part.rpartition("="))
        if not equals or key == "link":
            if link is not None:
                raise FitError(f"{name}({arguments}) has two links, {link!r} and {value!r}.")
            link = value.strip("'\"")
            continue
        try:
            given = ast.literal_eval(value)
        except (ValueError, SyntaxError) as error:
            raise FitError(f"{key} = {value} in {name}({arguments}) is no number.") from error
        known["phi" if key in _DISPERSION_NAMES else key] = given
    return FAMILIES[name](link, **known)


def _from_statsmodels(family: Any) -> Family:
    """A statsmodels family by its class and link; all else that it carries is used, or refused by name."""
    if isinstance(family, type):
        raise FitError(f"family is the class {family.__name__}: give an instance, {family.__name__}().")
    if not hasattr(family, "link"):
        raise FitError(f"family is a name, such as 'binomial(probit)', or an instance of a family, not {family!r}.")
    if isinstance(family.link, type):
        raise FitError(f"The link is the class {family.link.__name__}: give an instance, {family.link.__name__}().")
    name, link = type(family).__name__, type(family.link).__name__
    if name.lower() not in _STATSMODELS or link not in _LINK_NAMES:
        raise FitError(f"The family {name} with link {link} is not one that mixfit fits.")
    for part in (family, family.link):
        # A class of one's own may compute anything.
        if not type(part).__module__.startswith(_THEIR_MODULES):
            raise FitError(f"{type(part).__name__} is a class of {type(part).__module__}, which mixfit does not fit.")
    alpha = _known_alpha(family)
    for part, usual in (
        (family.link, type(family.link)()),
        (family, type(family)(**({} if alpha is None else {"alpha": alpha}))),
    ):
        for key, value in vars(part).items():
            if key not in _READ and not _alike(value, vars(usual).get(key)):
                raise FitError(f"{type(part).__name__} has {key} = {value!r}, which mixfit does not fit.")
    # Var = mu + alpha mu^2 with a fixed alpha: statsmodels estimates none.
    return FAMILIES[name.lower()](_LINK_NAMES[link], None if alpha is None else 1.0 / alpha)


def _known_alpha(family: Any) -> float | None:
    """The dispersion that a statsmodels family carries; None for a family without one."""
    alpha = getattr(family, "alpha", None)
    if alpha is None:
        return None
    if np.ndim(alpha) > 0 or not np.isfinite(alpha) or alpha <= 0.0:
        raise FitError(f"{type(family).__name__} has alpha = {alpha!r}: it is one positive number here.")
    return float(alpha)


def _alike(value: Any, usual: Any) -> bool:
    """Whether an attribute is as its class sets it: equal, or an object of one class with equal attributes."""
    if hasattr(value, "__dict__") and type(value) is type(usual) and not isinstance(value, type):
        mine, theirs = vars(value), vars(usual)
        return value is usual or (mine.keys() == theirs.keys() and all(_alike(v, theirs[k]) for k, v in mine.items()))
    return bool(value is usual or np.array_equal(value, usual))


def _own_names() -> list[str]:
    return [family.name for family in FAMILIES.values()]
