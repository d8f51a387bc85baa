"""Models with predictors of zeros and of the dispersion: criterion, gradient, and fits against identities."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import mixfit
from mixfit.errors import DataError, FitError, FormulaError
from mixfit.families.resolve import resolve_family
from mixfit.formula import parse, parse_predictor
from mixfit.glmm.laplace import laplace, laplace_gradient
from mixfit.glmm.pirls import predictor
from mixfit.glmm.problem import GeneralizedParameters, assemble_generalized
from mixfit.matrices.build import build
from tests.glmm.problems import At, check_gradient, laplace_at, quadrature_at, quadrature_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_GROUPS, _EACH = 8, 7


def data(name: str = "nbinom2", seed: int = 6, each: int = _EACH, groups: int = _GROUPS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(groups), each)
    n = len(g)
    x, h = rng.normal(size=n), np.tile(["a", "b"], n)[:n]
    family = resolve_family(name)
    eta = 0.7 + 0.4 * x + 0.5 * rng.normal(size=groups)[g]
    phi = 1.5 if family.has_dispersion else 1.0
    y = family.simulate(family.link.mean(eta), np.ones(n), phi, rng)
    zero = rng.uniform(size=n) < 1.0 / (1.0 + np.exp(0.8 - 0.5 * x - 0.8 * rng.normal(size=groups)[g]))
    return pd.DataFrame({"y": np.where(zero, 0.0, y), "x": x, "h": h, "g": g.astype(str)})


def problem(name: str, zi: str | None, dispersion: str | None, random: str = "(x | g)") -> At:
    """A point of a model, off its optimum."""
    further = {k: parse_predictor(f) for k, f in (("zi", zi), ("dispersion", dispersion)) if f is not None}
    design = build(parse(f"y ~ x + {random}"), data(name), residual=False, further=further)
    at = assemble_generalized(design, resolve_family(name))
    rng = np.random.default_rng(2)
    points = tuple(np.tril(rng.uniform(0.2, 0.5, (t.k, t.k))) for t in at.problem.terms)
    beta = rng.uniform(-0.4, 0.4, at.problem.p)
    return At(at.problem, GeneralizedParameters(points, at.fixed.triangle @ beta, 1.4))


MODELS = [
    ("poisson", "~ x", None),
    ("poisson", "~ x + (1 | g)", None),
    ("nbinom2", "~ 1 + (x | g)", None),
    ("nbinom2", None, "~ h"),
    ("nbinom1", "~ h + (1 | g)", "~ x"),
    ("truncated_nbinom2", "~ x + (1 | g)", "~ h"),
    ("gamma(log)", "~ x + (1 | g)", None),
    ("nbinom2", None, "~ x + (1 | g)"),
    ("nbinom1", "~ h + (1 | g)", "~ 1 + (x | g)"),
    ("truncated_nbinom2", "~ x + (1 | g)", "~ h + (1 | g)"),
    ("gamma(log)", "~ 1", "~ x + (1 | g)"),
    ("gaussian", None, "~ 1 + (1 | g)"),
    ("gaussian(log)", None, "~ 1 + (1 | g)"),
    ("t", None, "~ 1 + (x | g)"),
    ("tweedie", None, "~ 1 + (1 | g)"),
    ("compois", None, "~ 1 + (1 | g)"),
]


@pytest.mark.parametrize(("name", "zi", "dispersion"), MODELS)
def test_gradient_of_the_laplace_approximation(name: str, zi: str | None, dispersion: str | None) -> None:
    at = problem(name, zi, dispersion)
    slopes = laplace_gradient(laplace(at.problem, at.point.gamma, at.point.points, at.point.phi))
    check_gradient(at, slopes, laplace_at)


@pytest.mark.parametrize(("name", "zi", "dispersion"), [("poisson", "~ x + (1 | g)", None), *MODELS[7:10], MODELS[12]])
def test_gradient_of_quadrature(name: str, zi: str | None, dispersion: str | None) -> None:
    at = problem(name, zi, dispersion, random="(1 | g)")
    check_gradient(at, quadrature_slopes(at, 5), quadrature_at(5))


@pytest.mark.parametrize(("name", "zi", "dispersion"), [*MODELS[1:3], *MODELS[7:9]])
def test_the_laplace_approximation_is_that_of_dense_matrices(name: str, zi: str | None, dispersion: str | None) -> None:
    at = problem(name, zi, dispersion)
    p, stack = at.problem, at.problem.stack
    assert stack is not None
    ours = laplace(p, at.point.gamma, at.point.points, at.point.phi)
    # Z Lambda as a dense matrix of the two predictors' own rows, by unit vectors.
    sizes = [(k, q) for k, q in zip(p.k, p.n_levels, strict=True)]
    columns = []
    for i, (k, q) in enumerate(sizes):
        for unit in np.eye(k * q):
            u = [np.zeros((a, 1, b)) for a, b in sizes]
            u[i] = unit.reshape(k, 1, q)
            columns.append(predictor(p, np.zeros(len(p.offset)), p.factor_templates(at.point.points), u))
    Z = np.array(columns).T
    fixed = p.offset + at.point.gamma @ p.fixed

    def half(u: Array) -> float:
        return -p.loglik(fixed + Z @ u, at.point.phi) + 0.5 * float(u @ u)

    found = minimize(half, np.zeros(Z.shape[1]), method="BFGS", options={"gtol": 1e-9})
    h, eye = 1e-3, np.eye(len(found.x))
    hessian = np.array(
        [
            [
                (half(found.x + h * (a + b)) - half(found.x + h * (a - b)) - half(found.x - h * (a - b)))
                + half(found.x - h * (a + b))
                for b in eye
            ]
            for a in eye
        ]
    ) / (4.0 * h * h)
    assert_allclose(ours.value, 2.0 * found.fun + np.linalg.slogdet(hessian)[1], rtol=1e-6)


@pytest.mark.parametrize("name", ["truncated_poisson", "truncated_nbinom2", "gamma(log)", "lognormal"])
def test_a_hurdle_is_the_family_of_the_others_and_a_binomial_model_of_zeros(name: str) -> None:
    d = data(name, each=12)
    hurdle = mixfit.mixed("y ~ x + (1 | g)", d, family=name, zi="~ h + x + (1 | g)").fit()
    others = mixfit.mixed("y ~ x + (1 | g)", d[d.y > 0], family=name).fit()
    zeros = mixfit.mixed("zero ~ h + x + (1 | g)", d.assign(zero=(d.y == 0) * 1), family="binomial").fit()
    assert_allclose(hurdle.llf, others.llf + zeros.llf, atol=1e-6)
    assert_allclose(hurdle.params, others.params, atol=1e-4)
    assert_allclose(hurdle.bse, others.bse, rtol=1e-3)
    assert_allclose(hurdle.params_of("zi"), zeros.params, atol=1e-4)
    assert_allclose(hurdle.bse_of("zi"), zeros.bse, rtol=1e-3)
    assert hurdle.npar == others.npar + zeros.npar


def test_a_constant_dispersion_formula_is_the_dispersion() -> None:
    d = data("nbinom2", each=15)
    free = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2").fit()
    formula = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2", dispersion="~ 1").fit()
    assert_allclose([formula.llf, formula.npar], [free.llf, free.npar], atol=1e-7)
    assert_allclose(np.exp(formula.params_of("dispersion").iloc[0]), free.dispersion, rtol=1e-4)
    assert_allclose(formula.bse_of("dispersion").iloc[0], free.estimate.log_phi_error, rtol=1e-3)
    assert_allclose(formula.residuals("pearson"), free.residuals("pearson"), atol=1e-4)


def spread(n_groups: int = 30, each: int = 14) -> pd.DataFrame:
    """Groups that differ in mean and in standard deviation."""
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(n_groups), each)
    x, b = rng.normal(size=len(g)), rng.normal(size=(n_groups, 2)) * [0.6, 0.4]
    y = rng.normal(1.0 + 0.5 * x + b[g, 0], np.exp(-0.3 + 0.3 * x + b[g, 1]))
    return pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})


def integral(d: pd.DataFrame, fit) -> float:
    """The log-likelihood of log sd = alpha_0 + alpha_1 x + N(0, sd^2), by nodes about zero."""
    beta, alpha, sd = fit.params.to_numpy(), fit.params_of("dispersion").to_numpy(), float(fit.estimate.every_theta[0])
    z, w = np.polynomial.hermite_e.hermegauss(60)
    log_sd = (alpha[0] + alpha[1] * d.x.to_numpy())[:, None] + sd * z
    rest = (d.y - beta[0] - beta[1] * d.x).to_numpy()[:, None]
    rows = -log_sd - 0.5 * (rest / np.exp(log_sd)) ** 2 - 0.5 * np.log(2.0 * np.pi)
    whole = pd.DataFrame(rows).groupby(d.g.to_numpy()).sum().to_numpy()
    top = whole.max(axis=1, keepdims=True)
    return float((top[:, 0] + np.log(np.exp(whole - top) @ w / np.sqrt(2.0 * np.pi))).sum())


def test_random_effects_of_a_gaussian_dispersion_are_integrated() -> None:
    """Without random effects of the mean a group is one integral, which nodes about the mode give."""
    d = spread(each=80)
    fit = mixfit.mixed("y ~ x", d, dispersion="~ x + (1 | g)").fit()
    assert fit.converged
    # The Laplace approximation of groups of 80 rows.
    assert_allclose(fit.llf, integral(d, fit), atol=0.05)


def test_quadrature_of_a_gaussian_dispersion_is_the_integral() -> None:
    d = spread(each=10)
    fit = mixfit.mixed("y ~ x", d, dispersion="~ x + (1 | g)").fit(n_agq=25)
    assert fit.converged
    assert_allclose(fit.llf, integral(d, fit), atol=1e-6)


def test_a_dispersion_without_variance_is_the_linear_model() -> None:
    d = mixfit.datasets.load("orthodont")
    linear = mixfit.mixed("distance ~ age + (1 | Subject)", d, dispersion="~ Sex").fit()
    fit = mixfit.mixed("distance ~ age + (1 | Subject)", d, dispersion="~ Sex + (1 | age)").fit()
    assert fit.converged
    assert_allclose(fit.ranef(predictor="dispersion")["age"], 0.0)
    assert_allclose(fit.llf, linear.llf, atol=1e-6)
    assert_allclose(fit.params_of("dispersion"), linear.params_of("dispersion"), atol=1e-4)
    assert_allclose(fit.bse_of("dispersion"), linear.bse_of("dispersion"), rtol=1e-3)
    assert "dispersion = ~ Sex + (1 | age)" in str(fit.summary())
    assert "Residual" not in str(fit.varcorr())


def test_new_dispersions_are_drawn() -> None:
    fit = mixfit.mixed("y ~ x + (1 | g)", spread(), dispersion="~ x + (1 | g)").fit()
    drawn = fit.simulate(60, seed=2)
    held = fit.simulate(60, seed=2, re_form=None)
    codes = fit.model.design.random[0].grouping.codes
    # How much the spread within a group differs from one replicate to the next.
    between = [frame.groupby(codes).std().std(axis=1).mean() for frame in (drawn, held)]
    assert between[0] > 1.5 * between[1]
    assert fit.refit(drawn["sim_1"]).converged


@pytest.fixture(scope="module")
def zinb():
    d = data("nbinom2", each=20, groups=12)
    return d, mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2", zi="~ x + (1 | g)").fit()


def test_predictions_by_what(zinb) -> None:
    d, fit = zinb
    parts = {what: fit.predict(d, what=what) for what in ("response", "conditional", "zero", "dispersion", "link")}
    assert_allclose(parts["response"], (1.0 - parts["zero"]) * parts["conditional"])
    assert_allclose(parts["conditional"], np.exp(parts["link"]))
    assert_allclose(parts["dispersion"], fit.dispersion)
    assert_allclose(parts["response"], fit.fittedvalues, rtol=1e-10)
    assert_allclose(fit.predict(what="zero"), parts["zero"], rtol=1e-10)
    population = fit.predict(d, what="zero", re_form="population")
    assert_allclose(population, 1.0 / (1.0 + np.exp(-(fit.params_of("zi") @ [np.ones(len(d)), d.x]))))
    errors = fit.predict(d.head(3), what="conditional", se=True)
    assert (errors["mean_se"] > 0.0).all()
    # The delta method through the two predictors' joint covariance, random effects left out.
    rest = fit.predict(d.head(3), re_form="population", se=True)
    V, X = fit.estimate.cov_every_beta, np.column_stack([np.ones(3), d.x[:3]])
    p, m = (fit.predict(d.head(3), re_form="population", what=what).to_numpy() for what in ("zero", "conditional"))
    slopes = np.column_stack([((1.0 - p) * m)[:, None] * X, (-p * (1.0 - p) * m)[:, None] * X])
    assert_allclose(rest["mean_se"] ** 2, np.einsum("ij,jk,ik->i", slopes, V, slopes), rtol=1e-8)
    zeros = fit.predict(d.head(3), what="zero", re_form="population", se=True)["mean_se"]
    own = V[2:, 2:]
    assert_allclose(zeros, p * (1.0 - p) * np.sqrt(np.einsum("ij,jk,ik->i", X, own, X)), rtol=1e-8)
    one = fit.predict(d.head(2), what="dispersion", se=True)["mean_se"]
    assert_allclose(one, fit.dispersion_se)
    with_modes = fit.predict(d, se=True)["mean_se"]
    assert (with_modes > 0.0).all()


def test_what_follows_from_a_fit_with_zeros(zinb) -> None:
    d, fit = zinb
    text = str(fit.summary())
    assert "Zero-inflation model:" in text
    assert "Standard deviations of random effects: g: (Intercept)" in text
    assert "Zero-inflation model" in fit.summary().as_html()
    drawn = fit.simulate(200, seed=3)
    assert_allclose((drawn == 0).to_numpy().mean(), (d.y == 0).mean(), atol=0.06)
    assert fit.refit(drawn["sim_2"]).converged
    assert_allclose(fit.residuals("pearson").pow(2).mean(), 1.0, atol=0.35)
    smaller = mixfit.mixed("y ~ x + (1 | g)", d, family="nbinom2").fit()
    assert mixfit.anova(smaller, fit)["Df"].iloc[1] == 3
    assert fit.emmeans("x").to_frame().shape[0] == 1
    back = pickle.loads(pickle.dumps(fit))
    assert_allclose(back.ranef(condsd=True)["g"], fit.ranef(condsd=True)["g"], rtol=1e-8)


def test_zeros_that_the_distribution_explains_leave_no_optimum(zinb) -> None:
    """glmmTMB ends such a fit at logits of -68 - 42 x, and says that its Hessian is not positive definite."""
    _, fit = zinb
    with pytest.raises(FitError, match="The Laplace approximation breaks down"):
        fit.refit(fit.simulate(200, seed=3)["sim_1"])


@pytest.mark.parametrize(
    ("formula", "family", "zi", "loglik"),
    [
        # glmmTMB 1.1.
        ("count ~ mined + (1 | site)", "nbinom2", "~ 1 + (1 | site)", -866.12606),
        # Where the search leads from the estimates of quadrature.
        ("count ~ spp + mined + (1 | a | site)", "poisson", "~ 1 + (1 | a | site)", -887.50402),
    ],
)
def test_random_effects_of_means_and_zeros_are_found_from_another_start(formula, family, zi, loglik: float) -> None:
    """From no variance among the zeros the first steps lead to where the approximation breaks down."""
    fit = mixfit.mixed(formula, mixfit.datasets.load("salamanders"), family=family, zi=zi).fit()
    assert fit.converged
    assert_allclose(fit.llf, loglik, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f.r2(), "for models of the mean alone, and this one has zi="),
        (lambda f: f.hatvalues(), "Leverages and deletions are for models of the mean alone"),
        (lambda f: f.residuals("deviance"), "no deviance residuals: a mixture has no deviance"),
        (lambda f: f.get_prediction(), "get_prediction is for models of the mean alone"),
        (lambda f: f.predict(what="zeros"), "what is one of 'response', 'conditional', 'zero'"),
        (lambda f: f.params_of("zero"), "has the predictors mean, zi, and none called 'zero'"),
        (lambda f: f.model.fit(n_agq=0), "fast approximation, n_agq=0, and method='pql'"),
        (lambda f: f.model.fit(method="pql"), "fast approximation, n_agq=0, and method='pql'"),
    ],
)
def test_what_is_not_there_is_refused(zinb, call, message: str) -> None:
    with pytest.raises(FitError, match=message):
        call(zinb[1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"family": "t", "zi": "~ 1"}, FormulaError, "a t response is any number, of which zero is one like others"),
        ({"family": "gaussian", "zi": "~ 1"}, FormulaError, "zi= models zeros, which Gaussian responses have none of"),
        ({"family": "poisson", "dispersion": "~ x"}, FormulaError, r"the poisson\(log\) family has none"),
        ({"family": "nbinom2(theta=2)", "dispersion": "~ x"}, FormulaError, "has a known one, 2"),
        ({"family": "poisson", "zi": "~ nothing"}, FormulaError, "nothing"),
        ({"family": "gamma(log)"}, DataError, r"A gamma response is positive; 'y' is not"),
    ],
)
def test_predictors_that_cannot_be_are_refused(options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        mixfit.mixed("y ~ x + (1 | g)", data(), **options)


def test_zeros_that_are_not_there_are_refused() -> None:
    d = data()
    with pytest.raises(DataError, match="zi= models the zeros of 'y', which has none"):
        mixfit.mixed("y ~ x + (1 | g)", d.assign(y=d.y + 1.0), family="poisson", zi="~ 1")
    with pytest.raises(DataError, match="zero in every row"):
        mixfit.mixed("y ~ x + (1 | g)", d.assign(y=0.0), family="poisson", zi="~ 1")
