"""Random terms of several predictors with one covariance: criterion, gradient, and what follows from a fit."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import gammaln

import mixfit
from mixfit.errors import ComparisonError, FormulaError
from mixfit.families.resolve import resolve_family
from mixfit.fitted.stated import stated_values
from mixfit.formula import parse, parse_predictor
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.conditional import laplace_at as laplace_mode
from mixfit.glmm.laplace import laplace, laplace_gradient
from mixfit.glmm.problem import GeneralizedParameters, assemble_generalized
from mixfit.matrices.build import build
from tests.glmm.problems import At, check_gradient, laplace_at, quadrature_at, quadrature_slopes
from tests.glmm.test_glmm_several import data

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MEAN = "y ~ x + (1 | a | g)"


def at_a_point(formula: str, name: str, zi: str | None, dispersion: str | None) -> At:
    """A point of a model, off its optimum."""
    further = {k: parse_predictor(f) for k, f in (("zi", zi), ("dispersion", dispersion)) if f is not None}
    at = assemble_generalized(build(parse(formula), data(name), residual=False, further=further), resolve_family(name))
    rng = np.random.default_rng(2)
    points = tuple(np.tril(rng.uniform(0.2, 0.5, (t.k, t.k))) for t in at.problem.terms)
    beta = rng.uniform(-0.4, 0.4, at.problem.p)
    return At(at.problem, GeneralizedParameters(points, at.fixed.triangle @ beta, 1.4))


MODELS = [
    (MEAN, "poisson", "~ x + (1 | a | g)", None),
    (MEAN, "nbinom2", "~ 1 + (1 | a | g)", "~ 1 + (1 | a | g)"),
    ("y ~ x + (1 | h) + (1 + x | a | g)", "poisson", "~ 1 + (0 + x | g) + (1 | a | g)", None),
    (MEAN, "nbinom2", None, "~ x + (1 | a | g)"),
]


@pytest.mark.parametrize(("formula", "name", "zi", "dispersion"), MODELS)
def test_gradient_of_the_laplace_approximation(formula: str, name: str, zi: str | None, dispersion: str | None) -> None:
    at = at_a_point(formula, name, zi, dispersion)
    slopes = laplace_gradient(laplace(at.problem, at.point.gamma, at.point.points, at.point.phi))
    check_gradient(at, slopes, laplace_at)


@pytest.mark.parametrize(("formula", "name", "zi", "dispersion"), [MODELS[0], MODELS[3]])
def test_gradient_of_quadrature(formula: str, name: str, zi: str | None, dispersion: str | None) -> None:
    at = at_a_point(formula, name, zi, dispersion)
    check_gradient(at, quadrature_slopes(at, 5), quadrature_at(5))


def correlated(groups: int = 60, each: int = 8) -> pd.DataFrame:
    """Counts whose groups have fewer zeros where their mean is high."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(groups), each)
    x = rng.normal(size=len(g))
    b = rng.standard_normal((groups, 2)) @ np.array([[0.7, -0.6], [0.0, 0.5]])
    seen = rng.uniform(size=len(g)) > 1.0 / (1.0 + np.exp(0.7 - b[g, 1]))
    y = seen * rng.poisson(np.exp(1.0 + 0.4 * x + b[g, 0]))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{i:02d}" for i in g]})


@pytest.fixture(scope="module")
def d() -> pd.DataFrame:
    return correlated()


@pytest.fixture(scope="module")
def fit(d: pd.DataFrame):
    return mixfit.mixed(MEAN, d, family="poisson", zi="~ 1 + (1 | a | g)").fit()


def integral(d: pd.DataFrame, fit) -> float:
    """The log-likelihood by sums over a fine grid of both random intercepts."""
    z = np.linspace(-6.0, 6.0, 121)
    w = np.exp(-0.5 * z**2) * (z[1] - z[0])
    u = np.array(np.meshgrid(z, z)).reshape(2, -1)
    b = fit.estimate.templates[0] @ u
    beta, zeta = fit.params.to_numpy(), fit.params_of("zi").to_numpy()
    y = d.y.to_numpy(float)[:, None]
    eta = (beta[0] + beta[1] * d.x.to_numpy())[:, None] + b[0]
    p = 1.0 / (1.0 + np.exp(-zeta[0] - b[1]))
    rows = np.log(np.where(y == 0.0, p, 0.0) + (1.0 - p) * np.exp(y * eta - np.exp(eta) - gammaln(y + 1.0)))
    groups = pd.DataFrame(rows).groupby(d.g.to_numpy()).sum().to_numpy()
    return float(np.log(np.exp(groups) @ np.multiply.outer(w, w).ravel() / (2.0 * np.pi)).sum())


def test_quadrature_is_the_integral_over_both_effects(d: pd.DataFrame, fit) -> None:
    center = laplace_mode(fit.model.assembly, fit.estimate)
    problem, at = fit.model.assembly.problem, GeneralizedParameters(center.templates, center.gamma, 1.0)
    value = QuadratureObjective(problem, 15).evaluate(at).value
    assert_allclose(-0.5 * value, integral(d, fit), atol=1e-4)
    # The Laplace approximation is near, and not it.
    assert 1e-3 < abs(fit.llf + 0.5 * value) < 0.5


