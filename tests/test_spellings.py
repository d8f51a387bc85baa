"""Names that users of other programs type: what the errors say, and that nothing else changes."""

from __future__ import annotations

import copy
import inspect
import pickle
from functools import cache
from typing import Any

import pytest

import mixfit
from mixfit import spellings
from mixfit.errors import ArgumentError, FitError, MixfitError, UnknownNameError
from mixfit.helped import Helped, helped
from mixfit.results.generalized import GeneralizedResults
from mixfit.results.linear import LinearResults
from mixfit.results.nonlinear import NonlinearResults
from mixfit.results.ordinal import OrdinalResults

SLEEP = mixfit.datasets.load("sleepstudy")
FORMULA = "Reaction ~ Days + (Days | Subject)"


@cache
def sleep() -> Any:
    return mixfit.mixed(FORMULA, SLEEP).fit()


@cache
def herds() -> Any:
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return mixfit.mixed(formula, mixfit.datasets.load("cbpp"), family="binomial").fit()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mixfit.mixed(FORMULA, SLEEP, REML=False), "reml= is an argument of fit()"),
        (lambda: mixfit.mixed(FORMULA, SLEEP, ziformula="~ 1"), "written zi="),
        (lambda: mixfit.mixed(FORMULA, SLEEP, dispformula="~ 1"), "written dispersion="),
        (lambda: mixfit.mixed(FORMULA, SLEEP, groups="Subject"), "terms of the formula"),
        (lambda: mixfit.mixed(FORMULA, SLEEP, **{"na.action": "drop"}), "written na_action="),
        (lambda: mixfit.mixed(FORMULA, SLEEP, familly="poisson"), "did you mean family="),
        (lambda: sleep().model.fit(REML=False), "written reml="),
        (lambda: sleep().model.fit(control={}), "the optimizer has no settings"),
        (lambda: sleep().model.fit(nAGQ=9), "of generalized models"),
        (lambda: herds().model.fit(nAGQ=9), "written n_agq="),
        (lambda: herds().model.fit(reml=True), "fitted by maximum likelihood"),
        (
            lambda: mixfit.mixed("Reaction ~ Days + (1 | Subject)", SLEEP, dispersion="~ (1 | Subject)").fit(reml=True),
            "fitted by maximum likelihood",
        ),
        (lambda: sleep().conf_int(alpha=0.05), "alpha=0.05 is level=0.95"),
        (lambda: sleep().conf_int(alpha=0.1, method="bootstrap"), "alpha=0.1 is level=0.9"),
        (lambda: sleep().tidy(conf_int=True, conf_level=0.9), "written level="),
        (lambda: sleep().predict(new_data=SLEEP), "written newdata="),
        (lambda: sleep().predict(**{"re.form": None}), "written re_form="),
        (lambda: sleep().simulate(nsim=3), "written n="),
        (lambda: sleep().anova(df="residual"), "written ddf="),
        (lambda: herds().predict(typ="response"), "did you mean type="),
        (lambda: mixfit.emmeans(sleep(), "Days", conf_level=0.9), "written level="),
        (lambda: mixfit.design(FORMULA, SLEEP, params={}), "stated by fixed="),
        (lambda: mixfit.cross_validate(sleep(), cv=5), "written by="),
        (lambda: mixfit.cross_validate(sleep(), folds=5), "written by="),
        (lambda: mixfit.cross_validate(sleep(), n_splits=5), "written by="),
        (lambda: sleep().with_params().power("Days", nsim=10), "written n_sim="),
        (lambda: sleep().with_params().power("Days", n=10), "written n_sim="),
        (lambda: sleep().with_params().power("Days", reps=10), "written n_sim="),
        (lambda: sleep().with_params().sample_size("Days", "Subject", power=0.9), "written target="),
        (lambda: sleep().with_params().power("Days", along="Subject"), "takes numbers of levels by factor"),
        (lambda: sleep().plot.caterpillar(lvl=0.9), "did you mean level="),
        (lambda: sleep().plot(), "Figures have names"),
        (lambda: herds().emmeans("period").pairs(type="response"), "an argument of emmeans()"),
        (lambda: herds().emmeans("period").contrast("trt.vs.ctrl", ref=2), "'trt.vs.ctrlk'"),
        (lambda: herds().effects("period", lvl=0.9), "did you mean level="),
        (lambda: herds().emmeans("period", "herd"), "emmeans() takes specs by place, and by name by=, at="),
        (lambda: herds().cov_params("CR1", "herd"), "by name cluster=, conditional="),
        (lambda: mixfit.table(sleep(), herds(), ddof="z"), "did you mean ddf="),
    ],
)
def test_arguments(call: Any, said: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert said in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("VarCorr", "'varcorr'"),
        ("fe_params", "params"),
        ("re_params", "theta"),
        ("random_effects", "ranef()"),
        ("random.effects", "ranef()"),
        ("cov_re", "varcorr()"),
        ("se", "bse"),
        ("bse_fe", "bse"),
        ("logLik", "llf"),
        ("coefficients", "params"),
        ("AIC", "'aic'"),
        ("isSingular", "'is_singular'"),
        ("confint", "'conf_int'"),
        ("vcov", "cov_params()"),
        ("formula", "model.formula"),
        ("sumary", "'summary'"),
        ("vif", "collinearity()"),
        ("power", "with_params().power(test)"),
        ("cross_validate", "mixfit.cross_validate(fit)"),
    ],
)
def test_attributes_of_fits(name: str, here: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        getattr(sleep(), name)
    assert here in str(caught.value)
    assert isinstance(caught.value, AttributeError)
    assert not hasattr(sleep(), name)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("lmer", "mixfit.mixed(formula, data).fit()"),
        ("glmer", "family="),
        ("glmmTMB", "zi="),
        ("MixedLM", "(x | g)"),
        ("VarCorr", "a method of a fit"),
        ("KRmodcomp", "mixfit.kr_modcomp"),
        ("mixd", "mixfit.mixed?"),
        ("collinearity", "fit().collinearity()"),
        ("step", "fit().step()"),
        ("power", "with_params().power(test)"),
        ("dredge", "mixfit.all_subsets(fit)"),
    ],
)
def test_names_of_the_package(name: str, here: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        getattr(mixfit, name)
    assert here in str(caught.value)
    assert not hasattr(mixfit, name)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: herds().vcov_kr(), "only linear fits have it"),
        (lambda: sleep().overdispersion(), "only generalized fits have it"),
        (lambda: sleep().robust("CR2").r2(), "plain.r2, of the fit itself"),
        (lambda: sleep().plot.residuals(), "did you mean 'residuals_fitted'"),
        (lambda: mixfit.table(sleep()).to_latex(), "did you mean 'as_latex'"),
        (lambda: mixfit.lm_list("Reaction ~ Days | Subject", SLEEP).params, "coef()"),
        (lambda: sleep().with_params().dat, "did you mean 'data'"),
    ],
)
def test_attributes_of_other_objects_and_kinds_of_fits(call: Any, said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        call()
    assert said in str(caught.value)


def test_what_only_some_kinds_of_fits_have_is_said_of_all_of_it() -> None:
    """Each public name that one kind of fit has and another has not is among those that an error explains."""
    kinds = {
        "linear": LinearResults,
        "generalized": GeneralizedResults,
        "ordinal": OrdinalResults,
        "nonlinear": NonlinearResults,
    }
    names = {kind: {name for name in dir(owner) if not name.startswith("_")} for kind, owner in kinds.items()}
    assert names["ordinal"] >= names["generalized"]
    for name, said in spellings._KINDS.items():
        have = {kind for kind, own in names.items() if name in own}
        assert have == set(said.replace(" and", ",").split(", ")) | ({"ordinal"} if said == "generalized" else set())
    internal = {"variance_information", "family", "family_of", "linear_predictor", "prior", "response_link"}
    partial = (names["linear"] ^ names["generalized"]) | (names["linear"] - names["nonlinear"])
    assert partial - internal - {"row_dispersion"} == set(spellings._KINDS)


def test_every_function_of_the_package_refuses_names_that_it_does_not_have() -> None:
    functions = [getattr(mixfit, name) for name in mixfit.__all__ if inspect.isfunction(getattr(mixfit, name))]
    closed = [
        f for f in functions if all(p.kind.name != "VAR_KEYWORD" for p in inspect.signature(f).parameters.values())
    ]
    assert len(closed) >= 15
    for function in closed:
        with pytest.raises(ArgumentError, match=f"{function.__name__}\\(\\) has no argument 'zzz'"):
            function(zzz=1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: herds().emmeans("period").pairs(adjust="bonf"), "Did you mean 'bonferroni'"),
        (lambda: herds().predict(what="zprob"), "Did you mean 'zero'"),
        (lambda: herds().predict(type="lp"), "Did you mean 'link'"),
        (lambda: sleep().conf_int(method="boot"), "Did you mean 'bootstrap'"),
        (lambda: sleep().ttest(ddf="KR"), "'kenward-roger'"),
        (lambda: herds().model.fit(start={"theta": [1.0]}), "start= takes theta by itself"),
        (lambda: sleep().model.fit(start={"theta": [1.0, 0.0, 1.0]}), "start= takes theta by itself"),
    ],
)
def test_values(call: Any, said: str) -> None:
    with pytest.raises(FitError, match=said):
        call()


