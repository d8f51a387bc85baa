"""Parameters given by name: known ones, and those that the search starts from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import norm

import mixfit
from mixfit.errors import ComparisonError, FitError, FormulaError
from tests.glmm.test_glmm_several import data


@pytest.fixture(scope="module")
def zip_data() -> pd.DataFrame:
    return data("poisson", each=14)


def test_known_zeros_are_an_offset_of_theirs(zip_data: pd.DataFrame) -> None:
    d = zip_data.assign(known=-0.6)
    offset = mixfit.mixed("y ~ x + (1 | g)", d, family="poisson", zi="~ 0 + x + offset(known)").fit()
    held = mixfit.mixed("y ~ x + (1 | g)", d, family="poisson", zi="~ x", fixed={"zi:Intercept": -0.6}).fit()
    assert_allclose([held.llf, held.npar, held.aic], [offset.llf, offset.npar, offset.aic], atol=1e-7)
    assert_allclose(held.params, offset.params, atol=1e-5)
    assert_allclose(held.bse, offset.bse, rtol=1e-4)
    assert held.params_of("zi")["Intercept"] == -0.6
    assert held.bse_of("zi")["Intercept"] == 0.0
    assert_allclose(held.bse_of("zi")["x"], offset.bse_of("zi")["x"], rtol=1e-4)
    assert_allclose(held.predict(d.head(4), se=True), offset.predict(d.head(4), se=True), rtol=1e-4)
    assert "fixed = zi:Intercept -0.6" in str(held.summary())
    assert_allclose(held.refit(d.y).params_of("zi")["Intercept"], -0.6)
    with pytest.raises(ComparisonError, match="fixed= holds coefficients"):
        held.drop1()


def test_a_known_slope_is_an_offset(zip_data: pd.DataFrame) -> None:
    d = zip_data.assign(o=0.3 * zip_data.x)
    offset = mixfit.mixed("y ~ h + offset(o) + (1 | g)", d, family="nbinom2").fit()
    held = mixfit.mixed("y ~ x + h + (1 | g)", d, family="nbinom2", fixed={"x": 0.3}).fit()
    assert_allclose([held.llf, held.npar], [offset.llf, offset.npar], atol=1e-7)
    assert_allclose(held.params[["Intercept", "h[T.b]"]], offset.params, atol=1e-5)
    assert_allclose(held.cov_params().loc["x"], 0.0)
    assert_allclose(held.simulate(2, seed=1), offset.simulate(2, seed=1))
    columns = [".hat", ".cooksd"]
    assert_allclose(held.augment()[columns], offset.augment()[columns], rtol=1e-3)
    with pytest.raises(FitError, match=r"influence\(refit=True\)"):
        held.influence("g")
    with pytest.raises(FitError, match="give them priors instead"):
        held.sample()
    with pytest.raises(FitError, match="fixed= holds some of these"):
        held.conf_int(method="profile")


def test_known_parameters_of_families(zip_data: pd.DataFrame) -> None:
    formula = "y ~ x + (1 | g)"
    by_name = mixfit.mixed(formula, zip_data, family="nbinom2", fixed={"theta": 2.0}).fit()
    by_family = mixfit.mixed(formula, zip_data, family="nbinom2(theta=2)").fit()
    assert_allclose([by_name.llf, by_name.npar, by_name.dispersion], [by_family.llf, by_family.npar, 2.0])
    tails = mixfit.mixed(formula, zip_data, family="t", fixed={"df": 4}).fit()
    assert tails.shapes["df"] == pytest.approx(4.0)
    assert tails.npar == 4


def test_a_meta_analysis() -> None:
    """Effects with known standard errors, y_i ~ N(mu, tau^2 + s_i^2), by the likelihood itself."""
    rng = np.random.default_rng(3)
    s = rng.uniform(0.1, 0.6, 18)
    y = rng.normal(0.4, np.sqrt(0.3**2 + s**2))
    d = pd.DataFrame({"y": y, "se": s, "study": [f"s{i}" for i in range(18)]})
    found = minimize(
        lambda p: -norm.logpdf(y, p[0], np.hypot(np.exp(p[1]), s)).sum(), [0.3, -1.0], options={"gtol": 1e-9}
    )
    fits = [mixfit.mixed("y ~ 1 + (1 | study)", d, sigma=given).fit() for given in ("se", d["se"].to_numpy())] + [
        mixfit.mixed("y ~ 1 + (1 | study)", d, sigma=1.0, weights="1 / se**2").fit()
    ]
    for fit in fits:
        assert_allclose(fit.llf, -found.fun, atol=1e-8)
        assert_allclose(fit.params.iloc[0], found.x[0], atol=1e-4)
        assert_allclose(fit.theta, np.exp(found.x[1]), atol=1e-4)
        assert fit.npar == 2


@pytest.mark.parametrize("start", [{"x": 0.4}, {"zi:Intercept": -1.0, "sd((Intercept)|g)": 0.5}, {"mean:x": 1.0}])
def test_starts_by_name_lead_to_the_same_optimum(zip_data: pd.DataFrame, start: dict[str, float]) -> None:
    model = mixfit.mixed("y ~ x + (1 | g)", zip_data, family="nbinom2", zi="~ 1 + (1 | g)")
    assert_allclose(model.fit(start=start).llf, model.fit().llf, atol=1e-6)


def test_the_dispersion_may_be_a_start(zip_data: pd.DataFrame) -> None:
    model = mixfit.mixed("y ~ x + (1 | g)", zip_data, family="nbinom2")
    assert_allclose(model.fit(start={"phi": 3.0, "x": 0.1}).llf, model.fit().llf, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fixed": {"zi:x": 1.0}, "zi": "~ 1"}, "fixed= names 'zi:x', and can hold .*zi:Intercept"),
        ({"fixed": {"x": 1.0, "mean:x": 1.0}}, "names a fixed effect twice"),
        ({"fixed": {"x": 1.0}, "family": None, "dispersion": "~ x"}, "fixed= cannot stand beside residual= or disp"),
        ({"sigma": 1.0}, "cannot stand beside family="),
        ({"sigma": 1.0, "family": None, "dispersion": "~ x"}, "cannot stand beside dispersion="),
        ({"sigma": -1.0, "family": None}, "is a positive number"),
        ({"sigma": "x", "weights": "x", "family": None}, "cannot stand beside weights="),
    ],
)
def test_what_cannot_be_known_is_refused(zip_data: pd.DataFrame, options, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        mixfit.mixed("y ~ x + (1 | g)", zip_data, **{"family": "poisson", **options})


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"z": 1.0}, "start= names 'z'; it takes Intercept, x, sd"),
        ({"phi": 1.0}, "no dispersion of poisson"),
        ({"sd((Intercept)|g)": -1.0}, "must be positive"),
        ({"x": "one"}, "is no finite number"),
    ],
)
def test_starts_that_cannot_be_are_refused(zip_data: pd.DataFrame, start, message: str) -> None:
    with pytest.raises(FitError, match=message):
        mixfit.mixed("y ~ x + (1 | g)", zip_data, family="poisson").fit(start=start)


@pytest.mark.parametrize("extra", [{}, {"dispersion": "~ temp"}, {"nominal": "~ bottle2"}])
@pytest.mark.parametrize("family", ["cumulative", "sratio(probit)"])
def test_known_location_of_ordered_categories(family: str, extra: dict[str, str]) -> None:
    wine = mixfit.datasets.load("wine")
    wine = wine.assign(o=1.5 * (wine["contact"] == "yes"), bottle2=10.0 + np.arange(len(wine)) % 5)
    name = "contact[T.yes]"
    offset = mixfit.mixed("rating ~ temp + offset(o) + (1 | judge)", wine, family=family, **extra).fit()
    held = mixfit.mixed("rating ~ temp + contact + (1 | judge)", wine, family=family, fixed={name: 1.5}, **extra).fit()
    assert_allclose([held.llf, held.npar], [offset.llf, offset.npar], atol=1e-8)
    assert_allclose(held.params.drop(name), offset.params, atol=1e-5)
    assert_allclose(held.bse.drop(name), offset.bse, rtol=1e-4)
    assert (held.params[name], held.bse[name]) == (1.5, 0.0)
    new = wine.head(9)
    assert_allclose(held.predict(new, what="link", se=True), offset.predict(new, what="link", se=True), rtol=1e-4)
    assert held.refit(wine["rating"]).params[name] == 1.5
    assert "fixed = contact[T.yes] 1.5" in held.model.description
    with pytest.raises(FitError, match="fixed= holds some of these"):
        held.profile()


def test_thresholds_are_not_held() -> None:
    with pytest.raises(FormulaError, match=r"names '1\|2', and can hold the fixed effects temp\[T.warm\]"):
        mixfit.mixed("rating ~ temp + (1 | judge)", mixfit.datasets.load("wine"), family="cumulative", fixed={"1|2": 0})


@pytest.mark.parametrize("family", ["binomial", "cumulative"])
def test_a_known_coefficient_separates_nothing(family: str) -> None:
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"g": np.repeat(np.arange(10), 8), "a": np.tile([0.0, 1.0], 40), "z": rng.normal(size=80)})
    d["y"] = np.where((d["a"] == 1.0) | (rng.uniform(size=80) < 0.5), 1, 0)
    y = d["y"] if family == "binomial" else pd.Categorical(np.where(d["a"] == 1.0, 2, d["y"]), ordered=True)
    d, formula = d.assign(y=y), "y ~ a + z + (1 | g)"
    with pytest.raises(FitError, match="'a' separates"):
        mixfit.mixed(formula, d, family=family).fit()
    held = mixfit.mixed(formula, d, family=family, fixed={"a": 9.0}).fit()
    offset = mixfit.mixed("y ~ z + offset(9 * a) + (1 | g)", d, family=family).fit()
    assert_allclose(held.llf, offset.llf, atol=1e-7)
