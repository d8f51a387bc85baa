"""Figures of marginal means, interaction plots and effects."""

from __future__ import annotations

import numpy as np
import pytest

import mixfit
from mixfit.errors import FitError
from mixfit.inference.means.arrows import comparison_arrows
from mixfit.plots import effects_plot, emmip, means_plot


@pytest.fixture(scope="module")
def cake():
    return mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", mixfit.datasets.load("cake")).fit()


@pytest.fixture(scope="module")
def herds():
    data = mixfit.datasets.load("cbpp")
    return mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, family="binomial").fit()


def arrows_of(axes):
    """Line and tip of every arrow."""
    return {(round(text.xyann[1]), round(float(text.xy[0]), 6)) for text in axes.texts}


def test_arrows_overlap_exactly_where_means_do_not_differ() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        means = np.sort(rng.normal(0.0, 2.0, 5))
        arrows = comparison_arrows(means, np.full((5, 5), 1.7))
        assert not arrows.misleading
        for i in range(5):
            for j in range(i + 1, 5):
                d = means[j] - means[i]
                assert (arrows.right[i] + arrows.left[j] > d) == (d < 1.7)


def test_arrows_say_where_no_lengths_can_be_right() -> None:
    # the middle one differs from neither, and the outer ones, which are known together, differ by little
    half = np.array([[0.0, 5.0, 0.1], [5.0, 0.0, 5.0], [0.1, 5.0, 0.0]])
    found = comparison_arrows(np.array([0.0, 0.0, 0.2]), half)
    assert (found.left >= 0.0).all()
    assert (found.right >= 0.0).all()


def test_means_have_a_line_each_and_headings_of_groups(cake) -> None:
    means = cake.emmeans("temperature", by="recipe")
    axes = means.plot()
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[:3] == ["recipe = A", "175", "185"]
    assert len(labels) == 21
    (points,) = axes.lines
    np.testing.assert_allclose(points.get_xdata(), means["emmean"])
    assert points.get_ydata().tolist() == [*range(1, 7), *range(8, 14), *range(15, 21)]
    assert axes.get_xlabel() == "estimated marginal mean of angle"
    assert axes.get_ylim() == (20.5, -0.5)


def test_outermost_means_point_inwards_alone(cake) -> None:
    means = cake.emmeans("temperature")
    axes = means.plot()
    lowest, highest = int(means["emmean"].argmin()), int(means["emmean"].argmax())
    tips = {place: [tip for p, tip in arrows_of(axes) if p == place] for place in range(6)}
    assert [len(tips[place]) for place in (lowest, highest)] == [1, 1]
    assert tips[lowest][0] > means["emmean"][lowest]
    assert not means.plot(comparisons=False).texts


def test_arrows_of_probabilities_are_transformed(herds) -> None:
    link, response = herds.emmeans("period").plot(), herds.emmeans("period", type="response").plot()
    tips = {(place, round(1 / (1 + np.exp(-tip)), 4)) for place, tip in arrows_of(link)}
    assert tips == {(place, round(tip, 4)) for place, tip in arrows_of(response)}
    assert response.get_xlabel() == "proportion of incidence"
    assert link.get_xlabel() == "estimated marginal mean of proportion of incidence (logit scale)"


def test_contrasts_have_a_line_at_no_difference(herds, cake) -> None:
    ratios = means_plot(herds.emmeans("period", type="response").pairs())
    assert ratios.get_xlabel() == "odds.ratio"
    assert ratios.lines[0].get_xdata() == [1.0, 1.0]
    assert means_plot(cake.emmeans("recipe").pairs()).lines[0].get_xdata() == [0.0, 0.0]
    assert means_plot(herds.emmeans("period").pairs()).get_xlabel() == "estimate (log odds ratio)"


def test_contrasts_draw_themselves(cake) -> None:
    pairs = cake.emmeans("recipe").pairs()
    assert [text.get_text() for text in pairs.plot().get_yticklabels()] == ["A - B", "A - C", "B - C"]
    both = cake.emmeans("pairwise ~ recipe")
    assert both.contrasts.plot().get_ylabel() == "contrast"
    each = cake.emmeans(["recipe", "temperature"]).contrast("consec", simple="each")
    assert len(each["recipe"].plot().get_yticklabels()) == 6 + 12
    assert pairs.as_frame().equals(pairs.to_frame())


def test_slopes_are_drawn_as_means_are() -> None:
    fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", mixfit.datasets.load("orthodont")).fit()
    assert fit.emtrends("age", by="Sex").plot().get_xlabel() == "slope in age"
    assert fit.emmeans("~ 1").plot().get_yticklabels()[0].get_text() == "overall"


def test_interaction_plots_have_a_line_each_trace(cake) -> None:
    axes = cake.plot.emmip("recipe ~ temperature")
    assert [line.get_label() for line in axes.lines] == ["A", "B", "C"]
    means = cake.emmeans(["temperature", "recipe"])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), means["emmean"][means["recipe"] == "B"])
    same = emmip(cake, "temperature", by="recipe", intervals=False)
    assert [line.get_label() for line in same.lines] == ["A", "B", "C"]
    assert not same.collections
    assert emmip(cake, "recipe").get_legend() is None
    with pytest.raises(FitError, match="along one factor"):
        emmip(cake, "~ recipe + temperature")


def test_interaction_plots_along_a_covariate_are_curves_over_its_range() -> None:
    teeth = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age * Sex + I(age ** 2) + (1 | Subject)", teeth).fit()
    axes = fit.plot.emmip("Sex ~ age")
    effects = fit.effects("age", by="Sex")
    assert len(axes.lines) == len(axes.collections) == 2
    for line in axes.lines:
        own = effects.frame[effects.frame["Sex"] == line.get_label()]
        np.testing.assert_allclose(line.get_xdata(), own["age"])
        np.testing.assert_allclose(line.get_ydata(), own["emmean"])
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (8.0, 14.0)
    chosen = fit.plot.emmip("Sex ~ age", at={"age": [8, 14]})
    assert len(chosen.lines[0].get_xdata()) == 2


def test_given_axes_are_drawn_on(cake) -> None:
    from matplotlib import pyplot

    _, (one, two, three) = pyplot.subplots(1, 3)
    assert cake.emmeans("recipe").plot(one) is one
    assert emmip(cake, "recipe", ax=two) is two
    assert cake.effects("recipe").plot(three) is three


def test_curves_have_bands_and_points_of_their_own_levels() -> None:
    teeth = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age * Sex + (age | Subject)", teeth).fit()
    axes = fit.effects("age", by="Sex").plot()
    assert [line.get_label() for line in axes.lines] == ["Male", "Female"]
    points = [len(c.get_offsets()) for c in axes.collections if type(c).__name__ == "PathCollection"]
    assert points == [64, 44]
    without = effects_plot(fit.effects("age", by="Sex"), data=False)
    assert not [c for c in without.collections if type(c).__name__ == "PathCollection"]


def test_points_behind_means_of_a_covariates_values_are_those_nearest() -> None:
    teeth = mixfit.datasets.load("orthodont")
    fit = mixfit.mixed("distance ~ age * Sex + (1 | Subject)", teeth).fit()
    axes = fit.effects("Sex", by="age", at={"age": [8, 14]}).plot()
    points = [len(c.get_offsets()) for c in axes.collections if type(c).__name__ == "PathCollection"]
    assert sum(points) == len(teeth)
    assert points == [54, 54]
