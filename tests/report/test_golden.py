"""Printed text against lme4's, line by line, and against our own kept files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fitted.models import MODELS, fitted

GOLDEN = Path(__file__).parents[1] / "fitted" / "golden"


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def theirs(name: str) -> list[str]:
    """lme4's summary, less what mixfit means to print in another way."""
    kept = []
    for line in lines((GOLDEN / "lme4" / f"{name}.txt").read_text()):
        if line.startswith(("optimizer (", "fit warnings:")):
            break
        if line.startswith(("Weights:", " Offset:")):
            continue
        kept.append(re.sub(r" +\['lmerMod'\]$", "", line))
    while not kept[-1]:
        kept.pop()
    return kept


def ours(name: str) -> list[str]:
    """Our summary, less the notes at its end and the line on missing values."""
    text = lines(str(fitted(name).summary(ddf="none")))
    n_notes = len(fitted(name).summary(ddf="none").notes)
    text = text[: -n_notes - 1] if n_notes else text
    return [line for line in text if "deleted due to missingness" not in line]


@pytest.mark.parametrize("name", MODELS)
def test_summary_reads_as_lme4s(name: str) -> None:
    mine, wanted = ours(name), theirs(name)
    if not fitted(name).reml:
        # lme4 2 calls the fourth column -2*log(L), which makes the table wider
        table = mine.index(next(line for line in mine if "AIC" in line))
        assert mine[table].split() == ["AIC", "BIC", "logLik", "-2*log(L)", "df.resid"]
        assert mine.pop(table + 1).split() == wanted.pop(table + 1).split()
        del mine[table], wanted[table]
    assert mine == wanted


@pytest.mark.parametrize("name", MODELS)
def test_varcorr_prints_as_lme4s(name: str) -> None:
    wanted = lines((GOLDEN / "lme4" / f"{name}_varcorr.txt").read_text())
    assert lines(str(fitted(name).varcorr())) == wanted


@pytest.mark.parametrize("name", MODELS)
def test_summary_is_what_it_was(name: str) -> None:
    assert str(fitted(name).summary(ddf="none")) + "\n" == (GOLDEN / f"{name}.txt").read_text()


def write() -> None:
    """Write our golden files anew: ``python -c 'from tests.report.test_golden import write; write()'``."""
    for name in MODELS:
        (GOLDEN / f"{name}.txt").write_text(str(fitted(name).summary(ddf="none")) + "\n")
    (GOLDEN / "sleepstudy_ml.html").write_text(fitted("sleepstudy_ml").summary(ddf="none").as_html() + "\n")
