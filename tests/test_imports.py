"""What importing mixfit brings along, and what the first fit does."""

from __future__ import annotations

import subprocess
import sys


def modules_after(script: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_importing_mixfit_imports_nothing_that_is_not_asked_for() -> None:
    loaded = modules_after("import mixfit")
    assert not loaded & {"numpy", "pandas", "scipy", "formulaic", "mixfit.model.mixed"}


def test_a_fit_does_without_what_only_other_things_need() -> None:
    loaded = modules_after(
        "import mixfit\n"
        "mixfit.mixed('Reaction ~ Days + (Days | Subject)', mixfit.datasets.load('sleepstudy')).fit().summary()"
    )
    assert "mixfit.results.linear" in loaded
    assert not loaded & {"scipy.stats", "statsmodels", "matplotlib", "tqdm", "joblib", "arviz_base"}
