"""Families by name and from statsmodels; what each refuses; pickling."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.genmod.families import links as sm_links

from mixfit.errors import DataError, FitError
from mixfit.families.resolve import resolve_family
from tests.families.cases import CLASSES, COMPOSED, COMPOSED_CLASSES, EVERY, case

if TYPE_CHECKING:
    from mixfit.families.base import Family


@pytest.mark.parametrize("family", EVERY + COMPOSED, ids=repr)
def test_names_lead_back_to_the_family(family: Family) -> None:
    for text in (
        repr(family),
        f"{family.name.upper()}(link='{family.link.name}')",
        f' {family.name} ( "{family.link.name}" ) ',
    ):
        assert repr(resolve_family(text)) == repr(family)
        assert type(resolve_family(text)) is type(family)
    assert resolve_family(family) is family


@pytest.mark.parametrize("cls", CLASSES + COMPOSED_CLASSES)
def test_the_first_link_is_the_default(cls: type[Family]) -> None:
    assert resolve_family(cls.name).link.name == cls.links[0]
    assert resolve_family(cls).link.name == cls.links[0]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (sm.families.Binomial(), "binomial(logit)"),
        (sm.families.Binomial(sm_links.Probit()), "binomial(probit)"),
        (sm.families.Binomial(sm_links.CLogLog()), "binomial(cloglog)"),
        (sm.families.Binomial(sm_links.Cauchy()), "binomial(cauchit)"),
        (sm.families.Binomial(sm_links.Log()), "binomial(log)"),
        (sm.families.Poisson(), "poisson(log)"),
        (sm.families.Poisson(sm_links.Sqrt()), "poisson(sqrt)"),
        (sm.families.Poisson(sm_links.Identity()), "poisson(identity)"),
        (sm.families.Gamma(), "gamma(inverse)"),
        (sm.families.Gamma(sm_links.Log()), "gamma(log)"),
        (sm.families.InverseGaussian(), "inverse.gaussian(1/mu^2)"),
        (sm.families.InverseGaussian(sm_links.Log()), "inverse.gaussian(log)"),
        (sm.families.Gaussian(sm_links.Log()), "gaussian(log)"),
        (sm.families.NegativeBinomial(alpha=1.0), "nbinom2(log)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "instance",
)
def test_statsmodels_families_are_recognized(theirs: object, ours: str) -> None:
    assert repr(resolve_family(theirs)) == ours


@pytest.mark.parametrize("family", ["gompertz", "binomial(", "", "binomial(logit)(probit)", "quasi poisson"])
def test_an_unknown_name_lists_the_families(family: str) -> None:
    with pytest.raises(ValueError, match=r"There is no family .*; mixfit has .*betabinomial, binomial.*poisson"):
        resolve_family(family)


def test_an_unknown_link_lists_the_links() -> None:
    with pytest.raises(ValueError, match="poisson has the links log, sqrt, identity, not 'logit'"):
        resolve_family("poisson(logit)")


@pytest.mark.parametrize("family", [sm.families.Tweedie(), sm.families.Binomial(sm_links.LogLog())])
def test_other_families_are_refused_by_name(family: object) -> None:
    with pytest.raises(ValueError, match=rf"The family {type(family).__name__} with link \w+ is not one"):
        resolve_family(family)


@pytest.mark.parametrize("family", [3, None, sm_links.Log()])
def test_other_objects_are_no_families(family: object) -> None:
    with pytest.raises(FitError, match=r"family is a name, .* or an instance of a family, not"):
        resolve_family(family)


@pytest.mark.parametrize("family", [sm.families.Poisson, sm.families.NegativeBinomial, sm.families.Gaussian])
def test_a_class_in_place_of_an_instance_is_said(family: type) -> None:
    with pytest.raises(FitError, match=rf"is the class {family.__name__}: give an instance, {family.__name__}\(\)"):
        resolve_family(family)


def test_a_link_class_in_place_of_an_instance_is_said() -> None:
    family = sm.families.Poisson()
    family._link = sm_links.Log
    with pytest.raises(FitError, match=r"The link is the class Log: give an instance, Log\(\)"):
        resolve_family(family)


def test_a_class_of_ones_own_is_not_taken_for_its_namesake() -> None:
    class Poisson(sm.families.Poisson):  # type: ignore[misc]
        """A Poisson family with something more."""

    with pytest.raises(FitError, match=r"Poisson is a class of .*test_families_resolve"):
        resolve_family(Poisson())


@pytest.mark.parametrize("alpha", [0, -1.0, np.inf, np.array([0.5, 0.6])])
def test_an_alpha_that_is_no_dispersion_is_refused(alpha: object) -> None:
    with pytest.raises(FitError, match=r"NegativeBinomial has alpha = .*one positive number"):
        resolve_family(sm.families.NegativeBinomial(alpha=alpha))


@pytest.mark.parametrize("family", EVERY + COMPOSED, ids=repr)
def test_pickles(family: Family) -> None:
    back = pickle.loads(pickle.dumps(family))
    c = case(family)
    assert repr(back) == repr(family)
    assert (back.loglik(c.y, c.prior, c.eta, c.phi) == family.loglik(c.y, c.prior, c.eta, c.phi)).all()


REFUSED = [
    ("binomial", [0.0, 1.5, 1.0], [1, 1, 1], r"lies in \[0, 1\]; 'y' does not .*first is row 1"),
    ("binomial", [0.0, 1.0, -0.5], [1, 1, 1], r"lies in \[0, 1\]; 'y' does not .*first is row 2"),
    ("binomial", [0.0, 0.3, 1.0], [1, 1, 1], r"not a whole number; give the trials as weights= \(1 of 3 rows"),
    ("binomial", [0.0, 0.0, 1.0], [1, 1.5, 1], r"numbers of trials: whole \(1 of 3 rows"),
    ("betabinomial", [0.0, 0.3, 1.0], [1, 1, 1], r"not a whole number; give the trials as weights="),
    ("betabinomial", [0.0, 2.0, 1.0], [1, 1, 1], r"lies in \[0, 1\]"),
    ("poisson", [0.0, -1.0, 2.0], [1, 1, 1], r"poisson response is not negative; 'y' is \(1 of 3 rows.*row 1"),
    ("poisson", [0.0, 1.0, 2.5], [1, 1, 1], r"poisson response is a whole number; 'y' is not \(1 of 3 rows.*row 2"),
    ("nbinom2", [0.0, -1.0, 2.0], [1, 1, 1], r"nbinom2 response is not negative"),
    ("nbinom2", [0.0, 1.0, 2.5], [1, 1, 1], r"nbinom2 response is a whole number"),
    ("gamma", [1.0, 0.0, -1.0], [1, 1, 1], r"gamma response is positive; 'y' is not \(2 of 3 rows.*row 1"),
    ("inverse.gaussian", [1.0, 0.0, 1.0], [1, 1, 1], r"inverse Gaussian response is positive; 'y' is not"),
    ("beta", [0.5, 0.0, 0.5], [1, 1, 1], r"strictly inside \(0, 1\); 'y' does not \(1 of 3 rows"),
    ("beta", [0.5, 0.5, 1.0], [1, 1, 1], r"strictly inside \(0, 1\); 'y' does not .*row 2"),
    ("gaussian(log)", [-0.5, -1.5, 0.0], [1, 1, 1], r"log link has positive means; no 'y' is positive"),
    ("gaussian(inverse)", [0.5, 0.0, 1.0], [1, 1, 1], r"other than zero; 'y' is zero .*row 1"),
]


@pytest.mark.parametrize(("name", "y", "prior", "message"), REFUSED)
def test_responses_outside_the_support_are_named(name: str, y: list[float], prior: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        resolve_family(name).check(np.array(y), np.array(prior, dtype=float), "y")


@pytest.mark.parametrize("family", EVERY + COMPOSED, ids=repr)
def test_responses_inside_the_support_pass(family: Family) -> None:
    # Gaussian draws, all of them negative, would be refused by a log or square-root link.
    c = case(family)
    family.check(np.abs(c.y), c.prior, "y")


def test_the_first_link_of_gamma_is_the_logarithm() -> None:
    assert [resolve_family(name).link.name for name in ("gamma", "Gamma", "ziGamma", "gamma(inverse)")] == [
        "log",
        "log",
        "log",
        "inverse",
    ]
