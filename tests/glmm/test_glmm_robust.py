"""Data that break fitters: every fit ends finite and converged, or in an error that names the problem.

Warnings are errors here: nothing that numpy mutters may reach the user.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import mixfit
from mixfit.errors import DataError, FitError, MixfitError
from mixfit.glmm.aghq import QuadratureObjective
from mixfit.glmm.objective import LaplaceObjective
from mixfit.glmm.problem import GeneralizedParameters

pytestmark = pytest.mark.filterwarnings("error")
N = 120


def frame() -> pd.DataFrame:
    """120 rows in 12 groups, with responses of every kind."""
    rng = np.random.default_rng(3)
    at = np.repeat(np.arange(12), 10)
    x, b = rng.normal(size=N), rng.normal(size=12)[at]
    d = pd.DataFrame({"g": [f"g{j:02d}" for j in at], "h": [f"h{j}" for j in np.arange(N) % 6], "x": x})
    d["binary"] = (rng.random(N) < 1.0 / (1.0 + np.exp(-(x + b)))).astype(int)
    d["count"] = rng.poisson(np.exp(0.5 + 0.4 * x + 0.5 * b))
    d["over"] = rng.poisson(rng.gamma(1.5, np.exp(0.5 + 0.4 * x + 0.5 * b) / 1.5))
    d["positive"] = rng.gamma(3.0, np.exp(0.3 * x + 0.3 * b) / 3.0)
    d["share"] = rng.beta(3.0, 4.0, N)
    d["high"] = rng.poisson(np.exp(12.0 + 0.3 * x + 0.3 * b))
    d["zeros"] = np.where(d["g"] < "g04", 0, d["count"])
    d["split"] = (x > 0).astype(int)
    d["step"] = (x > 0).astype(float)
    d["quasi"] = np.where(x > 0, 1, rng.random(N) < 0.3).astype(int)
    d["by_group"] = at % 2
    d["exposure"] = np.exp(2.0 * rng.normal(size=N))
    d["wide"], d["year"] = 1000.0 * x, 2000.0 + np.round(5.0 * x)
    d["row"] = [f"r{i}" for i in range(N)]
    d["kind"] = np.array(["a", "b", "c"])[np.arange(N) % 3]
    d["none_in_a"], d["none_in_c"] = (np.where(d["kind"] == k, 0, d["binary"]) for k in "ac")
    d["count_in_c"] = np.where(d["kind"] == "c", 0, d["count"])
    d["alone"] = np.where(np.arange(N) < 5, d["row"], d["g"])
    return d


DATA = frame()


def fitted(formula: str, family: str, n_agq: int = 1, data: pd.DataFrame = DATA, **options: Any) -> Any:
    """A fit all of whose numbers are finite."""
    fit = mixfit.mixed(formula, data, family, **options).fit(n_agq=n_agq)
    for values in (fit.llf, fit.params, fit.bse, fit.theta, fit.estimate.eta, *fit.estimate.modes):
        assert np.isfinite(values).all()
    return fit


ORDINARY = [
    ("binary ~ x + (1|g)", "binomial", 1),
    ("binary ~ x + (1|g)", "binomial", 9),
    ("binary ~ x + (1|g)", "binomial(probit)", 1),
    ("binary ~ x + (1|g)", "binomial(cloglog)", 9),
    ("binary ~ x + (1|g)", "binomial(cauchit)", 1),
    ("binary ~ x + (1|g)", "binomial(log)", 1),
    ("binary ~ x + (x|g)", "binomial", 1),
    ("binary ~ x + (x|g)", "binomial", 9),
    ("binary ~ x + (x|g)", "binomial(cloglog)", 9),
    ("binary ~ wide + (1|g)", "binomial", 1),
    ("binary ~ year + (1|g)", "binomial", 9),
    ("binary ~ x + (1|g) + (1|h)", "binomial", 1),
    ("binary ~ x + (1|row)", "binomial", 1),
    ("binary ~ x + (1|row)", "binomial", 9),
    ("count ~ x + (1|g)", "poisson", 1),
    ("count ~ x + (x|g) + (1|h)", "poisson", 1),
    ("count ~ x + (1|row)", "poisson", 9),
    ("count ~ x + (1|alone)", "poisson", 1),
    ("count ~ x + (1|alone)", "poisson", 9),
    ("count ~ wide + (1|g)", "poisson", 1),
    ("count ~ year + (1|g)", "poisson", 1),
    ("count ~ x + (1|g)", "poisson(sqrt)", 1),
    ("count ~ 1 + (1|g)", "poisson(identity)", 1),
    ("count ~ x + (1|g)", "poisson(identity)", 1),
    ("count ~ x + (1|g)", "nbinom2", 1),
    ("count ~ x + (1|g)", "nbinom2(sqrt)", 1),
    ("over ~ x + (1|g)", "nbinom2", 1),
    ("over ~ x + (1|g)", "nbinom2", 9),
    ("over ~ year + (1|g)", "nbinom2", 1),
    ("zeros ~ x + (1|g)", "poisson", 1),
    ("zeros ~ x + (1|g)", "poisson", 9),
    ("zeros ~ x + (x|g)", "poisson", 1),
    ("zeros ~ x + (x|g)", "poisson", 9),
    ("zeros ~ x + (1|g)", "nbinom2", 1),
    ("zeros ~ x + (x|g)", "nbinom2", 1),
    ("high ~ x + (1|g)", "poisson", 1),
    ("high ~ x + (1|g)", "poisson(sqrt)", 1),
    ("positive ~ x + (1|g)", "gamma(log)", 1),
    ("positive ~ 1 + (1|g)", "gamma(inverse)", 1),
    ("positive ~ x + (1|g)", "gamma(inverse)", 1),
    ("positive ~ 1 + (1|g)", "gamma(inverse)", 9),
    ("positive ~ x + (1|g)", "gamma(identity)", 1),
    ("positive ~ x + (1|g)", "inverse.gaussian(log)", 9),
    ("positive ~ 1 + (1|g)", "inverse.gaussian(inverse)", 1),
    ("positive ~ x + (1|g)", "inverse.gaussian", 1),
    ("positive ~ x + (1|g)", "inverse.gaussian(identity)", 1),
    ("positive ~ x + (1|g)", "gaussian(log)", 1),
    ("positive ~ x + (1|g)", "gaussian(sqrt)", 1),
    ("positive ~ x + (1|g)", "gaussian(inverse)", 1),
    ("share ~ x + (1|g)", "beta", 1),
    ("share ~ x + (1|g)", "beta(probit)", 9),
    ("share ~ x + (1|g)", "beta(cloglog)", 1),
]


@pytest.mark.parametrize(("formula", "family", "n_agq"), ORDINARY)
def test_ordinary_data_converge_soon(formula: str, family: str, n_agq: int) -> None:
    fit = fitted(formula, family, n_agq)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60


def test_an_optimum_on_the_edge_of_the_support_is_named() -> None:
    # The reciprocal of the mean falls in x so fast that its line crosses zero at the largest x.
    with pytest.raises(FitError, match=r"inverse.gaussian\(inverse\) model rises up to the edge of its support"):
        mixfit.mixed("positive ~ x + (1|g)", DATA, "inverse.gaussian(inverse)").fit()


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("count ~ 0 + exposure + (1|g)", "poisson(identity)"),
        ("positive ~ 0 + exposure + (1|g)", "gamma(inverse)"),
        ("binary ~ 0 + exposure + (1|g)", "binomial(log)"),
    ],
)
def test_starts_are_inside_the_support_without_an_intercept(formula: str, family: str) -> None:
    assert fitted(formula, family, data=DATA.assign(exposure=np.sqrt(DATA["exposure"]))).converged


@pytest.mark.parametrize(("response", "family"), [("count", "poisson(identity)"), ("positive", "gamma(inverse)")])
def test_a_support_without_any_predictor_is_named(response: str, family: str) -> None:
    with pytest.raises(FitError, match=r"No fixed-effects predictor of the .* lies inside the support in every row"):
        mixfit.mixed(f"{response} ~ 0 + x + (1|g)", DATA, family).fit()


def test_an_offset_moves_a_start_inside_the_support() -> None:
    fit = fitted("positive ~ x + (1|g)", "gamma(identity)")
    moved = fitted("positive ~ x + (1|g)", "gamma(identity)", offset=3.0 * DATA["x"])
    assert_allclose(moved.llf, fit.llf, atol=1e-7)
    assert_allclose(moved.params["x"], fit.params["x"] - 3.0, atol=1e-5)


# The search is for one standard deviation.
SEARCHED = [c[:2] for c in ORDINARY if c[2] == 1 and "(x|g)" not in c[0] and "|h)" not in c[0]]


@pytest.mark.parametrize(("formula", "family"), SEARCHED)
@pytest.mark.slow
def test_no_other_start_leads_lower(formula: str, family: str) -> None:
    fit = fitted(formula, family)
    model, estimate = fit.model, fit.estimate
    assembly = model._assembly
    objective, p = LaplaceObjective(assembly.problem), assembly.problem.p
    dispersion = assembly.problem.family.has_dispersion
    scale = np.sqrt((assembly.fixed.triangle @ estimate.cov_beta @ assembly.fixed.triangle.T).diagonal())
    gamma = assembly.fixed.triangle @ estimate.beta

    def criterion(v: np.ndarray) -> float:
        phi = estimate.phi * float(np.exp(v[-1])) if dispersion else 1.0
        try:
            value = objective.evaluate(
                GeneralizedParameters((np.array([[abs(v[0])]]),), gamma + scale * v[1 : p + 1], phi)
            ).value
        except MixfitError:
            return 1e10
        return value if np.isfinite(value) else 1e10

    rng = np.random.default_rng(8)
    with np.errstate(all="ignore"):
        for sd in (0.1, 1.0, 3.0):
            start = np.concatenate([[sd], rng.normal(size=p), [0.3] if dispersion else []])
            other = minimize(criterion, start, method="Nelder-Mead", options={"maxfev": 250})
            assert other.fun > estimate.criterion - 1e-6


FIXED = "The fixed effect {!r} separates the response {!r}"
SEPARATED = [
    ("split ~ x + (1|g)", "binomial", FIXED.format("x", "split")),
    ("split ~ year + x + (1|g)", "binomial", FIXED.format("x", "split")),
    ("split ~ step + (1|g)", "binomial", FIXED.format("step", "split")),
    ("split ~ step + (1|g)", "binomial(probit)", FIXED.format("step", "split")),
    ("split ~ step + (1|g)", "binomial(cloglog)", FIXED.format("step", "split")),
    ("split ~ x + (1|g)", "binomial(cauchit)", FIXED.format("x", "split")),
    ("quasi ~ step + (1|g)", "binomial", FIXED.format("step", "quasi")),
    ("quasi ~ step + (1|g)", "binomial(cloglog)", FIXED.format("step", "quasi")),
    ("by_group ~ by_group + (1|g)", "binomial", FIXED.format("by_group", "by_group")),
    ("none_in_c ~ kind + (1|g)", "binomial", FIXED.format("kind[T.c]", "none_in_c")),
    ("none_in_a ~ kind + (1|g)", "binomial", "combination of the fixed effects 'kind.T.b.' and 'kind.T.c.' separates"),
    ("count_in_c ~ kind + (1|g)", "poisson", FIXED.format("kind[T.c]", "count_in_c")),
    ("count_in_c ~ kind + (1|g)", "nbinom2", FIXED.format("kind[T.c]", "count_in_c")),
    ("by_group ~ 1 + (1|g)", "binomial", "The grouping factor 'g' separates the response 'by_group'"),
    ("by_group ~ 1 + (1|g)", "binomial(cloglog)", "The grouping factor 'g' separates the response 'by_group'"),
    ("by_group ~ x + (1|g)", "binomial", "The grouping factor 'g' separates the response 'by_group'"),
]


@pytest.mark.parametrize("n_agq", [1, 9])
@pytest.mark.parametrize(("formula", "family", "message"), SEPARATED)
def test_separation_is_named(formula: str, family: str, message: str, n_agq: int) -> None:
    with pytest.raises(FitError, match=message.replace("[", r"\[")):
        mixfit.mixed(formula, DATA, family).fit(n_agq=n_agq)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_separation_is_named_whatever_the_unit(scale: float) -> None:
    data = DATA.assign(x=scale * (DATA["x"] + 1e3))
    with pytest.raises(FitError, match=FIXED.format("x", "split")):
        mixfit.mixed("split ~ count + x + (1|g)", data, "binomial").fit()


@pytest.mark.parametrize("n_agq", [1, 9])
@pytest.mark.parametrize("flipped", [1, 3])
def test_a_strong_effect_is_no_separation(flipped: int, n_agq: int) -> None:
    # The response is the sign of x but for a few rows far on the wrong side, or nearer the threshold.
    for rows in (DATA["x"].nlargest(flipped).index, DATA["x"].abs().nsmallest(flipped + 8).index):
        data = DATA.assign(split=DATA["split"])
        data.loc[rows, "split"] = 1 - data.loc[rows, "split"]
        fit = fitted("split ~ x + (1|g)", "binomial", n_agq, data)
        assert fit.converged
        assert fit.params["x"] > 0.0


@pytest.mark.parametrize("n_agq", [1, 9])
def test_levels_at_one_end_leave_an_estimate(n_agq: int) -> None:
    # Some groups have only failures, others only successes; one level of a factor has few successes.
    data = DATA.assign(binary=np.where(DATA["g"] < "g03", 0, np.where(DATA["g"] > "g09", 1, DATA["binary"])))
    fit = fitted("binary ~ x + kind + (1|g)", "binomial", n_agq, data)
    assert fit.converged
    assert fit.theta[0] > 1.0


def test_rare_responses_leave_an_estimate() -> None:
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"g": np.arange(3000) % 30, "x": rng.normal(size=3000)})
    data["y"] = (rng.random(3000) < np.exp(-9.0 + 4.0 * data["x"]).clip(upper=1.0)).astype(int)
    fit = fitted("y ~ x + (1|g)", "binomial", data=data)
    assert fit.converged
    assert fit.estimate.eta.min() < -18.0


@pytest.mark.parametrize(
    ("response", "family"),
    [("count", "poisson"), ("count", "nbinom2"), ("binary", "binomial"), ("positive", "gamma(log)")],
)
@pytest.mark.parametrize("value", [0, 1, 3])
def test_a_constant_response_is_refused(response: str, family: str, value: int) -> None:
    if (family == "binomial" and value == 3) or (family == "gamma(log)" and value == 0):
        message = "does not|is not"
    else:
        message = f"{response!r} is the same in every row"
    with pytest.raises(DataError, match=message):
        mixfit.mixed(f"{response} ~ x + (1|g)", DATA.assign(**{response: value}), family)


@pytest.mark.parametrize(
    ("formula", "family", "n_agq"),
    [
        ("y ~ 1 + (1|g)", "binomial", 1),
        ("y ~ 1 + (1|g)", "binomial", 5),
        ("y ~ x + (1|g)", "binomial", 1),
        ("y ~ x + (1|g)", "binomial", 5),
        ("c ~ x + (1|g)", "poisson", 1),
        ("c ~ x + (x|g)", "poisson", 1),
        ("c ~ x + (x|g)", "poisson", 5),
        ("c ~ x + (1|g)", "nbinom2", 1),
    ],
)
def test_six_rows_are_enough(formula: str, family: str, n_agq: int) -> None:
    tiny = pd.DataFrame(
        {"g": list("aabbcc"), "x": [1.0, 2, 3, 1, 2, 3], "y": [0, 1, 0, 1, 1, 0], "c": [0, 2, 1, 3, 0, 1]}
    )
    fit = fitted(formula, family, n_agq, tiny)
    assert fit.converged
    assert fit.certificate.n_evaluations <= 60


@pytest.mark.parametrize(
    "family",
    [
        "poisson",
        "binomial",
        "gamma(log)",
        "beta",
    ],
)
@pytest.mark.parametrize("n_agq", [1, 7])
def test_groups_that_do_not_differ_give_a_singular_fit(family: str, n_agq: int) -> None:
    # Every group has the same rows, so that the variance between them is estimated at zero.
    one = DATA.head(10)
    same = pd.concat([one.assign(g=f"g{j}") for j in range(8)], ignore_index=True)
    response = {"poisson": "count", "binomial": "binary", "gamma(log)": "positive", "beta": "share"}[family]
    fit = fitted(f"{response} ~ x + (1|g)", family, n_agq, same)
    assert fit.converged
    assert fit.is_singular
    assert fit.theta[0] == 0.0
    assert fit.certificate.boundary[0].derivative >= 0.0
    assert all((modes == 0.0).all() for modes in fit.estimate.modes)


@pytest.mark.parametrize("n_agq", [1, 9])
def test_an_offset_of_the_log_exposure_moves_the_intercept(n_agq: int) -> None:
    fit = fitted("count ~ x + (1|g)", "poisson", n_agq, offset="log(exposure)")
    more = fitted("count ~ x + (1|g)", "poisson", n_agq, offset="log(1000 * exposure)")
    assert_allclose(more.llf, fit.llf, atol=1e-6)
    assert_allclose(more.params.iloc[0], fit.params.iloc[0] - np.log(1000.0), atol=1e-5)
    assert_allclose(more.params.iloc[1], fit.params.iloc[1], atol=1e-5)
    inside = fitted("count ~ x + offset(log(exposure)) + (1|g)", "poisson", n_agq)
    assert_allclose(inside.llf, fit.llf, atol=1e-10)


@pytest.mark.parametrize(("response", "family"), [("count", "poisson"), ("over", "nbinom2"), ("share", "beta")])
def test_a_weight_of_two_is_a_row_twice(response: str, family: str) -> None:
    weights = 1.0 + np.arange(N) % 2
    formula = f"{response} ~ x + (1|g)"
    weighted = fitted(formula, family, weights=weights)
    twice = fitted(formula, family, data=DATA.loc[DATA.index.repeat(weights.astype(int))].reset_index(drop=True))
    assert_allclose(weighted.llf, twice.llf, atol=1e-6)
    assert_allclose(weighted.params, twice.params, rtol=1e-4)
    assert_allclose(weighted.theta, twice.theta, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
@pytest.mark.parametrize("family", ["gamma(log)", "inverse.gaussian(log)", "gaussian(log)"])
def test_the_unit_of_a_response_moves_the_intercept(family: str, scale: float) -> None:
    fit = fitted("positive ~ x + (1|g)", family)
    scaled = fitted("positive ~ x + (1|g)", family, data=DATA.assign(positive=scale * DATA["positive"]))
    assert_allclose(scaled.llf, fit.llf - N * np.log(scale), rtol=1e-9)
    assert_allclose(scaled.params - fit.params, [np.log(scale), 0.0], atol=1e-5)
    assert_allclose(scaled.theta, fit.theta, rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "scale"),
    [
        ("gamma(inverse)", 1e-8),
        ("gamma(inverse)", 1e8),
        ("gaussian(inverse)", 1e-8),
        ("gaussian(inverse)", 1e8),
        ("inverse.gaussian(inverse)", 1e-8),
        ("inverse.gaussian(inverse)", 1e8),
    ],
)
def test_the_unit_of_a_response_scales_an_inverse_link(family: str, scale: float) -> None:
    fit = fitted("positive ~ 1 + (1|g)", family)
    scaled = fitted("positive ~ 1 + (1|g)", family, data=DATA.assign(positive=scale * DATA["positive"]))
    assert_allclose(scaled.params * scale, fit.params, rtol=1e-4)


def test_rows_in_any_order_and_levels_of_any_name_give_the_same_fit() -> None:
    shuffled = DATA.sample(frac=1.0, random_state=1).assign(
        g=lambda d: d["g"].map(lambda v: f"z{ord(v[-1]) * 7 % 31}{v}")
    )
    for n_agq in (1, 9):
        fit, other = (fitted("binary ~ x + (1|g)", "binomial", n_agq, d) for d in (DATA, shuffled))
        assert_allclose(other.llf, fit.llf, atol=1e-8)
        assert_allclose(other.params, fit.params, rtol=1e-5)


def test_quadrature_of_a_singular_slope_is_at_its_own_minimum() -> None:
    fit = fitted("binary ~ x + (x|g)", "binomial", 9)
    objective = QuadratureObjective(fit.model._assembly.problem, 9)
    basis = fit.model._assembly.term_bases[0]
    gamma = fit.model._assembly.fixed.triangle @ fit.estimate.beta
    at = np.linalg.qr((basis @ fit.estimate.templates[0]).T, mode="r").T
    here = objective.evaluate(GeneralizedParameters((at,), gamma, 1.0)).value
    assert_allclose(here, fit.estimate.criterion, atol=1e-6)


def few_groups(seed: int) -> tuple[pd.DataFrame, str]:
    """120 rows in three to five groups of two factors, whose variances are often zero, and a family."""
    rng = np.random.default_rng(seed)
    n, groups, others = 120, int(rng.integers(3, 6)), int(rng.integers(3, 6))
    data = pd.DataFrame(
        {
            "g": rng.integers(0, groups, n).astype(str),
            "h": rng.integers(0, others, n).astype(str),
            "x": rng.normal(size=n),
        }
    )
    slopes = rng.normal(size=groups) * rng.choice([0, 0.3, 1])
    intercepts = rng.normal(size=groups) * rng.choice([0, 1])
    g = data["g"].astype(int).to_numpy()
    eta = 0.2 * data["x"] + intercepts[g] + slopes[g] * data["x"]
    if seed % 2:
        data["y"] = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    else:
        data["y"] = rng.poisson(np.exp(np.clip(eta, -4, 3)))
    return data, "binomial" if seed % 2 else "poisson"


@pytest.mark.parametrize("seed", [22, 99])
def test_variances_that_vanish_among_others_that_do_not(seed: int) -> None:
    # 22: two variances go to zero and a third, large one seemed to. 99: a correlation of one, far from both axes.
    data, family = few_groups(seed)
    fit = mixfit.mixed("y ~ x + (x|g) + (1|h)", data, family=family).fit()
    assert fit.converged
    assert fit.is_singular
    assert fit.certificate.n_evaluations < 100


@pytest.mark.parametrize("seed", [14, 35, 60, 180, 195])
def test_quadrature_reaches_vanishing_slopes(seed: int) -> None:
    data, family = few_groups(seed)
    fit = mixfit.mixed("y ~ x + (x|g)", data, family=family).fit(n_agq=5)
    assert fit.converged
    # Most of them for slopes on the boundary, which are differences.
    assert fit.certificate.n_evaluations < 300


def test_a_log_link_takes_negative_responses_of_positive_mean() -> None:
    data = pd.read_csv(Path(__file__).parents[1] / "data" / "gaussian_log.csv", dtype={"g": str})
    assert (data["y"] <= 0).sum() == 11
    fit = mixfit.mixed("y ~ x + (1|g)", data, family="gaussian(log)").fit()
    # glmmTMB 1.1.5, family = gaussian(link = "log"), with starting values of its own for beta.
    assert_allclose(fit.llf, -155.3849442, atol=1e-6)
    assert_allclose(fit.params, [0.17780351, 0.40917353], rtol=1e-5)
    assert_allclose(fit.varcorr().to_frame()["sdcor"], [0.2213147, 0.84690695], rtol=1e-5)
