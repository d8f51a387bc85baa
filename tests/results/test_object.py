"""What the result object promises beside its numbers."""

from __future__ import annotations

import doctest
import importlib
import pickle
import pkgutil
from dataclasses import replace

import pandas as pd
import pytest

import mixfit
import mixfit.fitted
import mixfit.report
import mixfit.results
import mixfit.tables
from mixfit.report.summary import Summary
from mixfit.results import LinearResults
from tests.dense import Certificate
from tests.fitted.models import fitted
from tests.fresh import run


def test_constructor_only_stores() -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    untouchable = Untouchable()
    assert vars(LinearResults(untouchable, untouchable)) == {"model": untouchable, "estimate": untouchable}


def test_counts_do_not_compute_fitted_values() -> None:
    kept = fitted("sleepstudy_reml")
    fit = LinearResults(kept.model, kept.estimate)
    _ = fit.params, fit.bse, fit.aic, fit.varcorr(), fit.ranef(), fit.df_resid, fit.is_singular, repr(fit)
    assert "fittedvalues" not in vars(fit)
    _ = fit.resid
    assert "fittedvalues" in vars(fit)


def test_pickle_round_trip() -> None:
    fit = fitted("sleepstudy_reml")
    _ = fit.fittedvalues, fit.tvalues
    again = pickle.loads(pickle.dumps(fit))
    assert set(vars(again)) == {"model", "estimate"}
    assert str(again.summary(ddf="none")) == str(fit.summary(ddf="none"))
    pd.testing.assert_series_equal(again.predict(), fit.predict())
    summary = pickle.loads(pickle.dumps(fit.summary(ddf="none")))
    assert isinstance(summary, Summary)
    assert str(summary) == str(fit.summary(ddf="none"))


def test_certificate_decides_convergence() -> None:
    fit = fitted("sleepstudy_reml")
    assert fit.converged
    bad = Certificate(False, 0.5, 0.25, (), "ran out of evaluations")
    stopped = LinearResults(fit.model, replace(fit.estimate, certificate=bad))
    assert not stopped.converged
    assert stopped.certificate is bad
    note = "not converged: ran out of evaluations (projected gradient 0.5, predicted decrease 0.25)"
    assert str(stopped.summary(ddf="none")).endswith("\n\n" + note)
    assert not fit.is_singular


def test_notes_of_summary() -> None:
    assert "boundary (singular) fit" in str(fitted("dyestuff2_reml").summary(ddf="none"))
    assert "boundary" not in str(fitted("pulp_reml").summary(ddf="none"))
    deficient = str(fitted("sleepstudy_deficient").summary(ddf="none"))
    assert "dropping 1 column / coefficient: D2" in deficient
    assert "(2 observations deleted due to missingness)" in deficient


def test_correlation_table_on_request() -> None:
    fit = fitted("cake_interaction_ml")
    assert "not shown, as p = 18 > 12" in str(fit.summary(ddf="none"))
    text = str(fit.summary(correlation=True, ddf="none"))
    table = text.split("Correlation of Fixed Effects:\n")[1].splitlines()
    assert max(map(len, table)) <= 80
    assert len(table) == 2 * 18
    assert "Correlation" not in str(fitted("sleepstudy_reml").summary(correlation=False, ddf="none"))


def test_repr_names_the_model() -> None:
    wanted = "<LinearResults: Reaction ~ Days + (Days | Subject), REML, 180 observations>"
    assert repr(fitted("sleepstudy_reml")) == wanted


def test_import_is_light() -> None:
    code = (
        "import sys, types\n"
        # the room alone, whatever the package's own __init__ brings
        "package = types.ModuleType('mixfit')\n"
        f"package.__path__ = {list(mixfit.__path__)!r}\n"
        "sys.modules['mixfit'] = package\n"
        "import mixfit.results\n"
        "heavy = {'statsmodels', 'matplotlib', 'joblib', 'tqdm'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    run(code)


ROOMS = (mixfit.fitted, mixfit.report, mixfit.results, mixfit.tables)
MODULES = [m.name for room in ROOMS for m in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
