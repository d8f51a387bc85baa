"""Estimates of mean and precision: ten trial arms, glmmTMB, mixfit's own beta-binomial models, direct maximization."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.stats import beta, binom

import mixfit
from mixfit.errors import DesignError, FitError
from mixfit.rates.likelihood import marginal_terms
from mixfit.rates.units import Units
from tests.rates import arms

# glmmTMB 1.1.5, betabinomial, rel.tol = 1e-14: coefficients, phi, logLik; standard errors, the last of log phi.
GLMMTMB_ARMS = ([-0.716809588643, 23.143460328258, -37.666355437232], [0.1520392602, 0.5427887418])
GLMMTMB_HERDS = ([-1.81125421533, 13.94633400015, -44.39990231754], [0.2229770839, 0.4881470593])
GLMMTMB_PERIODS = (
    [-1.318773330706, -0.968884987371, -1.250928901536, -1.472520483562, 10.842660124195, -88.041646815206],
    [0.2326123685, 0.4064480778, 0.4568319916, 0.5108611056, 0.4059234062],
)
# The period as a number.
GLMMTMB_TREND = {
    "logit": (
        [-0.896805798918, -0.540220805735, 10.182954402659, -88.810515411964],
        [0.3524418294, 0.1640569503, 0.3959419817],
    ),
    "probit": (
        [-0.612396286818, -0.271372867202, 10.055735359364, -88.951945798401],
        [0.18982635470, 0.08127644947, 0.39389783351],
    ),
    "cloglog": (
        [-1.023571271942, -0.513443458976, 10.218149511804, -88.759963602350],
        [0.3239213198, 0.1553912411, 0.3966191998],
    ),
}
CBPP = mixfit.datasets.load("cbpp")


def agrees_with_glmmtmb(fit, reference):
    values, errors = reference
    # glmmTMB stops about 1e-6 away; ours promises no further gain at all.
    assert fit.estimate.decrease < 1e-13
    assert_allclose([*fit.params.iloc[:-1], fit.precision], values[:-1], rtol=2e-6)
    assert_allclose(fit.llf, values[-1], rtol=1e-11)
    assert_allclose(fit.bse, errors, rtol=2e-6)


def test_marginal_estimates_of_the_arms():
    fit = mixfit.beta_binomial(arms.Y, arms.N)
    estimates = fit.estimates()
    for name, digits in (("mean", 4), ("precision", 2)):
        assert round(estimates.loc[name, "estimate"], digits) == arms.MARGINAL[name][0]
        assert round(estimates.loc[name, "se"], digits) == arms.MARGINAL[name][1]
    assert fit.rates()["mode"].round(4).tolist() == arms.MODES
    assert fit.estimate.decrease < 1e-8
    assert_allclose([fit.alpha + fit.beta, fit.alpha / fit.precision], [fit.precision, fit.mean])
    assert_allclose([fit.aic, fit.bic], [4 - 2 * fit.llf, 2 * np.log(10) - 2 * fit.llf])


def test_joint_estimates_of_the_arms():
    fit = mixfit.beta_binomial(arms.Y, arms.N, method="joint")
    assert round(fit.mean, 4) == arms.JOINT["mean"]
    assert round(fit.precision, 2) == arms.JOINT["precision"]
    # The seventh is 0.24915, which the source rounds up.
    assert_allclose(fit.rates()["mode"], arms.JOINT_RATES, atol=6e-5)


def test_joint_estimates_maximize_the_joint_density():
    """Against a search over mean, precision and all ten rates, and the inverse of a numerical Hessian there."""
    fit = mixfit.beta_binomial(arms.Y, arms.N, method="joint")

    def loss(x):
        m, s, p = 1 / (1 + np.exp(-x[0])), np.exp(x[1]), x[2:]
        if not ((p > 0) & (p < 1)).all():
            return np.inf
        return -(binom.logpmf(arms.Y, arms.N, p) + beta.logpdf(p, m * s, (1 - m) * s)).sum()

    start = np.r_[-0.7, 3.3, np.array(arms.Y) / arms.N]
    found = minimize(loss, start, method="BFGS", options={"gtol": 1e-6})
    assert_allclose(found.x[:2], fit.params, rtol=1e-5)
    assert_allclose(found.x[2:], fit.rates()["mode"], atol=1e-6)
    h, k = 1e-4, len(start)
    steps, hessian = h * np.eye(k), np.empty((k, k))
    for i in range(k):
        for j in range(k):
            corners = [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]
            hessian[i, j] = sum(c * loss(found.x + a * steps[i] + b * steps[j]) for a, b, c in corners) / (4 * h * h)
    covariance = np.linalg.inv(hessian)
    assert_allclose(covariance[:2, :2], fit.cov_params(), rtol=1e-3)
    assert_allclose(np.sqrt(covariance.diagonal()[2:]), fit.rates()["mode_se_total"], rtol=1e-3)
    given = np.linalg.inv(hessian[2:, 2:])
    assert_allclose(np.sqrt(given.diagonal()), fit.rates()["mode_se"], rtol=1e-3)


def test_the_joint_density_has_no_maximum_without_overdispersion():
    with pytest.raises(FitError, match=r"joint likelihood .* no maximum .* method='marginal'"):
        mixfit.beta_binomial([30, 31, 29, 30], 100, method="joint")
    with pytest.raises(FitError, match="joint likelihood"):
        mixfit.beta_binomial([0, 0, 5, 9, 10], 10, method="joint")
    # Means so near to one that no start leaves every rate inside (0, 1).
    steep = pd.DataFrame({"y": [8, 0, 5, 0, 4, 5, 2, 1], "n": [8, 2, 7, 9, 4, 5, 2, 1]})
    steep["x"] = [-91.7, 25.5, -0.3, -3.2, -121.3, -47.4, -22.3, -93.7]
    with pytest.raises(FitError, match="joint likelihood"):
        mixfit.beta_binomial("cbind(y, n - y) ~ x", data=steep, method="joint", link="cloglog")


def test_intercept_only_fits_agree_with_glmmtmb():
    agrees_with_glmmtmb(mixfit.beta_binomial(arms.Y, arms.N), GLMMTMB_ARMS)
    agrees_with_glmmtmb(mixfit.beta_binomial("incidence", "size", CBPP, by="herd"), GLMMTMB_HERDS)


def test_fits_with_covariates_agree_with_glmmtmb():
    formula = "cbind(incidence, size - incidence) ~ period"
    agrees_with_glmmtmb(mixfit.beta_binomial(formula, data=CBPP), GLMMTMB_PERIODS)
    data = CBPP.assign(t=CBPP["period"].astype(int))
    for link, reference in GLMMTMB_TREND.items():
        fit = mixfit.beta_binomial("cbind(incidence, size - incidence) ~ t", data=data, link=link)
        agrees_with_glmmtmb(fit, reference)


def test_a_mixed_model_whose_groups_do_not_vary_is_the_same_model():
    data = CBPP.assign(third=np.arange(len(CBPP)) % 3)
    formula = "cbind(incidence, size - incidence) ~ period"
    mixed = mixfit.mixed(f"{formula} + (1|third)", data, family="betabinomial").fit()
    assert mixed.is_singular
    fit = mixfit.beta_binomial(formula, data=data)
    assert_allclose(fit.llf, mixed.llf, rtol=1e-9)
    assert_allclose(fit.precision, mixed.dispersion, rtol=1e-7)
    assert_allclose(fit.params.iloc[:-1], mixed.params, rtol=1e-7)
    # The mixed model's second derivatives are differences of first ones.
    assert_allclose(fit.bse.iloc[:-1], mixed.bse, rtol=1e-4)


def test_moments_of_equal_units_have_a_closed_form():
    """Kleinman (1973): with n trials each, the scatter of the raw rates is m (1 - m) (1/n + rho (1 - 1/n)) (N - 1)."""
    y = np.array(arms.Y)
    fit = mixfit.beta_binomial(y, arms.N, method="moments")
    m = y.mean() / 100
    rho = (np.var(y / 100, ddof=1) / (m * (1 - m)) - 0.01) / 0.99
    assert_allclose([fit.mean, fit.precision], [m, 1 / rho - 1], rtol=1e-12)
    # The sandwich of the mean is the scatter of the rates around it.
    assert_allclose(fit.estimates().loc["mean", "se"], np.std(y / 100) / np.sqrt(10), rtol=1e-12)
    assert_allclose(fit.llf, marginal_terms(y * 1.0, np.full(10, 100.0), np.full(10, m), fit.precision).value.sum())


def test_moments_of_unequal_units_solve_their_equations():
    rng = np.random.default_rng(3)
    n = rng.integers(2, 90, 4000)
    y = rng.binomial(n, rng.beta(2.0, 6.0, 4000))
    fit = mixfit.beta_binomial(y, n, method="moments")
    rho = 1 / (1 + fit.precision)
    v = 1 / n + rho * (1 - 1 / n)
    w = 1 / v
    assert_allclose(fit.mean, w @ (y / n) / w.sum(), rtol=1e-10)
    k, variance = w * (1 - w / w.sum()), fit.mean * (1 - fit.mean)
    assert_allclose(w @ (y / n - fit.mean) ** 2, variance * (k @ v), rtol=1e-10)
    # Truth within three standard errors, and standard errors near those of maximum likelihood.
    assert np.all(np.abs(fit.estimates()["estimate"] - [0.25, 8.0]) < 3 * fit.estimates()["se"])
    marginal = mixfit.beta_binomial(y, n)
    assert_allclose(fit.bse / marginal.bse, 1.0, atol=0.15)


def test_moments_take_no_covariates():
    with pytest.raises(FitError, match="no covariates"):
        mixfit.beta_binomial("cbind(incidence, size - incidence) ~ period", data=CBPP, method="moments")


@pytest.mark.parametrize("method", ["marginal", "moments"])
def test_units_that_vary_less_than_binomial_counts_have_infinite_precision(method):
    fit = mixfit.beta_binomial([30, 31, 29, 30], 100, method=method)
    assert np.isinf(fit.precision)
    assert_allclose(fit.mean, 0.3)
    assert_allclose(fit.llf, binom.logpmf([30, 31, 29, 30], 100, 0.3).sum())
    rates = fit.rates()
    for column in ("mode", "mean", "lower", "upper"):
        assert_allclose(rates[column], 0.3)
    assert (rates["mode_se"] == 0).all()
    assert_allclose(rates["mode_se_total"], fit.estimates().loc["mean", "se"])
    assert np.isnan(fit.estimates().loc["precision", "se"])
    with pytest.raises(FitError, match="nothing to compare"):
        fit.compare(0, 1)
    if method == "marginal":
        assert_allclose(fit.estimates().loc["mean", "se"], np.sqrt(0.3 * 0.7 / 400))


def test_tarones_score_decides_between_a_finite_and_an_infinite_precision():
    """Units of one size: the likelihood has one peak, and where it is shows in the score at infinity."""
    rng, n = np.random.default_rng(11), 40.0
    counts = {True: 0, False: 0}
    for _ in range(60):
        y = rng.binomial(40, rng.beta(30.0, 70.0, 8)).astype(float)
        m = y.mean() / n
        score = (y * (y - 1) / m + (n - y) * (n - y - 1) / (1 - m) - n * (n - 1)).sum()
        fit = mixfit.beta_binomial(y, n)
        assert np.isfinite(fit.precision) == (score > 0)
        counts[bool(score > 0)] += 1
    assert min(counts.values()) > 5


@pytest.mark.parametrize(
    ("y", "n", "s", "gain"),
    [
        ([1508, 106, 2, 720, 128], [1960, 137, 2, 921, 146], 265.52, 0.0422),
        ([4, 1862, 5, 1587, 1, 14, 4, 57, 19, 0], [7, 2175, 8, 1912, 4, 14, 5, 71, 19, 2], 4.2878, 0.9708),
        ([0, 0, 0, 42, 39], [40, 4, 1, 338, 275], 14.988, 0.3061),
    ],
)
def test_the_higher_of_two_peaks_is_found(y, n, s, gain):
    """Units of very unequal size can give the profile of the precision a peak inside and one at infinity."""
    fit = mixfit.beta_binomial(y, n)
    assert_allclose(fit.precision, s, rtol=1e-4)
    y, n = np.array(y, dtype=float), np.array(n, dtype=float)
    assert_allclose(fit.llf - binom.logpmf(y, n, y.sum() / n.sum()).sum(), gain, atol=1e-4)

    def loss(x):
        m = 1 / (1 + np.exp(-x[0]))
        return -marginal_terms(y, n, np.full(len(y), m), float(np.exp(x[1]))).value.sum()

    others = [minimize(loss, [np.log(y.sum() / (n - y).sum()), start], method="Nelder-Mead").fun for start in (0, 3, 6)]
    assert min(others) > -fit.llf - 1e-6


@pytest.mark.parametrize(("alpha", "beta_"), [(0.05, 0.2), (3.0, 9.0), (2e3, 8e3), (1e-2, 10.0)])
def test_many_units_bring_the_parameters_back(alpha, beta_):
    rng = np.random.default_rng(1)
    n = rng.integers(1, 2000, 3000)
    y = rng.binomial(n, rng.beta(alpha, beta_, 3000))
    fit = mixfit.beta_binomial(y, n)
    truth = pd.Series([np.log(alpha / beta_), np.log(alpha + beta_)], index=fit.params.index)
    assert (((fit.params - truth) / fit.bse).abs() < 3.5).all()
    assert fit.estimate.decrease < 1e-8


def test_data_that_leave_a_parameter_open_are_refused():
    cases = [
        ([0, 0, 0], 10, FitError, "No unit has a success"),
        ([10, 10], 10, FitError, "No unit has a failure"),
        ([3], 10, DesignError, "one unit"),
        ([3, 0], [10, 0], DesignError, "one unit"),
        ([0, 10, 10], 10, FitError, "only successes or only failures"),
        ([0, 1, 1], 1, DesignError, "one trial"),
    ]
    for y, n, error, message in cases:
        with pytest.raises(error, match=message):
            mixfit.beta_binomial(y, n)


def test_separation_and_saturation_are_refused():
    data = pd.DataFrame({"y": [0, 0, 7, 9, 1, 3], "n": 10, "g": list("aabbcc"), "unit": list("uvwxyz")})
    with pytest.raises(FitError, match=r"separate .* unit 'u'"):
        mixfit.beta_binomial("cbind(y, n - y) ~ g", data=data, by="unit")
    with pytest.raises(DesignError, match="6 units with trials cannot place 6 coefficients"):
        mixfit.beta_binomial("cbind(y, n - y) ~ unit", data=data)


def test_units_alike_are_evaluated_once(monkeypatch):
    rng = np.random.default_rng(8)
    x = rng.integers(0, 3, 600)
    n = rng.integers(0, 12, 600)
    y = rng.binomial(n, rng.beta(2 + x, 5))
    data = pd.DataFrame({"y": y, "n": n, "x": x})

    def fitted():
        fit = mixfit.beta_binomial("cbind(y, n - y) ~ x", data=data)
        return fit.llf, fit.estimates(), fit.conf_int()

    once = fitted()
    units = Units(y * 1.0, n * 1.0, x[:, None] * 1.0, np.zeros(600), pd.RangeIndex(600), ("x",), np.ones(600))
    found = units.distinct()
    assert len(found) < 250
    assert found.times.sum() == 600
    assert found.distinct() is found
    assert_allclose(found.times @ found.y, y.sum())
    monkeypatch.setattr(Units, "distinct", lambda self: self)
    each = fitted()
    assert_allclose(once[0], each[0], rtol=1e-12)
    assert_allclose(once[1], each[1], rtol=1e-7)
    assert_allclose(once[2], each[2], rtol=1e-7)
