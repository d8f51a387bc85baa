"""Models of unordered categories: criterion and gradient; fits against integrals, binomial models, statsmodels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.conditional import laplace_at as laplace_mode
from mixfit.glmm.laplace import laplace, laplace_gradient
from mixfit.glmm.problem import GeneralizedParameters
from tests.glmm.problems import At, check_gradient, laplace_at, quadrature_at, quadrature_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def choices(groups: int = 40, each: int = 9, letters: str = "abc", spread: float = 0.8, seed: int = 5) -> pd.DataFrame:
    """Choices whose log odds have an intercept of their own in every group."""
    rng = np.random.default_rng(seed)
    g, size = np.repeat(np.arange(groups), each), len(letters)
    x, h = rng.normal(size=len(g)), np.arange(len(g)) % 4
    b = spread * rng.normal(size=(groups, size)) + 0.5 * spread * rng.normal(size=(groups, 1))
    eta = (np.linspace(0.0, 0.5, size) + np.outer(x, np.linspace(0.0, -0.8, size)) + b[g]).T
    eta[0] = 0.0
    p = np.exp(eta) / np.exp(eta).sum(axis=0)
    codes = (rng.uniform(size=len(g)) > p.cumsum(axis=0)[:-1]).sum(axis=0)
    choice = np.array(list(letters))[codes]
    return pd.DataFrame({"choice": choice, "x": x, "h": [f"h{i}" for i in h], "g": [f"g{i:02d}" for i in g]})


@pytest.fixture(scope="module")
def d() -> pd.DataFrame:
    return choices()


@pytest.fixture(scope="module")
def fit(d: pd.DataFrame):
    return mixfit.mixed("choice ~ x + (1 | g)", d, family="multinomial").fit()


def at_a_point(formula: str, letters: str = "abc") -> At:
    """A point of a model, off its optimum."""
    data = choices(groups=8, each=7, letters=letters)
    at = mixfit.mixed(formula, data, family="multinomial").assembly
    rng = np.random.default_rng(2)
    points = []
    for t in at.problem.terms:
        point = np.tril(rng.uniform(0.2, 0.5, (t.k, t.k)))
        points.append(np.diag(point.diagonal()) if t.structure.is_separable else point)
    gamma = at.fixed.triangle @ rng.uniform(-0.4, 0.4, at.problem.p)
    return At(at.problem, GeneralizedParameters(tuple(points), gamma, 1.0))


@pytest.mark.parametrize(
    ("formula", "letters"),
    [
        ("choice ~ x + (1 | g)", "abc"),
        ("choice ~ x + (1 || g)", "abcd"),
        ("choice ~ x + (x | g) + (1 | h)", "ab"),
        ("choice ~ x + (1 | g) + diag(1 | h)", "abc"),
    ],
)
def test_gradient_of_the_laplace_approximation(formula: str, letters: str) -> None:
    at = at_a_point(formula, letters)
    slopes = laplace_gradient(laplace(at.problem, at.point.gamma, at.point.points, at.point.phi))
    check_gradient(at, slopes, laplace_at)


@pytest.mark.parametrize("formula", ["choice ~ x + (1 | g)", "choice ~ x + (1 || g)"])
def test_gradient_of_quadrature(formula: str) -> None:
    at = at_a_point(formula)
    check_gradient(at, quadrature_slopes(at, 5), quadrature_at(5))


def integral(d: pd.DataFrame, fit) -> float:
    """The log-likelihood by sums over a fine grid of both random intercepts."""
    z = np.linspace(-6.0, 6.0, 121)
    w = np.exp(-0.5 * z**2) * (z[1] - z[0]) / np.sqrt(2.0 * np.pi)
    b = fit.estimate.templates[0] @ np.array(np.meshgrid(z, z)).reshape(2, -1)
    rows = []
    for a in range(2):
        beta = fit.coefficients.to_numpy()[a]
        rows.append((beta[0] + beta[1] * d.x.to_numpy())[:, None] + b[a])
    total = np.log1p(np.exp(rows[0]) + np.exp(rows[1]))
    y = d.choice.to_numpy()[:, None]
    loglik = np.where(y == "b", rows[0], np.where(y == "c", rows[1], 0.0)) - total
    groups = pd.DataFrame(loglik).groupby(d.g.to_numpy()).sum().to_numpy()
    return float(np.log(np.exp(groups) @ np.multiply.outer(w, w).ravel()).sum())


def test_quadrature_is_the_integral_over_both_effects(d: pd.DataFrame, fit) -> None:
    center = laplace_mode(fit.model.assembly, fit.estimate)
    at = GeneralizedParameters(center.templates, center.gamma, 1.0)
    value = QuadratureObjective(fit.model.assembly.problem, 15).evaluate(at).value
    assert_allclose(-0.5 * value, integral(d, fit), atol=1e-4)
    assert 1e-3 < abs(fit.llf + 0.5 * value) < 1.0


@pytest.mark.parametrize(("n_agq", "formula"), [(1, "x + (1 | g)"), (7, "x + (1 | g)"), (1, "x + (x | g) + (1 | h)")])
def test_two_categories_are_a_binomial_model(n_agq: int, formula: str) -> None:
    d = choices(letters="ab")
    two = mixfit.mixed(f"choice ~ {formula}", d, family="multinomial").fit(n_agq=n_agq)
    logit = mixfit.mixed(f"event ~ {formula}", d.assign(event=d.choice == "b"), family="binomial").fit(n_agq=n_agq)
    assert_allclose(two.llf, logit.llf, rtol=1e-12)
    assert_allclose(two.params, logit.params, atol=1e-7)
    assert_allclose(two.bse, logit.bse, rtol=1e-5)
    assert_allclose(np.abs(two.theta), np.abs(logit.theta), atol=1e-6)
    assert two.npar == logit.npar


def test_without_variance_between_groups_it_is_statsmodels_multinomial_logit() -> None:
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    d = choices(spread=0.0, letters="abcd", groups=30)
    # Groups that are made of the rows anew, alike in every category.
    rng = np.random.default_rng(1)
    d["g"] = d.groupby("choice", group_keys=False).g.transform(lambda s: [f"k{i % 10}" for i in range(len(s))])
    d["x"] = rng.permutation(d.x)
    fit = mixfit.mixed("choice ~ x + (1 || g)", d, family="multinomial").fit()
    assert_allclose(fit.theta, 0.0, atol=1e-6)
    X = np.column_stack([np.ones(len(d)), d.x])
    plain = discrete.MNLogit(pd.Categorical(d.choice).codes, X).fit(disp=0, tol=1e-12, maxiter=100)
    assert_allclose(fit.llf, plain.llf, rtol=1e-10)
    assert_allclose(fit.coefficients, plain.params.T, atol=1e-6)
    assert_allclose(fit.bse.to_numpy().reshape(3, 2), plain.bse.T, rtol=1e-4)


def test_the_baseline_is_a_matter_of_coordinates(d: pd.DataFrame, fit) -> None:
    """A joint covariance is of any baseline; independent effects are of one."""
    other = mixfit.mixed("choice ~ x + (1 | g)", d, family="multinomial(baseline='c')").fit()
    assert_allclose(other.llf, fit.llf, rtol=1e-9)
    assert other.model.categories == ("c", "a", "b")
    b, c = fit.coefficients.loc["b"], fit.coefficients.loc["c"]
    assert_allclose(other.coefficients.loc["a"], -c, atol=1e-4)
    assert_allclose(other.coefficients.loc["b"], b - c, atol=1e-4)
    assert_allclose(other.predict()[["a", "b", "c"]], fit.predict(), atol=1e-5)


def test_weights_are_numbers_of_rows(d: pd.DataFrame) -> None:
    twice = pd.concat([d, d[d.x > 0]])
    weighted = mixfit.mixed("choice ~ x + (1 | g)", d, family="multinomial", weights=1.0 + (d.x > 0)).fit()
    repeated = mixfit.mixed("choice ~ x + (1 | g)", twice, family="multinomial").fit()
    assert_allclose(weighted.llf, repeated.llf, rtol=1e-9)
    assert_allclose(weighted.params, repeated.params, atol=1e-5)
