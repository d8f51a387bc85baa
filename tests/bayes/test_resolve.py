"""Priors on the data of a model: presets, names, autoscaling, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixfit
from mixfit.bayes import (
    LKJ,
    Decov,
    Exponential,
    Flat,
    Gamma,
    HalfNormal,
    HalfT,
    InvWishart,
    Normal,
    Priors,
    SqrtInvGamma,
    StudentT,
    Wishart,
)
from mixfit.bayes.resolve import resolve
from mixfit.errors import PriorError
from tests.bayes.models import SLEEP


def fitted(formula=SLEEP, data="sleepstudy"):
    return mixfit.mixed(formula, mixfit.datasets.load(data)).fit()


@pytest.fixture(scope="module")
def sleep():
    return fitted()


def resolved(priors, fit):
    return resolve(priors, fit.model, residual=True)


def test_rstanarm(sleep):
    """prior_summary(stan_lmer(Reaction ~ Days + (Days | Subject), sleepstudy)), its adjusted scales."""
    table = str(resolved("rstanarm", sleep)).splitlines()
    assert table[0].split() == [
        "Intercept",
        "Normal(mean=298.508,",
        "sd=140.822)",
        "at",
        "the",
        "means",
        "of",
        "the",
        "covariates",
    ]
    assert table[1].split() == ["Days", "Normal(mean=0,", "sd=48.8915)"]
    assert table[3].split() == ["sigma", "Exponential(rate=0.0177529)"]


def test_brms(sleep):
    """get_prior(Reaction ~ Days + (Days | Subject), sleepstudy): student_t(3, 288.7, 59.3), student_t(3, 0, 59.3)."""
    found = resolved("brms", sleep)
    assert found.fixed == (StudentT(3.0, 288.7, 59.3), Flat())
    assert found.sigma == HalfT(3.0, 59.3)
    assert not found.is_proper


def test_the_intercept_is_that_at_the_means_of_the_covariates(sleep):
    contrasts = resolved("rstanarm", sleep).contrasts
    assert_allclose(contrasts, [[1.0, 4.5], [0.0, 1.0]])


def test_priors_by_name(sleep):
    priors = Priors(
        fixed={"Days": Normal(0, 3)},
        sd={"sd(Subject, Days)": HalfNormal(5), "Subject": HalfT(3, 40)},
        cor={"Subject": LKJ(2)},
        sigma=Exponential(1, autoscale=True),
    )
    text = str(resolved(priors, sleep))
    for part in (
        "Normal(mean=0, sd=3)",
        "HalfT(df=3, scale=40)",
        "HalfNormal(scale=5)",
        "LKJ(eta=2)",
        "rate=0.0177529",
    ):
        assert part in text


def test_what_is_left_out_is_as_rstanarm_has_it(sleep):
    assert str(resolved(Priors(), sleep)) == str(resolved("rstanarm", sleep))


def test_a_scale_in_units_of_the_column(sleep):
    """Standard deviations of an autoscaled prior: s_y for the intercepts, s_y / s_x for slopes."""
    found = resolved(Priors(sd=HalfNormal(1, autoscale=True)), sleep)
    data = sleep.model.design
    spread = data.y.std(ddof=1)
    assert_allclose([d.scale for d in found.terms[0].sd], [spread, spread / data.X[:, 1].std(ddof=1)])


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ("stan", "the names of priors are 'rstanarm', 'brms', 'blme'"),
        (Priors(fixed={"Dys": Normal()}), "Did you mean 'Days'"),
        (Priors(sd={"Subjct": HalfNormal()}), "Did you mean 'Subject'"),
        (Priors(theta={"cor(Subject, Intercept, Days)": Gamma(2)}), "is of nothing in this model"),
        (Priors(covariance={"Batch": Decov()}), "It has Subject"),
        (Priors(sd=Normal(0, 1)), "prior on the positive numbers"),
        (Priors(sigma=Normal(0, 1)), "prior on the positive numbers"),
        (Priors(fixed=Exponential(1)), "a coefficient has the prior"),
        (Priors(covariance=Decov(), cor=LKJ(2)), "Give one of the two"),
        (Priors(covariance=LKJ(2)), "Decov, Wishart or InvWishart"),
        (Priors(covariance=InvWishart(1.0)), "more than 1 degrees of freedom"),
        (Priors(covariance=Wishart(20, scale=np.inf)), "leaves no posterior with 18 levels"),
    ],
)
def test_refusals(priors, message, sleep):
    with pytest.raises(PriorError, match=message):
        resolved(priors, sleep)


def test_what_the_model_has_not_is_refused():
    with pytest.raises(PriorError, match="this model has none"):
        resolved(Priors(intercept=Normal()), fitted("Reaction ~ 0 + Days + (1 | Subject)"))
    whole = InvWishart(3, scale=((2.0, 0.5), (0.5, 1.0)))
    with pytest.raises(PriorError, match="its columns are independent"):
        resolved(Priors(covariance=whole), fitted("Reaction ~ Days + (Days || Subject)"))
    with pytest.raises(PriorError, match="own has no prior of its covariance as a whole"):
        resolved(Priors(covariance=InvWishart(3)), fitted("Reaction ~ Days + cs(Days | Subject)"))
    with pytest.raises(PriorError, match=r"theta=\{'rate\(ou, Subject\)'"):
        resolved(Priors(), fitted("Reaction ~ Days + ou(0 + Days | Subject)"))


def test_a_flat_deviation_needs_three_levels():
    pulp = mixfit.datasets.load("pulp")
    two = pulp[pulp["operator"].isin(["a", "b"])].assign(operator=lambda d: d["operator"].astype(str))
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", two).fit()
    with pytest.raises(PriorError, match="with 2 levels of 'operator' a flat prior leaves no posterior"):
        resolved(Priors(sd=Flat()), fit)
    assert not resolved(Priors(sd=Flat()), fitted("bright ~ 1 + (1 | operator)", "pulp")).is_proper


def test_a_number_as_scale_is_a_prior_of_each_variance():
    fit = fitted("Reaction ~ Days + (Days || Subject)")
    found = resolved(Priors(covariance=InvWishart(3, scale=2.0)), fit)
    assert ("variances(Subject)", "InvWishart(df=3, scale=2)") in found.table
    x, none = np.array([[0.3, -1.0], [0.0, 0.5]]), np.array([0.2, -0.1])
    alone = resolved(Priors(sd=SqrtInvGamma(1.5, 1.0)), fit)
    a, b = found.terms[0].density(x, none), alone.terms[0].density(x, none)
    assert_allclose(a.value, b.value)
    assert_allclose(a.slope, b.slope)
    assert_allclose(a.log_sigma, b.log_sigma)
    drawn = found.terms[0].draw(np.zeros(4000), np.random.default_rng(1))
    again = alone.terms[0].draw(np.zeros(4000), np.random.default_rng(2))
    assert_allclose(
        np.quantile(drawn, [0.25, 0.5, 0.75], axis=0), np.quantile(again, [0.25, 0.5, 0.75], axis=0), atol=0.06
    )
    assert resolved("blme", fit).table[2] == ("variances(Subject)", "Wishart(df=3.5, scale=inf)")


def test_priors_that_are_none_are_refused(sleep):
    with pytest.raises(PriorError, match=r"filled in: give the mixfit.bayes.Priors"):
        sleep.sample(resolved("rstanarm", sleep))
    with pytest.raises(PriorError, match=r"priors=1000 are none.*How many to draw is draws=1000"):
        sleep.sample(1000)
    with pytest.raises(PriorError, match=r'priors=None are none.*"rstanarm"\.$'):
        sleep.sample(None)
