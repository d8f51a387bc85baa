"""Summary, plot, pickling."""

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.errors import DataError, MissingPackageError
from tests.rates import arms

SUMMARY = """\
Beta-binomial rates fit by maximum (marginal) likelihood
Link of the mean: logit
10 units, 328 successes in 1000 trials
Log-likelihood -37.6664, AIC 79.33, BIC 79.94

               Estimate Std. Error   2.5 % 97.5 %
mean             0.3281     0.0335  0.2616  0.404
precision       23.1435    12.5620  7.4887 67.363
(Intercept)     -0.7168     0.1520 -1.0376 -0.388
log(precision)   3.1417     0.5428  2.0134  4.210
Intervals: profile likelihood.

Rates:
  successes trials    raw   mode mode_se   mean  2.5 % 97.5 %
0        22    100 0.2200 0.2360  0.0386 0.2403 0.1694 0.3193
1        34    100 0.3400 0.3351  0.0429 0.3378 0.2572 0.4233
"""


@pytest.fixture(scope="module")
def fit():
    return mixfit.beta_binomial(arms.Y, arms.N)


def test_summary_prints_tables(fit):
    summary = fit.summary()
    assert str(summary).startswith(SUMMARY)
    assert repr(summary) == str(summary)
    assert_allclose(summary.parameters["Estimate"].iloc[:2], fit.estimates()["estimate"])
    assert fit.summary(level=0.9).rates.frame.columns.tolist()[-2:] == ["5 %", "95 %"]


def test_summary_shows_as_html(fit):
    html = fit.summary()._repr_html_()
    assert html.count("<table") == 2
    assert "67.363<" in html


def test_summaries_say_what_a_reader_must_know():
    joint = str(mixfit.beta_binomial(arms.Y, arms.N, method="joint").summary())
    assert "Intervals: Wald, on the working scale." in joint
    assert "overstates the precision" in joint
    flat = str(mixfit.beta_binomial([30, 31, 29, 30], 100).summary())
    assert "infinite precision, every rate at its mean" in flat
    many = str(mixfit.beta_binomial(np.arange(40), 60).summary())
    assert "The first 30 of 40 units; rates() has them all." in many
    data = mixfit.datasets.load("cbpp")
    periods = str(mixfit.beta_binomial("cbind(incidence, size - incidence) ~ period", data=data).summary())
    assert "period[T.2]     -0.9689" in periods


def test_results_say_what_they_are_and_pickle(fit):
    assert repr(fit) == "<BetaBinomialResults: 10 units, marginal likelihood, precision 23.14>"
    again = pickle.loads(pickle.dumps(fit))
    assert_allclose(again.rates(), fit.rates())
    assert_allclose(again.conf_int(), fit.conf_int())


def test_a_plot_needs_matplotlib(fit, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"mixfit\[plots\]"):
        fit.plot()


def test_plot_draws_raw_rates_and_posterior_means(fit):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    ax = fit.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert_allclose(lines["raw rate"].get_xdata(), fit.rates()["raw"])
    assert_allclose(lines["posterior mean"].get_xdata(), fit.rates()["mean"])
    assert_allclose(lines["mean of the rates"].get_xdata()[0], fit.mean)
    segments = ax.collections[0].get_segments()
    assert_allclose([s[:, 0] for s in segments], fit.rates()[["lower", "upper"]])
    assert [label.get_text() for label in ax.get_yticklabels()] == [str(i) for i in range(10)]
    assert "95 % credible interval" in ax.get_legend_handles_labels()[1]
    own = plt.figure().add_subplot()
    assert fit.plot(ax=own, level=0.8, sort=True) is own
    drawn = next(line for line in own.get_lines() if line.get_label() == "posterior mean").get_xdata()
    assert_allclose(drawn, np.sort(fit.rates()["mean"]))
    plt.close("all")


def test_plot_with_covariates_marks_each_mean():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    data = mixfit.datasets.load("cbpp").head(12)
    fit = mixfit.beta_binomial("cbind(incidence, size - incidence) ~ period", data=data)
    lines = {line.get_label(): line for line in fit.plot().get_lines()}
    assert_allclose(lines["mean given covariates"].get_xdata(), fit.means)
    plt.close("all")


def test_a_plot_of_many_units_stays_a_figure():
    rng = np.random.default_rng(3)
    n = rng.integers(5, 60, 1000)
    axes = mixfit.beta_binomial(rng.binomial(n, rng.beta(3.0, 9.0, 1000)), n).plot()
    assert axes.figure.get_size_inches()[1] <= 12.0
    assert 20 <= len(axes.get_yticks()) <= 80
    assert [label.get_text() for label in axes.get_yticklabels()][:1] == ["0"]
    raw = next(line for line in axes.lines if line.get_label() == "raw rate")
    # 1000 points of the usual size would be a blot.
    assert len(raw.get_ydata()) == 1000
    assert raw.get_markersize() == 1.0


def test_units_of_one_name_are_not_compared():
    labels = pd.DataFrame({"g": ["a:b", "a", "p", "q"] * 2, "h": ["c", "b:c", "r", "s"] * 2})
    fit = mixfit.beta_binomial([3, 5, 1, 9, 2, 6, 0, 8], 10, labels, by=["g", "h"])
    assert fit.nobs == 4
    with pytest.raises(DataError, match="2 units are called 'a:b:c'"):
        fit.compare("q:s", "a:b:c")
    assert fit.compare("q:s", "p:r") > 0.99
