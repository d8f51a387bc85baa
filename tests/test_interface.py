"""What a prompt shows and takes: the public names, objects as tables or a few lines, arguments by their names."""

import inspect
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import mixfit
from mixfit import covariance, datasets, errors, plots
from mixfit.errors import ArgumentError, FitError, MixfitError
from mixfit.plots.accessor import Plots
from mixfit.results.generalized import GeneralizedResults
from mixfit.results.linear import LinearResults
from mixfit.results.multinomial import MultinomialResults
from mixfit.results.nonlinear import NonlinearResults
from mixfit.results.ordinal import OrdinalResults
from mixfit.results.profile import LikelihoodProfile
from mixfit.results.rates import BetaBinomialResults

# What an object that prints no table may take, in lines and in characters.
LINES = 10
CHARACTERS = 900
# What others decide how to show.
FOREIGN = ("numpy", "pandas", "scipy", "builtins", "collections", "types", "typing", "functools")


@pytest.fixture(scope="module")
def fits():
    sleep, herds = datasets.load("sleepstudy"), datasets.load("cbpp")
    linear = mixfit.mixed("Reaction ~ Days + (Days | Subject)", sleep).fit()
    binomial = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    generalized = mixfit.mixed(binomial, herds, family="binomial").fit()
    return linear, generalized, mixfit.beta_binomial("incidence", "size", herds, by="herd")


@pytest.mark.parametrize("module", [mixfit, covariance, datasets, errors, plots])
def test_a_module_lists_what_is_public_and_nothing_else(module):
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def test_what_is_imported_late_is_listed_before():
    code = "import mixfit, sys; print(*dir(mixfit)); assert 'mixfit.plots' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert shown == sorted(mixfit.__all__)
    assert {"emmeans", "plots", "errors", "covariance", "beta_binomial"} <= set(shown)


def objects(fits):
    linear, generalized, rates = fits
    means = generalized.emmeans("period")
    made = [*fits, *(fit.model for fit in fits[:2]), means, means.pairs(), means.contrast("trt.vs.ctrl")]
    made += [linear.profile(which="sigma"), linear.bootstrap(n=5, seed=1, progress=False), linear.plot]
    for name in ("summary", "varcorr", "ranef", "coef", "anova", "r2", "icc", "re_pca", "get_prediction"):
        made += [getattr(fit, name)() for fit in (linear, generalized)]
    made += [linear.influence("Subject"), linear.ranova(), linear.drop1(), rates.summary()]
    return [*made, mixfit.anova(linear, linear.model.fit(reml=False)), generalized.overdispersion()]


def walk(found, obj, depth):
    """Everything that public attributes lead to, by type."""
    if isinstance(obj, (tuple, list)):
        for part in obj[:1]:
            walk(found, part, depth)
        return
    if type(obj).__module__.split(".")[0] in FOREIGN or inspect.isroutine(obj) or type(obj) in found:
        return
    found[type(obj)] = obj
    if depth:
        for name in (name for name in dir(obj) if not name.startswith("_")):
            try:
                value = getattr(obj, name)
            except MixfitError:
                continue
            walk(found, value, depth - 1)


def test_the_representation_of_every_public_object_is_its_print(fits):
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for obj in objects(fits):
            walk(found, obj, 3)
    assert len(found) > 40
    for kind, obj in found.items():
        shown = repr(obj)
        assert shown == str(obj), kind
        assert " object at 0x" not in shown, kind
        assert "array(" not in shown, kind


def test_objects_that_are_no_tables_take_a_few_lines(fits):
    linear, generalized, rates = fits
    for fit in fits:
        parts = [fit, fit.estimate, *([] if fit is rates else [fit.model, fit.model.design, fit.model.assembly])]
        parts += [] if fit is rates else [fit.certificate, *fit.model.design.random, fit.model.design.fixed]
        for part in parts:
            assert len(repr(part).splitlines()) <= LINES
            assert len(repr(part)) <= CHARACTERS
    assert repr(linear.model.design).startswith("<Design: y (180,), X (180, 2), exog_names ('Intercept', 'Days'), ")
    assert repr(generalized.certificate) == str(generalized.certificate)


