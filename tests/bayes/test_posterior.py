"""What a posterior says of its draws."""

import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixfit
from mixfit.bayes import Decov, Exponential, Normal, Priors
from mixfit.errors import FitError, MissingPackageError, NewLevelError, PriorError
from tests.bayes.models import SLEEP


@pytest.fixture(scope="module")
def fit():
    return mixfit.mixed(SLEEP, mixfit.datasets.load("sleepstudy")).fit()


@pytest.fixture(scope="module")
def posterior(fit):
    return fit.sample(seed=1)


def test_the_same_seed_gives_the_same_draws(fit, posterior):
    again = fit.sample(seed=1)
    for a, b in zip(
        (again.kept.x, again.kept.beta, *again.kept.effects),
        (posterior.kept.x, posterior.kept.beta, *posterior.kept.effects),
        strict=True,
    ):
        assert_array_equal(a, b)
    assert not np.array_equal(fit.sample(seed=2).kept.beta, posterior.kept.beta)


def test_names(posterior):
    names = posterior.summary().index.tolist()
    assert names == [
        "Intercept",
        "Days",
        "sigma",
        "sd(Subject, Intercept)",
        "sd(Subject, Days)",
        "cor(Subject, Intercept, Days)",
    ]
    whole = posterior.summary(ranef=True)
    assert len(whole) == 6 + 36
    assert "ranef(Subject, 308, Days)" in whole.index
    assert posterior.varcorr().index.tolist() == names[2:]


def test_tables_are_of_the_draws(posterior):
    table, draws = posterior.summary(ranef=True), posterior.draws
    for name in ("Days", "sigma", "cor(Subject, Intercept, Days)", "ranef(Subject, 308, Days)"):
        assert_allclose(table.loc[name, "mean"], draws[name].mean())
        assert_allclose(table.loc[name, "95%"], np.quantile(draws[name], 0.95))
    assert_allclose(posterior.quantiles([0.5]).loc["Days", 0.5], table.loc["Days", "median"])
    frame = posterior.to_frame()
    assert frame.shape == (4000, 6)
    assert_array_equal(frame.loc[2, "Days"], draws["Days"][2])
    assert_array_equal(draws["ranef(Subject)"][:, :, 0, 1], draws["ranef(Subject, 308, Days)"])
    assert_allclose(posterior.ranef()["Subject"].loc["308", "Days"], table.loc["ranef(Subject, 308, Days)", "mean"])
    sd = posterior.ranef(sd=True)["Subject"]["sd"].loc["308", "Days"]
    assert_allclose(sd, table.loc["ranef(Subject, 308, Days)", "sd"])


def test_covariances_of_the_effects_are_those_of_the_parameters(posterior):
    t = posterior.templates(0)
    draws = posterior.draws
    assert_allclose(np.linalg.norm(t, axis=2)[:, 1], draws["sd(Subject, Days)"].reshape(-1))
    rho = (t[:, 1, 0] * t[:, 0, 0]) / np.linalg.norm(t, axis=2).prod(axis=1)
    assert_allclose(rho, draws["cor(Subject, Intercept, Days)"].reshape(-1), atol=1e-12)


def test_trajectories_and_points_agree(fit, posterior):
    other = fit.sample(seed=3, method="hmc", draws=1200)
    assert other.sampler.divergences == 0
    a, b = posterior.summary(), other.summary()
    gap = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
    assert gap.abs().max() < 4
    assert {"accepted", "bfmi"} <= set(other.diagnostics().index)


def test_it_pickles(posterior):
    again = pickle.loads(pickle.dumps(posterior))
    pd.testing.assert_frame_equal(again.summary(), posterior.summary())


def test_a_method_that_is_none(fit):
    with pytest.raises(FitError, match="'nuts': posteriors are drawn by 'auto'"):
        fit.sample(method="nuts")


def test_too_few_draws(fit):
    with pytest.raises(FitError, match="too few to tell whether the chains agree"):
        fit.sample(draws=20)


def test_hypotheses(posterior):
    days = posterior.draws["Days"]
    assert posterior.hypothesis("Days > 10").probability == (days > 10).mean()
    assert posterior.hypothesis("10 < Days").probability == (days > 10).mean()
    ratio = posterior.draws["sd(Subject, Days)"] / posterior.draws["sigma"]
    found = posterior.hypothesis("sd(Subject, Days) - 0.25 * sigma < 2 * (1 - 1)")
    assert found.probability == (ratio < 0.25).mean()
    assert_allclose(found.odds, found.probability / (1 - found.probability))
    assert 0 < found.error < 0.02


