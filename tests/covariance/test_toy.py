"""The seam: a structure written here, registered by its name, does everything that a built-in one does."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

import mixfit
from mixfit.covariance import CorrelationStructure, NaturalParameter, register
from mixfit.inference.profiles.chart import Chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class Toy(CorrelationStructure):
    """Equal correlation with one standard deviation."""

    name = "toy"

    @property
    def shape(self) -> tuple[NaturalParameter, ...]:
        return (NaturalParameter("cor", of=self.name, lower=-1.0 / (self.k - 1), upper=1.0, scale="atanh"),)

    def correlation(self, rho: Array) -> Array:
        return np.eye(self.k) + rho[0] * self.correlation_slopes(rho)[0]

    def correlation_slopes(self, rho: Array) -> Array:
        return np.ones((1, self.k, self.k)) - np.eye(self.k)


register("toy", Toy)

FORMULA = "y ~ f + x + toy(0 + f | g)"
NAMES = ["sd(toy|g)", "cor(toy|g)", "sigma", "Intercept", "f[T.b]", "f[T.c]", "x"]


def frame(rho: float = 0.4, sd: float = 0.9, levels: int = 25, seed: int = 3) -> pd.DataFrame:
    """Two to four rows in every cell of a level and one of three columns; some cells are empty."""
    rng = np.random.default_rng(seed)
    cells = [(g, f) for g in range(levels) for f in range(3) for _ in range(rng.integers(0, 4))]
    g, f = np.array(cells).T
    effects = sd * rng.normal(size=(levels, 3)) @ np.linalg.cholesky(np.eye(3) + rho * (1 - np.eye(3))).T
    x = rng.normal(size=len(g))
    y = 1.0 + 0.5 * f - 0.3 * x + effects[g, f] + 0.7 * rng.normal(size=len(g))
    counts, won = rng.poisson(np.exp(0.5 * y)), (y + rng.logistic(size=len(y)) > 1.0).astype(int)
    return pd.DataFrame(
        {"y": y, "n": counts, "won": won, "x": x, "f": np.array(list("abc"))[f], "g": [f"g{i:02d}" for i in g]}
    )


@cache
def fitted(reml: bool = False, **options: Any) -> Any:
    return mixfit.mixed(FORMULA, frame(**options)).fit(reml=reml)


def dense_criterion(fit: Any, sd: float, rho: float, sigma: float, reml: bool) -> float:
    """-2 log-likelihood with V written out, beta at its best."""
    term = fit.model.design.random[0]
    b = np.kron(np.eye(term.grouping.n_levels), sd**2 * (np.eye(3) + rho * (1 - np.eye(3))))
    Z, X, y = fit.model.exog_re.toarray(), fit.model.exog, fit.model.endog
    v = Z @ b @ Z.T + sigma**2 * np.eye(len(y))
    inner = X.T @ np.linalg.solve(v, X)
    beta = np.linalg.solve(inner, X.T @ np.linalg.solve(v, y))
    value = -2.0 * multivariate_normal.logpdf(y, X @ beta, v)
    return float(value + np.linalg.slogdet(inner)[1] - X.shape[1] * np.log(2.0 * np.pi)) if reml else float(value)


@pytest.mark.parametrize("reml", [False, True])
def test_the_estimates_are_the_optimum_of_the_dense_criterion(reml: bool) -> None:
    fit = fitted(reml)

    def value(p: Array) -> float:
        return dense_criterion(fit, np.exp(p[0]), np.tanh(p[1]), np.exp(p[2]), reml)

    best = minimize(value, [0.0, 0.0, 0.0], method="BFGS", options={"gtol": 1e-5})
    assert fit.converged
    assert fit.certificate.n_evaluations <= 10
    assert -2.0 * fit.llf == pytest.approx(best.fun, abs=1e-7)
    ours = fit.theta[0] * fit.sigma, fit.theta[1], fit.sigma
    assert_allclose(ours, [np.exp(best.x[0]), np.tanh(best.x[1]), np.exp(best.x[2])], rtol=1e-4)
    assert -2.0 * fit.llf == pytest.approx(dense_criterion(fit, *ours, reml), abs=1e-9)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.7])
def test_the_surface_has_the_derivatives_of_the_criterion(rho: float, reml: bool) -> None:
    fit = fitted(reml)
    chart = Chart.default(fit.model.likelihood_surface(fit.estimate, reml=reml))
    x = np.array([1.2, rho, 0.1])
    point = chart.evaluate(x)
    steps = 1e-5 * np.eye(3)
    slopes = [(chart.evaluate(x + e).value - chart.evaluate(x - e).value) / 2e-5 for e in steps]
    assert_allclose(point.gradient, slopes, rtol=1e-6, atol=1e-5)


def test_tables_show_its_parameters() -> None:
    fit = fitted()
    sd, rho = fit.theta[0] * fit.sigma, fit.theta[1]
    assert str(fit.varcorr()).splitlines()[1].split() == ["g", "f[a]", "..", "f[c]", f"{sd:.5f}", f"{rho:.3f}", "(toy)"]
    assert "(toy)" in str(fit.summary())
    assert_allclose(fit.varcorr()["g"], sd**2 * (np.eye(3) + rho * (1 - np.eye(3))))
    table = fit.varcorr().to_frame()
    assert table["sdcor"].tolist() == pytest.approx([sd, rho, fit.sigma])
    assert (table["var1"][1], table["var2"][1]) == ("toy", "cor")
    assert fit.npar == 7


def test_equal_correlation_is_two_nested_intercepts() -> None:
    """Covariances, tests and intervals are those of (1 | g) + (1 | g:f)."""
    fit, nested = fitted(True), mixfit.mixed("y ~ f + x + (1 | g) + (1 | g:f)", frame()).fit()
    assert fit.llf == pytest.approx(nested.llf, abs=1e-8)
    for ddf in ("satterthwaite", "kenward-roger"):
        assert_allclose(fit.summary(ddf=ddf).coefficients, nested.summary(ddf=ddf).coefficients, rtol=1e-4)
    assert_allclose(fit.predict(), nested.predict(), atol=1e-5)
    assert_allclose(fit.conf_int(method="profile").loc["x"], nested.conf_int(method="profile").loc["x"], atol=1e-4)


@pytest.mark.parametrize("method", ["profile", "wald"])
def test_intervals_of_natural_parameters(method: str) -> None:
    fit = fitted()
    limits = fit.conf_int(method=method, which="all")
    assert limits.index.tolist() == NAMES
    ours = np.array([fit.theta[0] * fit.sigma, fit.theta[1], fit.sigma])
    assert (limits[0][:3] < ours).all()
    assert (limits[1][:3] > ours).all()


@pytest.mark.parametrize(("name", "place"), [("sd(toy|g)", 0), ("cor(toy|g)", 1)])
def test_profile_limits_cut_the_dense_profile(name: str, place: int) -> None:
    fit = fitted()
    best = -2.0 * fit.llf
    for limit in fit.conf_int(method="profile", which=name).loc[name]:

        def value(free: Array, limit: float = limit) -> float:
            p = np.insert(free, place, limit)
            sd, rho = (np.exp(p[0]) if place else p[0]), (p[1] if place else np.tanh(p[1]))
            return dense_criterion(fit, sd, rho, np.exp(p[2]), reml=False)

        held = minimize(value, [0.0, 0.0], method="BFGS", options={"gtol": 1e-5})
        assert held.fun - best == pytest.approx(1.959964**2, abs=1e-3)


def test_profiles_bootstraps_predicts_and_simulates() -> None:
    fit = fitted()
    profile = fit.profile(which="random")
    assert profile.parameters == NAMES[:3]
    boot = fit.bootstrap(n=8, seed=1, progress=False)
    assert boot.replicates.columns.tolist() == NAMES
    assert boot.n_failed == 0
    assert fit.conf_int(method="bootstrap", which="cor(toy|g)", n=8, seed=1, progress=False).shape == (1, 2)
    new = pd.DataFrame({"f": ["a", "b"], "x": [0.0, 0.0], "g": ["g03", "nobody"]})
    population = fit.predict(new, re_form="population")
    known = fit.predict(new, allow_new_levels=True)
    assert known[1] == pytest.approx(population[1])
    assert known[0] == pytest.approx(population[0] + fit.ranef()["g"].loc["g03", "f[a]"])
    spread = fit.prediction(new, allow_new_levels=True).se if hasattr(fit, "prediction") else None
    assert spread is None or (spread > 0.0).all()
    draws = fit.simulate(4000, seed=1).to_numpy()
    model = fit.model
    v = model.exog_re @ (model.Lambda(fit.theta) @ model.Lambda(fit.theta).T) @ model.exog_re.T
    wanted = fit.sigma**2 * (v.toarray() + np.eye(len(model.endog)))
    assert_allclose(np.cov(draws)[:6, :6], wanted[:6, :6], atol=0.12)


def test_ranova_and_anova_compare_it() -> None:
    fit = fitted(True)
    table = fit.ranova().to_frame()
    without = mixfit.mixed("y ~ f + x + (1 | g)", frame())
    assert table["npar"].tolist() == [7, 5]
    assert without.fit().llf < fit.llf


@pytest.mark.parametrize(("response", "family"), [("n", "poisson"), ("won", "binomial")])
def test_a_generalized_model(response: str, family: str) -> None:
    """Against (1 | g) + (1 | g:f), which is the same model."""
    data = frame(levels=60, seed=5)
    fit = mixfit.mixed(f"{response} ~ f + x + toy(0 + f | g)", data, family=family).fit()
    nested = mixfit.mixed(f"{response} ~ f + x + (1 | g) + (1 | g:f)", data, family=family).fit()
    assert fit.converged
    assert fit.llf == pytest.approx(nested.llf, abs=1e-6)
    assert_allclose(fit.params, nested.params, rtol=1e-3, atol=1e-4)
    assert_allclose(fit.bse, nested.bse, rtol=1e-3)
    one, two = nested.theta
    assert_allclose(fit.theta, [np.hypot(one, two), one**2 / (one**2 + two**2)], rtol=1e-3)
    assert np.isfinite(fit.conf_int(method="profile", which="cor(toy|g)")).all(axis=None)
    assert np.isfinite(fit.estimate.theta_errors).all()


def test_quadrature_agrees_with_laplace_where_both_are_good() -> None:
    data = frame(levels=30)
    model = mixfit.mixed("n ~ f + x + toy(0 + f | g)", data, family="poisson")
    laplace, quadrature = model.fit(), model.fit(n_agq=5)
    assert quadrature.converged
    assert quadrature.llf == pytest.approx(laplace.llf, abs=0.3)
    assert_allclose(quadrature.theta, laplace.theta, rtol=0.1)


@pytest.mark.parametrize("rho", [1.0, -0.5])
def test_bounds_are_reached_and_certified(rho: float) -> None:
    """Correlation one is a random intercept; the lowest one leaves the mean of the three effects without variance."""
    data = {"rho": rho * (1.0 - 1e-12), "seed": 1}
    fit = fitted(**data)
    assert fit.converged
    assert fit.theta[1] == rho
    assert fit.is_singular
    (edge,) = fit.certificate.boundary
    assert edge.derivative >= 0.0
    assert edge.parameter == 1
    if rho > 0:
        assert fit.llf == pytest.approx(mixfit.mixed("y ~ f + x + (1 | g)", frame(**data)).fit(reml=False).llf)


def test_no_variance_is_reached_and_certified() -> None:
    fit = fitted(sd=0.0, seed=3)
    assert fit.converged
    assert fit.theta[0] == 0.0
    assert all(edge.derivative >= 0.0 for edge in fit.certificate.boundary)
    assert fit.llf == pytest.approx(
        mixfit.mixed("y ~ f + x + (1 | g)", frame(sd=0.0, seed=3)).fit(reml=False).llf, abs=1e-6
    )


def test_a_start_of_another_shape_says_what_is_wanted() -> None:
    model = mixfit.mixed(FORMULA, frame())
    assert model.fit(reml=False, start=[np.array([0.5, 0.1])]).llf == pytest.approx(fitted().llf, abs=1e-8)
    with pytest.raises(mixfit.errors.FitError, match=r"2 parameters \(sd\(toy\|g\), cor\(toy\|g\)\)"):
        model.fit(start=[np.eye(3)])


def test_names_are_unique_and_options_refused() -> None:
    register("toy", Toy)
    with pytest.raises(ValueError, match="another structure"):
        register("us", Toy)
    with pytest.raises(ValueError, match="identifier"):
        register("a b", Toy)
    with pytest.raises(mixfit.errors.FormulaError, match=r"toy.*takes no option.*'d=2'"):
        mixfit.mixed("y ~ toy(0 + f | g, d=2)", frame())