def test_every_entry_is_reached_by_the_name_that_is_looked_up() -> None:
    for table in (spellings._ARGUMENTS, spellings._ATTRIBUTES, spellings._MODULE, spellings._VALUES):
        assert all(spellings.key(name) == name for name in table)


def test_what_is_said_of_attributes_is_there() -> None:
    """The first word of every entry names something of a fit or of its model, unless it is a call of mixfit."""
    fit = sleep()
    for text in spellings._ATTRIBUTES.values():
        first = text.split("(")[0].split(",")[0].split(" ")[0]
        if first.startswith("mixfit.") or first == "fit":
            continue
        owner = fit.model if first.startswith("model.") else fit
        assert hasattr(owner, first.removeprefix("model.")), text


def test_copies_and_pickles_are_as_they_were() -> None:
    fit = sleep()
    for again in (copy.copy(fit), copy.deepcopy(fit), pickle.loads(pickle.dumps(fit))):
        assert again.params.equals(fit.params)
    error = pickle.loads(pickle.dumps(UnknownNameError(type(fit), "se")))
    assert str(error) == "LinearResults has no attribute 'se': it is bse."
    assert isinstance(error, MixfitError)


def test_an_attribute_error_within_a_property_is_not_hidden() -> None:
    class Broken(Helped):
        @property
        def whole(self) -> int:
            return self.part  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(UnknownNameError, match="no attribute 'part'"):
        _ = Broken().whole


def test_helped_functions_look_like_what_they_are() -> None:
    predict = type(sleep()).predict
    assert list(inspect.signature(predict).parameters)[:3] == ["self", "newdata", "re_form"]
    assert predict.__doc__.startswith("Predict the mean response")
    assert predict.__qualname__ == "FittedLinear.predict"
    assert pickle.loads(pickle.dumps(mixfit.mixed)) is mixfit.mixed


def test_other_names_pass_where_a_function_takes_any() -> None:
    @helped
    def draw(level: float = 0.95, **options: object) -> object:
        return options

    assert draw(n=3) == {"n": 3}
    with pytest.raises(ArgumentError, match=r"alpha=0\.1 is level=0\.9"):
        draw(alpha=0.1)
