"""Models of ordered categories: criterion, gradient, fits of the package ordinal, and the models that they contain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.problem import GeneralizedParameters
from tests.glmm.problems import At, check_gradient, quadrature_at, quadrature_slopes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mixfit.results.ordinal import OrdinalResults

    Array = NDArray[np.float64]

WINE = mixfit.datasets.load("wine")
FORMULA = "rating ~ temp + contact + (1 | judge)"


def simulated(n: int = 240, groups: int = 20, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    g = np.arange(n) % groups
    x, h = rng.normal(size=n), np.array(["a", "b"])[rng.integers(0, 2, n)]
    latent = 0.6 * x - 0.4 * (h == "b") + 0.7 * rng.normal(size=groups)[g] + rng.logistic(size=n)
    return pd.DataFrame({"y": 1 + np.digitize(latent, [-1.2, 0.1, 1.5]), "x": x, "h": h, "g": g.astype(str)})


def point(family: str, formula: str, **further: str) -> At:
    """A point of a model, off its optimum."""
    model = mixfit.mixed(formula, simulated(), family=family, **further)
    assembly = model.assembly
    rng = np.random.default_rng(2)
    points = tuple(np.tril(rng.uniform(0.3, 0.6, (t.k, t.k))) for t in assembly.problem.terms)
    shape = np.array(assembly.problem.family.psi) + rng.uniform(-0.1, 0.1, assembly.problem.family.n_tail)
    gamma = assembly.fixed.triangle @ rng.uniform(-0.4, 0.4, assembly.problem.p)
    return At(assembly.problem, GeneralizedParameters(points, gamma, 1.0, shape))


MODELS = [
    ("cumulative", "y ~ x + h + (1 | g)", {}),
    ("cumulative(cauchit)", "y ~ x + (x | g)", {}),
    ("cumulative(cloglog, thresholds='symmetric')", "y ~ x + h + (1 | g)", {"dispersion": "~ x"}),
    ("cumulative(probit)", "y ~ x + (1 | g)", {"nominal": "~ h", "dispersion": "~ h"}),
    ("sratio(loglog)", "y ~ x + (1 | g)", {"nominal": "~ h"}),
    ("adjacent(probit)", "y ~ x + h + (1 | g)", {"dispersion": "~ x"}),
]


@pytest.mark.parametrize(("family", "formula", "further"), MODELS)
def test_gradients_are_those_of_differences(family: str, formula: str, further: dict[str, str]) -> None:
    at = point(family, formula, **further)
    objective = LaplaceObjective(at.problem)
    slopes = objective.slopes(objective.evaluate(at.point))
    check_gradient(at, slopes, lambda a, p: LaplaceObjective(a.problem).evaluate(p).value)
    check_gradient(at, quadrature_slopes(at, 3), quadrature_at(3))


def brute_force(fit: OrdinalResults) -> float:
    """-2 log-likelihood at the estimates of a model (1 | g), by the trapezoidal rule over each random effect."""
    model, estimate = fit.model, fit.estimate
    sd, codes = float(estimate.templates[0][0, 0]), model.design.random[0].grouping.codes
    z, step = np.linspace(-9.0, 9.0, 1801, retstep=True)
    eta = (model.exog @ estimate.beta)[None] + sd * z[:, None]
    p = fit.family.loglik(model.endog, np.ones(fit.nobs), eta, 1.0)
    each = np.array([np.bincount(codes, row) for row in p]) - 0.5 * z[:, None] ** 2 - 0.5 * np.log(2.0 * np.pi)
    return float(-2.0 * (np.logaddexp.reduce(each, axis=0) + np.log(step)).sum())


@pytest.mark.parametrize(
    ("family", "further"),
    [("cumulative", {}), ("cumulative(loglog)", {"nominal": "~ h", "dispersion": "~ x"}), ("cratio(cloglog)", {})],
)
def test_quadrature_is_the_integral(family: str, further: dict[str, str]) -> None:
    fit = mixfit.mixed("y ~ x + (1 | g)", simulated(), family=family, **further).fit(n_agq=15)
    assert fit.converged
    assert_allclose(fit.estimate.criterion, brute_force(fit), rtol=1e-8)


# ordinal 2022.11-16, clmm and (nominal, scale) clmm2, to gradients of 1e-6: log-likelihood, coefficients, errors.
REFERENCE = [
    (
        "clmm(rating ~ temp + contact + (1 | judge))",
        {"family": "cumulative"},
        1,
        -81.56540929,
        [-1.62367, 1.51337, 4.22853, 6.08877, 3.06300, 1.83489],
        [0.68245, 0.60376, 0.80898, 0.97247, 0.59538, 0.51253],
    ),
    (
        "clmm(..., nAGQ = 7)",
        {"family": "cumulative"},
        7,
        -81.53246120,
        [-1.62349, 1.51280, 4.22705, 6.08615, 3.06189, 1.83343],
        [0.68339, 0.60444, 0.80898, 0.97194, 0.59508, 0.51217],
    ),
    (
        "clmm(..., threshold = 'equidistant')",
        {"family": "cumulative(thresholds='equidistant')"},
        1,
        -83.05497173,
        [-1.21455, 2.55925, 3.00206, 1.79163],
        [0.56397, 0.32388, 0.57949, 0.50314],
    ),
    (
        "clmm(... + (1 | bottle), threshold = 'symmetric')",
        {"family": "cumulative(thresholds='symmetric')", "formula": FORMULA + " + (1 | bottle)"},
        1,
        -83.01601275,
        [1.30973, 3.9707, 2.4836, 3.01780, 1.79825],
        [0.57078, 0.7619, 0.4159, 0.58446, 0.50442],
    ),
    (
        "clmm(rating ~ temp * contact + (1 | judge))",
        {"family": "cumulative", "formula": "rating ~ temp * contact + (1 | judge)"},
        1,
        -81.53595973,
        [-1.66275, 1.44392, 4.16866, 6.04397, 2.94670, 1.71743, 0.23153],
        [0.70029, 0.66416, 0.84382, 0.98978, 0.76109, 0.70197, 0.95395],
    ),
]


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: case[0])
def test_fits_are_those_of_ordinal(case: tuple) -> None:
    _, asked, n_agq, llf, params, errors = case
    fit = mixfit.mixed(asked.get("formula", FORMULA), WINE, family=asked["family"]).fit(n_agq=n_agq)
    assert fit.converged
    assert_allclose(fit.llf, llf, atol=2e-5)
    assert_allclose(fit.params, params, atol=3e-2 * min(errors))
    assert_allclose(fit.bse, errors, rtol=2e-3)


# The weights of a binomial Laplace approximation are expected ones, which only the logit's are anyway: integrals agree.
_NODES = 25


@pytest.mark.parametrize("family", ["cumulative", "sratio", "cratio", "adjacent"])
@pytest.mark.parametrize(("link", "n_agq"), [("logit", 1), ("probit", _NODES), ("cauchit", _NODES)])
def test_two_categories_are_a_binomial_model(family: str, link: str, n_agq: int) -> None:
    data = simulated().assign(z=lambda d: d["y"] > 2)
    two = mixfit.mixed("z ~ x + h + (1 | g)", data, family=f"{family}({link})").fit(n_agq=n_agq)
    one = mixfit.mixed("z ~ x + h + (1 | g)", data, family=f"binomial({link})").fit(n_agq=n_agq)
    assert_allclose(two.llf, one.llf, atol=1e-6)
    # The threshold is the constant of the other sign.
    assert_allclose(two.params.to_numpy() * [-1, 1, 1], one.params, atol=1e-3)
    assert_allclose(two.bse, one.bse, rtol=1e-3)


@pytest.mark.parametrize("family", ["cumulative(loglog)", "cratio(cloglog)"])
def test_a_binomial_cloglog_is_of_the_upper_category(family: str) -> None:
    data = simulated().assign(z=lambda d: d["y"] > 2)
    one = mixfit.mixed("z ~ x + h + (1 | g)", data, family="binomial(cloglog)").fit(n_agq=_NODES)
    two = mixfit.mixed("z ~ x + h + (1 | g)", data, family=family).fit(n_agq=_NODES)
    assert_allclose(two.llf, one.llf, atol=1e-6)


def test_hazards_in_proportion_are_cumulative_and_sequential_alike() -> None:
    both = [mixfit.mixed("y ~ x + h + (1 | g)", simulated(), f"{f}(cloglog)").fit() for f in ("cumulative", "sratio")]
    assert_allclose(both[0].llf, both[1].llf, atol=1e-6)
    assert_allclose(both[0].fixef, both[1].fixef, atol=1e-4)


def test_nominal_effects_of_all_thresholds_alike_are_location() -> None:
    # With two categories a nominal effect is a location of the other sign.
    data = simulated().assign(z=lambda d: d["y"] > 2)
    free = mixfit.mixed("z ~ x + (1 | g)", data, "cumulative", nominal="~ h").fit()
    plain = mixfit.mixed("z ~ x + h + (1 | g)", data, "cumulative").fit()
    assert_allclose(free.llf, plain.llf, atol=1e-6)
    assert_allclose(free.params["False|True.h[T.b]"], -plain.params["h[T.b]"], atol=1e-3)


@pytest.mark.parametrize(
    ("formula", "further"),
    [
        ("y ~ x + h + (1 | g)", {}),
        ("y ~ x + (x | g)", {}),
        ("y ~ h + (1 | g)", {"nominal": "~ x", "dispersion": "~ h"}),
        ("y ~ x + (1 | g)", {"nominal": "~ h"}),
    ],
)
def test_units_and_origins_of_covariates_change_nothing(formula: str, further: dict[str, str]) -> None:
    data = simulated()
    # Years: a hundred of their spreads from zero. A thousand of another unit, a hundred spreads away.
    for unit, origin in ((10.0, 2000.0), (1e-3, 0.1)):
        plain = mixfit.mixed(formula, data, "cumulative", **further).fit()
        # Intercepts of groups with slopes would be those at another place of x.
        away = 0.0 if "(x | g)" in formula else origin
        far = data.assign(x=unit * data["x"] + away)
        other = mixfit.mixed(formula, far, "cumulative", **further).fit()
        assert other.converged
        assert_allclose(other.llf, plain.llf, atol=1e-5)
        slopes = [name for name in plain.params.index if name == "x" or name.endswith(".x")]
        assert_allclose(unit * other.params[slopes], plain.params[slopes], rtol=2e-3, atol=1e-4)
        assert_allclose(unit * other.bse[slopes], plain.bse[slopes], rtol=2e-3)
        assert_allclose(other.predict(far.head(5)), plain.predict(data.head(5)), atol=1e-4)
        deviations = [fit.ranef(condsd=True)["g"]["sd"].iloc[:, 0] for fit in (other, plain)]
        assert_allclose(*deviations, rtol=2e-3)


def test_separated_categories_are_refused() -> None:
    order = ["low", "mid", "high"]
    response = np.where(WINE["response"] < 30, "low", np.where(WINE["response"] < 60, "mid", "high"))
    data = WINE.assign(level=pd.Categorical(response, categories=order, ordered=True))
    with pytest.raises(FitError, match="separates"):
        mixfit.mixed("level ~ response + (1 | judge)", data, "cumulative").fit()
    data["level"] = pd.Categorical(np.where(WINE["temp"] == "warm", "high", response), categories=order, ordered=True)
    with pytest.raises(FitError, match=r"'temp\[T.warm\]' separates"):
        mixfit.mixed("level ~ temp + (1 | judge)", data, "sratio").fit()


@pytest.mark.parametrize("family", ["cumulative", "cumulative(probit)", "sratio", "cratio(cloglog)", "adjacent"])
@pytest.mark.parametrize(("absent", "threshold"), [(1, "1|2"), (4, "3|4")])
def test_an_end_absent_at_a_level_of_nominal_effects_is_refused(family: str, absent: int, threshold: str) -> None:
    data = simulated()
    data["h"] = np.where(data.y == absent, "a", data.h)
    with pytest.raises(FitError, match=rf"'{re.escape(threshold)}\.h\[T\.b\]'.* separate"):
        mixfit.mixed("y ~ x + (1 | g)", data, family=family, nominal="~ h").fit()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cumulative", "sratio(cloglog)", "adjacent"])
def test_simulated_responses_lead_back(family: str) -> None:
    fit = mixfit.mixed("y ~ x + h + (1 | g)", simulated(480, 40), family=family).fit()
    drawn = fit.simulate(60, seed=1)
    again = [fit.refit(drawn[name]) for name in drawn]
    covered = np.mean([np.abs(np.asarray(a.params) - fit.params.to_numpy()) < 1.96 * np.asarray(a.bse) for a in again])
    # 95 %, within four standard errors of 60 replicates of five parameters that are not independent.
    assert 0.88 < covered <= 1.0