@pytest.mark.parametrize("statement", ["Days", "Days > 1 > 0", "Dys > 0", "Days > 1 +", "Days > (1", "Days 2 > 1"])
def test_what_is_no_hypothesis(posterior, statement):
    with pytest.raises(FitError, match=r"hypothesis|cannot be read"):
        posterior.hypothesis(statement)


def test_predictions_of_own_rows(fit, posterior):
    kept, design = posterior.kept, fit.model.design
    beta, b = kept.beta.reshape(4000, 2), kept.effects[0].reshape(4000, 18, 2)
    eta = np.einsum("np,sp->sn", fit.model.exog, beta)
    eta += np.einsum("nk,snk->sn", design.random[0].Z, b[:, design.random[0].grouping.codes])
    table = posterior.predict()
    assert_allclose(table["mean"], eta.mean(axis=0))
    assert_allclose(table["sd"], eta.std(axis=0, ddof=1))
    new = posterior.predict(kind="predictive", seed=1)
    sigma = posterior.draws["sigma"]
    assert_allclose(new["sd"], np.sqrt(eta.var(axis=0) + (sigma**2).mean()), rtol=0.1)
    population = posterior.predict(re_form="population")
    assert_allclose(population["mean"], fit.model.exog @ beta.mean(axis=0))


def test_predictions_of_new_levels(posterior):
    new = pd.DataFrame({"Days": [0, 0, 9], "Subject": ["308", "x", "x"]})
    with pytest.raises(NewLevelError, match="x"):
        posterior.predict(new)
    zero, drawn = posterior.predict(new, new_levels="zero"), posterior.predict(new, new_levels="sample", seed=2)
    assert_allclose(zero.loc[0], drawn.loc[0])
    beta, sd = posterior.draws["Intercept"], posterior.draws["sd(Subject, Intercept)"]
    assert_allclose(zero.loc[1, "sd"], beta.std(ddof=1))
    assert_allclose(drawn.loc[1, "sd"], np.sqrt(beta.var() + (sd**2).mean()), rtol=0.06)


def test_simulated_responses_have_the_mean_and_spread_of_the_data(fit, posterior):
    drawn = posterior.simulate(seed=4)
    assert drawn.shape == (180, 4000)
    y = fit.model.design.y
    means, spreads = drawn.mean(), drawn.std()
    assert means.quantile(0.05) < y.mean() < means.quantile(0.95)
    assert spreads.quantile(0.02) < y.std(ddof=1) < spreads.quantile(0.98)
    with pytest.raises(FitError, match="4000 draws"):
        posterior.simulate(4001)


def test_the_prior_alone(fit):
    priors = Priors(fixed=Normal(0, 20), intercept=Normal(300, 10))
    drawn = fit.sample(priors, prior_only=True, seed=1)
    table = drawn.summary()
    assert_allclose(table.loc["Days", ["mean", "sd"]].tolist(), [0.0, 20.0], atol=1.2)
    at_means = drawn.draws["Intercept"] + 4.5 * drawn.draws["Days"]
    assert_allclose([at_means.mean(), at_means.std()], [300.0, 10.0], atol=0.8)
    rho = drawn.draws["cor(Subject, Intercept, Days)"]
    assert_allclose(rho.var(), 1 / 3, atol=0.03)
    # tau ~ Gamma(1, 1): the root mean square of the deviations over sigma.
    tau = np.hypot(drawn.draws["sd(Subject, Intercept)"], drawn.draws["sd(Subject, Days)"]) / drawn.draws["sigma"]
    assert_allclose((tau / np.sqrt(2)).mean(), 1.0, atol=0.08)
    effects = drawn.draws["ranef(Subject)"][..., 1] / drawn.draws["sd(Subject, Days)"][..., None]
    assert_allclose(effects.std(), 1.0, atol=0.02)
    with pytest.raises(PriorError, match="improper"):
        fit.sample("brms", prior_only=True)


def test_other_priors_by_new_weights_are_those_of_new_draws(fit, posterior):
    priors = Priors(covariance=Decov(regularization=3, shape=2))
    new, anew = posterior.with_priors(priors, seed=5), fit.sample(priors, seed=6)
    a, b = new.summary(), anew.summary()
    assert ((a["mean"] - b["mean"]).abs() < 4 * np.hypot(a["mcse_mean"], b["mcse_mean"]) + 0.02 * b["sd"]).all()
    assert abs(new.evidence.log - anew.evidence.log) < 4 * np.hypot(new.evidence.error, anew.evidence.error)
    assert_allclose(new.bayes_factor(anew), 1.0, atol=0.1)


def test_priors_that_are_too_far(fit, posterior):
    with pytest.raises(FitError, match="too far"):
        posterior.with_priors(Priors(sigma=Exponential(5.0)))
    with pytest.raises(PriorError, match="t prior"):
        posterior.with_priors("brms")


