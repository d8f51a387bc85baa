"""``python -m tests.processors`` tells which tests fail under which kernels."""

from __future__ import annotations

import pytest

from tests import processors

FILE = """
import os

def test_that_passes():
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"

def test_that_fails():
    assert os.environ["OPENBLAS_CORETYPE"] != "Haswell"
"""


def test_failures_are_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "test_kernels.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(processors, "ROOT", tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setattr(processors, "kernels", {"Haswell": "A", "Zen": "A", "SkylakeX": None, "Prescott": "B"}.get)
    assert processors.main([*processors.CORES, "--", "-n0", "-p", "no:cacheprovider"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[-5:] == [
        "Haswell, kernels of A: 1 failed (exit status 1)",
        "  test_kernels.py::test_that_fails",
        "SkylakeX: not run, since this processor does not know its instructions",
        "Zen: has the kernels of A, see above",
        "Prescott, kernels of B: all passed",
    ]


def test_nothing_that_ran_is_no_success(monkeypatch, capsys):
    monkeypatch.setattr(processors, "kernels", lambda core: None)
    assert processors.main(["Haswell"]) == 1
    assert "not run" in capsys.readouterr().out


def test_an_environment_that_cannot_be_asked_is_no_old_processor(monkeypatch):
    monkeypatch.setattr(processors, "_KERNELS", "import no_such_module")
    with pytest.raises(RuntimeError, match="no_such_module"):
        processors.kernels("Haswell")