def test_the_covariance_is_one_block_of_all_columns(fit) -> None:
    frame = fit.varcorr().to_frame()
    assert frame.var1.tolist() == ["Intercept", "zi:Intercept", "Intercept"]
    assert frame.var2.tolist()[2] == "zi:Intercept"
    assert -1.0 < frame.sdcor[2] < -0.3
    assert fit.npar == 6
    text = str(fit.summary())
    assert text.count("zi:Intercept") == 1
    assert "Standard deviations of random effects" not in text
    assert "cor((Intercept),zi:Intercept|g)" in stated_values(fit)


def test_independent_columns_are_terms_of_their_own(d: pd.DataFrame, fit) -> None:
    plain = mixfit.mixed("y ~ x + (1 | g)", d, family="poisson", zi="~ 1 + (1 | g)").fit()
    diagonal = mixfit.mixed("y ~ x + diag(1 | a | g)", d, family="poisson", zi="~ 1 + diag(1 | a | g)").fit()
    assert_allclose(diagonal.llf, plain.llf, atol=1e-6)
    assert diagonal.npar == plain.npar == 5
    assert fit.llf > plain.llf + 2.0


def test_figures_of_the_mean_have_its_columns(d: pd.DataFrame) -> None:
    pytest.importorskip("matplotlib")
    slopes = mixfit.mixed("y ~ x + (x | a | g)", d, family="poisson", zi="~ 1 + (1 | a | g)").fit()
    assert slopes.ranef()["g"].columns.tolist() == ["Intercept", "x"]
    sd = slopes.varcorr().to_frame().set_index(["var1", "var2"]).sdcor
    (axis,) = np.ravel(slopes.plot.ranef_pairs())
    assert f"correlation {sd['Intercept', 'x']:.2f}" in axis.get_title()


def test_nested_models_are_known(d: pd.DataFrame, fit) -> None:
    plain = mixfit.mixed("y ~ x + (1 | g)", d, family="poisson", zi="~ 1 + (1 | g)").fit()
    assert mixfit.anova(plain, fit)["Df"].iloc[1] == 1
    assert mixfit.anova(fit, fit.update(". ~ . + np.sin(x)"))["Df"].iloc[1] == 1
    wide = mixfit.mixed("y ~ x + np.sin(x) + np.cos(x) + (1 | g)", d, family="poisson", zi="~ 1 + (1 | g)").fit()
    with pytest.raises(ComparisonError, match="not nested"):
        mixfit.anova(fit, wide)


def test_effects_are_those_of_a_predictor(fit) -> None:
    mean, zeros = fit.ranef()["g"], fit.ranef(predictor="zi")["g"]
    assert mean.columns.tolist() == zeros.columns.tolist() == ["Intercept"]
    assert np.corrcoef(mean.Intercept, zeros.Intercept)[0, 1] < -0.5
    assert_allclose(fit.estimate.every_mode[0], np.column_stack([mean, zeros]))
    sd = fit.ranef(condsd=True, predictor="zi")["g"]["sd"].to_numpy()
    again = pickle.loads(pickle.dumps(fit))
    assert_allclose(again.ranef(condsd=True, predictor="zi")["g"]["sd"], sd, rtol=1e-6)
    assert fit.coef()["g"].columns.tolist() == ["Intercept", "x"]


def test_predictions_take_each_predictors_own_effects(d: pd.DataFrame, fit) -> None:
    new, zeros = d.iloc[::40], fit.ranef(predictor="zi")["g"].Intercept
    eta = fit.params_of("zi").iloc[0] + zeros[new.g].to_numpy()
    assert_allclose(fit.predict(new, what="zero"), 1.0 / (1.0 + np.exp(-eta)))
    assert_allclose(fit.predict(new), fit.fittedvalues.iloc[::40])
    # The same rows as rows of the fit and as new ones, errors of both predictors together.
    inside, outside = fit.predict(what="response", se=True).iloc[::40], fit.predict(new, what="response", se=True)
    assert_allclose(outside, inside, rtol=1e-8)


@pytest.mark.parametrize("new", [False, True])
def test_simulated_effects_are_correlated(new: bool, d: pd.DataFrame, fit) -> None:
    """Over groups, log means of what is not zero go against shares of zeros, as in the data."""
    strong = {"cor((Intercept),zi:Intercept|g)": -1.0, "sd(zi:Intercept|g)": 2.0, "Intercept": 3.0, "x": 0.0}
    many = fit.simulate(20, seed=1, params=strong, newdata=d if new else None)
    mean = many.where(many > 0).groupby(d.g.to_numpy()).mean()
    share = (many == 0).groupby(d.g.to_numpy()).mean()
    both = pd.DataFrame({"mean": np.log(mean.to_numpy().ravel()), "share": share.to_numpy().ravel()}).dropna()
    assert both.corr().iloc[0, 1] < -0.6


@pytest.mark.parametrize(
    ("formula", "zi", "message"),
    [
        ("y ~ x + (1 | a | g) + (0 + x | a | g)", "~ 1", "stands in two terms"),
        (MEAN, "~ 1 + (1 | b | g)", r"Write \(1 \| g\)"),
        (MEAN, "~ 1 + diag(1 | a | g)", "one structure"),
        ("y ~ x + ar1(0 + x | a | g)", "~ 1 + ar1(0 + x | a | g)", "ar1"),
        ("y ~ x + (1 | a | b | g)", "~ 1", "bar"),
    ],
)
def test_what_cannot_be_shared_is_said(formula: str, zi: str, message: str, d: pd.DataFrame) -> None:
    with pytest.raises(FormulaError, match=message):
        mixfit.mixed(formula, d, family="poisson", zi=zi)