def test_random_effects_print_as_tables_of_their_factors(fits):
    linear = fits[0]
    for effects in (linear.ranef(), linear.coef(), linear.ranef(condsd=True)):
        assert repr(effects) == f"$Subject\n{effects['Subject']!r}"
        assert "<p>Subject</p><table" in effects._repr_html_().replace("<div>", "").replace("\n", "")
    assert dict(linear.ranef()).keys() == {"Subject"}


WRONG = [
    lambda fit: fit.summary("satterthwaite"),
    lambda fit: fit.ranef("Subject"),
    lambda fit: fit.ranef(condsd="Subject"),
    lambda fit: fit.conf_int("profile"),
    lambda fit: fit.conf_int("Days"),
    lambda fit: fit.conf_int(True),
    lambda fit: fit.summary(correlation="satterthwaite"),
    lambda fit: fit.icc("Subject"),
    lambda fit: fit.icc(by_group="Subject"),
    lambda fit: fit.drop1("F"),
    lambda fit: fit.profile(0.01),
    lambda fit: fit.profile(level="all"),
    lambda fit: fit.bootstrap(100),
    lambda fit: fit.bootstrap(n="many"),
    lambda fit: fit.simulate("many"),
    lambda fit: fit.quantile_residuals("many"),
    lambda fit: fit.predict(None, "population"),
    lambda fit: fit.predict(se="yes"),
    lambda fit: fit.predict(allow_new_levels="yes"),
    lambda fit: fit.get_prediction(None, "population"),
    lambda fit: fit.get_prediction().summary_frame("mean"),
    lambda fit: fit.model.fit("ml"),
    lambda fit: fit.anova(3, "kenward-roger"),
]


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.parametrize("which", [0, 1])
def test_arguments_in_the_wrong_place_are_type_errors(fits, call, which):
    with pytest.raises(TypeError):
        call(fits[which])


def test_flags_of_linear_models_are_flags(fits):
    for call in (lambda: fits[0].model.fit(reml="ml"), lambda: fits[0].ranova(reduce_terms="Days")):
        with pytest.raises(ArgumentError, match="is True or False, not '"):
            call()


def test_a_name_in_the_place_of_a_number_is_said():
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", datasets.load("pulp")).fit()
    with pytest.raises(ArgumentError, match=r"^level is a number, as in level=0.95, not 'profile'\. Other arguments"):
        fit.conf_int("profile")
    with pytest.raises(FitError, match="level must lie between 0 and 1"):
        fit.conf_int(95)
    np.testing.assert_array_equal(fit.conf_int(0.9), fit.conf_int(level=np.float64(0.9)))


# What goes without a name after the object itself: one argument, or those that are always given.
POSITIONAL = {"compare": 2, "value": 2, "zeta": 2, "rates": 1}
INTERNAL = {"prediction_variance"}


@pytest.mark.parametrize(
    "kind",
    [
        LinearResults,
        GeneralizedResults,
        NonlinearResults,
        OrdinalResults,
        MultinomialResults,
        BetaBinomialResults,
        LikelihoodProfile,
        Plots,
        mixfit.LinearMixedModel,
        mixfit.GeneralizedMixedModel,
        mixfit.NonlinearMixedModel,
        mixfit.OrdinalMixedModel,
        mixfit.MultinomialMixedModel,
    ],
)
def test_arguments_after_the_first_are_given_by_name(kind):
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if name.startswith("_") or name in INTERNAL:
            continue
        parameters = list(inspect.signature(method).parameters.values())[1:]
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(positional) <= POSITIONAL.get(name, 1), f"{kind.__name__}.{name}"


def test_augmented_data_that_are_no_table():
    fit = mixfit.mixed("bright ~ 1 + (1 | operator)", datasets.load("pulp")).fit()
    with pytest.raises(errors.DataError, match="data= must be a pandas, polars or pyarrow table in memory, not bool"):
        fit.augment(True)
    assert isinstance(fit.augment(), pd.DataFrame)


def test_fits_stand_side_by_side_in_statsmodels_table() -> None:
    pytest.importorskip("statsmodels")
    from statsmodels.iolib.summary2 import summary_col

    sleep = mixfit.datasets.load("sleepstudy")
    fits = [mixfit.mixed(f"Reaction ~ {x} + (1 | Subject)", sleep).fit() for x in ("Days", "Days + I(Days**2)")]
    text = str(summary_col(fits, stars=True))
    assert "10.4673***" in text
    assert "Reaction II" in text
