"""Simple and interaction contrasts, one-sided tests and margins, joint tests: identities, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixfit
from mixfit.errors import FitError
from mixfit.inference.means.multiplicity import ComparisonFamily, adjusted_p_values


@pytest.fixture(scope="module")
def cake():
    return mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", mixfit.datasets.load("cake")).fit()


@pytest.fixture(scope="module")
def means(cake):
    return cake.emmeans(["recipe", "temperature"])


def test_simple_contrasts_are_those_within_all_others(means):
    pd.testing.assert_frame_equal(means.pairs(simple="recipe").frame, means.pairs(by="temperature").frame)
    each = means.contrast("consec", simple="each")
    assert list(each) == ["recipe", "temperature"]
    pd.testing.assert_frame_equal(each["recipe"].frame, means.contrast("consec", by="temperature").frame)
    assert len(each.to_frame()) == len(each["recipe"]) + len(each["temperature"]) == 27
    assert str(each).startswith("Simple contrasts for recipe:")
    assert each._repr_html_().count("<table") == 6 + 3


def test_interaction_contrasts_are_differences_of_differences(means):
    found = means.contrast(interaction=["pairwise", "consec"])
    assert list(found.frame)[:2] == ["recipe_pairwise", "temperature_consec"]
    table = means.frame.pivot_table(index="recipe", columns="temperature", values="emmean")
    difference = table.diff(axis=1).iloc[:, 1:]
    first = difference.loc["A"] - difference.loc["B"]
    np.testing.assert_allclose(found["estimate"][found["recipe_pairwise"] == "A - B"], first)
    named = means.contrast(interaction={"temperature": "consec", "recipe": "pairwise"})
    pd.testing.assert_frame_equal(named.frame, found.frame)
    pd.testing.assert_frame_equal(means.pairs(interaction=True).frame, means.contrast(interaction="pairwise").frame)


def test_given_coefficients_may_be_a_factors_own(means):
    found = means.contrast(interaction={"recipe": {"A less others": [1, -0.5, -0.5]}, "temperature": "poly"})
    assert found["recipe_custom"].unique().tolist() == ["A less others"]
    table = means.frame.pivot_table(index="temperature", columns="recipe", values="emmean")
    slope = [-5, -3, -1, 1, 3, 5] @ (table["A"] - (table["B"] + table["C"]) / 2)
    assert found["estimate"][0] == pytest.approx(slope)


def test_what_contrasts_refuse(means):
    for options, words in (
        ({"simple": "each", "by": "recipe"}, "neither by= nor"),
        ({"simple": "recipe", "by": "temperature"}, "give one of them"),
        ({"simple": "egg"}, "simple= names 'egg'"),
        ({"interaction": ["poly"]}, "1 methods for the factors recipe, temperature"),
        ({"interaction": {"recipe": "poly"}}, "a method for each of recipe, temperature"),
        ({"interaction": True, "by": ["recipe", "temperature"]}, "outside of by="),
        ({"side": "up"}, "side is one of"),
        ({"delta": -1}, "positive margin"),
        ({"side": "equivalence"}, "by delta="),
    ):
        with pytest.raises(FitError, match=words):
            means.contrast("pairwise", **options)


def test_one_sided_p_values_are_those_of_one_tail(means):
    pairs = means.pairs(by="temperature", adjust="none")
    right = pairs.test(null=1.0, side="right")
    t = (pairs["estimate"] - 1.0) / pairs["SE"]
    np.testing.assert_allclose(right["t.ratio"], t)
    np.testing.assert_allclose(right["p.value"], stats.t.sf(t, pairs["df"]))
    np.testing.assert_allclose(pairs.test(null=1.0, side="left")["p.value"], stats.t.cdf(t, pairs["df"]))
    assert right.notes[-1] == "P values are right-tailed"


def test_equivalence_is_the_larger_of_two_one_sided_tests(means):
    pairs = means.pairs(by="temperature", adjust="none")
    both = np.maximum(
        stats.t.sf((pairs["estimate"] + 4) / pairs["SE"], pairs["df"]),
        stats.t.cdf((pairs["estimate"] - 4) / pairs["SE"], pairs["df"]),
    )
    np.testing.assert_allclose(pairs.test(delta=4)["p.value"], both)
    np.testing.assert_allclose(pairs.test(delta=4, side="equivalence")["p.value"], both)
    inferior = pairs.test(delta=4, side="noninferiority")
    np.testing.assert_allclose(inferior["p.value"], stats.t.sf((pairs["estimate"] + 4) / pairs["SE"], pairs["df"]))


@pytest.mark.parametrize("x", [1.7, 0.0, -0.8])
def test_one_sided_joint_p_values_are_multivariate_t(x):
    C = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.4], [0.2, 0.4, 1.0]])
    family = ComparisonFamily(3, 3, False, C)
    (found,) = adjusted_p_values(np.array([x]), np.array([7.0]), "mvt", family, 1)
    exact = 1.0 - stats.multivariate_t(shape=C, df=7).cdf([x, x, x], maxpts=400_000, random_state=1)
    assert found == pytest.approx(exact, abs=5e-4)
    (mirrored,) = adjusted_p_values(np.array([-x]), np.array([7.0]), "mvt", family, -1)
    assert mirrored == pytest.approx(found)


def test_joint_tests_of_complete_data_are_tests_of_type_three(cake):
    joint, table = cake.joint_tests(), cake.anova(ddf="kenward-roger")
    np.testing.assert_allclose(joint["F.ratio"], table["F value"], rtol=1e-8)
    np.testing.assert_allclose(joint["df2"], table["DenDF"], rtol=1e-6)
    np.testing.assert_allclose(joint["p.value"], table["Pr(>F)"], rtol=1e-6)


def test_joint_tests_of_unbalanced_data_have_one_denominator_with_anova():
    data = mixfit.datasets.load("cake").drop(index=[3, 50, 51, 90, 170, 171, 172])
    fit = mixfit.mixed("angle ~ recipe * temperature + (1 | recipe:replicate)", data).fit()
    for ddf in ("satterthwaite", "kenward-roger"):
        joint, table = fit.joint_tests(ddf=ddf), fit.anova(ddf=ddf)
        np.testing.assert_allclose(joint["df2"], table["DenDF"], rtol=1e-6)
        np.testing.assert_allclose(joint["p.value"], table["Pr(>F)"], rtol=1e-6)


def test_joint_tests_print_a_table_a_group(cake):
    found = cake.joint_tests(by="recipe")
    assert str(found).split("\n")[:2] == ["recipe = A:", " model term  df1 df2 F.ratio p.value"]
    assert found._repr_html_().count("<table") == 3
    with pytest.raises(FitError, match="no effects to test"):
        cake.joint_tests(by=["recipe", "temperature"])
