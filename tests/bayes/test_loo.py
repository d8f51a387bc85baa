"""Leave-one-out densities against dense conditional distributions, and against refitting."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom, multivariate_normal

import mixfit
from mixfit.bayes import Normal, Priors
from mixfit.bayes.collapsed import CollapsedPosterior
from mixfit.bayes.left_out import group_densities, row_densities
from mixfit.bayes.levels import LevelPosterior
from mixfit.bayes.resolve import resolve
from mixfit.errors import FitError
from mixfit.lmm.batch.singly import Singly
from tests.bayes.models import SLEEP, places, posterior_of


def joint(density, x):
    """Mean and covariance of y given theta, sigma and v."""
    design, X, inverse = density.fit.model.design, density.fit.model.exog, np.linalg.inv(density.priors.contrasts)
    log_v = iter(x[density.log_v])
    mean = [p.location if hasattr(p, "df") else p.mean for p in density.priors.fixed]
    spread = [p.scale * np.exp(0.5 * next(log_v)) if hasattr(p, "df") else p.sd for p in density.priors.fixed]
    n, sigma = len(design.y), float(np.exp(x[density.log_sigma]))
    v = sigma**2 * np.diag(np.ones(n) if design.weights is None else 1.0 / design.weights)
    for at, own, r in zip(density.terms, density.priors.coordinates, design.random, strict=True):
        t = sigma * own.templates(x[None, at])[0]
        z = np.zeros((n, r.grouping.n_levels, len(r.columns)))
        z[np.arange(n), r.grouping.codes] = r.Z
        v += np.einsum("nqa,ab,mqb->nm", z, t @ t.T, z)
    half = X @ inverse @ np.diag(spread)
    return X @ inverse @ np.array(mean), v + half @ half.T


@pytest.mark.parametrize("case", ["decov", "crossed", "nested", "three columns"])
def test_the_density_of_a_row_given_the_others(case):
    density = posterior_of(case)
    x = places(density, 2)
    found, _ = row_densities(density, x)
    for own, place in zip(found, x, strict=True):
        mean, covariance = joint(density, place)
        precision = np.linalg.inv(covariance)
        e, c = precision @ (density.fit.model.design.y - mean), np.diagonal(precision)
        assert_allclose(own, 0.5 * np.log(c / (2 * np.pi)) - 0.5 * e**2 / c, rtol=1e-8)


def test_weights_count():
    pulp = mixfit.datasets.load("pulp").assign(w=np.tile([1.0, 2.0, 0.5, 1.0], 5))
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", pulp, weights="w").fit()
    density = CollapsedPosterior(fit, resolve("rstanarm", fit.model, residual=True))
    x = places(density, 1)
    mean, covariance = joint(density, x[0])
    precision = np.linalg.inv(covariance)
    e, c = precision @ (fit.model.design.y - mean), np.diagonal(precision)
    assert_allclose(row_densities(density, x)[0][0], 0.5 * np.log(c / (2 * np.pi)) - 0.5 * e**2 / c, rtol=1e-9)


def test_against_the_evidence_without_the_row():
    """log p(y_i | y_-i) = log p(y) - log p(y_-i), each by its own points."""
    yields = mixfit.datasets.load("dyestuff")
    priors = Priors(intercept=Normal(1500, 100))
    sampled = {"priors": _fixed_scales(priors), "draws": 16_000, "seed": 1}
    whole = mixfit.mixed("Yield ~ 1 + (1 | Batch)", yields).fit().sample(**sampled)
    found = whole.loo()
    assert found.serves
    for i in (0, 17):
        without = mixfit.mixed("Yield ~ 1 + (1 | Batch)", yields.drop(index=i)).fit().sample(**sampled)
        assert abs(found.rows["elpd"].iloc[i] - (whole.evidence.log - without.evidence.log)) < 0.01


def _fixed_scales(priors):
    """Scales that do not move with the data."""
    from dataclasses import replace

    from mixfit.bayes import Exponential

    return replace(priors, sigma=Exponential(0.02))


def test_the_sums_of_the_reference():
    """The summary of loo::loo(stan_lmer(Yield ~ 1 + (1 | Batch), dyestuff)) with these priors.

    Its weights are of all parameters, with k-hat up to 0.44.
    """
    priors = _fixed_scales(Priors(intercept=Normal(1500, 100)))
    found = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit().sample(priors, seed=1).loo()
    assert_allclose([found.elpd, found.se], [-164.01, 2.65], atol=0.1)
    assert_allclose(found.p, 5.56, atol=0.3)


def test_a_large_design_is_refused():
    density = CollapsedPosterior(posterior_of("decov").fit, posterior_of("decov").priors)
    density.__dict__["_thetas"] = Singly(density.fit.model.assembly.problem)
    with pytest.raises(FitError, match="too large"):
        row_densities(density, density.start()[None])


@pytest.mark.parametrize(
    ("case", "factor"),
    [
        ("decov", "Subject"),
        ("crossed", "sample"),
        ("crossed", "plate"),
        ("nested", "batch"),
        ("three columns", "Subject"),
    ],
)
def test_the_density_of_a_group_given_the_others(case, factor):
    density = posterior_of(case)
    x = places(density, 2)
    grouping = next(r.grouping for r in density.fit.model.design.random if r.grouping.name == factor)
    found, own = group_densities(density, x, grouping.codes)
    y = density.fit.model.design.y
    for at, place in enumerate(x):
        mean, covariance = joint(density, place)
        precision = np.linalg.inv(covariance)
        for j in range(grouping.n_levels):
            rows = np.flatnonzero(grouping.codes == j)
            inside = np.linalg.inv(precision[np.ix_(rows, rows)])
            centre = y[rows] - inside @ (precision[rows] @ (y - mean))
            assert_allclose(found[at, j], multivariate_normal(centre, inside).logpdf(y[rows]), rtol=1e-8)
    # Only levels of the outermost factor stand apart from the others.
    assert (own is None) == (case == "crossed")


def test_groups_of_unequal_size_and_weights():
    sleep = mixfit.datasets.load("sleepstudy").drop(index=[3, 4, 25])
    sleep["w"] = np.tile([1.0, 2.0, 0.5], len(sleep) // 3)
    fit = mixfit.mixed(SLEEP, sleep, weights="w").fit()
    density = CollapsedPosterior(fit, resolve("rstanarm", fit.model, residual=True))
    x = places(density, 1)
    codes, y = fit.model.design.random[0].grouping.codes, fit.model.design.y
    mean, covariance = joint(density, x[0])
    found = group_densities(density, x, codes)[0][0]
    for j in (0, 2, 17):
        own, rest = codes == j, codes != j
        gain = covariance[np.ix_(own, rest)] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
        spread = covariance[np.ix_(own, own)] - gain @ covariance[np.ix_(rest, own)]
        centre = mean[own] + gain @ (y[rest] - mean[rest])
        assert_allclose(found[j], multivariate_normal(centre, spread).logpdf(y[own]), rtol=1e-8)


def test_groups_against_the_evidence_without_the_group():
    yields = mixfit.datasets.load("dyestuff")
    sampled = {"priors": _fixed_scales(Priors(intercept=Normal(1500, 100))), "draws": 16_000, "seed": 1}
    whole = mixfit.mixed("Yield ~ 1 + (1 | Batch)", yields).fit().sample(**sampled)
    found = whole.loo("group")
    assert found.serves
    rest = yields[yields["Batch"] != "C"].assign(Batch=lambda d: d["Batch"].cat.remove_unused_categories())
    without = mixfit.mixed("Yield ~ 1 + (1 | Batch)", rest).fit().sample(**sampled)
    assert abs(found.rows.loc["C", "elpd"] - (whole.evidence.log - without.evidence.log)) < 0.02
    # What groups say of mean and two variances.
    assert 1.0 < found.p < 5.0


@pytest.fixture(scope="module")
def herds():
    cbpp = mixfit.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, cbpp, family="binomial").fit().sample(seed=1, draws=2000)


def test_left_out_of_a_generalized_model(herds):
    """Against one-dimensional integrals by a fine grid."""
    fit, density = herds.fit, LevelPosterior(herds.fit, herds.priors)
    beta, x = herds.kept.beta[0, :2], herds.kept.x[0, :2]
    without, with_all, levels = density.left_out(beta, x)
    codes, y = fit.model.design.random[0].grouping.codes, fit.model.design.y
    u, step = np.linspace(-9, 9, 4001, retstep=True)
    for s in range(2):
        fixed = fit.model.exog @ beta[s]
        for i in (0, 4, 30):
            own = np.flatnonzero(codes == codes[i])
            rows = np.stack(
                [fit.family.loglik(y[own], fit.prior[own], fixed[own] + np.exp(x[s, 0]) * v, 1.0) for v in u]
            )
            normal = np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi) * step
            whole, mine = np.exp(rows.sum(axis=1)) @ normal, rows[:, own == i][:, 0]
            assert_allclose(levels[s, codes[i]], np.log(whole), rtol=1e-5)
            assert_allclose(without[s, i], np.log(whole / (np.exp(rows.sum(axis=1) - mine) @ normal)), rtol=1e-4)
            assert_allclose(with_all[s, i], np.log(np.exp(rows.sum(axis=1) + mine) @ normal / whole), rtol=1e-4)


def test_sums_of_a_generalized_model(herds):
    by_row, by_group = herds.loo(), herds.loo(level="herd")
    assert by_row.serves
    assert by_group.serves
    assert by_group.rows.index.tolist() == [str(i) for i in range(1, 16)]
    # WAIC approximates the same, with weights of all parameters.
    assert abs(herds.waic().elpd - by_row.elpd) < 4.0
    # Rows tell of fifteen herds beside four coefficients and a deviation, herds of these five alone.
    assert by_row.p > by_group.p


def test_waic_is_of_the_draws(herds):
    found, eta = herds.waic(), herds.fit.model.exog @ herds.kept.beta.reshape(2000, -1).T
    codes = herds.fit.model.design.random[0].grouping.codes
    eta = eta + herds.kept.effects[0].reshape(2000, -1).T[codes]
    y, size = herds.fit.model.design.y, herds.fit.prior
    log_density = binom(size[:, None], 1 / (1 + np.exp(-eta))).logpmf((y * size)[:, None])
    assert_allclose(found.rows["p"], log_density.var(axis=1, ddof=1))
    assert_allclose(found.elpd, (np.log(np.exp(log_density).mean(axis=1)) - log_density.var(axis=1, ddof=1)).sum())


def test_waic_of_a_linear_model_nears_leave_one_out():
    drawn = mixfit.mixed(SLEEP, mixfit.datasets.load("sleepstudy")).fit().sample(seed=1)
    found = drawn.waic()
    assert abs(found.elpd - drawn.loo().elpd) < 4.0
    assert not found.serves
    assert "see loo()" in repr(found)


def test_what_cannot_be_left_out(herds):
    with pytest.raises(FitError, match="one of 'row', 'group', 'herd'"):
        herds.loo("hred")
    two = mixfit.mixed("strength ~ 1 + (1 | batch/cask)", mixfit.datasets.load("pastes")).fit().sample(seed=1)
    with pytest.raises(FitError, match="say which"):
        two.loo("group")
    assert len(two.loo("batch").rows) == 10
    ticks = mixfit.datasets.load("grouseticks")
    nested = mixfit.mixed("TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION)", ticks, family="poisson").fit()
    with pytest.raises(FitError, match="several grouping factors are not integrated out"):
        nested.sample(prior_only=True, draws=80, seed=1).loo("BROOD")


def test_groups_of_a_family_with_a_dispersion_are_refused_for_that():
    sal = mixfit.datasets.load("salamanders")
    fit = mixfit.mixed("count ~ mined + (1 | site)", sal, family="nbinom2").fit()
    with pytest.raises(FitError, match="nbinom2 family, which has a dispersion"):
        fit.sample(prior_only=True, draws=80, seed=1).loo("group")
