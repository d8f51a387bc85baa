"""Families by name, or from a statsmodels family instance."""

from __future__ import annotations

import re
from typing import Any

from mixfit.families.base import Family
from mixfit.families.continuous import Gamma, Gaussian, InverseGaussian
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Beta, BetaBinomial, Binomial

__all__ = ["FAMILIES", "resolve_family"]

FAMILIES: dict[str, type[Family]] = {
    "gaussian": Gaussian,
    "binomial": Binomial,
    "poisson": Poisson,
    "gamma": Gamma,
    "inverse.gaussian": InverseGaussian,
    "inversegaussian": InverseGaussian,
    "inverse_gaussian": InverseGaussian,
    "nbinom2": NegativeBinomial,
    "negativebinomial": NegativeBinomial,
    "negative.binomial": NegativeBinomial,
    "beta": Beta,
    "betabinomial": BetaBinomial,
}

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
        ``"binomial"``, ``"binomial(probit)"``, ``"Gamma(log)"``, or an instance.

    Returns
    -------
    Family

    Raises
    ------
    ValueError
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
        match = re.fullmatch(r"\s*([\w.]+)\s*(?:\(\s*(?:link\s*=\s*)?['\"]?([\w/^.]+)['\"]?\s*\))?\s*", family)
        if match is None or match[1].lower() not in FAMILIES:
            raise ValueError(f"There is no family {family!r}; mixfit has {', '.join(sorted(set(_own_names())))}.")
        return FAMILIES[match[1].lower()](match[2])
    name, link = type(family).__name__, type(getattr(family, "link", None)).__name__
    if name.lower() not in FAMILIES or link not in _LINK_NAMES:
        raise ValueError(f"The family {name} with link {link} is not one that mixfit fits.")
    if name == "NegativeBinomial":
        return NegativeBinomial(_LINK_NAMES[link])
    return FAMILIES[name.lower()](_LINK_NAMES[link])


def _own_names() -> list[str]:
    return [family.name for family in FAMILIES.values()]
