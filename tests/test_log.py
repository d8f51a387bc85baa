"""The logger mixfit: a line a fit, a line an evaluation, and nothing unless a program listens."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mixfit


def logistic_curves() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    t, g = np.tile(np.arange(8.0), 6), np.repeat(list("abcdef"), 8)
    asym = 100.0 + np.repeat(rng.normal(0.0, 10.0, 6), 8)
    return pd.DataFrame({"t": t, "g": g, "y": asym / (1.0 + np.exp(3.0 - t)) + rng.normal(size=48)})


FITS = {
    "linear": lambda: mixfit.mixed("Reaction ~ Days + (Days | Subject)", mixfit.datasets.load("sleepstudy")),
    "generalized": lambda: mixfit.mixed(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mixfit.datasets.load("cbpp"), family="binomial"
    ),
    "residual": lambda: mixfit.mixed(
        "distance ~ age", mixfit.datasets.load("orthodont"), residual="ar1(age | Subject)"
    ),
    "excluded": lambda: mixfit.mixed("bright ~ 1 + (1 | operator)", mixfit.datasets.load("pulp"), na_action="exclude"),
    "nonlinear": lambda: mixfit.nonlinear("y ~ SSlogis(t, Asym, xmid, scal) ~ Asym | g", logistic_curves()),
}


def said(caplog: Any, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def counted(n: int) -> str:
    return "1 evaluation" if n == 1 else f"{n} evaluations"


@pytest.mark.parametrize("kind", FITS)
def test_a_fit_is_a_line(kind: str, caplog: Any) -> None:
    model = FITS[kind]()
    with caplog.at_level("INFO", logger="mixfit"):
        fit = model.fit()
    assert {record.name for record in caplog.records} == {"mixfit"}
    (line,) = said(caplog, logging.INFO)
    criterion = f"{fit.estimate.criterion:.7g}"
    assert line.startswith(f"{getattr(model, 'description', model.formula)}: {fit.nobs} rows, criterion {criterion}, ")
    assert line.endswith(f"{counted(fit.certificate.n_evaluations)}, {fit.certificate.message}")
    assert not said(caplog, logging.DEBUG)


def test_every_evaluation_of_a_search_is_a_line(caplog: Any) -> None:
    model = FITS["linear"]()
    with caplog.at_level("DEBUG", logger="mixfit"):
        fit = model.fit()
    first, *lines = said(caplog, logging.DEBUG)
    begun = int(re.fullmatch(r"search begins at a criterion of [\d.]+, after (\d+) evaluations?", first)[1])
    numbers = [int(re.match(r"evaluation (\d+): criterion", line)[1]) for line in lines]
    assert numbers == list(range(begun + 1, fit.certificate.n_evaluations + 1))


def test_nothing_is_printed_by_itself() -> None:
    script = (
        "import mixfit; mixfit.mixed('bright ~ 1 + (1 | operator)', mixfit.datasets.load('pulp')).fit();"
        "import logging; print(logging.getLogger('mixfit').handlers)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    assert run.stdout == "[<NullHandler (NOTSET)>]\n"