def test_improper_priors_have_no_evidence(fit):
    with pytest.raises(PriorError, match="improper"):
        _ = fit.sample("brms", seed=1).evidence


@pytest.mark.slow
def test_weights_that_do_not_serve_are_said():
    sleep = mixfit.datasets.load("sleepstudy")
    hard = mixfit.mixed("Reaction ~ Days + ar1(0 + Days | Subject)", sleep).fit()
    with pytest.raises(FitError, match="do not serve"):
        hard.sample(method="collapsed", seed=1)
    # Of some nets of 400 points the weights look better than they are.
    assert hard.sample(draws=1000, seed=1).sampler.method == "hmc"


def test_arviz(posterior):
    pytest.importorskip("arviz_base")
    tree = posterior.to_arviz()
    assert_array_equal(tree.posterior["Days"].values, posterior.draws["Days"])
    effects = tree.posterior["ranef(Subject)"]
    assert_array_equal(
        effects.sel({"ranef(Subject) level": "308", "ranef(Subject) column": "Days"}).values,
        posterior.draws["ranef(Subject, 308, Days)"],
    )
    assert tree.observed_data["Reaction"].shape == (180,)


@pytest.mark.parametrize("progress", [True, False])
def test_a_bar_counts_trajectories_and_divergences(progress, monkeypatch):
    seen = []

    class Bar:
        total, n = 0, 0

        def __init__(self, total):
            self.total = total

        def __enter__(self):
            return self

        def __exit__(self, *_):
            seen.append((self.n, self.total))

        def update(self):
            self.n += 1

        def set_postfix(self, **shown):
            seen.append(shown)

    monkeypatch.setattr("mixfit.bayes.sample.progress_bar", lambda n, **_: Bar(n))
    fit = mixfit.mixed("Yield ~ 1 + (1 | Batch)", mixfit.datasets.load("dyestuff")).fit()
    posterior = fit.sample(draws=64, seed=1, method="hmc", progress=progress)
    made = 300 + 16 * posterior.sampler.thinning
    assert seen[-1][0] == (made if progress else 0)
    assert seen[-1][1] >= seen[-1][0]


@pytest.mark.parametrize("format_", ["netcdf", "zarr"])
def test_arviz_saves_and_reads_the_draws(format_, tmp_path):
    pytest.importorskip("arviz_base")
    pytest.importorskip("h5netcdf" if format_ == "netcdf" else "zarr")
    xarray = pytest.importorskip("xarray")
    sleep = mixfit.datasets.load("sleepstudy")
    fit = mixfit.mixed("Reaction ~ I(Days / 2) + (1 | Subject)", sleep).fit()
    posterior = fit.sample(draws=400, seed=1, method="hmc")
    path = str(tmp_path / "draws")
    getattr(posterior.to_arviz(), f"to_{format_}")(path)
    again = xarray.open_datatree(path, engine="h5netcdf" if format_ == "netcdf" else "zarr")
    assert_array_equal(again.posterior["I(Days ÷ 2)"], posterior.draws["I(Days / 2)"])
    assert_array_equal(again.posterior["ranef(Subject)"], posterior.draws["ranef(Subject)"])
    assert_array_equal(again.sample_stats["energy"], posterior.sampler.energy)
    assert_array_equal(again.observed_data["Reaction"], sleep["Reaction"])


def test_arviz_that_is_not_there_is_named(posterior, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(MissingPackageError, match=r"mixfit\[bayes\]"):
        posterior.to_arviz()


def test_what_the_priors_predict(fit):
    """Mean and variance of a response at the means of the covariates are those of the intercept, effects and sigma."""
    priors = Priors(fixed=Normal(0, 20), intercept=Normal(300, 10), sigma=Exponential(0.1))
    sampled = fit.sample(priors, seed=1, draws=400)
    drawn = sampled.prior_predictive(4000, seed=1)
    assert drawn.shape == (180, 4000)
    again = fit.sample(priors, prior_only=True, seed=2, draws=4000).simulate(seed=3)
    row = drawn.index[0]
    assert_allclose(drawn.mean(axis=1)[row], again.mean(axis=1)[row], atol=5 * again.loc[row].std() / np.sqrt(2000))
    assert_allclose(drawn.loc[row].quantile([0.25, 0.75]), again.loc[row].quantile([0.25, 0.75]), rtol=0.05)
    with pytest.raises(PriorError, match="improper"):
        fit.sample("blme", seed=1, draws=400).prior_predictive()


def test_a_generalized_posterior_pickles():
    cbpp = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial").fit()
    drawn = fit.sample(seed=1, draws=400)
    again = pickle.loads(pickle.dumps(drawn))
    pd.testing.assert_frame_equal(again.summary(ranef=True), drawn.summary(ranef=True))
