"""Pictures of posteriors show the draws."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import FitError, PriorError
from mixfit.plots import posterior_caterpillar, prior_posterior


@pytest.fixture(scope="module")
def posterior():
    sleep = mixfit.datasets.load("sleepstudy")
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit().sample(seed=1, draws=2000)


def test_intervals_are_quantiles_of_the_draws(posterior):
    intercept, days = posterior_caterpillar(posterior, level=0.8)
    labels = [t.get_text() for t in days.get_yticklabels()]
    draws = posterior.draws
    for axes, column in ((intercept, "Intercept"), (days, "Days")):
        every = np.array([draws[f"ranef(Subject, {name}, {column})"].ravel() for name in labels])
        long, short = (np.array(lines.get_segments())[:, :, 0] for lines in axes.collections)
        assert_allclose(long, np.quantile(every, [0.1, 0.9], axis=1).T)
        assert_allclose(short, np.quantile(every, [0.25, 0.75], axis=1).T)
        assert_allclose(axes.lines[-1].get_xdata(), np.median(every, axis=1))
    medians = intercept.lines[-1].get_xdata()
    assert (np.diff(medians) >= 0).all()
    assert days.get_title() == "Days | Subject"


def test_levels_as_they_are(posterior):
    axes = posterior_caterpillar(posterior, "Subject", sort=False)[0]
    assert axes.get_yticklabels()[-1].get_text() == "308"


def test_histograms_of_both(posterior):
    axes = prior_posterior(posterior, ["Days", "sigma"], seed=2)
    assert [a.get_title() for a in axes] == ["Days", "sigma"]
    for panel, name in zip(axes, ("Days", "sigma"), strict=True):
        before, after = panel.patches
        values, edges = after.get_data()[:2]
        draws = posterior.draws[name].ravel()
        assert_allclose(values, np.histogram(draws, edges)[0] / (len(draws) * np.diff(edges)))
        assert_allclose((values * np.diff(edges)).sum(), 1.0)
        # The prior is far wider.
        assert before.get_data()[0].max() < 0.5 * values.max()
    assert [t.get_text() for t in axes[0].get_legend().get_texts()] == ["prior", "posterior"]


def test_what_is_refused(posterior):
    with pytest.raises(FitError, match="no grouping factor 'Batch'"):
        posterior_caterpillar(posterior, "Batch")
    with pytest.raises(FitError, match="between 0 and 1"):
        posterior_caterpillar(posterior, level=90)
    with pytest.raises(FitError, match="no parameter 'Dys'"):
        prior_posterior(posterior, ["Dys"])
    with pytest.raises(PriorError, match="improper"):
        prior_posterior(posterior.fit.sample("blme", seed=1, draws=200))
