"""Wald and profile intervals."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize, minimize_scalar
from scipy.special import betaln, gammaln, log_ndtr
from scipy.stats import binom, chi2, norm

import mixfit
from mixfit.errors import FitError
from mixfit.rates.likelihood import marginal_terms
from tests.rates import arms

# confint(method = "profile") of glmmTMB 1.1.5, betabinomial: (Intercept) and log phi.
GLMMTMB = [[-1.037586, -0.3875191], [2.013374, 4.2101038]]


@pytest.fixture(scope="module")
def fit():
    return mixfit.beta_binomial(arms.Y, arms.N)


def test_profile_intervals_agree_with_glmmtmb(fit):
    # Its limits are interpolated between points of the profile.
    assert_allclose(fit.conf_int(scale="working"), GLMMTMB, rtol=2e-5)


def test_the_precision_has_the_published_profile_interval(fit):
    assert fit.conf_int().loc["precision"].round(1).tolist() == list(arms.PRECISION_PROFILE)


def test_at_the_limits_the_profile_has_fallen_by_the_quantile(fit):
    """The largest log-likelihood at a limit, by a bounded search over the other parameter."""
    y, n = np.array(arms.Y, dtype=float), np.full(10, float(arms.N))

    def loglik(eta, log_s):
        m = np.full(10, 1 / (1 + np.exp(-eta)))
        return marginal_terms(y, n, m, float(np.exp(log_s))).value.sum()

    limits = fit.conf_int(level=0.9, scale="working").to_numpy()
    fall = 0.5 * chi2.ppf(0.9, 1)
    for eta in limits[0]:
        best = minimize_scalar(lambda x, eta=eta: -loglik(eta, x), bounds=(-3, 12), method="bounded")
        assert_allclose(fit.llf + best.fun, fall, atol=1e-6)
    for log_s in limits[1]:
        best = minimize_scalar(lambda x, log_s=log_s: -loglik(x, log_s), bounds=(-4, 3), method="bounded")
        assert_allclose(fit.llf + best.fun, fall, atol=1e-6)


def test_profile_intervals_are_the_same_on_both_scales(fit):
    natural, working = fit.conf_int(), fit.conf_int(scale="working")
    assert_allclose(natural.loc["precision"], np.exp(working.loc["log(precision)"]))
    assert_allclose(natural.loc["mean"], 1 / (1 + np.exp(-working.loc["Intercept"])))


def test_wald_intervals_are_estimates_and_standard_errors(fit):
    z = norm.ppf(0.975)
    values = fit.estimates()
    expected = np.column_stack([values["estimate"] - z * values["se"], values["estimate"] + z * values["se"]])
    wald = fit.conf_int(method="wald")
    assert_allclose(wald, expected)
    assert wald.loc["precision", 0] < 0 < fit.conf_int().loc["precision", 0]
    working = fit.conf_int(method="wald", scale="working")
    assert_allclose(working[1], fit.params + z * fit.bse)
    # Standard errors of the two scales differ by the slope of the transformation.
    assert_allclose(values.loc["precision", "se"], fit.precision * fit.bse["log(precision)"])
    assert_allclose(values.loc["mean", "se"], fit.mean * (1 - fit.mean) * fit.bse["Intercept"])


def test_the_upper_limit_of_the_precision_may_be_infinite():
    weak = mixfit.beta_binomial([28, 34, 23, 37], 100)
    assert np.isfinite(weak.precision)
    limits = weak.conf_int().loc["precision"]
    assert np.isfinite(limits[0])
    assert np.isinf(limits[1])
    # The binomial itself is within the interval.
    assert weak.llf - binom.logpmf([28, 34, 23, 37], 100, 0.305).sum() < 0.5 * chi2.ppf(0.95, 1)


def test_an_infinite_precision_has_a_finite_lower_limit():
    fit = mixfit.beta_binomial([30, 31, 29, 30], 100)
    lower, upper = fit.conf_int().loc["precision"]
    assert np.isinf(upper)
    y, n = np.array([30.0, 31.0, 29.0, 30.0]), np.full(4, 100.0)
    best = minimize_scalar(
        lambda x: -marginal_terms(y, n, np.full(4, x), lower).value.sum(), bounds=(0.2, 0.4), method="bounded"
    )
    assert_allclose(fit.llf + best.fun, 0.5 * chi2.ppf(0.95, 1), atol=1e-6)
    assert np.isnan(fit.conf_int(method="wald").loc["precision"]).all()


def test_intervals_with_covariates():
    data = mixfit.datasets.load("cbpp")
    fit = mixfit.beta_binomial("cbind(incidence, size - incidence) ~ period", data=data)
    natural = fit.conf_int()
    assert natural.index.tolist() == ["Intercept", "period[T.2]", "period[T.3]", "period[T.4]", "precision"]
    assert_allclose(natural.iloc[:-1], fit.conf_int(scale="working").iloc[:-1])
    # At a limit of one coefficient the others are at their best: the same model with its column as an offset.
    limit = natural.loc["period[T.4]", 0]
    held = data.assign(z=limit * (data["period"].astype(int) == 4), b=data["period"].astype(int) == 2)
    held["c"] = data["period"].astype(int) == 3
    other = mixfit.beta_binomial("cbind(incidence, size - incidence) ~ b + c + offset(z)", data=held)
    assert_allclose(2 * (fit.llf - other.llf), chi2.ppf(0.95, 1), atol=1e-6)


# Covariates on long scales, and limits far from the estimates: on the way means are 0 or 1 to all digits.
FAR = {
    "probit": (
        [6, 1, 0, 1, 3, 0, 0, 0],
        [10, 1, 1, 1, 3, 0, 3, 3],
        [608.1, 722.9, -2171.3, 494.5, 416.3, 679.5, -675.5, 508.5],
    ),
    "cloglog": ([3, 2, 0, 0, 0], [3, 3, 3, 1, 10], [-0.00566, -0.00699, 0.04020, -0.06094, 0.25770]),
}


@pytest.mark.parametrize("link", ["probit", "cloglog"])
def test_limits_beyond_which_means_are_at_an_end(link):
    y, n, x = (np.array(values, dtype=float) for values in FAR[link])
    fit = mixfit.beta_binomial("cbind(y, n - y) ~ x", data=pd.DataFrame({"y": y, "n": n, "x": x}), link=link)
    limits = fit.conf_int(scale="working").loc[["Intercept", "x"]].to_numpy()
    assert np.isfinite(limits).all()
    scale = np.abs(x).max()

    def deviance(intercept, slope, log_s):
        eta = intercept + slope * x
        if link == "probit":
            log_m, log_q = log_ndtr(eta), log_ndtr(-eta)
        else:
            log_q = -np.exp(np.minimum(eta, 10.0))
            log_m = np.log(-np.expm1(log_q))
        a, b = (np.maximum(np.exp(v + log_s), 1e-280) for v in (log_m, log_q))
        chosen = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
        return -2.0 * (chosen + betaln(y + a, n - y + b) - betaln(a, b)).sum()

    tight = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 1000}
    for which, ends in enumerate(limits):
        for limit in ends:
            best = np.inf
            for free in (0.0, -2.0, 2.0, 6.0):
                for log_s in (-1.0, 2.0):

                    def held(z, limit=limit, which=which):
                        at = (limit, z[0] / scale) if which == 0 else (z[0], limit)
                        return deviance(*at, min(z[1], 14.0))

                    best = min(best, minimize(held, [free, log_s], method="Nelder-Mead", options=tight).fun)
            assert_allclose(best - -2.0 * fit.llf, chi2.ppf(0.95, 1), atol=1e-4)


def test_other_methods_have_wald_intervals_only():
    for method in ("joint", "moments"):
        fit = mixfit.beta_binomial(arms.Y, arms.N, method=method)
        with pytest.raises(FitError, match=f"{method!r} maximizes no likelihood .* method='wald'"):
            fit.conf_int()
        with pytest.raises(FitError, match="An AIC is for method='marginal'"):
            _ = fit.aic
        assert fit.conf_int(method="wald").notna().all(axis=None)


def test_unknown_options_are_refused(fit):
    with pytest.raises(FitError, match="'profile' or 'wald'"):
        fit.conf_int(method="bootstrap")
    with pytest.raises(FitError, match="level must lie between 0 and 1"):
        fit.conf_int(level=1.5)
