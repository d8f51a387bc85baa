"""Standard deviations that are known: likelihoods of dense matrices and of brute-force integrals at them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import gammaln, log_expit, logsumexp

import mixfit
from mixfit.errors import FitError, FormulaError

SD = "sd((Intercept)|Subject)"


def sleep_fit(reml: bool = False, sd: float | None = None):
    data = mixfit.datasets.load("sleepstudy")
    fixed = None if sd is None else {SD: sd}
    return mixfit.mixed("Reaction ~ Days + (1 | Subject)", data, fixed=fixed).fit(reml=reml)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("sd", [2.0, 30.0, 120.0])
def test_linear_models_against_dense_matrices(sd: float, reml: bool) -> None:
    data = mixfit.datasets.load("sleepstudy")
    y, X = data.Reaction.to_numpy(), np.column_stack([np.ones(len(data)), data.Days])
    same = (data.Subject.to_numpy()[:, None] == data.Subject.to_numpy()[None]).astype(float)

    def deviance(log_sigma: float) -> float:
        V = np.exp(2.0 * log_sigma) * np.eye(len(y)) + sd**2 * same
        A = X.T @ np.linalg.solve(V, X)
        e = y - X @ np.linalg.solve(A, X.T @ np.linalg.solve(V, y))
        n, extra = (len(y) - 2, np.linalg.slogdet(A)[1]) if reml else (len(y), 0.0)
        return float(np.linalg.slogdet(V)[1] + e @ np.linalg.solve(V, e) + n * np.log(2.0 * np.pi) + extra)

    best = minimize_scalar(deviance, bracket=(3.0, 3.5), options={"xtol": 1e-12})
    fit = sleep_fit(reml, sd)
    np.testing.assert_allclose(-2.0 * fit.llf, best.fun, rtol=1e-10)
    np.testing.assert_allclose(fit.sigma, np.exp(best.x), rtol=1e-6)
    assert fit.varcorr().to_frame()["sdcor"][0] == pytest.approx(sd, rel=1e-12)


def test_held_where_it_is_estimated_nothing_changes_but_the_count() -> None:
    free = sleep_fit()
    held = sleep_fit(sd=free.varcorr().to_frame()["sdcor"][0])
    np.testing.assert_allclose([held.llf, *held.params], [free.llf, *free.params], rtol=1e-10)
    np.testing.assert_allclose(held.sigma, free.sigma, rtol=1e-6)
    assert held.npar == free.npar - 1
    assert held.model.description.endswith(f"fixed = {SD} 36.0121")


def herds_deviance(sd: float) -> float:
    """-2 log-likelihood of the herds at its best coefficients, by a fine grid over the known normal."""
    data = mixfit.datasets.load("cbpp")
    X = np.column_stack([np.ones(len(data)), *(data.period.astype(str) == p for p in "234")]).astype(float)
    events, trials = data.incidence.to_numpy(dtype=float), data["size"].to_numpy(dtype=float)
    constant = gammaln(trials + 1) - gammaln(events + 1) - gammaln(trials - events + 1)
    herd = np.unique(data.herd.astype(str), return_inverse=True)[1]
    nodes = np.linspace(-10.0, 10.0, 2001)
    weights = np.exp(-0.5 * nodes**2) * (nodes[1] - nodes[0]) / np.sqrt(2.0 * np.pi)

    def deviance(beta: np.ndarray) -> float:
        eta = (X @ beta)[:, None] + sd * nodes
        rows = constant[:, None] + events[:, None] * log_expit(eta) + (trials - events)[:, None] * log_expit(-eta)
        groups = np.zeros((herd.max() + 1, len(nodes)))
        np.add.at(groups, herd, rows)
        return float(-2.0 * (logsumexp(groups, axis=1, b=weights)).sum())

    return float(minimize(deviance, np.array([-1.4, -1.0, -1.1, -1.6]), method="BFGS", options={"gtol": 1e-7}).fun)


@pytest.mark.parametrize("sd", [0.3, 0.9, 1.4])
def test_generalized_models_against_brute_force(sd: float) -> None:
    data = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    model = mixfit.mixed(formula, data, family="binomial", fixed={"sd((Intercept)|herd)": sd})
    fit = model.fit(n_agq=40)
    np.testing.assert_allclose(-2.0 * fit.llf, herds_deviance(sd), rtol=1e-8)
    assert fit.npar == 4
    again = model.with_data(data).fit(n_agq=40)
    assert again.llf == pytest.approx(fit.llf, abs=1e-9)


def test_of_another_predictor() -> None:
    data = mixfit.datasets.load("salamanders")
    asked = ("count ~ mined + (1 | site)", data)
    options = {"family": "truncated_poisson", "zi": "~ mined + (1 | spp)"}
    free = mixfit.mixed(*asked, **options).fit()
    sd = free.varcorr("zi").components[0].sd.item()
    held = mixfit.mixed(*asked, **options, fixed={"zi:sd((Intercept)|spp)": sd, "zi:Intercept": 1.0}).fit()
    one = mixfit.mixed(*asked, **options, fixed={"zi:Intercept": 1.0}).fit()
    assert held.npar == one.npar - 1 == free.npar - 2
    assert held.varcorr("zi").to_frame()["sdcor"].item() == pytest.approx(sd)
    assert held.llf <= one.llf <= free.llf


def test_of_ordered_categories() -> None:
    wine = mixfit.datasets.load("wine")
    free = mixfit.mixed("rating ~ temp + (1 | judge)", wine, family="cumulative").fit()
    sd = free.varcorr().to_frame()["sdcor"].item()
    asked = {"family": "cumulative", "fixed": {"sd((Intercept)|judge)": sd}}
    held = mixfit.mixed("rating ~ temp + (1 | judge)", wine, **asked).fit()
    np.testing.assert_allclose(held.params, free.params, atol=1e-5)
    assert held.llf == pytest.approx(free.llf, rel=1e-9)
    assert held.npar == free.npar - 1


def test_several_of_a_generalized_model() -> None:
    data = mixfit.datasets.load("grouseticks")
    known = {"sd((Intercept)|BROOD)": 0.7, "sd((Intercept)|LOCATION)": 0.5}
    fit = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION)", data, family="poisson", fixed=known).fit()
    assert fit.varcorr().to_frame()["sdcor"].tolist() == pytest.approx([0.7, 0.5])
    assert fit.npar == 3


ONE, TWO = "Reaction ~ (1 | Subject)", "Reaction ~ (1 | Subject) + (0 + Days | Subject)"


@pytest.mark.parametrize(
    ("formula", "fixed", "error", "message"),
    [
        ("Reaction ~ (Days | Subject)", {"sd(Days|Subject)": 1.0}, FormulaError, "none, since no term has one column"),
        (ONE, {"sd(Days|Subject)": 1.0}, FormulaError, r"column \(sd\(\(Intercept\)\|Subject"),
        (ONE, {SD: 0.0}, FitError, "left out of the formula"),
        (ONE, {SD: "2"}, FitError, "must be a positive number"),
        (TWO, {SD: 3.0, "sd(Days|Subject)": 2.0}, FormulaError, "takes one known covariance"),
    ],
)
def test_what_cannot_be_held_is_refused(formula: str, fixed: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mixfit.mixed(formula, mixfit.datasets.load("sleepstudy"), fixed=fixed)
