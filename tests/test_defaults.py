"""mixfit.options: what is taken where an argument is not given."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import mixfit
from mixfit.defaults import DDF, Options, coverage, read_ddf
from mixfit.errors import ArgumentError, FitError, UnknownNameError


@pytest.fixture(autouse=True)
def fresh() -> object:
    mixfit.options.reset()
    yield
    mixfit.options.reset()


@pytest.fixture(scope="module")
def fit() -> mixfit.results.LinearResults:
    return mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")).fit()


def test_it_says_what_it_holds() -> None:
    assert repr(mixfit.options) == "<mixfit.options: ddf='auto', level=0.95>"
    assert dir(mixfit.options) == ["ddf", "level", "reset"]


def test_a_session_takes_what_is_set(fit) -> None:
    mixfit.options.ddf = "Z"
    mixfit.options.level = 0.8
    assert (mixfit.options.ddf, mixfit.options.level) == ("z", 0.8)
    assert "z value" in fit.ttest().frame
    np.testing.assert_array_equal(fit.conf_int(), fit.conf_int(level=0.8, ddf="z"))
    np.testing.assert_array_equal(fit.pvalues, fit.ttest(ddf="z")["Pr(>|z|)"])
    with mixfit.options(ddf="auto"):
        assert "t value" in fit.ttest().frame


def test_an_argument_goes_before_an_option(fit) -> None:
    with mixfit.options(ddf="z", level=0.5):
        assert "df" in fit.ttest(ddf="residual").frame
        assert fit.conf_int(level=0.9, ddf="residual").equals(fit.conf_int(0.9, ddf="residual"))


def test_blocks_nest_and_end_with_an_error() -> None:
    with mixfit.options(level=0.9):
        with mixfit.options(level=0.8, ddf="residual"):
            assert (mixfit.options.level, mixfit.options.ddf) == (0.8, "residual")
        with pytest.raises(ZeroDivisionError), mixfit.options(level=0.8):
            _ = 1 / 0
        assert (mixfit.options.level, mixfit.options.ddf) == (0.9, "auto")
    assert mixfit.options.level == 0.95


def test_a_call_without_with_is_for_the_session(fit) -> None:
    called = mixfit.options(ddf="z")
    assert repr(called) == repr(mixfit.options) == "<mixfit.options: ddf='z', level=0.95>"
    assert "z value" in fit.ttest().frame
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(mixfit.options.ddf))
    thread.start()
    thread.join()
    assert seen == ["z"]
    with mixfit.options(ddf="residual", level=0.9):
        assert (mixfit.options.ddf, mixfit.options.level) == ("residual", 0.9)
    assert (mixfit.options.ddf, mixfit.options.level) == ("z", 0.95)


def test_a_block_entered_again_leaves_the_session_as_it_is_then() -> None:
    block = mixfit.options(level=0.9)
    with block:
        mixfit.options.ddf = "z"
    assert (mixfit.options.ddf, mixfit.options.level) == ("z", 0.95)
    mixfit.options.level = 0.8
    with block, block:
        assert mixfit.options.level == 0.9
    assert mixfit.options.level == 0.8


def test_a_block_gives_back_only_what_is_still_its_own() -> None:
    block = mixfit.options(ddf="z", level=0.9)
    mixfit.options.ddf = "residual"
    with block:
        assert (mixfit.options.ddf, mixfit.options.level) == ("z", 0.9)
    assert (mixfit.options.ddf, mixfit.options.level) == ("residual", 0.95)
    mixfit.options.reset()
    block, later = mixfit.options(level=0.9), mixfit.options(level=0.8)
    with block:
        assert mixfit.options.level == 0.9
    assert mixfit.options.level == 0.8
    with later:
        pass
    assert mixfit.options.level == 0.9


def test_a_call_that_is_refused_changes_nothing() -> None:
    with pytest.raises(FitError, match="ddf is one of"):
        mixfit.options(level=0.9, ddf="student")
    assert (mixfit.options.ddf, mixfit.options.level) == ("auto", 0.95)


def test_a_block_is_its_own_threads_alone() -> None:
    seen: list[object] = []
    with mixfit.options(level=0.8):
        thread = threading.Thread(target=lambda: seen.append(mixfit.options.level))
        thread.start()
        thread.join()
    assert seen == [0.95]


def test_options_of_linear_models_are_not_asked_of_others() -> None:
    herds = mixfit.datasets.load("cbpp")
    fit = mixfit.mixed("cbind(incidence, size - incidence) ~ period + (1 | herd)", herds, family="binomial").fit()
    with mixfit.options(ddf="satterthwaite"):
        assert "z value" in fit.summary().coefficients
        assert np.isinf(fit.emmeans("period").estimates.df).all()


def test_unknown_names_and_values_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="has ddf and level, and no 'alpha'"):
        mixfit.options.alpha = 0.05
    with pytest.raises(AttributeError, match="no 'ddof'"):
        _ = mixfit.options.ddof
    with pytest.raises(UnknownNameError, match="no 'conf'"), mixfit.options(conf=0.9):
        pass
    with pytest.raises(FitError, match="ddf='KR' is written ddf='kenward-roger'"):
        mixfit.options.ddf = "KR"
    with pytest.raises(FitError, match=r"alpha=0\.05 is level=0\.95"):
        mixfit.options.level = 0.05
    assert Options().ddf == "auto"
    assert not hasattr(mixfit.options, "__wrapped__")


@pytest.mark.parametrize("name", DDF)
def test_names_of_methods_in_any_case(name: str) -> None:
    assert read_ddf(name.upper().replace("-", "_")) == name
    assert read_ddf(name.title().replace("-", "\u2013")) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kr", "'kenward-roger'"),
        ("satt", "'satterthwaite'"),
        ("satterthwait", "Did you mean 'satterthwaite'"),
        ("none", "ddf='z'"),
        ("lme4", "ddf='z'"),
        ("asymptotic", "ddf='z'"),
        (17, "ddf is one of"),
    ],
)
def test_other_names_are_refused_with_the_right_one(name: object, message: str) -> None:
    with pytest.raises(FitError, match=message):
        read_ddf(name)


def test_coverages() -> None:
    assert coverage(0.5) == 0.5
    for value, kind in (
        (0.05, FitError),
        (95, FitError),
        (0.0, FitError),
        ("wald", ArgumentError),
        (True, ArgumentError),
    ):
        with pytest.raises(kind, match="level"):
            coverage(value)
    with pytest.raises(FitError, match=r"95 % is level=0\.95"):
        coverage(95)
