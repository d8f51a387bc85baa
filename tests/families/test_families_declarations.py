"""What each family declares of itself, and that nothing else asks for its name."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy.stats import t as student
from statsmodels.genmod.families import links as sm_links
from statsmodels.genmod.families import varfuncs as sm_variances

import mixfit
from mixfit.errors import FitError
from mixfit.families.continuous import Gamma, Gaussian, InverseGaussian
from mixfit.families.counts import NegativeBinomial, Poisson
from mixfit.families.proportions import Beta, BetaBinomial, Binomial
from mixfit.families.resolve import resolve_family
from tests.families.cases import EVERY, case

if TYPE_CHECKING:
    from mixfit.families.base import Family

INF = np.inf
# name: kind, lower end, upper end, closed, whole, dispersion, name of a mean
DECLARED = {
    "gaussian": ("continuous", -INF, INF, False, False, "scale", "response"),
    "gamma": ("continuous", 0.0, INF, False, False, "scale", "response"),
    "inverse.gaussian": ("continuous", 0.0, INF, False, False, "scale", "response"),
    "beta": ("continuous", 0.0, 1.0, False, False, "shape", "response"),
    "poisson": ("count", 0.0, INF, True, True, "none", "rate"),
    "nbinom2": ("count", 0.0, INF, True, True, "shape", "response"),
    "binomial": ("proportion", 0.0, 1.0, True, True, "none", "prob"),
    "betabinomial": ("proportion", 0.0, 1.0, True, True, "shape", "prob"),
}


@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_declarations(family: Family) -> None:
    support = family.support
    found = (
        family.kind,
        support.lower,
        support.upper,
        support.closed,
        support.whole,
        family.dispersion,
        family.mean_name,
    )
    assert found == DECLARED[family.name]
    assert family.has_dispersion == (family.dispersion != "none")
    assert family.is_scaled == (family.dispersion == "scale")
    assert family.known_phi == (None if family.has_dispersion else 1.0)
    assert (family.dispersion_label is None) == (family.dispersion == "none")
    assert family.is_linear == (repr(family) == "gaussian(identity)")


@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_simulated_responses_are_inside_the_support(family: Family) -> None:
    c = case(family, n=400)
    assert not family.support.outside(c.y).any()
    if family.support.whole:
        counts = c.y * c.prior if family.kind == "proportion" else c.y
        assert_allclose(counts, np.round(counts), atol=1e-12)


@pytest.mark.parametrize("family", EVERY, ids=repr)
def test_the_ends_of_the_support(family: Family) -> None:
    support = family.support
    ends = np.array([e for e in (support.lower, support.upper) if np.isfinite(e)])
    assert (support.outside(ends) == (not support.closed)).all()
    beyond = [e + step for e, step in ((support.lower, -0.1), (support.upper, 0.1)) if np.isfinite(e)]
    assert support.outside(np.array(beyond)).all()


def test_the_linear_model_has_an_unknown_variance() -> None:
    assert Gaussian().is_linear
    assert not Gaussian(phi=2.0).is_linear
    assert not Gaussian("log").is_linear


LATENT = [
    (Gaussian(), 0.7, 0.7),
    (Gaussian("log"), 0.7, None),
    (Binomial(), 1.0, np.pi**2 / 3.0 / 4.0),
    (Binomial("probit"), 1.0, 0.25),
    (Binomial("cloglog"), 1.0, np.pi**2 / 24.0),
    (Binomial("cauchit"), 1.0, None),
    (Poisson(), 1.0, np.log(1.5)),
    (Poisson("sqrt"), 1.0, 0.25),
    (Poisson("identity"), 1.0, None),
    (NegativeBinomial(), 4.0, np.log(1.75)),
    (NegativeBinomial("sqrt"), 4.0, None),
    (Gamma("log"), 0.3, np.log(1.3)),
    (Gamma("inverse"), 0.3, None),
    (InverseGaussian("log"), 0.3, None),
    (Beta(), 5.0, None),
    (BetaBinomial(), 5.0, None),
]


@pytest.mark.parametrize(("family", "phi", "expected"), LATENT, ids=repr)
def test_latent_variances(family: Family, phi: float, expected: float | None) -> None:
    found = family.latent_variance(phi, lambda: 2.0, 4.0)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-14))


def test_the_mean_of_the_null_model_is_asked_for_only_where_it_counts() -> None:
    def refuse() -> float:
        raise AssertionError

    for family in (Gaussian(), Binomial(), Poisson("sqrt"), Gamma("log"), Beta()):
        family.latent_variance(1.0, refuse, 1.0)


def test_what_would_make_responses_certain() -> None:
    y = np.array([0.0, 0.5, 1.0])
    for family in (Binomial(), Binomial("probit"), BetaBinomial()):
        assert list(family.certain_sides(y)) == [-1.0, 0.0, 1.0]
    assert list(Binomial("log").certain_sides(y)) == [-1.0, 0.0, 0.0]
    for family in (Poisson(), NegativeBinomial()):
        assert list(family.certain_sides(np.array([0.0, 3.0]))) == [-1.0, 0.0]
    for family in (Poisson("sqrt"), NegativeBinomial("identity"), Gaussian("log"), Gamma("log"), Beta()):
        assert family.certain_sides(y) is None


def test_rare_events() -> None:
    mu = np.array([0.2, 0.9])
    assert_allclose(Binomial().rare_events(mu), [0.2, 0.1])
    assert_allclose(Poisson().rare_events(mu), mu)
    assert Gamma().rare_events(mu) is None


@pytest.mark.parametrize("family", [f for f in EVERY if f.has_dispersion], ids=repr)
def test_a_known_dispersion_is_not_estimated(family: Family) -> None:
    known = pickle.loads(pickle.dumps(type(family)(family.link.name, 0.8)))
    assert known.known_phi == 0.8
    assert not known.has_dispersion
    assert known.is_scaled == family.is_scaled
    assert known.dispersion_label.endswith("(phi, known)")


@pytest.mark.parametrize("phi", [0.0, -1.0, np.inf, np.nan])
def test_a_known_dispersion_is_positive(phi: float) -> None:
    with pytest.raises(FitError, match="dispersion of nbinom2 is a positive number"):
        NegativeBinomial(phi=phi)


def test_a_family_without_a_dispersion_takes_none() -> None:
    with pytest.raises(FitError, match="poisson has no dispersion"):
        Poisson(phi=2.0)


# glmmTMB 1.1.5, dispersion held by map=: -2 log-likelihood, fixed effects, standard deviation, their errors, AIC.
GLMMTMB = {
    0.5: (
        1789.38203865,
        [0.60295463, -1.20239047, 1.13121332, -1.00122299],
        0.86749343,
        [0.18979455, 0.15152526, 0.24621126, 0.27311045],
        1799.38203865,
    ),
    2.0: (
        1924.60854700,
        [0.81064996, -1.20128902, 1.11106297, -0.99468331],
        0.64242932,
        [0.20243405, 0.15725297, 0.26104662, 0.28706375],
        1934.60854700,
    ),
}


@pytest.mark.parametrize("alpha", GLMMTMB)
def test_the_dispersion_of_a_statsmodels_family_is_used(alpha: float) -> None:
    family = sm.families.NegativeBinomial(alpha=alpha)
    ticks = mixfit.datasets.load("grouseticks")
    fit = mixfit.mixed("TICKS ~ I(cHEIGHT / 50) + YEAR + (1 | BROOD)", ticks, family=family).fit()
    deviance, beta, sd, errors, aic = GLMMTMB[alpha]
    assert fit.dispersion == 1.0 / alpha
    assert np.isnan(fit.dispersion_se)
    assert fit.converged
    assert_allclose(-2.0 * fit.llf, deviance, rtol=0, atol=1e-6)
    assert_allclose(fit.params, beta, atol=1e-5)
    assert_allclose(fit.varcorr().to_frame().sdcor, sd, atol=1e-5)
    assert_allclose(fit.bse, errors, rtol=2e-4)
    assert_allclose(fit.aic, aic, atol=1e-6)
    assert f"(phi, known): {1.0 / alpha:g}" in str(fit.summary())


def test_a_known_dispersion_serves_quadrature_and_working_models() -> None:
    ticks = mixfit.datasets.load("grouseticks")
    formula = "TICKS ~ YEAR + (1 | BROOD)"
    free = mixfit.mixed(formula, ticks, family="nbinom2").fit(n_agq=5)
    known = mixfit.mixed(formula, ticks, family=NegativeBinomial(phi=free.dispersion)).fit(n_agq=5)
    assert_allclose(known.llf, free.llf, atol=1e-7)
    assert_allclose(known.params, free.params, atol=1e-4)
    # Where phi is large, a Poisson model.
    with pytest.warns(mixfit.errors.BiasWarning, match="nbinom2 data as sparse"):
        near = mixfit.mixed(formula, ticks, family=NegativeBinomial(phi=1e9)).fit(method="pql")
    with pytest.warns(mixfit.errors.BiasWarning):
        limit = mixfit.mixed(formula, ticks, family="poisson").fit(method="pql")
    assert_allclose(near.params, limit.params, rtol=1e-5)
    assert_allclose(near.theta, limit.theta, rtol=1e-5)


def changed(family: object, part: str, name: str, value: object) -> object:
    setattr(getattr(family, part) if part else family, name, value)
    return family


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (sm.families.Binomial(sm_links.Probit(student(3))), "Probit has dbn"),
        (changed(sm.families.Gaussian(), "link", "power", 3), "Identity has power = 3"),
        (changed(sm.families.NegativeBinomial(alpha=0.5), "variance", "alpha", 2.0), "NegativeBinomial has variance"),
        (changed(sm.families.Poisson(), "", "zero_inflation", 0.1), "Poisson has zero_inflation = 0.1"),
        (changed(sm.families.Gamma(), "", "variance", sm_variances.mu_cubed), "Gamma has variance"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_statsmodels_family_carries_is_not_dropped(family: object, message: str) -> None:
    with pytest.raises(FitError, match=message):
        resolve_family(family)


def test_a_family_that_statsmodels_has_fitted_is_read_alike() -> None:
    family = sm.families.Binomial()
    sm.GLM(np.array([[3, 1], [2, 2], [0, 4]]), np.ones((3, 1)), family=family).fit()
    assert repr(resolve_family(family)) == "binomial(logit)"


def test_only_families_branch_on_the_name_of_a_family() -> None:
    package = Path(mixfit.__file__).parent
    names = set(DECLARED)
    found = []
    for path in package.rglob("*.py"):
        if path.parent.name == "families":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                asked = any(isinstance(n, ast.Attribute) and n.attr == "name" for n in ast.walk(node))
                if asked and texts & names:
                    found.append(f"{path.relative_to(package)}:{node.lineno}")
    assert found == []
