"""docs/trial_arms.md: every number of its source and of its prose."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import chi2

import mixfit
from mixfit.errors import FitError
from tests.docs.pages import run
from tests.rates import arms

# The page runs as its build runs it.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page():
    return run("trial_arms.md")


@pytest.fixture(scope="module")
def names(page):
    return page.names


def test_the_page_reproduces_its_source(names):
    assert names["arms"]["events"].tolist() == arms.Y
    fit, joint, table = names["fit"], names["joint"], names["table"]
    assert round(joint.mean, 4) == arms.JOINT["mean"]
    assert round(joint.precision, 2) == arms.JOINT["precision"]
    estimates = fit.estimates()
    assert tuple(estimates.loc["mean"].round(4)) == arms.MARGINAL["mean"]
    assert tuple(estimates.loc["precision"].round(2)) == arms.MARGINAL["precision"]
    # One of the joint rates is 0.24915: its source cut off or rounded the fourth digit otherwise.
    assert_allclose(table["joint"], arms.JOINT_RATES, atol=6e-5)
    assert table["mode"].round(4).tolist() == arms.MODES
    assert_allclose(names["fit"].conf_int().loc["precision"], arms.PRECISION_PROFILE, atol=0.05)


def test_what_the_page_prints(page):
    for part in (
        "from 0.17 to 0.49, standard deviation 0.1133",
        "precision   32.0192  19.9380",
        "0.0815 by m and s, 0.0827 among the ten estimated rates",
        "precision   23.1435  12.5620",
        "0.00762 + 0.00171 = 0.00933; by m and s 0.00913",
        "F above D: 0.551",
        "[7.99, 67.06]",
        "mean of the logits -0.7515 ± 0.1592",
    ):
        assert part in page.printed


def test_numbers_of_the_story(page, names):
    fit, joint, rates = names["fit"], names["joint"], names["fit"].rates()
    lowest, lowest_mean = rates.loc["I", "raw"], rates.loc["I", "mean"]
    share = fit.precision / (fit.precision + 100)
    page.says(
        f"standard deviation of {np.sqrt(fit.mean * (1 - fit.mean) / 100):.3f}. They scatter more than twice as much",
        f"arm I from {lowest:.2f} to {joint.rates().loc['I', 'mode']:.4f}",
        f"comes to rest at $s = {joint.precision:.0f}$.",
        f"The precision is {fit.precision:.2f} where the joint likelihood had {joint.precision:.2f}",
        f"too large by {100 * (joint.precision / fit.precision - 1):.0f} per cent",
        f"The rates have a standard deviation of {names['spread'](fit):.4f}",
        f"Arm I goes from {lowest:.2f} to about {lowest_mean:.2f}",
        f"arm F from {rates.loc['F', 'raw']:.2f} to about {rates.loc['F', 'mean']:.2f}",
        f"$s / (n + s)$, or {100 * share:.0f} per cent",
    )
    assert names["raw"].std() > 2 * 0.047
    assert_allclose(rates["raw"] - rates["mean"], share * (rates["raw"] - fit.mean))
    # Twenty patients: more than half of the way; a third more precision than there is.
    assert fit.precision / (fit.precision + 20) > 0.5
    assert joint.precision / fit.precision > 4 / 3
    # F is the highest arm, D next to it, I the lowest.
    assert rates["raw"].sort_values().index.tolist()[-2:] == ["D", "F"]
    assert rates["raw"].idxmin() == "I"


def test_the_hill_the_valley_and_the_slope(page, names):
    joint, y = names["joint"], np.array(arms.Y)
    grid = np.geomspace(5.0, 1e8, 400)
    values = np.array([names["log_density"](joint.mean, s, y, 100) for s in grid])
    turns = grid[1:-1][np.diff(np.sign(np.diff(values))) != 0]
    assert_allclose(turns, [32.0, 300.0], rtol=0.1)
    assert (np.diff(values[grid > 400]) > 0).all()
    page.says(
        "a hill at 32, a valley near 300",
        "Bring the arms 15 per cent closer to their mean and there is not even a hill",
    )
    closer = np.round(y.mean() + 0.85 * (y - y.mean()))
    with pytest.raises(FitError, match="no maximum"):
        mixfit.beta_binomial(closer, 100, method="joint")


def test_numbers_of_the_intervals(page, names):
    fit = names["fit"]
    wald, profile = fit.conf_int(method="wald").loc["precision"], fit.conf_int().loc["precision"]
    assert wald[0] < 0
    page.says(
        f"it ends at {wald[1]:.0f}, which is too early",
        f"within {chi2.ppf(0.95, 1):.2f} (the 95 per cent point",
        f"It runs from {profile[0]:.2f} to {profile[1]:.2f}",
        f"with $s = {profile[0]:.2f}$ an arm would go {100 * profile[0] / (100 + profile[0]):.0f} per cent of its way",
        f"with {profile[1]:.2f} it would go {100 * profile[1] / (100 + profile[1]):.0f} per cent",
    )
    # A factor of three on either side.
    assert_allclose([fit.precision / profile[0], profile[1] / fit.precision], 3.0, atol=0.1)


def test_numbers_of_the_mixed_model(page, names):
    fit, glmm = names["fit"], names["glmm"]
    median, variance = 1 / (1 + np.exp(-glmm.params["Intercept"])), fit.mean * (1 - fit.mean)
    width = names["spread"](fit) / variance
    page.says(
        f"log-likelihoods differ by {glmm.llf - fit.llf:.2f}.",
        f"The inverse logit of −{-glmm.params['Intercept']:.4f} is {median:.4f}, below $m = {fit.mean:.4f}$",
        f"is {names['spread'](fit):.4f} / {variance:.4f} = {width:.2f}",
    )
    # The mean over the logit's normal distribution lies nearer to one half.
    u, w = np.polynomial.hermite_e.hermegauss(41)
    mean = (w / w.sum()) @ (1 / (1 + np.exp(-(glmm.params["Intercept"] + glmm.theta[0] * u))))
    assert median < mean < 0.5
    # The mixed model's rates are nearer to the posterior means than to the modes, all together.
    rates = fit.rates()
    distances = [np.abs(glmm.fittedvalues.to_numpy() - rates[c]).sum() for c in ("mean", "mode")]
    assert distances[0] < 0.5 * distances[1]
    # The density of the logit of Beta(a, b), p^a (1 - p)^b, has its peak at a / (a + b).
    a, b = 22 + fit.alpha, 78 + fit.beta
    z = np.linspace(-3, 1, 400_001)
    peak = z[np.argmax(-a * np.log1p(np.exp(-z)) - b * np.log1p(np.exp(z)))]
    assert_allclose(1 / (1 + np.exp(-peak)), a / (a + b), atol=1e-5)


def test_the_figures(names):
    # The curve reaches the level at the ends of the interval, and is zero at the estimate.
    fit, fall = names["fit"], names["fall"]
    ends = fit.conf_int().loc["precision"]
    assert_allclose([fall(s) for s in ends], chi2.ppf(0.95, 1), atol=1e-3)
    assert_allclose(fall(fit.precision), 0.0, atol=1e-6)


def test_simulated_arms(page, names):
    runs, (raw, shrunken) = names["runs"], names["typical"]
    means = runs.mean()
    gain = 1 - (shrunken / raw) ** 2
    page.says(
        f"A raw rate is off by {raw:.4f} (root mean square), a posterior mean by {shrunken:.4f}.",
        f"a gain of {100 * gain:.0f} per cent of the squared error",
        f"is on average {-means['raw, of the lowest']:.3f} too low",
        f"Its posterior mean is {means['mean, of the lowest']:.3f} too high",
        f"hold the truth in {100 * means['inside']:.0f} per cent of all cases",
    )
    # "Most ... but not all", and twenty patients: far larger.
    once, truth = names["once"], np.sort(np.random.default_rng(4).beta(names["fit"].alpha, names["fit"].beta, 10))
    nearer = (once["mean"] - truth).abs() < (once["raw"] - truth).abs()
    assert 5 < nearer.sum() < 10
    rng, errors = np.random.default_rng(1), []
    for _ in range(100):
        p = rng.beta(names["fit"].alpha, names["fit"].beta, 10)
        found = mixfit.beta_binomial(rng.binomial(20, p), 20).rates()
        errors.append([((found[name] - p) ** 2).mean() for name in ("raw", "mean")])
    squared = np.mean(errors, axis=0)
    assert 1 - squared[1] / squared[0] > 3 * gain


def test_the_precision_comes_out_too_large_more_often_than_not(names):
    fit, rng = names["fit"], np.random.default_rng(2)
    found = [
        mixfit.beta_binomial(rng.binomial(100, rng.beta(fit.alpha, fit.beta, 10)), 100).precision for _ in range(200)
    ]
    assert np.mean(np.array(found) > fit.precision) > 0.55


def test_the_call_with_a_covariate_that_the_page_names(page):
    page.says('mixfit.beta_binomial("cbind(events, patients - events) ~ region", data=arms, by="arm")')
    data = pd.DataFrame({"arm": list("ABCDEFGHIJ"), "events": arms.Y, "patients": 100, "region": list("uvuvuvuvuv")})
    fit = mixfit.beta_binomial("cbind(events, patients - events) ~ region", data=data, by="arm")
    assert fit.means.nunique() == 2
