"""The benchmark runs, tells who disagrees, and judges what it should: on small data, without rivals."""

import json
import re
import sys

import numpy as np
import pytest

from tests.benchmarks import mixfit_, r
from tests.benchmarks.agreement import compare
from tests.benchmarks.cases import CASES, IMPORTS
from tests.benchmarks.data import make
from tests.benchmarks.imports import time_imports
from tests.benchmarks.measure import Measurement, is_due
from tests.benchmarks.peers import Found, judge, peers_of
from tests.benchmarks.random_models_lme4 import excess, lme4_thetas
from tests.benchmarks.run import main
from tests.benchmarks.run_tasks import TaskMeasurement
from tests.benchmarks.session import RivalError, Session
from tests.benchmarks.table import agreement_lines, fit_table, import_table, task_lines, task_table, verdicts
from tests.benchmarks.tasks import TASKS
from tests.benchmarks.tasks_mixfit import COMPUTATIONS
from tests.benchmarks.worker import Model
from tests.peer_models import FAMILIES, peer_model
from tests.random_models import random_model


@pytest.mark.slow
def test_it_prints_a_table_of_what_was_asked_for(tmp_path, capsys):
    file = tmp_path / "times.json"
    arguments = "--quick --without glmm --without lme4 --without glmmTMB --case ratings --repeats 2 --json"
    assert main([*arguments.split(), str(file)]) == 0
    report = capsys.readouterr().out
    assert re.search(r"^\| ratings, .* \| 2,000 \| [\d.e-]+ \| .*2,000 MB \| – \| \d+ \| \d+ \|$", report, re.M)
    (case,) = json.loads(file.read_text())["cases"]
    assert len(case["times"]["mixfit"]) == 2
    assert case["answers"]["mixfit"]["converged"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_fits(case):
    frame = make(case.name, quick=True)
    model = Model(case.formula, case.reml, case.family, case.n_agq, case.zi or None, case.dispersion or None)
    fit, beta, se = mixfit_.estimate(frame, model)
    assert mixfit_.describe(fit)["converged"]
    assert len(beta) == len(se) > 0


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_computes(task):
    numbers = COMPUTATIONS[task.name](make(task.data, quick=True))()
    assert np.isfinite(numbers).all()
    assert len(numbers) > 0


def test_tasks_have_a_table():
    task = TASKS[0]
    result = TaskMeasurement(task, [0.1, 0.3, 0.2], [30.0], difference=0.01)
    assert (
        task_table([result], judged=True)
        .splitlines()[-1]
        .endswith("| 0.200 | 30.0 | 0.0067 | ≤ 0.01 × pbkrtest | yes |")
    )
    assert task_lines(result) == ["- pb_modcomp: pbkrtest agrees (LRT, p within 1.0e-02)"]
    assert "**DIFFERS**" in task_lines(TaskMeasurement(task, [0.1], [1.0], difference=1.0))[0]
    assert task_table([TaskMeasurement(task, [0.1], [])], judged=True).endswith("| not measured |")


def test_imports_are_timed_in_turn():
    times = time_imports(("json", "math"), repeats=2)
    assert [len(taken) for taken in times.values()] == [2, 2]
    table = import_table({IMPORTS[0]: [1.1, 9.0, 1.0], IMPORTS[1]: [1.0]}, judged=True)
    assert table.splitlines()[-1] == "| 1.10 | 1.00 | 1.10 | < 1.2 | yes |"


def answer(loglik=-100.0, beta=(1.0,), **changes):
    return {"loglik": loglik, "beta": beta, "se": (0.1,), "converged": True} | changes


@pytest.mark.parametrize(
    ("theirs", "ok"),
    [
        (answer(-100.0005), True),
        (answer(-100.01), False),
        (answer(beta=(1.00001,)), True),
        (answer(beta=(1.001,)), False),
        (answer(beta=(1.0, 2.0)), False),
    ],
)
def test_agreement(theirs, ok):
    (agreement,) = compare({"mixfit": answer(), "glmm": theirs})
    assert agreement.ok == ok
    assert ("**DIFFERS**" in str(agreement)) != ok


def test_verdicts_and_warnings():
    case = next(case for case in CASES if case.name == "insteval")
    result = Measurement(case, 10, times={"mixfit": [1.0, 3.0, 1.0], "glmm": [4.0], "lme4": [5.0]})
    result.cpu = {"mixfit": 5.0, "glmm": 8.0, "lme4": 5.0}
    result.answers = {"mixfit": answer(peak_mb=1.0, evaluations=5), "glmm": answer(converged=False)}
    assert verdicts(result) == ["yes", "**no**"]
    (row,) = fit_table([result], ["glmm", "lme4"], judged=True).splitlines()[2:]
    assert row.split(" | ")[2:7] == ["1.00", "4.00", "5.00", "0.25", "0.20"]
    warnings = "\n".join(agreement_lines(result))
    assert "glmm says that it has not converged" in warnings
    assert "glmm used 2.0 threads" in warnings
    assert "mixfit used" not in warnings


def test_slow_rivals_take_their_turns_evenly():
    assert [turn for turn in range(9) if is_due(turn, 9, 3)] == [2, 5, 8]
    assert all(is_due(turn, 9, 9) for turn in range(9))


def test_a_rival_that_dies_is_quoted():
    script = "import sys; sys.exit('no such thing')"
    with Session([sys.executable, "-c", script]) as session, pytest.raises(RivalError, match="no such thing"):
        session.wait_until_ready()


@pytest.mark.slow
@pytest.mark.skipif(r.version("lme4") is None, reason="lme4 is not installed")
def test_random_models_of_lme4_are_judged_by_the_criterion_here(tmp_path):
    models = [random_model(seed) for seed in range(6)]
    thetas = lme4_thetas(models, tmp_path)
    found = [excess(m, theta) for m, theta in zip(models, thetas, strict=True) if len(theta)]
    # lme4 refuses some
    assert len(found) > 3
    assert max(found) < 1e-5


def test_fits_are_judged_by_what_peers_found():
    """One that a peer is below is worse; one that no peer fitted is compared with nothing."""
    drawn = next(m for m in map(peer_model, range(20)) if m.family == "poisson")
    nothing = judge(drawn, Found(np.empty(0), np.nan))
    assert nothing.converged
    assert not nothing.is_worse
    assert np.isnan([nothing.over_lme4, nothing.over_glmmtmb]).all()
    assert judge(drawn, Found(np.empty(0), 0.0)).is_worse
    assert {peer_model(seed).family for seed in range(200)} == set(FAMILIES)


@pytest.mark.slow
@pytest.mark.skipif(r.version("glmmTMB") is None, reason="glmmTMB is not installed")
def test_peers_find_nothing_lower(tmp_path):
    models = [peer_model(seed) for seed in range(4)]
    found = [judge(m, f) for m, f in zip(models, peers_of(models, tmp_path), strict=True)]
    assert not any(v.is_worse for v in found)
    assert not np.isnan([v.over_glmmtmb for v in found]).all()
